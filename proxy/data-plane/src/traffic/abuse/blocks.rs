//! Who is blocked, for a person who asks.

use std::sync::Arc;
use std::time::Duration;

use abuse_score::Block;
use serde::Serialize;

use super::in_force::PolicyInForce;

/// The longest name of a caller that is shown: a claim is as long as its issuer likes.
const LONGEST_NAME: usize = 256;

/// A caller that is blocked, as its policy calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockedCaller {
    pub(super) key: &'static str,
    pub(super) name: Arc<str>,
}

/// A block, as `GET /blocks` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct BlockRecord {
    /// The policy that says so.
    pub policy: Arc<str>,
    /// Whether requests are refused; false: `mode` is detect.
    pub enforced: bool,
    /// What the caller is told from others by: principal, clientAddress, claim or apiKey.
    pub key: &'static str,
    /// Who is blocked.
    pub caller: Arc<str>,
    /// Why: refusals or enumeration.
    pub cause: &'static str,
    /// Since when, Unix seconds.
    pub since: u64,
    /// Until when, Unix seconds.
    pub until: u64,
    /// How many blocks before it were soon followed by the next, up to 3: as many times its length was doubled.
    pub repeated: u32,
}

impl BlockedCaller {
    /// Cut, and without control characters.
    pub(super) fn new(key: &'static str, name: &str) -> Self {
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let name: String = name.chars().take(LONGEST_NAME).map(shown).collect();
        Self { key, name: name.into() }
    }
}

impl BlockRecord {
    /// `now` and `unix` are the same moment.
    pub(super) fn new(
        of: &PolicyInForce,
        block: &Block<BlockedCaller>,
        now: Duration,
        unix: u64,
    ) -> Self {
        Self {
            policy: Arc::clone(&of.settings.policy),
            enforced: of.is_enforced(),
            key: block.who.key,
            caller: Arc::clone(&block.who.name),
            cause: block.cause.as_str(),
            since: unix.saturating_sub(now.saturating_sub(block.since).as_secs()),
            until: unix.saturating_add(block.until.saturating_sub(now).as_secs()),
            repeated: block.repeated,
        }
    }
}
