//! What a process costs, under the names that every Prometheus client library uses
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), and its threads.
//!
//! The numbers are read at each scrape. What the kernel does not tell, because `/proc` is not there, is left out.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, TextEncoder};

/// Units of times in `/proc` a second: `USER_HZ`, which is 100 on Linux for every architecture we run on (proc(5)).
const TICKS: f64 = 100.0;
/// The start time in `/proc/self/stat`: field 22, and the third is the first behind the program's name (proc_pid_stat(5)).
const START_TIME: usize = 22 - 3;

/// Reads a number from the kernel; nothing where it does not tell.
type Read = fn() -> Option<f64>;

/// The metrics of this process, to be registered once.
#[derive(Debug)]
pub struct ProcessMetrics {
    cpu: Counter,
    gauges: Vec<(Gauge, Read)>,
}

impl ProcessMetrics {
    /// A fresh set.
    ///
    /// # Errors
    /// [`prometheus::Error`] for a bad name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let gauges: [(&str, &str, Read); 6] = [
            ("process_resident_memory_bytes", "Memory in RAM, bytes", || status_bytes("VmRSS:")),
            ("process_virtual_memory_bytes", "Address space, bytes", || status_bytes("VmSize:")),
            ("process_open_fds", "Open file descriptors", open_descriptors),
            ("process_max_fds", "File descriptors that may be open", most_descriptors),
            ("process_start_time_seconds", "When the process began, Unix seconds", start_time),
            ("process_threads", "Threads", || status("Threads:")),
        ];
        let gauges =
            gauges.into_iter().map(|(name, help, read)| Ok((Gauge::new(name, help)?, read)));
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "CPU time, user and system, seconds")?,
            gauges: gauges.collect::<prometheus::Result<_>>()?,
        })
    }

    /// The same as text, for a page that has no registry.
    #[must_use]
    pub fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.collect()).unwrap_or_default()
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(|(gauge, _)| gauge.desc());
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Some(seconds) = cpu_seconds() {
            // A counter cannot be set; two scrapes at a time may both add what is new, a moment's worth.
            self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
            families.extend(self.cpu.collect());
        }
        for (gauge, read) in &self.gauges {
            if let Some(value) = read() {
                gauge.set(value);
                families.extend(gauge.collect());
            }
        }
        families
    }
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: TimeVal| {
        let whole = u64::try_from(time.tv_sec()).ok()?;
        let micros = u64::try_from(time.tv_usec()).ok()?;
        Some((Duration::from_secs(whole) + Duration::from_micros(micros)).as_secs_f64())
    };
    Some(seconds(usage.user_time())? + seconds(usage.system_time())?)
}

/// A number of `/proc/self/status` (proc_pid_status(5)).
fn status(key: &str) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A size of it, which the kernel writes in KiB.
fn status_bytes(key: &str) -> Option<f64> {
    Some(status(key)? * 1024.0)
}

/// Without the one that is open to count them.
fn open_descriptors() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(open).ok().map(f64::from)
}

fn most_descriptors() -> Option<f64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // More than 2^32 is no limit.
    Some(u32::try_from(soft).map_or(f64::from(u32::MAX), f64::from))
}

/// The machine's start (`btime` of `/proc/stat`) and the process's start after it.
fn start_time() -> Option<f64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name may hold blanks and brackets.
    let (_, fields) = own.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(START_TIME)?.parse().ok()?;
    Some(boot.trim().parse::<f64>().ok()? + ticks / TICKS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| unreachable!("{name} is not in {text}")).parse().unwrap()
    }

    #[test]
    fn a_process_tells_what_it_costs() {
        let metrics = ProcessMetrics::new().unwrap();
        let text = metrics.text();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        for (name, least, most) in [
            ("process_cpu_seconds_total", 0.0, 3600.0),
            ("process_resident_memory_bytes", 100_000.0, 1e10),
            ("process_virtual_memory_bytes", 1_000_000.0, 1e15),
            ("process_open_fds", 3.0, 10_000.0),
            ("process_max_fds", 3.0, 5e9),
            ("process_start_time_seconds", now - 3600.0, now + 1.0),
            ("process_threads", 1.0, 1000.0),
        ] {
            let value = value(&text, name);
            assert!((least..=most).contains(&value), "{name} is {value}");
        }
        let resident = value(&text, "process_resident_memory_bytes");
        assert!(resident <= value(&text, "process_virtual_memory_bytes"), "{text}");
    }

    #[test]
    fn cpu_time_only_grows_and_is_no_sum_of_scrapes() {
        let metrics = ProcessMetrics::new().unwrap();
        let first = value(&metrics.text(), "process_cpu_seconds_total");
        for _ in 0..1000 {
            metrics.collect();
        }
        let last = value(&metrics.text(), "process_cpu_seconds_total");
        assert!(first <= last && last <= cpu_seconds().unwrap(), "{first} {last}");
    }

    #[test]
    fn descriptors_are_counted_as_they_open() {
        let before = open_descriptors().unwrap();
        let open: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close a few meanwhile.
        assert!(open_descriptors().unwrap() > before + 40.0);
        drop(open);
    }
}
