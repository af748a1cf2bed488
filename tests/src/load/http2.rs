//! HTTP/2 with prior knowledge: one connection a lane, one request after the other.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Load, LoadReport};
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
            let uri = format!("http://{host}{path}");
            async move { run_lane(address, &uri, &stop).await }
        })
    }
}

async fn run_lane(address: SocketAddr, uri: &str, stop: &AtomicBool) -> LoadReport {
    let mut report = LoadReport::default();
    let mut connection: Option<Sender> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut sender = match connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => match open(address).await {
                Ok(sender) => {
                    report.connections += 1;
                    sender
                }
                Err(error) => {
                    report.requests += 1;
                    report.fail(format!("connecting: {error}"));
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        match ask(&mut sender, uri).await {
            Ok(StatusCode::OK) => {}
            Ok(status) => report.fail(format!("status {status}")),
            // Never sent: the connection was closing in order.
            Err(error) if error.is_canceled() => continue,
            Err(error) => report.fail(format!("request: {error:?}")),
        }
        report.requests += 1;
        connection = Some(sender);
    }
    report
}

async fn open(address: SocketAddr) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One request, its answer read to the end.
async fn ask(sender: &mut Sender, uri: &str) -> hyper::Result<StatusCode> {
    sender.ready().await?;
    let request = Request::get(uri).body(Empty::new()).expect("a plain request");
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}
