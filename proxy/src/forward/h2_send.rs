//! Bodies into HTTP/2 streams, within the peer's window.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use crate::forward::body::{Body, BodyError};

/// Sends a body to its end. When the body breaks, the stream is reset, so that the peer never
/// takes a part for the whole (SECURITY-CASES F-14).
///
/// # Errors
/// [`BodyError`] of the body, or of the stream when the peer gave it up.
pub(crate) async fn send_body(
    mut body: Body,
    mut stream: SendStream<Bytes>,
) -> Result<(), BodyError> {
    let sent = send_frames(&mut body, &mut stream).await;
    if sent.is_err() {
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
    sent
}

async fn send_frames(body: &mut Body, stream: &mut SendStream<Bytes>) -> Result<(), BodyError> {
    while let Some(frame) = next_frame(body, stream).await? {
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send_data(stream, data, last).await?;
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
pub(crate) async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    last: bool,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|cx| poll_room(stream, cx)).await?.min(data.len());
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
