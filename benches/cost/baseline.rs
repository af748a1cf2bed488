//! The counts that were accepted, in a file of the repository, and the tools they were made with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::counts::Counts;
use crate::pair::Side;

/// How much more than accepted a row may cost.
const SHARE: f64 = 0.03;
/// How much more when other tools made the accepted counts: another compiler makes other code, another C library
/// copies in another way, and neither is a change of ours.
const SHARE_OF_OTHER_TOOLS: f64 = 0.10;

/// The costs of both sides, in the order of `Side::ALL`, by the name of the row.
pub(crate) type Rows = BTreeMap<String, [Counts; 2]>;

/// What was accepted.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    pub(crate) tools: String,
    pub(crate) rows: Rows,
}

impl Baseline {
    /// Reads the file; without one nothing was accepted yet.
    ///
    /// # Errors
    /// When there is a file and it cannot be understood.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(path)?;
        Self::parse(&text).with_context(|| format!("{} is no baseline", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let tools = value["tools"].as_str().context("no tools")?.to_owned();
        let rows = value["rows"].as_object().context("no rows")?;
        let side = |row: &Value, side: Side| Counts::from_json(row.get(side.name())?);
        let rows = rows.iter().map(|(name, row)| {
            let [outbound, inbound] = Side::ALL.map(|one| side(row, one));
            let counts = outbound.zip(inbound).with_context(|| format!("row {name}"))?;
            Ok((name.clone(), counts.into()))
        });
        Ok(Self { tools, rows: rows.collect::<Result<_>>()? })
    }

    /// Writes the file. Rows that were not counted now stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn accept(mut self, path: &Path, tools: String, rows: Rows) -> Result<()> {
        self.rows.extend(rows);
        self.tools = tools;
        std::fs::write(path, self.to_text()?).with_context(|| format!("writing {}", path.display()))
    }

    fn to_text(&self) -> Result<String> {
        let rows: serde_json::Map<String, Value> = self
            .rows
            .iter()
            .map(|(name, [outbound, inbound])| {
                let [out, into] = Side::ALL.map(Side::name);
                (name.clone(), json!({out: outbound.to_json(), into: inbound.to_json()}))
            })
            .collect();
        let value = json!({"tools": self.tools, "rows": rows});
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }

    /// How much more than accepted is too much, with these tools.
    pub(crate) fn share(&self, tools: &str) -> f64 {
        if self.tools == tools { SHARE } else { SHARE_OF_OTHER_TOOLS }
    }
}

/// The versions of what decides how many instructions a program has, beside the program.
///
/// # Errors
/// When one of the tools is missing.
pub(crate) fn tools() -> Result<String> {
    let version = |words: &[&str]| -> Result<String> {
        let (program, arguments) = words.split_first().context("no program")?;
        let output = Command::new(program).args(arguments).output();
        let output = output.with_context(|| format!("asking {program} for its version"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    let compiler = version(&["rustc", "--version"])?;
    let library = version(&["getconf", "GNU_LIBC_VERSION"])?;
    Ok([compiler, library, version(&["valgrind", "--version"])?].join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"tools": "a, b", "rows": {"http1": {
        "outbound": {"instructions": 70000, "allocations": 20.5, "system calls": 5, "clock readings": 8},
        "inbound": {"instructions": 90000, "allocations": 25, "system calls": 4, "clock readings": 8}
    }}}"#;

    #[test]
    fn written_and_read() {
        let once = Baseline::parse(TEXT).unwrap();
        let again = Baseline::parse(&once.to_text().unwrap()).unwrap();
        assert_eq!((&again.tools, &again.rows), (&once.tools, &once.rows));
        assert_eq!(again.to_text().unwrap(), once.to_text().unwrap());
    }

    #[test]
    fn other_tools_get_more_room() {
        let baseline = Baseline::parse(TEXT).unwrap();
        assert!(baseline.share("a, b") < baseline.share("a, c"));
    }

    #[test]
    fn rows_that_were_not_counted_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("baseline.json");
        assert!(Baseline::read(&path).unwrap().rows.is_empty());
        std::fs::write(&path, TEXT).unwrap();
        let counts = Baseline::parse(TEXT).unwrap().rows["http1"];
        let rows = Rows::from([("http2".to_owned(), counts)]);
        Baseline::read(&path).unwrap().accept(&path, "c".into(), rows).unwrap();
        let now = Baseline::read(&path).unwrap();
        assert_eq!(now.rows.keys().collect::<Vec<_>>(), ["http1", "http2"]);
        assert_eq!(now.tools, "c");
    }

    #[test]
    fn what_is_no_baseline() {
        for text in ["", "{}", r#"{"tools": "a", "rows": {"http1": {}}}"#] {
            assert!(Baseline::parse(text).is_err(), "{text}");
        }
    }
}
