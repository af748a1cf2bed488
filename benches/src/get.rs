//! One GET, plain and patient: is the pair up, and does it refuse?

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// How long a connect, a write or a read may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most of an answer that is read, in bytes.
const MOST: u64 = 64 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An answer: its status, and the length of what came after the head.
    Answer(u16, usize),
    /// The connection ended or stayed silent.
    Nothing,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status, _) => write!(f, "{status}"),
            Self::Nothing => f.write_str("closed"),
        }
    }
}

/// Asks once in HTTP/2 without TLS, on a connection of its own.
///
/// # Errors
/// When nothing listens there.
pub(crate) fn http2(port: u16, path: &str) -> Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        // Whatever breaks or takes too long is an answer too.
        let asked = timeout(PATIENCE, ask_http2(port, path)).await;
        Ok(asked.ok().and_then(Result::ok).unwrap_or(Seen::Nothing))
    })
}

async fn ask_http2(port: u16, path: &str) -> Result<Seen> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let (requests, connection) = h2::client::handshake(stream).await?;
    tokio::task::spawn_local(connection);
    let request = Request::get(format!("http://bench.example{path}")).body(())?;
    let (answer, _) = requests.ready().await?.send_request(request, true)?;
    let answer = answer.await?;
    let status = answer.status().as_u16();
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(piece) = body.data().await {
        length += piece?.len();
    }
    Ok(Seen::Answer(status, length))
}

/// Asks once in HTTP/1.1, on a connection of its own.
///
/// # Errors
/// When nothing listens there.
pub(crate) fn http1(port: u16, path: &str) -> Result<Seen> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = match TcpStream::connect_timeout(&address, PATIENCE) {
        // A proxy that refuses at once resets before the connection is ours.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Seen::Nothing),
        other => other.with_context(|| format!("connecting to {address}"))?,
    };
    stream.set_read_timeout(Some(PATIENCE)).context("setting a deadline")?;
    stream.set_write_timeout(Some(PATIENCE)).context("setting a deadline")?;
    // A connection that breaks is an answer too.
    Ok(ask(stream, path).map_or(Seen::Nothing, |answer| parse(&answer)))
}

fn ask(mut stream: TcpStream, path: &str) -> std::io::Result<Vec<u8>> {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: bench.example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Seen::Answer(status, body.len()),
        _ => Seen::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |answer: &str, expect| assert_eq!(parse(answer.as_bytes()), expect, "{answer}");
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", Seen::Answer(200, 2));
        check("HTTP/1.1 403 Forbidden\r\n\r\n", Seen::Answer(403, 0));
        check("HTTP/1.1 200 OK\r\ncontent-le", Seen::Nothing);
        check("", Seen::Nothing);
    }
}
