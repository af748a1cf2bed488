//! One run of one contender.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::loads::{self, Counted, idle};
use crate::pair::Pair;
use crate::proc;
use crate::rows::Figure;
use crate::testbed::TestBed;

/// Seconds of load before the measured ones: pools fill, pages are touched, the clock rate rises.
const WARM_UP: u32 = 1;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// The row's figure. What is added to a latency is known only beside another run: this is the latency.
    pub(crate) value: f64,
    pub(crate) counted: Counted,
    /// Units in a second.
    pub(crate) rate: f64,
    /// How much of one CPU the proxies, load and app, and everything else on the machine used.
    pub(crate) proxies_busy: f64,
    pub(crate) load_busy: f64,
    pub(crate) others_busy: f64,
}

/// CPU times so far.
struct Clocks {
    proxies: Duration,
    /// Load and app.
    load: Duration,
    machine: Duration,
    wall: Instant,
}

/// Measures a pair for some seconds. `rate` is what [`warm_up`] said of it.
///
/// # Errors
/// When the load or the pair fails.
pub(crate) fn run(bed: &TestBed<'_>, pair: &Pair, seconds: u32, rate: f64) -> Result<Run> {
    let idle = pair.resident_kib()?;
    let before = Clocks::read(bed, pair)?;
    let counted = loads::run(bed, pair, seconds, rate)?;
    let after = Clocks::read(bed, pair)?;
    let wall = (after.wall - before.wall).as_secs_f64();
    let proxies = after.proxies.saturating_sub(before.proxies);
    let load = after.load.saturating_sub(before.load);
    let others = after.machine.saturating_sub(before.machine).saturating_sub(proxies + load);
    let value = match bed.row.figure {
        Figure::Cpu(_) => proxies.as_secs_f64() * 1e6 / counted.units,
        Figure::AddedLatency => counted.p50_us.context("the load told no latency")?,
        Figure::IdleMemory => kilobytes(idle.into_iter().max().unwrap_or(0)) / 1e3,
        Figure::ClientMemory => {
            let beside = idle::beside(pair, || pair.resident_kib())?;
            let sum = |all: &[u64]| kilobytes(all.iter().sum());
            (sum(&beside) - sum(&idle)) / f64::from(idle::CLIENTS)
        }
    };
    Ok(Run {
        value,
        counted,
        rate: counted.units / wall,
        proxies_busy: proxies.as_secs_f64() / wall,
        load_busy: load.as_secs_f64() / wall,
        others_busy: others.as_secs_f64() / wall,
    })
}

/// Puts the load on a fresh pair for a second that does not count. Says how much went through in it.
///
/// # Errors
/// When the load or the pair fails.
pub(crate) fn warm_up(bed: &TestBed<'_>, pair: &Pair) -> Result<f64> {
    let start = Instant::now();
    let counted = loads::run(bed, pair, WARM_UP, 0.0).context("warming up")?;
    Ok(counted.units / start.elapsed().as_secs_f64())
}

/// The kernel says kB and means 1,024 bytes.
fn kilobytes(kib: u64) -> f64 {
    kib as f64 * 1.024
}

impl Clocks {
    fn read(bed: &TestBed<'_>, pair: &Pair) -> Result<Self> {
        Ok(Self {
            proxies: pair.cpu_time()?,
            load: ended_children()? + bed.app_cpu_time()? + pair.uncounted_cpu_time()?,
            machine: proc::machine_busy()?,
            wall: Instant::now(),
        })
    }
}

/// Time of children that have ended: between two looks here that is the load alone.
fn ended_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking for the load's CPU time")?;
    let time = |usage: &Usage| {
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    Ok(Duration::from_micros(u64::try_from(time(&usage)).unwrap_or(0)))
}
