//! A new mTLS connection for each request, to the inbound proxy, as another mesh's client would make it: with the allowed
//! identity, HTTP/1.1, and never a session from before.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use identity::SpiffeId;
use identity::tls::{ALPN_HTTP11, client_config};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Counted, To};
use crate::certificates::{Certificates, Identity};
use crate::rows::SMALL;

/// Connections at a time.
const AT_A_TIME: usize = 16;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts connections on which a request was answered.
pub(super) fn run(to: &To, certificates: &Path) -> Result<Counted> {
    let certificates = Certificates::made(certificates);
    let credentials = certificates.credentials(Identity::Client)?;
    let expected = [SpiffeId::parse(&Identity::Server.spiffe_id())?];
    let config = client_config(
        &credentials.svid,
        &credentials.key,
        Arc::new(credentials.bundles),
        Arc::new(expected),
        &[ALPN_HTTP11],
    )?;
    let connector = TlsConnector::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (port, end) = (to.port, Instant::now() + to.time());
    LocalSet::new().block_on(&runtime, async {
        let mut clients = JoinSet::new();
        for _ in 0..AT_A_TIME {
            clients.spawn_local(client(connector.clone(), port, end));
        }
        let mut connections = 0;
        while let Some(client) = clients.join_next().await {
            connections += client.context("a client ended early")??;
        }
        Ok(Counted::only(f64::from(connections)))
    })
}

/// One connection after the other.
async fn client(connector: TlsConnector, port: u16, end: Instant) -> Result<u32> {
    let mut connections = 0;
    while Instant::now() < end {
        timeout(PATIENCE, connection(&connector, port)).await.context("too slow")??;
        connections += 1;
    }
    Ok(connections)
}

async fn connection(connector: &TlsConnector, port: u16) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
    stream.set_nodelay(true)?;
    // Identities are SPIFFE ids; the name says nothing and HAProxy, like others, wants a good one.
    let name = ServerName::try_from("server.a.svc.cluster.local")?;
    let mut stream = connector.connect(name, stream).await.context("the handshake")?;
    let request = format!("GET /{SMALL} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    while !ends(&answer) {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the connection ended");
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "another status than 200");
    Ok(())
}

fn ends(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() >= head + 4 + SMALL)
}
