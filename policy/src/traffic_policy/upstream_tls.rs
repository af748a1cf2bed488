//! The TLS that a proxy speaks to a service outside the mesh, in its app's place.

use std::sync::Arc;

/// `tls` of a service outside the mesh. The name that the server must prove is one of `subject_alt_names`, else `sni`, else
/// the host that the request names: there is no way to leave the check out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// Whether the proxy begins TLS, and whether it proves an identity of its own.
    pub mode: UpstreamTlsMode,
    /// The roots that the server's certificate must lead to.
    pub ca_certificates: CaCertificates,
    /// The server name that is asked for (`sni`). `None`: the host of the request, or of the rule.
    pub sni: Option<Arc<str>>,
    /// Names one of which the server's certificate must have (`subjectAltNames`). Empty: the server name.
    pub subject_alt_names: Arc<[SubjectAltName]>,
}

/// Where the roots are that a server's certificate must lead to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CaCertificates {
    /// Those of the system.
    System,
    /// In a file of the machine, PEM, absolute (`caCertificates` of a DestinationRule).
    File(Arc<str>),
    /// These, PEM (`caCertificateRefs` of a BackendTLSPolicy).
    Pem(Arc<str>),
    /// Nowhere, for the reason that is told: no server is believed, and every call fails.
    Nowhere(Arc<str>),
}

/// A name of a certificate (RFC 5280 §4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectAltName {
    /// A DNS name, or `*.` and one for any single label before it.
    Host(Arc<str>),
    /// A URI, such as a SPIFFE id.
    Uri(Arc<str>),
}

/// `tls.mode` of a service outside the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamTlsMode {
    /// What the app sends is passed on as it is (`DISABLE`).
    Disable,
    /// TLS, the server alone proves who it is (`SIMPLE`).
    Simple,
    /// TLS, and the proxy proves who it is, too (`MUTUAL`).
    Mutual(ClientCertificateFiles),
}

/// The certificate that a proxy shows outside the mesh, in files of its machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificateFiles {
    /// The chain, PEM, absolute (`clientCertificate`).
    pub certificate: Arc<str>,
    /// Its key, PEM, absolute (`privateKey`).
    pub private_key: Arc<str>,
}
