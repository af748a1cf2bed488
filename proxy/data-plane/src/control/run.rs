//! `postern-proxy run`: puts the pieces together, starts the threads, and waits for the end.

use std::net::TcpListener as BlockingListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use policy::{GatewayPort, GatewayTable, Resources};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::connection::net;
use crate::control::admin::{self, ServerKind};
use crate::control::config::{Config, IdentitySource};
use crate::control::gateway_listeners::{self, LaterListener, WorkerInboxes};
use crate::control::installer::ResourceInstaller;
use crate::control::sockets::BoundSockets;
use crate::control::trace_export::TraceExport;
use crate::control::upgrade::{self, HandOver, InheritedSockets, Preparation, Successor};
use crate::control::{
    api_documents, cluster, credentials, drain, gateway_certificates, jwks, resource_files,
    rule_sets, stores,
};
use crate::telemetry::{LogLevels, LogWriter};
use crate::traffic::accept::{self, ListenerPurpose};
use crate::traffic::edge::GatewayBind;
use crate::traffic::state::ProxyState;
use crate::traffic::worker::Worker;

/// The most workers of a sidecar, unless it is configured otherwise.
const DEFAULT_WORKERS: usize = 2;
/// The most workers of a gateway, unless it is configured otherwise.
const MAX_WORKERS: usize = 64;

/// How a proxy begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// With sockets of its own.
    Anew,
    /// With those of the running proxy, which serves until this one is ready ([`upgrade`]).
    Upgrade,
}

/// Runs the proxy until it has drained.
///
/// # Errors
/// What keeps it from starting: an address in use, no threads; no running proxy to take over from, or one that refuses.
pub fn run(
    config: Config,
    config_text: String,
    resources: &Resources,
    beginning: Beginning,
) -> anyhow::Result<()> {
    let workers = worker_count(&config);
    let log = LogWriter::start(std::io::stdout())?;
    let levels = LogLevels::start(config.logs.level, log.sink())?;
    net::descriptors::raise_limit();
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ports = gateway_ports(&config, resources);
    let opened =
        control.block_on(unless_ended(open_sockets(&config, &ports, workers, beginning)))?;
    let Some((successor, sockets)) = opened else {
        log.finish();
        return Ok(());
    };
    let installer = ResourceInstaller::new(config, workers)?;
    let (state, config) = (installer.state.clone(), installer.config.clone());
    count_panics(&state);
    // Before the limits and the users that are remembered there.
    stores::start(&state, &config)?;
    // Before any client can connect: without the resources the defaults alone would decide.
    if config.controller.is_none() {
        installer.install(resources);
    }
    let traces = TraceExport::start(&state, &config)?;
    state.set_listening();
    let levels = Some(levels);
    let context =
        Arc::new(admin::AdminContext { state: state.clone(), config, config_text, levels });
    let ended = control.block_on(async {
        follow_sources(&state, &context.config, installer, log.dropped())?;
        serve(&context, sockets, &ports, successor, workers, &log).await
    });
    // Workers hand on their last spans when they end.
    traces.into_iter().for_each(TraceExport::finish);
    drop((control, context, state));
    log.finish();
    ended
}

/// The ports that Gateways of files want from the start: one that cannot be had keeps the proxy from starting.
fn gateway_ports(config: &Config, resources: &Resources) -> Vec<GatewayBind> {
    let Some(gateway) = &config.gateway else { return Vec::new() };
    let table = GatewayTable::build(resources, &gateway.selection());
    let bind = |port: &Arc<GatewayPort>| GatewayBind { address: port.address, port: port.number };
    let others = table.ports().filter(|port| !config.is_own_port(port.number));
    others.map(bind).collect()
}

/// Binds every socket: one that takes over, after it has received those of the running proxy; any other, once no other
/// proxy runs in its place.
async fn open_sockets(
    config: &Config,
    ports: &[GatewayBind],
    workers: usize,
    beginning: Beginning,
) -> anyhow::Result<(Option<Successor>, BoundSockets)> {
    let Some(socket) = &config.upgrade else {
        anyhow::ensure!(
            beginning == Beginning::Anew,
            "cannot upgrade: the configuration says nowhere where the running proxy is found; write its `upgrade.socket`"
        );
        let sockets =
            BoundSockets::bind(config, ports, workers, InheritedSockets::default(), None)?;
        return Ok((None, sockets));
    };
    let point = &socket.point;
    let cannot_listen = || {
        format!(
            "cannot listen on {point} for upgrades: a running proxy is taken over from with `run --upgrade`"
        )
    };
    if beginning == Beginning::Anew {
        let meeting_point =
            upgrade::stand_by(point, socket.required).await.with_context(cannot_listen)?;
        let none = InheritedSockets::default();
        return Ok((None, BoundSockets::bind(config, ports, workers, none, meeting_point)?));
    }
    let limit = config.limits.upgrade_timeout;
    let (successor, mut inherited) = Successor::ask(point, limit).await?;
    let meeting_point = inherited.take_meeting_point(point).with_context(cannot_listen)?;
    let sockets = BoundSockets::bind(config, ports, workers, inherited, meeting_point)?;
    Ok((Some(successor), sockets))
}

/// Takes connections until the proxy has drained. One that takes over takes none before it is ready, and stays only
/// where the other does not.
async fn serve(
    context: &Arc<admin::AdminContext>,
    sockets: BoundSockets,
    ports: &[GatewayBind],
    mut successor: Option<Successor>,
    workers: usize,
    log: &LogWriter,
) -> anyhow::Result<()> {
    let state = &context.state;
    if let Some(successor) = &mut successor
        && successor.prepare(state).await? == Preparation::Ending
    {
        return Ok(());
    }
    let mut sockets = sockets.listen(workers, &context.config.limits)?;
    let for_successor = sockets.take_for_successor().unwrap_or_else(|error| {
        tracing::warn!(%error, "this proxy cannot be upgraded in place");
        None
    });
    let (threads, later) = start_workers(state, sockets.traffic, log)?;
    if let Some(gateway) = &context.config.gateway {
        let open = ports.iter().copied().collect();
        tokio::spawn(gateway_listeners::follow(state.clone(), gateway.bind, later, open));
    }
    let pages = serve_pages(context, sockets.pages)?;
    let taken_over = match successor {
        Some(successor) => successor.accepting().await,
        None => Ok(()),
    };
    match for_successor {
        // The other one goes on: what was accepted meanwhile finishes here.
        _ if taken_over.is_err() => {
            drain::hand_over(state);
            pages.cancel();
        }
        Some((meeting_point, sockets)) => {
            let state = state.clone();
            tokio::spawn(upgrade::keep_ready(HandOver { state, meeting_point, sockets, pages }));
        }
        None => {}
    }
    drain::run_drain(state.clone()).await;
    for thread in threads {
        // A worker that panicked has been counted; the others still flush their logs.
        let _ = thread.join();
    }
    taken_over
}

/// A step before anything serves, unless the process is told to end meanwhile.
async fn unless_ended<T>(
    step: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<Option<T>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = step => done.map(Some),
        _ = terminate.recv() => Ok(None),
        _ = interrupt.recv() => Ok(None),
    }
}

/// The configured number, else the CPU limit of the cgroup; of a sidecar, whose app needs it, at most two.
fn worker_count(config: &Config) -> usize {
    let most = if config.gateway.is_some() { MAX_WORKERS } else { DEFAULT_WORKERS };
    config.workers.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(most),
        NonZeroUsize::get,
    )
}

/// Starts the small servers; the token ends them.
fn serve_pages(
    context: &Arc<admin::AdminContext>,
    pages: Vec<(BlockingListener, ServerKind)>,
) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    for (listener, server) in pages {
        let listener = TcpListener::from_std(listener)?;
        tokio::spawn(admin::serve(listener, server, context.clone(), stop.clone()));
    }
    Ok(stop)
}

/// Starts everything of the control thread that serves nobody: signals, and the sources of change.
fn follow_sources(
    state: &Arc<ProxyState>,
    config: &Arc<Config>,
    installer: ResourceInstaller,
    dropped: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    match config.identity.clone() {
        IdentitySource::WorkloadApi(socket) => {
            tokio::spawn(credentials::workload_api::follow(state.clone(), socket));
        }
        IdentitySource::Files(files) => {
            tokio::spawn(credentials::files::follow(state.clone(), files));
        }
    }
    if let Some(gateway) = &config.gateway {
        let files = gateway.certificates.iter();
        let files = files.flat_map(|files| [files.certificate.clone(), files.key.clone()]);
        let (renewing, poll) = (installer.clone(), config.limits.resource_poll);
        let renew = move || renewing.renew_edge();
        tokio::spawn(gateway_certificates::follow(files.collect(), poll, renew));
    }
    let (documents, poll) = (installer.documents.clone(), config.limits.resource_poll);
    tokio::spawn(api_documents::follow(state.clone(), documents, poll));
    tokio::spawn(resource_files::follow_resources(installer.clone()));
    tokio::spawn(rule_sets::follow(state.clone(), config.limits.resource_poll));
    tokio::spawn(cluster::follow(installer));
    tokio::spawn(jwks::keep(state.clone(), config.clone()));
    tokio::spawn(update_gauges(state.clone(), dropped));
    tokio::spawn(follow_sessions(state.clone()));
    tokio::spawn(end_on_signal(
        state.clone(),
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ));
    Ok(())
}

/// What came by a session does not outlive it.
async fn follow_sessions(state: Arc<ProxyState>) {
    let (mut heard, mut round) = (0, 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.end_with_sessions(&mut heard, round);
        round += 1;
    }
}

/// The first signal drains, the second ends.
async fn end_on_signal(state: Arc<ProxyState>, mut terminate: Signal, mut interrupt: Signal) {
    for step in [drain::announce, drain::end] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        step(&state);
    }
}

/// Updates the gauges that no other code updates.
async fn update_gauges(state: Arc<ProxyState>, dropped: Arc<AtomicU64>) {
    let mut logged = None;
    let mut counted = 0;
    loop {
        let unready = state.unready_reason();
        state.certificate_state();
        if logged != Some(unready) {
            match unready {
                None => tracing::info!("ready"),
                Some(reason) => tracing::info!(reason, "not ready"),
            }
            logged = Some(unready);
        }
        let now = dropped.load(Ordering::Relaxed);
        state.metrics.log_lines_dropped.inc_by(now - counted);
        counted = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn start_workers(
    state: &Arc<ProxyState>,
    per_worker: Vec<Vec<(BlockingListener, ListenerPurpose)>>,
    log: &LogWriter,
) -> anyhow::Result<(Vec<JoinHandle<()>>, WorkerInboxes)> {
    let workers = per_worker.len();
    let sockets = per_worker.into_iter().enumerate();
    let started = sockets
        .map(|(index, listeners)| {
            let (later, coming) = mpsc::channel(gateway_listeners::MAX_WAITING);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let worker = Worker::new(index, workers, state.clone(), log.sink());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            let run = move || run_worker(&runtime, worker, listeners, coming);
            let thread = thread.spawn(run).context("cannot start a worker's thread")?;
            Ok((thread, later))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(started.into_iter().unzip())
}

fn run_worker(
    runtime: &Runtime,
    worker: Arc<Worker>,
    listeners: Vec<(BlockingListener, ListenerPurpose)>,
    later: mpsc::Receiver<LaterListener>,
) {
    runtime.block_on(async move {
        let listeners = listeners.into_iter().filter_map(|(listener, purpose)| {
            // A bound socket is refused only by a runtime without I/O, which ours has.
            TcpListener::from_std(listener).ok().map(|listener| (listener, purpose))
        });
        accept::run(worker, listeners.collect(), later).await;
    });
}

/// A panic ends only its own task; it is counted and logged.
fn count_panics(state: &Arc<ProxyState>) {
    let panics = state.metrics.panics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        tracing::error!(panic = %panic, "a task panicked");
    }));
}
