//! Two proxies in a row, running.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::certificates::Identity;
use crate::get::{Seen, get};
use crate::process::{Invocation, Process};
use crate::proxies::{Job, PairPorts, Proxy};
use crate::testbed::TestBed;
use crate::{ports, wait};

/// How long a pair may take until it answers.
const START: Duration = Duration::from_secs(15);
/// How long a connect to loopback may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a pair that must refuse is asked again and again: one that was only not ready would let something through
/// within this time.
const REFUSAL: Duration = Duration::from_secs(2);

/// Whose certificates the two proxies have. What they expect of each other stays the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identities {
    pub(crate) client: Identity,
    pub(crate) server: Identity,
}

impl Identities {
    /// The two that are allowed and expected.
    pub(crate) const GOOD: Self = Self { client: Identity::Client, server: Identity::Server };
}

/// A running pair. Dropping it ends both.
pub(crate) struct Pair {
    outbound: Process,
    inbound: Process,
    ports: PairPorts,
    path: String,
    answer_bytes: usize,
}

/// Idle memory of a fresh pair, in KiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) outbound: u64,
    pub(crate) inbound: u64,
}

impl Pair {
    /// Starts the inbound proxy, then the outbound one, and waits until both listen.
    ///
    /// # Errors
    /// When one of them does not start, with its last words.
    pub(crate) fn start(bed: &TestBed<'_>, proxy: Proxy, identities: Identities) -> Result<Self> {
        let [outbound, inbound] = ports::free()?;
        let ports = PairPorts { outbound, inbound };
        let invocations = proxy.prepare(&Job { bed, ports, identities })?;
        let start = |side: &str, invocation: &Invocation, port| -> Result<Process> {
            let name = format!("{}-{side}", proxy.name());
            let (setpriv, cpu) = (&bed.programs.setpriv, bed.cpus.proxies);
            let mut process = Process::start(&name, invocation, setpriv, cpu, bed.directory())?;
            wait_until_it_listens(&mut process, port)?;
            Ok(process)
        };
        Ok(Self {
            inbound: start("inbound", &invocations.inbound, inbound)?,
            outbound: start("outbound", &invocations.outbound, outbound)?,
            ports,
            path: bed.workload.path(),
            answer_bytes: bed.workload.answer_bytes(),
        })
    }

    /// Where the load goes.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.ports.outbound, self.path)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.outbound))
    }

    /// Waits until the backend's answer comes through.
    ///
    /// # Errors
    /// When it does not in time.
    pub(crate) fn wait_until_it_answers(&mut self) -> Result<()> {
        let mut last = Seen::Nothing;
        let answered = wait::until(START, || {
            last = self.ask()?;
            Ok(self.is_backends(&last).then_some(()))
        })?;
        if answered.is_none() {
            let words = [self.outbound.last_words(), self.inbound.last_words()].join("\n");
            bail!("an allowed request does not get through (last: {last}):\n{words}");
        }
        Ok(())
    }

    /// Asks until it is certain that the pair refuses, and says how.
    ///
    /// # Errors
    /// When something gets through.
    pub(crate) fn ensure_it_refuses(&mut self) -> Result<Seen> {
        let mut last = Seen::Nothing;
        let through = wait::until(REFUSAL, || {
            last = self.ask()?;
            Ok(matches!(last, Seen::Answer(200..=299, _)).then_some(()))
        })?;
        ensure!(through.is_none(), "a request got through that must be refused");
        Ok(last)
    }

    /// User and system time of both so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        Ok(self.outbound.cpu_time()? + self.inbound.cpu_time()?)
    }

    /// Resident memory of each.
    pub(crate) fn resident(&self) -> Result<Resident> {
        Ok(Resident {
            outbound: self.outbound.resident_kib()?,
            inbound: self.inbound.resident_kib()?,
        })
    }

    fn ask(&mut self) -> Result<Seen> {
        self.outbound.ensure_alive()?;
        self.inbound.ensure_alive()?;
        get(self.ports.outbound, &self.path)
    }

    fn is_backends(&self, seen: &Seen) -> bool {
        *seen == Seen::Answer(200, self.answer_bytes)
    }
}

fn wait_until_it_listens(process: &mut Process, port: u16) -> Result<()> {
    let listens = wait::until(START, || {
        process.ensure_alive()?;
        Ok(is_open(port).then_some(()))
    })?;
    listens.with_context(|| format!("nothing listens on port {port}:\n{}", process.last_words()))
}

/// A connection whose two ends are one socket is no listener's: the system can pick the very port we look at as our own.
fn is_open(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, CONNECT);
    stream.is_ok_and(|stream| stream.local_addr().is_ok_and(|own| own != address))
}
