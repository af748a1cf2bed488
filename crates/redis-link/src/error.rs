//! Why there is no answer.

use std::sync::Arc;
use std::time::Duration;

/// Why there is no answer. It comes at once, but for [`Self::Timeout`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No answer in time: the store is slow, or the way to it.
    #[error("the store did not answer within {0:?}")]
    Timeout(Duration),
    /// It is not asked: it failed several times in a row. Tried once a second.
    #[error("the store is not asked: it failed several times in a row")]
    CircuitOpen,
    /// It is not asked: as many as may be are waiting for it.
    #[error("the store is not asked: too many commands wait for it")]
    Overflow,
    /// There is no connection, or it broke.
    #[error("the store at {address} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        address: Arc<str>,
        /// Why not.
        reason: Arc<str>,
    },
    /// It answered with an error: a wrong password, a command that the user may not run, no memory.
    #[error("the store at {address} refuses: {reason}")]
    Refused {
        /// The node.
        address: Arc<str>,
        /// Its own words, at most 200 characters.
        reason: Arc<str>,
    },
}

impl StoreError {
    /// A word for metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::CircuitOpen => "circuit_open",
            Self::Overflow => "overflow",
            Self::Unreachable { .. } => "unreachable",
            Self::Refused { .. } => "refused",
        }
    }
}

/// Settings that make no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// None, or too many.
    #[error("a store has 1 to {most} addresses; these are {found}")]
    Addresses {
        /// The most.
        most: usize,
        /// How many were set.
        found: usize,
    },
    /// A Cluster has database 0 only.
    #[error("several addresses are those of a Redis Cluster, which has only database 0")]
    DatabaseOfCluster,
    /// A name alone proves nothing.
    #[error("there is a username and no password")]
    UsernameAlone,
    /// What could not be a part of every key.
    #[error("`{0}` cannot begin keys: 1 to 64 of the characters a-z, A-Z, 0-9 and `:._-`")]
    KeyPrefix(String),
    /// A wait that is too short or too long.
    #[error("{name} is {found:?}; it can be {least:?} to {most:?}")]
    Wait {
        /// Which one.
        name: &'static str,
        /// What was set.
        found: Duration,
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// The operating system gives no thread for the connections.
    #[error("no thread for the connections to the store: {0}")]
    NoThread(String),
}
