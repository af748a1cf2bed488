//! The one body type: its bytes from any source, its deadline, and the guards that last as long as it does.

mod beginning;
pub mod decoded;
mod failure;
mod guard;
mod replay;
pub(crate) mod stall;
mod tap;

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::http::body::stall::StallTimeout;
use crate::http::gate::HeadLimits;
use crate::http::headers::{self, TrailerKind};
use crate::http::interim::InterimSender;
use crate::http::shared_connection::StreamCount;
use crate::limits::Limits;
pub(crate) use beginning::BodyBeginning;
use beginning::ReadAhead;
pub use failure::{BodyError, BodyFailure, BodyWatch};
pub use guard::BodyGuard;
use guard::GuardList;
use replay::ReplayReader;
pub(crate) use replay::ReplayableBody;
pub use tap::BodyInspector;
use tap::BodyTap;

/// A message body in transit. Bytes are forwarded as they arrive, never collected.
pub struct Body {
    source: BodySource,
    stall: Option<StallTimeout>,
    /// When it must have ended.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Observers that learn how it ends, or may cut it.
    guards: GuardList,
    /// Inspects its beginning.
    tap: Option<BodyTap>,
    /// How many bytes may still pass.
    left: Option<u64>,
    /// Which trailers may pass.
    trailers: TrailerKind,
    /// How large they may be.
    head: HeadLimits,
    /// Records the failure of a request's body.
    watch: BodyWatch,
    /// The failure of the body of the request that this body answers.
    request: BodyWatch,
    /// Sends interim answers to the client, where this is a request's body.
    interims: InterimSender,
}

enum BodySource {
    Empty,
    Buffered(Option<Bytes>),
    Http1(Incoming),
    /// With the count of open streams of its connection.
    Http2(RecvStream, Option<StreamCount>),
    /// One attempt's view of a body that may be sent again.
    Replayed(ReplayReader),
    /// A body whose beginning was read before it is forwarded.
    ReadAhead(Box<ReadAhead>),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(BodySource::Empty)
    }

    /// A body whose bytes are all in memory.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(BodySource::Buffered(Some(bytes.into())))
    }

    /// The body of an HTTP/1.1 message.
    #[must_use]
    pub fn http1(incoming: Incoming) -> Self {
        Self::of(BodySource::Http1(incoming))
    }

    /// The body of an HTTP/2 message.
    #[must_use]
    pub fn http2(stream: RecvStream) -> Self {
        if stream.is_end_stream() {
            return Self::empty();
        }
        Self::of(BodySource::Http2(stream, None))
    }

    fn of(source: BodySource) -> Self {
        Self {
            source,
            stall: None,
            deadline: None,
            guards: GuardList::default(),
            tap: None,
            left: None,
            trailers: TrailerKind::Http,
            head: HeadLimits::default(),
            watch: BodyWatch::default(),
            request: BodyWatch::default(),
            interims: InterimSender::default(),
        }
    }

    /// Ends the body with an error when no byte arrives for too long, and lets pass the trailers that this kind of
    /// message may have. A body with a known length has a shorter limit than one that is a stream, which may pause.
    #[must_use]
    pub fn within(mut self, limits: &Limits, of: TrailerKind) -> Self {
        if matches!(self.source, BodySource::Http1(_) | BodySource::Http2(..)) {
            let known = self.size_hint().exact().is_some();
            let limit = if known { limits.body_stall_timeout } else { limits.idle_timeout };
            self.stall = Some(StallTimeout::after(limit));
        }
        self.trailers = of;
        self.head = HeadLimits::of(limits);
        self
    }

    /// Ends the body with an error when it has not ended at `deadline`.
    #[must_use]
    pub(crate) fn until(mut self, deadline: Instant) -> Self {
        if !self.is_end_stream() {
            self.deadline = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
        self
    }

    /// Ends the body with an error when it has more than `most` bytes; of what is beyond nothing passes.
    pub(crate) fn limit(&mut self, most: u64) {
        self.left = Some(most);
    }

    /// Adds a guard after the existing ones.
    #[must_use]
    pub fn with_guard(mut self, guard: Box<dyn BodyGuard>) -> Self {
        self.guards.add(guard);
        self
    }

    /// As [`Self::with_guard`], for a guard that only needs the end: where the end has already been read, it is called
    /// at once.
    #[must_use]
    pub fn until_read(self, guard: Box<dyn BodyGuard>) -> Self {
        if self.is_end_stream() {
            guard.ended();
            return self;
        }
        self.with_guard(guard)
    }

    /// Shows the first `most` bytes of the body to an inspector, as they pass. A body has one.
    ///
    /// # Errors
    /// The inspector, where the body has another: neither of two filters may switch the other off.
    pub fn inspect(
        &mut self,
        most: usize,
        inspector: Box<dyn BodyInspector>,
    ) -> Result<(), Box<dyn BodyInspector>> {
        match self.tap {
            Some(_) => Err(inspector),
            None => {
                self.tap = Some(BodyTap::new(most, inspector));
                Ok(())
            }
        }
    }

    /// Returns a watch that records the failure of this body, wherever it is read.
    #[must_use]
    pub fn watch_failure(&mut self) -> BodyWatch {
        if !self.is_end_stream() {
            self.watch = BodyWatch::begin();
        }
        self.watch.clone()
    }

    /// Marks this body as the answer to a request with a body: when the request's body failed, this one's failure is
    /// the client's fault.
    #[must_use]
    pub(crate) fn answers(mut self, request: BodyWatch) -> Self {
        self.request = request;
        self
    }

    /// Sets where interim answers go to the request of which this is the body.
    #[must_use]
    pub(crate) fn with_interims(mut self, interims: InterimSender) -> Self {
        self.interims = interims;
        self
    }

    /// Where interim answers to the request go.
    pub(crate) fn interims(&self) -> &InterimSender {
        &self.interims
    }

    /// Counts the stream as under way until the body has failed or is dropped; at once no more where it has ended already.
    #[must_use]
    pub(crate) fn with_stream(mut self, count: StreamCount) -> Self {
        if let BodySource::Http2(_, counted) = &mut self.source {
            *counted = Some(count);
        }
        self
    }

    /// Whether there is nothing to send, not even trailers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_end_stream()
    }

    /// A frame as it may pass: trailers without the forbidden fields, data as the tap allows it.
    fn hand_on(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let frame = match frame.into_trailers() {
            Ok(trailers) if !self.head.within_limits(&trailers) => {
                return Err(BodyError::TrailersTooLarge);
            }
            Ok(mut trailers) => {
                headers::filter_trailers(&mut trailers, self.trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        };
        if let Some(data) = frame.data_ref() {
            if let Some(left) = &mut self.left {
                let left_then = left.checked_sub(data.len() as u64);
                *left = left_then.ok_or(BodyError::TooLarge)?;
            }
            if let Some(tap) = &mut self.tap {
                tap.see(data)?;
            }
        }
        self.guards.each_mut().for_each(|guard| guard.passed(&frame));
        Ok(frame)
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        match &mut self.stall {
            Some(stall) => stall.poll_over(cx),
            None => Poll::Pending,
        }
    }

    fn note_progress(&mut self) {
        if let Some(stall) = &mut self.stall {
            stall.note_progress();
        }
    }

    /// Reports that the reader has read none of it for too long.
    pub(crate) fn unread(&mut self) {
        self.guards.each_mut().for_each(|guard| guard.unread());
        if let BodySource::Replayed(reader) = &mut self.source {
            reader.unread();
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        let kind = error.kind();
        self.watch.report_failure(kind);
        let request = self.request.broken();
        self.guards.fail(kind, request);
        self.source = BodySource::Empty;
        error
    }
}

impl BodySource {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Buffered(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Http1(incoming) => Pin::new(incoming)
                .poll_frame(cx)
                .map(|frame| frame.map(|f| f.map_err(BodyError::from))),
            Self::Http2(stream, _) => {
                poll_http2(stream, cx).map(|frame| frame.map(|f| f.map_err(BodyError::from)))
            }
            Self::Replayed(reader) => reader.poll_frame(cx),
            Self::ReadAhead(ahead) => ahead.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Buffered(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(stream, _) => stream.is_end_stream(),
            Self::Replayed(reader) => reader.is_end_stream(),
            Self::ReadAhead(ahead) => ahead.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Buffered(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(..) => SizeHint::default(),
            Self::Replayed(reader) => reader.size_hint(),
            Self::ReadAhead(ahead) => ahead.size_hint(),
        }
    }
}

fn poll_http2(
    stream: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
    match ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // The data that is forwarded is bounded by the next hop's window, so this window may open again.
            let _ = stream.flow_control().release_capacity(data.len());
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
        // Also NO_ERROR: it is a good end only after END_STREAM (RFC 9113 §8.1), and then it does not show up here.
        Some(Err(e)) => Poll::Ready(Some(Err(e))),
        None => match ready!(stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(e) => Poll::Ready(Some(Err(e))),
        },
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        // Checked for each frame: for a body that always has a byte ready, a check only while waiting would never
        // happen.
        if this.guards.each().any(BodyGuard::is_refused) {
            return Poll::Ready(Some(Err(this.fail(BodyError::Withdrawn))));
        }
        if this.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Some(Err(this.fail(BodyError::DeadlineExceeded))));
        }
        match this.source.poll(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.note_progress();
                Poll::Ready(Some(this.hand_on(frame).map_err(|error| this.fail(error))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.fail(error)))),
            Poll::Ready(None) => {
                this.guards.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if this.guards.each().any(|guard| guard.poll_refused(cx).is_ready()) {
                    return Poll::Ready(Some(Err(this.fail(BodyError::Withdrawn))));
                }
                let limit = ready!(this.poll_stall(cx));
                Poll::Ready(Some(Err(this.fail(BodyError::Stalled(limit)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.guards.end();
        } else {
            self.guards.each_mut().for_each(|guard| guard.abandoned());
        }
    }
}

#[cfg(test)]
mod tests;
