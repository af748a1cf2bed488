//! Opaque bytes, both directions, each half closed by itself.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

use crate::clock::unix_now;
use crate::connection::net::StreamAborter;
use crate::connection::registry::Connection;
use crate::telemetry::CloseReason;

/// What is read at once, a direction. Larger buffers win only on bulk, smaller ones save idle
/// memory.
const BUFFER: usize = 16 * 1024;

/// Copies until both directions have ended, the connection is asked to close, or either side
/// breaks: then the other sees a reset and never a clean end (SECURITY-CASES F-14).
pub async fn copy_both_ways(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    connection: &Connection,
    aborters: &[StreamAborter],
) -> CloseReason {
    let copied = tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => copied,
        reason = until_cut(connection) => {
            aborters.iter().for_each(StreamAborter::abort);
            return reason;
        }
    };
    match copied {
        Ok(_) => CloseReason::Done,
        Err(error) => {
            aborters.iter().for_each(StreamAborter::abort);
            // What carried the bytes may have been cut before we were told.
            let cut = connection.closing().filter(|reason| !reason.is_graceful());
            cut.unwrap_or_else(|| match connection.has_expired(unix_now()) {
                // The other side cuts at the same second.
                true => CloseReason::CertificateEnded,
                false => cut_reason(&error),
            })
        }
    }
}

/// Opaque bytes have no place where they could end well, so only what cannot wait cuts them: not
/// a drain, whose deadline does, nor the coming end of a certificate, whose end does.
async fn until_cut(connection: &Connection) -> CloseReason {
    loop {
        let reason = connection.asked_to_close().await;
        if !reason.is_graceful() {
            return reason;
        }
    }
}

fn cut_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::TimedOut => CloseReason::Idle,
        _ => CloseReason::Error,
    }
}
