//! Two proxies in a row, running; or, to measure beside them, the app alone.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::certificates::Identity;
use crate::contender::Contender;
use crate::get::{self, Seen};
use crate::process::{Invocation, Process};
use crate::proxies::{Job, PairPorts, Proxy};
use crate::rows::{Load, Protocol};
use crate::testbed::TestBed;
use crate::{ports, wait};

/// How long a pair may take until it answers.
const START: Duration = Duration::from_secs(15);
/// How long a connect to loopback may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a pair that must refuse is asked again and again: one that was only not ready would let something through
/// within this time, as the right pair did before it.
const REFUSAL: Duration = Duration::from_millis(700);

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
    /// Inbound and outbound; none where the load goes to the app.
    processes: Vec<Process>,
    /// The inbound proxy where the row is about the outbound one alone: the bare one for every contender, on the CPU of
    /// the load.
    other_half: Option<Process>,
    ports: PairPorts,
    protocol: Protocol,
    path: String,
    answer_bytes: usize,
}

impl Pair {
    /// Starts the inbound proxy, then the outbound one, and waits until both listen.
    ///
    /// # Errors
    /// When one of them does not start, with its last words.
    pub(crate) fn start(
        bed: &TestBed<'_>,
        contender: Contender,
        identities: Identities,
    ) -> Result<Self> {
        // All at once, so that they differ.
        let [outbound, inbound, others @ ..] = match contender.proxy {
            Some(_) => ports::free::<8>()?,
            None => [bed.app(); 8],
        };
        let mut pair = Self {
            processes: Vec::new(),
            other_half: None,
            ports: PairPorts { outbound, inbound, others },
            protocol: bed.row.protocol,
            path: bed.row.path(),
            answer_bytes: bed.row.answer_bytes(),
        };
        if let Some(proxy) = contender.proxy {
            let job = Job { bed, contender, ports: pair.ports, identities };
            let start = |side: &str, invocation: &Invocation, port, cpu| -> Result<Process> {
                let name = format!("{}-{side}", contender.name);
                let setpriv = &bed.programs.setpriv;
                let mut process = Process::start(&name, invocation, setpriv, cpu, bed.directory())?;
                wait_until_it_listens(&mut process, port)?;
                Ok(process)
            };
            let invocations = job.prepare(proxy)?;
            if bed.row.load == Load::HandshakesOut {
                let bare = job.prepare(Proxy::Bare)?.inbound;
                pair.other_half = Some(start("inbound", &bare, inbound, bed.load_cpu())?);
            } else {
                let cpu = bed.proxies_cpu();
                pair.processes.push(start("inbound", &invocations.inbound, inbound, cpu)?);
            }
            let cpu = bed.proxies_cpu();
            pair.processes.push(start("outbound", &invocations.outbound, outbound, cpu)?);
        }
        Ok(pair)
    }

    /// Where the load goes.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.ports.outbound, self.path)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports.outbound))
    }

    /// Where the outbound proxy connects.
    pub(crate) fn inbound_port(&self) -> u16 {
        self.ports.inbound
    }

    /// Waits until the app's answer comes through.
    ///
    /// # Errors
    /// When it does not in time.
    pub(crate) fn wait_until_it_answers(&mut self) -> Result<()> {
        let mut last = Seen::Nothing;
        let answered = wait::until(START, || {
            last = self.ask()?;
            Ok(self.is_the_apps(&last).then_some(()))
        })?;
        if answered.is_none() {
            let words: Vec<String> = self.processes.iter().map(Process::last_words).collect();
            let words = words.join("\n");
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
        self.processes.iter().map(Process::cpu_time).sum()
    }

    /// User and system time so far of what belongs to the load and not to the contender.
    pub(crate) fn uncounted_cpu_time(&self) -> Result<Duration> {
        self.other_half.iter().map(Process::cpu_time).sum()
    }

    /// Resident memory of each, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<Vec<u64>> {
        self.processes.iter().map(Process::resident_kib).collect()
    }

    fn ask(&mut self) -> Result<Seen> {
        self.processes.iter_mut().try_for_each(Process::ensure_alive)?;
        match self.protocol {
            Protocol::Http1 | Protocol::Opaque => get::http1(self.ports.outbound, &self.path),
            Protocol::Http2 => get::http2(self.ports.outbound, &self.path),
        }
    }

    fn is_the_apps(&self, seen: &Seen) -> bool {
        *seen == Seen::Answer(200, self.answer_bytes)
    }
}

/// Waits until something listens on a port of 127.0.0.1.
///
/// # Errors
/// When nothing does in time, or the process ends, with its last words.
pub(crate) fn wait_until_it_listens(process: &mut Process, port: u16) -> Result<()> {
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
