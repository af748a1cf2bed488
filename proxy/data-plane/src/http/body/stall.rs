//! A deadline for what makes no progress.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline that is armed only while waiting, and restarts with each progress.
pub(crate) struct StallTimeout {
    limit: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl StallTimeout {
    /// A deadline that is not armed yet.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { limit, sleep: None }
    }

    /// Arms the deadline while waiting. Ready with the limit once there was no progress for that long.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(limit)
    }

    /// There was progress.
    pub(crate) fn note_progress(&mut self) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(Instant::now() + self.limit);
        }
    }
}
