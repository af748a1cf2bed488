//! What a running authority does by itself, beside answering: claims ahead, records behind, signs
//! revocation lists, renews its intermediate, and warns when it cannot.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::ca::init;
use crate::ca::root_source::RootSource;
use crate::ca::signers::{self, SigningCa};
use crate::clock::wall_clock;
use crate::duration::human;
use crate::serve::issue::Authority;
use crate::serve::run::RunSettings;
use crate::store::directory::AuthorityDirectory;
use crate::store::{Store, files, revocations};

/// Each duty is looked at this often; a revocation is served within it.
const INTERVAL: Duration = Duration::from_secs(2);
/// A failure is said again after this long, seconds.
const SAID_AGAIN: u64 = 60;

/// The duties and what they need.
#[derive(Debug)]
pub struct Upkeep {
    authority: Arc<Authority>,
    directory: AuthorityDirectory,
    store: Arc<dyn Store>,
    root_key: Option<RootSource>,
    last_error: Option<(String, u64)>,
    last_warning: Option<u64>,
    next_renewal: u64,
}

impl Upkeep {
    /// For this authority.
    #[must_use]
    pub fn new(settings: &RunSettings, authority: Arc<Authority>) -> Self {
        Self {
            authority,
            directory: settings.directory.clone(),
            store: Arc::clone(&settings.store),
            root_key: settings.root_key.clone(),
            last_error: None,
            last_warning: None,
            next_renewal: 0,
        }
    }

    /// Runs until `stop`, and once more then.
    pub async fn keep_up(self, stop: CancellationToken) {
        let duties = Arc::new(Mutex::new(self));
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            let going_on = stop.run_until_cancelled(tick.tick()).await.is_some();
            let duties = Arc::clone(&duties);
            // A panic was reported by its own thread; the next round goes on.
            let _ = tokio::task::spawn_blocking(move || duties.lock().look(wall_clock())).await;
            if !going_on {
                return;
            }
        }
    }

    /// Looks at every duty once. Blocks.
    pub fn look(&mut self, now: u64) {
        let outcomes = [
            self.revocation_lists(now).context("the revocation lists stay as they are"),
            self.record(now).context("the issuance record is behind"),
            self.intermediate(now).context("the intermediate is not renewed"),
        ];
        for error in outcomes.into_iter().filter_map(Result::err) {
            self.say(&format!("{error:#}"), now);
        }
    }

    fn say(&mut self, error: &str, now: u64) {
        let said = self.last_error.as_ref().is_some_and(|(last, at)| {
            last == error && (*at..at.saturating_add(SAID_AGAIN)).contains(&now)
        });
        if !said {
            tracing::error!(error, "a duty of the authority failed; it is tried again");
            self.last_error = Some((error.to_owned(), now));
        }
    }

    fn revocation_lists(&self, now: u64) -> anyhow::Result<()> {
        let (authority, store) = (&self.authority, self.store.as_ref());
        let complete = |known: &[revocations::RevokedCertificate]| {
            let identities = revocations::identities(store, now)?;
            let own = |identity: &str| authority.record.leaves_of(identity, now);
            revocations::complete(store, &identities, known, authority.leaf_lifetime, own)
        };
        authority.crls.refresh(&authority.ca.now(), &self.directory, store, now, complete)
    }

    fn record(&self, now: u64) -> anyhow::Result<()> {
        let (authority, ca) = (&self.authority, self.authority.ca.now());
        authority.record.extend(&ca.root().id, now)?;
        let position = authority.log.as_ref().map_or(0, |log| log.position());
        Ok(authority.record.flush(&ca.root().id, authority.crls.number(), position, now)?)
    }

    /// Renews the intermediate from half of its life on, when the root's key can be used.
    fn intermediate(&mut self, now: u64) -> anyhow::Result<()> {
        let ca = self.authority.ca.now();
        if !is_due(&ca, now) {
            return Ok(());
        }
        let Some(source) = self.root_key.clone() else {
            self.warn(&ca, now);
            return Ok(());
        };
        if now < self.next_renewal {
            return Ok(());
        }
        // Opening a key is dear; a failure is tried again after a while.
        self.next_renewal = now.saturating_add(SAID_AGAIN);
        let renewed = self.renew(&ca, &source, now);
        if renewed.is_err() {
            self.warn(&ca, now);
        }
        renewed
    }

    fn renew(&self, old: &SigningCa, source: &RootSource, now: u64) -> anyhow::Result<()> {
        // Of the replicas that share the directory one renews, the others take it up.
        let lock = files::lock_file(&self.directory.path().join("renewing"))?;
        lock.lock()?;
        if is_due(&SigningCa::load(&self.directory)?, now) {
            let lifetime = old.lifetime();
            init::renew_intermediate(&self.directory, source, Duration::from_secs(lifetime), now)?;
        }
        let new = SigningCa::load(&self.directory)?;
        tracing::info!(expires = signers::readable(new.not_after()), "renewed the intermediate");
        self.authority.ca.set(new);
        Ok(())
    }

    fn warn(&mut self, ca: &SigningCa, now: u64) {
        let left = ca.not_after().saturating_sub(now);
        let every = warned_every(left, ca.lifetime());
        if self.last_warning.is_some_and(|last| now < last.saturating_add(every)) {
            return;
        }
        self.last_warning = Some(now);
        let (left, expires) = (human(left), signers::readable(ca.not_after()));
        let message = "the intermediate expires and `run` may not use the root key; run `renew-intermediate`, or give \
                       --root-passphrase-file or --pkcs11-module";
        if every < 86_400 {
            tracing::error!(left, expires, message);
        } else {
            tracing::warn!(left, expires, message);
        }
    }
}

/// From half of its life on, as long as a new one could live longer.
fn is_due(ca: &SigningCa, now: u64) -> bool {
    let half = ca.not_before().saturating_add(ca.lifetime() / 2);
    now >= half && (ca.root().not_after > ca.intermediate_not_after())
}

/// How often the end is said, seconds: daily at first, hourly in the last eighth of the life, every
/// ten minutes in the last day (or the last fiftieth).
fn warned_every(left: u64, lifetime: u64) -> u64 {
    if left < (lifetime / 50).clamp(1, 86_400) {
        600
    } else if left < lifetime / 8 {
        3600
    } else {
        86_400
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_grows() {
        let (day, life) = (86_400, 90 * 86_400);
        let check = |left, expect| assert_eq!(warned_every(left, life), expect, "{left}");
        check(45 * day, day);
        check(12 * day, day);
        check(11 * day, 3600);
        check(2 * day, 3600);
        check(day - 1, 600);
        check(0, 600);
    }
}
