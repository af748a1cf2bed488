//! Decisions, from a key to an answer.

use rate_limit::{Decision, Quota};
use redis_link::reply::Reply;
use redis_link::{RedisLink, SettingsError, StoreError, StoreSettings};
use tokio::runtime::Handle;

use crate::bucket::Bucket;
use crate::script::{Measure, command};

/// What the store is for, in log lines.
const PURPOSE: &str = "global limits";

/// The limits that are counted in one store. Cheap to clone; the connections end with the last one.
#[derive(Debug, Clone)]
pub struct GlobalLimits(RedisLink);

impl GlobalLimits {
    /// Begins to connect, in a thread of its own, which ends with the last handle: neither what another thread computes
    /// meanwhile nor what it waits for takes time from decisions. They can be asked for in any runtime.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start(settings: StoreSettings) -> Result<Self, SettingsError> {
        let (bucket, words) = (Bucket::probe(&settings.key_prefix), Measure::probe().take());
        let (keys, arguments) = ([bucket.key()], words.arguments());
        RedisLink::start(settings, PURPOSE, &command(&keys, &arguments)).map(Self)
    }

    /// Begins to connect, by a task on this runtime: better not one that computes for milliseconds.
    ///
    /// # Errors
    /// [`SettingsError`]: the store itself is not waited for.
    pub fn start_on(runtime: Handle, settings: StoreSettings) -> Result<Self, SettingsError> {
        let (bucket, words) = (Bucket::probe(&settings.key_prefix), Measure::probe().take());
        let (keys, arguments) = ([bucket.key()], words.arguments());
        RedisLink::start_on(runtime, settings, PURPOSE, &command(&keys, &arguments)).map(Self)
    }

    /// Takes one request of the bucket of `key`, or refuses it, within [`StoreSettings::timeout`]. Limits that must not
    /// share a bucket have keys of their own. A bucket whose quota changes stays as it was, but never more than whole.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was decided. The request may be counted all the same where the answer was late.
    pub async fn decide(&self, key: &[u8], quota: &Quota) -> Result<Decision, StoreError> {
        let (bucket, measure) = (self.bucket(key), Measure::of(quota));
        let words = measure.take();
        let (keys, arguments) = ([bucket.key()], words.arguments());
        let meaning = |reply| match reply {
            Reply::Numbers(numbers) => measure.decision(&numbers),
            _ => None,
        };
        self.0.ask(bucket.slot(), command(&keys, &arguments), meaning).await
    }

    /// Gives one request back that was allowed and then refused by something else. Nobody waits for it, and it is lost
    /// where the store cannot be reached, or has moved the bucket meanwhile: the caller then waits a little longer.
    pub fn give_back(&self, key: &[u8], quota: &Quota) {
        let (bucket, words) = (self.bucket(key), Measure::of(quota).give_back());
        let (keys, arguments) = ([bucket.key()], words.arguments());
        // It was taken a moment ago: the store knows the script.
        self.0.tell(bucket.slot(), command(&keys, &arguments));
    }

    /// Whether the store is connected and asked. Known without any decision, within two seconds after it has changed.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.is_up()
    }

    /// What is wrong, while something is: a connection that cannot be made, a wrong password, no answers in time.
    #[must_use]
    pub fn trouble(&self) -> Option<StoreError> {
        self.0.trouble()
    }

    fn bucket(&self, key: &[u8]) -> Bucket {
        Bucket::of(&self.0.settings().key_prefix, key)
    }
}
