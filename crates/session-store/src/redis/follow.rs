//! How a process learns what others revoked, and sees to it that what it knows stays in the store.

use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use redis_link::StoreError;

use super::Together;
use super::page::{self, NAME_LENGTH};
use crate::revoked::unix_millis;

/// The wait between two looks: what one process revokes, the others know within two seconds.
const WAIT: Duration = Duration::from_millis(500);
/// Pages at one look: all revocations that there can be, twice.
const MOST_PAGES: usize = 2 * crate::MOST_REVOKED / page::MOST_ENTRIES + 2;

/// Revocations that are written at once: the store serves nobody else meanwhile.
const MOST_WRITTEN: usize = 200;

/// How far the set in the store has been read.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    set: [u8; NAME_LENGTH],
    cursor: u64,
}

impl Follower {
    /// Looks until the store is not used any more.
    pub(crate) async fn follow(mut self, store: Weak<Together>) {
        loop {
            let Some(together) = store.upgrade() else { return };
            // What is wrong, the connection says.
            let _ = self.look(&together).await;
            drop(together);
            let wait = WAIT.mul_f64(0.8 + 0.4 * fastrand::f64());
            tokio::time::sleep(wait).await;
        }
    }

    async fn look(&mut self, together: &Together) -> Result<(), StoreError> {
        self.read_on(together).await?;
        together.heard.send_if_modified(|heard| !std::mem::replace(heard, true));
        if together.unsent.swap(false, Relaxed)
            && let Err(error) = write_all(together).await
        {
            together.unsent.store(true, Relaxed);
            return Err(error);
        }
        Ok(())
    }

    /// Reads what is new. A set that is another one, or has forgotten something, is read from the beginning, and what is
    /// known here is written into it: a store that was lost is whole again after a moment.
    async fn read_on(&mut self, together: &Together) -> Result<(), StoreError> {
        for _ in 0..MOST_PAGES {
            let page = together.commands.revoked_after(self.cursor, &new_name()).await?;
            if page.set != self.set || page.last < self.cursor {
                *self = Self { set: page.set, cursor: 0 };
                together.unsent.store(true, Relaxed);
                continue;
            }
            let now = unix_millis(SystemTime::now());
            for revocation in &page.revocations {
                together.revoked.add(revocation, now);
            }
            self.cursor = page.after;
            if page.revocations.len() < page::MOST_ENTRIES {
                break;
            }
        }
        Ok(())
    }
}

/// Writes all that is known here; what is there already stays as it is.
async fn write_all(together: &Together) -> Result<(), StoreError> {
    let known = together.revoked.all(unix_millis(SystemTime::now()));
    for some in known.chunks(MOST_WRITTEN) {
        together.commands.revoke(some).await?;
    }
    Ok(())
}

/// Nobody has to be kept from guessing it: two of them only have to differ.
fn new_name() -> [u8; NAME_LENGTH] {
    let mut name = [0; NAME_LENGTH];
    name.fill_with(|| fastrand::u8(b'a'..=b'z'));
    name
}
