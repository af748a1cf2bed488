//! Findings about who a user is, once their token has become one of the mesh.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Finding, LintContext, Severity};
use crate::resources::TokenExchange;
use crate::token::KeySource;
use crate::{Resources, Workload};

/// A TokenExchange that takes the users of every issuer, where several are accepted: behind it users of one name are one.
pub(super) fn mixed(resources: &Resources, context: &LintContext<'_>, findings: &mut Vec<Finding>) {
    let root = resources.root_namespace();
    for object in resources.token_exchanges() {
        let holds = !object.targets().is_empty() || object.selects(context.workload, root);
        let issuers = accepted(resources, context.workload, object);
        if !holds || !object.rule().issuers.is_empty() || issuers.len() < 2 {
            continue;
        }
        let all = issuers.into_iter().collect::<Vec<_>>().join(", ");
        findings.push(Finding {
            severity: Severity::Warning,
            code: "mixed_users",
            policy: Some(Arc::clone(object.name())),
            rule: None,
            place: None,
            found: format!(
                "users of {all} that have the same `sub` have one principal behind the TokenExchange"
            ),
            fix: "give it `issuers`, and ask for request.auth.claims[orig_iss] where a rule names a user".to_owned(),
        });
    }
}

/// The issuers whose users may come to where the object holds. People sign in at gateways alone.
fn accepted<'r>(
    resources: &'r Resources,
    workload: &Workload,
    object: &TokenExchange,
) -> BTreeSet<&'r str> {
    let root = resources.root_namespace();
    let at_listeners = !object.targets().is_empty();
    let tokens = resources.request_authentications().iter();
    let tokens =
        tokens.filter(|rules| rules.selects(workload, resources)).flat_map(|rules| rules.rules());
    let theirs = tokens.filter(|rule| !matches!(rule.keys, KeySource::MeshBundle(_)));
    let asked = resources.token_introspections().iter().filter(|asked| {
        (at_listeners && !asked.settings().targets.is_empty()) || asked.selects(workload, root)
    });
    let signed_in = resources.sign_ins().iter().filter(|_| at_listeners);
    theirs
        .map(|rule| &*rule.issuer)
        .chain(asked.map(|asked| &*asked.settings().issuer))
        .chain(signed_in.map(|sign_in| &*sign_in.settings().issuer))
        .collect()
}
