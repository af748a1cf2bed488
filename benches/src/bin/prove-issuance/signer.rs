//! What one CPU signs when nothing stands around it: the proof of possession, and the signature.

use std::time::{Duration, Instant};

use agent::renewal::fresh_key::FreshKey;
use anyhow::Result;
use authority::ca::csr;
use authority::ca::leaf::{self, Subject};
use authority::ca::signers::SigningCa;
use authority::clock::wall_clock;
use authority::store::directory::AuthorityDirectory;
use identity::SpiffeId;

use crate::authority::Authority;

/// Certificates a second.
///
/// # Errors
/// When one is refused.
pub(crate) fn rate(authority: &Authority, time: Duration) -> Result<f64> {
    let ca = SigningCa::load(&AuthorityDirectory::new(authority.home()))?;
    let csr = FreshKey::make().map_err(anyhow::Error::msg)?.csr_der;
    let id = SpiffeId::parse("spiffe://cluster.local/vm/m0")?;
    let subject = Subject { id, dns_names: Vec::new() };
    let (start, mut signed) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        let key = csr::proven_key(&csr)?;
        leaf::sign(&ca, &key, &subject, 3600, wall_clock())?;
        signed += 1;
    }
    Ok(f64::from(signed) / start.elapsed().as_secs_f64())
}
