//! The agent's unix sockets: bound without a gap, served with limits.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Connected, UdsConnectInfo};

use crate::serve::callers::AllowedCallers;
use crate::serve::socket_name::SocketNames;

/// Connections at a time on one socket. A pod has one proxy and a few probes.
const MAX_CONNECTIONS: usize = 64;
/// Connections at a time of users who may not ask: enough to tell them so, and never in the way of
/// those who may.
const MAX_STRANGERS: usize = 4;
/// Streams at a time on one connection.
const MAX_STREAMS: u32 = 32;
/// What a caller may send ahead of our reading: requests are a few bytes.
const WINDOW: u32 = 64 * 1024;
/// Read from a caller at a time: most requests at once.
const READ: usize = 4096;
/// After `stop`, for streams to end.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// How often it is looked whether anybody is connected.
const LOOK: Duration = Duration::from_secs(1);
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listening socket that removes its file when it ends.
#[derive(Debug)]
pub struct ListeningSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file is ours, so that a successor's is left alone.
    inode: u64,
    /// Free places for callers who may ask.
    places: Arc<Semaphore>,
    /// How many of them have come so far: one may come and go between two looks.
    arrivals: Arc<AtomicU64>,
}

impl ListeningSocket {
    /// Listens at `path`, with this mode, in place of a socket that nobody serves any more.
    ///
    /// It is made beside `path`, given its mode, and renamed onto it: no caller ever sees a missing
    /// or half-made one.
    ///
    /// # Errors
    /// When something else is at `path`, when another process serves it, or the operating system's
    /// error.
    pub fn bind(path: &Path, mode: u32) -> anyhow::Result<Self> {
        refuse_a_live_one(path)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let cannot = || format!("cannot listen at {}", path.display());
        // Left by a process of our pid that died just here.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).with_context(cannot)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).with_context(cannot)?;
        let inode = fs::symlink_metadata(&beside).with_context(cannot)?.ino();
        fs::rename(&beside, path).with_context(cannot)?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        Ok(Self { listener, path: path.to_owned(), inode, places, arrivals: Arc::default() })
    }

    /// Ends when callers have come and, for this long, none has been connected.
    pub fn deserted(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (places, arrivals) = (Arc::clone(&self.places), Arc::clone(&self.arrivals));
        async move {
            let mut desertion = IdlePeriod::default();
            let mut looks = tokio::time::interval(LOOK);
            loop {
                let now = looks.tick().await;
                let connected = MAX_CONNECTIONS - places.available_permits();
                if desertion.is_over(connected, arrivals.load(Relaxed), now, patience) {
                    return;
                }
            }
        }
    }

    /// Serves gRPC services until `stop`. They refuse whoever is not among `callers`; here they only
    /// find fewer places.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn serve(
        self,
        services: Routes,
        callers: AllowedCallers,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (ready, connections) = mpsc::channel(8);
        let server = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            .http2_max_header_list_size(16 * 1024)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .add_routes(services)
            .serve_with_incoming_shutdown(
                ReceiverStream::new(connections).map(Ok::<_, io::Error>),
                stop.clone().cancelled_owned(),
            );
        let ended = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_DEADLINE).await;
        };
        tokio::select! {
            served = server => served.context("the server failed"),
            () = self.accept(&callers, ready) => Ok(()),
            () = ended => Ok(()),
        }
    }

    /// Full means refused at once, not a queue: whoever waits here would keep the others from being
    /// seen.
    async fn accept(&self, callers: &AllowedCallers, ready: mpsc::Sender<AcceptedConnection>) {
        let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let is_known = stream.peer_cred().is_ok_and(|peer| callers.allows(peer.uid()));
            let places = if is_known { &self.places } else { &strangers };
            let Ok(permit) = Arc::clone(places).try_acquire_owned() else { continue };
            if is_known {
                self.arrivals.fetch_add(1, Relaxed);
            }
            if ready.send(AcceptedConnection::new(stream, permit)).await.is_err() {
                return;
            }
        }
    }
}

/// How long no client has been connected.
#[derive(Debug, Default)]
struct IdlePeriod {
    arrivals: u64,
    since: Option<Instant>,
}

impl IdlePeriod {
    /// Takes one look; true when callers have come and there was none for longer than `patience`.
    fn is_over(
        &mut self,
        connected: usize,
        arrivals: u64,
        now: Instant,
        patience: Duration,
    ) -> bool {
        if connected > 0 || arrivals != self.arrivals {
            *self = Self { arrivals, since: None };
        }
        if connected > 0 {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        arrivals > 0 && now.duration_since(since) >= patience
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Best effort: a socket left behind is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn refuse_a_live_one(path: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            bail!("{} exists and is no socket; choose another --socket", path.display())
        }
        Ok(_) if StdUnixStream::connect(path).is_ok() => {
            bail!("another agent serves {}; stop it first", path.display())
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// An accepted connection and its place among [`MAX_CONNECTIONS`].
#[derive(Debug)]
struct AcceptedConnection {
    stream: UnixStream,
    names: SocketNames,
    /// What came and was looked at, and where its unread rest begins.
    looked_at: Vec<u8>,
    unread: usize,
    _permit: OwnedSemaphorePermit,
}

impl AcceptedConnection {
    fn new(stream: UnixStream, permit: OwnedSemaphorePermit) -> Self {
        let names = SocketNames::default();
        Self { stream, names, looked_at: Vec::new(), unread: 0, _permit: permit }
    }

    /// Hands on what was looked at; false when there is nothing.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = self.looked_at.get(self.unread..).unwrap_or_default();
        let part = rest.get(..buffer.remaining()).unwrap_or(rest);
        buffer.put_slice(part);
        self.unread += part.len();
        !part.is_empty()
    }
}

impl Connected for AcceptedConnection {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> UdsConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for AcceptedConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while buffer.remaining() > 0 && !this.hand_on(buffer) {
            let mut room = [0; READ];
            let mut came = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut came))?;
            this.looked_at.clear();
            this.unread = 0;
            this.names.take(came.filled(), &mut this.looked_at);
            if came.filled().is_empty() {
                this.names.end(&mut this.looked_at);
                this.hand_on(buffer);
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AcceptedConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deserted_after_callers_and_for_long_enough_only() {
        // Who is connected at each look, and how many have come by then.
        let check = |looks: &[(usize, u64)], expect: bool| {
            let (begun, patience) = (Instant::now(), Duration::from_secs(2));
            let mut desertion = IdlePeriod::default();
            let mut over = false;
            for (second, (connected, arrivals)) in (0..).zip(looks) {
                over = desertion.is_over(*connected, *arrivals, begun + LOOK * second, patience);
            }
            assert_eq!(over, expect, "{looks:?}");
        };
        check(&[(0, 0), (0, 0), (0, 0), (0, 0)], false);
        check(&[(1, 1), (1, 1), (1, 1), (1, 1)], false);
        check(&[(1, 1), (0, 1), (0, 1)], false);
        check(&[(1, 1), (0, 1), (0, 1), (0, 1)], true);
        check(&[(0, 0), (0, 0), (2, 2), (0, 2), (0, 2), (0, 2)], true);
        check(&[(1, 1), (0, 1), (0, 1), (1, 2), (0, 2), (0, 2)], false);
        // Came and went between two looks.
        check(&[(0, 0), (0, 1), (0, 1), (0, 1)], true);
        check(&[(0, 0), (0, 1), (0, 1), (0, 2), (0, 2)], false);
    }
}
