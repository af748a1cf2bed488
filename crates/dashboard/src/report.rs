//! What a proxy tells the controller of itself, so that the controller's page shows the mesh.
//!
//! A report says nothing of who sends it: that is the controller's to know, from the stream it came on ([`crate::mesh`]). Part of
//! it may be absent, and is then as it was before. Fields that are not known are passed over: a newer proxy may say more.

use serde::{Deserialize, Serialize};

use crate::bounds::{DENIALS, EDGES, EXAMPLES, EXPLAIN_LINE, Listed, TEXT, shortened};
use crate::denials::{DenialExample, DenialGroup};
use crate::edges::Edge;

/// The most bytes of a report, and of what is kept of one proxy.
pub const REPORT_BYTES: usize = 256 * 1024;

/// What one proxy tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyReport {
    /// Who calls it and whom it calls; absent where that is as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edges: Option<Listed<Edge>>,
    /// What it refused; absent where that is as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denials: Option<Listed<DenialGroup>>,
    /// Its certificate; absent where it is as before, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateTerm>,
}

/// From when to when a certificate holds, Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateTerm {
    /// When it begins to hold.
    pub not_before: u64,
    /// When it ends.
    pub not_after: u64,
}

/// Why a report is not taken. What was taken before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportProblem {
    /// It has more bytes than [`REPORT_BYTES`], by itself or with what it leaves as it was.
    TooLarge,
    /// It is no report.
    Unreadable,
    /// It has more entries, or longer texts, than one may have.
    OutOfBounds,
    /// A field has a value that it cannot have.
    Invalid,
    /// It comes too soon after the one before.
    TooSoon,
}

impl ReportProblem {
    /// In words, for a log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too large",
            Self::Unreadable => "unreadable",
            Self::OutOfBounds => "more entries or longer texts than one may have",
            Self::Invalid => "a value that its field cannot have",
            Self::TooSoon => "too soon after the one before",
        }
    }
}

impl ProxyReport {
    /// A whole report that fits into a message: of each group the latest request, texts shortened, and what is too much
    /// counted as left out.
    #[must_use]
    pub fn fitting(
        mut edges: Listed<Edge>,
        mut denials: Listed<DenialGroup>,
        certificate: Option<CertificateTerm>,
    ) -> Self {
        for edge in &mut edges.shown {
            edge.source = shortened(&edge.source);
            edge.destination = shortened(&edge.destination);
        }
        denials.shown.iter_mut().for_each(|group| keep_first(&mut group.examples, 1));
        let mut report = Self { edges: Some(edges), denials: Some(denials), certificate };
        while report.message().len() > REPORT_BYTES && report.lessen() {}
        report
    }

    /// As it is sent.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        // Its keys are texts, so serialization cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The lines for `explain` go first, then half of everything; false where nothing is left.
    fn lessen(&mut self) -> bool {
        let groups = || self.denials.iter().flat_map(|denials| &denials.shown);
        let mut examples = groups().flat_map(|group| &group.examples.shown);
        if examples.any(|example| example.explain.is_some()) {
            let groups = self.denials.iter_mut().flat_map(|denials| &mut denials.shown);
            groups.flat_map(|group| &mut group.examples.shown).for_each(|one| one.explain = None);
            return true;
        }
        let edges = self.edges.as_mut().is_some_and(halve);
        self.denials.as_mut().is_some_and(halve) || edges
    }

    /// What of it differs from `before`; the whole where there is none before.
    #[must_use]
    pub fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        Self {
            edges: self.edges.clone().filter(|edges| before.edges.as_ref() != Some(edges)),
            denials: self.denials.clone().filter(|it| before.denials.as_ref() != Some(it)),
            certificate: self.certificate.filter(|it| before.certificate.as_ref() != Some(it)),
        }
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_none() && self.denials.is_none() && self.certificate.is_none()
    }

    /// This over what was said before.
    #[must_use]
    pub(crate) fn over(self, before: Self) -> Self {
        Self {
            edges: self.edges.or(before.edges),
            denials: self.denials.or(before.denials),
            certificate: self.certificate.or(before.certificate),
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// It is larger than may be, is no report, or breaks a bound of [`crate::bounds`].
    pub fn read(message: &[u8]) -> Result<Self, ReportProblem> {
        if message.len() > REPORT_BYTES {
            return Err(ReportProblem::TooLarge);
        }
        let report: Self =
            serde_json::from_slice(message).map_err(|_| ReportProblem::Unreadable)?;
        let edges = report.edges.iter().flat_map(|edges| &edges.shown);
        let denials = report.denials.iter().flat_map(|denials| &denials.shown);
        if edges.clone().count() > EDGES || denials.clone().count() > DENIALS {
            return Err(ReportProblem::OutOfBounds);
        }
        edges.clone().try_for_each(check_edge)?;
        denials.clone().try_for_each(check_group)?;
        Ok(report)
    }
}

fn keep_first<T>(list: &mut Listed<T>, most: usize) {
    list.left_out = list.left_out.saturating_add(list.shown.len().saturating_sub(most));
    list.shown.truncate(most);
}

/// False where there was nothing.
fn halve<T>(list: &mut Listed<T>) -> bool {
    let before = list.shown.len();
    keep_first(list, before / 2);
    before > 0
}

fn check_edge(edge: &Edge) -> Result<(), ReportProblem> {
    if !matches!(edge.direction.as_str(), "inbound" | "outbound") {
        return Err(ReportProblem::Invalid);
    }
    within([&edge.source, &edge.destination])
}

fn check_group(group: &DenialGroup) -> Result<(), ReportProblem> {
    if !matches!(group.decision.as_str(), "deny" | "would_deny") {
        return Err(ReportProblem::Invalid);
    }
    within([&group.reason, &group.source_ip, &group.destination])?;
    within(group.policy.iter().chain(&group.source_principal))?;
    match group.examples.shown.len() {
        0 => Err(ReportProblem::Invalid),
        many if many > EXAMPLES => Err(ReportProblem::OutOfBounds),
        _ => group.examples.shown.iter().try_for_each(check_example),
    }
}

fn check_example(example: &DenialExample) -> Result<(), ReportProblem> {
    let DenialExample { method, host, path, message, .. } = example;
    // A request has all three; bytes have none of them.
    if method.is_some() != host.is_some() || method.is_some() != path.is_some() {
        return Err(ReportProblem::Invalid);
    }
    within(method.iter().chain(host).chain(path).chain(message))?;
    within(example.nearest.iter().flat_map(|miss| [&miss.policy, &miss.but_for]))?;
    let explain = example.explain.as_ref().is_none_or(|line| line.len() <= EXPLAIN_LINE);
    if explain { Ok(()) } else { Err(ReportProblem::OutOfBounds) }
}

fn within<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<(), ReportProblem> {
    let fit = texts.into_iter().all(|text| text.len() <= TEXT);
    if fit { Ok(()) } else { Err(ReportProblem::OutOfBounds) }
}

#[cfg(test)]
mod tests;
