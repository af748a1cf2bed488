//! What the authority's commands print: a table for a person, JSON for a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::attest::{join_token_store, renewal_store};
use crate::ca::issuance_log_verify::VerifiedLog;
use crate::ca::rollover::{self, RootStatus, in_directory};
use crate::ca::signers::{self, SignerFacts};
use crate::duration::human;
use crate::store::directory::AuthorityDirectory;
use crate::store::record::{FullRecord, ReplicaClaims};
use crate::store::{Store, revocations};

/// The authority as `show` prints it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityReport {
    /// The name.
    pub trust_domain: String,
    /// Every published root.
    pub roots: Vec<SignerReport>,
    /// What signs leaves.
    pub intermediate: SignerReport,
    /// The state of each root in a roll-over.
    pub roll_over: Vec<RootStatus>,
    /// Certificates that are revoked and have not ended.
    pub revoked: usize,
    /// What each replica said last: claims, the number of its revocation lists, its log's position.
    pub replicas: BTreeMap<String, ReplicaClaims>,
}

/// One signer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignerReport {
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

impl AuthorityReport {
    /// Reads the directory's certificates and the shared state; no key is touched.
    ///
    /// # Errors
    /// A missing or unreadable file.
    pub fn read(
        directory: &AuthorityDirectory,
        store: &dyn Store,
        now: u64,
    ) -> anyhow::Result<Self> {
        let bundle = signers::load_bundle(directory)?;
        let intermediate = signers::read_certificate(&directory.intermediate_certificate())?;
        Ok(Self {
            trust_domain: bundle.trust_domain().to_string(),
            roots: bundle
                .roots()
                .iter()
                .map(|root| Ok(SignerReport::of(&SignerFacts::read(root)?, now)))
                .collect::<anyhow::Result<_>>()?,
            intermediate: SignerReport::of(&SignerFacts::read(&intermediate)?, now),
            roll_over: rollover::status(&in_directory::material(directory)?, store, now)?,
            revoked: revocations::list(store, now)?.len(),
            replicas: FullRecord::read(store, now)?.claims,
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
        let mut replicas = Vec::new();
        for (name, replica) in &self.replicas {
            let seen = signers::readable(replica.seen);
            let (list, log) = (replica.crl_number.to_string(), replica.log_position.to_string());
            replicas.push([name.clone(), seen, list, log]);
        }
        let mut text = format!(
            "trust domain  {}\nrevoked       {}\n\n{}\n{}",
            self.trust_domain,
            self.revoked,
            table(["what", "subject", "expires", "left", "serial"], &rows),
            roots_table(&self.roll_over)
        );
        if !replicas.is_empty() {
            text.push('\n');
            text.push_str(&table(["replica", "seen", "CRL number", "log lines"], &replicas));
        }
        text
    }
}

impl SignerReport {
    fn of(facts: &SignerFacts, now: u64) -> Self {
        Self {
            subject: facts.subject.clone(),
            serial: facts.serial.clone(),
            not_before: signers::readable(facts.not_before),
            not_after: signers::readable(facts.not_after),
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
pub fn tokens_table(tokens: &[join_token_store::ListedToken], now: u64) -> String {
    let rows: Vec<_> = tokens
        .iter()
        .map(|t| [t.id.clone(), t.identity.clone(), human(t.expires.saturating_sub(now))])
        .collect();
    table(["id", "identity", "left"], &rows)
}

/// The holders of renewal credentials for a person.
#[must_use]
pub fn instances_table(holders: &[renewal_store::ListedHolder], now: u64) -> String {
    let rows: Vec<_> = holders
        .iter()
        .map(|h| {
            let left = human(h.expires.saturating_sub(now));
            [h.instance.clone(), h.identity.clone(), signers::readable(h.joined), left]
        })
        .collect();
    table(["instance", "identity", "joined", "left"], &rows)
}

/// The roots for a person.
#[must_use]
pub fn roots_table(roots: &[rollover::RootStatus]) -> String {
    let rows: Vec<_> = roots
        .iter()
        .map(|root| {
            let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
            [
                root.id.clone(),
                root.state.to_owned(),
                text(&root.since),
                text(&root.in_use_until),
                root.users.len().to_string(),
                root.not_after.clone(),
            ]
        })
        .collect();
    table(["root", "state", "since", "in use until", "identities", "expires"], &rows)
}

/// What is revoked, for a person.
#[must_use]
pub fn revoked_table(revoked: &[revocations::RevokedCertificate]) -> String {
    let rows: Vec<_> = revoked
        .iter()
        .map(|r| {
            let (revoked, ends) = (signers::readable(r.revoked), signers::readable(r.not_after));
            [r.serial.clone(), r.identity.clone(), revoked, ends]
        })
        .collect();
    table(["serial", "identity", "revoked", "ends"], &rows)
}

/// A log that is whole, for a person.
#[must_use]
pub fn verified_table(verified: &VerifiedLog) -> String {
    format!(
        "whole: {} certificates, {} not sealed yet, {} lost\nfollows {}\nends at {}\n",
        verified.issued, verified.unsealed, verified.lost, verified.previous, verified.last
    )
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
