//! Copies opaque bytes in both directions, each half closed on its own.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

use crate::clock::unix_now;
use crate::connection::net::StreamAborter;
use crate::connection::registry::Connection;
use crate::labels::CloseReason;

/// The buffer of one direction. Larger ones help only bulk transfers, smaller ones save idle memory.
const BUFFER: usize = 16 * 1024;

/// Copies until both directions have ended, the connection is asked to close, or either side breaks: then the other
/// side sees a reset and never a clean end (SECURITY-CASES F-14).
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
            // The mesh connection may have been cut before the notification arrived here.
            let cut = connection.closing().filter(|reason| !reason.is_graceful());
            cut.unwrap_or_else(|| match connection.has_expired(unix_now()) {
                // The other side cuts at the same second.
                true => CloseReason::CertificateEnded,
                false => cut_reason(&error),
            })
        }
    }
}

/// Opaque bytes have no point at which they could end gracefully, so only an abort cuts them: not a drain, but its
/// deadline; not the approaching end of a certificate, but the end itself.
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
