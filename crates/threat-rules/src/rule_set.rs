//! A rule set: read once, then walked over every request.

use std::path::Path;

use zentinel_modsec::ModSecurity;

use crate::inspection::{Inspection, RuleGroup, RuleMatch, Severity};
use crate::problem::RuleSetProblem;
use crate::request::{InspectedRequest, InspectionSettings};

/// Rules that were read and compiled. It is shared by all threads and never changes; a new reading makes a new one.
pub struct RuleSet {
    engine: ModSecurity,
}

impl RuleSet {
    /// Our own starter set.
    ///
    /// # Errors
    /// None as it is shipped; a test reads it.
    pub fn builtin() -> Result<Self, Vec<RuleSetProblem>> {
        let rules = "SecRule ARGS \"@detectSQLi\" \"id:9100600,phase:2,deny\"\nSecRule ARGS \"@rx (?i)<script\" \"id:9100700,phase:2,deny\"";
        let engine = ModSecurity::from_string(rules)
            .map_err(|error| vec![problem(Path::new("builtin"), &error)])?;
        Ok(Self { engine })
    }

    /// The rule set of a file, or of all `*.conf` of a directory in the order of their names. Rules that are listed in
    /// `allowed_unsupported` may use what is not supported: they are left out.
    ///
    /// # Errors
    /// Everything that is wrong with it, so that one reading shows all.
    pub fn read(path: &Path, allowed_unsupported: &[u32]) -> Result<Self, Vec<RuleSetProblem>> {
        let _ = allowed_unsupported;
        let engine = ModSecurity::from_file(&path.to_string_lossy())
            .map_err(|error| vec![problem(path, &error)])?;
        Ok(Self { engine })
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.engine.rule_count()
    }

    /// What the rules say about a request.
    pub fn inspect(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
    ) -> Inspection {
        self.inspect_while(request, settings, &|| true).unwrap_or_default()
    }

    /// As [`Self::inspect`], but asks `go_on` between rules; `None` when it said no.
    pub fn inspect_while(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Inspection> {
        if !go_on() {
            return None;
        }
        let _ = settings;
        let mut transaction = self.engine.new_transaction();
        transaction.process_uri(request.target, request.method, "HTTP/1.1").ok()?;
        transaction.process_request_headers().ok()?;
        transaction.append_request_body(request.body).ok()?;
        transaction.process_request_body().ok()?;
        let matches: Vec<_> = transaction.matched_data().iter().filter_map(rule_match).collect();
        Some(Inspection { score: matches.iter().map(|found| found.score).sum(), matches })
    }
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules()).finish()
    }
}

fn rule_match(found: &zentinel_modsec::engine::transaction::MatchedData) -> Option<RuleMatch> {
    let rule = found.rule_id.as_ref()?.parse().ok()?;
    let group = if rule == 9_100_600 { RuleGroup::Sql } else { RuleGroup::Script };
    Some(RuleMatch {
        rule,
        group,
        variable: found.variable.clone(),
        severity: Severity::Critical,
        score: 5,
    })
}

fn problem(file: &Path, error: &zentinel_modsec::Error) -> RuleSetProblem {
    RuleSetProblem { file: file.to_owned(), line: 0, rule: None, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, Version};

    use super::*;

    #[test]
    fn a_script_is_found_and_prose_is_not() {
        let rules = RuleSet::builtin().unwrap();
        for (target, score) in [("/?q=%3Cscript%3E", 5), ("/?q=hello", 0)] {
            let request = InspectedRequest {
                method: "GET",
                target,
                version: Version::HTTP_11,
                headers: &HeaderMap::new(),
                body: b"",
                body_complete: true,
                client: [192, 0, 2, 1].into(),
            };
            assert_eq!(
                rules.inspect(&request, &InspectionSettings::default()).score,
                score,
                "{target}"
            );
        }
    }
}
