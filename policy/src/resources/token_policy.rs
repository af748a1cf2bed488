//! TokenPolicy (`policy.postern.dev/v1alpha1`): what is asked of an issuer's tokens beyond RequestAuthentication.
//!
//! It binds tokens to the workloads that may present them and to the key they were issued for; see `docs/tokens.md`.

use std::sync::Arc;

use super::RequestAuthentication;
use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use crate::Workload;
use crate::pattern::IdPattern;
use crate::token::ConfirmationRequirement;
use crate::yaml::{DiagnosticCode, YamlReader, YamlValue};

const MAX_PRINCIPALS: usize = 256;

/// A TokenPolicy. All that select a workload and name an issuer hold together; the strictest setting counts.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    issuer: Arc<str>,
    presenters: Option<Arc<[IdPattern]>>,
    confirmation: Option<ConfirmationRequirement>,
    audience_required: Option<bool>,
}

impl TokenPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The issuer whose tokens it is about.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// True when it is about the workload: in its namespace or the root one, and selected.
    pub fn selects(&self, workload: &Workload, root_namespace: &str) -> bool {
        let scope = *self.namespace == *workload.namespace || *self.namespace == *root_namespace;
        scope && self.selector.matches(&workload.labels)
    }

    /// True when it is about every workload that the object is about, as far as their text tells.
    pub(crate) fn scope_covers(
        &self,
        object: &RequestAuthentication,
        root_namespace: &str,
    ) -> bool {
        let scope = self.namespace == *object.namespace() || *self.namespace == *root_namespace;
        scope && self.selector.covers(object.selector())
    }

    pub(crate) fn presenters(&self) -> Option<&Arc<[IdPattern]>> {
        self.presenters.as_ref()
    }

    pub(crate) fn confirmation(&self) -> Option<ConfirmationRequirement> {
        self.confirmation
    }

    pub(crate) fn audience_required(&self) -> Option<bool> {
        self.audience_required
    }
}

const CONFIRMATIONS: &[(&str, ConfirmationRequirement)] = &[
    ("REQUIRED", ConfirmationRequirement::Required),
    ("IF_PRESENT", ConfirmationRequirement::IfPresent),
    ("IGNORED", ConfirmationRequirement::Ignored),
];

pub(super) fn read(reader: &mut YamlReader, object: &ResourceObject<'_>) -> Option<TokenPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` that names an issuer", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector =
        map.take("selector").map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let issuer = map.require(reader, "issuer").and_then(|v| reader.text(v));
    let presenters = map.take("principals").map(|v| read_principals(reader, v));
    let confirmation = map.take("confirmation").map(|v| (v, reader.choice(v, CONFIRMATIONS)));
    let audience = map.take("audience");
    let audience = audience.map(|v| reader.choice(v, &[("REQUIRED", true), ("OPTIONAL", false)]));
    if !["principals", "confirmation", "audience"].iter().any(|key| map.has(key)) {
        let found = "a TokenPolicy that asks nothing of its issuer's tokens";
        let expected = "`principals`, `confirmation` or `audience`";
        let fix = "say what is asked of them, or take the object out".to_owned();
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            spec.node.mark,
            found,
            expected,
            Some(fix),
        );
    }
    map.finish(reader);
    if let Some((value, Some(ConfirmationRequirement::Ignored))) = confirmation
        && presenters.is_none()
    {
        let fix = "name the workloads that have looked at the binding, such as the gateway, in `principals`";
        reader.report_value(value, "`principals` beside IGNORED", Some(fix.into()));
    }
    Some(TokenPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: selector?,
        issuer: issuer?.into(),
        presenters: presenters.map_or(Some(None), |list| list.map(Some))?,
        confirmation: confirmation.map_or(Some(None), |(_, choice)| choice.map(Some))?,
        audience_required: audience.map_or(Some(None), |choice| choice.map(Some))?,
    })
}

fn read_principals(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Arc<[IdPattern]>> {
    let items = reader.filled_list(value, MAX_PRINCIPALS)?;
    let patterns = items.into_iter().map(|item| {
        reader.parsed(
            item,
            "a principal such as cluster.local/ns/edge/sa/gateway",
            IdPattern::parse,
        )
    });
    patterns.collect()
}
