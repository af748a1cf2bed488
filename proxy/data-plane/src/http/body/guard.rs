//! What lasts as long as a body: whoever must know how it ends, or may cut it.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use smallvec::SmallVec;

use super::failure::BodyFailure;

/// Lasts as long as a body and learns how it ends: by `ended` where its end was handed on, and else by being dropped, after
/// `failed` or `abandoned`.
///
/// Guards of a body act in the order in which they were added: what gives a connection back stands before what writes the
/// record of the exchange.
pub trait BodyGuard: Send {
    /// Whether nothing more of the body may pass. Asked before each frame.
    fn is_refused(&self) -> bool {
        false
    }

    /// Ready once nothing more of the body may pass. Asked while the body waits.
    fn poll_refused(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// A frame is handed on.
    fn passed(&mut self, _frame: &Frame<Bytes>) {}

    /// The body breaks before its end. `request` says whether the body of the request that it answers broke, and how.
    fn failed(&mut self, _failure: BodyFailure, _request: Option<BodyFailure>) {}

    /// Whoever the body is for has taken none of it for too long.
    fn unread(&mut self) {}

    /// The body is dropped before its end, which nobody waits for any more.
    fn abandoned(&mut self) {}

    /// The end was handed on.
    fn ended(self: Box<Self>) {}
}

/// The guards of a body, in order. A record and a connection on loan are what most have: for these nothing is allocated.
#[derive(Default)]
pub(super) struct GuardList(SmallVec<[Box<dyn BodyGuard>; 2]>);

impl GuardList {
    /// Adds a guard behind the others.
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
