//! Bodies into HTTP/2 streams, within the peer's window.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::http::body::stall::StallTimeout;
use crate::http::body::{Body, BodyError};

/// Sends a body to its end. When the body breaks, or the peer does not open its window during `unread`, the stream is
/// reset, so that the peer never takes a part for the whole (SECURITY-CASES F-14).
///
/// # Errors
/// [`BodyError`] of the body, or of the stream when the peer gave it up.
pub(crate) async fn send_body(
    body: &mut Body,
    stream: &mut SendStream<Bytes>,
    unread: Duration,
) -> Result<(), BodyError> {
    let sent = send_frames(body, stream, StallTimeout::after(unread)).await;
    match &sent {
        // The peer has answered and wants no more of it (RFC 9113 §8.1); a reset of ours would take the answer away.
        Err(BodyError::Http2(error)) if error.reason() == Some(Reason::NO_ERROR) => return Ok(()),
        Err(error) => {
            if matches!(error, BodyError::Stalled(_)) {
                body.unread();
            }
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Ok(()) => {}
    }
    sent
}

async fn send_frames(
    body: &mut Body,
    stream: &mut SendStream<Bytes>,
    mut stall: StallTimeout,
) -> Result<(), BodyError> {
    while let Some(frame) = next_frame(body, stream).await? {
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(stream, data, last, &mut stall).await?;
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    stream.send_trailers(trailers)?;
                    return Ok(());
                }
            }
        }
    }
    stream.send_data(Bytes::new(), true)?;
    Ok(())
}

/// The next frame of the body, or the error of a stream that the peer resets meanwhile.
async fn next_frame(
    body: &mut Body,
    stream: &mut SendStream<Bytes>,
) -> Result<Option<http_body::Frame<Bytes>>, BodyError> {
    poll_fn(|cx| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame.transpose());
        }
        match stream.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => Poll::Ready(Err(h2::Error::from(reason).into())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Sends bytes in pieces as the window opens. `last` ends the stream.
async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
    stall: &mut StallTimeout,
) -> Result<(), BodyError> {
    if data.is_empty() && last {
        // The end of a stream needs no room: its last message may be an empty DATA frame.
        return Ok(stream.send_data(data, true)?);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| match poll_room(stream, cx) {
            Poll::Ready(room) => Poll::Ready(room.map_err(BodyError::from)),
            Poll::Pending => stall.poll_over(cx).map(|limit| Err(BodyError::Stalled(limit))),
        });
        let room = room.await?.min(data.len());
        stall.note_progress();
        let piece = data.split_to(room);
        stream.send_data(piece, last && data.is_empty())?;
    }
    Ok(())
}

/// The bytes that may be sent now, once there are any. `poll_capacity` tells only of *new* room, so
/// what is left of an earlier reservation is looked at first.
pub(crate) fn poll_room(
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match ready!(stream.poll_capacity(cx)) {
            Some(room) => {
                room?;
            }
            None => return Poll::Ready(Err(Reason::CANCEL.into())),
        }
    }
}
