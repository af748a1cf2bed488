//! Messages of the process itself, as JSON lines beside the records, and their level.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::writer::LogSink;

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed and needs a person.
    Error,
    /// Something is wrong and the proxy copes.
    Warn,
    /// What an operator wants to have seen.
    Info,
    /// For finding a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name as configuration and `/log-level` write it.
    pub fn as_str(self) -> &'static str {
        LOG_LEVELS.iter().find(|(_, level)| *level == self).map_or("info", |(name, _)| name)
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        LOG_LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

/// The names of all levels.
pub(crate) const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// Changes the level of messages while the process runs.
pub struct LogLevels(reload::Handle<LevelFilter, tracing_subscriber::Registry>);

impl LogLevels {
    /// Starts writing messages from this level on to the log.
    ///
    /// # Errors
    /// When the process writes messages somewhere already.
    pub fn start(level: LogLevel, sink: LogSink) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(filter(level));
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(LogLines(sink));
        tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        Ok(Self(handle))
    }

    /// Sets the level by its name; `false` for an unknown one.
    pub fn set(&self, name: &str) -> bool {
        LogLevel::parse(name).is_some_and(|level| self.0.reload(filter(level)).is_ok())
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Each message is handed on at once: there are few, and they matter when the process dies.
struct LogLines(LogSink);

struct OneLine<'a>(&'a LogSink);

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = OneLine<'a>;
    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine(&self.0)
    }
}

impl io::Write for OneLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(|out| out.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes()));
        self.0.flush();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which connections and requests get a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// All.
    All,
    /// Those that were refused or failed.
    Refused,
    /// None.
    Off,
}

impl AccessLog {
    /// Whether a line is written for something that went well, or did not.
    pub fn wants(self, good: bool) -> bool {
        match self {
            Self::All => true,
            Self::Refused => !good,
            Self::Off => false,
        }
    }
}
