//! What a gateway asks of its clients and gives them besides an answer: who may speak for a client, which certificates
//! clients show, how much they may send, which headers of safety their answers carry.
//!
//! ClientTrafficPolicies are compiled into one [`ClientTraffic`], once a change; a listener asks it for its
//! [`ClientTrafficSettings`]. The most specific policy holds as a whole: nothing is merged, so that what is in force for a
//! listener stands in one object.

mod address_blocks;
mod forwarded_client;
mod partner_certificate;
mod security_headers;
mod transport_security;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use identity::TrustDomain;

use crate::gateway::ObjectName;
use crate::resources::ClientTrafficPolicy;

pub use address_blocks::AddressBlocks;
pub use forwarded_client::{ForwardedClient, forwarded_addresses};
pub use partner_certificate::{
    AmbiguousCertificate, CertificateMode, CertificateNames, ClientCertificates, PartnerMapping,
    PartnerName,
};
pub use security_headers::SecurityHeaders;
pub use transport_security::TransportSecurity;

/// What holds for the clients of one listener. The default is what holds where no policy is about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientTrafficSettings {
    /// The ClientTrafficPolicy (`namespace/name`) that says so; `None`: there is none.
    pub policy: Option<Arc<str>>,
    /// Peers whose connections begin with a header of the PROXY protocol (`proxyProtocol.from`); empty: none does.
    pub proxy_protocol: AddressBlocks,
    /// Who may name the client by `x-forwarded-for` (`clientAddress`); `None`: the TCP peer is the client.
    pub client_address: Option<ForwardedClient>,
    /// `Strict-Transport-Security`, for answers over TLS alone (RFC 6797 §7.2). Default: none.
    pub hsts: Option<TransportSecurity>,
    /// Headers that browsers keep to. Default: none.
    pub security_headers: Option<Arc<SecurityHeaders>>,
    /// How much, how long and how many.
    pub limits: ClientLimits,
    /// The certificates that clients show. Default: none is asked for.
    pub client_certificates: Option<Arc<ClientCertificates>>,
    /// The least version of TLS. Default: 1.2.
    pub minimum_tls: MinimumTls,
}

/// How much a client may send, and how long it may take. Where nothing is written, the limits of the proxy itself hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// The most bytes of a request's body (`requestBytes`); more is 413 `body_too_large`. Default: any number.
    pub request_bytes: Option<u64>,
    /// From a request's head to the end of its answer (`requestTimeout`), whatever a route allows.
    pub request_timeout: Option<Duration>,
    /// A connection without a request is closed after this (`idleTimeout`).
    pub idle_timeout: Option<Duration>,
    /// From a request's first byte to the end of its head (`headerTimeout`).
    pub header_timeout: Option<Duration>,
    /// Open connections from one address, IPv6 by /64 (`connectionsPerAddress`); more are closed at accept.
    /// Default: what the proxy itself allows.
    pub connections_per_address: Option<u32>,
}

/// The least version of TLS that is spoken with a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MinimumTls {
    /// TLS 1.2 (RFC 5246), with forward secrecy and authenticated encryption alone.
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// What a ClientTrafficPolicy is about: a Gateway or a ListenerSet of its own namespace, or one listener of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientTrafficTarget {
    /// Which kind of object.
    pub kind: ListenerOwner,
    /// The object; its namespace is the policy's.
    pub object: ObjectName,
    /// The listener's name (`sectionName`); `None`: every listener of the object.
    pub section: Option<Arc<str>>,
}

impl ClientTrafficTarget {
    /// True when the listener is the target, or stands in it or for it.
    pub fn is_about(&self, listener: &ListenerPlace<'_>) -> bool {
        let is_section = self.section.as_ref().is_none_or(|section| section == listener.section);
        match self.kind {
            ListenerOwner::ListenerSet => listener.listener_set == Some(&self.object) && is_section,
            // A listener of a ListenerSet is none of the Gateway's sections, whatever its name.
            ListenerOwner::Gateway if self.section.is_some() => {
                listener.listener_set.is_none() && *listener.gateway == self.object && is_section
            }
            ListenerOwner::Gateway => *listener.gateway == self.object,
        }
    }
}

/// The kind of object that has a listener in its `spec.listeners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerOwner {
    /// A Gateway.
    Gateway,
    /// A ListenerSet.
    ListenerSet,
}

/// Which listener is meant when it is asked what policies say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerPlace<'a> {
    /// The Gateway that it listens for.
    pub gateway: &'a ObjectName,
    /// The ListenerSet that it stands in; `None`: it stands in the Gateway itself.
    pub listener_set: Option<&'a ObjectName>,
    /// Its name.
    pub section: &'a Arc<str>,
}

/// The ClientTrafficPolicies of a set, ready to be asked. Cloning takes constant time; the default is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClientTraffic {
    by_target: Arc<HashMap<ClientTrafficTarget, Arc<ClientTrafficSettings>>>,
    default: Arc<ClientTrafficSettings>,
}

impl ClientTraffic {
    /// What `policies` say. Of two about one target the older holds, then the first by name.
    ///
    /// Certificates never make somebody of a domain in `mesh`: the mesh's own trust domain and those it is federated with.
    /// [`ClientTrafficPolicy::impersonations`] reports such a mapping; should one get here, it maps to nobody.
    pub fn build(policies: &[ClientTrafficPolicy], mesh: &[TrustDomain]) -> Self {
        let mut sorted: Vec<_> = policies.iter().collect();
        sorted.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        let mut by_target = HashMap::new();
        for policy in sorted {
            let settings = Arc::new(without_impersonations(policy.settings(), mesh));
            for target in policy.targets() {
                by_target.entry(target.clone()).or_insert_with(|| Arc::clone(&settings));
            }
        }
        Self { by_target: Arc::new(by_target), default: Arc::default() }
    }

    /// The settings of a listener: of the policy about it alone, else of that about its ListenerSet, else of that about its
    /// Gateway, else the defaults.
    pub fn of(&self, listener: &ListenerPlace<'_>) -> &Arc<ClientTrafficSettings> {
        let ListenerPlace { gateway, listener_set, section } = *listener;
        let of_listener = match listener_set {
            Some(set) => self
                .find(ListenerOwner::ListenerSet, set, Some(section))
                .or_else(|| self.find(ListenerOwner::ListenerSet, set, None)),
            None => self.find(ListenerOwner::Gateway, gateway, Some(section)),
        };
        let of_gateway = || self.find(ListenerOwner::Gateway, gateway, None);
        of_listener.or_else(of_gateway).unwrap_or(&self.default)
    }

    /// What holds for a connection to the listener's port as long as nobody can tell which listener it is for: the word of
    /// the Gateway's own policies. What a ListenerSet's say is about its listeners alone, not about their neighbours.
    pub fn at_port(&self, listener: &ListenerPlace<'_>) -> &Arc<ClientTrafficSettings> {
        if listener.listener_set.is_none() {
            return self.of(listener);
        }
        let of_gateway = self.find(ListenerOwner::Gateway, listener.gateway, None);
        of_gateway.unwrap_or(&self.default)
    }

    fn find(
        &self,
        kind: ListenerOwner,
        object: &ObjectName,
        section: Option<&Arc<str>>,
    ) -> Option<&Arc<ClientTrafficSettings>> {
        let (object, section) = (object.clone(), section.cloned());
        self.by_target.get(&ClientTrafficTarget { kind, object, section })
    }
}

fn without_impersonations(
    settings: &ClientTrafficSettings,
    mesh: &[TrustDomain],
) -> ClientTrafficSettings {
    let certificates = settings.client_certificates.as_deref();
    let certificates = certificates.map(|known| Arc::new(known.without_domains(mesh)));
    ClientTrafficSettings { client_certificates: certificates, ..settings.clone() }
}

#[cfg(test)]
mod tests;
