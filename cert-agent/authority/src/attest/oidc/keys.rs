//! The keys of token issuers (JWKS, RFC 7517), fetched when they are needed and kept.
//!
//! Keys are looked for anew after five minutes, and at once (at most every 30 s) when a token names one that is not
//! there (S-38). Those that cannot be renewed hold for a day. One fetch at a time for a source; the others wait for
//! it, within their request's deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::jws::{Jws, KeySet};
use parking_lot::Mutex;

use super::OidcError::{self, NotGood, Unavailable};
use super::fetch;
use crate::attest::registry::oidc::KeySource;
use crate::store::files;

/// Kept keys are used without a look for newer ones.
const FRESH: Duration = Duration::from_secs(300);
/// Between two looks, whatever tokens say.
const PAUSE: Duration = Duration::from_secs(30);
/// Kept keys that could not be renewed are let go.
const STALE: Duration = Duration::from_secs(86_400);

/// The keys at hand.
#[derive(Debug, Default)]
pub struct IssuerKeys {
    sources: Mutex<BTreeMap<KeySource, Arc<tokio::sync::Mutex<CachedKeys>>>>,
}

#[derive(Debug, Default)]
struct CachedKeys {
    keys: Option<Arc<KeySet>>,
    taken: Option<Instant>,
    tried: Option<Instant>,
    error: String,
}

impl IssuerKeys {
    /// Checks a token's signature with the keys of this source.
    pub(super) async fn verify(&self, source: &KeySource, jws: &Jws<'_>) -> Result<(), OidcError> {
        let held = Arc::clone(self.sources.lock().entry(source.clone()).or_default());
        let (kid, algorithm) = (jws.kid()?, jws.algorithm());
        // Whoever asked may have hung up by now; what serves the request goes on, so a look is never cut short.
        let keys = {
            let mut held = held.lock().await;
            held.look(source, |keys| keys.find(kid, algorithm).is_some()).await;
            held.keys.clone().ok_or_else(|| Unavailable(held.error.clone()))?
        };
        let signed = keys.find(kid, algorithm).is_some_and(|key| jws.is_signed_by(key));
        signed.then_some(()).ok_or(NotGood("none of its issuer's keys signed it"))
    }
}

impl CachedKeys {
    /// Fetches where that is due.
    async fn look(&mut self, source: &KeySource, enough: impl Fn(&KeySet) -> bool) {
        let now = Instant::now();
        let within = |since: Option<Instant>, limit| since.is_some_and(|at| now - at < limit);
        let knows = self.keys.as_deref().is_some_and(enough);
        if (knows && within(self.taken, FRESH)) || within(self.tried, PAUSE) {
            return;
        }
        self.tried = Some(now);
        match read(source).await {
            Ok(keys) => (self.keys, self.taken) = (Some(Arc::new(keys)), Some(now)),
            Err(error) => {
                tracing::warn!(error, "the keys of a token issuer cannot be renewed");
                self.error = error;
                if !within(self.taken, STALE) {
                    self.keys = None;
                }
            }
        }
    }
}

async fn read(source: &KeySource) -> Result<KeySet, String> {
    let (text, at) = match source {
        KeySource::File(path) => {
            (files::read(path).map_err(|error| error.to_string())?, path.display().to_string())
        }
        KeySource::Uri { uri, ca_file, allow_local } => {
            (fetch::get(uri, ca_file, *allow_local).await?, uri.to_string())
        }
    };
    KeySet::parse(&text).map_err(|reason| format!("{at}: {reason}"))
}
