//! CONNECT streams of a mesh connection (RFC 8441).

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, StatusCode, Uri};

use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::{ReadyStream, ReservedStream, SendError};
use crate::http::headers::REASON_HEADER;
use crate::http::tunnel::Tunnel;

impl ReservedStream {
    /// Opens a CONNECT stream of a protocol (RFC 8441), to a peer that
    /// [takes them](crate::http::h2_client::H2Client::takes_streams), and says what it leads to.
    ///
    /// # Errors
    /// The peer's refusal, or [`RequestError`] in the upstream's name.
    pub async fn connect(
        self,
        authority: &str,
        protocol: &'static str,
    ) -> Result<Tunnel, ConnectError> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query("/")
            .build()
            .map_err(|_| ConnectError::BadAuthority)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Protocol::from_static(protocol));
        let failed = |e: SendError| ConnectError::Request(e.into_error(OtherEnd::Upstream));
        let ReadyStream { mut sender, stream } = self.until_ready().await.map_err(failed)?;
        let (answer, mut send) = sender
            .send_request(request, false)
            .map_err(|e| failed(stream.shared().unsent_error(e)))?;
        let response = answer.await.map_err(|e| failed(stream.shared().unanswered(e)))?;
        if response.status() != StatusCode::OK {
            // Nothing follows; the stream ends cleanly.
            let _ = send.send_data(Bytes::new(), true);
            let reason = response.headers().get(REASON_HEADER);
            let reason = reason.and_then(|r| r.to_str().ok()).unwrap_or("refused").to_owned();
            return Err(ConnectError::Refused { status: response.status(), reason });
        }
        Ok(Tunnel::new(send, response.into_body()).with_stream(stream))
    }
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The peer refused.
    #[error("the peer refused the stream: {status} {reason}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its `x-postern-reason`.
        reason: String,
    },
    /// The address is none that a request can name.
    #[error("the address cannot be named in a CONNECT request")]
    BadAuthority,
    /// The connection broke.
    #[error(transparent)]
    Request(RequestError),
}
