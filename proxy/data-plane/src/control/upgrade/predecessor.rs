//! The running proxy: it waits for a successor, hands its sockets over, and goes on until the successor accepts.

use std::os::fd::{AsFd as _, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Fuse, FusedFuture as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::FRAME_TIMEOUT;
use super::channel::{Channel, ChannelError};
use super::frame::{Frame, MAX_DESCRIPTORS};
use super::meeting_point::MeetingPointListener;
use crate::connection::net::is_listening;
use crate::control::drain;
use crate::traffic::state::{DrainStage, ProxyState};

/// After an accept that failed, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything that is handed over, and what has to know.
pub(crate) struct HandOver {
    /// The proxy.
    pub(crate) state: Arc<ProxyState>,
    /// Where the successor comes to.
    pub(crate) meeting_point: MeetingPointListener,
    /// Copies of every listening TCP socket.
    pub(crate) sockets: Vec<OwnedFd>,
    /// Ends the servers of admin, metrics and readiness.
    pub(crate) pages: CancellationToken,
}

/// Waits for successors until one has taken over, or the proxy ends by itself. One at a time: others are refused.
pub(crate) async fn keep_ready(hand_over: HandOver) {
    let HandOver { state, meeting_point, sockets, pages } = hand_over;
    let Ok(sockets) = with_meeting_point(sockets, &meeting_point) else { return };
    let sockets = Arc::new(sockets);
    let limit = state.settings.limits.upgrade_timeout;
    let mut ending = state.drain.subscribe();
    let mut ends = false;
    let mut exchange = pin!(Fuse::terminated());
    while !ends || !exchange.is_terminated() {
        tokio::select! {
            biased;
            outcome = &mut exchange => match outcome {
                Ok(channel) => {
                    drop((sockets, meeting_point));
                    return release(&state, &pages, &channel).await;
                }
                // Somebody who only looked whether a proxy runs here.
                Err(ChannelError::Absent) => {}
                Err(error) => report(&error),
            },
            successor = meeting_point.accept(), if !ends => match successor {
                Ok(channel) if exchange.is_terminated() => {
                    exchange.set(offer(channel, sockets.clone(), limit).fuse());
                }
                Ok(channel) => drop(tokio::spawn(refuse_second(channel))),
                Err(error) => turned_away(&state, &error).await,
            },
            // What is under way goes on: a successor that is ready is a good end.
            () = ending_begins(&mut ending), if !ends => ends = true,
        }
    }
    // Its copies end with it, or a socket would go on taking connections that nobody accepts.
    meeting_point.remove();
}

async fn ending_begins(stage: &mut watch::Receiver<DrainStage>) {
    // The sender lives as long as the proxy.
    let _ = stage.wait_for(|stage| *stage != DrainStage::No).await;
}

/// The meeting point is handed over as well: whoever comes next finds the successor there.
fn with_meeting_point(
    mut sockets: Vec<OwnedFd>,
    meeting_point: &MeetingPointListener,
) -> std::io::Result<Vec<OwnedFd>> {
    sockets.push(meeting_point.descriptor().try_clone_to_owned()?);
    Ok(sockets)
}

/// Hands copies of all sockets to a successor and waits until it accepts. Nothing here changes what this proxy does.
async fn offer(
    channel: Channel,
    sockets: Arc<Vec<OwnedFd>>,
    limit: Duration,
) -> Result<Channel, ChannelError> {
    match until_it_accepts(&channel, &sockets, limit).await {
        Ok(()) => Ok(channel),
        Err(error) => {
            // A successor that is gone needs no answer.
            let _ = channel.send(&Frame::Refused(error.to_string()), &[]).await;
            Err(error)
        }
    }
}

async fn until_it_accepts(
    channel: &Channel,
    sockets: &[OwnedFd],
    limit: Duration,
) -> Result<(), ChannelError> {
    let (said, _) = match channel.receive_within(FRAME_TIMEOUT).await {
        Err(ChannelError::Ended) => return Err(ChannelError::Absent),
        received => received?,
    };
    expect(said, &Frame::Request)?;
    // A gateway's port that has gone listens no more.
    let sockets: Vec<_> = sockets.iter().filter(is_listening).collect();
    tracing::info!(process = channel.peer, sockets = sockets.len(), "a successor prepares");
    hand_out(channel, &sockets).await?;
    // It has a deadline of its own, and the last word about it.
    let (said, _) = channel.receive_within(limit + FRAME_TIMEOUT).await?;
    expect(said, &Frame::Accepting)
}

async fn hand_out(channel: &Channel, sockets: &[&OwnedFd]) -> Result<(), ChannelError> {
    let mut left = sockets.len();
    for some in sockets.chunks(MAX_DESCRIPTORS) {
        left -= some.len();
        let remaining = u32::try_from(left).unwrap_or(u32::MAX);
        let descriptors: Vec<_> = some.iter().map(|socket| socket.as_fd()).collect();
        channel.send(&Frame::Sockets { remaining }, &descriptors).await?;
    }
    Ok(())
}

fn expect(said: Frame, expected: &Frame) -> Result<(), ChannelError> {
    if said == *expected { Ok(()) } else { Err(ChannelError::OutOfTurn(said)) }
}

/// The successor accepts: this proxy stops, and lets what is open finish.
async fn release(state: &ProxyState, pages: &CancellationToken, channel: &Channel) {
    drain::hand_over(state);
    pages.cancel();
    tracing::info!(process = channel.peer, "a successor has taken over");
    // It goes on in any case.
    let _ = channel.send(&Frame::Released, &[]).await;
}

async fn refuse_second(channel: Channel) {
    let why = "another upgrade is under way: wait until it has ended, and try again";
    tracing::warn!(process = channel.peer, "a second upgrade at the same time is refused");
    let _ = channel.send(&Frame::Refused(why.to_owned()), &[]).await;
    // Until the other has read it, or gives up.
    let _ = channel.receive_within(FRAME_TIMEOUT).await;
}

/// Somebody who is no successor, as often as it likes; or no descriptor for one.
async fn turned_away(state: &ProxyState, error: &ChannelError) {
    if state.accept_trouble.is_due(state.clock.coarse()) {
        report(error);
    }
    if matches!(error, ChannelError::System(_)) {
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn report(error: &ChannelError) {
    tracing::warn!(%error, "an upgrade has failed; this proxy goes on");
}
