//! Steady load, every answer counted: HTTP/1.1 over keep-alive connections here, a connection a request, HTTP/2, gRPC
//! streams and lines over TCP in the files beside.

mod fresh;
mod grpc;
mod http2;
mod https;
mod lines;
mod paced;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::inside::Task;
use crate::pod::Pod;

/// How many different failures a report names.
const FAILURES_NAMED: usize = 5;

/// Load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    lanes: Vec<Task<LoadReport>>,
}

/// What became of the load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests sent; for gRPC the messages of the streams, for TCP the lines.
    pub requests: u64,
    /// Requests without a complete answer of status 200; streams and connections that broke.
    pub failed: u64,
    /// Connections opened.
    pub connections: u64,
    /// The first few failures in words.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts `connections` keep-alive connections from inside `pod`, each asking for `path` again and again.
    ///
    /// There is no retry. A request that the server's orderly close of an idle connection overtook was never sent
    /// (hyper says so) and goes over a new connection, as with any HTTP client.
    #[must_use]
    pub fn start(
        pod: &Pod,
        address: SocketAddr,
        host: &str,
        path: &str,
        connections: usize,
    ) -> Self {
        Self::lanes(pod, connections, |stop| {
            let (host, path) = (host.to_owned(), path.to_owned());
            async move {
                type Http1 = SendRequest<Empty<Bytes>>;
                ask_again_and_again::<Http1>(address, &host, &path, &stop, None).await
            }
        })
    }

    /// Starts `count` lanes inside `pod`; each goes on until it sees its flag set.
    fn lanes<F>(pod: &Pod, count: usize, lane: impl Fn(Arc<AtomicBool>) -> F) -> Self
    where
        F: Future<Output = LoadReport> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let lanes = (0..count).map(|_| pod.spawn(lane(stop.clone()))).collect();
        Self { stop, lanes }
    }

    /// Stops and sums up.
    #[track_caller]
    pub fn finish(self) -> LoadReport {
        self.stop.store(true, Ordering::Relaxed);
        self.lanes.into_iter().map(Task::join).fold(LoadReport::default(), LoadReport::plus)
    }
}

impl LoadReport {
    /// The sum of two.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.requests += other.requests;
        self.failed += other.failed;
        self.connections += other.connections;
        self.failures.extend(other.failures);
        self.failures.truncate(FAILURES_NAMED);
        self
    }

    fn fail(&mut self, words: String) {
        self.failed += 1;
        if self.failures.len() < FAILURES_NAMED {
            self.failures.push(words);
        }
    }

    /// Panics with the failures unless there were requests and all of them succeeded.
    #[track_caller]
    pub fn expect_all_good(&self) {
        assert!(self.requests > 0 && self.failed == 0, "{self:?}");
    }
}

/// A connection that asks for the same thing again and again.
trait Asking: Sized {
    /// Opens one.
    async fn open(address: SocketAddr) -> anyhow::Result<Self>;

    /// One request, its answer read to the end.
    async fn ask(&mut self, host: &str, path: &str) -> hyper::Result<StatusCode>;
}

/// Asks over one connection as long as it lasts, then over the next; once in `pace`, where there is one.
async fn ask_again_and_again<A: Asking>(
    address: SocketAddr,
    host: &str,
    path: &str,
    stop: &AtomicBool,
    pace: Option<Duration>,
) -> LoadReport {
    let mut report = LoadReport::default();
    let mut pace = pace.map(interval);
    let mut connection: Option<A> = None;
    while !stop.load(Ordering::Relaxed) {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let mut open = match connection.take() {
            Some(open) => open,
            None => match A::open(address).await {
                Ok(open) => {
                    report.connections += 1;
                    open
                }
                Err(error) => {
                    report.requests += 1;
                    report.fail(format!("connecting: {error}"));
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        match open.ask(host, path).await {
            Ok(StatusCode::OK) => connection = Some(open),
            Ok(status) => {
                report.fail(format!("status {status}"));
                connection = Some(open);
            }
            // Never sent: the connection was closed in order, between two requests.
            Err(error) if error.is_canceled() || error.is_closed() => continue,
            Err(error) => report.fail(format!("request: {error:?}")),
        }
        report.requests += 1;
    }
    report
}

/// One request over either version of HTTP, its answer read to the end.
async fn status(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> hyper::Result<StatusCode> {
    let (head, body) = answer.await?.into_parts();
    body.collect().await?;
    Ok(head.status)
}

impl Asking for SendRequest<Empty<Bytes>> {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn ask(&mut self, host: &str, path: &str) -> hyper::Result<StatusCode> {
        self.ready().await?;
        let request = Request::get(path).header(header::HOST, host).body(Empty::new());
        status(self.send_request(request.expect("a plain request"))).await
    }
}
