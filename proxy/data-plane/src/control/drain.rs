//! The end of the proxy, in steps: announced (not ready, still accepting connections, because callers learn of it
//! late), draining (open requests finish, nothing new is accepted), ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::registry::{Connection, ConnectionPhase};
use crate::labels::{CloseReason, Direction};
use crate::traffic::state::{DrainStage, ProxyState};

/// How often the remaining connections are counted.
const LOOK: Duration = Duration::from_millis(100);
/// Consecutive looks without an open request before the end: an app's next request may be on its way.
const QUIET_LOOKS: u32 = 3;

/// Begins the drain: the proxy is not ready from now on.
pub fn announce(state: &ProxyState) {
    state.drain.send_if_modified(|drain| {
        let first = *drain == DrainStage::No;
        if first {
            *drain = DrainStage::Announced;
        }
        first
    });
}

/// Ends the proxy without further delay; open requests are cut off.
pub fn end(state: &ProxyState) {
    state.drain.send_replace(DrainStage::Ended);
}

/// Waits for the announcement and runs the drain: the delay, the draining, the deadline.
pub async fn run_drain(state: Arc<ProxyState>) {
    let mut drain = state.drain.subscribe();
    if drain.wait_for(|d| *d != DrainStage::No).await.is_err() {
        return;
    }
    let limits = state.settings.limits;
    let deadline = Instant::now() + limits.drain_timeout;
    tracing::info!(delay = ?limits.drain_delay, deadline = ?limits.drain_timeout, "draining");
    let ended = async {
        // The sender lives in `state`, so this ends only with the state itself.
        let _ = drain.wait_for(|d| *d == DrainStage::Ended).await;
    };
    tokio::select! {
        () = ended => {}
        () = tokio::time::sleep_until(deadline) => {}
        () = run_down(&state) => {}
    }
    for connection in state.registry.all() {
        connection.close(CloseReason::DrainDeadline);
    }
    end(&state);
}

async fn run_down(state: &ProxyState) {
    tokio::time::sleep(state.settings.limits.drain_delay).await;
    state.drain.send_replace(DrainStage::Draining);
    let mut quiet = 0;
    while quiet < QUIET_LOOKS {
        // Checked each time, because a connection may have been accepted at the last moment.
        let open = state.registry.all();
        open.iter()
            .filter(|c| c.direction == Direction::Inbound)
            .for_each(|c| c.close(CloseReason::Drain));
        quiet = if open.iter().any(|c| is_under_way(c)) { 0 } else { quiet + 1 };
        tokio::time::sleep(LOOK).await;
    }
}

/// Idle connections of the app do not keep the proxy alive.
fn is_under_way(connection: &Connection) -> bool {
    connection.direction == Direction::Inbound || connection.phase().0 == ConnectionPhase::Busy
}
