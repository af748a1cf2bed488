//! A connection for each request: what is accepted at any moment is served.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Load, LoadReport};
use crate::pod::Pod;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Load {
    /// Starts `lanes` clients inside `pod`, each asking for `path` over one new connection after the other. There is no
    /// retry: a connection that is reset, or refused, has failed.
    #[must_use]
    pub fn start_fresh(
        pod: &Pod,
        address: SocketAddr,
        host: &str,
        path: &str,
        lanes: usize,
    ) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        Self::lanes(pod, lanes, |stop| {
            let request = request.clone();
            async move { run_lane(address, &request, &stop).await }
        })
    }
}

async fn run_lane(address: SocketAddr, request: &str, stop: &AtomicBool) -> LoadReport {
    let mut report = LoadReport::default();
    while !stop.load(Ordering::Relaxed) {
        report.requests += 1;
        report.connections += 1;
        match timeout(PATIENCE, ask(address, request)).await {
            Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => {}
            Ok(Ok(answer)) => report.fail(format!("a new connection's answer: {answer:?}")),
            Ok(Err(error)) => report.fail(format!("a new connection: {error}")),
            Err(_) => report.fail("a new connection: no answer".to_owned()),
        }
        tokio::task::yield_now().await;
    }
    report
}

async fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
