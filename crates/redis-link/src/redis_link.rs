//! Questions, from a command to its answer.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::command::Call;
use crate::link::Node;
use crate::nodes::{Nodes, Redirect};
use crate::reply::Reply;
use crate::settings::Setup;
use crate::thread::{self, Thread};
use crate::{Command, SettingsError, Slot, StoreError, StoreSettings};

/// Commands for one question: two redirects, and a script that each of two nodes does not know yet.
const MOST_COMMANDS: usize = 5;

/// The connections to one store. Cheap to clone; they end with the last clone.
#[derive(Debug, Clone)]
pub struct RedisLink(Arc<Store>);

#[derive(Debug)]
struct Store {
    nodes: Nodes,
    /// Ends it by being dropped, after the connections.
    _thread: Option<Thread>,
}

/// What one command came to.
enum Step<T> {
    Done(T),
    /// The script was not known by its name.
    WithText,
    Elsewhere {
        node: Arc<Node>,
        asking: bool,
    },
}

impl RedisLink {
    /// Begins to connect, in a thread of its own, which ends with the last handle: neither what another thread computes
    /// meanwhile nor what it waits for takes time from answers. They can be asked for in any runtime.
    ///
    /// `purpose` stands in log lines ("the store of PURPOSE is away"). `probe` is run on every new connection, and where
    /// a store that failed is tried again, so that a user who may not, or a replica that cannot write, is known before
    /// anybody asks; it may fall on a node of a Cluster that has not got its keys.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start(
        settings: StoreSettings,
        purpose: &'static str,
        probe: &Command<'_>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let (thread, runtime) =
            thread::start(purpose).map_err(|error| SettingsError::NoThread(error.to_string()))?;
        Ok(Self::new(settings, purpose, probe, runtime, Some(thread)))
    }

    /// Begins to connect, by a task on this runtime: better not one that computes for milliseconds.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start_on(
        runtime: Handle,
        settings: StoreSettings,
        purpose: &'static str,
        probe: &Command<'_>,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self::new(settings, purpose, probe, runtime, None))
    }

    fn new(
        settings: StoreSettings,
        purpose: &'static str,
        probe: &Command<'_>,
        runtime: Handle,
        thread: Option<Thread>,
    ) -> Self {
        let probe = probe.bytes(Call::WithText);
        let nodes = Nodes::start(Setup { settings, purpose, probe }, runtime);
        Self(Arc::new(Store { nodes, _thread: thread }))
    }

    /// Where the connections are kept: for small tasks beside them, which end with them.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        self.0.nodes.runtime()
    }

    /// The settings it was started with.
    #[must_use]
    pub fn settings(&self) -> &StoreSettings {
        &self.0.nodes.setup().settings
    }

    /// Asks the node that has this slot, within [`StoreSettings::timeout`], and follows it to another one. `meaning`
    /// says what an answer means; none where it is no answer to this.
    ///
    /// # Errors
    /// [`StoreError`]: there is no answer. The command may have been run all the same where it was late.
    pub async fn ask<T>(
        &self,
        slot: Slot,
        command: Command<'_>,
        meaning: impl Fn(Reply) -> Option<T>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.settings().timeout;
        let mut node = self.0.nodes.of(slot).ok_or(StoreError::CircuitOpen)?;
        let (mut call, mut asking) = (Call::ByName, false);
        for _ in 0..MOST_COMMANDS {
            let reply = node.ask(command.bytes(call), asking, deadline).await?;
            match self.step(reply, &node, slot, &meaning)? {
                Step::Done(answer) => return Ok(answer),
                Step::WithText => call = Call::WithText,
                Step::Elsewhere { node: next, asking: next_asking } => {
                    (node, call, asking) = (next, Call::ByName, next_asking);
                }
            }
        }
        Err(refused(&node, "it redirects without end"))
    }

    fn step<T>(
        &self,
        reply: Reply,
        node: &Node,
        slot: Slot,
        meaning: impl Fn(Reply) -> Option<T>,
    ) -> Result<Step<T>, StoreError> {
        let error = match reply {
            Reply::Error(error) if error.starts_with("NOSCRIPT") => return Ok(Step::WithText),
            Reply::Error(error) => error,
            reply => match meaning(reply) {
                Some(answer) => {
                    node.standing().answered();
                    return Ok(Step::Done(answer));
                }
                None => "it answers what was not asked".to_owned(),
            },
        };
        if let Some(redirect) = Redirect::read(&error)
            && let Some(next) = self.0.nodes.follow(redirect, node, slot)
        {
            node.standing().answered();
            return Ok(Step::Elsewhere { node: next, asking: redirect.asking });
        }
        Err(refused(node, &error))
    }

    /// Sends a command, a script by its name alone. Nobody waits for it, and it is lost where the store cannot be
    /// reached, does not know the script, or has moved the slot meanwhile.
    pub fn tell(&self, slot: Slot, command: Command<'_>) {
        if let Some(node) = self.0.nodes.of(slot) {
            node.tell(command.bytes(Call::ByName));
        }
    }

    /// Whether the store is connected and asked. Known without any question, within two seconds after it has changed.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.nodes.are_up()
    }

    /// What is wrong, while something is: a connection that cannot be made, a wrong password, no answers in time.
    #[must_use]
    pub fn trouble(&self) -> Option<StoreError> {
        self.0.nodes.all().iter().find_map(|node| node.standing().trouble())
    }
}

/// A refusal is a failure: a store that only refuses is not asked any more, until a trial is served.
fn refused(node: &Node, reason: &str) -> StoreError {
    let address = Arc::clone(node.standing().address());
    let error = StoreError::Refused { address, reason: reason.into() };
    node.standing().failed(&error);
    error
}
