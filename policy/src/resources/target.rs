//! `targetRefs`: a policy for the workloads behind a Service.
//!
//! From files, which workloads are behind a Service is told by the endpoints of its ServiceEntry: their labels and
//! service accounts. A reference that cannot be resolved so is a diagnostic; a policy must not quietly be about nobody
//! (S-19).

use std::sync::Arc;

use super::Resources;
use super::object::dns_label;
use crate::service::CLUSTER_SUFFIX;
use crate::yaml::{DiagnosticCode, SourcePosition, YamlReader, YamlValue};
use crate::{Diagnostic, Endpoint, Service, Workload};

/// The most `targetRefs` of a policy (Istio's limit).
const MAX_TARGETS: usize = 16;

/// A Service of the policy's own namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRef {
    /// `<service>.<namespace>.svc.cluster.local`
    host: Arc<str>,
    namespace: Arc<str>,
    file: Arc<str>,
    mark: SourcePosition,
}

/// Reads `targetRefs`.
pub(super) fn read(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<Vec<TargetRef>> {
    let items = reader.filled_list(value, MAX_TARGETS)?;
    Some(items.into_iter().filter_map(|item| read_target(reader, item, namespace)).collect())
}

fn read_target(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    namespace: &Arc<str>,
) -> Option<TargetRef> {
    let mut map = reader.mapping(value)?;
    if let Some(group) =
        map.take("group").filter(|group| !group.is_empty_text() && !group.is_text("core"))
    {
        reader.report_value_with_code(
            DiagnosticCode::Unsupported,
            group,
            "\"\", the group of kind Service",
            None,
        );
    }
    if let Some(other) = map.take_unsupported("namespace") {
        let fix = "a policy is about its own namespace; move it to the Service's".to_owned();
        reader.report_with_code(
            DiagnosticCode::Reach,
            other.node.mark,
            "`namespace` in a target",
            "a Service of the policy's namespace",
            Some(fix),
        );
    }
    let kind = map.require(reader, "kind").filter(|kind| !kind.is_text("Service"));
    let is_other = kind.is_some();
    if let Some(kind) = kind {
        let fix =
            "other kinds are not supported by this version; or select with selector.matchLabels"
                .to_owned();
        reader.report_value_with_code(DiagnosticCode::Unsupported, kind, "Service", Some(fix));
    }
    let name = map
        .require(reader, "name")
        .and_then(|name| reader.parsed(name, "a Service's name", service_name));
    map.finish(reader);
    if is_other {
        // Reported already; a second message about the name would only confuse.
        return None;
    }
    Some(service(reader, &name?, namespace, value.node.mark))
}

/// A Service, of the reader's file.
pub(super) fn service(
    reader: &YamlReader,
    name: &str,
    namespace: &Arc<str>,
    mark: SourcePosition,
) -> TargetRef {
    TargetRef {
        host: format!("{name}.{namespace}{CLUSTER_SUFFIX}").into(),
        namespace: Arc::clone(namespace),
        file: Arc::clone(reader.file()),
        mark,
    }
}

/// A Service's name (RFC 1035 as Kubernetes takes it): one that no Service can have would be about nobody.
fn service_name(text: &str) -> Result<Arc<str>, &'static str> {
    dns_label(text).map_err(
        |_| "Services are lower-case letters, digits and '-', at most 63, no '-' at an end",
    )
}

impl TargetRef {
    /// The host of the Service.
    pub(super) fn host(&self) -> Arc<str> {
        Arc::clone(&self.host)
    }

    /// True when the workload is behind the Service.
    pub(super) fn selects(&self, workload: &Workload, resources: &Resources) -> bool {
        *self.namespace == *workload.namespace
            && self
                .service(resources)
                .is_some_and(|s| s.endpoints.iter().any(|e| is_at(workload, e)))
    }

    fn service<'r>(&self, resources: &'r Resources) -> Option<&'r Service> {
        let entries =
            resources.service_entries.iter().filter(|entry| *entry.namespace() == self.namespace);
        entries.flat_map(|entry| entry.services()).find(|service| service.host == self.host)
    }

    /// What keeps the reference from being resolved, as a diagnostic.
    pub(super) fn unresolved(&self, resources: &Resources) -> Option<Diagnostic> {
        let (found, expected) = match self.service(resources) {
            None => (
                format!("no ServiceEntry for {}", self.host),
                "a ServiceEntry that lists its endpoints",
            ),
            Some(service)
                if service.endpoints.is_empty() || service.endpoints.iter().any(is_anonymous) =>
            {
                (
                    format!("endpoints of {} that do not say which workload they are", self.host),
                    "`labels` or `serviceAccount` on every endpoint",
                )
            }
            Some(_) => return None,
        };
        let fix = Some("or select the workloads with selector.matchLabels".to_owned());
        Some(
            Diagnostic::new(&self.file, self.mark, found, expected, fix)
                .with_code(DiagnosticCode::NoEffect),
        )
    }
}

fn is_anonymous(endpoint: &Endpoint) -> bool {
    endpoint.labels.is_empty() && endpoint.service_account.is_none()
}

/// True when everything the endpoint says about its workload is true of this one.
fn is_at(workload: &Workload, endpoint: &Endpoint) -> bool {
    let account = endpoint
        .service_account
        .as_deref()
        .is_none_or(|account| account == workload.service_account);
    let has = |(key, value): (&Arc<str>, &Arc<str>)| {
        workload.labels.get(&**key).is_some_and(|v| **v == **value)
    };
    !is_anonymous(endpoint) && account && endpoint.labels.iter().all(has)
}
