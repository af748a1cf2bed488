//! gRPC over a connection that is made already: the agent's unix socket, the controller's TLS.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};

/// Speaks gRPC over `stream`. The channel makes no second connection: when this one ends, its calls do. What URI the endpoint
/// names does not matter.
///
/// # Errors
/// The other side speaks no HTTP/2.
pub(crate) async fn over<S>(
    stream: S,
    endpoint: Endpoint,
) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    endpoint.connect_with_connector(OneShotConnector(Some(TokioIo::new(stream)))).await
}

/// Hands a connection to a library that wants to make it: once.
struct OneShotConnector<S>(Option<TokioIo<S>>);

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> tower_service::Service<Uri>
    for OneShotConnector<S>
{
    type Response = TokioIo<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
