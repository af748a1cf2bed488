//! What `show`, `renew` and `health` ask of a running agent, and how it is printed.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use identity::X509Svid;
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::cli::fetch::connect;
use crate::proto::own::admin_client::AdminClient;
use crate::proto::own::{BundleStream, HeldBundle, RenewRequest, StatusRequest, StatusResponse};
use crate::serve::run::admin_path;

/// For an answer about what is held.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);
/// For a renewal: connecting and the answer have ten seconds each.
const RENEW_DEADLINE: Duration = Duration::from_secs(30);

/// Asks the agent at `socket` what it holds.
///
/// # Errors
/// When nobody answers in time.
pub async fn status(socket: &Path) -> anyhow::Result<StatusResponse> {
    let mut client = AdminClient::new(connect(&admin_path(socket)).await?);
    let answer = tokio::time::timeout(STATUS_DEADLINE, client.status(StatusRequest {})).await;
    answered(answer)
}

/// Makes the agent at `socket` renew now.
///
/// # Errors
/// When nobody answers in time, or the renewal failed: with its reason.
pub async fn renew(socket: &Path) -> anyhow::Result<StatusResponse> {
    let mut client = AdminClient::new(connect(&admin_path(socket)).await?);
    let answer = tokio::time::timeout(RENEW_DEADLINE, client.renew(RenewRequest {})).await;
    answered(answer)
}

type ShowResponse =
    Result<Result<tonic::Response<StatusResponse>, tonic::Status>, tokio::time::error::Elapsed>;

fn answered(answer: ShowResponse) -> anyhow::Result<StatusResponse> {
    answer
        .context("the agent did not answer in time")?
        .map(tonic::Response::into_inner)
        .map_err(|status| anyhow!("{}", status.message()))
}

/// What an agent holds, for printing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// Whether a good certificate is held.
    pub ready: bool,
    /// `absent`, `fresh`, `stale` (its renewal is overdue) or `expired`.
    pub state: String,
    /// The SPIFFE id; none when nothing is held.
    pub identity: Option<String>,
    /// The leaf's serial, hexadecimal digits.
    pub serial: Option<String>,
    /// RFC 3339.
    pub not_before: Option<String>,
    /// RFC 3339.
    pub not_after: Option<String>,
    /// Seconds until then; 0 when it is over.
    pub seconds_left: Option<u64>,
    /// The subjects of the chain's issuers, nearest first.
    pub chain: Vec<String>,
    /// The subjects of the roots.
    pub roots: Vec<String>,
    /// RFC 3339.
    pub next_renewal: String,
    /// Certificates received since the start.
    pub renewals: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// This machine's clock minus the authority's, as last measured; none before that.
    pub clock_skew_seconds: Option<f64>,
    /// What peers are verified with: our own trust domain first, then the federated ones.
    pub bundles: Vec<BundleReport>,
    /// How the authority's stream of bundles goes.
    pub bundle_stream: StreamReport,
}

/// The bundle of one trust domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleReport {
    /// Its name.
    pub trust_domain: String,
    /// The subjects of its roots.
    pub roots: Vec<String>,
    /// How many keys verify its JWT-SVIDs.
    pub jwt_keys: u32,
    /// How many revocation lists came with it.
    pub revocation_lists: u32,
    /// Grows with each change; 0 when not known.
    pub sequence: u64,
}

/// How the stream of bundles goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamReport {
    /// It stands.
    pub live: bool,
    /// When the authority last spoke, RFC 3339; none for never.
    pub heard_at: Option<String>,
    /// Changes taken since the start.
    pub updates: u64,
    /// Messages, or parts of them, refused since the start.
    pub refused: u64,
    /// Streams that failed since the start.
    pub failures: u64,
    /// What was wrong last.
    pub last_error: Option<String>,
}

impl AgentReport {
    /// Of an answer; `now` in Unix seconds.
    ///
    /// # Errors
    /// When the agent's certificates cannot be read.
    pub fn of(status: &StatusResponse, now: u64) -> anyhow::Result<Self> {
        let chain: Vec<CertificateDer<'static>> =
            status.certificate_chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let issuers = chain.iter().skip(1).map(|c| subject(c)).collect();
        let svid = (!chain.is_empty()).then(|| X509Svid::parse(chain)).transpose()?;
        Ok(Self {
            ready: status.ready,
            state: status.state.clone(),
            identity: svid.as_ref().map(|svid| svid.id().to_string()),
            serial: svid.as_ref().map(|svid| svid.serial_hex().to_owned()),
            not_before: svid.as_ref().map(|svid| readable(svid.not_before())),
            not_after: svid.as_ref().map(|svid| readable(svid.not_after())),
            seconds_left: svid.as_ref().map(|svid| svid.not_after().saturating_sub(now)),
            chain: issuers,
            roots: status.trust_bundle.iter().map(|der| subject(der)).collect(),
            next_renewal: readable(u64::try_from(status.next_attempt).unwrap_or(0)),
            renewals: status.renewals,
            failures: status.failures,
            last_error: said(&status.last_error),
            clock_skew_seconds: status.clock_skew_millis.map(skew_seconds),
            bundles: status.bundles.iter().map(BundleReport::of).collect(),
            bundle_stream: status.bundle_stream.as_ref().map(StreamReport::of).unwrap_or_default(),
        })
    }

    /// For a person.
    #[must_use]
    pub fn table(&self) -> String {
        let none = || "none".to_owned();
        let mut rows = vec![
            ("identity", self.identity.clone().unwrap_or_else(none)),
            ("state", self.state.clone()),
        ];
        if let (Some(serial), Some(from), Some(until), Some(left)) =
            (&self.serial, &self.not_before, &self.not_after, self.seconds_left)
        {
            rows.push(("serial", serial.clone()));
            rows.push(("valid from", from.clone()));
            rows.push(("valid until", format!("{until} ({left} s left)")));
        }
        rows.extend(self.chain.iter().map(|issuer| ("issued by", issuer.clone())));
        rows.push(("next renewal", self.next_renewal.clone()));
        rows.push(("renewals", format!("{} ({} failed)", self.renewals, self.failures)));
        rows.extend(self.last_error.iter().map(|error| ("last error", error.clone())));
        if let Some(skew) = self.clock_skew_seconds {
            rows.push(("clock", format!("{skew:+.1} s against the authority's")));
        }
        rows.extend(self.bundles.iter().map(|bundle| ("trusted", bundle.line())));
        rows.push(("bundle stream", self.bundle_stream.line()));
        let mut text = String::new();
        for (name, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<13} {value}");
        }
        text
    }
}

impl BundleReport {
    fn of(bundle: &HeldBundle) -> Self {
        Self {
            trust_domain: bundle.trust_domain.clone(),
            roots: bundle.roots.iter().map(|der| subject(der)).collect(),
            jwt_keys: bundle.jwt_keys,
            revocation_lists: bundle.revocation_lists,
            sequence: bundle.sequence,
        }
    }

    fn line(&self) -> String {
        let roots = match self.roots.as_slice() {
            [] => "no root: nobody of it is believed".to_owned(),
            roots => roots.join("; "),
        };
        format!(
            "{} ({roots}; JWT keys: {}, revocation lists: {}, sequence {})",
            self.trust_domain, self.jwt_keys, self.revocation_lists, self.sequence
        )
    }
}

impl StreamReport {
    fn of(stream: &BundleStream) -> Self {
        Self {
            live: stream.live,
            heard_at: (stream.heard_at > 0).then(|| readable(stream.heard_at)),
            updates: stream.updates,
            refused: stream.refused,
            failures: stream.failures,
            last_error: said(&stream.last_error),
        }
    }

    fn line(&self) -> String {
        let heard = self.heard_at.as_deref().unwrap_or("never");
        let live = if self.live { "live" } else { "down" };
        let error = self.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("{live}, last heard {heard}{error}")
    }
}

fn said(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn skew_seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn subject(der: &[u8]) -> String {
    X509Certificate::from_der(der)
        .map_or_else(|_| "unreadable".to_owned(), |(_, parsed)| parsed.subject().to_string())
}

fn readable(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|date| date.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("@{seconds}"))
}
