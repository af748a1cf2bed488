//! gRPC over a connection that is already open: the agent's unix socket, the controller's TLS.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};

/// Speaks gRPC over `stream`. The channel opens no second connection: when this one ends, its calls end. The URI of the
/// endpoint is not used.
///
/// # Errors
/// The other side does not speak HTTP/2.
pub(crate) async fn over<S>(
    stream: S,
    endpoint: Endpoint,
) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    endpoint.connect_with_connector(OneShotConnector(Some(TokioIo::new(stream)))).await
}

/// Hands an open connection, once, to a library that expects to connect by itself.
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
