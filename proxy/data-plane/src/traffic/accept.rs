//! Accepts connections and starts their tasks.

use std::io;
use std::net::{SocketAddr, TcpListener as BlockingListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use back_off::BackOff;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::connection::net;
use crate::connection::net::descriptors::{self, DescriptorHeadroom};
use crate::labels::{CloseReason, Direction};
use crate::traffic::edge::GatewayBind;
use crate::traffic::settings::{InboundListener, OutboundListener};
use crate::traffic::state::{DrainStage, ProxyState};
use crate::traffic::worker::Worker;
use crate::traffic::{gateway, inbound, outbound};

/// The first wait after a failed accept, doubled up to [`ACCEPT_RETRY_MAX`] (SECURITY-CASES S-53).
const ACCEPT_RETRY_MIN: Duration = Duration::from_millis(10);
/// The longest wait after a failed accept.
const ACCEPT_RETRY_MAX: Duration = Duration::from_millis(100);

/// What a listening socket is for.
#[derive(Debug, Clone)]
pub enum ListenerPurpose {
    /// Redirected connections towards the app.
    Inbound,
    /// An explicit listener towards the app.
    InboundListener(InboundListener),
    /// Redirected connections from the app.
    Outbound,
    /// An explicit listener for one service.
    OutboundListener(OutboundListener),
    /// Clients of the edge.
    Gateway(GatewayBind),
}

impl ListenerPurpose {
    /// Since which change a Gateway's port is there.
    fn since(&self, worker: &Worker) -> Option<u64> {
        match self {
            Self::Gateway(bind) => worker.state.edge.since(bind),
            _ => None,
        }
    }

    fn direction(&self) -> Direction {
        match self {
            Self::Inbound | Self::InboundListener(_) | Self::Gateway(_) => Direction::Inbound,
            Self::Outbound | Self::OutboundListener(_) => Direction::Outbound,
        }
    }
}

/// Serves a worker's listeners, and those that come later, until the process has drained.
pub async fn run(
    worker: Arc<Worker>,
    listeners: Vec<(TcpListener, ListenerPurpose)>,
    later: mpsc::Receiver<(BlockingListener, ListenerPurpose)>,
) {
    for (listener, purpose) in listeners {
        tokio::spawn(accept(worker.clone(), listener, purpose));
    }
    tokio::spawn(accept_later(worker.clone(), later));
    worker.look_after().await;
}

async fn accept_later(
    worker: Arc<Worker>,
    mut later: mpsc::Receiver<(BlockingListener, ListenerPurpose)>,
) {
    while let Some((listener, purpose)) = later.recv().await {
        // A bound socket is refused only by a runtime without I/O, which ours has.
        if let Ok(listener) = TcpListener::from_std(listener) {
            tokio::spawn(accept(worker.clone(), listener, purpose));
        }
    }
}

/// Accepts connections until the proxy drains. A failed accept, for example for lack of file descriptors, is retried
/// after a wait and never ends the loop.
async fn accept(worker: Arc<Worker>, listener: TcpListener, purpose: ListenerPurpose) {
    let mut back_off = BackOff::new(ACCEPT_RETRY_MIN, ACCEPT_RETRY_MAX);
    let mut drain = worker.state.drain.subscribe();
    let last = match purpose.direction() {
        Direction::Inbound => DrainStage::Draining,
        // Outbound goes on while no other process accepts: the app may need it until its end.
        Direction::Outbound => DrainStage::HandedOver,
    };
    let since = purpose.since(&worker);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = drain.wait_for(|d| *d >= last) => return,
            () = closed(&worker, &purpose, since) => return net::stop_listening(&listener),
        };
        match accepted {
            Ok((stream, source)) => {
                back_off.reset();
                begin(&worker, stream, source, &purpose);
            }
            Err(error) => {
                report_accept(&worker.state, &error);
                tokio::time::sleep(back_off.next_wait()).await;
            }
        }
    }
}

/// Waits until nothing is to be accepted for a purpose any more; for ever, but for ports of Gateways. A port that has gone
/// and come back meanwhile has a socket of its own by now.
async fn closed(worker: &Worker, purpose: &ListenerPurpose, since: Option<u64>) {
    let ListenerPurpose::Gateway(bind) = purpose else { return std::future::pending().await };
    let edge = &worker.state.edge;
    let mut changes = edge.changes();
    while since.is_some() && edge.since(bind) == since {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn report_accept(state: &ProxyState, error: &io::Error) {
    // A client that left the accept queue is not an error.
    if error.kind() != io::ErrorKind::ConnectionAborted
        && state.accept_trouble.is_due(state.clock.coarse())
    {
        tracing::warn!(%error, "cannot accept; retrying");
    }
}

/// Whether a client may stay; the last descriptors are reserved.
fn has_room(worker: &Worker, stream: &TcpStream, purpose: &ListenerPurpose) -> bool {
    let room = descriptors::room(stream);
    if room == DescriptorHeadroom::Plenty {
        return true;
    }
    let state = &worker.state;
    if state.accept_trouble.is_due(state.clock.coarse()) {
        tracing::warn!(
            "file descriptors run out: silent clients make room and new ones are turned away; raise the limit of open files"
        );
    }
    worker.evict_idle(Instant::now());
    if room == DescriptorHeadroom::Exhausted {
        state.metrics.closed(purpose.direction(), CloseReason::Descriptors, (0, 0));
    }
    room != DescriptorHeadroom::Exhausted
}

fn begin(worker: &Arc<Worker>, stream: TcpStream, source: SocketAddr, purpose: &ListenerPurpose) {
    let state = &worker.state;
    if state.is_full() {
        net::abort_on_close(&stream);
        state.metrics.closed(purpose.direction(), CloseReason::Limit, (0, 0));
        return;
    }
    if !has_room(worker, &stream, purpose) {
        return net::abort_on_close(&stream);
    }
    if purpose.direction() == Direction::Outbound {
        net::let_rest_within_pod(&stream);
    }
    let (worker, source) = (worker.clone(), net::canonical(source));
    match purpose.clone() {
        ListenerPurpose::Inbound => {
            drop(tokio::spawn(inbound::serve(worker, stream, source, None)))
        }
        ListenerPurpose::InboundListener(l) => {
            drop(tokio::spawn(inbound::serve(worker, stream, source, Some(l))))
        }
        ListenerPurpose::Outbound => {
            drop(tokio::spawn(outbound::serve(worker, stream, source, None)))
        }
        ListenerPurpose::OutboundListener(l) => {
            drop(tokio::spawn(outbound::serve(worker, stream, source, Some(l))))
        }
        ListenerPurpose::Gateway(bind) => {
            drop(tokio::spawn(gateway::serve(worker, stream, source, bind)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A task is as large as the largest step of its connection, for as long as the connection lasts: what only serves
    /// a request, a handshake or other bytes is boxed.
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size(outbound::serve) <= 1280, "{}", size(outbound::serve));
        assert!(size(inbound::serve) <= 1536, "{}", size(inbound::serve));
    }
}
