//! What `check` says of Gateways in files: the statuses that a cluster would show.

mod report;
mod sign_ins;
mod warnings;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use data_plane::connection::edge_tls::ListenerCertificate;
use policy::core_group::Secret;
use policy::gateway_status::{GatewayStatuses, StatusFacts};
use policy::resources::{ResourceSurvey, SurveyedObject};
use policy::yaml::SourcePosition;
use policy::{GatewaySelection, Resources};
use serde::Serialize;

pub(super) use report::GatewayReport;
use warnings::ToldOf;

/// What is said of the Gateways in a set of files that has no mistakes.
#[derive(Debug, Default)]
pub(super) struct GatewayFindings {
    statuses: GatewayStatuses,
    /// What somebody should look at, in the order of the objects' names.
    pub(super) warnings: Vec<GatewayWarning>,
}

/// Something that is well formed and does not do what it was written for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct GatewayWarning {
    /// The file of the object, `(resources)` where it is in none.
    file: Arc<str>,
    /// Where the object begins; 0 where it is in none.
    line: u32,
    column: u32,
    /// The object, as `kind namespace/name`.
    object: Arc<str>,
    /// What is wrong with it.
    message: String,
}

impl fmt::Display for GatewayWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, object, message } = self;
        match line {
            0 => write!(f, "{file}: warning: {object}: {message}"),
            _ => write!(f, "{file}:{line}:{column}: warning: {object}: {message}"),
        }
    }
}

/// Judges the Gateways of a survey. `session_store`: whether the proxy has one, as far as that is known.
pub(super) fn judge(
    survey: &ResourceSurvey,
    selection: &GatewaySelection,
    session_store: Option<bool>,
) -> GatewayFindings {
    let resources = &survey.resources;
    let nothing = resources.gateways().is_empty() && resources.sign_ins().is_empty();
    if nothing && selection.gateway.is_none() {
        return GatewayFindings::default();
    }
    let statuses = GatewayStatuses::of(resources, selection, &FileFacts::of(resources));
    let by_name: HashMap<&str, &SurveyedObject> =
        survey.objects.iter().map(|object| (&*object.name, object)).collect();
    let place = |ToldOf { object, message }: ToldOf| {
        let met = by_name.get(&*object);
        let (file, mark) = match met {
            Some(met) => (Arc::clone(&met.file), met.mark),
            None => ("(resources)".into(), SourcePosition::FILE),
        };
        let (line, column) = (mark.line, mark.column);
        GatewayWarning { file, line, column, object: object.into(), message }
    };
    let mut told = warnings::of_statuses(&statuses);
    told.extend(warnings::of_strangers(&statuses, resources, selection));
    told.extend(sign_ins::of_sign_ins(resources, session_store));
    GatewayFindings { warnings: told.into_iter().map(place).collect(), statuses }
}

/// What files tell: every Service is a ServiceEntry with the host that the cluster would give it.
struct FileFacts<'r> {
    /// The ports, by host.
    ports: HashMap<&'r str, Vec<(u16, &'r str)>>,
}

impl<'r> FileFacts<'r> {
    fn of(resources: &'r Resources) -> Self {
        let mut ports: HashMap<&str, Vec<(u16, &str)>> = HashMap::new();
        for service in resources.service_entries().iter().flat_map(|entry| entry.services()) {
            let known = service.ports.iter().map(|port| (port.number, &*port.name));
            ports.entry(&service.host).or_default().extend(known);
        }
        Self { ports }
    }

    fn has_port(&self, namespace: &str, name: &str, is_it: impl Fn(u16, &str) -> bool) -> bool {
        let host = format!("{name}.{namespace}.svc.cluster.local");
        let ports = self.ports.get(&*host);
        ports.is_some_and(|ports| ports.iter().any(|(number, name)| is_it(*number, name)))
    }
}

impl StatusFacts for FileFacts<'_> {
    fn check_certificate(&self, secret: &Secret) -> Result<(), String> {
        let (Some(certificate), Some(key)) = (&secret.certificate, &secret.key) else {
            return Err("tls.crt and tls.key are not both there".to_owned());
        };
        let read = ListenerCertificate::parse("tls.crt", certificate, key);
        read.map(drop).map_err(|error| error.to_string())
    }

    fn check_authorities(&self, pem: &[u8]) -> Result<(), String> {
        identity::authorities(pem).map(drop).map_err(|error| error.to_string())
    }

    fn has_service_port(&self, namespace: &str, name: &str, port: u16) -> bool {
        self.has_port(namespace, name, |number, _| number == port)
    }

    fn has_service(&self, namespace: &str, name: &str, port_name: Option<&str>) -> bool {
        self.has_port(namespace, name, |_, name| port_name.is_none_or(|wanted| wanted == name))
    }
}

#[cfg(test)]
mod tests;
