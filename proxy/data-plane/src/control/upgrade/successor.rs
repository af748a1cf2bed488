//! `run --upgrade`: takes the sockets, prepares while the predecessor serves, accepts, and says so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::time::{Instant, sleep, sleep_until};

use super::FRAME_TIMEOUT;
use super::channel::{Channel, ChannelError};
use super::frame::{Frame, MAX_SOCKETS};
use super::inherited::InheritedSockets;
use super::meeting_point::MeetingPoint;
use crate::traffic::state::{DrainStage, ProxyState};

/// How often readiness is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long, once everything else is there, the keys of token issuers are waited for: an issuer that is down must not
/// keep the proxy from being upgraded.
const KEYS_WAIT: Duration = Duration::from_secs(5);

/// A process on its way to take over.
#[derive(Debug)]
pub(crate) struct Successor {
    /// `None` once the predecessor is gone.
    predecessor: Option<Channel>,
    deadline: Instant,
    limit: Duration,
}

/// How the preparation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// It may accept connections.
    Ready,
    /// It was told to end first.
    Ending,
}

impl Successor {
    /// Asks the proxy at `point` for its sockets. From now on this one has `limit` to become ready.
    ///
    /// # Errors
    /// Nobody is there, or it refuses; with what to do about it.
    pub(crate) async fn ask(
        point: &MeetingPoint,
        limit: Duration,
    ) -> anyhow::Result<(Self, InheritedSockets)> {
        let deadline = Instant::now() + limit;
        let received = async {
            let channel = connect(point).await?;
            channel.send(&Frame::Request, &[]).await?;
            let sockets = receive_all(&channel).await?;
            Ok((channel, sockets))
        };
        let (channel, sockets) = received
            .await
            .map_err(|error| anyhow!("cannot upgrade: {}", explain(&error, point)))?;
        tracing::info!(process = channel.peer, sockets = sockets.len(), "taking over");
        Ok((Self { predecessor: Some(channel), deadline, limit }, sockets))
    }

    /// Waits until this process could serve: a certificate, the resources, the keys of token issuers. A predecessor
    /// that ends meanwhile leaves its place to us at once.
    ///
    /// # Errors
    /// It does not become ready in time, or the predecessor has given up.
    pub(crate) async fn prepare(&mut self, state: &Arc<ProxyState>) -> anyhow::Result<Preparation> {
        let keys = Instant::now() + KEYS_WAIT;
        loop {
            state.clock.tick();
            if *state.drain.borrow() != DrainStage::No {
                return Ok(Preparation::Ending);
            }
            let unready = state.unready_reason();
            let waits_for_keys = Instant::now() < keys && !has_token_keys(state);
            if unready.is_none() && !waits_for_keys {
                return Ok(Preparation::Ready);
            }
            let Some(predecessor) = &self.predecessor else { return Ok(Preparation::Ready) };
            tokio::select! {
                () = sleep(LOOK) => {}
                () = sleep_until(self.deadline) => {
                    let reason = unready.unwrap_or("token keys");
                    bail!("cannot upgrade: not ready within {:?} ({reason}); the running proxy goes on", self.limit);
                }
                said = predecessor.receive() => match said {
                    Err(ChannelError::Ended) => self.lose_predecessor(),
                    Err(error) => bail!("cannot upgrade: the running proxy says: {error}"),
                    Ok((said, _)) => bail!("cannot upgrade: {}", ChannelError::OutOfTurn(said)),
                },
            }
        }
    }

    fn lose_predecessor(&mut self) {
        tracing::warn!(
            "the running proxy has ended before it was taken over from; going on in its place"
        );
        self.predecessor = None;
    }

    /// Tells the predecessor that this process accepts, which is true by now.
    ///
    /// # Errors
    /// The predecessor has given up meanwhile, and accepts as well: this process must not stay.
    pub(crate) async fn accepting(self) -> anyhow::Result<()> {
        let Some(predecessor) = self.predecessor else { return Ok(()) };
        // One that has closed its end may have said why before.
        let _ = predecessor.send(&Frame::Accepting, &[]).await;
        let answer = predecessor.receive_within(FRAME_TIMEOUT).await;
        match answer {
            Ok((Frame::Released, _)) => tracing::info!("took over"),
            Err(ChannelError::Refused(why)) => {
                bail!("cannot upgrade: the running proxy says: {why}");
            }
            // It is gone, or hangs: then it accepts nothing, and reads our word if it wakes up.
            other => tracing::warn!(answer = ?other, "took over; the running proxy did not answer"),
        }
        Ok(())
    }
}

/// Connects, also where others who want to be heard have filled the queue for a moment.
async fn connect(point: &MeetingPoint) -> Result<Channel, ChannelError> {
    let deadline = Instant::now() + FRAME_TIMEOUT;
    loop {
        match point.connect() {
            Err(ChannelError::System(error))
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                sleep(LOOK).await;
            }
            connected => return connected,
        }
    }
}

async fn receive_all(channel: &Channel) -> Result<InheritedSockets, ChannelError> {
    let mut all = Vec::new();
    loop {
        let (said, descriptors) = channel.receive_within(FRAME_TIMEOUT).await?;
        let Frame::Sockets { remaining } = said else { return Err(ChannelError::OutOfTurn(said)) };
        all.extend(descriptors);
        if remaining == 0 {
            return Ok(InheritedSockets::of(all)?);
        }
        if all.len() > usize::try_from(MAX_SOCKETS).unwrap_or(usize::MAX) {
            return Err(ChannelError::OutOfTurn(Frame::Sockets { remaining }));
        }
    }
}

fn explain(error: &ChannelError, point: &MeetingPoint) -> String {
    match error {
        ChannelError::System(system) if nobody_is_there(system) => format!(
            "no running proxy waits at {point} ({system}): start without `--upgrade`, or give the `upgrade.socket` of the running one"
        ),
        ChannelError::System(system) => format!("{point}: {system}"),
        other => other.to_string(),
    }
}

fn nobody_is_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Whether every source of token keys that a rule names has been read.
fn has_token_keys(state: &ProxyState) -> bool {
    let (snapshot, keys) = (state.snapshot(), state.token_keys.keys());
    snapshot.tokens().rules().iter().all(|rule| keys.get(&rule.jwt.keys).is_some())
}
