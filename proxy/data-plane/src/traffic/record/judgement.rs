//! What a record keeps of a verdict.

use policy::{Decider, Denial, NearestMiss, Permit};

use crate::telemetry::log_line::LogLine;
use crate::telemetry::metrics::Metrics;
use crate::traffic::authorize::{AuthorizationVerdict, ShadowDecision};

/// The verdict of a record; empty until there is one.
#[derive(Default)]
pub(super) struct Judgement {
    decision: Option<&'static str>,
    decider: Option<Decider>,
    nearest: Option<Box<NearestMiss>>,
    shadow: Vec<ShadowDecision>,
}

impl Judgement {
    /// Keeps what the log needs of a verdict, counts the decisions that are not enforced, and returns the decision.
    pub(super) fn take(
        &mut self,
        verdict: AuthorizationVerdict,
        metrics: &Metrics,
    ) -> Result<Permit, Denial> {
        for shadow in &verdict.shadow {
            let policy = shadow.policy.as_deref().unwrap_or_else(|| shadow.by.as_str());
            metrics.decision(shadow.decision, Some(policy), shadow.rule).inc();
        }
        self.decision = Some(verdict.decision_label());
        self.decider = verdict.decider().cloned();
        self.nearest = verdict.nearest.map(Box::new);
        self.shadow = verdict.shadow;
        verdict.decision
    }

    pub(super) fn write(&self, line: &mut LogLine<'_>) {
        if let Some(decision) = self.decision {
            line.word("decision", decision);
        }
        if let Some(decider) = &self.decider {
            line.text("policy", decider.policy()).number("rule", decider.rule());
        }
        if let Some(nearest) = &self.nearest {
            line.json("nearest", nearest);
        }
        if !self.shadow.is_empty() {
            line.json("would", &self.shadow);
        }
    }
}
