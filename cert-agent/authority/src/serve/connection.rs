//! A connection of the authority's sockets: its bytes, who is at the other end, its place among the others, and its end
//! when nobody uses it.
//!
//! Agents keep connections: one carries the long stream of bundles, others requests every now and then. A connection
//! on which no request and no stream is open for a while is closed, however lively its transport is (HTTP/2 pings keep
//! any connection lively).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::Connected;
use tower_service::Service;

use crate::attest::Caller;

/// From the handshake to the first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// Who has how many connections.
#[derive(Debug, Clone)]
pub(super) struct ConnectionCounts {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// One connection of a source; ends with the value.
#[derive(Debug)]
pub(super) struct CountedPlace {
    sources: ConnectionCounts,
    source: IpAddr,
}

impl ConnectionCounts {
    /// So many for each.
    pub(super) fn new(limit: usize) -> Self {
        Self { open: Arc::default(), limit }
    }

    /// One more for this address; none when it has its share. The addresses of one /64 are one source: a host of IPv6
    /// has them all.
    pub(super) fn take(&self, address: IpAddr) -> Option<CountedPlace> {
        let source = source(address);
        let mut open = self.open.lock();
        let count = open.entry(source).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(CountedPlace { sources: self.clone(), source })
    }
}

impl Drop for CountedPlace {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.sources.open.lock().entry(self.source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// What is open on a connection, for both of its ends of our code: the bytes and the requests.
#[derive(Debug, Clone)]
pub(super) struct ConnectionUse(Arc<Mutex<UseState>>);

#[derive(Debug)]
struct UseState {
    open: usize,
    /// Since when nothing is open; no meaning while something is.
    since: Instant,
    limit: Duration,
    idle: Duration,
}

/// One request or stream; ends with the value.
#[derive(Debug)]
struct OpenRequest(ConnectionUse);

impl UseState {
    fn new(idle: Duration, now: Instant) -> Self {
        Self { open: 0, since: now, limit: FIRST_REQUEST.min(idle), idle }
    }

    fn begun(&mut self) {
        self.open += 1;
    }

    fn ended(&mut self, now: Instant) {
        self.open -= 1;
        self.since = now;
        self.limit = self.idle;
    }

    /// When the connection is to be closed, unless something is opened before; none while something is open.
    fn end(&self) -> Option<Instant> {
        (self.open == 0).then(|| self.since + self.limit)
    }
}

impl ConnectionUse {
    fn begin(&self) -> OpenRequest {
        self.0.lock().begun();
        OpenRequest(self.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.0.lock().ended(Instant::now());
    }
}

/// What a request knows of its connection.
#[derive(Debug, Clone)]
pub(super) struct PeerInfo {
    caller: Caller,
    using: ConnectionUse,
}

/// Counts the requests of each connection for as long as their answers last, and tells them who calls.
#[derive(Debug, Clone)]
pub(super) struct CountedRequests<S>(pub(super) S);

impl<S: NamedService> NamedService for CountedRequests<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for CountedRequests<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let peer = request.extensions_mut().remove::<PeerInfo>();
        let open = peer.map(|peer| {
            request.extensions_mut().insert(peer.caller);
            peer.using.begin()
        });
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _until_the_body_ends = &open;
                    frame
                }))
            }))
        })
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    socket: Socket,
    peer: PeerInfo,
    /// Asks at times whether anybody still uses us.
    watch: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
    _place: Option<CountedPlace>,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl AcceptedConnection {
    /// Closed when nothing is open on it for `idle`.
    pub(super) fn new(
        socket: Socket,
        caller: Caller,
        idle: Duration,
        permit: OwnedSemaphorePermit,
        place: Option<CountedPlace>,
    ) -> Self {
        let state = UseState::new(idle, Instant::now());
        let peer = PeerInfo { caller, using: ConnectionUse(Arc::new(Mutex::new(state))) };
        let watch = Box::pin(tokio::time::sleep(FIRST_REQUEST.min(idle)));
        Self { socket, peer, watch, _permit: permit, _place: place }
    }

    /// Ready when the connection is to be closed. While something is open it looks again later.
    fn poll_unused(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.watch.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let end = self.peer.using.0.lock().end();
            match end {
                Some(end) if end <= now => return Poll::Ready(()),
                Some(end) => self.watch.as_mut().reset(end),
                None => self.watch.as_mut().reset(now + FIRST_REQUEST),
            }
        }
        Poll::Pending
    }
}

impl Connected for AcceptedConnection {
    type ConnectInfo = PeerInfo;

    fn connect_info(&self) -> PeerInfo {
        self.peer.clone()
    }
}

impl AsyncRead for AcceptedConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = match &mut this.socket {
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        // To read the end of the stream is how a connection without open requests ends in order.
        if read.is_pending() && this.poll_unused(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncWrite for AcceptedConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().socket {
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn s33_ca_dos_a_source_has_its_share_of_connections() {
        let sources = ConnectionCounts::new(2);
        let take = |address: &str| sources.take(address.parse().unwrap());
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some(), "another address is not concerned");
        drop(held);
        assert!(take("192.0.2.1").is_some());
        let prefix = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(prefix.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "one /64 is one source");
        assert!(take("2001:db8:0:1::1").is_some());
        drop(prefix);
        assert!(sources.open.lock().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn s33_ca_dos_a_connection_without_requests_ends_and_one_with_a_stream_stays() {
        let (start, idle) = (Instant::now(), Duration::from_secs(60));
        let mut state = UseState::new(idle, start);
        assert_eq!(state.end(), Some(start + FIRST_REQUEST));
        state.begun();
        assert_eq!(state.end(), None, "a stream may last");
        state.begun();
        state.ended(start + Duration::from_secs(7));
        assert_eq!(state.end(), None, "one is still open");
        let later = start + Duration::from_secs(86_400);
        state.ended(later);
        assert_eq!(state.end(), Some(later + idle));
    }
}
