//! The limits of one workload, and which of them a request meets.

use std::collections::HashMap;
use std::sync::Arc;

use super::{LimitRequest, RequestLimit};
use crate::resources::LimitTarget;
use crate::{Resources, Workload};

/// The limits that concern one workload. Immutable; cheap to ask where there are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RateLimits {
    limits: Vec<Arc<RequestLimit>>,
    /// The places of those that every request may meet.
    everywhere: Vec<usize>,
    /// By Gateway, `namespace/name`: a listener, where one is named.
    by_gateway: HashMap<Arc<str>, Vec<SectionLimit>>,
    /// By route, as [`crate::route::RouteRule::label`] writes it: a rule, where one is named.
    by_route: HashMap<Arc<str>, Vec<SectionLimit>>,
}

/// A limit for one part of its target, or all of it.
#[derive(Debug, Clone, PartialEq)]
struct SectionLimit {
    section: Option<Arc<str>>,
    place: usize,
}

impl RateLimits {
    /// What `resources` say of the requests to `workload`: all policies that select it or name a Service in front of it.
    /// `is_gateway`: those that name a Gateway or a route, too; no sidecar has either.
    pub fn build(resources: &Resources, workload: &Workload, is_gateway: bool) -> Self {
        let mut table = Self::default();
        for policy in resources.rate_limit_policies() {
            if policy.selects(workload, resources) {
                let places = table.add(policy.limits());
                table.everywhere.extend(places);
            } else if is_gateway && policy.targets().iter().any(LimitTarget::is_of_gateway) {
                let places = table.add(policy.limits());
                policy.targets().iter().for_each(|target| table.attach(target, &places));
            }
        }
        table
    }

    fn add(&mut self, limits: &[Arc<RequestLimit>]) -> Vec<usize> {
        let first = self.limits.len();
        self.limits.extend(limits.iter().cloned());
        (first..self.limits.len()).collect()
    }

    fn attach(&mut self, target: &LimitTarget, places: &[usize]) {
        let (table, name, section) = match target {
            LimitTarget::Gateway { name, section } => (&mut self.by_gateway, name, section),
            LimitTarget::Route { label, rule } => (&mut self.by_route, label, rule),
            LimitTarget::Service(_) => return,
        };
        let limit = |place: &usize| SectionLimit { section: section.clone(), place: *place };
        table.entry(Arc::clone(name)).or_default().extend(places.iter().map(limit));
    }

    /// True when no request meets any.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// All of them, each in its place.
    pub fn limits(&self) -> &[Arc<RequestLimit>] {
        &self.limits
    }

    /// The places of the limits that the request meets, each once, in order.
    pub fn applicable(&self, request: &LimitRequest<'_>) -> Vec<usize> {
        let mut places = self.everywhere.clone();
        if let Some(listener) = request.listener {
            let limits = self.by_gateway.get(listener.gateway);
            places.extend(limits_of(limits, listener.section));
        }
        if let Some(rule) = request.route {
            places.extend(limits_of(self.by_route.get(&rule.label), rule.name.as_deref()));
        }
        places.sort_unstable();
        places.dedup();
        let about = |place: &usize| {
            self.limits.get(*place).is_some_and(|limit| limit.is_about(&request.http))
        };
        places.retain(about);
        places
    }
}

/// Those of a target that are about this part of it.
fn limits_of<'t>(
    limits: Option<&'t Vec<SectionLimit>>,
    part: Option<&'t str>,
) -> impl Iterator<Item = usize> + use<'t> {
    let about =
        move |limit: &&SectionLimit| limit.section.is_none() || limit.section.as_deref() == part;
    limits.into_iter().flatten().filter(about).map(|limit| limit.place)
}
