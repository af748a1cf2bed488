//! What `/proc` says of processes and of the machine (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// One tick of `/proc`: USER_HZ is 100 on every machine Postern runs on.
const TICK: Duration = Duration::from_millis(10);

/// What `/proc/PID/stat` says, the part that matters here.
struct Stat {
    parent: u32,
    /// User and system time, that of children already waited for included.
    ticks: u32,
}

/// User and system time used so far by a process, the children it waited for, and all that descend from it.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("reading the CPU time of process {pid}"))?;
    let own = parse_stat(&text).with_context(|| format!("/proc/{pid}/stat"))?.ticks;
    let stats = all_stats();
    let others: u32 = descendants(pid, &stats).iter().map(|pid| stats[pid].ticks).sum();
    Ok(TICK * (own + others))
}

/// The resident memory of a process and of all that descend from it, in KiB (`VmRSS`).
///
/// # Errors
/// When the process is gone.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let others = descendants(pid, &all_stats());
    // One of them may end while we look.
    Ok(own_resident_kib(pid)? + others.into_iter().flat_map(own_resident_kib).sum::<u64>())
}

fn own_resident_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_resident(&text).with_context(|| format!("no VmRSS in {path}"))
}

/// CPU time the whole machine has been busy with so far, all CPUs together, what the host took included.
///
/// # Errors
/// When `/proc/stat` cannot be read.
pub(crate) fn machine_busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    parse_busy(&text).context("no line `cpu` in /proc/stat")
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in parentheses may hold blanks and parentheses itself.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    Some(Stat { parent: number(1)?, ticks: number(11)? + number(12)? + number(13)? + number(14)? })
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `cpu user nice system idle iowait irq softirq steal ...`: everything but idle and iowait.
fn parse_busy(stat: &str) -> Option<Duration> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    let busy = ticks.iter().sum::<u64>() - idle;
    Some(Duration::from_millis(busy * 10))
}

/// Every process that can be read; one may end while we look.
fn all_stats() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let stat = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parse_stat(&text)?))
    };
    pids.filter_map(stat).collect()
}

fn descendants(pid: u32, stats: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let children = stats.iter().filter(|(_, stat)| stat.parent == parent);
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        found.extend(&children);
        parents.extend(children);
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process_with_a_nasty_name() {
        let text = "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 0 0 0 100 20 3 4 20 0 1 0 5 6 7";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.ticks), (7, 127));
    }

    #[test]
    fn resident_memory() {
        assert_eq!(parse_resident("Name:\tx\nVmRSS:\t    6512 kB\n"), Some(6512));
        assert_eq!(parse_resident("Name:\tx\n"), None);
    }

    #[test]
    fn busy_leaves_idle_and_iowait_out() {
        let busy = parse_busy("cpu  10 1 20 900 50 2 3 4 0 0\ncpu0 1 1\n").unwrap();
        assert_eq!(busy, Duration::from_millis(400));
    }

    #[test]
    fn children_of_children() {
        let stat = |parent| Stat { parent, ticks: 1 };
        let stats = HashMap::from([(2, stat(1)), (3, stat(2)), (4, stat(9))]);
        let mut found = descendants(1, &stats);
        found.sort_unstable();
        assert_eq!(found, [2, 3]);
    }

    #[test]
    fn our_own_figures_can_be_read() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_ok() && resident_kib(pid).unwrap() > 0);
        assert!(machine_busy().unwrap() > Duration::ZERO);
    }
}
