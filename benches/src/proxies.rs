//! The proxies that are compared, each set up for the same job.
//!
//! Outbound: plaintext in, mutual TLS 1.3 out over pooled connections, to a server that must prove the expected identity.
//! Inbound: mutual TLS in, only the allowed client, plaintext out to the backend. One worker each.

mod envoy;
mod haproxy;
mod postern;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::pair::Identities;
use crate::process::Invocation;
use crate::testbed::TestBed;

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proxy {
    Postern,
    Haproxy,
    Envoy,
}

/// Where a pair listens on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairPorts {
    /// The load comes here, in plaintext.
    pub(crate) outbound: u16,
    /// The outbound proxy comes here, in mutual TLS.
    pub(crate) inbound: u16,
}

/// How both proxies of a pair are started.
pub(crate) struct Invocations {
    pub(crate) outbound: Invocation,
    pub(crate) inbound: Invocation,
}

/// What a pair shall do.
pub(crate) struct Job<'a> {
    pub(crate) bed: &'a TestBed<'a>,
    pub(crate) ports: PairPorts,
    pub(crate) identities: Identities,
}

impl Proxy {
    /// The name in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postern => "postern",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// What asks the program for its version.
    pub(crate) fn version_flag(self) -> &'static str {
        match self {
            Self::Haproxy => "-v",
            Self::Postern | Self::Envoy => "--version",
        }
    }

    /// Writes the configurations and says how to start the programs.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn prepare(self, job: &Job<'_>) -> Result<Invocations> {
        match self {
            Self::Postern => postern::prepare(job),
            Self::Haproxy => haproxy::prepare(job),
            Self::Envoy => envoy::prepare(job),
        }
    }
}

impl Job<'_> {
    /// Writes a configuration file; says where it is.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.bed.directory().join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// The program of this proxy with these arguments.
    fn invocation(&self, proxy: Proxy, arguments: &[&str], discard_output: bool) -> Invocation {
        let program = self.bed.programs.of(proxy).display().to_string();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        Invocation { words: std::iter::once(program).chain(arguments).collect(), discard_output }
    }
}
