//! One run of one pair.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::pair::{Pair, Resident};
use crate::proc;
use crate::testbed::TestBed;
use crate::wrk::{self, Load};

/// Seconds of load before the measured ones: pools fill, pages are touched, the clock rate rises.
const WARM_UP: u32 = 1;

/// What one run showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// User and system time of both proxies for each request, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) load: Load,
    /// How much of their CPU the proxies used, 0 to 1.
    pub(crate) proxies_busy: f64,
    /// How much of one CPU everything else on the machine used: neither proxies nor load nor backend.
    pub(crate) others_busy: f64,
    /// Before the load.
    pub(crate) resident: Resident,
}

/// CPU times so far.
struct Clocks {
    proxies: Duration,
    /// Load and backend.
    load: Duration,
    machine: Duration,
    wall: Instant,
}

/// Warms a fresh pair up and measures it for some seconds.
///
/// # Errors
/// When the load or the pair fails.
pub(crate) fn run(bed: &TestBed<'_>, pair: &Pair, seconds: u32) -> Result<Run> {
    let resident = pair.resident()?;
    wrk::run(bed, &pair.url(), WARM_UP).context("warming up")?;
    let before = Clocks::read(bed, pair)?;
    let load = wrk::run(bed, &pair.url(), seconds)?;
    let after = Clocks::read(bed, pair)?;
    let wall = (after.wall - before.wall).as_secs_f64();
    let proxies = after.proxies.saturating_sub(before.proxies);
    let expected = proxies + after.load.saturating_sub(before.load);
    let others = after.machine.saturating_sub(before.machine).saturating_sub(expected);
    Ok(Run {
        cpu_us: proxies.as_secs_f64() * 1e6 / load.requests as f64,
        load,
        proxies_busy: proxies.as_secs_f64() / wall,
        others_busy: others.as_secs_f64() / wall,
        resident,
    })
}

impl Clocks {
    fn read(bed: &TestBed<'_>, pair: &Pair) -> Result<Self> {
        Ok(Self {
            proxies: pair.cpu_time()?,
            load: ended_children()? + bed.backend.cpu_time()?,
            machine: proc::machine_busy()?,
            wall: Instant::now(),
        })
    }
}

/// Time of children that have ended: between two looks here that is wrk alone.
fn ended_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking for the load's CPU time")?;
    let time = |usage: &Usage| {
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    Ok(Duration::from_micros(u64::try_from(time(&usage)).unwrap_or(0)))
}
