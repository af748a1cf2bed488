//! What a status says that no resource tells.

use crate::core_group::Secret;
use crate::gateway::{Gateway, ObjectName, ObjectReference};

/// What is known beside the resources: by whoever watches a cluster, or reads files.
///
/// Every function is asked at most once for the same thing in one [`super::GatewayStatuses::of`], but for Services.
pub trait StatusFacts {
    /// Whether the certificate and key of a Secret can be shown to clients; else why not, without a word of the key.
    ///
    /// # Errors
    /// What is wrong, to stand behind the name of the Secret.
    fn check_certificate(&self, secret: &Secret) -> Result<(), String>;

    /// Whether clients can be checked by these certificates of authorities (PEM), which are well formed.
    ///
    /// # Errors
    /// What is wrong, to stand behind the name of what they are of.
    fn check_authorities(&self, pem: &[u8]) -> Result<(), String>;

    /// Whether there is a Service with this port.
    fn has_service_port(&self, namespace: &str, name: &str, port: u16) -> bool;

    /// Whether there is a Service with a port of this name; `None`: with any port.
    fn has_service(&self, namespace: &str, name: &str, port_name: Option<&str>) -> bool;

    /// What a port of a Service is declared to speak, where nothing here can speak it. Default: nothing is known of it.
    fn unsupported_protocol(&self, _namespace: &str, _name: &str, _port: u16) -> Option<String> {
        None
    }

    /// Whether `infrastructure.parametersRef` leads to parameters that are understood. Default: no object is.
    ///
    /// # Errors
    /// What is wrong.
    fn check_parameters(
        &self,
        _gateway: &Gateway,
        parameters: &ObjectReference,
    ) -> Result<(), String> {
        Err(format!("{parameters}: no parameters are read here"))
    }

    /// How far a Gateway has come in the world. Default: it is there.
    fn progress(&self, _gateway: &ObjectName) -> GatewayProgress {
        GatewayProgress::Programmed
    }
}

/// How far a Gateway has come in the world; what is said of it is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayProgress {
    /// A proxy listens for it, or soon will.
    Programmed,
    /// Not yet.
    Pending(String),
    /// It has no address yet.
    AddressNotAssigned(String),
    /// An address that it asks for cannot be had.
    AddressNotUsable(String),
}

impl GatewayProgress {
    /// Reason and message of the condition `Programmed`, where it is false for that.
    pub(super) fn refusal(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Programmed => None,
            Self::Pending(message) => Some(("Pending", message)),
            Self::AddressNotAssigned(message) => Some(("AddressNotAssigned", message)),
            Self::AddressNotUsable(message) => Some(("AddressNotUsable", message)),
        }
    }
}
