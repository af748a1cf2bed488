//! Which clients must show a certificate.

use std::collections::BTreeMap;

use super::ObjectReference;

/// `tls.frontend`: for all listeners of HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontendTls {
    /// What holds on ports that are not named.
    pub default: Option<ClientValidation>,
    /// What holds on single ports, in the place of the default; `None`: nobody has to.
    pub ports: BTreeMap<u16, Option<ClientValidation>>,
}

impl FrontendTls {
    /// What holds on a port.
    pub fn on(&self, port: u16) -> Option<&ClientValidation> {
        match self.ports.get(&port) {
            Some(of_port) => of_port.as_ref(),
            None => self.default.as_ref(),
        }
    }
}

/// `validation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientValidation {
    /// Where the certificates of authorities are (`caCertificateRefs`), 1 to 16.
    pub authorities: Vec<ObjectReference>,
    /// Whether a client may come without.
    pub mode: ClientValidationMode,
}

/// `mode` of a validation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClientValidationMode {
    /// No connection without a valid certificate.
    #[default]
    AllowValidOnly,
    /// A client without a certificate, or with one that is not valid, is let in, and is nobody.
    AllowInsecureFallback,
}
