//! The server's side: a peer on a fresh connection claims an older one of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connection::mesh_connection::{LifetimeBounds, MeshConnection};
use crate::connection::reauth::{
    ACCEPTED, ChannelBinding, ConnectionName, ProofRole, REQUEST, ReauthRefusal, read_request,
};
use crate::http::tunnel::Tunnel;
use crate::labels::CloseReason;
use crate::traffic::authorize;
use crate::traffic::state::ProxyState;

/// Serves one `reauth` stream of the connection `fresh`.
pub(crate) async fn answer(
    state: &ProxyState,
    fresh: Option<&Arc<MeshConnection>>,
    mut stream: Tunnel,
) {
    let limit = state.settings.limits.handshake_timeout;
    let Some(message) = read(&mut stream, limit).await else { return };
    let decided = match fresh {
        Some(fresh) => decide(state, fresh, &message),
        None => Err(ReauthRefusal::UnknownConnection),
    };
    let refusal = decided.as_ref().err().map(|refusal| refusal.as_str());
    state.metrics.reauthentication("server", refusal);
    let answer = match decided {
        Ok(proof) => [&[ACCEPTED], &proof[..]].concat(),
        Err(refusal) => {
            let peer = fresh.map_or("", |fresh| fresh.peer.as_str());
            let reason = refusal.as_str();
            tracing::warn!(peer, reason, "a connection was not re-authenticated: {refusal}");
            vec![refusal as u8]
        }
    };
    // The client may be gone; then the old connection keeps its new bounds nevertheless.
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
    state: &ProxyState,
    fresh: &Arc<MeshConnection>,
    message: &[u8; REQUEST],
) -> Result<crate::connection::reauth::ReauthProof, ReauthRefusal> {
    let (name, proof) = read_request(message)?;
    let fresh_binding = fresh.binding.as_ref().ok_or(ReauthRefusal::UnknownConnection)?;
    let old = find(state, &name)?;
    let old_binding = old.binding.as_ref().ok_or(ReauthRefusal::UnknownConnection)?;
    if !old_binding.verify(ProofRole::Client, fresh_binding, proof) {
        return Err(ReauthRefusal::BadProof);
    }
    let answer = take_over(state, &old, fresh, old_binding, fresh_binding)?;
    tracing::debug!(peer = old.peer.as_str(), link = old.number, "connection re-authenticated");
    Ok(answer)
}

fn find(state: &ProxyState, name: &ConnectionName) -> Result<Arc<MeshConnection>, ReauthRefusal> {
    let old = state.mesh_connections.by_name(name).filter(|old| old.closing().is_none());
    old.filter(|old| state.clock.unix() < old.bounds().expires)
        .ok_or(ReauthRefusal::UnknownConnection)
}

fn take_over(
    state: &ProxyState,
    old: &Arc<MeshConnection>,
    fresh: &Arc<MeshConnection>,
    old_binding: &ChannelBinding,
    fresh_binding: &ChannelBinding,
) -> Result<crate::connection::reauth::ReauthProof, ReauthRefusal> {
    if fresh.peer != old.peer || fresh.own != old.own {
        return Err(ReauthRefusal::OtherIdentity);
    }
    let now = state.clock.unix();
    let bounds = LifetimeBounds::new(now, fresh.bounds().expires, old.number);
    // The same end again is not refused: the answer before may have been lost, and the client would be left with the
    // end that was already extended.
    if fresh.closing().is_some() || bounds.expires < old.bounds().expires {
        return Err(ReauthRefusal::NotLater);
    }
    let snapshot = state.snapshot();
    let allowed = state.registry.on_mesh_connection(old).into_iter().all(|connection| {
        let allowed = authorize::still_allows(&snapshot, &connection);
        if !allowed {
            connection.close(CloseReason::Policy);
        }
        allowed
    });
    if !allowed {
        return Err(ReauthRefusal::Policy);
    }
    old.extend(fresh.chain(), bounds);
    state.verify_mesh_connection(old);
    Ok(old_binding.prove(ProofRole::Server, fresh_binding))
}
