//! Where the store is, and how long it is waited for.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::{SettingsError, StoreAddress};

/// Addresses of one store: the others of a larger Cluster are learned from these.
const MOST_ADDRESSES: usize = 16;
/// Of what keys begin with, bytes.
const LONGEST_PREFIX: usize = 64;

/// A socket on its way.
pub type Dialled = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
/// Opens a TCP connection to this very address. A program that marks or binds its own sockets has one of its own.
pub type Dial = Arc<dyn Fn(SocketAddr) -> Dialled + Send + Sync>;

/// A store, and what it may cost. [`Self::new`] has the defaults.
#[derive(Clone)]
pub struct StoreSettings {
    /// One Redis, or some nodes of a Redis Cluster: 1 to 16.
    pub addresses: Vec<StoreAddress>,
    /// The number of the database. Default 0, the only one of a Cluster.
    pub database: u16,
    /// Whose password it is (`ACL SETUSER`). Default: the store's user `default`.
    pub username: Option<String>,
    /// Wiped from memory when it is dropped. Default: none is sent.
    pub password: Option<Zeroizing<String>>,
    /// Default: plaintext.
    pub tls: Option<StoreTls>,
    /// The longest that an answer may take, connecting included: 1 ms to 1 s. Default 20 ms.
    pub timeout: Duration,
    /// Failures in a row after which the store is not asked. Default 5.
    pub failures_to_open: NonZeroU32,
    /// How long it is not asked then until it is tried: 100 ms to 1 min, spread by a tenth. Default 1 s.
    pub half_open_after: Duration,
    /// What its keys begin with, without the brace before it: 1 to 64 of `a-z A-Z 0-9 : . _ -`. Default
    /// `postern:rl`, that of limits.
    pub key_prefix: String,
    /// How sockets are opened. Default [`plain_dial`].
    pub dial: Dial,
}

/// How the store proves itself, and the proxy to the store.
#[derive(Debug, Clone)]
pub struct StoreTls {
    /// The authorities that are believed, and a certificate of the proxy's own where the store wants one.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate of every node has to have. Default: the host of its address.
    pub server_name: Option<ServerName<'static>>,
}

/// What everything about one store shares.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: StoreSettings,
    /// What the store is for, in log lines.
    pub(crate) purpose: &'static str,
    /// The command that has to work, as the protocol has it.
    pub(crate) probe: Vec<u8>,
}

impl StoreSettings {
    /// The store at these addresses, with all defaults.
    #[must_use]
    pub fn new(addresses: Vec<StoreAddress>) -> Self {
        Self {
            addresses,
            database: 0,
            username: None,
            password: None,
            tls: None,
            timeout: Duration::from_millis(20),
            failures_to_open: const { NonZeroU32::new(5).unwrap() },
            half_open_after: Duration::from_secs(1),
            key_prefix: "postern:rl".to_owned(),
            dial: plain_dial(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if !(1..=MOST_ADDRESSES).contains(&self.addresses.len()) {
            let found = self.addresses.len();
            return Err(SettingsError::Addresses { most: MOST_ADDRESSES, found });
        }
        if self.addresses.len() > 1 && self.database != 0 {
            return Err(SettingsError::DatabaseOfCluster);
        }
        if self.username.is_some() && self.password.is_none() {
            return Err(SettingsError::UsernameAlone);
        }
        if !is_prefix(&self.key_prefix) {
            let beginning = self.key_prefix.chars().take(LONGEST_PREFIX).collect();
            return Err(SettingsError::KeyPrefix(beginning));
        }
        let (millis, seconds) = (Duration::from_millis, Duration::from_secs);
        within("timeout", self.timeout, millis(1), seconds(1))?;
        within("half_open_after", self.half_open_after, millis(100), seconds(60))
    }
}

/// No braces: a Cluster hashes what lies between the first two of them.
fn is_prefix(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
    (1..=LONGEST_PREFIX).contains(&text.len()) && text.bytes().all(fits)
}

fn within(
    name: &'static str,
    found: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), SettingsError> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => Err(SettingsError::Wait { name, found, least, most }),
    }
}

/// As the operating system does it.
#[must_use]
pub fn plain_dial() -> Dial {
    Arc::new(|address| Box::pin(TcpStream::connect(address)))
}

impl fmt::Debug for StoreSettings {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("StoreSettings")
            .field("addresses", &self.addresses)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("tls", &self.tls.is_some())
            .field("timeout", &self.timeout)
            .field("failures_to_open", &self.failures_to_open)
            .field("half_open_after", &self.half_open_after)
            .field("key_prefix", &self.key_prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(change: impl FnOnce(&mut StoreSettings)) -> StoreSettings {
        let mut settings = StoreSettings::new(vec!["redis:6379".parse().unwrap()]);
        change(&mut settings);
        settings
    }

    #[test]
    fn settings_that_make_a_store_and_those_that_do_not() {
        let check = |name: &str, change: fn(&mut StoreSettings), expect: &str| {
            let found =
                settings(change).check().map_or_else(|error| error.to_string(), |()| "".to_owned());
            assert_eq!(found, expect, "{name}");
        };
        check("the defaults", |_| {}, "");
        check("none", |s| s.addresses.clear(), "a store has 1 to 16 addresses; these are 0");
        check(
            "a Cluster with another database",
            |s| {
                s.addresses.push("b:1".parse().unwrap());
                s.database = 1;
            },
            "several addresses are those of a Redis Cluster, which has only database 0",
        );
        check(
            "a username alone",
            |s| s.username = Some("postern".into()),
            "there is a username and no password",
        );
        check(
            "a brace in keys",
            |s| s.key_prefix = "{a}".into(),
            "`{a}` cannot begin keys: 1 to 64 of the characters a-z, A-Z, 0-9 and `:._-`",
        );
        check(
            "no time at all",
            |s| s.timeout = Duration::ZERO,
            "timeout is 0ns; it can be 1ms to 1s",
        );
        check(
            "an hour without the store",
            |s| s.half_open_after = Duration::from_secs(3600),
            "half_open_after is 3600s; it can be 100ms to 60s",
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        let settings = settings(|s| s.password = Some(Zeroizing::new("hunter2".into())));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
