//! The words of logs and metrics: every label is an enum here, and every exit writes one Record.
//!
//! A record is written when it is dropped, so that a cancelled request leaves its line too.

mod levels;
pub(crate) mod log_line;
mod log_throttle;
pub mod metrics;
mod reasons;
pub mod trace;
mod writer;

pub(crate) use levels::LOG_LEVELS;
pub use levels::{AccessLog, LogLevel, LogLevels};
pub(crate) use log_line::fragment;
pub use log_throttle::LogThrottle;
pub use reasons::{REASONS, Reason, ReasonAudience};
pub use writer::{LogSink, LogWriter};
