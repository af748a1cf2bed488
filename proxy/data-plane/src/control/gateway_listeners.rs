//! The sockets of a gateway: those of ports that come while it runs are bound then. A port that goes closes by itself
//! ([`crate::traffic::accept`]).

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::connection::net::BoundListener;
use crate::traffic::accept::ListenerPurpose;
use crate::traffic::edge::GatewayBind;
use crate::traffic::state::ProxyState;

/// A listening socket for a worker that runs.
pub(super) type LaterListener = (TcpListener, ListenerPurpose);
/// Where each worker takes them.
pub(super) type WorkerInboxes = Vec<mpsc::Sender<LaterListener>>;
/// Sockets that wait for a worker at most.
pub(super) const MAX_WAITING: usize = 256;
/// How long until a port that could not be bound is tried again.
const TRY_AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Binds the ports that come, for each worker, for ever. `open` are those that are bound already.
pub(super) async fn follow(
    state: Arc<ProxyState>,
    any: IpAddr,
    workers: WorkerInboxes,
    open: HashSet<GatewayBind>,
) {
    let mut changes = state.edge.changes();
    let since = |bind: GatewayBind| Some((bind, state.edge.since(&bind)?));
    let mut open: HashMap<GatewayBind, u64> = open.into_iter().filter_map(since).collect();
    loop {
        let ports = state.edge.ports();
        let wanted: Vec<_> = ports.keys().copied().filter_map(since).collect();
        open.retain(|bind, _| ports.contains_key(bind));
        let mut failed = false;
        for (bind, since) in wanted {
            if open.get(&bind) == Some(&since) {
                continue;
            }
            match listen(&state, bind, any, &workers).await {
                Ok(()) => drop(open.insert(bind, since)),
                Err(error) => {
                    failed = true;
                    let address = bind.socket(any);
                    tracing::error!(%address, %error, "cannot listen for a Gateway: is the port in use, or not permitted?");
                }
            }
        }
        let changed = changes.changed();
        match failed {
            true => drop(tokio::time::timeout(TRY_AGAIN, changed).await),
            false => drop(changed.await),
        }
    }
}

async fn listen(
    state: &ProxyState,
    bind: GatewayBind,
    any: IpAddr,
    workers: &[mpsc::Sender<LaterListener>],
) -> std::io::Result<()> {
    let limits = &state.settings.limits;
    let address = bind.socket(any);
    // All of them first: nobody is connected to a part.
    let bound = workers.iter().map(|_| BoundListener::bind(address));
    let bound = bound.collect::<Result<Vec<_>, _>>()?.into_iter();
    let listening = bound.map(|socket| socket.listen(limits.accept_backlog, limits.tcp_keepalive));
    let listening = listening.collect::<Result<Vec<_>, _>>()?;
    for (worker, listener) in workers.iter().zip(listening) {
        // A worker that has ended takes nothing any more.
        let _ = worker.send((listener, ListenerPurpose::Gateway(bind))).await;
    }
    tracing::info!(%address, "listening for a Gateway");
    Ok(())
}
