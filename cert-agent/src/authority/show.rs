//! What the authority's commands print: a table for a person, JSON for a program.

use std::fmt::Write as _;

use serde::Serialize;

use super::ca::{self, Facts};
use super::directory::Directory;
use super::duration::human;
use super::{join_token, renewal};

/// The authority as `show` prints it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The name.
    pub trust_domain: String,
    /// Every published root.
    pub roots: Vec<Signer>,
    /// What signs leaves.
    pub intermediate: Signer,
}

/// One signer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signer {
    /// Its name.
    pub subject: String,
    /// Hexadecimal digits.
    pub serial: String,
    /// RFC 3339.
    pub not_before: String,
    /// RFC 3339.
    pub not_after: String,
    /// Seconds until then; 0 when it is over.
    pub seconds_left: u64,
}

impl Shown {
    /// Reads the directory's certificates; no key is touched.
    ///
    /// # Errors
    /// A missing or unreadable file.
    pub fn read(directory: &Directory, now: u64) -> anyhow::Result<Self> {
        let bundle = ca::load_bundle(directory)?;
        let intermediate = ca::read_certificate(&directory.intermediate_certificate())?;
        Ok(Self {
            trust_domain: bundle.trust_domain().to_string(),
            roots: bundle
                .roots()
                .iter()
                .map(|root| Ok(Signer::of(&Facts::read(root)?, now)))
                .collect::<anyhow::Result<_>>()?,
            intermediate: Signer::of(&Facts::read(&intermediate)?, now),
        })
    }

    /// For a person.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = Vec::new();
        for root in &self.roots {
            rows.push(root.row("root"));
        }
        rows.push(self.intermediate.row("intermediate"));
        format!(
            "trust domain  {}\n\n{}",
            self.trust_domain,
            table(["what", "subject", "expires", "left", "serial"], &rows)
        )
    }
}

impl Signer {
    fn of(facts: &Facts, now: u64) -> Self {
        Self {
            subject: facts.subject.clone(),
            serial: facts.serial.clone(),
            not_before: ca::readable(facts.not_before),
            not_after: ca::readable(facts.not_after),
            seconds_left: facts.not_after.saturating_sub(now),
        }
    }

    fn row(&self, what: &str) -> [String; 5] {
        let left =
            if self.seconds_left == 0 { "expired".to_owned() } else { human(self.seconds_left) };
        [what.to_owned(), self.subject.clone(), self.not_after.clone(), left, self.serial.clone()]
    }
}

/// The join tokens for a person.
#[must_use]
pub fn tokens_table(tokens: &[join_token::Listed], now: u64) -> String {
    let rows: Vec<_> = tokens
        .iter()
        .map(|t| [t.id.clone(), t.identity.clone(), human(t.expires.saturating_sub(now))])
        .collect();
    table(["id", "identity", "left"], &rows)
}

/// The holders of renewal credentials for a person.
#[must_use]
pub fn instances_table(holders: &[renewal::Listed], now: u64) -> String {
    let rows: Vec<_> = holders
        .iter()
        .map(|h| {
            let left = human(h.expires.saturating_sub(now));
            [h.instance.clone(), h.identity.clone(), ca::readable(h.joined), left]
        })
        .collect();
    table(["instance", "identity", "joined", "left"], &rows)
}

/// Columns as wide as their widest cell, two spaces between.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head = head.map(str::to_owned);
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
