//! Which ApiSchema is about a request.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{ApiDocument, ApiSchemaScope, ApiSchemaSettings, DocumentFile};
use crate::client_traffic::ListenerPlace;
use crate::resources::ApiSchema;
use crate::route::RouteId;
use crate::sign_in::SignInTarget;
use crate::{Resources, Workload};

/// The ApiSchemas of one workload. Immutable; cheap to ask where there are none. The default is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiSchemaTable {
    /// Of a sidecar, the closest first.
    by_port: Vec<(Vec<u16>, Arc<ApiSchemaSettings>)>,
    /// Of a gateway, by name.
    by_target: Vec<(Vec<SignInTarget>, Arc<ApiSchemaSettings>)>,
}

impl ApiSchemaTable {
    /// What `resources` say of requests to `workload`. `is_gateway`: of those that come in by its listeners; a selector
    /// means sidecars alone, because a gateway stands before many APIs.
    pub fn build(resources: &Resources, workload: &Workload, is_gateway: bool) -> Self {
        let all = resources.api_schemas().iter();
        if is_gateway {
            let by_target = all.filter_map(|object| match object.scope() {
                ApiSchemaScope::Edge(targets) => {
                    Some((targets.clone(), Arc::clone(object.settings())))
                }
                ApiSchemaScope::Workloads { .. } => None,
            });
            return Self { by_target: by_target.collect(), ..Self::default() };
        }
        let root = resources.root_namespace();
        let mut selected: Vec<_> = all.filter(|object| object.selects(workload, root)).collect();
        selected.sort_by_key(|object| (Reverse(closeness(object, root)), object.name()));
        let by_port = selected.into_iter().filter_map(|object| match object.scope() {
            ApiSchemaScope::Workloads { ports, .. } => {
                Some((ports.clone(), Arc::clone(object.settings())))
            }
            ApiSchemaScope::Edge(_) => None,
        });
        Self { by_port: by_port.collect(), ..Self::default() }
    }

    /// True when no request is compared with any description.
    pub fn is_empty(&self) -> bool {
        self.by_port.is_empty() && self.by_target.is_empty()
    }

    /// The one about requests to this port of a sidecar's app. The closest holds as a whole: one that names the port before
    /// one about all, one of the workload's own namespace before one of the root namespace, the one with more labels before
    /// the one with fewer, then the first by name.
    pub fn at_port(&self, port: u16) -> Option<&Arc<ApiSchemaSettings>> {
        let mut about = self.by_port.iter();
        about.find(|(ports, _)| ports.is_empty() || ports.contains(&port)).map(|(_, found)| found)
    }

    /// The one about requests that come in by this listener and are taken by this route. The closest holds as a whole: one
    /// about the route before one about the listener, its ListenerSet, its Gateway; then the first by name.
    pub fn at_edge(
        &self,
        listener: &ListenerPlace<'_>,
        route: Option<&RouteId>,
    ) -> Option<&Arc<ApiSchemaSettings>> {
        let mut best = None;
        for (targets, settings) in &self.by_target {
            let closest = targets.iter().filter_map(|target| target.closeness(listener, route));
            let Some(closeness) = closest.max() else { continue };
            if best.is_none_or(|(than, _)| closeness > than) {
                best = Some((closeness, settings));
            }
        }
        best.map(|(_, settings)| settings)
    }

    /// The files that descriptions are in, each once.
    pub fn files(&self) -> Vec<Arc<DocumentFile>> {
        let of_sidecar = self.by_port.iter().map(|(_, settings)| settings);
        let all = of_sidecar.chain(self.by_target.iter().map(|(_, settings)| settings));
        let mut files: Vec<_> = all
            .filter_map(|settings| match &settings.document {
                ApiDocument::File(file) => Some(Arc::clone(file)),
                ApiDocument::Inline(_) => None,
            })
            .collect();
        files.sort();
        files.dedup();
        files
    }
}

/// How closely an ApiSchema means a workload: more is closer.
fn closeness(object: &ApiSchema, root_namespace: &str) -> (bool, bool, usize) {
    let own = **object.namespace() != *root_namespace;
    match object.scope() {
        ApiSchemaScope::Workloads { selector, ports } => {
            (!ports.is_empty(), own, selector.labels().len())
        }
        ApiSchemaScope::Edge(_) => (false, own, 0),
    }
}

#[cfg(test)]
mod tests;
