//! CONNECT streams of a mesh connection (RFC 8441).

use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, StatusCode, Uri};

use crate::error::{OtherEnd, REASON_HEADER, RequestError};
use crate::forward::h2_client::{H2Client, SendError, Slot};
use crate::forward::h2_send::send_data;
use crate::forward::tunnel::Tunnel;

/// The time a peer's first SETTINGS may take before CONNECT streams are refused.
const SETTINGS_WITHIN: Duration = Duration::from_secs(5);

impl H2Client {
    /// Opens a CONNECT stream of a protocol (RFC 8441), and says what it leads to.
    ///
    /// # Errors
    /// The peer's refusal, or [`RequestError`] in the upstream's name.
    pub async fn connect(
        &self,
        authority: &str,
        protocol: &'static str,
    ) -> Result<Tunnel, ConnectError> {
        self.wait_for_connect_support().await?;
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query("/")
            .build()
            .map_err(|_| ConnectError::Unsupported)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Protocol::from_static(protocol));
        let failed = |e: SendError| ConnectError::Request(e.into_error(OtherEnd::Upstream));
        let Slot { mut sender, stream } = self.slot().await.map_err(failed)?;
        let (answer, mut send) =
            sender.send_request(request, false).map_err(|e| failed(self.shared.unsent(e)))?;
        let response = answer.await.map_err(|e| failed(self.shared.unanswered(e)))?;
        if response.status() != StatusCode::OK {
            // Nothing follows; the stream ends cleanly.
            let _ = send_data(&mut send, Bytes::new(), true).await;
            let reason = response.headers().get(REASON_HEADER);
            let reason = reason.and_then(|r| r.to_str().ok()).unwrap_or("refused").to_owned();
            return Err(ConnectError::Refused { status: response.status(), reason });
        }
        Ok(Tunnel::new(send, response.into_body()).with_stream(stream))
    }

    /// A peer says that it takes CONNECT streams in its first SETTINGS, which follow the TLS
    /// handshake at once; a peer that does not say so in time is not asked.
    async fn wait_for_connect_support(&self) -> Result<(), ConnectError> {
        let supported = async {
            while !self.sender.is_extended_connect_protocol_enabled() {
                if self.is_closed() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            true
        };
        match tokio::time::timeout(SETTINGS_WITHIN, supported).await {
            Ok(true) => Ok(()),
            _ => Err(ConnectError::Unsupported),
        }
    }
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The peer said no.
    #[error("the peer refused the stream: {status} {reason}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its `x-postern-reason`.
        reason: String,
    },
    /// The peer takes no CONNECT streams.
    #[error("the peer takes no CONNECT streams")]
    Unsupported,
    /// The connection broke.
    #[error(transparent)]
    Request(RequestError),
}
