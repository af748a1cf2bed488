//! The only place that evaluates policy: live traffic, its re-checks when policy changes, and `explain` all decide
//! here, so that `explain` shows what really happens. A test of this module reads the sources and fails when another
//! file calls the policy crate itself.
//!
//! Each decision comes with further information: after a refusal the rule that came nearest, and the decisions of
//! policies that are not enforced ([`ShadowDecision`]). Both cost the ordinary allowed request nothing.

mod shadow_decision;

use http::{HeaderMap, Method};
use message_access::{AccessRequest, MessageProtocol};
use policy::{
    ApiKeyFacts, CanonicalPath, ConnectionFacts, ConnectionVerdict, Denial, DenyReason,
    HeaderSource, HostName, HttpFacts, MessageVerdict, NearestMiss, Permit, Protocol as Declared,
    Snapshot, TokenClaims,
};

use crate::connection::registry;
use crate::labels::Protocol;
pub use shadow_decision::{ShadowDecision, ShadowSource};

/// How many rules are compared to find the nearest miss: a refusal must stay cheap with thousands of rules.
const RULES_COMPARED: usize = 64;

/// One request as the authorizer sees it, after the gate.
#[derive(Clone, Copy)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host in canonical form.
    pub host: &'a HostName,
    /// The path that is authorized and forwarded.
    pub path: &'a CanonicalPath<'a>,
    /// The header fields that passed the gate.
    pub headers: &'a HeaderMap,
    /// The claims of a verified token.
    pub token: Option<&'a TokenClaims>,
    /// What is known of whoever sent a valid API key.
    pub api_key: Option<&'a ApiKeyFacts>,
}

impl HeaderSource for RequestFacts<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.headers.get_all(name).iter().for_each(|value| each(value.as_bytes()));
    }
}

impl RequestFacts<'_> {
    /// The same for the `policy` crate.
    pub(crate) fn http(&self) -> HttpFacts<'_> {
        HttpFacts {
            method: self.method.as_str(),
            host: self.host,
            path: self.path,
            headers: self,
            token: self.token,
            api_key: self.api_key,
        }
    }
}

/// A decision, and what is reported with it.
#[derive(Debug, Clone)]
pub struct AuthorizationVerdict {
    /// The decision.
    pub decision: Result<Permit, Denial>,
    /// After a refusal because no rule matched: the rule that came nearest.
    pub nearest: Option<NearestMiss>,
    /// What audited and dry-run policies, and the default of audit mode, would have done otherwise.
    pub shadow: Vec<ShadowDecision>,
}

/// Decides one request.
#[must_use]
pub fn request(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    request_facts: &RequestFacts<'_>,
) -> AuthorizationVerdict {
    let request = request_facts.http();
    let decision = snapshot.authorize_request(connection, &request);
    verdict(snapshot, connection, Some(&request), decision)
}

/// What a connection carries that is not served as HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpaqueKind {
    /// Opaque bytes, on a port where they are expected.
    Tcp,
    /// Bytes that are not HTTP, on a port that [must carry it](must_be_http).
    Undecided,
}

/// Decides an opaque connection; an undecided one is always refused (ARCHITECTURE, invariant 1).
#[must_use]
pub fn opaque(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    carries: OpaqueKind,
) -> AuthorizationVerdict {
    let decision = match carries {
        OpaqueKind::Tcp => snapshot.authorize_opaque(connection),
        OpaqueKind::Undecided => Err(snapshot.refuse_undecided(connection)),
    };
    verdict(snapshot, connection, None, decision)
}

/// Whether a port takes HTTP only: it is declared so, or nothing is declared and rules that can apply to it mention
/// HTTP. Bytes of another protocol are [`OpaqueKind::Undecided`] there.
#[must_use]
pub fn must_be_http(snapshot: &Snapshot, declared: Declared, port: u16) -> bool {
    declared.is_http() || (declared == Declared::Auto && snapshot.has_http_rules(port))
}

/// The refusal of a connection without mutual TLS, where the port's mode is STRICT; `None` where plaintext is accepted,
/// and its requests are authorized one by one.
#[must_use]
pub fn plaintext(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
) -> Option<AuthorizationVerdict> {
    let denial = snapshot.check_mtls_mode(connection).err()?;
    Some(verdict(snapshot, connection, None, Err(denial)))
}

/// Decides one operation at a broker, on a connection that [`opaque`] has let in.
pub fn message<'s>(
    snapshot: &'s Snapshot,
    connection: &ConnectionFacts<'_>,
    protocol: MessageProtocol,
    request: &AccessRequest<'_>,
) -> MessageVerdict<'s> {
    snapshot.authorize_message(connection, protocol, request)
}

/// After a refusal that no rule made: the rule that came nearest to allowing the operation.
#[must_use]
pub fn message_miss(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    protocol: MessageProtocol,
    request: &AccessRequest<'_>,
) -> Option<NearestMiss> {
    snapshot.nearest_message_miss(connection, protocol, request, RULES_COMPARED)
}

/// Whether the snapshot allows anything that an open connection could still carry.
#[must_use]
pub fn still_allows(snapshot: &Snapshot, connection: &registry::Connection) -> bool {
    let facts = facts(connection);
    match connection.protocol() {
        // Not authorized yet: its first check is still to come.
        Protocol::Unknown => true,
        stream if stream.is_stream() => snapshot.authorize_opaque(&facts).is_ok(),
        _ => !matches!(snapshot.connection_verdict(&facts), ConnectionVerdict::Deny(_)),
    }
}

/// A live inbound connection as policy sees it.
#[must_use]
pub fn facts(connection: &registry::Connection) -> ConnectionFacts<'_> {
    let peer = connection.peer();
    ConnectionFacts {
        peer: peer.map(|p| &p.id),
        source_ip: connection.source.ip(),
        remote_ip: None,
        destination: connection.destination,
        sni: connection.server_name(),
    }
}

fn verdict(
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    request: Option<&HttpFacts<'_>>,
    decision: Result<Permit, Denial>,
) -> AuthorizationVerdict {
    let nearest = decision
        .as_ref()
        .err()
        .and_then(|denial| snapshot.nearest_miss(connection, request, denial, RULES_COMPARED));
    let shadow = shadow_decision::of(snapshot, connection, request, &decision);
    AuthorizationVerdict { decision, nearest, shadow }
}

impl AuthorizationVerdict {
    /// `allow` or `deny`.
    #[must_use]
    pub fn decision_label(&self) -> &'static str {
        if self.decision.is_ok() { "allow" } else { "deny" }
    }

    /// The rule that decided.
    #[must_use]
    pub fn decider(&self) -> Option<&policy::Decider> {
        match &self.decision {
            Ok(permit) => permit.decider(),
            Err(denial) => denial.decider(),
        }
    }

    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match &self.decision {
            Ok(permit) => permit.reason().as_str(),
            Err(denial) => denial.reason().as_str(),
        }
    }

    /// Whether it was refused because the protocol was undecided.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(&self.decision, Err(denial) if denial.reason() == DenyReason::ProtocolUndecided)
    }
}

#[cfg(test)]
mod tests;
