//! The edge as it is written: Gateways, their listeners, and what these refer to (Gateway API v1.6).
//!
//! These are the values that the readers of `Gateway`, `ListenerSet`, `GatewayClass` and `BackendTLSPolicy` make
//! ([`crate::resources`]). What holds of them, and where traffic goes, is [`crate::GatewayPlan`] and
//! [`crate::GatewayTable`]. A sidecar reads them, too, and nothing in it asks them.

mod backend_tls;
mod frontend;
mod listener;
mod namespaces;
mod object;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use backend_tls::{BackendTlsPolicy, BackendTlsTarget, TrustAnchors};
pub use frontend::{ClientValidation, ClientValidationMode, FrontendTls};
pub use listener::{
    AllowedRoutes, Listener, ListenerProtocol, ListenerTlsConfig, RouteGroupKind, TlsMode,
};
pub use namespaces::{LabelExpression, LabelOperator, NamespaceScope, NamespaceSelector};
pub use object::{ObjectName, ObjectReference};

/// The class that Gateways name to be served by Postern.
pub const GATEWAY_CLASS: &str = "postern";
/// The `controllerName` of GatewayClasses that are ours.
pub const CONTROLLER_NAME: &str = "postern.dev/gateway";

/// A `GatewayClass`. It lies in no namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayClass {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// Whose class it is (`controllerName`).
    pub controller: Arc<str>,
    /// Whether it refers to parameters (`parametersRef`). None are read: then it is not accepted, reason
    /// `InvalidParameters`.
    pub has_parameters: bool,
    /// `metadata.creationTimestamp`.
    pub created: Option<Arc<str>>,
}

/// A `Gateway`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Namespace and name.
    pub id: ObjectName,
    /// `metadata.creationTimestamp`, as RFC 3339 text, which sorts by time; `None` in files.
    pub created: Option<Arc<str>>,
    /// Whose it is (`gatewayClassName`).
    pub class: Arc<str>,
    /// The addresses it asks for; empty: the proxy's own choice.
    pub addresses: Vec<GatewayAddress>,
    /// Its own listeners, 1 to 64, each name once.
    pub listeners: Vec<Listener>,
    /// Whose ListenerSets may add listeners (`allowedListeners`). Default: nobody's.
    pub allowed_listeners: NamespaceScope,
    /// Who must show a certificate (`tls.frontend`).
    pub frontend: FrontendTls,
    /// The certificate that the gateway shows to backends outside the mesh (`tls.backend.clientCertificateRef`).
    pub client_certificate: Option<ObjectReference>,
    /// What the objects made for it are to carry.
    pub infrastructure: Infrastructure,
}

/// An entry of `addresses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayAddress {
    /// An address to listen on.
    Ip(IpAddr),
    /// An address of the proxy's own choice: a type without a value.
    Any,
    /// Another type than `IPAddress`: the Gateway is not accepted, reason `UnsupportedAddress`.
    Unsupported {
        /// Its type.
        kind: Arc<str>,
        /// Its value.
        value: Arc<str>,
    },
}

/// `infrastructure`: read for the controller, which makes objects for a Gateway. A proxy asks nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Infrastructure {
    /// Labels that the objects get.
    pub labels: BTreeMap<String, String>,
    /// Annotations that the objects get.
    pub annotations: BTreeMap<String, String>,
    /// What else is said of them, in an object of the Gateway's namespace.
    pub parameters: Option<ObjectReference>,
}

/// A `ListenerSet`: listeners that are added to a Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSet {
    /// Namespace and name.
    pub id: ObjectName,
    /// `metadata.creationTimestamp`; `None` in files.
    pub created: Option<Arc<str>>,
    /// The Gateway (`parentRef`).
    pub parent: ObjectName,
    /// The listeners, 1 to 64, each name once.
    pub listeners: Vec<Listener>,
}
