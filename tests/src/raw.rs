//! Clients that speak bytes: for what no well-behaved client would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one exchange may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// An HTTP answer read to its end.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// How a conversation ended for us.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The other side closed its sending side in order (FIN).
    Closed,
    /// The other side tore the connection down (RST), or never accepted it.
    Broken,
    /// Nothing had happened when the deadline passed.
    Silent,
}

/// Everything that came back, and how it ended.
#[derive(Debug)]
pub struct Conversation {
    /// The bytes received.
    pub received: Vec<u8>,
    /// How it ended.
    pub end: End,
}

impl Conversation {
    /// The bytes received, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}

/// A plain `GET` without keep-alive.
///
/// # Errors
/// A sentence saying why there was no answer.
pub async fn http_get(address: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    let conversation = say(address, request.as_bytes()).await;
    let text = conversation.text();
    let (head, body) =
        text.split_once("\r\n\r\n").ok_or_else(|| format!("{address}: {:?}", conversation.end))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(HttpAnswer {
        status: status.ok_or_else(|| format!("not HTTP: {head}"))?,
        body: body.to_owned(),
    })
}

/// Connects, sends `bytes`, and reads until the end or 20 seconds.
pub async fn say(address: SocketAddr, bytes: &[u8]) -> Conversation {
    match timeout(DEADLINE, TcpStream::connect(address)).await {
        Ok(Ok(mut stream)) => {
            // A peer that refuses may close while we send: what it said is what counts.
            let _ = stream.write_all(bytes).await;
            hear(&mut stream, DEADLINE).await
        }
        Ok(Err(_)) => Conversation { received: Vec::new(), end: End::Broken },
        Err(_) => Conversation { received: Vec::new(), end: End::Silent },
    }
}

/// Sends `bytes`, closes the sending side, and reads until the end or 20 seconds.
pub async fn say_and_half_close(address: SocketAddr, bytes: &[u8]) -> Conversation {
    let Ok(Ok(mut stream)) = timeout(DEADLINE, TcpStream::connect(address)).await else {
        return Conversation { received: Vec::new(), end: End::Broken };
    };
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    hear(&mut stream, DEADLINE).await
}

/// Reads until the other side ends the conversation, or `deadline`.
pub async fn hear(stream: &mut TcpStream, deadline: Duration) -> Conversation {
    let mut received = Vec::new();
    let end = match timeout(deadline, stream.read_to_end(&mut received)).await {
        Ok(Ok(_)) => End::Closed,
        Ok(Err(_)) => End::Broken,
        Err(_) => End::Silent,
    };
    Conversation { received, end }
}

/// Reads one line; empty when the other side ended first or said nothing for 20 seconds.
pub async fn hear_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let read = async {
        while let Ok(byte) = stream.read_u8().await {
            if byte == b'\n' {
                break;
            }
            line.push(byte);
        }
    };
    let _ = timeout(DEADLINE, read).await;
    String::from_utf8_lossy(&line).into_owned()
}
