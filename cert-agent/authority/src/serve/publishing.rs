//! Keeps what the authority publishes up to date: roots and revocation lists of the signers, JWT keys of the store,
//! bundles of federated trust domains.

use std::sync::Arc;
use std::time::Duration;

use identity::RevocationLists;
use tokio_util::sync::CancellationToken;

use super::issue::Authority;
use crate::clock::wall_clock;

/// The parts are looked at this often.
const LOOK: Duration = Duration::from_secs(1);
/// The JWT keys in the store are looked at this often: a new one is public an hour before it signs.
const LOOK_AT_KEYS: Duration = Duration::from_secs(10);

/// Looks again and again until `stop`; then every stream ends.
pub async fn keep_published(authority: Arc<Authority>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK);
    let mut looked_at_keys = tokio::time::Instant::now();
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let keys_too = looked_at_keys.elapsed() >= LOOK_AT_KEYS;
        if keys_too {
            looked_at_keys = tokio::time::Instant::now();
        }
        let authority = Arc::clone(&authority);
        let looked = tokio::task::spawn_blocking(move || {
            let now = wall_clock();
            if keys_too {
                authority.publisher.jwt_keys.refresh(now)?;
            }
            publish(&authority, now)
        });
        if let Ok(Err(error)) = looked.await {
            tracing::error!(
                error = format!("{error:#}"),
                "cannot publish trust bundles anew; the last ones stay"
            );
        }
    }
    authority.publisher.end_streams();
}

/// Looks at everything an authority has to publish, once. Blocking.
///
/// # Errors
/// The store's, or revocation lists that cannot be read; what was published stays.
pub fn publish(authority: &Authority, now: u64) -> anyhow::Result<()> {
    let (publisher, lists) = (&authority.publisher, authority.crls.crls());
    let last = publisher.now().own.x509.crls().clone();
    let same = last.iter().eq(lists.iter().map(AsRef::as_ref));
    let lists = if same { last } else { RevocationLists::from_der(&lists)? };
    publisher.look(&authority.ca.now().bundle().clone().with_crls(lists), now)
}
