//! The app behind the proxies: HTTP/1.1 with keep-alive, two sizes of answers, and nothing else, so that it costs little.
//!
//! Requests have no body, because the load sends none.

use std::io::Write;
use std::rc::Rc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::workload::{ANSWER_SIZES, answer_bytes_of_path};

/// The longest request head taken, in bytes; a longer one ends the connection.
const HEAD: usize = 16 * 1024;

/// Every answer there is, made once.
struct Answers {
    /// By the size of their bodies.
    good: Vec<(usize, Vec<u8>)>,
    not_found: Vec<u8>,
}

/// Serves on a port of its own choice, which it prints, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
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
        tokio::task::spawn_local(converse(stream, Rc::clone(&answers)));
    }
}

/// Answers requests until the client is done. A connection that breaks is not the backend's business.
async fn converse(mut stream: TcpStream, answers: Rc<Answers>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(HEAD);
    while buffer.len() < HEAD {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some(end) = end_of_head(&buffer) {
            let head = &buffer[..end];
            let written = stream.write_all(answers.to(head)).await;
            if written.is_err() || wants_close(head) {
                return;
            }
            buffer.drain(..end);
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|start| start + 4)
}

/// `Connection: close`: a proxy that closes its connections to the app after each request says so.
fn wants_close(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n')
        .any(|line| line.trim_ascii().eq_ignore_ascii_case(b"connection: close"))
}

impl Answers {
    fn new() -> Self {
        let good = ANSWER_SIZES.map(|bytes| (bytes, answer("200 OK", bytes)));
        Self { good: good.into(), not_found: answer("404 Not Found", 0) }
    }

    /// The answer to a request: its path names the size.
    fn to(&self, head: &[u8]) -> &[u8] {
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let bytes = std::str::from_utf8(path).ok().and_then(answer_bytes_of_path);
        let found = self.good.iter().find(|(size, _)| Some(*size) == bytes);
        found.map_or(&self.not_found, |(_, answer)| answer)
    }
}

fn answer(status: &str, bytes: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {bytes}\r\n\r\n");
    [head.as_bytes(), &vec![b'x'; bytes]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_path() {
        let answers = Answers::new();
        let check = |path: &str, status: &str, body: usize| {
            let answer = answers.to(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
            assert!(answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{path}");
            assert_eq!(end_of_head(answer), Some(answer.len() - body), "{path}");
        };
        check("/128", "200", 128);
        check("/16384", "200", 16384);
        check("/129", "404", 0);
        check("*", "404", 0);
    }

    #[test]
    fn close_is_understood_in_any_case() {
        assert!(wants_close(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
        assert!(!wants_close(b"GET / HTTP/1.1\r\nconnection: keep-alive\r\n\r\n"));
    }
}
