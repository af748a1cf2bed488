//! What concerns one workload, compiled for decisions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use identity::TrustDomain;

use crate::{
    Connection, ConnectionVerdict, Decider, Denial, DenyReason, Permit, PermitReason, Request,
    Resources, Service,
};

/// The workload a snapshot is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its labels, which selectors match.
    pub labels: BTreeMap<String, String>,
}

/// What holds where no resource says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The verdict where no `ALLOW` policy selects the workload. Default: deny.
    pub authorization: DefaultAuthorization,
    /// The mTLS mode where no PeerAuthentication names one. Default: strict.
    pub mtls: MtlsMode,
    /// mTLS modes the proxy's own configuration sets for an app port: they win over a PeerAuthentication of workload,
    /// namespace or mesh, and yield to one's `portLevelMtls`. Default: none.
    pub port_mtls: BTreeMap<u16, MtlsMode>,
    /// What happens to outbound connections to no known service. Default: deny.
    pub egress: DefaultEgress,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            authorization: DefaultAuthorization::Deny,
            mtls: MtlsMode::Strict,
            port_mtls: BTreeMap::new(),
            egress: DefaultEgress::Deny,
        }
    }
}

/// The verdict where no `ALLOW` policy selects the workload. `DENY` policies hold under each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultAuthorization {
    /// Refuse.
    Deny,
    /// Allow, and say so ([`PermitReason::DefaultAudit`]).
    Audit,
    /// Allow.
    Allow,
}

/// What happens to outbound connections to no known service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultEgress {
    /// Refuse.
    Deny,
    /// Pass through.
    Allow,
}

/// Which connections a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MtlsMode {
    /// Mutual TLS only.
    Strict,
    /// Mutual TLS, and plaintext without a principal.
    Permissive,
    /// Bytes are passed as they come, without a principal.
    Disable,
}

/// The rules, modes and services of one workload. Immutable; share it in an `Arc` and swap it whole.
#[derive(Debug)]
pub struct Snapshot {
    defaults: Defaults,
}

impl Snapshot {
    /// Picks what concerns `workload` out of `resources` and compiles it.
    ///
    /// `trust_domain` is the workload's own: service accounts of endpoints get their identities in it.
    pub fn build(
        resources: &Resources,
        workload: &Workload,
        defaults: &Defaults,
        trust_domain: &TrustDomain,
    ) -> Self {
        let _ = (resources, workload, trust_domain);
        Self { defaults: defaults.clone() }
    }

    /// The decision that needs no request: `Deny` only when nothing the connection could carry would be allowed, `Allow`
    /// only when everything it could carry would be.
    pub fn connection_verdict(&self, connection: &Connection<'_>) -> ConnectionVerdict {
        match self.authorize_opaque(connection) {
            Ok(permit) => ConnectionVerdict::Allow(permit),
            Err(denial) => ConnectionVerdict::Deny(denial),
        }
    }

    /// The decision for a connection that carries opaque bytes, with TCP semantics: an `ALLOW` rule that names an HTTP field
    /// matches nothing, a `DENY` rule is judged without its HTTP fields.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize_opaque(&self, connection: &Connection<'_>) -> Result<Permit, Denial> {
        if connection.peer.is_none()
            && self.mtls_mode(connection.destination.port()) == MtlsMode::Strict
        {
            return Err(Denial::because(DenyReason::PeerNotAuthenticated));
        }
        match self.defaults.authorization {
            DefaultAuthorization::Deny => Err(Denial::because(DenyReason::DefaultDeny)),
            DefaultAuthorization::Audit => Ok(Permit::by_default(PermitReason::DefaultAudit)),
            DefaultAuthorization::Allow => Ok(Permit::by_default(PermitReason::DefaultAllow)),
        }
    }

    /// The decision for one request.
    ///
    /// # Errors
    /// The refusal.
    pub fn authorize_request(
        &self,
        connection: &Connection<'_>,
        request: &Request<'_>,
    ) -> Result<Permit, Denial> {
        let _ = request;
        self.authorize_opaque(connection)
    }

    /// The first `AUDIT` rule that matches; never decides. `request` is `None` for an opaque connection.
    pub fn audited_by(
        &self,
        connection: &Connection<'_>,
        request: Option<&Request<'_>>,
    ) -> Option<Decider> {
        let _ = (connection, request);
        None
    }

    /// The verdict there would be with dry-run policies enforced; `None` when there are none. `request` is `None` for an opaque connection.
    pub fn shadow(
        &self,
        connection: &Connection<'_>,
        request: Option<&Request<'_>>,
    ) -> Option<Result<Permit, Denial>> {
        let _ = (connection, request);
        None
    }

    /// The mTLS mode of an app port.
    pub fn mtls_mode(&self, port: u16) -> MtlsMode {
        self.defaults.port_mtls.get(&port).copied().unwrap_or(self.defaults.mtls)
    }

    /// True when an enforced rule that can apply to the app port names an HTTP field: a protocol that cannot be told is refused there.
    pub fn has_http_rules(&self, port: u16) -> bool {
        let _ = port;
        false
    }

    /// True when a rule names this header (lower case): a header that differs from it by `_` for `-` is refused (S-15).
    pub fn names_header(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// What happens to outbound connections to no known service.
    pub fn egress(&self) -> DefaultEgress {
        self.defaults.egress
    }

    /// The service a client means by `host` (canonical name, without port) and port; short names of cluster services are understood.
    pub fn service_by_host(&self, host: &str, port: u16) -> Option<&Arc<Service>> {
        let _ = (host, port);
        None
    }

    /// The service behind an address a client dialled: a service's own address, or one of its endpoints.
    pub fn service_by_address(&self, address: SocketAddr) -> Option<&Arc<Service>> {
        let _ = address;
        None
    }

    /// Every service the workload can see, by host.
    pub fn services(&self) -> &[Arc<Service>] {
        &[]
    }
}
