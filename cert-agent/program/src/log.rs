//! JSON lines on stderr that never hold up the program: a log nobody reads is dropped and counted,
//! because an agent that waits for its log does not renew (F-23).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that may wait for a slow reader; some hundred KiB.
const MAX_WAITING: usize = 1024;
/// How long the program's end waits for the last lines.
const FLUSH_DEADLINE: Duration = Duration::from_secs(1);

/// What `--help` says of the log.
pub const HELP: &str = "POSTERN_LOG in the environment sets what is logged on standard error, as JSON lines: error, warn, \
                        info (default), debug or trace.";

/// Starts the log. `POSTERN_LOG` sets the level (`info` unless set): `debug`, or by module,
/// `warn,agent=debug` and `warn,authority=debug`. No pattern is matched: an agent in every pod carries no regex engine.
#[must_use]
pub fn start() -> LogHandle {
    let log = LogHandle::to(io::stderr());
    let asked = std::env::var("POSTERN_LOG").unwrap_or_default();
    let understood = targets(&asked);
    let mistaken = understood.is_none() && !asked.is_empty();
    let filter = understood.unwrap_or_else(|| Targets::new().with_default(Level::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(log.clone())
        .with_filter(filter);
    // Fails only when a log was set up before us, which then serves as well.
    let _ = tracing_subscriber::registry().with(lines).try_init();
    if mistaken {
        tracing::warn!(
            asked,
            "POSTERN_LOG is no level (error, warn, info, debug or trace); info is taken"
        );
    }
    log
}

/// What is logged; none for a word that is no level, which would be read as a module and silence all others.
fn targets(asked: &str) -> Option<Targets> {
    let said = |part: &str| {
        part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    let fits = asked.split(',').map(str::trim).all(said);
    let each = asked.split(',').map(by_package).collect::<Vec<_>>().join(",");
    if fits { each.parse().ok() } else { None }
}

/// `cert_agent=LEVEL` means both programs: their packages were modules of one library of that name.
fn by_package(part: &str) -> String {
    match part.trim().strip_prefix("cert_agent=") {
        Some(level) => format!("agent={level},authority={level}"),
        None => part.to_owned(),
    }
}

/// Sends lines to the log's thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogHandle {
    lines: SyncSender<LogMessage>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum LogMessage {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl LogHandle {
    fn to(out: impl Write + Send + 'static) -> Self {
        let (lines, received) = sync_channel(MAX_WAITING);
        let log = Self { lines, dropped: Arc::new(AtomicU64::new(0)) };
        let dropped = Arc::clone(&log.dropped);
        thread::spawn(move || write_lines(out, &received, &dropped));
        log
    }

    /// Waits until every line logged so far is written, for a second at most.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(LogMessage::Flush(done)).is_ok() {
            // In time or not: we end now.
            let _ = written.recv_timeout(FLUSH_DEADLINE);
        }
    }
}

fn write_lines(mut out: impl Write, received: &Receiver<LogMessage>, dropped: &AtomicU64) {
    // With stderr closed there is no place for the line; the program goes on.
    for message in received {
        match message {
            LogMessage::Line(line) => {
                let _ = out.write_all(&line);
            }
            LogMessage::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(
                out,
                r#"{{"level":"WARN","message":"log lines were dropped","dropped":{count}}}"#
            );
        }
    }
}

/// One event's line, sent when it is complete.
#[derive(Debug)]
pub struct LogLine<'a> {
    log: &'a LogHandle,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for LogHandle {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine { log: self, text: Vec::new() }
    }
}

impl Write for LogLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        let line = LogMessage::Line(std::mem::take(&mut self.text));
        if self.log.lines.try_send(line).is_err() {
            self.log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::sync::{Condvar, Mutex};

    use super::*;

    #[test]
    fn levels_of_the_log() {
        let check = |asked: &str, good: bool| {
            assert_eq!(targets(asked).is_some(), good, "{asked:?}");
        };
        check("debug", true);
        check("warn,agent=debug", true);
        check("cert_agent=trace", true);
        check("loud", false);
        check("info,loud", false);
        check("cert_agent=loud", false);
        check("", false);
    }

    #[test]
    fn the_former_name_of_both_packages_still_sets_their_level() {
        let set = targets("warn, cert_agent=debug").unwrap();
        for package in ["agent::run", "authority::run"] {
            assert!(set.would_enable(package, &Level::DEBUG), "{package}");
        }
        assert!(!set.would_enable("hyper", &Level::DEBUG));
    }

    /// A reader that takes nothing until it is opened.
    #[derive(Clone, Default)]
    struct BlockedReader(Arc<ReaderState>);

    #[derive(Default)]
    struct ReaderState {
        state: Mutex<(bool, Vec<u8>)>,
        opened: Condvar,
    }

    impl BlockedReader {
        fn open(&self) {
            self.0.state.lock().unwrap().0 = true;
            self.0.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.state.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for BlockedReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let closed = self.0.state.lock().unwrap();
            let mut open = self.0.opened.wait_while(closed, |state| !state.0).unwrap();
            open.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f23_stdout_blocked_lines_are_dropped_and_counted() {
        let gate = BlockedReader::default();
        let log = LogHandle::to(gate.clone());
        for number in 0..MAX_WAITING + 100 {
            writeln!(log.make_writer(), "line {number}").unwrap();
        }
        gate.open();
        // The flush needs a place in the queue, which the opened gate makes.
        while !gate.text().contains("dropped") {
            log.flush();
        }
        let text = gate.text();
        assert!(text.starts_with("line 0\n"), "the first lines are kept");
        assert!(text.contains(r#""message":"log lines were dropped""#), "{text}");
    }

    #[test]
    fn flush_waits_for_what_was_said() {
        let gate = BlockedReader::default();
        gate.open();
        let log = LogHandle::to(gate.clone());
        writeln!(log.make_writer(), "last words").unwrap();
        log.flush();
        assert_eq!(gate.text(), "last words\n");
    }
}
