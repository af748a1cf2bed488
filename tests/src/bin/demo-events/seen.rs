//! What the proxy of a broker tells of its day: for dashboards, and for who reads logs.

use postern_tests::{EventError, Pod, wait};
use serde_json::Value;

/// Some lines of its metrics, and the line of a refusal.
pub(crate) fn told(broker: &Pod) -> String {
    let metrics = broker.metrics();
    let lines = metrics.lines("postern_messages_total");
    let mut shown: Vec<_> = lines.lines().take(8).map(|line| format!("  {line}")).collect();
    let refused = [("kind", "message"), ("decision", "deny")];
    let line = broker.expect_log(&refused);
    shown.push(format!("  {}", line.0));
    shown.join("\n")
}

/// What a library says: what it was answered, or what it raised, with its own code.
pub(crate) fn said(outcome: Result<Value, EventError>) -> String {
    match outcome {
        Ok(Value::String(answer)) => answer,
        Ok(answers) => answers.to_string(),
        Err(EventError { class, code, .. }) => format!("{class} {code}").trim_end().to_owned(),
    }
}

/// Waits for something that comes a moment after what caused it; what is seen in the end, as expected or not.
pub(crate) fn soon(expected: &str, mut look: impl FnMut() -> String) -> String {
    let mut seen = String::new();
    let _ = wait::holds_within(wait::PATIENCE, || {
        seen = look();
        seen.starts_with(expected)
    });
    seen
}
