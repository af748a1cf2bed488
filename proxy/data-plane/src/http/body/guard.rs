//! Guards that last as long as a body: they learn how it ends, or may cut it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use smallvec::SmallVec;

use super::failure::BodyFailure;

/// Lasts as long as a body and learns how it ends: by `ended` where its end was handed on, and else by being dropped, after
/// `failed` or `abandoned`.
///
/// Guards of a body act in the order in which they were added: the one that returns a connection to its pool is added
/// before the one that writes the record of the exchange.
pub trait BodyGuard: Send {
    /// Whether nothing more of the body may pass. Called before each frame.
    fn is_refused(&self) -> bool {
        false
    }

    /// Ready once nothing more of the body may pass. Polled while the body waits.
    fn poll_refused(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// A frame was forwarded.
    fn passed(&mut self, _frame: &Frame<Bytes>) {}

    /// The body fails before its end. `request` is the failure of the request's body that it answers, if there was one.
    fn failed(&mut self, _failure: BodyFailure, _request: Option<BodyFailure>) {}

    /// The reader of the body has read none of it for too long.
    fn unread(&mut self) {}

    /// The body is dropped before its end, because nobody reads it any more.
    fn abandoned(&mut self) {}

    /// The end was forwarded.
    fn ended(self: Box<Self>) {}
}

/// The guards of a body, in order. Most bodies have a record and a connection lease: for these nothing is allocated.
#[derive(Default)]
pub(super) struct GuardList(SmallVec<[Box<dyn BodyGuard>; 2]>);

impl GuardList {
    /// Adds a guard after the others.
    pub(super) fn add(&mut self, guard: Box<dyn BodyGuard>) {
        self.0.push(guard);
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &dyn BodyGuard> {
        self.0.iter().map(Box::as_ref)
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn BodyGuard>> {
        self.0.iter_mut()
    }

    /// Tells all of them, in order, that the body breaks, and lets go of them.
    pub(super) fn fail(&mut self, failure: BodyFailure, request: Option<BodyFailure>) {
        self.0.iter_mut().for_each(|guard| guard.failed(failure, request));
        self.0.clear();
    }

    /// Tells all of them, in order, that the end was handed on.
    pub(super) fn end(&mut self) {
        self.0.drain(..).for_each(BodyGuard::ended);
    }
}
