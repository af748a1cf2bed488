//! `check --from-istio`: what of a set that was written for Istio is taken, and why the rest is not.
//!
//! Mistakes of one sort are explained once, with all their places. Kinds that are no policy (Deployments, Services) are
//! passed over: manifests of a whole application hold them, and nobody expects a proxy to read them.

mod report_text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::sync::Arc;

use policy::migration::{MigrationDifference, differences};
use policy::resources::SurveyedObject;
use policy::{Diagnostic, DiagnosticCode};
use serde::Serialize;

use super::{CheckFindings, CheckOutput};

/// Prints what was found; true when everything would be taken, and nothing of it is unsafe.
pub(super) fn print_report(
    findings: CheckFindings,
    output: Option<CheckOutput>,
) -> io::Result<bool> {
    let report = MigrationReport::of(findings);
    let by_terminal =
        if io::stdout().is_terminal() { CheckOutput::Text } else { CheckOutput::Json };
    let mut out = io::stdout().lock();
    match output.unwrap_or(by_terminal) {
        CheckOutput::Text => report_text::write(&mut out, &report)?,
        CheckOutput::Json => {
            serde_json::to_writer(&mut out, &report)?;
            io::Write::write_all(&mut out, b"\n")?;
        }
    }
    Ok(report.valid)
}

/// The whole report.
#[derive(Debug, Serialize)]
struct MigrationReport {
    valid: bool,
    files: usize,
    /// How many objects are taken as they are.
    resources: usize,
    kinds: Vec<KindCount>,
    /// Kinds that are no policy, and how many there are.
    passed_over: BTreeMap<String, usize>,
    explanations: Vec<DiagnosticExplanation>,
    differences: Vec<MigrationDifference>,
    mistakes: Vec<Diagnostic>,
}

/// The outcomes for the objects of one kind. An object may be both unsupported and unsafe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct KindCount {
    kind: String,
    objects: usize,
    taken: usize,
    unsupported: usize,
    #[serde(rename = "unsafe")]
    unsafe_: usize,
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum RefusalClass {
    /// It is known in Istio, and Postern cannot do it.
    Unsupported,
    /// It can be read in two ways, or would protect less than it says.
    Unsafe,
    /// It is of another namespace than the one that was asked for.
    Elsewhere,
}

impl RefusalClass {
    /// `None` for what is passed over.
    fn of(code: DiagnosticCode) -> Option<Self> {
        match code {
            DiagnosticCode::NotPolicy => None,
            DiagnosticCode::Unsupported | DiagnosticCode::Version => Some(Self::Unsupported),
            DiagnosticCode::OtherNamespace => Some(Self::Elsewhere),
            DiagnosticCode::Form
            | DiagnosticCode::Unquoted
            | DiagnosticCode::UnknownKey
            | DiagnosticCode::MissingKey
            | DiagnosticCode::EmptyList
            | DiagnosticCode::Value
            | DiagnosticCode::NoEffect
            | DiagnosticCode::Reach
            | DiagnosticCode::Repeated => Some(Self::Unsafe),
        }
    }
}

/// One strict rule, explained by the first diagnostic that it caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct DiagnosticExplanation {
    sort: RefusalClass,
    code: DiagnosticCode,
    count: usize,
    found: String,
    expected: String,
    /// What to write instead.
    write: Option<String>,
    /// `file:line:column` of each.
    places: Vec<String>,
}

impl MigrationReport {
    fn of(findings: CheckFindings) -> Self {
        let CheckFindings { diagnostics, files, survey, forwarded_for, .. } = findings;
        let differences = differences(&survey, forwarded_for);
        let mut all = diagnostics.map(policy::Diagnostics::into_vec).unwrap_or_default();
        all.extend(survey.diagnostics);
        let explanations = explanations(&all);
        let outcomes = ObjectOutcomes::of(&all, &differences);
        let kinds = kinds(&survey.objects, &outcomes);
        let passed = survey.objects.iter().filter(|object| outcomes.passed.contains(&*object.name));
        let mut passed_over = BTreeMap::new();
        for object in passed {
            *passed_over.entry(object.kind.clone()).or_default() += 1;
        }
        Self {
            valid: explanations.is_empty() && !differences.iter().any(|found| found.is_unsafe),
            files,
            resources: kinds.iter().map(|kind| kind.taken).sum(),
            kinds,
            passed_over,
            explanations,
            differences,
            mistakes: all,
        }
    }
}

/// What became of objects, by name.
#[derive(Default)]
struct ObjectOutcomes<'m> {
    passed: BTreeSet<&'m str>,
    unsupported: BTreeSet<&'m str>,
    unsafe_: BTreeSet<&'m str>,
    elsewhere: BTreeSet<&'m str>,
}

impl<'m> ObjectOutcomes<'m> {
    fn of(diagnostics: &'m [Diagnostic], differences: &'m [MigrationDifference]) -> Self {
        let mut outcomes = Self::default();
        for diagnostic in diagnostics {
            let Some(object) = diagnostic.object.as_deref() else { continue };
            match RefusalClass::of(diagnostic.code) {
                None => outcomes.passed.insert(object),
                Some(RefusalClass::Unsupported) => outcomes.unsupported.insert(object),
                Some(RefusalClass::Unsafe) => outcomes.unsafe_.insert(object),
                Some(RefusalClass::Elsewhere) => outcomes.elsewhere.insert(object),
            };
        }
        let objects = differences.iter().filter(|found| found.is_unsafe).flat_map(|d| &d.objects);
        outcomes.unsafe_.extend(objects.map(|object: &Arc<str>| &**object));
        outcomes
    }
}

fn kinds(objects: &[SurveyedObject], outcomes: &ObjectOutcomes<'_>) -> Vec<KindCount> {
    let mut kinds: BTreeMap<&str, KindCount> = BTreeMap::new();
    for object in objects.iter().filter(|object| !outcomes.passed.contains(&*object.name)) {
        let count = kinds.entry(&object.kind).or_insert_with(|| KindCount {
            kind: object.kind.clone(),
            objects: 0,
            taken: 0,
            unsupported: 0,
            unsafe_: 0,
        });
        let unsupported = outcomes.unsupported.contains(&*object.name);
        let is_unsafe = outcomes.unsafe_.contains(&*object.name);
        count.objects += 1;
        let elsewhere = outcomes.elsewhere.contains(&*object.name);
        count.taken += usize::from(!unsupported && !is_unsafe && !elsewhere);
        count.unsupported += usize::from(unsupported);
        count.unsafe_ += usize::from(is_unsafe);
    }
    kinds.into_values().collect()
}

/// Each strict rule once: unsupported things first, then in the order in which they were met.
fn explanations(diagnostics: &[Diagnostic]) -> Vec<DiagnosticExplanation> {
    let mut known: Vec<(String, DiagnosticExplanation)> = Vec::new();
    for diagnostic in diagnostics {
        let Some(sort) = RefusalClass::of(diagnostic.code) else { continue };
        let key = diagnostic_key(diagnostic);
        let place = place(diagnostic);
        match known.iter_mut().find(|(other, found)| *other == key && found.code == diagnostic.code)
        {
            Some((_, found)) => {
                found.count += 1;
                found.places.push(place);
            }
            None => known.push((
                key,
                DiagnosticExplanation {
                    sort,
                    code: diagnostic.code,
                    count: 1,
                    found: diagnostic.found.clone(),
                    expected: diagnostic.expected.clone(),
                    write: diagnostic.fix.clone(),
                    places: vec![place],
                },
            )),
        }
    }
    let mut explanations: Vec<_> = known.into_iter().map(|(_, found)| found).collect();
    explanations.sort_by_key(|found| found.sort);
    explanations
}

fn place(diagnostic: &Diagnostic) -> String {
    match diagnostic.line {
        0 => diagnostic.file.to_string(),
        line => format!("{}:{line}:{}", diagnostic.file, diagnostic.column),
    }
}

/// What all diagnostics of one strict rule have in common: the advice without the values of the one file.
fn diagnostic_key(diagnostic: &Diagnostic) -> String {
    let Some(fix) = &diagnostic.fix else { return diagnostic.expected.clone() };
    let mut quoted = None;
    let kept = fix.chars().filter(|c| match (quoted, c) {
        (Some(end), c) => {
            if end == *c {
                quoted = None;
            }
            false
        }
        (None, '"' | '`') => {
            quoted = Some(*c);
            false
        }
        (None, c) => !c.is_ascii_digit(),
    });
    kept.collect()
}

#[cfg(test)]
mod tests;
