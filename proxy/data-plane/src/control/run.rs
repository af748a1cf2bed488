//! `postern-proxy run`: puts the pieces together, starts the threads, and waits for the end.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use policy::Resources;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::connection::net;
use crate::control::admin::{self, ServerKind};
use crate::control::config::{Config, IdentitySource};
use crate::control::installer::ResourceInstaller;
use crate::control::{cluster, credentials, drain, jwks, resource_files};
use crate::limits::Limits;
use crate::telemetry::{LogLevels, LogWriter};
use crate::traffic::accept::{self, ListenerPurpose};
use crate::traffic::state::ProxyState;
use crate::traffic::worker::Worker;

/// The most workers of a sidecar, unless it is configured otherwise.
const DEFAULT_WORKERS: usize = 2;

/// A listener that is not yet registered with a runtime.
type BoundListener = (std::net::TcpListener, ListenerPurpose);

/// Runs the proxy until it has drained.
///
/// # Errors
/// What keeps it from starting: an address in use, no threads.
pub fn run(config: Config, config_text: String, resources: &Resources) -> anyhow::Result<()> {
    let workers = worker_count(config.workers);
    let log = LogWriter::start(std::io::stdout())?;
    let levels = LogLevels::start(config.logs.level, log.sink())?;
    net::descriptors::raise_limit();
    let installer = ResourceInstaller::new(config, workers)?;
    let (state, config) = (installer.state.clone(), installer.config.clone());
    count_panics(&state);
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before any client can connect: without the resources the defaults alone would decide.
    if config.controller.is_none() {
        installer.install(resources);
    }
    let threads = {
        let _entered = control.enter();
        start_workers(&state, &config, workers, &log)?
    };
    state.set_listening();
    let levels = Some(levels);
    let context = admin::AdminContext { state: state.clone(), config, config_text, levels };
    control.block_on(run_control(&Arc::new(context), installer, log.dropped()))?;
    for thread in threads {
        // A worker that panicked has been counted; the others still flush their logs.
        let _ = thread.join();
    }
    drop(control);
    drop(state);
    log.finish();
    Ok(())
}

/// The configured number, else the CPU limit of the cgroup, at most two.
fn worker_count(configured: Option<NonZeroUsize>) -> usize {
    configured.map_or_else(
        || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(DEFAULT_WORKERS),
        NonZeroUsize::get,
    )
}

/// Everything of the control thread: signals, sources of change, the small servers.
async fn run_control(
    context: &Arc<admin::AdminContext>,
    installer: ResourceInstaller,
    dropped: Arc<std::sync::atomic::AtomicU64>,
) -> anyhow::Result<()> {
    let (state, config) = (&context.state, &context.config);
    for (address, server) in [
        (config.admin.bind, ServerKind::Admin),
        (config.metrics, ServerKind::Metrics),
        (config.readiness, ServerKind::Readiness),
    ] {
        let Some(address) = address else { continue };
        let listener = net::listen(address, 128, config.limits.tcp_keepalive)
            .with_context(|| cannot_bind(server, address))?;
        tracing::info!(address = %listener.local_addr()?, server = ?server, "listening");
        tokio::spawn(admin::serve(listener, server, context.clone()));
    }
    match config.identity.clone() {
        IdentitySource::WorkloadApi(socket) => {
            tokio::spawn(credentials::workload_api::follow(state.clone(), socket));
        }
        IdentitySource::Files(files) => {
            tokio::spawn(credentials::files::follow(state.clone(), files));
        }
    }
    tokio::spawn(resource_files::follow_resources(installer.clone()));
    tokio::spawn(cluster::follow(installer));
    tokio::spawn(jwks::keep(state.clone(), config.clone()));
    tokio::spawn(update_gauges(state.clone(), dropped));
    tokio::spawn(end_on_signal(
        state.clone(),
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ));
    drain::run_drain(state.clone()).await;
    Ok(())
}

/// The first signal drains, the second ends.
async fn end_on_signal(
    state: Arc<ProxyState>,
    mut terminate: tokio::signal::unix::Signal,
    mut interrupt: tokio::signal::unix::Signal,
) {
    for step in [drain::announce, drain::end] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        step(&state);
    }
}

/// Updates the gauges that no other code updates.
async fn update_gauges(state: Arc<ProxyState>, dropped: Arc<std::sync::atomic::AtomicU64>) {
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
        let now = dropped.load(std::sync::atomic::Ordering::Relaxed);
        state.metrics.log_lines_dropped.inc_by(now - counted);
        counted = now;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

fn start_workers(
    state: &Arc<ProxyState>,
    config: &Config,
    workers: usize,
    log: &LogWriter,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut per_worker: Vec<Vec<BoundListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (address, purpose) in purposes(config) {
        bind_for_all(address, &purpose, &mut per_worker, &config.limits)?;
    }
    let sockets = per_worker.into_iter().enumerate();
    sockets
        .map(|(index, listeners)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let worker = Worker::new(index, workers, state.clone(), log.sink());
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            Ok(thread.spawn(move || run_worker(&runtime, worker, listeners))?)
        })
        .collect()
}

fn run_worker(runtime: &Runtime, worker: Arc<Worker>, listeners: Vec<BoundListener>) {
    runtime.block_on(async move {
        let listeners = listeners.into_iter().filter_map(|(listener, purpose)| {
            // A bound socket is refused only by a runtime without I/O, which ours has.
            TcpListener::from_std(listener).ok().map(|listener| (listener, purpose))
        });
        accept::run(worker, listeners.collect()).await;
    });
}

/// Binds one address once a worker. A port chosen by the system is chosen once.
fn bind_for_all(
    address: SocketAddr,
    purpose: &ListenerPurpose,
    per_worker: &mut [Vec<BoundListener>],
    limits: &Limits,
) -> anyhow::Result<()> {
    let mut address = address;
    for (index, listeners) in per_worker.iter_mut().enumerate() {
        let listener = net::listen(address, limits.accept_backlog, limits.tcp_keepalive)
            .with_context(|| cannot_bind(purpose, address))?;
        let bound = listener.local_addr()?;
        if index == 0 {
            tracing::info!(address = %bound, purpose = ?purpose, "listening");
            address = SocketAddr::new(address.ip(), bound.port());
        }
        listeners.push((listener.into_std()?, purpose.clone()));
    }
    Ok(())
}

fn cannot_bind(what: impl std::fmt::Debug, address: SocketAddr) -> String {
    format!("cannot listen on {address} for {what:?}: is another proxy or the app using the port?")
}

fn purposes(config: &Config) -> Vec<(SocketAddr, ListenerPurpose)> {
    let inbound = config.inbound.bind.iter().map(|a| (*a, ListenerPurpose::Inbound));
    let explicit_in =
        config.inbound.listeners.iter().map(|l| (l.bind, ListenerPurpose::InboundListener(*l)));
    let outbound = config.outbound.bind.iter().map(|a| (*a, ListenerPurpose::Outbound));
    let explicit_out = config
        .outbound
        .listeners
        .iter()
        .map(|l| (l.bind, ListenerPurpose::OutboundListener(l.clone())));
    inbound.chain(explicit_in).chain(outbound).chain(explicit_out).collect()
}

/// A panic ends only its own task; it is counted and logged.
fn count_panics(state: &Arc<ProxyState>) {
    let panics = state.metrics.panics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        panics.inc();
        tracing::error!(panic = %panic, "a task panicked");
    }));
}
