//! Interim answers (1xx, RFC 9110 §15.2), on their way from whoever is asked to whoever asked.

use std::collections::VecDeque;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::http::gate::HeadLimits;
use crate::http::gate::answer;
use crate::http::gate::raw::MAX_INTERIM;

/// One interim answer.
#[derive(Debug)]
pub(crate) struct InterimResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// Takes the interim answers to one request to the connection that it came on. It goes along with the
/// request's body.
#[derive(Debug, Clone, Default)]
pub(crate) struct InterimSender(Option<Arc<InterimQueue>>);

#[derive(Debug, Default)]
struct InterimQueue {
    waiting: Mutex<VecDeque<InterimResponse>>,
    more: Notify,
}

impl InterimSender {
    /// For a client that understands them; the default is one that does not.
    pub(crate) fn accepting() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether anybody hears them.
    pub(crate) fn are_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Passes one on, without what is not for the caller. One whose head is beyond the limits is not.
    pub(crate) fn pass(&self, status: StatusCode, mut headers: HeaderMap, limits: HeadLimits) {
        let Some(queue) = &self.0 else { return };
        let mut waiting = queue.waiting.lock();
        if waiting.len() < usize::from(MAX_INTERIM) && answer::admit_interim(&mut headers, limits) {
            waiting.push_back(InterimResponse { status, headers });
            queue.more.notify_one();
        }
    }

    /// Those that are there.
    pub(crate) fn drain(&self) -> impl Iterator<Item = InterimResponse> + '_ {
        let queue = self.0.as_ref();
        std::iter::from_fn(move || queue?.waiting.lock().pop_front())
    }

    /// Waits for the next one.
    pub(crate) async fn next(&self) -> InterimResponse {
        let Some(queue) = &self.0 else { return std::future::pending().await };
        loop {
            if let Some(interim) = self.drain().next() {
                return interim;
            }
            queue.more.notified().await;
        }
    }
}
