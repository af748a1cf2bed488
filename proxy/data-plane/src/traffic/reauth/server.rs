//! The server's side: somebody on a fresh connection says that an older one is theirs too.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connection::link::{Bounds, Link};
use crate::connection::reauth::{ACCEPTED, Binding, Name, REQUEST, Refusal, Role, read_request};
use crate::http::tunnel::Tunnel;
use crate::telemetry::CloseReason;
use crate::traffic::authorize;
use crate::traffic::state::State;

/// Serves one `reauth` stream of the connection `fresh`.
pub(crate) async fn answer(state: &State, fresh: Option<&Arc<Link>>, mut stream: Tunnel) {
    let limit = state.config.limits.handshake_timeout;
    let Some(message) = read(&mut stream, limit).await else { return };
    let decided = match fresh {
        Some(fresh) => decide(state, fresh, &message),
        None => Err(Refusal::UnknownConnection),
    };
    state.metrics.reauthentication("server", decided.as_ref().err().copied());
    let answer = match decided {
        Ok(proof) => [&[ACCEPTED], &proof[..]].concat(),
        Err(refusal) => {
            let peer = fresh.map_or("", |fresh| fresh.peer.as_str());
            let reason = refusal.as_str();
            tracing::warn!(peer, reason, "a connection was not re-authenticated: {refusal}");
            vec![refusal as u8]
        }
    };
    // The client may have gone; then the old connection has its new bounds all the same.
    let _ = tokio::time::timeout(limit, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    })
    .await;
}

async fn read(stream: &mut Tunnel, limit: Duration) -> Option<[u8; REQUEST]> {
    let mut message = [0; REQUEST];
    tokio::time::timeout(limit, stream.read_exact(&mut message)).await.ok()?.ok()?;
    Some(message)
}

/// Checks everything, and gives the old connection the bounds of the fresh one.
fn decide(
    state: &State,
    fresh: &Arc<Link>,
    message: &[u8; REQUEST],
) -> Result<crate::connection::reauth::Proof, Refusal> {
    let (name, proof) = read_request(message)?;
    let fresh_binding = fresh.binding.as_ref().ok_or(Refusal::UnknownConnection)?;
    let old = find(state, &name)?;
    let old_binding = old.binding.as_ref().ok_or(Refusal::UnknownConnection)?;
    if !old_binding.verify(Role::Client, fresh_binding, proof) {
        return Err(Refusal::BadProof);
    }
    let answer = take_over(state, &old, fresh, old_binding, fresh_binding)?;
    tracing::debug!(peer = old.peer.as_str(), link = old.number, "connection re-authenticated");
    Ok(answer)
}

fn find(state: &State, name: &Name) -> Result<Arc<Link>, Refusal> {
    let old = state.links.by_name(name).filter(|old| old.closing().is_none());
    old.filter(|old| state.clock.unix() < old.bounds().expires).ok_or(Refusal::UnknownConnection)
}

fn take_over(
    state: &State,
    old: &Arc<Link>,
    fresh: &Arc<Link>,
    old_binding: &Binding,
    fresh_binding: &Binding,
) -> Result<crate::connection::reauth::Proof, Refusal> {
    if fresh.peer != old.peer || fresh.own != old.own {
        return Err(Refusal::OtherIdentity);
    }
    let now = state.clock.unix();
    let bounds = Bounds::new(now, fresh.bounds().expires, old.number);
    // The same end again is no refusal: the answer before may have been lost on its way, and the client would be
    // left with the end that we have prolonged.
    if fresh.closing().is_some() || bounds.expires < old.bounds().expires {
        return Err(Refusal::NotLater);
    }
    let snapshot = state.snapshot();
    let allowed = state.registry.on_link(old).into_iter().all(|connection| {
        let allowed = authorize::still_allows(&snapshot, &connection);
        if !allowed {
            connection.close(CloseReason::Policy);
        }
        allowed
    });
    if !allowed {
        return Err(Refusal::Policy);
    }
    old.extend(fresh.chain(), bounds);
    state.verify_link(old);
    Ok(old_binding.prove(Role::Server, fresh_binding))
}
