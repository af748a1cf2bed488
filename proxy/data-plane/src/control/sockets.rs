//! The sockets of a proxy: bound first, listening when it may take connections. Those that a predecessor has handed over
//! stay what they are; the rest are bound anew.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use anyhow::Context as _;

use crate::connection::net::BoundListener;
use crate::control::admin::ServerKind;
use crate::control::config::Config;
use crate::control::upgrade::{InheritedSockets, MeetingPointListener};
use crate::limits::Limits;
use crate::traffic::accept::ListenerPurpose;
use crate::traffic::edge::GatewayBind;

/// Connections the system queues for admin, metrics and readiness.
const PAGES_BACKLOG: u32 = 128;

/// Every socket of the proxy before it listens.
#[derive(Debug)]
pub(super) struct BoundSockets {
    traffic: Vec<(Vec<BoundListener>, ListenerPurpose)>,
    pages: Vec<(Vec<BoundListener>, ServerKind)>,
    meeting_point: Option<MeetingPointListener>,
}

/// The same while it listens.
pub(super) struct ListeningSockets {
    /// Each worker's.
    pub(super) traffic: Vec<Vec<(TcpListener, ListenerPurpose)>>,
    /// Those of the small servers.
    pub(super) pages: Vec<(TcpListener, ServerKind)>,
    meeting_point: Option<MeetingPointListener>,
}

impl BoundSockets {
    /// Takes what was inherited for each configured address, and binds what is missing: at least one socket a worker.
    /// Nobody is connected to a new one yet, so giving all of them up loses nothing. `ports` are a gateway's.
    ///
    /// # Errors
    /// An address that is in use, with what it is for.
    pub(super) fn bind(
        config: &Config,
        ports: &[GatewayBind],
        workers: usize,
        mut inherited: InheritedSockets,
        meeting_point: Option<MeetingPointListener>,
    ) -> anyhow::Result<Self> {
        let mut traffic = Vec::new();
        for (address, purpose) in purposes(config).into_iter().chain(edge(config, ports)) {
            let listeners = bind_all(&mut inherited, address, workers, &purpose)?;
            traffic.push((listeners, purpose));
        }
        let mut pages = Vec::new();
        for (address, server) in page_servers(config) {
            pages.push((bind_all(&mut inherited, address, 1, &server)?, server));
        }
        if !inherited.is_empty() {
            let sockets = inherited.len();
            tracing::info!(sockets, "not in this configuration: the running proxy closes them");
        }
        Ok(Self { traffic, pages, meeting_point })
    }

    /// Listens on all of them.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn listen(
        self,
        workers: usize,
        limits: &Limits,
    ) -> anyhow::Result<ListeningSockets> {
        let mut traffic: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for (listeners, purpose) in self.traffic {
            for (index, listener) in listeners.into_iter().enumerate() {
                let listener = listen(listener, &purpose, limits.accept_backlog, limits)?;
                if index == 0 {
                    tracing::info!(address = %listener.local_addr()?, purpose = ?purpose, "listening");
                }
                // More sockets than workers: some workers have several.
                if let Some(worker) = traffic.get_mut(index % workers) {
                    worker.push((listener, purpose.clone()));
                }
            }
        }
        let mut pages = Vec::new();
        for (listeners, server) in self.pages {
            for listener in listeners {
                let listener = listen(listener, &server, PAGES_BACKLOG, limits)?;
                tracing::info!(address = %listener.local_addr()?, server = ?server, "listening");
                pages.push((listener, server));
            }
        }
        Ok(ListeningSockets { traffic, pages, meeting_point: self.meeting_point })
    }
}

impl ListeningSockets {
    /// The meeting point, with a copy of each socket for the process that will come there.
    ///
    /// # Errors
    /// There are no descriptors for the copies.
    pub(super) fn take_for_successor(
        &mut self,
    ) -> io::Result<Option<(MeetingPointListener, Vec<OwnedFd>)>> {
        let Some(meeting_point) = self.meeting_point.take() else { return Ok(None) };
        let of_traffic = self.traffic.iter().flatten().map(|(listener, _)| listener);
        let of_pages = self.pages.iter().map(|(listener, _)| listener);
        let copies = of_traffic.chain(of_pages).map(|listener| Ok(listener.try_clone()?.into()));
        let copies = copies.collect::<io::Result<Vec<OwnedFd>>>()?;
        Ok(Some((meeting_point, copies)))
    }
}

/// All inherited sockets of an address: one that was left out would be closed with the predecessor, and reset what waits
/// in its queue. Missing ones are bound; a port chosen by the system is chosen once.
fn bind_all(
    inherited: &mut InheritedSockets,
    address: SocketAddr,
    workers: usize,
    what: &impl Debug,
) -> anyhow::Result<Vec<BoundListener>> {
    let mut listeners = inherited.take(address);
    let mut address = address;
    while listeners.len() < workers {
        let listener = BoundListener::bind(address).with_context(|| cannot_bind(what, address))?;
        address.set_port(listener.local_addr()?.port());
        listeners.push(listener);
    }
    Ok(listeners)
}

fn listen(
    listener: BoundListener,
    what: &impl Debug,
    backlog: u32,
    limits: &Limits,
) -> anyhow::Result<TcpListener> {
    let address = listener.local_addr()?;
    let listening = listener.listen(backlog, limits.tcp_keepalive);
    listening.with_context(|| cannot_bind(what, address))
}

fn cannot_bind(what: &impl Debug, address: SocketAddr) -> String {
    format!("cannot listen on {address} for {what:?}: is another proxy or the app using the port?")
}

fn purposes(config: &Config) -> Vec<(SocketAddr, ListenerPurpose)> {
    let inbound = config.inbound.bind.iter().map(|a| (*a, ListenerPurpose::Inbound));
    let explicit_in = config
        .inbound
        .listeners
        .iter()
        .map(|l| (l.bind, ListenerPurpose::InboundListener(l.clone())));
    let outbound = config.outbound.bind.iter().map(|a| (*a, ListenerPurpose::Outbound));
    let explicit_out = config
        .outbound
        .listeners
        .iter()
        .map(|l| (l.bind, ListenerPurpose::OutboundListener(l.clone())));
    inbound.chain(explicit_in).chain(outbound).chain(explicit_out).collect()
}

/// The ports of Gateways, as far as they are known at the start.
fn edge(config: &Config, ports: &[GatewayBind]) -> Vec<(SocketAddr, ListenerPurpose)> {
    let Some(gateway) = &config.gateway else { return Vec::new() };
    let ports = ports.iter();
    ports.map(|bind| (bind.socket(gateway.bind), ListenerPurpose::Gateway(*bind))).collect()
}

fn page_servers(config: &Config) -> impl Iterator<Item = (SocketAddr, ServerKind)> {
    let servers = [
        (config.admin.bind, ServerKind::Admin),
        (config.metrics, ServerKind::Metrics),
        (config.readiness, ServerKind::Readiness),
    ];
    servers.into_iter().filter_map(|(address, server)| Some((address?, server)))
}
