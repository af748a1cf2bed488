//! PeerAuthentication (`security.istio.io/v1`): which mTLS mode a port has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::ResourceObject;
use super::rules::parse_port;
use super::selector::{self, MatchLabels};
use crate::yaml::{DiagnosticCode, SourcePosition, YamlReader, YamlValue};
use crate::{MtlsMode, Workload};

/// A PeerAuthentication. The narrowest that says something wins: port, workload, namespace, mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAuthentication {
    name: Arc<str>,
    namespace: Arc<str>,
    selector: MatchLabels,
    mode: Option<MtlsMode>,
    ports: BTreeMap<u16, MtlsMode>,
    created: Option<String>,
}

/// How narrow a PeerAuthentication is for a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PolicyScope {
    Workload,
    Namespace,
    Mesh,
}

impl PeerAuthentication {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &Arc<str> {
        &self.namespace
    }

    /// True when it is about every workload of its namespace, or of the mesh.
    pub(crate) fn is_wide(&self) -> bool {
        self.selector.is_empty()
    }

    /// Its scope for a workload; `None` when it is not about it.
    pub(crate) fn scope_for(
        &self,
        workload: &Workload,
        root_namespace: &str,
    ) -> Option<PolicyScope> {
        if *self.namespace == *root_namespace {
            return Some(PolicyScope::Mesh);
        }
        let ours =
            *self.namespace == *workload.namespace && self.selector.matches(&workload.labels);
        let scope =
            if self.selector.is_empty() { PolicyScope::Namespace } else { PolicyScope::Workload };
        ours.then_some(scope)
    }

    /// The mode, unless it is unset and so inherited.
    pub(crate) fn mode(&self) -> Option<MtlsMode> {
        self.mode
    }

    /// The modes of single ports of the workload.
    pub(crate) fn ports(&self) -> &BTreeMap<u16, MtlsMode> {
        &self.ports
    }

    /// The oldest wins a tie (as in Istio); without a date the name decides, so that the order of files never does.
    pub(crate) fn precedence(&self) -> (bool, &Option<String>, &Arc<str>) {
        (self.created.is_none(), &self.created, &self.name)
    }
}

const MODES: &[(&str, Option<MtlsMode>)] = &[
    ("UNSET", None),
    ("STRICT", Some(MtlsMode::Strict)),
    ("PERMISSIVE", Some(MtlsMode::Permissive)),
    ("DISABLE", Some(MtlsMode::Disable)),
];

pub(super) fn read(
    reader: &mut YamlReader,
    object: &ResourceObject<'_>,
    root_namespace: &str,
) -> Option<PeerAuthentication> {
    let (selector, mode, ports) = match object.spec {
        Some(spec) => read_spec(reader, spec, *object.namespace == *root_namespace)?,
        None => {
            refuse_without_effect(reader, object.mark);
            return None;
        }
    };
    Some(PeerAuthentication {
        name: object.full_name().into(),
        namespace: Arc::clone(&object.namespace),
        selector,
        mode,
        ports,
        created: object.created.map(str::to_owned),
    })
}

type PeerAuthenticationSpec = (MatchLabels, Option<MtlsMode>, BTreeMap<u16, MtlsMode>);

fn read_spec(
    reader: &mut YamlReader,
    spec: YamlValue<'_>,
    in_root: bool,
) -> Option<PeerAuthenticationSpec> {
    let mut map = reader.mapping(spec)?;
    let written = map.take("selector");
    let selector = written.map_or(Some(MatchLabels::default()), |v| selector::read(reader, v));
    let map_says_mode = map.has("mtls") || map.has("portLevelMtls");
    let mode = map.take("mtls").map_or(Some(None), |v| read_mode(reader, v));
    let port_modes = map.take("portLevelMtls");
    let ports = port_modes.map_or(Some(BTreeMap::new()), |v| read_ports(reader, v));
    map.finish(reader);
    if !map_says_mode {
        refuse_without_effect(reader, spec.node.mark);
    }
    if let Some(value) = written.filter(|_| in_root) {
        refuse_in_root(reader, value);
    }
    if let Some(value) = port_modes.filter(|_| selector.as_ref().is_some_and(MatchLabels::is_empty))
    {
        let fix = "select the workload with selector.matchLabels".to_owned();
        reader.report(
            value.node.mark,
            "`portLevelMtls` without a selector",
            "a selector",
            Some(fix),
        );
    }
    Some((selector?, mode?, ports?))
}

/// An object that says no mode leaves everything as it was, and looks as if it did not.
fn refuse_without_effect(reader: &mut YamlReader, mark: SourcePosition) {
    let fix = "write mtls: {mode: STRICT}, or take the object out".to_owned();
    let expected = "`mtls` or `portLevelMtls`";
    reader.report_with_code(
        DiagnosticCode::NoEffect,
        mark,
        "a PeerAuthentication without a mode",
        expected,
        Some(fix),
    );
}

/// Istio ignores a selector in the root namespace; here the writer is told.
fn refuse_in_root(reader: &mut YamlReader, value: YamlValue<'_>) {
    let fix = "a PeerAuthentication of the root namespace is about the whole mesh; move it to the workload's namespace";
    reader.report(
        value.node.mark,
        "a selector in the root namespace",
        "no selector",
        Some(fix.into()),
    );
}

/// `{mode: …}`
fn read_mode(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Option<MtlsMode>> {
    let mut map = reader.mapping(value)?;
    if map.is_empty() {
        let found = format!("an empty `{}`", value.name);
        let fix = "write {mode: STRICT}; {mode: UNSET} says that it is inherited".to_owned();
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            value.node.mark,
            found,
            "`mode`",
            Some(fix),
        );
        return None;
    }
    let mode = map.take("mode").map_or(Some(None), |v| reader.choice(v, MODES));
    map.finish(reader);
    mode
}

fn read_ports(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<BTreeMap<u16, MtlsMode>> {
    let mut map = reader.mapping(value)?;
    if map.is_empty() {
        let found = "an empty `portLevelMtls`";
        let fix = "write a port's mode, as 8080: {mode: DISABLE}, or take it out".to_owned();
        reader.report_with_code(
            DiagnosticCode::NoEffect,
            value.node.mark,
            found,
            "at least one port",
            Some(fix),
        );
        return None;
    }
    let mut ports = BTreeMap::new();
    for (key, value) in map.entries() {
        let Ok(port) = parse_port(&key.text) else {
            reader.report(
                key.mark,
                format!("`{}` in `portLevelMtls`", key.text),
                "a port from 1 to 65535",
                None,
            );
            continue;
        };
        if let Some(mode) = read_mode(reader, value).flatten() {
            ports.insert(port, mode);
        }
    }
    Some(ports)
}
