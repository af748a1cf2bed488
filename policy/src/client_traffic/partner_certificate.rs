//! Partners that prove themselves by a certificate of their own authority, and whom the mesh takes them for.
//!
//! A verified certificate by itself makes nobody: its names are those of another organisation. A mapping says which name
//! is which principal; a principal never lies in a trust domain of the mesh, whatever a certificate says.

use std::sync::Arc;

use identity::{SpiffeId, TrustDomain};

/// The certificates that the clients of a listener show (`clientCertificates`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether one must be shown.
    pub mode: CertificateMode,
    /// The ConfigMaps (`namespace/name`, of the policy's namespace) whose `ca.crt` are the authorities.
    pub authorities: Vec<Arc<str>>,
    /// Who is who. Whoever is not in it is nobody.
    pub principals: Vec<PartnerMapping>,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateMode {
    /// No handshake ends well without one that verifies.
    Required,
    /// It may have none; one that does not verify makes nobody of it.
    Optional,
}

/// One item of `principals`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerMapping {
    /// The name in the certificate.
    pub name: PartnerName,
    /// Whom it is taken for: `source.principal`.
    pub principal: SpiffeId,
}

/// A subject alternative name (RFC 5280 §4.2.1.6), compared as a whole and within its own type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartnerName {
    /// A `dNSName`, in lower case; no wildcard.
    Dns(Box<str>),
    /// A `uniformResourceIdentifier`, byte for byte.
    Uri(Box<str>),
    /// An `rfc822Name`: the part before the `@` byte for byte, the host behind it in lower case.
    Email(Box<str>),
}

/// The subject alternative names of a certificate whose chain, time and purpose were verified.
#[derive(Debug, Clone, Copy, Default)]
pub struct CertificateNames<'a> {
    /// `dNSName`s.
    pub dns: &'a [String],
    /// `uniformResourceIdentifier`s.
    pub uris: &'a [String],
    /// `rfc822Name`s.
    pub emails: &'a [String],
}

/// A certificate whose names mean different principals: it must not choose which of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate has names of several principals")]
pub struct AmbiguousCertificate;

impl ClientCertificates {
    /// Whom the holder of a verified certificate is taken for; `None`: nobody.
    ///
    /// # Errors
    /// [`AmbiguousCertificate`]: the connection must be refused, or a rule that denies one of the two would be got round.
    pub fn principal_of(
        &self,
        names: &CertificateNames<'_>,
    ) -> Result<Option<&SpiffeId>, AmbiguousCertificate> {
        let mut principal: Option<&SpiffeId> = None;
        for mapping in self.principals.iter().filter(|mapping| mapping.name.is_among(names)) {
            if principal.is_some_and(|known| *known != mapping.principal) {
                return Err(AmbiguousCertificate);
            }
            principal = Some(&mapping.principal);
        }
        Ok(principal)
    }

    /// Without the principals of these domains.
    pub(super) fn without_domains(&self, domains: &[TrustDomain]) -> Self {
        let mut principals = self.principals.clone();
        principals.retain(|mapping| !mapping.is_within(domains));
        Self { principals, ..self.clone() }
    }
}

impl PartnerMapping {
    /// True when the principal lies in one of the trust domains.
    pub(crate) fn is_within(&self, domains: &[TrustDomain]) -> bool {
        domains.iter().any(|domain| domain.as_str() == self.principal.trust_domain())
    }
}

impl PartnerName {
    fn is_among(&self, names: &CertificateNames<'_>) -> bool {
        match self {
            Self::Dns(name) => names.dns.iter().any(|dns| dns.eq_ignore_ascii_case(name)),
            Self::Uri(name) => names.uris.iter().any(|uri| **uri == **name),
            Self::Email(name) => names.emails.iter().any(|email| is_same_mailbox(email, name)),
        }
    }
}

/// RFC 5280 §7.5: the local part exactly, the host without regard to case.
fn is_same_mailbox(a: &str, b: &str) -> bool {
    match (a.rsplit_once('@'), b.rsplit_once('@')) {
        (Some((local_a, host_a)), Some((local_b, host_b))) => {
            local_a == local_b && host_a.eq_ignore_ascii_case(host_b)
        }
        _ => false,
    }
}
