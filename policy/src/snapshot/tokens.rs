//! The token rules of a workload: RequestAuthentications joined with TokenPolicies.

use std::sync::Arc;

use crate::resources::TokenPolicy;
use crate::token::{ConfirmationRequirement, JwtRule, TokenRule, TokenRules};
use crate::{Resources, Workload};

/// Everything that concerns the workload, in the order of the rules' ids.
pub(super) fn of(resources: &Resources, workload: &Workload) -> TokenRules {
    let root = resources.root_namespace();
    let policies: Vec<_> =
        resources.token_policies().iter().filter(|policy| policy.selects(workload, root)).collect();
    let selected = resources.request_authentications().iter();
    let rules = selected
        .filter(|object| object.selects(workload, resources))
        .flat_map(|object| object.rules());
    TokenRules::new(rules.map(|rule| joined(rule, &policies, workload)).collect())
}

/// Presenters are added up; of several settings of one thing the strictest counts.
fn joined(rule: &Arc<JwtRule>, policies: &[&TokenPolicy], workload: &Workload) -> TokenRule {
    let about = || policies.iter().filter(|policy| *policy.issuer() == *rule.issuer);
    let confirmation = about().filter_map(|policy| policy.confirmation()).max();
    let audience = about().filter_map(|policy| policy.audience_required()).max();
    TokenRule {
        jwt: rule.of_workload(&workload.namespace, &workload.service_account),
        confirmation: confirmation.unwrap_or(ConfirmationRequirement::default()),
        audience_required: audience.unwrap_or(true),
        presenters: about().filter_map(|policy| policy.presenters()).cloned().collect(),
    }
}
