//! Interim answers (1xx, RFC 9110 §15.2), on their way from the app or server to the client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

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
    /// The task that answers the request.
    reader: AtomicWaker,
}

impl InterimSender {
    /// For a client that understands them; the default is one that does not.
    pub(crate) fn accepting() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether the client accepts them.
    pub(crate) fn are_accepted(&self) -> bool {
        self.0.is_some()
    }

    /// Passes one on, without the fields that are not for the client. One whose head exceeds the limits is dropped.
    pub(crate) fn pass(&self, status: StatusCode, mut headers: HeaderMap, limits: HeadLimits) {
        let Some(queue) = &self.0 else { return };
        let mut waiting = queue.waiting.lock();
        if waiting.len() < usize::from(MAX_INTERIM) && answer::admit_interim(&mut headers, limits) {
            waiting.push_back(InterimResponse { status, headers });
            drop(waiting);
            queue.reader.wake();
        }
    }

    /// Takes those that have arrived.
    pub(crate) fn drain(&self) -> impl Iterator<Item = InterimResponse> + '_ {
        let queue = self.0.as_ref();
        std::iter::from_fn(move || queue?.waiting.lock().pop_front())
    }

    /// Ready with the next one; pending for ever where the client accepts none.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<InterimResponse> {
        let Some(queue) = &self.0 else { return Poll::Pending };
        // Registered before the look, so that one which arrives between the two is not missed.
        queue.reader.register(cx.waker());
        self.drain().next().map_or(Poll::Pending, Poll::Ready)
    }
}
