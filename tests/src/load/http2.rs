//! HTTP/2 with prior knowledge: one connection a lane, one request after the other.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Asking, Load, ask_again_and_again, status};
use crate::pod::Pod;

type Sender = SendRequest<Empty<Bytes>>;

impl Load {
    /// Starts `connections` HTTP/2 connections from inside `pod`, each asking for `http://HOST PATH` again and again.
    ///
    /// There is no retry. A request that the server's GOAWAY overtook was never sent and goes over a new connection.
    #[must_use]
    pub fn start_http2(
        pod: &Pod,
        address: SocketAddr,
        host: &str,
        path: &str,
        connections: usize,
    ) -> Self {
        Self::lanes(pod, connections, |stop| {
            let (host, path) = (host.to_owned(), path.to_owned());
            async move { ask_again_and_again::<Sender>(address, &host, &path, &stop, None).await }
        })
    }
}

impl Asking for Sender {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(&mut self, host: &str, path: &str) -> hyper::Result<StatusCode> {
        self.ready().await?;
        let uri = format!("http://{host}{path}");
        let request = Request::get(uri).body(Empty::new()).expect("a plain request");
        status(self.send_request(request)).await
    }
}
