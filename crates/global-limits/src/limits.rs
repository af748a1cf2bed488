//! Decisions, from a key to an answer.

use std::sync::Arc;

use rate_limit::{Decision, Quota};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::link::Node;
use crate::nodes::{Nodes, Redirect};
use crate::reply::Reply;
use crate::script::{Call, Measure};
use crate::thread::{self, Thread};
use crate::{SettingsError, StoreError, StoreSettings};

/// Commands for one decision: two redirects, and a script that each of two nodes does not know yet.
const MOST_COMMANDS: usize = 5;

/// The limits that are counted in one store. Cheap to clone; the connections end with the last one.
#[derive(Debug, Clone)]
pub struct GlobalLimits(Arc<Store>);

#[derive(Debug)]
struct Store {
    nodes: Nodes,
    /// Ends it by being dropped, after the connections.
    _thread: Option<Thread>,
}

/// What one command came to.
enum Step {
    Done(Decision),
    /// The script was not known by its name.
    WithText,
    Elsewhere {
        node: Arc<Node>,
        asking: bool,
    },
}

impl GlobalLimits {
    /// Begins to connect, in a thread of its own, which ends with the last handle: neither what another thread computes
    /// meanwhile nor what it waits for takes time from decisions. They can be asked for in any runtime.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start(settings: StoreSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let (thread, runtime) =
            thread::start().map_err(|error| SettingsError::NoThread(error.to_string()))?;
        let nodes = Nodes::start(settings, runtime);
        Ok(Self(Arc::new(Store { nodes, _thread: Some(thread) })))
    }

    /// Begins to connect, by a task on this runtime: better not one that computes for milliseconds.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start_on(runtime: Handle, settings: StoreSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        let nodes = Nodes::start(settings, runtime);
        Ok(Self(Arc::new(Store { nodes, _thread: None })))
    }

    /// Takes one request of the bucket of `key`, or refuses it, within [`StoreSettings::timeout`]. Limits that must not
    /// share a bucket have keys of their own. A bucket whose quota changes stays as it was, but never more than whole.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was decided. The request may be counted all the same where the answer was late.
    pub async fn decide(&self, key: &[u8], quota: &Quota) -> Result<Decision, StoreError> {
        let settings = self.0.nodes.settings();
        let deadline = Instant::now() + settings.timeout;
        let (bucket, measure) = (Bucket::of(&settings.key_prefix, key), Measure::of(quota));
        let mut node = self.0.nodes.of(bucket.slot()).ok_or(StoreError::CircuitOpen)?;
        let (mut call, mut asking) = (Call::ByName, false);
        for _ in 0..MOST_COMMANDS {
            let reply = node.ask(measure.take(call, &bucket), asking, deadline).await?;
            match self.step(reply, &node, &bucket, measure)? {
                Step::Done(decision) => return Ok(decision),
                Step::WithText => call = Call::WithText,
                Step::Elsewhere { node: next, asking: next_asking } => {
                    (node, call, asking) = (next, Call::ByName, next_asking);
                }
            }
        }
        Err(refused(&node, "it redirects without end"))
    }

    fn step(
        &self,
        reply: Reply,
        node: &Node,
        bucket: &Bucket,
        measure: Measure,
    ) -> Result<Step, StoreError> {
        let error = match reply {
            Reply::Numbers(numbers) => match measure.decision(&numbers) {
                Some(decision) => {
                    node.standing().answered();
                    return Ok(Step::Done(decision));
                }
                None => "it answers what the script does not say".to_owned(),
            },
            Reply::Okay => "it answers what the script does not say".to_owned(),
            Reply::Error(error) if error.starts_with("NOSCRIPT") => return Ok(Step::WithText),
            Reply::Error(error) => error,
        };
        if let Some(redirect) = Redirect::read(&error)
            && let Some(next) = self.0.nodes.follow(redirect, node, bucket.slot())
        {
            node.standing().answered();
            return Ok(Step::Elsewhere { node: next, asking: redirect.asking });
        }
        Err(refused(node, &error))
    }

    /// Gives one request back that was allowed and then refused by something else. Nobody waits for it, and it is lost
    /// where the store cannot be reached, or has moved the bucket meanwhile: the caller then waits a little longer.
    pub fn give_back(&self, key: &[u8], quota: &Quota) {
        let bucket = Bucket::of(&self.0.nodes.settings().key_prefix, key);
        if let Some(node) = self.0.nodes.of(bucket.slot()) {
            // It was taken a moment ago: the store knows the script.
            node.tell(Measure::of(quota).give_back(Call::ByName, &bucket));
        }
    }

    /// Whether the store is connected and asked. Known without any decision, within two seconds after it has changed.
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
