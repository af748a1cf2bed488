//! HTTP/1.1 over TLS, as browsers come to a gateway: some requests a connection, then a new handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Load, LoadReport, status};
use crate::pod::Pod;

/// Requests over one connection.
const A_CONNECTION: u32 = 10;
/// How long a handshake or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Load {
    /// Starts `lanes` clients inside `pod`, each asking `https://HOST PATH` over one connection after the other, the
    /// certificate verified by `config`. There is no retry: what is refused, or breaks, has failed.
    #[must_use]
    pub fn start_https(
        pod: &Pod,
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        (host, path): (&str, &str),
        lanes: usize,
    ) -> Self {
        Self::lanes(pod, lanes, |stop| {
            let (config, host, path) = (config.clone(), host.to_owned(), path.to_owned());
            async move { run_lane(address, config, &host, &path, &stop).await }
        })
    }
}

async fn run_lane(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    host: &str,
    path: &str,
    stop: &AtomicBool,
) -> LoadReport {
    let mut report = LoadReport::default();
    while !stop.load(Ordering::Relaxed) {
        report.connections += 1;
        match timeout(PATIENCE, open(address, config.clone(), host)).await {
            Ok(Ok(connection)) => ask(connection, host, path, stop, &mut report).await,
            Ok(Err(error)) => report.fail(format!("a new connection: {error}")),
            Err(_) => report.fail("a new connection: no answer".to_owned()),
        }
        tokio::task::yield_now().await;
    }
    report
}

async fn open(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    host: &str,
) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned())?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(
    mut connection: SendRequest<Empty<Bytes>>,
    host: &str,
    path: &str,
    stop: &AtomicBool,
    report: &mut LoadReport,
) {
    for _ in 0..A_CONNECTION {
        if stop.load(Ordering::Relaxed) || connection.ready().await.is_err() {
            // Closed in order between two requests: nothing was sent.
            return;
        }
        let request = Request::get(path).header(header::HOST, host).body(Empty::new());
        let request = request.expect("a plain request");
        match timeout(PATIENCE, status(connection.send_request(request))).await {
            Ok(Ok(StatusCode::OK)) => {}
            Ok(Ok(status)) => report.fail(format!("status {status}")),
            // The close of an idle connection overtook the request, which was never sent.
            Ok(Err(error)) if error.is_canceled() || error.is_closed() => return,
            Ok(Err(error)) => {
                report.requests += 1;
                return report.fail(format!("request: {error:?}"));
            }
            Err(_) => return report.fail("a request: no answer".to_owned()),
        }
        report.requests += 1;
    }
}
