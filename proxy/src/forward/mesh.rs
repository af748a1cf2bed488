//! To other workloads, over mutual TLS: one shared HTTP/2 connection a destination wherever the
//! peer speaks it, HTTP/1.1 or bare bytes else.
//!
//! Connections are kept per worker, address and expected identities. A new certificate of ours
//! opens new connections; the old ones end by themselves when their last stream is done, so a
//! rotation drops nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::{Request, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use identity::SpiffeId;
use identity::tls::{ALPN_H2, ALPN_HTTP11, ALPN_POSTERN};
use identity::verify::Usage;
use parking_lot::Mutex;
use rustls::ClientConfig;

use crate::credentials::Credentials;
use crate::error::RequestError;
use crate::filter::version;
use crate::forward::body::Body;
use crate::forward::h2_client::{ConnectError, H2Client, Slot};
use crate::forward::head;
use crate::link::{Link, Proven};
use crate::net::{BoxedIo, Dial, Fair};
use crate::reauth;
use crate::tls::{self, Alpn, Established, HandshakeError};
use crate::worker::Worker;

/// How errors name the other side.
pub(crate) const WHO: &str = "the upstream";
/// Shared connections looked at for one request: some may have come to their end, unnoticed.
const TRIES: usize = 10;
/// Idle HTTP/1.1 connections are used within this many seconds: the other side closes them too.
const IDLE_SECONDS: u32 = 3;

/// What is offered to a server, by what the bytes will be (DESIGN §4, ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Offer {
    Request,
    Upgrade,
    Opaque,
    Nothing,
}

impl Offer {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Request => &[ALPN_POSTERN, ALPN_H2, ALPN_HTTP11],
            Self::Upgrade => &[ALPN_POSTERN, ALPN_HTTP11],
            Self::Opaque => &[ALPN_POSTERN],
            Self::Nothing => &[],
        }
    }
}

/// What a CONNECT stream of the mesh hop carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Opaque bytes.
    Tcp,
    /// One HTTP/1.1 connection whose request switches protocols.
    Upgrade,
    /// The re-authentication of an older connection ([`crate::reauth`]).
    Reauth,
}

impl StreamKind {
    /// The `:protocol` of the CONNECT request.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Upgrade => "upgrade",
            Self::Reauth => "reauth",
        }
    }
}

/// The destinations that a worker is connected to.
#[derive(Default)]
pub struct MeshPool {
    destinations: Mutex<HashMap<Key, Arc<Destination>>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    address: SocketAddr,
    identities: Arc<[SpiffeId]>,
}

/// One address that must prove one of some identities, and our connections to it.
pub struct Destination {
    /// Where it is.
    pub address: SocketAddr,
    host: Arc<str>,
    identities: Arc<[SpiffeId]>,
    state: Mutex<Connections>,
    /// Held while a shared connection is opened, so that a crowd opens one and not hundreds.
    opening: tokio::sync::Mutex<()>,
    /// The server knows no `postern/1` and says so by an alert: offer nothing for opaque bytes.
    offer_nothing: AtomicBool,
}

#[derive(Default)]
struct Connections {
    generation: u64,
    shared: Vec<H2Client>,
    /// Whether the shared connections take CONNECT streams.
    postern: bool,
    http1: bool,
    idle: Vec<(SendRequest<Body>, u32, Arc<Link>)>,
    configs: HashMap<Offer, Arc<ClientConfig>>,
}

/// A connection for one request, open and verified.
pub enum Hop {
    /// A stream of a connection shared with others; whether the peer is one of ours.
    Shared(Slot, bool),
    /// Nobody else's until the answer has been read.
    Alone(SendRequest<Body>, Arc<Link>),
}

/// A TLS connection to the service, and what bounds it.
struct Opened {
    io: BoxedIo,
    alpn: Alpn,
    link: Arc<Link>,
}

/// An open connection, not yet asked whether it takes one more request.
enum Found {
    Shared(H2Client, bool),
    Alone(SendRequest<Body>, Arc<Link>),
}

impl MeshPool {
    /// The destination with this address and these identities; `host` names it in the handshake.
    /// At most `most` are kept.
    pub fn destination(
        &self,
        most: usize,
        address: SocketAddr,
        host: &Arc<str>,
        identities: &Arc<[SpiffeId]>,
    ) -> Arc<Destination> {
        let key = Key { address, identities: identities.clone() };
        let mut destinations = self.destinations.lock();
        if destinations.len() >= most && !destinations.contains_key(&key) {
            destinations.retain(|_, destination| Arc::strong_count(destination) > 1);
            if destinations.len() >= most {
                return Destination::new(address, host, identities);
            }
        }
        let known = destinations.entry(key);
        known.or_insert_with(|| Destination::new(address, host, identities)).clone()
    }

    /// Closes connections without a stream for `idle` sweeps, idle HTTP/1.1 connections from before
    /// their limit, and forgets destinations that nobody refers to. Called every second.
    pub fn sweep(&self, now: u32, idle: u32) {
        self.destinations.lock().retain(|_, destination| {
            let mut state = destination.state.lock();
            state.shared.retain(|client| !client.is_closed() && client.quiet_sweeps() <= idle);
            state.idle.retain(|(sender, since, link)| {
                !sender.is_closed() && !link.is_retired() && since + IDLE_SECONDS >= now
            });
            let unused = state.shared.is_empty() && state.idle.is_empty();
            !unused || Arc::strong_count(destination) > 1
        });
    }
}

impl Destination {
    fn new(address: SocketAddr, host: &Arc<str>, identities: &Arc<[SpiffeId]>) -> Arc<Self> {
        Arc::new(Self {
            address,
            host: host.clone(),
            identities: identities.clone(),
            state: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            offer_nothing: AtomicBool::new(false),
        })
    }

    /// Sends a request over a hop of this destination.
    ///
    /// # Errors
    /// [`RequestError`]; the server has not answered then.
    pub async fn send(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        hop: Hop,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, RequestError> {
        match hop {
            Hop::Shared(slot, postern) => {
                if postern {
                    let version = request.version();
                    version::note(request.headers_mut(), version);
                }
                head::for_http2(&mut request);
                slot.send(request).await.map_err(|e| e.into_error(WHO))
            }
            Hop::Alone(sender, link) => {
                head::for_http1(&mut request);
                self.send_http1(worker, (sender, link), request).await
            }
        }
    }

    async fn send_http1(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        (mut sender, mut link): (SendRequest<Body>, Arc<Link>),
        mut request: Request<Body>,
    ) -> Result<Response<Body>, RequestError> {
        for _ in 0..TRIES {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep_when_ready(worker, sender, link);
                    return Ok(response.map(Body::http1));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(&error.into_error())),
                },
            }
            (sender, link) = self.open_http1(self.connect(worker, Offer::Request).await?).await?;
        }
        Err(ended())
    }

    /// An HTTP/1.1 connection is free again when its answer has been read.
    fn keep_when_ready(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        mut sender: SendRequest<Body>,
        link: Arc<Link>,
    ) {
        let (destination, worker) = (self.clone(), worker.clone());
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                let mut state = destination.state.lock();
                let most = worker.state.config.limits.pool_connections;
                if state.idle.len() < usize::try_from(most).unwrap_or(1) && !link.is_retired() {
                    state.idle.push((sender, worker.state.clock.coarse(), link));
                }
            }
        });
    }

    /// A byte stream to the service: a CONNECT stream of the shared connection, or a connection of
    /// its own to a server that is none of ours. The caller's connection takes the link over, which
    /// ends it in time.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent then.
    pub async fn open_stream(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<Link>), RequestError> {
        let offer = match kind {
            StreamKind::Upgrade => Offer::Upgrade,
            StreamKind::Tcp if self.offer_nothing.load(Relaxed) => Offer::Nothing,
            StreamKind::Tcp | StreamKind::Reauth => Offer::Opaque,
        };
        for _ in 0..TRIES {
            let Some(client) = self.shared_for_streams(worker)? else { break };
            match self.connect_stream(worker, &client, kind).await {
                // Its end was announced since it was last used.
                Err(error) if error.is_unprocessed() && client.is_closed() => {}
                done => return done,
            }
        }
        let one = self.turn_to_open(worker).await;
        if let Some(client) = self.shared_for_streams(worker)? {
            drop(one);
            return self.connect_stream(worker, &client, kind).await;
        }
        let established = match self.connect(worker, offer).await {
            Err(RequestError::Handshake { source, .. })
                if offer == Offer::Opaque && source.is_no_application_protocol() =>
            {
                self.offer_nothing.store(true, Relaxed);
                self.connect(worker, Offer::Nothing).await?
            }
            other => other?,
        };
        match established.alpn {
            Alpn::Postern => {
                let client = self.share(worker, established).await?;
                drop(one);
                self.connect_stream(worker, &client, kind).await
            }
            _ => Ok((established.io, established.link)),
        }
    }

    /// A connection made for the purpose, with the certificates both sides hold now; no pool knows
    /// it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(crate) async fn open_fresh(
        &self,
        worker: &Worker,
    ) -> Result<(H2Client, Arc<Link>), RequestError> {
        let opened = self.connect(worker, Offer::Opaque).await?;
        let link = opened.link.clone();
        let limits = &worker.state.config.limits;
        let nothing = |_| std::future::pending();
        let client = H2Client::open_link(opened.io, limits, opened.link, nothing)
            .await
            .map_err(|e| broken(&e))?;
        Ok((client, link))
    }

    /// Whether resources still say that the service may be this one.
    pub(crate) fn is_still(&self, worker: &Worker, peer: &SpiffeId) -> bool {
        let snapshot = worker.state.snapshot();
        let mut services = snapshot.services().iter();
        services.any(|service| service.host == self.host && service.identities.contains(peer))
    }

    /// A turn to open a shared connection. Whoever has waited as long as a connection may take goes
    /// without one, so that a dead upstream does not make a queue of those who call it.
    async fn turn_to_open(&self, worker: &Worker) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let limit = worker.state.config.limits.connect_timeout;
        tokio::time::timeout(limit, self.opening.lock()).await.ok()
    }

    async fn connect_stream(
        &self,
        worker: &Worker,
        client: &H2Client,
        kind: StreamKind,
    ) -> Result<(BoxedIo, Arc<Link>), RequestError> {
        let link = client.link().ok_or_else(ended)?.clone();
        let authority = self.address.to_string();
        let limit = worker.state.config.limits.handshake_timeout;
        let opened = tokio::time::timeout(limit, client.connect(&authority, kind.as_str(), WHO));
        match opened.await.map_err(|_| RequestError::Timeout { who: WHO })? {
            Ok(tunnel) => Ok((Box::new(tunnel), link)),
            Err(ConnectError::Request(error)) => Err(error),
            Err(refusal) => Err(RequestError::Broken {
                who: WHO,
                cause: refusal.to_string(),
                unprocessed: false,
            }),
        }
    }

    /// A shared connection that takes CONNECT streams, if one is open.
    fn shared_for_streams(&self, worker: &Worker) -> Result<Option<H2Client>, RequestError> {
        let (mut state, _) = self.current(worker)?;
        Ok(if state.postern { least_used(&mut state.shared) } else { None })
    }

    /// A connection for one request: shared where possible, opened where necessary. A shared one
    /// whose end was announced since it was last used is passed over.
    ///
    /// # Errors
    /// [`RequestError`]; nothing has been sent, so another destination may be tried.
    pub async fn hop(self: &Arc<Self>, worker: &Arc<Worker>) -> Result<Hop, RequestError> {
        for _ in 0..TRIES {
            match self.open_or_shared(worker).await? {
                Found::Alone(sender, link) => return Ok(Hop::Alone(sender, link)),
                Found::Shared(client, postern) => {
                    if let Ok(slot) = client.slot().await {
                        return Ok(Hop::Shared(slot, postern));
                    }
                }
            }
        }
        Err(ended())
    }

    async fn open_or_shared(self: &Arc<Self>, worker: &Arc<Worker>) -> Result<Found, RequestError> {
        if let Some(found) = self.find_open(worker)? {
            return Ok(found);
        }
        if self.state.lock().http1 {
            let established = self.connect(worker, Offer::Request).await?;
            return self.open_http1(established).await.map(|(one, link)| Found::Alone(one, link));
        }
        let _one = self.turn_to_open(worker).await;
        if let Some(found) = self.find_open(worker)? {
            return Ok(found);
        }
        let established = self.connect(worker, Offer::Request).await?;
        match established.alpn {
            Alpn::Postern | Alpn::H2 => {
                let postern = established.alpn == Alpn::Postern;
                self.share(worker, established).await.map(|client| Found::Shared(client, postern))
            }
            Alpn::Http11 | Alpn::None => {
                self.state.lock().http1 = true;
                self.open_http1(established).await.map(|(one, link)| Found::Alone(one, link))
            }
        }
    }

    fn find_open(&self, worker: &Worker) -> Result<Option<Found>, RequestError> {
        let now = worker.state.clock.coarse();
        let most = usize::try_from(worker.state.config.limits.mesh_connections).unwrap_or(1);
        let (mut state, _) = self.current(worker)?;
        let full = state.shared.len() >= most;
        let least = least_used(&mut state.shared);
        if let Some(client) = least.filter(|client| client.has_room() || full) {
            return Ok(Some(Found::Shared(client, state.postern)));
        }
        while let Some((sender, since, link)) = state.idle.pop() {
            if since + IDLE_SECONDS >= now && sender.is_ready() && !link.is_retired() {
                return Ok(Some(Found::Alone(sender, link)));
            }
        }
        Ok(None)
    }

    /// The connections, made with the certificate in force; those of an older one are let go.
    fn current(
        &self,
        worker: &Worker,
    ) -> Result<(parking_lot::MutexGuard<'_, Connections>, Arc<Credentials>), RequestError> {
        let credentials = worker.state.valid_credentials().ok_or(RequestError::NoCertificate)?;
        let mut state = self.state.lock();
        if state.generation != credentials.generation() {
            *state = Connections { generation: credentials.generation(), ..Connections::default() };
        }
        Ok((state, credentials))
    }

    async fn share(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        opened: Opened,
    ) -> Result<H2Client, RequestError> {
        let postern = opened.alpn == Alpn::Postern;
        let client = self.open_h2(worker, opened).await.map_err(|e| broken(&e))?;
        let (mut state, _) = self.current(worker)?;
        state.postern = postern;
        state.shared.push(client.clone());
        Ok(client)
    }

    /// An HTTP/2 connection that outlives its certificates if the server is one of ours.
    async fn open_h2(
        self: &Arc<Self>,
        worker: &Arc<Worker>,
        opened: Opened,
    ) -> Result<H2Client, h2::Error> {
        let Opened { io, link, .. } = opened;
        let limits = &worker.state.config.limits;
        let (worker, destination, kept) = (worker.clone(), self.clone(), link.clone());
        H2Client::open_link(io, limits, link, |streams| {
            reauth::keep(worker, destination, kept, streams)
        })
        .await
    }

    async fn open_http1(
        &self,
        opened: Opened,
    ) -> Result<(SendRequest<Body>, Arc<Link>), RequestError> {
        let Opened { io, link, .. } = opened;
        let (sender, connection) =
            http1::handshake(TokioIo::new(Fair::new(io))).await.map_err(|e| broken(&e))?;
        let bound = link.clone();
        tokio::spawn(async move {
            tokio::select! {
                // Its error has reached the request that was on it.
                _ = connection => {}
                _ = bound.until_cut() => {}
            }
        });
        Ok((sender, link))
    }

    async fn connect(&self, worker: &Worker, offer: Offer) -> Result<Opened, RequestError> {
        let (config, credentials) = self.client_config(worker, offer)?;
        let limits = &worker.state.config.limits;
        let dial = Dial::upstream(&worker.state.config);
        let address = self.address;
        let tcp = dial.connect(address).await.map_err(|source| RequestError::Connect {
            who: WHO,
            address,
            source,
        })?;
        let name = tls::server_name(&self.host, address.ip());
        let result = tls::connect(Box::new(tcp), config, name, limits.handshake_timeout).await;
        let label = result.as_ref().err().map_or("ok", HandshakeError::label);
        worker.state.metrics.handshake("client", label);
        let established = result.map_err(|source| RequestError::Handshake { address, source })?;
        let Established { io, peer, chain, binding, alpn } = established;
        let proven = Proven::of(Usage::Server, &peer, chain, binding, &credentials);
        let link = worker.state.open_link(worker.index, proven, &credentials);
        match link.closing() {
            Some(_) => Err(RequestError::NoCertificate),
            None => Ok(Opened { io, alpn, link }),
        }
    }

    fn client_config(
        &self,
        worker: &Worker,
        offer: Offer,
    ) -> Result<(Arc<ClientConfig>, Arc<Credentials>), RequestError> {
        let (mut state, credentials) = self.current(worker)?;
        if let Some(config) = state.configs.get(&offer) {
            return Ok((config.clone(), credentials));
        }
        let config = credentials
            .client_config(self.identities.clone(), offer.alpn())
            .map_err(|_| RequestError::NoCertificate)?;
        state.configs.insert(offer, config.clone());
        Ok((config, credentials))
    }
}

/// The open connection with the fewest streams.
fn least_used(shared: &mut Vec<H2Client>) -> Option<H2Client> {
    shared.retain(|client| !client.is_closed());
    shared.iter().min_by_key(|client| client.streams()).cloned()
}

/// Connections came to their end faster than they were opened.
fn ended() -> RequestError {
    let cause = format!("{TRIES} connections ended before they took the request");
    RequestError::Broken { who: WHO, cause, unprocessed: true }
}

fn broken(error: &dyn std::error::Error) -> RequestError {
    let cause = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    RequestError::Broken { who: WHO, cause, unprocessed: false }
}
