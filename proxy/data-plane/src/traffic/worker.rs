//! A worker: one thread, one runtime, its own listeners and pools. Nothing on the request path
//! takes a lock that another worker takes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::verify::HandshakeSide;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::clock::unix_now;
use crate::connection::mesh_connection::MeshConnection;
use crate::connection::net::descriptors;
use crate::connection::registry::{Connection, ConnectionDeadlines, ConnectionPhase};
use crate::labels::{CloseReason, Direction, Protocol};
use crate::limits::Limits;
use crate::telemetry::LogSink;
use crate::telemetry::metrics::TrafficLabels;
use crate::telemetry::trace::Tracer;
use crate::traffic::app::AppPool;
use crate::traffic::egress::EgressPool;
use crate::traffic::forward::backend_cache::BackendCache;
use crate::traffic::forward::name_cache::NameCache;
use crate::traffic::forward::route_meters::RouteMeters;
use crate::traffic::jwt::TokenCache;
use crate::traffic::mesh::{MeshDialer, MeshPool};
use crate::traffic::record::{Recorder, TrafficMeter};
use crate::traffic::state::{DrainStage, ProxyState};

/// How often a worker flushes its log lines and ticks its clock.
const TICK: Duration = Duration::from_millis(200);
/// Ticks between two looks at all connections: one second.
const SWEEP_TICKS: u32 = 5;
/// Coarse seconds without a request after which a connection gives its buffers back: one to two seconds.
const REST_AFTER: u32 = 2;
/// How long after the last eviction descriptors are watched.
const FLOOD_AFTERMATH: Duration = Duration::from_secs(2);
/// The time between two rounds of evictions.
const EVICTION_INTERVAL: Duration = Duration::from_millis(100);
/// How many connections are evicted in one round.
const EVICTED_AT_ONCE: usize = 16;
/// Copies of requests that a worker sends at once: what is only watched must not crowd out what is asked for.
const MAX_MIRRORS: usize = 64;
/// Kinds of traffic whose counters a worker keeps resolved.
const MAX_METERS: usize = 4096;

/// What the connections of one worker share.
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// What all workers share.
    pub state: Arc<ProxyState>,
    /// Its connections to our apps.
    pub apps: Arc<AppPool>,
    /// What counts and logs its connections and requests.
    pub recorder: Arc<Recorder>,
    /// Dials other workloads.
    pub dialer: Arc<MeshDialer>,
    /// Its connections to other workloads.
    pub mesh: MeshPool,
    /// Its connections to services outside the mesh.
    pub(crate) egress: EgressPool,
    /// The resolver's answers for services' names.
    pub(crate) names: NameCache,
    /// The services it has called, as backends.
    pub(crate) backends: BackendCache,
    /// The counters of the rules that took its requests.
    pub(crate) route_meters: RouteMeters,
    /// Copies of requests that it sends at once, for mirrors.
    pub(crate) mirrors: Arc<Semaphore>,
    /// Its cached verdicts about tokens.
    pub tokens: TokenCache,
    /// Handshakes it serves at once; others wait, and their deadline runs.
    pub handshakes: Semaphore,
    meters: Mutex<HashMap<TrafficLabels, Arc<TrafficMeter>>>,
    /// When idle connections were last evicted.
    last_eviction: Mutex<Option<Instant>>,
}

impl Worker {
    /// The worker with this number.
    #[must_use]
    pub fn new(index: usize, workers: usize, state: Arc<ProxyState>, log: LogSink) -> Arc<Self> {
        let handshakes = usize::try_from(state.settings.limits.handshakes).unwrap_or(1) / workers;
        let (clock, metrics) = (state.clock.clone(), state.metrics.clone());
        let tracer = state.settings.sampling.zip(state.spans.clone());
        let tracer = tracer.map(|(sampling, spans)| Tracer::new(sampling, spans));
        let recorder = Recorder::new(clock, metrics, log, state.settings.access_log, tracer);
        let apps = AppPool::new(state.clone());
        let dialer = Arc::new(MeshDialer { state: state.clone(), worker: index });
        Arc::new(Self {
            index,
            state,
            apps,
            dialer,
            recorder: Arc::new(recorder),
            mesh: MeshPool::default(),
            egress: EgressPool::default(),
            names: NameCache::default(),
            backends: BackendCache::default(),
            route_meters: RouteMeters::default(),
            mirrors: Arc::new(Semaphore::new(MAX_MIRRORS)),
            tokens: TokenCache::default(),
            handshakes: Semaphore::new(handshakes.max(1)),
            meters: Mutex::default(),
            last_eviction: Mutex::default(),
        })
    }

    /// The resolved counters of a kind of traffic.
    pub fn meter(&self, labels: TrafficLabels) -> Arc<TrafficMeter> {
        let mut meters = self.meters.lock();
        if let Some(meter) = meters.get(&labels) {
            return meter.clone();
        }
        if meters.len() >= MAX_METERS {
            meters.clear();
        }
        let meter = Arc::new(TrafficMeter::new(self.state.metrics.clone(), labels.clone()));
        meters.insert(labels, meter.clone());
        meter
    }

    /// Ticks until the proxy has ended.
    pub(super) async fn look_after(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for tick in 0u32.. {
            ticks.tick().await;
            self.state.clock.tick();
            self.recorder.flush();
            self.evict_after_flood(Instant::now());
            if tick % SWEEP_TICKS == 0 {
                self.sweep();
            }
            if *self.state.drain.borrow() == DrainStage::Ended {
                break;
            }
        }
        self.recorder.flush();
    }

    /// Evicts the inbound connections of this worker that have waited longest without a request. At most some at a
    /// time: a flood must not cause a walk over all connections for each of its own.
    pub(super) fn evict_idle(&self, now: Instant) {
        let mut last = self.last_eviction.lock();
        if last.is_some_and(|at| now.duration_since(at) < EVICTION_INTERVAL) {
            return;
        }
        *last = Some(now);
        let open = self.state.registry.of_worker(self.index);
        let mut unproven: Vec<_> = open
            .into_iter()
            .filter(|one| one.direction == Direction::Inbound && one.phase().0.is_unproven())
            .filter(|one| one.closing().is_none())
            .collect();
        // Numbers grow with time.
        unproven.sort_unstable_by_key(|one| one.id);
        unproven.iter().take(EVICTED_AT_ONCE).for_each(|one| one.evict());
    }

    /// Goes on evicting after a flood, so that the next good client finds free descriptors and need not cause an
    /// eviction itself.
    fn evict_after_flood(&self, now: Instant) {
        let lately = |at: Instant| now.duration_since(at) < FLOOD_AFTERMATH;
        if self.last_eviction.lock().is_some_and(lately) && descriptors::are_scarce() {
            self.evict_idle(now);
        }
    }

    /// Ends a mesh connection of ours to a server with its certificates; before that it takes no more requests. Those
    /// of clients end as connections.
    fn enforce_bounds(&self, mesh_connection: &Arc<MeshConnection>, unix: u64) {
        let bounds = mesh_connection.bounds();
        if mesh_connection.peer_side == HandshakeSide::Client {
            return;
        }
        if unix >= bounds.expires {
            self.state.cut_upstream(mesh_connection, CloseReason::CertificateEnded);
        } else {
            mesh_connection.retire_when_due(unix);
        }
    }

    /// Closes connections that exceed the deadline of their phase, and those that a certificate no longer covers.
    fn sweep(&self) {
        let limits = &self.state.settings.limits;
        let (now, unix) = (self.state.clock.coarse(), unix_now());
        for connection in self.state.registry.of_worker(self.index) {
            if let Some(reason) = due_close_reason(&connection, limits, now, unix) {
                connection.close(reason);
            } else if may_rest(&connection, now) {
                connection.ask_for_buffers();
            }
        }
        self.state
            .mesh_connections
            .of_worker(self.index)
            .iter()
            .for_each(|mesh_connection| self.enforce_bounds(mesh_connection, unix));
        self.apps.sweep(now.saturating_sub(seconds(limits.app_idle_timeout)));
        self.mesh.sweep(now, seconds(limits.pool_idle_timeout));
        self.egress.sweep(now);
        if self.index == 0 {
            let now = self.state.clock.since_start(Instant::now());
            self.state.balancers.report(&self.state.metrics, now);
            self.state.rate_limits.sweep();
            self.state.abuse.sweep();
            self.state.report_sessions();
        }
    }
}

/// Whether this connection has waited for its next request for long enough to do so without buffers. Getting them again
/// costs a microsecond or two, which is nothing to a client that comes once in a while.
fn may_rest(connection: &Connection, now: u32) -> bool {
    let (phase, since) = connection.phase();
    phase == ConnectionPhase::Idle && now.saturating_sub(since) >= REST_AFTER
}

/// Why this connection should close now, if it should. Pure: the clocks are passed in.
fn due_close_reason(
    connection: &Connection,
    limits: &Limits,
    now: u32,
    unix: u64,
) -> Option<CloseReason> {
    if connection.has_expired(unix) {
        return Some(CloseReason::CertificateEnded);
    }
    if unix >= connection.expiry() {
        return Some(CloseReason::CertificateExpiry);
    }
    if connection.protocol() == Protocol::Http1
        && connection.unread_for(now) > seconds(limits.body_stall_timeout)
    {
        return Some(CloseReason::ReaderStalled);
    }
    let (phase, since) = connection.phase();
    let for_seconds = now.saturating_sub(since);
    let usual = ConnectionDeadlines { head: limits.header_timeout, idle: limits.idle_timeout };
    let ConnectionDeadlines { head, idle } = connection.deadlines().unwrap_or(usual);
    let (head, idle) = (seconds(head), seconds(idle));
    match phase {
        ConnectionPhase::Head if for_seconds > head => Some(CloseReason::HeaderTimeout),
        ConnectionPhase::First if for_seconds > head => {
            Some(graceful_reason(connection, for_seconds - head, head))
        }
        ConnectionPhase::Idle if for_seconds > idle => {
            Some(graceful_reason(connection, for_seconds - idle, head))
        }
        _ => None,
    }
}

/// A first request on HTTP/1 that is late is a timeout. Otherwise the client is informed (GOAWAY, `Connection: close`),
/// and a stream that is on its way is still accepted; a client that does not react has the time of a head, `late`
/// seconds of which have passed.
fn graceful_reason(connection: &Connection, late: u32, head: u32) -> CloseReason {
    let first = connection.phase().0 == ConnectionPhase::First;
    let is_informed = connection.protocol() != Protocol::Http1 || !first;
    if is_informed && late <= head { CloseReason::Idle } else { CloseReason::HeaderTimeout }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
