//! Looking again until something has come to be.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until `look` finds something; `None` when it has not within `patience`.
///
/// # Errors
/// What `look` says; looking ends there.
pub(crate) fn until<T>(
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look()?;
        if found.is_some() || Instant::now() > deadline {
            return Ok(found);
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program serves nobody while it waits for other processes"
)]
fn pause() {
    std::thread::sleep(LOOK);
}
