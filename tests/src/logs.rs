//! The JSON lines a proxy writes.

use serde_json::Value;

/// One line of a proxy's log.
#[derive(Clone, Debug)]
pub struct LogLine(pub Value);

impl LogLine {
    /// Reads every JSON line of `output`; panics on a line that is not JSON: a proxy writes nothing else there.
    #[must_use]
    pub fn read(output: &str) -> Vec<Self> {
        let complete = output.rfind('\n').map_or("", |end| &output[..end]);
        let lines = complete.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| {
                Self(serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            })
            .collect()
    }

    /// Whether the line has all of these fields with these values; numbers are compared as they print.
    #[must_use]
    pub fn has(&self, fields: &[(&str, &str)]) -> bool {
        fields.iter().all(|(name, value)| match &self.0[*name] {
            Value::String(found) => found == value,
            other => {
                let text = other.to_string();
                text.as_str() == *value
            }
        })
    }
}
