//! The authority's own certificate on its TLS port: an SVID of `spiffe://<trust
//! domain>/postern/authority`, signed by its own intermediate and renewed in memory.
//!
//! It is looked at anew at each handshake, by the wall clock, so that neither a jump of the clock
//! nor a suspended machine leaves a stale one in place (F-07). Its key never touches a disk.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use identity::SpiffeId;
use parking_lot::Mutex;
use rcgen::KeyPair;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::ca::leaf::{self, AUTHORITY_PATH, Subject};
use crate::clock::wall_clock;
use crate::serve::issue::Authority;

/// How long one certificate serves, seconds; the next is made at half of it.
const LIFETIME: u64 = 12 * 3600;

/// TLS 1.3 with the server's certificate only: a caller that has no certificate yet proves itself
/// by evidence.
///
/// # Errors
/// When the first certificate cannot be made: an expired intermediate says its date (F-36).
pub fn server_config(authority: Arc<Authority>) -> anyhow::Result<ServerConfig> {
    let resolver = own_certificate(authority)?;
    let mut config = ServerConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![identity::tls::ALPN_H2.to_vec()];
    // No resumption: every connection sees the certificate of its moment.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The authority's own SVID, looked at anew at each handshake.
///
/// # Errors
/// When the first certificate cannot be made: an expired intermediate says its date (F-36).
pub fn own_certificate(authority: Arc<Authority>) -> anyhow::Result<Arc<dyn ResolvesServerCert>> {
    let resolver = OwnCertificate { held: Mutex::new(None), authority };
    resolver.certificate(wall_clock())?;
    Ok(Arc::new(resolver))
}

/// The authority's own id in a trust domain.
///
/// # Errors
/// Only for a trust domain so long that the id would pass 2,048 bytes.
pub fn authority_id(trust_domain: &str) -> anyhow::Result<SpiffeId> {
    SpiffeId::parse(&format!("spiffe://{trust_domain}{AUTHORITY_PATH}"))
        .context("the authority's own id")
}

struct OwnCertificate {
    authority: Arc<Authority>,
    held: Mutex<Option<CachedCertificate>>,
}

struct CachedCertificate {
    key: Arc<CertifiedKey>,
    made: u64,
    renew: u64,
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCertificate")
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.certificate(wall_clock()) {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "no certificate for our own port");
                None
            }
        }
    }
}

impl OwnCertificate {
    fn certificate(&self, now: u64) -> anyhow::Result<Arc<CertifiedKey>> {
        let mut held = self.held.lock();
        match held.as_ref() {
            // A clock that stepped back before the making also asks for a new one.
            // So does another intermediate: the old one's root may leave the bundle.
            Some(held)
                if (held.made..held.renew).contains(&now)
                    && held.key.cert.get(1..) == Some(self.authority.ca.now().chain()) =>
            {
                Ok(Arc::clone(&held.key))
            }
            _ => {
                let new = self.make(now)?;
                let key = Arc::clone(&new.key);
                *held = Some(new);
                Ok(key)
            }
        }
    }

    fn make(&self, now: u64) -> anyhow::Result<CachedCertificate> {
        let ca = self.authority.ca.now();
        let pair = KeyPair::generate().context("cannot make a key")?;
        let subject =
            Subject { id: authority_id(ca.trust_domain().as_str())?, dns_names: Vec::new() };
        let signed = leaf::sign_any(&ca, &pair, &subject, LIFETIME, now)?;
        let der = Zeroizing::new(pair.serialize_der());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)
            .context("cannot use the key")?;
        let renew = now.saturating_add(signed.not_after.saturating_sub(now) / 2).max(now + 1);
        let key = Arc::new(CertifiedKey::new(signed.chain, signing));
        Ok(CachedCertificate { key, made: now, renew })
    }
}
