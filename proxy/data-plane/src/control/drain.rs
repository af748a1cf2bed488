//! The end of the proxy, in steps: announced (not ready, still accepting connections, because callers learn of it
//! late), draining (open requests finish, nothing new is accepted), ended. Where another process has taken the sockets
//! over ([`crate::control::upgrade`]) nothing is announced: nobody finds the address without a listener.

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
    advance(state, DrainStage::Announced);
}

/// Begins the drain of a proxy whose sockets another process has: it accepts nothing from now on.
pub fn hand_over(state: &ProxyState) {
    advance(state, DrainStage::HandedOver);
}

/// The end never comes nearer and goes away again.
fn advance(state: &ProxyState, to: DrainStage) {
    state.drain.send_if_modified(|stage| {
        let later = *stage < to;
        if later {
            *stage = to;
        }
        later
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
    let delay =
        if *drain.borrow() == DrainStage::HandedOver { Duration::ZERO } else { limits.drain_delay };
    tracing::info!(?delay, deadline = ?limits.drain_timeout, "draining");
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
    let mut stage = state.drain.subscribe();
    tokio::select! {
        () = tokio::time::sleep(state.settings.limits.drain_delay) => {}
        _ = stage.wait_for(|stage| *stage >= DrainStage::HandedOver) => {}
    }
    advance(state, DrainStage::Draining);
    let mut quiet = 0;
    while quiet < QUIET_LOOKS {
        let handed_over = *state.drain.borrow() == DrainStage::HandedOver;
        // Checked each time, because a connection may have been accepted at the last moment.
        let open = state.registry.all();
        open.iter().for_each(|connection| ask_to_close(connection, handed_over));
        let busy = open.iter().any(|connection| handed_over || is_under_way(connection));
        quiet = if busy { 0 } else { quiet + 1 };
        tokio::time::sleep(LOOK).await;
    }
}

/// The app of a proxy that ends needs its connections until its own end; one whose proxy was replaced opens others.
fn ask_to_close(connection: &Connection, handed_over: bool) {
    match handed_over {
        true => connection.close(CloseReason::HandedOver),
        false if connection.direction == Direction::Inbound => connection.close(CloseReason::Drain),
        false => {}
    }
}

/// Idle connections of the app do not keep the proxy alive.
fn is_under_way(connection: &Connection) -> bool {
    connection.direction == Direction::Inbound || connection.phase().0 == ConnectionPhase::Busy
}
