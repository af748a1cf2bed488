//! Bodies of any size of which every byte is known: an app that sends, takes and echoes them, and its client.

use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::pod::Pod;

/// How many bytes are written or looked at in one piece.
const PIECE: usize = 64 << 10;
/// After so many bytes they begin again: no power of two, so that a piece that is lost or doubled is seen.
const PERIOD: usize = 251;

/// Any piece, from any offset within the period.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..PERIOD + PIECE).map(|at| u8::try_from(at % PERIOD).unwrap_or(0)).collect()
});

/// Which way the bytes go, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The answer's body.
    Down,
    /// The request's body.
    Up,
    /// Both at the same time: the app sends back what it has read.
    Both,
}

/// How a client takes an answer, or sends what it uploads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slowness {
    /// The time that each MiB takes at least.
    pub each_mib: Duration,
    /// A rest, when half is done.
    pub rest: Duration,
}

/// One transfer by a client.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Which way.
    pub way: Way,
    /// How many bytes.
    pub bytes: u64,
    /// How fast it goes, at the client.
    pub slowness: Slowness,
}

/// Serves on `port` of `pod`, one request a connection: `GET /N`, `PUT /` and `POST /` of HTTP/1.1.
pub fn serve(pod: &Pod, port: u16) {
    drop(pod.spawn(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        while let Ok((stream, _)) = listener.accept().await {
            // A caller that goes away in the middle is for the caller's side to report.
            tokio::spawn(async move { answer(stream).await.ok() });
        }
    }));
    pod.wait_for_app(port);
}

async fn answer(stream: TcpStream) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(PIECE, reader);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    let target = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    if head.starts_with("GET ") {
        let bytes = target.parse().unwrap_or(0);
        writer.write_all(answer_head(bytes).as_bytes()).await?;
        send(&mut writer, bytes, Slowness::default(), &AtomicU64::new(0)).await
    } else if head.starts_with("PUT ") {
        let told = match take(&mut reader, length, Slowness::default(), &AtomicU64::new(0)).await {
            Ok(()) => "right".to_owned(),
            Err(error) => error.to_string(),
        };
        let told = format!("{}{told}", answer_head(u64::try_from(told.len()).unwrap_or(0)));
        writer.write_all(told.as_bytes()).await
    } else {
        writer.write_all(answer_head(length).as_bytes()).await?;
        tokio::io::copy_buf(&mut reader.take(length), &mut writer).await.map(drop)
    }
}

fn answer_head(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
}

impl Transfer {
    /// At full speed.
    #[must_use]
    pub fn new(way: Way, bytes: u64) -> Self {
        Self { way, bytes, slowness: Slowness::default() }
    }

    /// Does it, to its end; `progress` counts the bytes that have come to the client or, for an upload, left it.
    ///
    /// # Errors
    /// In words: what came instead of the bytes.
    pub async fn run(self, address: SocketAddr, progress: &AtomicU64) -> Result<(), String> {
        let way = self.way;
        self.try_run(address, progress).await.map_err(|error| {
            format!("{way:?} after {} bytes: {error}", progress.load(Ordering::Relaxed))
        })
    }

    async fn try_run(self, address: SocketAddr, progress: &AtomicU64) -> io::Result<()> {
        let Self { way, bytes, slowness } = self;
        let stream = TcpStream::connect(address).await?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::with_capacity(PIECE, reader);
        let line = match way {
            Way::Down => format!("GET /{bytes}"),
            Way::Up => "PUT /".to_owned(),
            Way::Both => "POST /".to_owned(),
        };
        let length = if way == Way::Down { 0 } else { bytes };
        let head = format!(
            "{line} HTTP/1.1\r\nhost: store:8080\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        writer.write_all(head.as_bytes()).await?;
        match way {
            Way::Down => {
                expect_ok(&mut reader).await?;
                take(&mut reader, bytes, slowness, progress).await
            }
            Way::Up => {
                send(&mut writer, bytes, slowness, progress).await?;
                expect_ok(&mut reader).await?;
                let mut told = String::new();
                reader.read_to_string(&mut told).await?;
                if told == "right" { Ok(()) } else { Err(io::Error::other(told)) }
            }
            Way::Both => {
                let sent = AtomicU64::new(0);
                let sending = send(&mut writer, bytes, Slowness::default(), &sent);
                let taking = async {
                    expect_ok(&mut reader).await?;
                    take(&mut reader, bytes, slowness, progress).await
                };
                tokio::try_join!(sending, taking).map(drop)
            }
        }
    }
}

async fn expect_ok(reader: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, head));
        }
    }
    if head.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(io::Error::other(head)) }
}

async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: u64,
    slowness: Slowness,
    progress: &AtomicU64,
) -> io::Result<()> {
    let mut pace = Pace::of(slowness, bytes);
    let mut sent = 0;
    while sent < bytes {
        let piece = piece(sent, bytes);
        writer.write_all(piece).await?;
        sent += u64::try_from(piece.len()).unwrap_or(0);
        progress.store(sent, Ordering::Relaxed);
        pace.after(piece.len(), sent).await;
    }
    writer.flush().await
}

/// Reads exactly so many bytes, each the one that it has to be.
async fn take(
    reader: &mut (impl AsyncRead + Unpin),
    bytes: u64,
    slowness: Slowness,
    progress: &AtomicU64,
) -> io::Result<()> {
    let mut pace = Pace::of(slowness, bytes);
    let (mut buffer, mut taken) = (vec![0; PIECE], 0);
    while taken < bytes {
        let expected = piece(taken, bytes);
        let got = buffer.get_mut(..expected.len()).unwrap_or_default();
        reader.read_exact(got).await?;
        if got != expected {
            return Err(io::Error::other(format!("other bytes than those sent, within {taken}")));
        }
        taken += u64::try_from(expected.len()).unwrap_or(0);
        progress.store(taken, Ordering::Relaxed);
        pace.after(expected.len(), taken).await;
    }
    Ok(())
}

/// When the next piece is due.
struct Pace {
    each_mib: Duration,
    /// The rest that is to come, and after how many bytes.
    rest: Option<(Duration, u64)>,
    due: Instant,
}

impl Pace {
    fn of(slowness: Slowness, bytes: u64) -> Self {
        let rest = (!slowness.rest.is_zero()).then_some((slowness.rest, bytes / 2));
        Self { each_mib: slowness.each_mib, rest, due: Instant::now() }
    }

    async fn after(&mut self, piece: usize, done: u64) {
        self.due += self.each_mib * u32::try_from(piece).unwrap_or(0) / (1 << 20);
        if let Some((rest, _)) = self.rest.take_if(|(_, half)| done >= *half) {
            self.due = Instant::now() + rest;
        }
        sleep_until(self.due).await;
    }
}

/// What comes at this offset, up to [`PIECE`] and to the end.
fn piece(offset: u64, bytes: u64) -> &'static [u8] {
    let start = usize::try_from(offset % (PERIOD as u64)).unwrap_or(0);
    let length = usize::try_from(bytes - offset).unwrap_or(PIECE).min(PIECE);
    BYTES.get(start..start + length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_byte_that_is_missing_is_seen() {
        let mut all = Vec::new();
        let progress = AtomicU64::new(0);
        send(&mut all, 200_000, Slowness::default(), &progress).await.unwrap();
        assert_eq!(progress.into_inner(), 200_000);
        assert_eq!(all.len(), 200_000);
        let took = |bytes: Vec<u8>| async move {
            take(&mut bytes.as_slice(), 200_000, Slowness::default(), &AtomicU64::new(0)).await
        };
        took(all.clone()).await.unwrap();
        let mut less = all.clone();
        less.remove(100_000);
        took(less).await.unwrap_err();
        // A piece that comes twice, and a whole period that does.
        let mut more = all.clone();
        more.splice(PIECE..PIECE, all[..PIECE].to_vec());
        took(more).await.unwrap_err();
    }
}
