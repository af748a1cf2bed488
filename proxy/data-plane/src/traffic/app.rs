//! Connections to our own app, in plaintext: a pool of HTTP/1.1 connections and shared HTTP/2 connections, all within
//! this worker.
//!
//! Every function here requires a [`Permit`], which only the authorizer can make.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use parking_lot::Mutex;
use policy::Permit;
use tokio::net::TcpStream;

use crate::connection::net::{AbortableStream, BoxedIo, DialOptions};
use crate::http::body::{Body, BodyGuard};
use crate::http::error::{OtherEnd, RequestError};
use crate::http::h2_client::{H2Client, ReservedStream};
use crate::http::h2_pool::{H2Pool, TRIES, ended};
use crate::http::head;
use crate::http::headers::AnswerOrigin;
use crate::http::http1_client::{Http1Client, Http1SendError};
use crate::labels::Direction;
use crate::limits::Limits;
use crate::traffic::settings::TrafficSettings;
use crate::traffic::state::ProxyState;

const WHO: OtherEnd = OtherEnd::App;

/// Where the app listens, and how it is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppAddress {
    /// Where.
    pub address: SocketAddr,
    /// The source address by which the redirection rules recognise the proxy's own forwarding, if there are rules.
    pub source: Option<IpAddr>,
}

impl AppAddress {
    /// Opens a connection to the app.
    ///
    /// # Errors
    /// [`RequestError::Connect`].
    async fn dial(&self, settings: &TrafficSettings) -> Result<TcpStream, RequestError> {
        DialOptions::app(&settings.limits, &settings.interception, self.source)
            .for_traffic()
            .connect(self.address)
            .await
            .map_err(|source| RequestError::Connect { who: WHO, address: self.address, source })
    }
}

/// The connections of one worker to its apps.
pub struct AppPool {
    state: Arc<ProxyState>,
    #[allow(clippy::vec_box, reason = "boxed once: to lend one for an answer allocates nothing")]
    http1: Mutex<HashMap<AppAddress, Vec<Box<AppLease>>>>,
    http2: Mutex<HashMap<AppAddress, Arc<H2Pool>>>,
}

/// A connection to the app: lent until its answer has been read completely, and closed when that does not happen.
pub struct AppLease {
    app: AppAddress,
    client: Http1Client,
    /// The pool it returns to when it is free; `None` while it is there.
    pool: Option<Arc<AppPool>>,
    /// When it became idle, in seconds of the coarse clock.
    since: u32,
}

impl AppLease {
    fn keep(mut self: Box<Self>) {
        let Some(pool) = self.pool.take() else { return };
        self.since = pool.state.clock.coarse();
        let mut http1 = pool.http1.lock();
        let idle = http1.entry(self.app).or_default();
        let most = pool.state.settings.limits.pool_connections;
        if idle.len() < usize::try_from(most).unwrap_or(1) {
            idle.push(self);
        }
    }
}

impl BodyGuard for AppLease {
    /// Returns the connection to the pool, at once or as soon as it is ready again.
    fn ended(mut self: Box<Self>) {
        if self.client.is_ready() {
            return self.keep();
        }
        if !self.client.is_closed() {
            tokio::spawn(async move {
                let ready = tokio::time::timeout(Duration::from_secs(1), self.client.ready()).await;
                match ready {
                    Ok(true) => self.keep(),
                    // The app has answered while the client still sends.
                    _ => self.client.end(),
                }
            });
        }
    }
}

impl AppPool {
    /// Without a connection yet.
    #[must_use]
    pub fn new(state: Arc<ProxyState>) -> Arc<Self> {
        Arc::new(Self { state, http1: Mutex::default(), http2: Mutex::default() })
    }

    /// The freshest idle connection, if it is young enough: otherwise the app may be closing it at the same moment.
    fn take_idle(self: &Arc<Self>, app: &AppAddress, oldest: u32) -> Option<Box<AppLease>> {
        let mut pool = self.http1.lock();
        let idle = pool.get_mut(app)?;
        while let Some(mut lease) = idle.pop() {
            if lease.since >= oldest && lease.client.is_ready() {
                lease.pool = Some(self.clone());
                return Some(lease);
            }
        }
        None
    }

    /// Closes connections that have been idle since before `oldest`.
    pub fn sweep(&self, oldest: u32) {
        self.http1.lock().retain(|_, idle| {
            idle.retain(|lease| lease.since >= oldest && !lease.client.is_closed());
            !idle.is_empty()
        });
        // A connection to the app is kept for as long as the app keeps it.
        self.http2.lock().retain(|_, pool| !pool.sweep(u32::MAX) || Arc::strong_count(pool) > 1);
    }
}

/// Opens a connection for opaque bytes. The permit is consumed: one decision, one connection.
///
/// # Errors
/// [`RequestError::Connect`].
pub async fn open(
    pool: &AppPool,
    _permit: Permit,
    app: AppAddress,
) -> Result<AbortableStream, RequestError> {
    app.dial(&pool.state.settings).await.map(AbortableStream::new)
}

/// Sends a request to the app, in the HTTP version it came in or its port declares.
///
/// # Errors
/// [`RequestError`]; the app has not answered then.
pub async fn send(
    pool: &Arc<AppPool>,
    permit: Permit,
    app: AppAddress,
    mut request: Box<Request<Body>>,
) -> Result<Response<Body>, RequestError> {
    let limit = pool.state.settings.limits.response_timeout;
    let answer = async {
        match request.version() {
            Version::HTTP_2 => {
                head::for_http2(&mut request);
                send_http2(pool, &permit, app, request).await
            }
            _ => {
                head::for_http1(&mut request);
                send_http1(pool, &permit, app, request).await
            }
        }
    };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(RequestError::Timeout { who: WHO }))
}

async fn send_http1(
    pool: &Arc<AppPool>,
    _permit: &Permit,
    app: AppAddress,
    mut request: Box<Request<Body>>,
) -> Result<Response<Body>, RequestError> {
    let idle_limit =
        u32::try_from(pool.state.settings.limits.app_idle_timeout.as_secs()).unwrap_or(u32::MAX);
    let oldest = pool.state.clock.coarse().saturating_sub(idle_limit);
    loop {
        let (mut lease, fresh) = match pool.take_idle(&app, oldest) {
            Some(lease) => (lease, false),
            None => (Box::pin(open_http1(pool, app)).await?, true),
        };
        match lease.client.send(request, AnswerOrigin::Other).await {
            Ok(response) if is_reusable(&response) => {
                return Ok(response.map(|body| body.until_read(lease)));
            }
            Ok(response) => return Ok(response),
            // An idle connection that closed before it took the request: the request is complete and unsent, so another
            // connection may send it.
            Err(Http1SendError::Unsent(unsent)) if !fresh => request = unsent,
            Err(unanswered) => return Err(unanswered.into_error(WHO)),
        }
    }
}

/// Whether the connection of this answer may be reused. After an answer of HTTP/1.0 the library speaks that version,
/// too, which has no chunks: a body of unknown length would end up without one.
pub(crate) fn is_reusable<B>(response: &Response<B>) -> bool {
    response.version() == Version::HTTP_11
}

async fn open_http1(pool: &Arc<AppPool>, app: AppAddress) -> Result<Box<AppLease>, RequestError> {
    let io: BoxedIo = Box::new(app.dial(&pool.state.settings).await?);
    let limits = &pool.state.settings.limits;
    let client = Http1Client::open(io, limits, WHO, std::future::pending()).await?;
    Ok(Box::new(AppLease { app, client, pool: Some(pool.clone()), since: 0 }))
}

async fn send_http2(
    pool: &Arc<AppPool>,
    _permit: &Permit,
    app: AppAddress,
    request: Box<Request<Body>>,
) -> Result<Response<Body>, RequestError> {
    let shared = pool.http2.lock().entry(app).or_default().clone();
    for _ in 0..TRIES {
        let place = match shared.reserve_stream() {
            Some(place) => place,
            None => Box::pin(open_http2(pool, &shared, app)).await?,
        };
        // Without a slot: the app has announced the connection's end since it was last used.
        if let Ok(slot) = place.until_ready().await {
            return slot.send(request).await.map_err(|e| e.into_error(WHO));
        }
    }
    Err(ended(WHO))
}

/// A stream of a connection that is opened for it, unless the task before in turn has opened one.
async fn open_http2(
    pool: &Arc<AppPool>,
    shared: &H2Pool,
    app: AppAddress,
) -> Result<ReservedStream, RequestError> {
    let limits = &pool.state.settings.limits;
    let _turn = shared.opening_turn(limits.app_connect_timeout).await;
    if let Some(place) = shared.reserve_stream() {
        return Ok(place);
    }
    if shared.is_full(limits) {
        pool.state.metrics.overflow(Direction::Inbound);
        return Err(RequestError::Overflow { who: WHO, address: app.address });
    }
    let io: BoxedIo = Box::new(app.dial(&pool.state.settings).await?);
    let client = H2Client::open(io, limits).await.map_err(|e| broken(&e))?;
    let place = client.reserve_stream().ok_or_else(|| ended(WHO))?;
    shared.add(client);
    Ok(place)
}

/// Sends a request that wants to switch protocols, on a connection of its own which never returns
/// to the pool (SECURITY-CASES S-08).
///
/// # Errors
/// As [`send`].
pub async fn send_upgrade(
    pool: &Arc<AppPool>,
    _permit: Permit,
    app: AppAddress,
    request: Box<Request<Body>>,
) -> Result<Response<Body>, RequestError> {
    let io: BoxedIo = Box::new(app.dial(&pool.state.settings).await?);
    upgrade_over(io, request, &pool.state.settings.limits, WHO, AnswerOrigin::Other).await
}

/// Sends an upgrade request over a byte stream that serves it alone, to `who`; `speaker` says whether it may use the
/// headers of a proxy.
///
/// # Errors
/// [`RequestError`], attributed to `who`.
pub(crate) async fn upgrade_over(
    io: BoxedIo,
    mut request: Box<Request<Body>>,
    limits: &Limits,
    who: OtherEnd,
    speaker: AnswerOrigin,
) -> Result<Response<Body>, RequestError> {
    head::for_http1(&mut request);
    let mut client = Http1Client::open(io, limits, who, std::future::pending()).await?;
    tokio::time::timeout(limits.response_timeout, client.send(request, speaker))
        .await
        .map_err(|_| RequestError::Timeout { who })?
        .map_err(|unanswered| unanswered.into_error(who))
}

fn broken(error: &impl std::error::Error) -> RequestError {
    RequestError::broken(WHO, error)
}
