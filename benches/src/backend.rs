//! The app behind the proxies, on one port: HTTP/1.1 with keep-alive, a few sizes of answers, one that takes its time, an
//! echo for those who switch protocols, bytes without end; HTTP/2 for those who begin with it. Nothing else, so that it
//! costs little.
//!
//! Requests of HTTP/1.1 have no body, because the load sends none.

pub(crate) mod http2;

use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::rows::{ANSWER_SIZES, answer_bytes_of_path};

/// The longest request head taken, in bytes; a longer one ends the connection.
const HEAD: usize = 16 * 1024;

/// The path of a small answer that comes late.
pub(crate) const WAIT: &str = "/wait";
/// How late: a crowd has come by then.
const LATE: Duration = Duration::from_secs(15);

/// The path of bytes that never end, and of a place where as many may be left.
pub(crate) const SOURCE: &str = "/source";
pub(crate) const SINK: &str = "/sink";
/// Written or read at once of those, in bytes.
const PIECE: usize = 128 * 1024;

/// How a client begins that speaks HTTP/2 from the start (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI";

/// Every answer there is, made once.
struct Answers {
    /// By the size of their bodies.
    good: Vec<(usize, Vec<u8>)>,
    /// The same, for those who want the connection to end with it.
    last: Vec<(usize, Vec<u8>)>,
    not_found: Vec<u8>,
}

/// Serves on a port of its own choice, which it prints, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening")?;
        let port = listener.local_addr()?.port();
        writeln!(std::io::stdout(), "{port}").context("telling the port")?;
        serve(&listener).await
    })
}

async fn serve(listener: &TcpListener) -> Result<()> {
    let answers = Rc::new(Answers::new());
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        let answers = Rc::clone(&answers);
        tokio::task::spawn_local(async move {
            let _ = stream.set_nodelay(true);
            let mut first = [0; PREFACE.len()];
            match stream.peek(&mut first).await {
                // One that breaks is not the app's business.
                Ok(_) if first == PREFACE => drop(http2::serve(stream).await),
                _ => converse(stream, answers).await,
            }
        });
    }
}

/// Answers requests until the client is done. A connection that breaks is not the backend's business.
async fn converse(mut stream: TcpStream, answers: Rc<Answers>) {
    let mut buffer = Vec::with_capacity(HEAD);
    while buffer.len() < HEAD {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some(end) = end_of_head(&buffer) {
            let head = &buffer[..end];
            if wants(head, b"upgrade: websocket") {
                return echo(stream).await;
            }
            match path_of(head) {
                Some(WAIT) => tokio::time::sleep(LATE).await,
                Some(SOURCE) => return pour(stream).await,
                Some(SINK) => return drain(stream).await,
                _ => {}
            }
            let closes = wants(head, b"connection: close");
            let written = stream.write_all(answers.to(head, closes)).await;
            if written.is_err() || closes {
                return;
            }
            buffer.drain(..end);
        }
    }
}

async fn pour(mut stream: TcpStream) {
    let piece = vec![b'x'; PIECE];
    while stream.write_all(&piece).await.is_ok() {}
}

async fn drain(mut stream: TcpStream) {
    let mut piece = vec![0; PIECE];
    while matches!(stream.read(&mut piece).await, Ok(read) if read > 0) {}
}

fn path_of(head: &[u8]) -> Option<&str> {
    std::str::from_utf8(head.split(|byte| *byte == b' ').nth(1)?).ok()
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4)
}

/// Whether a line of the head is this: a proxy that closes its connections to the app after each request says
/// `connection: close`.
fn wants(head: &[u8], line: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|one| one.trim_ascii().eq_ignore_ascii_case(line))
}

/// What a connection becomes that has switched protocols.
async fn echo(mut stream: TcpStream) {
    // The answer to the key of RFC 6455 §1.3, which is what the load sends.
    let switched = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if stream.write_all(switched.as_bytes()).await.is_ok() {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    }
}

impl Answers {
    fn new() -> Self {
        let good = ANSWER_SIZES.map(|bytes| (bytes, answer("200 OK", "", bytes)));
        let close = "connection: close\r\n";
        let last = ANSWER_SIZES.map(|bytes| (bytes, answer("200 OK", close, bytes)));
        Self { good: good.into(), last: last.into(), not_found: answer("404 Not Found", "", 0) }
    }

    /// The answer to a request: its path names the size.
    fn to(&self, head: &[u8], closes: bool) -> &[u8] {
        let bytes = match path_of(head) {
            Some(WAIT) => Some(ANSWER_SIZES[0]),
            path => path.and_then(answer_bytes_of_path),
        };
        let answers = if closes { &self.last } else { &self.good };
        let found = answers.iter().find(|(size, _)| Some(*size) == bytes);
        found.map_or(&self.not_found, |(_, answer)| answer)
    }
}

fn answer(status: &str, line: &str, bytes: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n{line}content-length: {bytes}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'x'; bytes]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_path() {
        let answers = Answers::new();
        let check = |path: &str, status: &str, body: usize| {
            let answer = answers.to(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes(), false);
            assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{path}");
            assert_eq!(end_of_head(answer), Some(answer.len() - body), "{path}");
        };
        check("/128", "200", 128);
        check("/16384", "200", 16384);
        check(WAIT, "200", 128);
        check("/129", "404", 0);
        check("*", "404", 0);
    }

    #[test]
    fn the_last_answer_says_so() {
        let answers = Answers::new();
        let request = b"GET /128 HTTP/1.1\r\nconnection: close\r\n\r\n";
        assert!(wants(answers.to(request, true), b"connection: close"));
        assert!(!wants(answers.to(request, false), b"connection: close"));
    }

    #[test]
    fn close_is_understood_in_any_case() {
        let close = b"connection: close";
        assert!(wants(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", close));
        assert!(!wants(b"GET / HTTP/1.1\r\nconnection: keep-alive\r\n\r\n", close));
    }
}
