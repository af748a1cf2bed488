//! A request to switch protocols: its answer, and after `101 Switching Protocols` the bytes of both
//! connections until either ends.

use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

use crate::connection::net::{Io, StreamAborter};
use crate::connection::registry::Connection;
use crate::http::body::Body;
use crate::http::error::RequestError;
use crate::http::headers::{self, TrailerKind};
use crate::labels::CloseReason;
use crate::limits::Limits;
use crate::traffic::opaque;
use crate::traffic::record::RequestRecord;

/// An upgrade as the library announces it with a request, and what decides how its connection ends. When it is never taken,
/// the dropped value receives the connection and ends it gracefully, with TLS close_notify, so that the client can tell the
/// end from a cut.
pub(crate) struct AnnouncedUpgrade(Option<OnUpgrade>, Option<StreamAborter>);

impl AnnouncedUpgrade {
    /// Takes the announcement from a request.
    pub(crate) fn of(parts: &mut Parts) -> Self {
        Self(parts.extensions.remove(), parts.extensions.remove())
    }

    /// Whether the request announces an upgrade.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    fn take(mut self) -> Option<(OnUpgrade, StreamAborter)> {
        Some((self.0.take()?, self.1.take().unwrap_or_default()))
    }
}

impl Drop for AnnouncedUpgrade {
    fn drop(&mut self) {
        let Some(unused) = self.0.take() else { return };
        tokio::spawn(async move {
            if let Ok(io) = unused.await {
                // The client may have closed first.
                let _ = TokioIo::new(io).shutdown().await;
            }
        });
    }
}

/// The answer for the client, and, when the other side has switched, the task that copies the bytes until they end. Any
/// other answer ends the connection. Both are cut when policy refuses the request meanwhile.
pub(crate) fn finish_upgrade(
    answered: Result<Response<Body>, RequestError>,
    client: Option<AnnouncedUpgrade>,
    mut record: Box<RequestRecord>,
    connection: Arc<Connection>,
    limits: &Limits,
) -> (Response<Body>, Option<JoinHandle<CloseReason>>) {
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => {
            record.refused(&error);
            let mut response = error.response(false);
            record.complete_head(response.headers_mut());
            return (response.map(|body| body.with_guard(record)), None);
        }
    };
    record.answered(&response);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::strip_hop_by_hop(response.headers_mut());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        record.complete_head(response.headers_mut());
        let of = TrailerKind::of(response.headers());
        let response = response.map(|body| body.within(limits, of).with_guard(record));
        return (response, None);
    }
    let upstream = hyper::upgrade::on(&mut response);
    headers::keep_upgrade_only(response.headers_mut());
    record.complete_head(response.headers_mut());
    let client = client.and_then(AnnouncedUpgrade::take);
    let carried =
        client.map(|client| tokio::spawn(copy_until_end(client, upstream, record, connection)));
    (response.map(|_| Body::empty()), carried)
}

/// The bytes after the switch.
impl Io for TokioIo<Upgraded> {}

async fn copy_until_end(
    (client, aborter): (OnUpgrade, StreamAborter),
    upstream: OnUpgrade,
    mut record: Box<RequestRecord>,
    connection: Arc<Connection>,
) -> CloseReason {
    let Ok((client, upstream)) = tokio::try_join!(client, upstream) else {
        return CloseReason::Error;
    };
    connection.allow_idle();
    let (client, upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let withdrawn = async {
        record.withdrawn().await;
        // Before the connection is closed, which the end of the other branch does.
        aborter.abort();
    };
    let aborters = std::slice::from_ref(&aborter);
    let reason = tokio::select! {
        reason = opaque::copy_both_ways(client, upstream, &connection, aborters) => reason,
        () = withdrawn => CloseReason::Policy,
    };
    if reason != CloseReason::Done {
        record.failed(reason.as_str());
    }
    reason
}
