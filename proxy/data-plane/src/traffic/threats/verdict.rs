//! What is done about a request that was looked through. Pure.

use policy::threat::{ThreatMode, ThreatSettings};
use threat_rules::Inspection;

use crate::http::ThreatRefusal;

/// What came of looking through a request.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What the rules said of what they saw.
    pub(crate) inspection: Inspection,
    /// Why they did not see it, or not all of it.
    pub(crate) missed: Option<ThreatRefusal>,
}

impl Looked {
    /// Nothing was seen.
    pub(crate) fn missed(why: ThreatRefusal) -> Self {
        Self { inspection: Inspection::default(), missed: Some(why) }
    }
}

/// What is done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThreatVerdict {
    /// It goes on; where something matched, it is too little.
    Pass,
    /// It goes on, and is an attack.
    Detect,
    /// It is refused.
    Refuse(ThreatRefusal),
}

impl ThreatVerdict {
    /// `block` refuses what the rules found, and what they did not see all of; `detect` refuses nothing.
    pub(crate) fn of(settings: &ThreatSettings, looked: &Looked) -> Self {
        let is_attack = looked.inspection.score >= settings.inbound_threshold;
        match (settings.mode, is_attack, looked.missed) {
            (ThreatMode::Block, true, _) => Self::Refuse(ThreatRefusal::Detected),
            (ThreatMode::Detect, true, _) => Self::Detect,
            (ThreatMode::Block, false, Some(missed)) => Self::Refuse(missed),
            _ => Self::Pass,
        }
    }

    /// What matched rules are counted and logged as.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Refuse(ThreatRefusal::Detected) => "blocked",
            Self::Detect => "detected",
            Self::Pass | Self::Refuse(_) => "noted",
        }
    }

    /// What the request is counted as.
    pub(crate) fn result(self, looked: &Looked) -> &'static str {
        match (self, looked.missed) {
            (Self::Refuse(ThreatRefusal::Detected), _) => "blocked",
            (Self::Detect, _) => "detected",
            (_, Some(missed)) => missed.reason(),
            (_, None) => "clean",
        }
    }

    /// True when the rules found an attack.
    pub(crate) fn is_attack(self) -> bool {
        matches!(self, Self::Detect | Self::Refuse(ThreatRefusal::Detected))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use policy::{PolicyDefaults, Resources, Snapshot, SourceFile, Workload};

    use super::*;

    fn settings(spec: &str) -> std::sync::Arc<ThreatSettings> {
        let text = format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: ThreatPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {{{spec}}}\n"
        );
        let file = SourceFile { name: "r".into(), bytes: text.into_bytes() };
        let resources = Resources::parse(&[file], "postern-system").unwrap();
        let (namespace, service_account) = ("shop".into(), "cart".into());
        let workload = Workload { namespace, service_account, labels: Default::default() };
        let snapshot = Snapshot::build(&resources, &workload, &PolicyDefaults::default());
        snapshot.threats().find(None, None).unwrap().settings.clone()
    }

    #[test]
    fn what_is_done() {
        use ThreatRefusal::{Detected, Overloaded, TimedOut, TooLarge};
        use ThreatVerdict::{Detect, Pass, Refuse};
        for (row, spec, score, missed, expect, result) in [
            ("nothing found", "mode: block", 0, None, Pass, "clean"),
            ("too little", "mode: block", 4, None, Pass, "clean"),
            ("an attack", "mode: block", 5, None, Refuse(Detected), "blocked"),
            ("more is asked", "mode: block, inboundThreshold: 10", 9, None, Pass, "clean"),
            ("detected first", "", 5, None, Detect, "detected"),
            (
                "not all was seen",
                "mode: block",
                0,
                Some(TooLarge),
                Refuse(TooLarge),
                "body_too_large_to_inspect",
            ),
            (
                "not all was seen, and an attack",
                "mode: block",
                5,
                Some(TooLarge),
                Refuse(Detected),
                "blocked",
            ),
            (
                "it can be read in two ways",
                "mode: block",
                0,
                Some(ThreatRefusal::Malformed),
                Refuse(ThreatRefusal::Malformed),
                "body_not_inspectable",
            ),
            (
                "it has more values than are read",
                "mode: block",
                0,
                Some(ThreatRefusal::TooMany),
                Refuse(ThreatRefusal::TooMany),
                "body_too_large_to_inspect",
            ),
            ("no result", "mode: block", 0, Some(TimedOut), Refuse(TimedOut), "inspection_timeout"),
            ("nothing is refused", "", 0, Some(Overloaded), Pass, "inspection_overloaded"),
            ("nothing of it either", "", 5, Some(TooLarge), Detect, "detected"),
        ] {
            let inspection = Inspection { score, ..Inspection::default() };
            let looked = Looked { inspection, missed };
            let verdict = ThreatVerdict::of(&settings(spec), &looked);
            assert_eq!((verdict, verdict.result(&looked)), (expect, result), "{row}");
        }
    }
}
