//! Sockets: listeners one per worker, original destinations, and connections with deadlines.
//!
//! Linux only. Socket options go through `socket2`, which owns the system calls, so nothing here
//! is `unsafe`.

mod abortable;
mod arrival;
mod chunk;
pub mod descriptors;
mod listener;
mod metered;
mod read_ahead;
mod yielding;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::limits::Limits;
use bytes::{Bytes, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpSocket, TcpStream};

pub use abortable::{AbortableStream, StreamAborter};
pub use arrival::poll_arrival;
pub use chunk::CHUNK;
pub use listener::{BoundListener, is_listening, stop_listening};
pub use metered::MeteredIo;
pub use read_ahead::ReadAheadIo;
pub use yielding::YieldingIo;

/// A byte stream: TCP, TLS, or a stream of a multiplexed connection.
///
/// Opaque bytes pass through in chunks: a connection that waits holds no buffer, and a stream whose library hands out
/// and takes whole buffers copies nothing.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// Reads what is there, at most [`CHUNK`] bytes, or as much as the peer has sent in one piece. It is empty at the
    /// end of the stream. What was read before counts as taken.
    ///
    /// # Errors
    /// The stream's.
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        chunk::poll_read(self, cx).map_ok(BytesMut::freeze)
    }

    /// Writes from the front of `chunk` what the stream takes, at least a byte.
    ///
    /// # Errors
    /// The stream's.
    fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        chunk::poll_write(self, cx, chunk)
    }
}

impl Io for TcpStream {}
impl Io for DuplexStream {}
impl<T: Io> Io for tokio_rustls::client::TlsStream<T> {}
impl<T: Io> Io for tokio_rustls::server::TlsStream<T> {}

impl Io for BoxedIo {
    fn poll_read_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        (**self).poll_read_chunk(cx)
    }

    fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        (**self).poll_write_chunk(cx, chunk)
    }
}

/// A byte stream whose concrete type no longer matters.
pub type BoxedIo = Box<dyn Io>;

/// A peer that vanished is noticed within this time (SECURITY-CASES F-15: at most 30 s). The kernel takes one that reads
/// nothing for as long for vanished too, whatever it acknowledges.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// Keep-alive probes without an answer that end a connection within the pod, for which [`USER_TIMEOUT`] is not set.
const KEEPALIVE_RETRIES: u32 = 2;

/// Options of every connection: no delay, and keep-alive probes after `keepalive` of silence and then at a third of it,
/// so that dead peers are noticed.
fn set_options(socket: &SockRef<'_>, keepalive: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(keepalive).with_interval(keepalive / 3);
    socket.set_tcp_keepalive(&probes.with_retries(KEEPALIVE_RETRIES))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Lets a connection from a program of the same pod lie unread for as long as its protocol allows. Nothing on loopback
/// vanishes without a word, and a program may rest: a database client that shows one page of rows, an app that waits
/// for a lock. A connection over the network stays as it is.
pub fn let_rest_within_pod(stream: &TcpStream) {
    if stream.local_addr().is_ok_and(|local| canonical(local).ip().is_loopback()) {
        // It fails only on a socket that is already closed.
        let _ = SockRef::from(stream).set_tcp_user_timeout(None);
    }
}

/// The original destination of a connection that nftables redirected here, or `None` when it was not redirected: then
/// the original destination is our own address.
///
/// # Errors
/// The system's, when the socket has no local address any more.
pub fn original_destination(stream: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let local = canonical(stream.local_addr()?);
    let socket = SockRef::from(stream);
    // SOL_IP for IPv4, also when it arrived on an IPv6 socket; SOL_IPV6 otherwise.
    let seen = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    // No connection-tracking entry: nothing was redirected.
    let Some(original) = seen.ok().and_then(|address| address.as_socket()) else {
        return Ok(None);
    };
    let original = canonical(original);
    Ok((original != local).then_some(original))
}

/// The IPv4 address of an IPv4-mapped IPv6 address; any other address unchanged (SECURITY-CASES S-47).
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How the proxy's own connections are told apart by the interception rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterceptionConfig {
    /// `SO_MARK` set on the proxy's own sockets (`mark`), where the rules exempt a mark instead of a uid. Default:
    /// none.
    pub mark: Option<u32>,
    /// The source address of connections to the app over IPv4 (`source4`), by which the rules of `redirect` recognise
    /// them. Default 127.0.0.6, the one those rules name; another address is for custom rules.
    pub source4: Ipv4Addr,
}

/// How an outgoing connection is made.
#[derive(Debug, Clone, Copy)]
pub struct DialOptions {
    /// Source address, or the system's choice.
    pub source: Option<IpAddr>,
    /// `SO_MARK`, by which the redirection rules recognise the proxy's own traffic (needs `CAP_NET_ADMIN`).
    pub mark: Option<u32>,
    /// The time within which the connection must be established.
    pub timeout: Duration,
    /// Silence before the first keep-alive probe.
    pub keepalive: Duration,
    /// Whether the connection carries traffic: it must then leave the last descriptors to readiness and admin.
    pub traffic: bool,
    /// Whether the other end is in the same pod: it may then rest without reading ([`let_rest_within_pod`]).
    pub within_pod: bool,
}

impl DialOptions {
    /// As other workloads and services are dialled.
    #[must_use]
    pub fn upstream(limits: &Limits, interception: &InterceptionConfig) -> Self {
        Self {
            source: None,
            mark: interception.mark,
            timeout: limits.connect_timeout,
            keepalive: limits.tcp_keepalive,
            traffic: false,
            within_pod: false,
        }
    }

    /// The same for traffic: it is refused when descriptors run out, a little before the system would.
    #[must_use]
    pub fn for_traffic(self) -> Self {
        Self { traffic: true, ..self }
    }

    /// As our own app is dialled, from a source address that the redirection rules recognise, if there are any.
    #[must_use]
    pub fn app(limits: &Limits, interception: &InterceptionConfig, source: Option<IpAddr>) -> Self {
        let timeout = limits.app_connect_timeout;
        Self { source, timeout, within_pod: true, ..Self::upstream(limits, interception) }
    }

    /// Connects.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::TimedOut`].
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if self.traffic && !descriptors::may_dial(&socket) {
            return Err(io::Error::from(nix::errno::Errno::EMFILE));
        }
        if let Some(mark) = self.mark {
            SockRef::from(&socket).set_mark(mark)?;
        }
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = tokio::time::timeout(self.timeout, socket.connect(to))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let options = SockRef::from(&stream);
        set_options(&options, self.keepalive)?;
        if self.within_pod {
            options.set_tcp_user_timeout(None)?;
        }
        Ok(stream)
    }
}

/// Makes the close of this connection an abort (RST), so that the peer never takes a truncated answer for a complete
/// one (SECURITY-CASES F-14).
pub fn abort_on_close(stream: &TcpStream) {
    // It fails only on a socket that is already closed, and then nothing is left to do.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests;
