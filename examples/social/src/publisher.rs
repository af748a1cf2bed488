//! Telling the mesh what was taken back, a moment after whoever asked for it was answered.

#![allow(clippy::print_stderr, reason = "a service that says what broke, for whoever runs it")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::accounts::Accounts;
use crate::revocations::{RevocationFile, Revoked};

/// How long an answer has to leave before the mesh is told. The mesh ends what is open of a token that is taken back, and
/// the request for a logout is open until its answer has passed the sidecar. Short, because the token works meanwhile.
const ANSWER_FIRST: Duration = Duration::from_millis(100);
/// Until the next try, when the file could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// Writes what the accounts say, whenever they say something new. What is true is in the accounts alone: a list that was
/// lost or never written is written at the next start.
pub struct Publisher {
    accounts: Arc<Accounts>,
    file: RevocationFile,
    changed: Arc<Notify>,
}

impl Publisher {
    /// Of these accounts, into this file.
    #[must_use]
    pub fn new(accounts: Arc<Accounts>, file: RevocationFile) -> Self {
        Self { accounts, file, changed: Arc::default() }
    }

    /// What to notify after something was taken back.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// Writes once, and again after every change, as long as the program runs. Changes that come together are written
    /// together.
    pub async fn run(self) {
        loop {
            match self.publish().await {
                Ok(()) => self.changed.notified().await,
                Err(error) => {
                    eprintln!("login: the mesh was not told who has logged out: {error:#}");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn publish(&self) -> anyhow::Result<()> {
        // Read before the wait, not after it: who logs out during the wait is left for the next time, and is answered first, too.
        let revoked = self.accounts.revoked(now())?;
        tokio::time::sleep(ANSWER_FIRST).await;
        self.write(revoked).await
    }

    /// Not in the way of answers: a disk may be slow.
    async fn write(&self, revoked: Revoked) -> anyhow::Result<()> {
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || file.write(&revoked)).await?
    }
}

/// Unix seconds.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Longer than any token here lives.
    const LATER: i64 = 10_000_000_000;

    fn publisher(directory: &std::path::Path) -> Publisher {
        let accounts = Arc::new(Accounts::open(&directory.join("social.db")).unwrap());
        let (file, namespace) = (directory.join("told/out.yaml"), "social".to_owned());
        Publisher::new(accounts, RevocationFile { file, namespace, issuer: "login".to_owned() })
    }

    /// Whether the list names this token; `None` when there is no list.
    fn told(directory: &std::path::Path, token: &str) -> Option<bool> {
        let list = std::fs::read_to_string(directory.join("told/out.yaml")).ok()?;
        Some(list.contains(token))
    }

    async fn until_told(directory: &std::path::Path, token: &str) {
        while told(directory, token) != Some(true) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_mesh_is_told_after_the_answer_and_of_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        std::fs::create_dir(place.join("told")).unwrap();
        let publisher = publisher(place);
        let (accounts, changed) = (publisher.accounts.clone(), publisher.changed());
        accounts.revoke_token("of-yesterday", LATER, 0).unwrap();
        tokio::spawn(publisher.run());
        until_told(place, "of-yesterday").await;
        let start = tokio::time::Instant::now();
        accounts.revoke_token("first", LATER, 0).unwrap();
        changed.notify_one();
        tokio::time::sleep(ANSWER_FIRST / 2).await;
        accounts.revoke_token("second", LATER, 0).unwrap();
        changed.notify_one();
        assert_eq!(told(place, "first"), Some(false));
        until_told(place, "first").await;
        assert!(start.elapsed() >= ANSWER_FIRST);
        assert_eq!(told(place, "second"), Some(false), "its answer has not had its time");
        until_told(place, "second").await;
        assert!(start.elapsed() >= ANSWER_FIRST * 3 / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_written_when_it_can_be() {
        let directory = tempfile::tempdir().unwrap();
        let publisher = publisher(directory.path());
        publisher.accounts.revoke_token("first", LATER, 0).unwrap();
        tokio::spawn(publisher.run());
        tokio::time::sleep(RETRY * 3).await;
        assert_eq!(told(directory.path(), "first"), None);
        std::fs::create_dir(directory.path().join("told")).unwrap();
        until_told(directory.path(), "first").await;
    }
}
