//! One connection to one node, kept up by a task of its own: whoever asks puts a command into its queue.
//!
//! The task connects at once, before anybody asks, and again whenever the connection breaks. Meanwhile questions
//! wait no longer than their own deadline; between two tries they are told at once why there is no connection.

mod connect;
mod pipeline;

use std::sync::Arc;
use std::time::Duration;

use back_off::{BackOff, spread};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::reply::Reply;
use crate::settings::Setup;
use crate::standing::Standing;
use crate::{StoreAddress, StoreError};

/// Commands that wait for the connection: at 50,000 a second those of 20 ms.
const MOST_WAITING: usize = 1_024;
/// The first wait after a connection that could not be made, or did not last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest: when the store is back, answers are back within two seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A command, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Ask {
    command: Vec<u8>,
    /// Told before the command that its slot is moving here (`ASKING`, the specification of Redis Cluster).
    asking: bool,
    /// None where nobody waits.
    answer: Option<oneshot::Sender<Result<Reply, StoreError>>>,
}

impl Ask {
    fn is_forgotten(&self) -> bool {
        self.answer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn fail(self, error: &StoreError) {
        if let Some(answer) = self.answer {
            // Whoever waited may be gone.
            let _ = answer.send(Err(error.clone()));
        }
    }
}

/// A node, as those that ask see it. Its connection ends with it.
#[derive(Debug)]
pub(crate) struct Node {
    address: StoreAddress,
    asks: mpsc::Sender<Ask>,
    standing: Arc<Standing>,
    tasks: tokio::task::AbortHandle,
    timeout: Duration,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl Node {
    /// Begins to connect.
    pub(crate) fn start(
        address: StoreAddress,
        setup: &Arc<Setup>,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let standing = Arc::new(Standing::new(address.to_string().into(), setup));
        let (asks, queue) = mpsc::channel(MOST_WAITING);
        let link = Link {
            address: address.clone(),
            setup: Arc::clone(setup),
            standing: Arc::clone(&standing),
            asks: queue,
        };
        let trials = try_when_due(Arc::clone(&standing), asks.clone(), Arc::clone(setup));
        let tasks = runtime.spawn(async move { tokio::join!(link.keep(), trials) }).abort_handle();
        Self { address, asks, standing, tasks, timeout: setup.settings.timeout }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Sends a command and waits for its answer. How that went is counted at the node's circuit.
    pub(crate) async fn ask(
        &self,
        command: Vec<u8>,
        asking: bool,
        deadline: Instant,
    ) -> Result<Reply, StoreError> {
        if !self.standing.is_closed() {
            return Err(StoreError::CircuitOpen);
        }
        let asked = ask(&self.asks, command, asking, self.standing.address());
        let found = tokio::time::timeout_at(deadline, asked).await;
        let found = found.unwrap_or(Err(StoreError::Timeout(self.timeout)));
        match &found {
            // It says that there is no room, not that the store is away; those that fill the room will say.
            Ok(_) | Err(StoreError::Overflow) => {}
            Err(error) => self.standing.failed(error),
        }
        found
    }

    /// Sends a command whose answer nobody waits for. Dropped where it cannot be sent at once.
    pub(crate) fn tell(&self, command: Vec<u8>) {
        if self.standing.is_closed() {
            let _ = self.asks.try_send(Ask { command, asking: false, answer: None });
        }
    }
}

async fn ask(
    asks: &mpsc::Sender<Ask>,
    command: Vec<u8>,
    asking: bool,
    name: &Arc<str>,
) -> Result<Reply, StoreError> {
    // The task answers every ask, unless its runtime ends.
    let ended = || unreachable_for(name, "its connection is given up: the proxy ends");
    let (answer, answered) = oneshot::channel();
    match asks.try_send(Ask { command, asking, answer: Some(answer) }) {
        Ok(()) => answered.await.unwrap_or_else(|_| Err(ended())),
        Err(TrySendError::Full(_)) => Err(StoreError::Overflow),
        Err(TrySendError::Closed(_)) => Err(ended()),
    }
}

/// Makes the trials of an open circuit, so that nobody's request has to.
async fn try_when_due(standing: Arc<Standing>, asks: mpsc::Sender<Ask>, setup: Arc<Setup>) {
    let timeout = setup.settings.timeout;
    loop {
        standing.trial_due().await;
        let asked = ask(&asks, setup.probe.clone(), false, standing.address());
        let answered = tokio::time::timeout(timeout, asked).await;
        let answered = answered.unwrap_or(Err(StoreError::Timeout(timeout)));
        standing.tried(answered.and_then(|reply| connect::is_served(&reply, standing.address())));
    }
}

/// The task's side.
struct Link {
    address: StoreAddress,
    setup: Arc<Setup>,
    standing: Arc<Standing>,
    asks: mpsc::Receiver<Ask>,
}

impl Link {
    async fn keep(mut self) {
        let mut back_off = BackOff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let begun = Instant::now();
            let error = self.connect_and_carry().await;
            self.standing.disconnected();
            // One that lasted is made again at once; any other not before a wait.
            match begun.elapsed() > 2 * LONGEST_WAIT {
                true => back_off.reset(),
                false => self.refuse_for(back_off.next_wait(), &error).await,
            }
        }
    }

    /// Until the connection breaks, or cannot be made.
    async fn connect_and_carry(&mut self) -> StoreError {
        let stream = match connect::connect(&self.address, &self.setup).await {
            Ok(stream) => stream,
            Err(error) => {
                self.standing.tell_trouble(&error);
                return error;
            }
        };
        self.standing.connected();
        // A store that is only slow is not left for it: every question has its own deadline.
        let silence = (5 * self.setup.settings.timeout).max(Duration::from_millis(500));
        let reason =
            pipeline::carry(stream, &mut self.asks, self.standing.address(), silence).await;
        unreachable_for(self.standing.address(), &reason)
    }

    /// Tells everybody for a while why there is no connection.
    async fn refuse_for(&mut self, wait: Duration, error: &StoreError) {
        let wait = tokio::time::sleep(spread(wait, 0.75..=1.25, fastrand::f64()));
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return,
                Some(ask) = self.asks.recv() => ask.fail(error),
            }
        }
    }
}

fn unreachable_for(address: &Arc<str>, reason: &str) -> StoreError {
    StoreError::Unreachable { address: Arc::clone(address), reason: reason.into() }
}
