//! The beginning of a request's body, read before the request is forwarded: who inspects it sees bytes, and the app gets
//! them afterwards as if nobody had read them.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::{Body, BodyError, BodyFailure, BodySource};

/// What was read of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyBeginning {
    /// Its first bytes, at most as many as were asked for.
    pub(crate) bytes: Bytes,
    /// Whether there are no others.
    pub(crate) complete: bool,
}

/// A body of which the beginning is in memory. Bytes lie together, however small the pieces were that they came in: a
/// client does not decide what a byte of it costs.
pub(super) struct ReadAhead {
    read: Bytes,
    trailers: Option<HeaderMap>,
    ended: bool,
    rest: BodySource,
}

impl Body {
    /// Reads the first `most` bytes, or all where there are fewer, until `deadline`. They are forwarded first; what is
    /// asked for once more is not read once more.
    ///
    /// # Errors
    /// How the body failed: it broke off, stood still, or its beginning had not come at `deadline`.
    pub(crate) async fn read_beginning(
        &mut self,
        most: usize,
        deadline: Instant,
    ) -> Result<BodyBeginning, BodyFailure> {
        self.read_beginning_or(most, deadline, Err(BodyError::DeadlineExceeded)).await
    }

    /// As [`Self::read_beginning`], but a body that is late is none that fails: what has come by `deadline` is told, as
    /// incomplete, and the whole is forwarded.
    ///
    /// # Errors
    /// It broke off, or stood still.
    pub(crate) async fn read_what_comes(
        &mut self,
        most: usize,
        deadline: Instant,
    ) -> Result<BodyBeginning, BodyFailure> {
        self.read_beginning_or(most, deadline, Ok(())).await
    }

    async fn read_beginning_or(
        &mut self,
        most: usize,
        deadline: Instant,
        late: Result<(), BodyError>,
    ) -> Result<BodyBeginning, BodyFailure> {
        let read = async {
            // One byte more tells whether it is complete.
            while self.read_ahead().is_some_and(|ahead| !ahead.ended && ahead.read.len() <= most) {
                poll_fn(|cx| self.poll_ahead(cx)).await?;
            }
            Ok(())
        };
        let read: Result<(), BodyError> = tokio::select! {
            biased;
            read = read => read,
            () = tokio::time::sleep_until(deadline) => late,
        };
        if let Err(error) = read {
            let kind = error.kind();
            self.fail(error);
            return Err(kind);
        }
        Ok(match &self.source {
            BodySource::ReadAhead(ahead) => BodyBeginning {
                bytes: ahead.read.slice(..most.min(ahead.read.len())),
                complete: ahead.ended && ahead.read.len() <= most,
            },
            _ => BodyBeginning { bytes: Bytes::new(), complete: true },
        })
    }

    /// The part that is in memory; `None` where there is no body.
    fn read_ahead(&mut self) -> Option<&mut ReadAhead> {
        if matches!(self.source, BodySource::Empty) {
            return None;
        }
        if !matches!(self.source, BodySource::ReadAhead(_)) {
            let rest = std::mem::replace(&mut self.source, BodySource::Empty);
            let ahead = ReadAhead { read: Bytes::new(), trailers: None, ended: false, rest };
            self.source = BodySource::ReadAhead(Box::new(ahead));
        }
        match &mut self.source {
            BodySource::ReadAhead(ahead) => Some(ahead),
            _ => None,
        }
    }

    /// Reads one more frame.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let BodySource::ReadAhead(ahead) = &mut self.source else { return Poll::Ready(Ok(())) };
        let Poll::Ready(frame) = ahead.rest.poll(cx) else {
            let limit = ready!(self.poll_stall(cx));
            return Poll::Ready(Err(BodyError::Stalled(limit)));
        };
        match frame {
            Some(frame) => ahead.keep(frame?),
            None => ahead.ended = true,
        }
        self.note_progress();
        Poll::Ready(Ok(()))
    }
}

impl ReadAhead {
    fn keep(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) if self.read.is_empty() => self.read = data,
            Ok(data) => {
                let read = std::mem::take(&mut self.read);
                let mut together =
                    read.try_into_mut().unwrap_or_else(|read| BytesMut::from(&*read));
                together.extend_from_slice(&data);
                self.read = together.freeze();
            }
            Err(frame) => {
                self.trailers = frame.into_trailers().ok();
                self.ended = true;
            }
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.read)))));
        }
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if self.ended { Poll::Ready(None) } else { self.rest.poll(cx) }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && (self.ended || self.rest.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let ahead = self.read.len() as u64;
        let rest = if self.ended { SizeHint::with_exact(0) } else { self.rest.size_hint() };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn whole(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn what_was_read_is_forwarded_as_if_nobody_had_read_it() {
        for (name, most, seen, complete) in [
            ("nothing of it", 0, "", false),
            ("a part", 5, "an or", false),
            ("all but a byte", 7, "an orde", false),
            ("exactly all", 8, "an order", true),
            ("more than there is", 64, "an order", true),
        ] {
            let mut body = Body::from_bytes("an order");
            let beginning = body.read_beginning(most, soon()).await.unwrap();
            assert_eq!(
                (&*beginning.bytes, beginning.complete),
                (seen.as_bytes(), complete),
                "{name}"
            );
            assert!(!body.is_end_stream(), "{name}");
            assert_eq!(body.size_hint().lower(), 8, "{name}");
            assert_eq!(whole(body).await, "an order", "{name}");
        }
    }

    #[tokio::test]
    async fn more_of_it_can_be_asked_for_later() {
        let mut body = Body::from_bytes("an order");
        assert_eq!(body.read_beginning(2, soon()).await.unwrap().bytes, "an");
        assert_eq!(body.read_beginning(64, soon()).await.unwrap().bytes, "an order");
        assert_eq!(body.size_hint().exact(), Some(8));
        assert_eq!(whole(body).await, "an order");
    }

    #[tokio::test]
    async fn no_body_is_complete_at_once() {
        let mut body = Body::empty();
        let beginning = body.read_beginning(64, soon()).await.unwrap();
        assert_eq!(beginning, BodyBeginning { bytes: Bytes::new(), complete: true });
        assert!(body.is_end_stream());
    }

    #[test]
    fn small_pieces_lie_together() {
        let mut ahead =
            ReadAhead { read: Bytes::new(), trailers: None, ended: false, rest: BodySource::Empty };
        (0..1000).for_each(|_| ahead.keep(Frame::data(Bytes::from_static(b"x"))));
        assert_eq!(ahead.read.len(), 1000);
        ahead.keep(Frame::trailers(HeaderMap::new()));
        assert!(ahead.ended && !ahead.is_end_stream());
    }
}
