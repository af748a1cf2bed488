//! What is in force now: the snapshot, the services, the credentials, and everything all workers share.
//!
//! Each of the three is immutable and swapped whole, with an epoch of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use identity::SpiffeId;
use identity::verify::HandshakeSide;
use policy::{
    AbusePolicies, ClientCredentialsTable, Protocol, RateLimits, Resources, RouteTable,
    ServiceTable, Snapshot, TrafficPolicies, Workload,
};
use rustls_pki_types::UnixTime;
use session_store::{MemoryBounds, SessionStore};
use tokio::sync::watch;

use crate::clock::{Clock, unix_now};
use crate::connection::credentials::Credentials;
use crate::connection::mesh_connection::{ConnectionEvidence, MeshConnection, MeshConnectionTable};
use crate::connection::registry::Registry;
use crate::labels::CertificateState;
use crate::labels::{CloseReason, Direction};
use crate::telemetry::LogThrottle;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::SpanQueue;
use crate::traffic::abuse::AbuseWatch;
use crate::traffic::api_schema::in_force::ApiSchemas;
use crate::traffic::authorize;
use crate::traffic::balancing::Balancers;
use crate::traffic::client_connections::ClientConnections;
use crate::traffic::client_credentials::added::AddedTokens;
use crate::traffic::decisions::RecentDecisions;
use crate::traffic::demand::DestinationDemand;
use crate::traffic::edge::Edge;
use crate::traffic::held_memory::MemoryBudget;
use crate::traffic::introspection::desk::IntrospectionDesk;
use crate::traffic::jwt::UsedProofs;
use crate::traffic::provider_calls::ProviderCalls;
use crate::traffic::rate_limits::RequestLimits;
use crate::traffic::services::{CallRules, Services};
use crate::traffic::settings::{InboundListener, TrafficSettings};
use crate::traffic::sign_in::shared::SignIns;
use crate::traffic::threats::detections::RecentDetections;
use crate::traffic::threats::inspector::ThreatInspector;
use crate::traffic::token_exchange::exchanger::TokenExchanger;
use crate::traffic::token_keys::TokenKeys;

/// The proxy's shared state.
pub struct ProxyState {
    /// The configuration of the data plane, fixed for the life of the process.
    pub settings: TrafficSettings,
    /// The coarse clock.
    pub clock: Arc<Clock>,
    /// The open connections.
    pub registry: Arc<Registry>,
    /// The TLS connections of the mesh, and what bounds them.
    pub mesh_connections: MeshConnectionTable,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The spans that wait for the collector, where there is one.
    pub spans: Option<Arc<SpanQueue>>,
    /// The latest decisions, for `GET /decisions`.
    pub decisions: RecentDecisions,
    /// The latest detections of ThreatPolicies, for `GET /detections`.
    pub detections: RecentDetections,
    /// What sessions with brokers hold of messages, all together.
    pub(crate) event_memory: MemoryBudget,
    /// By what requests are looked through for attacks.
    pub threats: ThreatInspector,
    /// The keys of token issuers.
    pub token_keys: TokenKeys,
    /// The tokens that are added to what leaves for hosts outside.
    pub client_credentials: Arc<AddedTokens>,
    /// The tokens of the mesh that stand in the place of users' own.
    pub token_exchange: TokenExchanger,
    /// What the sign-ins of a gateway share.
    pub(crate) sign_ins: SignIns,
    /// What issuers have said of tokens, and how they are asked.
    pub(crate) introspections: Arc<IntrospectionDesk>,
    /// How providers on the web are asked, by control and workers alike.
    pub provider_calls: Arc<ProviderCalls>,
    /// The limits of callers, and what they have used of them.
    pub rate_limits: RequestLimits,
    /// The descriptions that requests are compared with.
    pub api_schemas: ApiSchemas,
    /// Who is blocked for what its requests were answered.
    pub abuse: Arc<AbuseWatch>,
    /// The proofs of possession that were used.
    pub used_proofs: UsedProofs,
    /// What is remembered of users who signed in; our own memory, unless proxies remember together.
    sessions: OnceLock<SessionStore>,
    /// Whether the proxy is ending, and since when new connections are not taken.
    pub drain: watch::Sender<DrainStage>,
    /// Logs at most once a second that connections cannot be accepted.
    pub accept_trouble: LogThrottle,
    /// Logs at most once a second that names cannot be looked up.
    pub dns_trouble: LogThrottle,
    /// The destinations requested from the controller; `None` where resources come from files.
    pub demand: Option<DestinationDemand>,
    /// What the app's ports speak, as the controller says.
    port_protocols: ArcSwap<BTreeMap<u16, Protocol>>,
    /// Where destinations lead.
    pub services: Services,
    /// The ports of the edge, where the proxy is a gateway.
    pub edge: Edge,
    /// How many connections its clients have open.
    pub(crate) edge_clients: Arc<ClientConnections>,
    /// What is known of the endpoints of the services in use.
    pub balancers: Balancers,
    snapshot: ArcSwap<Snapshot>,
    /// The service of our app, as the controller says.
    named_service: ArcSwapOption<Arc<str>>,
    /// `SERVICE-ACCOUNT.NAMESPACE`: the name of our app where no service is known for it.
    fallback_service: Arc<str>,
    credentials: ArcSwapOption<Credentials>,
    generation: AtomicU64,
    certificate_age_on_arrival: AtomicU64,
    policy_epoch: watch::Sender<u64>,
    listening: AtomicBool,
    resources_loaded: AtomicBool,
}

/// How far the end of the proxy has come (see [`crate::control::drain`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainStage {
    /// Running.
    No,
    /// Not ready any more, but still accepting connections, because callers learn of it late.
    Announced,
    /// Accepting no inbound connection; open requests may finish.
    Draining,
    /// Accepting nothing at all, because another process does in our place; open requests may finish.
    HandedOver,
    /// Over: the threads return.
    Ended,
}

impl ProxyState {
    /// The state at the start: no credentials, an empty snapshot that allows what `defaults` say.
    ///
    /// # Errors
    /// When the metrics cannot be registered, which a test rules out.
    pub fn new(settings: TrafficSettings, workers: usize) -> anyhow::Result<Arc<Self>> {
        let snapshot = first_snapshot(&settings);
        let services = Services::new(first_table(&settings));
        let Workload { namespace, service_account, .. } = &settings.workload;
        let fallback_service = format!("{service_account}.{namespace}").into();
        let recent = usize::try_from(settings.limits.recent_decisions)?;
        let detections = usize::try_from(settings.limits.recent_detections)?;
        let names = usize::try_from(settings.limits.metric_principals)?;
        let metrics = Arc::new(Metrics::new(names)?);
        let spans = span_queue(&settings, &metrics);
        let clock = Arc::new(Clock::start());
        let provider_calls = Arc::new(ProviderCalls::new(&settings));
        let introspections = IntrospectionDesk::new(provider_calls.clone(), clock.clone());
        let keys = usize::try_from(settings.limits.rate_limit_keys)?;
        let callers = usize::try_from(settings.limits.abuse_callers)?;
        let event_memory = usize::try_from(settings.limits.event_memory.0)?;
        Ok(Arc::new(Self {
            rate_limits: RequestLimits::new(keys, clock.clone(), metrics.clone()),
            api_schemas: ApiSchemas::default(),
            abuse: Arc::new(AbuseWatch::new(callers, clock.clone(), metrics.clone())),
            client_credentials: Arc::default(),
            token_exchange: TokenExchanger::new(
                settings.agent_socket.clone(),
                clock.clone(),
                metrics.clone(),
            ),
            clock,
            registry: Arc::new(Registry::new(workers)),
            mesh_connections: MeshConnectionTable::new(workers),
            metrics,
            spans,
            decisions: RecentDecisions::new(recent),
            detections: RecentDetections::new(detections),
            event_memory: MemoryBudget::new(event_memory),
            threats: ThreatInspector::new(&settings.limits),
            token_keys: TokenKeys::default(),
            sign_ins: SignIns::default(),
            introspections,
            provider_calls,
            used_proofs: UsedProofs::default(),
            sessions: OnceLock::new(),
            drain: watch::Sender::new(DrainStage::No),
            accept_trouble: LogThrottle::default(),
            dns_trouble: LogThrottle::default(),
            demand: settings.has_controller.then(DestinationDemand::default),
            port_protocols: ArcSwap::default(),
            snapshot: ArcSwap::from_pointee(snapshot),
            services,
            edge: Edge::default(),
            edge_clients: Arc::default(),
            balancers: Balancers::default(),
            named_service: ArcSwapOption::empty(),
            fallback_service,
            credentials: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            certificate_age_on_arrival: AtomicU64::new(0),
            policy_epoch: watch::Sender::new(0),
            listening: AtomicBool::new(false),
            resources_loaded: AtomicBool::new(false),
            settings,
        }))
    }

    /// Whether as many connections and streams are open as `limits.connections` allows.
    pub fn is_full(&self) -> bool {
        let most = usize::try_from(self.settings.limits.connections).unwrap_or(usize::MAX);
        self.registry.len() >= most
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts another snapshot in force, as a whole, and authorizes every open connection and request by it. The keys
    /// that its token rules name are already in [`Self::token_keys`].
    pub fn install_snapshot(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.resources_loaded.store(true, Relaxed);
        self.metrics.config_update(true);
        self.policy_epoch.send_modify(|epoch| *epoch += 1);
        self.recheck();
    }

    /// Puts the services of these resources in force, and how they are called. An unchanged service stays the same value.
    pub fn install_services(&self, resources: &Resources) {
        let mut table = (**self.services.table()).clone();
        table.replace_all(resources);
        // How they are called first: nothing is to be sent to a new service without its routes.
        self.install_calls(resources, &self.settings.workload, false);
        self.services.install(table);
    }

    /// Puts in force how `workload` calls services: its routes, DestinationRules and FaultInjections.
    pub fn install_calls(&self, resources: &Resources, workload: &Workload, incomplete: bool) {
        let routes = RouteTable::build(resources, workload);
        let policies = TrafficPolicies::build(resources, workload);
        self.services.install_calls(CallRules { routes, policies, incomplete });
    }

    /// Puts in force how many requests callers of `workload` may make, and what blocks them, for the next request on.
    pub fn install_limits(&self, resources: &Resources, workload: &Workload) {
        self.rate_limits.install(RateLimits::build(resources, workload, self.settings.is_gateway));
        self.abuse.install(AbusePolicies::build(resources, workload, self.settings.is_gateway));
    }

    /// What is remembered of users who signed in.
    pub fn sessions(&self) -> &SessionStore {
        self.sessions.get_or_init(|| SessionStore::memory(MemoryBounds::default()))
    }

    /// From now on users who signed in are remembered there. Once in the life of a process, before anybody is.
    pub fn remember_in(&self, store: SessionStore) {
        // A second one is not taken.
        let _ = self.sessions.set(store);
    }

    /// Reports how the store of sessions stands, where one is configured or used. Once in a while.
    pub fn report_sessions(&self) {
        let Some(sessions) = self.sessions.get() else { return };
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.session_store_up.set(i64::from(sessions.is_up()));
        self.metrics.session_revocations.set(number(sessions.revocations()));
        self.metrics.session_revocations_full.set(i64::from(sessions.is_full()));
    }

    /// Puts in force which requests of `workload` to hosts outside get tokens of its own.
    pub fn install_client_credentials(&self, resources: &Resources, workload: &Workload) {
        let table = ClientCredentialsTable::build(resources, workload);
        self.client_credentials.install(table);
    }

    /// What the cluster knows of our own pod: the protocols of the app's ports, and the one service that selects it.
    pub fn describe_workload(&self, ports: BTreeMap<u16, Protocol>, service: Option<Arc<str>>) {
        self.port_protocols.store(Arc::new(ports));
        self.named_service.store(service.map(Arc::new));
    }

    /// The declared protocol of a redirected port of the app. What the controller read of the Services in front of it
    /// (`appProtocol`, else their ports' names) comes before our own configuration, which the injector wrote from the
    /// names in the pod alone; but who declares a broker's port as anything else takes nobody's messages out of policy.
    pub fn port_protocol(&self, port: u16) -> Protocol {
        let own = self.settings.inbound.port(port).protocol;
        match self.port_protocols.load().get(&port) {
            Some(told) if told.messages().is_some() || own.messages().is_none() => *told,
            _ => own,
        }
    }

    /// The declared protocol of an explicit listener: its own, unless it is a broker's by what else is known of the app's
    /// port.
    pub fn listener_protocol(&self, listener: &InboundListener) -> Protocol {
        let of_port = self.port_protocol(listener.forward.port());
        let is_broker = listener.protocol.messages().is_none() && of_port.messages().is_some();
        if is_broker { of_port } else { listener.protocol }
    }

    /// How metrics and logs name the service of our app: as the controller says, else the host of the service with our
    /// identity, else `SERVICE-ACCOUNT.NAMESPACE`.
    pub fn own_service(&self) -> Arc<str> {
        if let Some(named) = &*self.named_service.load() {
            return Arc::clone(named);
        }
        let table = self.services.table();
        let host = table.own().map_or(&self.fallback_service, |service| &service.host);
        Arc::clone(host)
    }

    /// Wakes at each change of the snapshot, for those that hold on to an old decision.
    pub fn policy_changes(&self) -> watch::Receiver<u64> {
        self.policy_epoch.subscribe()
    }

    /// The credentials in force, unless they have expired.
    pub fn valid_credentials(&self) -> Option<Arc<Credentials>> {
        let credentials = self.credentials.load_full()?;
        credentials.is_valid(self.clock.unix()).then_some(credentials)
    }

    /// The credentials last put in force, expired or not.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.credentials.load_full()
    }

    /// Puts other credentials in force, which came so many seconds after their `NotBefore`, and verifies every open peer by
    /// their bundles where these are others. `age` is `None` for a certificate that was in force before.
    pub fn install_credentials(&self, credentials: Credentials, age: Option<u64>) {
        let before = self.credentials();
        if let Some(age) = age {
            self.certificate_age_on_arrival.store(age, Relaxed);
        }
        let changed = before.is_some_and(|before| before.bundles() != credentials.bundles());
        let credentials = Arc::new(credentials);
        self.credentials.store(Some(credentials.clone()));
        self.generation.store(credentials.generation(), Relaxed);
        if changed {
            self.verify_peers_again(&credentials);
        }
    }

    /// How many times credentials have been taken over.
    pub fn credentials_generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Our own id, once it is known.
    pub fn own_id(&self) -> Option<SpiffeId> {
        self.credentials.load().as_ref().map(|c| c.id().clone())
    }

    /// What our own certificate says about the clocks, for errors that a clock may have caused: how many seconds after
    /// its `NotBefore` the newest one arrived here. Issuers back-date by a minute or less, so a much larger number is a
    /// clock that is ahead of the issuer's, or an old certificate; a smaller one is a clock that is behind.
    pub fn clock_note(&self) -> String {
        let age = self.certificate_age_on_arrival.load(Relaxed);
        format!("our own certificate came {age} s after its NotBefore by this clock")
    }

    /// Which part of its lifetime our certificate is in, also exported as a metric; `None` while there is none.
    pub fn certificate_state(&self) -> Option<CertificateState> {
        let credentials = self.credentials.load();
        let now = self.clock.unix();
        let state = credentials.as_ref().map(|credentials| credentials.state(now));
        self.metrics.certificate_state(state);
        let lists = credentials
            .as_ref()
            .and_then(|c| c.bundles().iter().next().map(|b| b.crls().overdue(now)));
        self.metrics.crl_overdue.set(i64::try_from(lists.unwrap_or(0)).unwrap_or(i64::MAX));
        state
    }

    /// Makes the mesh connection of a TLS connection that was made with these credentials. Where others have come into
    /// force meanwhile, its peer is verified by those: a change finds every connection either here or in the walk.
    pub fn open_mesh_connection(
        &self,
        worker: usize,
        proven: ConnectionEvidence,
        made_with: &Credentials,
    ) -> Arc<MeshConnection> {
        let mesh_connection = self.mesh_connections.open(worker, proven, self.clock.unix());
        if self.credentials_generation() != made_with.generation() {
            self.verify_mesh_connection(&mesh_connection);
        }
        mesh_connection
    }

    /// Verifies the peer of a mesh connection by the bundles in force, and cuts it if it would be rejected.
    pub fn verify_mesh_connection(&self, mesh_connection: &Arc<MeshConnection>) {
        let Some(credentials) = self.credentials() else { return };
        if MeshConnectionTable::verify_one(mesh_connection, credentials.bundles(), unix_time()) {
            self.close_carried(mesh_connection);
        }
    }

    /// Cuts a connection of ours to a server.
    pub fn cut_upstream(&self, mesh_connection: &Arc<MeshConnection>, reason: CloseReason) {
        if mesh_connection.cut(reason) {
            self.close_carried(mesh_connection);
        }
    }

    /// Verifies every open connection's peer by the bundles in force (SECURITY-CASES S-28, F-08).
    fn verify_peers_again(&self, credentials: &Credentials) {
        let cut = self.mesh_connections.verify_again(credentials.bundles(), unix_time());
        cut.iter().for_each(|mesh_connection| self.close_carried(mesh_connection));
    }

    fn close_carried(&self, mesh_connection: &Arc<MeshConnection>) {
        let Some(reason) = mesh_connection.closing() else { return };
        tracing::warn!(
            peer = mesh_connection.peer.as_str(),
            link = mesh_connection.number,
            reason = reason.as_str(),
            "mesh connection cut"
        );
        if mesh_connection.peer_side == HandshakeSide::Server {
            // A connection that many share is none of them: it is counted here.
            self.metrics.closed(Direction::Outbound, reason, (0, 0));
        }
        self.registry
            .on_mesh_connection(mesh_connection)
            .iter()
            .for_each(|connection| connection.close(reason));
    }

    /// Notes that all listeners are bound.
    pub fn set_listening(&self) {
        self.listening.store(true, Relaxed);
    }

    /// Why the proxy is not ready, or `None` when it is: a valid certificate, resources loaded,
    /// listeners bound, not ending.
    pub fn unready_reason(&self) -> Option<&'static str> {
        let reason = if *self.drain.borrow() != DrainStage::No {
            Some("draining")
        } else if !self.listening.load(Relaxed) {
            Some("listeners are not bound")
        } else if !self.resources_loaded.load(Relaxed) {
            Some("resources are not loaded")
        } else if self.credentials.load().is_none() {
            Some("no certificate yet")
        } else if self.valid_credentials().is_none() {
            Some("the certificate has expired")
        } else if self.credentials.load().as_ref().is_some_and(|c| c.is_distrusted()) {
            Some("the certificate is no longer trusted by its own trust domain")
        } else {
            None
        };
        self.metrics.ready.set(i64::from(reason.is_none()));
        reason
    }

    /// Ends what is open by sessions that have ended, as soon as it is called after that: by a logout, in whatever proxy, or by
    /// themselves. Called once a second; `round` counts the calls.
    pub fn end_with_sessions(&self, heard: &mut u64, round: u64) {
        if self.snapshot().sign_ins().is_empty() {
            return;
        }
        let now = self.sessions().revocations_heard();
        if now != *heard || round.is_multiple_of(ROUNDS_FOR_TTL) {
            *heard = now;
            self.recheck();
        }
    }

    /// Authorizes every open inbound connection, and every open request on it, by the snapshot in force, and ends those
    /// that would be refused now.
    pub fn recheck(&self) {
        let snapshot = self.snapshot();
        for connection in self.registry.all() {
            if connection.direction != Direction::Inbound {
                continue;
            }
            if authorize::still_allows(&snapshot, &connection) {
                connection.review_all(&snapshot);
            } else {
                connection.close(CloseReason::Policy);
            }
        }
    }
}

/// So many seconds apart what is open is judged again although nobody has ended a session: some end by themselves.
const ROUNDS_FOR_TTL: u64 = 30;

/// The queue of finished spans, where there is a collector for them.
fn span_queue(settings: &TrafficSettings, metrics: &Metrics) -> Option<Arc<SpanQueue>> {
    settings.sampling?;
    let count = |limit| usize::try_from(limit).unwrap_or(usize::MAX);
    let (most, batch) = (count(settings.limits.trace_queue), count(settings.limits.trace_batch));
    Some(Arc::new(SpanQueue::new(most, batch, metrics.trace_spans_dropped.clone())))
}

/// The snapshot before any resource was read. The controller's resources may narrow the defaults, so nothing is allowed
/// until they have arrived.
fn first_snapshot(settings: &TrafficSettings) -> Snapshot {
    let resources = Resources::empty(&settings.root_namespace);
    let closed = policy::PolicyDefaults::default();
    let defaults = if settings.has_controller { &closed } else { &settings.defaults };
    Snapshot::build(&resources, &settings.workload, defaults)
}

fn first_table(settings: &TrafficSettings) -> ServiceTable {
    let TrafficSettings { workload, root_namespace, trust_domain, .. } = settings;
    match settings.is_gateway {
        true => ServiceTable::of_gateway(workload, root_namespace, trust_domain),
        false => ServiceTable::new(workload, root_namespace, trust_domain),
    }
}

pub(crate) fn unix_time() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(unix_now()))
}
