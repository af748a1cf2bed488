//! The mTLS mode of each port.

use std::collections::BTreeMap;

use crate::resources::PeerAuthentication;
use crate::resources::PolicyScope;
use crate::{MtlsMode, PolicyDefaults, Resources, Workload};

/// The modes of a workload's ports.
#[derive(Debug)]
pub(super) struct PortModes {
    base: MtlsMode,
    ports: BTreeMap<u16, MtlsMode>,
}

impl PortModes {
    /// The narrowest that says something wins: a resource's port, the configuration's port, then workload, namespace,
    /// mesh, default.
    pub(super) fn new(
        resources: &Resources,
        workload: &Workload,
        defaults: &PolicyDefaults,
    ) -> Self {
        if defaults.edge {
            // Nobody has to be somebody; a partner whose certificate is mapped is, and rules about it must hold.
            return Self { base: MtlsMode::Permissive, ports: BTreeMap::new() };
        }
        let at = |scope| oldest(resources, workload, scope);
        let narrowest = at(PolicyScope::Workload);
        let by_scope = [narrowest, at(PolicyScope::Namespace), at(PolicyScope::Mesh)];
        let base = by_scope.into_iter().flatten().find_map(PeerAuthentication::mode);
        let mut ports = defaults.port_mtls.clone();
        if let Some(narrowest) = narrowest {
            ports.extend(narrowest.ports());
        }
        Self { base: base.unwrap_or(defaults.mtls), ports }
    }

    pub(super) fn of(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.base)
    }
}

/// The PeerAuthentication that speaks for a scope.
fn oldest<'r>(
    resources: &'r Resources,
    workload: &Workload,
    scope: PolicyScope,
) -> Option<&'r PeerAuthentication> {
    let of_scope = |read: &&PeerAuthentication| {
        read.scope_for(workload, resources.root_namespace()) == Some(scope)
    };
    let candidates = resources.peer_authentications().iter().filter(of_scope);
    candidates.min_by(|a, b| a.precedence().cmp(&b.precedence()))
}
