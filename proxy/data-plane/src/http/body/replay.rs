//! A request's body that can be sent more than once: what has been read of it is kept, up to a limit, so that another
//! attempt begins with the same bytes and goes on where the first one stopped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{Body, BodyError, BodySource};
use crate::http::interim::InterimSender;

/// The most pieces of a body that are kept: each costs some memory of its own.
const MOST_PIECES: usize = 1024;

/// A body that has not been answered yet. Each attempt gets a [`Body`] of its own; only the newest one may read on.
///
/// Dropping it ends the keeping: the newest attempt goes on without a copy.
pub(crate) struct ReplayableBody {
    kept: Arc<Mutex<KeptBody>>,
    interims: InterimSender,
}

struct KeptBody {
    /// The client's body: what nobody has read yet.
    rest: Body,
    /// The data that was read, in order; shared with what was sent, not copied. After the end of the keeping: what the
    /// newest attempt has not had yet.
    read: SmallVec<[Bytes; 1]>,
    /// How many pieces were there before those in `read`.
    forgotten: usize,
    /// How many pieces the newest attempt has had.
    given: usize,
    /// The task that reads for the newest attempt; woken when another takes over.
    reader: Option<Waker>,
    /// The trailers that were read.
    trailers: Option<HeaderMap>,
    /// Bytes in `read`.
    bytes: usize,
    /// The most bytes that are kept.
    most: usize,
    /// The attempt that may read.
    attempt: u32,
    /// Whether another attempt could begin: nothing was given up and nothing has failed.
    complete: bool,
}

/// One attempt's view of the body.
pub(super) struct ReplayReader {
    kept: Arc<Mutex<KeptBody>>,
    attempt: u32,
    trailers_given: bool,
}

impl ReplayableBody {
    /// Keeps up to `most` bytes of what is read of `body`.
    pub(crate) fn new(body: Body, most: usize) -> Self {
        let interims = body.interims().clone();
        let kept = KeptBody {
            complete: !exceeds(&body, most),
            rest: body,
            read: SmallVec::new(),
            forgotten: 0,
            given: 0,
            reader: None,
            trailers: None,
            bytes: 0,
            most,
            attempt: 0,
        };
        Self { kept: Arc::new(Mutex::new(kept)), interims }
    }

    /// Whether [`Self::attempt`] would still give the whole body.
    pub(crate) fn is_complete(&self) -> bool {
        self.kept.lock().complete
    }

    /// The body from its beginning, for one more attempt; an earlier attempt reads nothing any more. Gives the whole body
    /// only while [`Self::is_complete`].
    pub(crate) fn attempt(&self) -> Body {
        let mut kept = self.kept.lock();
        kept.attempt += 1;
        kept.given = 0;
        let before = kept.reader.take();
        let reader =
            ReplayReader { kept: self.kept.clone(), attempt: kept.attempt, trailers_given: false };
        drop(kept);
        // It learns that it reads nothing any more.
        before.into_iter().for_each(Waker::wake);
        Body::of(BodySource::Replayed(reader)).with_interims(self.interims.clone())
    }

    /// All bytes of the body, where it has been read to its end and was kept: for a copy of the request.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let kept = self.kept.lock();
        if !kept.complete || !kept.rest.is_end_stream() {
            return None;
        }
        match kept.read.as_slice() {
            [] => Some(Bytes::new()),
            [one] => Some(one.clone()),
            many => Some(many.concat().into()),
        }
    }
}

impl Drop for ReplayableBody {
    fn drop(&mut self) {
        self.kept.lock().give_up();
    }
}

/// Whether a body is known to be larger than what would be kept of it.
fn exceeds(body: &Body, most: usize) -> bool {
    body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX)
}

impl KeptBody {
    /// Keeps nothing any more, but what the newest attempt has not had yet.
    fn give_up(&mut self) {
        self.complete = false;
        let had = self.given.saturating_sub(self.forgotten).min(self.read.len());
        self.read.drain(..had);
        self.forgotten += had;
    }

    /// The piece after those that the newest attempt has had.
    fn next(&mut self) -> Option<Bytes> {
        let piece = self.read.get(self.given.checked_sub(self.forgotten)?).cloned()?;
        self.given += 1;
        if !self.complete {
            self.give_up();
        }
        Some(piece)
    }

    fn wait_for(&mut self, cx: &Context<'_>) {
        match &mut self.reader {
            Some(known) => known.clone_from(cx.waker()),
            None => self.reader = Some(cx.waker().clone()),
        }
    }

    fn keep(&mut self, data: &Bytes) {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > self.most || self.read.len() >= MOST_PIECES {
            self.give_up();
        }
        if self.complete && !data.is_empty() {
            self.read.push(data.clone());
            self.given += 1;
        }
    }
}

impl ReplayReader {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut kept = self.kept.lock();
        if kept.attempt != self.attempt {
            return Poll::Ready(Some(Err(BodyError::Superseded)));
        }
        if let Some(data) = kept.next() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = kept.trailers.clone() {
            let given = std::mem::replace(&mut self.trailers_given, true);
            return Poll::Ready((!given).then(|| Ok(Frame::trailers(trailers))));
        }
        let Poll::Ready(frame) = Pin::new(&mut kept.rest).poll_frame(cx) else {
            kept.wait_for(cx);
            return Poll::Pending;
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                kept.give_up();
                return Poll::Ready(Some(Err(error)));
            }
            None => return Poll::Ready(None),
        };
        if let Some(data) = frame.data_ref() {
            kept.keep(data);
        } else if let Some(trailers) = frame.trailers_ref() {
            kept.trailers = Some(trailers.clone());
            self.trailers_given = true;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let kept = self.kept.lock();
        kept.given >= kept.forgotten + kept.read.len()
            && kept.rest.is_end_stream()
            && (self.trailers_given || kept.trailers.is_none())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let kept = self.kept.lock();
        let had = kept.given.saturating_sub(kept.forgotten);
        let ahead: usize = kept.read.iter().skip(had).map(Bytes::len).sum();
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        let rest = kept.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }

    /// Reports that the reader has read none of it for too long.
    pub(super) fn unread(&mut self) {
        self.kept.lock().rest.unread();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;

    use super::*;

    /// A body of these bytes and, at its end, nothing or trailers.
    fn body(bytes: &'static str) -> Body {
        Body::from_bytes(bytes)
    }

    /// The next frame's data; `None` at the end.
    fn next(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
        let frame = body.frame().now_or_never().unwrap()?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    #[test]
    fn another_attempt_begins_with_the_same_bytes() {
        let replayable = ReplayableBody::new(body("an order"), 64);
        let mut first = replayable.attempt();
        assert_eq!(next(&mut first).unwrap().unwrap(), "an order");
        assert!(next(&mut first).is_none() && replayable.is_complete());
        let mut second = replayable.attempt();
        assert_eq!(second.size_hint().exact(), Some(8));
        assert_eq!(next(&mut second).unwrap().unwrap(), "an order");
        assert!(second.is_end_stream() && next(&mut second).is_none());
        assert_eq!(replayable.whole().unwrap(), "an order");
    }

    #[test]
    fn an_attempt_that_another_has_replaced_reads_nothing() {
        let replayable = ReplayableBody::new(body("an order"), 64);
        let (mut first, mut second) = (replayable.attempt(), replayable.attempt());
        assert!(matches!(next(&mut first), Some(Err(BodyError::Superseded))));
        assert_eq!(next(&mut second).unwrap().unwrap(), "an order");
    }

    #[test]
    fn a_larger_body_passes_and_is_not_kept() {
        for (name, most, kept) in [("as large", 8, true), ("larger", 7, false)] {
            let replayable = ReplayableBody::new(body("an order"), most);
            assert_eq!(replayable.is_complete(), kept, "{name}");
            let mut only = replayable.attempt();
            assert_eq!(next(&mut only).unwrap().unwrap(), "an order", "{name}");
            assert_eq!(replayable.is_complete(), kept, "{name}");
            assert_eq!(replayable.whole().is_some(), kept, "{name}");
        }
    }

    #[test]
    fn nothing_is_kept_once_the_answer_is_there() {
        let replayable = ReplayableBody::new(body("an order"), 64);
        let mut only = replayable.attempt();
        let kept = replayable.kept.clone();
        drop(replayable);
        assert_eq!(next(&mut only).unwrap().unwrap(), "an order");
        assert!(kept.lock().read.is_empty());
    }

    #[test]
    fn what_was_kept_is_let_go_with_the_answer() {
        let replayable = ReplayableBody::new(body("an order"), 64);
        let mut only = replayable.attempt();
        assert_eq!(next(&mut only).unwrap().unwrap(), "an order");
        let kept = replayable.kept.clone();
        assert_eq!(kept.lock().read.len(), 1);
        drop(replayable);
        assert!(kept.lock().read.is_empty() && only.is_end_stream());
    }

    #[test]
    fn what_the_newest_attempt_has_not_had_stays_for_it() {
        let replayable = ReplayableBody::new(body("an order"), 64);
        let mut first = replayable.attempt();
        assert_eq!(next(&mut first).unwrap().unwrap(), "an order");
        let mut second = replayable.attempt();
        drop(replayable);
        assert_eq!(next(&mut second).unwrap().unwrap(), "an order");
        assert!(second.is_end_stream() && next(&mut second).is_none());
    }
}
