//! The client's side: extends a connection of ours before its streams would be cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connection::mesh_connection::{LifetimeBounds, MeshConnection};
use crate::connection::reauth::{ACCEPTED, ProofRole, ReauthRefusal, request};
use crate::http::error::RequestError;
use crate::http::h2_client::HasStreams;
use crate::http::h2_connect::ConnectError;
use crate::http::tunnel::Tunnel;
use crate::traffic::mesh::MeshDialer;
use crate::traffic::mesh::{Destination, StreamKind};

/// The longest sleep in one piece: the wall clock is read again after it (SECURITY-CASES F-07).
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Re-authenticates a connection for as long as it lives, whenever it is due and streams depend on it. Never returns;
/// it is dropped with the connection.
pub(crate) async fn keep(
    dialer: Arc<MeshDialer>,
    destination: Arc<Destination>,
    mesh_connection: Arc<MeshConnection>,
    streams: HasStreams,
) {
    if mesh_connection.binding.is_none() {
        return std::future::pending().await;
    }
    loop {
        let bounds = mesh_connection.bounds();
        wait(
            &dialer,
            bounds,
            bounds.reauthenticate_in(dialer.state.clock.unix(), mesh_connection.number),
        )
        .await;
        loop {
            if streams.now() && try_once(&dialer, &destination, &mesh_connection).await {
                break;
            }
            let pause = bounds.retry_in(dialer.state.clock.unix());
            tokio::time::sleep(pause).await;
        }
    }
}

/// Waits, but not past the moment when half of the time then left has gone: a clock that jumped ahead leaves less time
/// than expected.
async fn wait(dialer: &MeshDialer, bounds: LifetimeBounds, mut left: Duration) {
    while !left.is_zero() {
        let piece = left.min(LONGEST_SLEEP);
        tokio::time::sleep(piece).await;
        let until_end = bounds.expires.saturating_sub(dialer.state.clock.unix());
        left = (left - piece).min(Duration::from_secs(until_end));
    }
}

/// One attempt, counted and logged. When neither side has renewed yet, that is not a failure.
async fn try_once(
    dialer: &Arc<MeshDialer>,
    destination: &Arc<Destination>,
    old: &Arc<MeshConnection>,
) -> bool {
    let limit = dialer.state.settings.limits.handshake_timeout;
    let tried = tokio::time::timeout(limit, reauthenticate(dialer, destination, old)).await;
    let result = tried.unwrap_or(Err(ReauthRefusal::Unreachable));
    let refusal = result.err();
    dialer.state.metrics.reauthentication("client", refusal.map(ReauthRefusal::as_str));
    let (peer, ends) = (old.peer.as_str(), old.bounds().expires);
    match refusal {
        None => tracing::debug!(peer, link = old.number, ends, "connection re-authenticated"),
        Some(ReauthRefusal::NotLater) => {}
        Some(refusal) => tracing::warn!(
            peer,
            reason = refusal.as_str(),
            ends,
            "a connection was not re-authenticated and will be cut at its end: {refusal}"
        ),
    }
    refusal.is_none()
}

async fn reauthenticate(
    dialer: &Arc<MeshDialer>,
    destination: &Arc<Destination>,
    old: &Arc<MeshConnection>,
) -> Result<(), ReauthRefusal> {
    let old_binding = old.binding.as_ref().ok_or(ReauthRefusal::Unsupported)?;
    if !destination.is_still(dialer, &old.peer) {
        return Err(ReauthRefusal::Policy);
    }
    // A handshake now could not end later than our own certificate, so none is made.
    let own = dialer.state.valid_credentials().ok_or(ReauthRefusal::NoCertificate)?;
    if own.svid().not_after() <= old.bounds().expires {
        return Err(ReauthRefusal::NotLater);
    }
    let (place, fresh) = destination.open_fresh(dialer).await.map_err(|e| refusal_of(&e))?;
    let fresh_binding = fresh.binding.as_ref().ok_or(ReauthRefusal::Unsupported)?;
    if fresh.peer != old.peer || fresh.own != old.own {
        return Err(ReauthRefusal::OtherIdentity);
    }
    let now = dialer.state.clock.unix();
    let bounds = LifetimeBounds::new(now, fresh.bounds().expires, old.number);
    if bounds.expires <= old.bounds().expires {
        return Err(ReauthRefusal::NotLater);
    }
    let authority = destination.address.to_string();
    let opened = place.connect(&authority, StreamKind::Reauth.as_str()).await;
    let mut stream = opened.map_err(|error| match error {
        ConnectError::Request(_) => ReauthRefusal::Unreachable,
        ConnectError::Refused { .. } | ConnectError::BadAuthority => ReauthRefusal::Unsupported,
    })?;
    let proof = ask(&mut stream, &request(old_binding, fresh_binding)).await?;
    if !old_binding.verify(ProofRole::Server, fresh_binding, &proof) {
        return Err(ReauthRefusal::BadProof);
    }
    if fresh.closing().is_some() {
        return Err(ReauthRefusal::NotLater);
    }
    old.extend(fresh.chain(), bounds);
    dialer.state.verify_mesh_connection(old);
    Ok(())
}

async fn ask(
    stream: &mut Tunnel,
    message: &[u8],
) -> Result<crate::connection::reauth::ReauthProof, ReauthRefusal> {
    let broken = |_| ReauthRefusal::Unreachable;
    stream.write_all(message).await.map_err(broken)?;
    stream.shutdown().await.map_err(broken)?;
    match stream.read_u8().await.map_err(broken)? {
        ACCEPTED => {
            let mut proof = [0; 32];
            stream.read_exact(&mut proof).await.map_err(broken)?;
            Ok(proof)
        }
        code => Err(ReauthRefusal::from_wire(code)),
    }
}

fn refusal_of(error: &RequestError) -> ReauthRefusal {
    match error {
        RequestError::NoCertificate => ReauthRefusal::NoCertificate,
        RequestError::Handshake { source, .. } if source.is_other_identity() => {
            ReauthRefusal::OtherIdentity
        }
        _ => ReauthRefusal::Unreachable,
    }
}
