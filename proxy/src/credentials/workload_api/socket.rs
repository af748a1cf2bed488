//! gRPC over a unix socket.

use std::future::{Ready, ready};
use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use anyhow::Context as _;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

/// Connects to a socket. The channel makes no second connection: when this one ends, its calls do.
///
/// # Errors
/// When nobody listens there, or speaks no HTTP/2.
pub(super) async fn connect(socket: &Path) -> anyhow::Result<Channel> {
    let cannot = || format!("cannot connect to {}", socket.display());
    let stream = UnixStream::connect(socket).await.with_context(cannot)?;
    Endpoint::from_static("http://workload-api")
        .connect_with_connector(Connected(Some(TokioIo::new(stream))))
        .await
        .with_context(cannot)
}

/// Hands out a connection that is made already, once.
struct Connected(Option<TokioIo<UnixStream>>);

impl tower_service::Service<Uri> for Connected {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
