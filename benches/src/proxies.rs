//! The proxies that are compared, each set up for the same job.
//!
//! Outbound: plaintext in, mutual TLS 1.3 out over pooled connections, to a server that must prove the expected identity.
//! Inbound: mutual TLS in, only the allowed client, plaintext out to the app.

mod bare;
mod envoy;
mod haproxy;
mod nginx;
mod postern;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::contender::Contender;
use crate::pair::Identities;
use crate::process::Invocation;
use crate::rows::Protocol;
use crate::testbed::TestBed;

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    Postern,
    Haproxy,
    Nginx,
    Envoy,
    /// The libraries alone.
    Bare,
}

/// Where a pair listens on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairPorts {
    /// The load comes here, in plaintext.
    pub(crate) outbound: u16,
    /// The outbound proxy comes here, in mutual TLS.
    pub(crate) inbound: u16,
    /// For what else a proxy serves, three for each: outbound's first.
    pub(crate) others: [u16; 6],
}

/// How both proxies of a pair are started.
pub(crate) struct Invocations {
    pub(crate) outbound: Invocation,
    pub(crate) inbound: Invocation,
}

/// What a pair shall do.
pub(crate) struct Job<'a> {
    pub(crate) bed: &'a TestBed<'a>,
    pub(crate) contender: Contender,
    pub(crate) ports: PairPorts,
    pub(crate) identities: Identities,
}

impl Proxy {
    pub(crate) const ALL: [Self; 5] =
        [Self::Postern, Self::Haproxy, Self::Nginx, Self::Envoy, Self::Bare];

    /// The name in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postern => "postern",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Bare => "bare",
        }
    }

    /// What asks the program for its version.
    pub(crate) fn version_flag(self) -> &'static str {
        match self {
            Self::Haproxy | Self::Nginx => "-v",
            Self::Postern | Self::Envoy | Self::Bare => "--version",
        }
    }
}

impl Job<'_> {
    /// Writes the configurations and says how to start the programs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn prepare(&self, proxy: Proxy) -> Result<Invocations> {
        match proxy {
            Proxy::Postern => postern::prepare(self),
            Proxy::Haproxy => haproxy::prepare(self),
            Proxy::Nginx => nginx::prepare(self),
            Proxy::Envoy => envoy::prepare(self),
            Proxy::Bare => bare::prepare(self),
        }
    }

    fn protocol(&self) -> Protocol {
        self.bed.row.protocol
    }

    /// The app's port.
    fn app(&self) -> u16 {
        self.bed.app()
    }

    /// A file's or folder's name that no other pair's has.
    fn name(&self, side: &str, end: &str) -> String {
        format!("{}-{side}{end}", self.contender.name)
    }

    /// A folder of its own.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.bed.directory().join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(path)
    }

    /// Writes a configuration file; says where it is.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.bed.directory().join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The program of this proxy with these arguments.
    fn invocation(&self, proxy: Proxy, arguments: &[&str]) -> Invocation {
        let program = self.bed.programs.of(proxy).display().to_string();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        Invocation { words: std::iter::once(program).chain(arguments).collect(), access_log: None }
    }
}
