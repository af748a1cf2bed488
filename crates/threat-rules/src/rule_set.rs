//! A rule set: read once, then walked over every request.

use std::path::Path;

use crate::builtin;
use crate::inspection::Inspection;
use crate::problem::RuleSetProblem;
use crate::read::{self, Assembled};
use crate::request::{InspectedRequest, InspectionSettings};
use crate::walk::{self, Start};

/// Rules that were read and compiled. It is shared by all threads and never changes; a new reading makes a new one.
pub struct RuleSet {
    set: Assembled,
    /// What is known before any request, by level of paranoia.
    starts: [Start; 4],
}

impl RuleSet {
    /// Our own starter set.
    ///
    /// # Errors
    /// None as it is shipped; a test reads it.
    pub fn builtin() -> Result<Self, Vec<RuleSetProblem>> {
        read::from_texts(builtin::FILES).map(Self::of)
    }

    /// The rule set of a file, or of all `*.conf` of a directory in the order of their names. Rules that are listed in
    /// `allowed_unsupported` may use what is not supported: they are left out.
    ///
    /// # Errors
    /// Everything that is wrong with it, so that one reading shows all.
    pub fn read(path: &Path, allowed_unsupported: &[u32]) -> Result<Self, Vec<RuleSetProblem>> {
        read::from_path(path, allowed_unsupported).map(Self::of)
    }

    /// The rule set of one text, which includes no file. `name` is what problems call it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of_text(name: &str, text: &str) -> Result<Self, Vec<RuleSetProblem>> {
        read::from_texts(&[(name, text)]).map(Self::of)
    }

    fn of(set: Assembled) -> Self {
        let starts = [1, 2, 3, 4].map(|paranoia| Start::of(&set, paranoia));
        Self { set, starts }
    }

    /// How many rules look at requests, links of chains included.
    pub fn rules(&self) -> usize {
        self.set.phases.iter().map(Vec::len).sum()
    }

    /// How many rules look at answers. They are read, but never run: answers are not inspected.
    pub fn rules_of_answers(&self) -> usize {
        self.set.of_answers
    }

    /// What the rules say about a request.
    pub fn inspect(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
    ) -> Inspection {
        self.inspect_while(request, settings, &|| true).unwrap_or_default()
    }

    /// As [`Self::inspect`], but asks `go_on` before each rule; `None` when it said no.
    pub fn inspect_while(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Option<Inspection> {
        self.walk(request, settings, go_on).map(|(found, _)| found)
    }

    /// The ids of all rules that matched, those included that only steer others: what the tests of a rule set expect.
    pub fn fired(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
    ) -> Vec<u32> {
        self.walk(request, settings, &|| true).map(|(_, fired)| fired).unwrap_or_default()
    }

    fn walk(
        &self,
        request: &InspectedRequest<'_>,
        settings: &InspectionSettings<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Option<(Inspection, Vec<u32>)> {
        let level = usize::from(settings.paranoia.clamp(1, 4)) - 1;
        walk::inspect(&self.set, self.starts.get(level)?, request, settings, go_on)
    }
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules()).finish()
    }
}
