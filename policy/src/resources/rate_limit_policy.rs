//! RateLimitPolicy (`policy.postern.dev/v1alpha1`): how many requests a caller may make; see `docs/rate-limits.md`.

mod limit;
mod targets;

use std::num::NonZeroU32;
use std::sync::Arc;

use super::object::ResourceObject;
use super::selector::{self, MatchLabels};
use super::{Resources, target};
use crate::rate_limit::{LimitMeasure, RequestLimit, StoreFailure};
use crate::yaml::{DiagnosticCode, YamlMapping, YamlReader, YamlValue};
use crate::{Diagnostic, Workload};
use target::TargetRef;

pub(super) use limit::read_claim;
pub use targets::LimitTarget;

/// The most limits of a policy, of each sort: every one has a count of its own for every request.
const MAX_LIMITS: usize = 16;

/// A RateLimitPolicy. All that are about a request hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimitPolicy {
    name: Arc<str>,
    namespace: Arc<str>,
    /// Without targets; empty selects every workload of the namespace, in the root namespace of the mesh.
    selector: MatchLabels,
    targets: Vec<LimitTarget>,
    limits: Vec<Arc<RequestLimit>>,
}

impl RateLimitPolicy {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// Its limits: those of rates in the order they were written, then those of requests under way.
    pub fn limits(&self) -> &[Arc<RequestLimit>] {
        &self.limits
    }

    /// What it names in `targetRefs`.
    pub fn targets(&self) -> &[LimitTarget] {
        &self.targets
    }

    /// True when it is about all requests to the workload: in its namespace or the root one, and selected by labels, or
    /// behind a Service that the policy names.
    pub fn selects(&self, workload: &Workload, resources: &Resources) -> bool {
        if !self.targets.is_empty() {
            return self.services().any(|service| service.selects(workload, resources));
        }
        let root = *self.namespace == *resources.root_namespace();
        (root || *self.namespace == *workload.namespace) && self.selector.matches(&workload.labels)
    }

    fn services(&self) -> impl Iterator<Item = &TargetRef> {
        self.targets.iter().filter_map(|target| match target {
            LimitTarget::Service(service) => Some(service),
            _ => None,
        })
    }

    /// The Services that it names and nobody can resolve.
    pub(super) fn unresolved(&self, resources: &Resources) -> Vec<Diagnostic> {
        let name: Arc<str> = format!("RateLimitPolicy {}", self.name).into();
        let unresolved = self.services().filter_map(|service| service.unresolved(resources));
        unresolved.map(|diagnostic| diagnostic.within(Arc::clone(&name))).collect()
    }
}

const FAILURES: &[(&str, StoreFailure)] =
    &[("local", StoreFailure::Local), ("allow", StoreFailure::Allow), ("deny", StoreFailure::Deny)];

/// What a policy says of all its limits in a store.
#[derive(Debug, Clone, Copy)]
struct StoreRules {
    on_failure: StoreFailure,
    replicas: NonZeroU32,
}

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
) -> Option<RateLimitPolicy> {
    let Some(spec) = object.spec else {
        reader.report(object.mark, "no `spec`", "a `spec` with `limits` or `concurrency`", None);
        return None;
    };
    let mut map = reader.mapping(spec)?;
    let selector = map.take("selector");
    let refs = map.take("targetRefs");
    if let (Some(_), Some(refs)) = (selector, refs) {
        reader.report(refs.node.mark, "`targetRefs` beside `selector`", "one of the two", None);
    }
    let selector = selector.map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let targets = refs.map_or(Some(Vec::new()), |v| targets::read(reader, v, &object.namespace));
    let limits = read_all_limits(reader, &mut map, &object.full_name());
    map.finish(reader);
    Some(RateLimitPolicy {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector: selector?,
        targets: targets?,
        limits: limits?,
    })
}

fn read_all_limits(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    policy: &str,
) -> Option<Vec<Arc<RequestLimit>>> {
    let rules = read_store_rules(reader, map);
    let rates = map.take("limits").map(|v| {
        let rules = rules.unwrap_or(StoreRules::DEFAULT);
        read_list(reader, v, |reader, item| limit::read_rate(reader, item, policy, rules))
    });
    let concurrency = map.take("concurrency").map(|v| {
        read_list(reader, v, |reader, item| limit::read_concurrency(reader, item, policy))
    });
    if rates.is_none() && concurrency.is_none() {
        let fix = "say what is limited, or take the object out".to_owned();
        let found = "a RateLimitPolicy without a limit";
        let code = DiagnosticCode::NoEffect;
        reader.report_with_code(code, map.mark(), found, "`limits` or `concurrency`", Some(fix));
    }
    let mut limits = rates.unwrap_or(Some(Vec::new()))?;
    limits.extend(concurrency.unwrap_or(Some(Vec::new()))?);
    refuse_second_name(reader, map, &limits)?;
    refuse_idle_store_rules(reader, map, &limits)?;
    rules.map(|_| limits)
}

fn read_list(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    read: impl Fn(&mut YamlReader, YamlValue<'_>) -> Option<RequestLimit>,
) -> Option<Vec<Arc<RequestLimit>>> {
    let items = reader.filled_list(value, MAX_LIMITS)?;
    // Every one is read, so that all mistakes are told.
    let limits: Vec<_> = items.into_iter().map(|item| read(reader, item)).collect();
    limits.into_iter().map(|limit| limit.map(Arc::new)).collect()
}

impl StoreRules {
    const DEFAULT: Self = Self { on_failure: StoreFailure::Local, replicas: NonZeroU32::MIN };
}

fn read_store_rules(reader: &mut YamlReader, map: &mut YamlMapping<'_>) -> Option<StoreRules> {
    let default = StoreRules::DEFAULT;
    let on_failure =
        map.take("onStoreFailure").map_or(Some(default.on_failure), |v| reader.choice(v, FAILURES));
    let replicas = map.take("replicas").map_or(Some(default.replicas), |v| {
        let replicas = reader.integer(v, 1..=100_000)?;
        NonZeroU32::new(u32::try_from(replicas).ok()?)
    });
    Some(StoreRules { on_failure: on_failure?, replicas: replicas? })
}

/// Callers and metrics tell limits by their names.
fn refuse_second_name(
    reader: &mut YamlReader,
    map: &YamlMapping<'_>,
    limits: &[Arc<RequestLimit>],
) -> Option<()> {
    let mut seen = std::collections::HashSet::new();
    let Some(second) = limits.iter().find(|limit| !seen.insert(&limit.name)) else {
        return Some(());
    };
    let found = format!("two limits with the name {}", second.name);
    let code = DiagnosticCode::Repeated;
    reader.report_with_code(code, map.mark(), found, "each name once in a policy", None);
    None
}

fn refuse_idle_store_rules(
    reader: &mut YamlReader,
    map: &YamlMapping<'_>,
    limits: &[Arc<RequestLimit>],
) -> Option<()> {
    let key = ["onStoreFailure", "replicas"].into_iter().find(|key| map.has(key));
    let Some(key) = key.filter(|_| !limits.iter().any(|limit| limit.is_global())) else {
        return Some(());
    };
    let found = format!("`{key}` where no limit is in a store");
    let fix = "write store: redis for a limit, or take the line out".to_owned();
    let code = DiagnosticCode::NoEffect;
    reader.report_with_code(code, map.mark(), found, "a limit with store: redis", Some(fix));
    None
}

/// For [`limit`]: a limit's parts put together.
fn limit_of(policy: &str, head: limit::LimitHead, measure: LimitMeasure) -> RequestLimit {
    RequestLimit {
        id: format!("{policy}/{}", head.name).into(),
        name: head.name,
        keys: head.keys,
        measure,
        matches: head.matches,
    }
}

#[cfg(test)]
mod tests;
