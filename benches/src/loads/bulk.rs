//! One connection, and as many bytes as go through it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Counted, To};
use crate::backend::{SINK, SOURCE};
use crate::rows::Direction;

/// Written or read at once, in bytes.
const PIECE: usize = 128 * 1024;
/// How long one write or read may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts MB (10^6 bytes).
pub(super) fn run(to: &To, direction: Direction) -> Result<Counted> {
    let mut stream = TcpStream::connect(("127.0.0.1", to.port)).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = match direction {
        Direction::Down => SOURCE,
        Direction::Up => SINK,
    };
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n").as_bytes())?;
    let mut piece = vec![0; PIECE];
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < to.time() {
        let moved = match direction {
            Direction::Down => stream.read(&mut piece),
            Direction::Up => stream.write(&piece),
        };
        bytes += match moved {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.context("bytes do not go through")?,
        };
        ensure!(bytes > 0, "the connection ended at once");
    }
    Ok(Counted::only(bytes as f64 / 1e6))
}
