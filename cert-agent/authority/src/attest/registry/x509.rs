//! The section `x509`: other certificate authorities, and which of their certificates mean whom.
//!
//! ```yaml
//! x509:
//!   - name: machines
//!     caFile: /etc/postern/machines-ca.pem
//!     identities:
//!       - {dnsName: db1.example, identity: spiffe://cluster.local/vm/db1}
//!       - {uri: 'urn:example:host:7', identity: spiffe://cluster.local/vm/seven}
//!       - {subject: 'CN=build, O=Example', identity: spiffe://cluster.local/ci/build}
//! ```
//!
//! Names are compared whole and exactly; there is no wildcard. The file is read with the registry.

use std::path::PathBuf;

use identity::{Pki, SigningCertificate, SpiffeId, TrustDomain, authorities};
use rustls_pki_types::TrustAnchor;
use serde::Deserialize;
use serde_saphyr::Spanned;
use webpki::VerifiedPath;

use super::{RegistryErrors, files, place, workload};

/// More than this many of anything in the section are a mistake.
const MAX_AUTHORITIES: usize = 64;
const MAX_ROOTS: usize = 64;
const MAX_IDENTITIES: usize = 10_000;

/// The other certificate authorities that are believed.
#[derive(Debug, Clone, Default)]
pub struct X509Authorities(Vec<X509Authority>);

/// One of them.
#[derive(Debug, Clone)]
pub struct X509Authority {
    roots: FileRoots,
    identities: Vec<(CertificateSelector, SpiffeId)>,
}

/// What an authority's file holds: each root as webpki wants it, and what it says of itself.
#[derive(Debug, Clone, Default)]
struct FileRoots {
    anchors: Vec<TrustAnchor<'static>>,
    signers: Vec<SigningCertificate>,
}

/// The names of a certificate that was verified.
#[derive(Debug, Clone)]
pub struct CertificateNames<'a> {
    /// As `openssl x509 -subject` orders it, `CN=build, O=Example`.
    pub subject: String,
    /// URI SANs.
    pub uris: Vec<&'a str>,
    /// DNS SANs.
    pub dns: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FileAuthority {
    name: String,
    ca_file: PathBuf,
    identities: Vec<Spanned<FileIdentity>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileIdentity {
    identity: String,
    uri: Option<String>,
    dns_name: Option<String>,
    subject: Option<String>,
}

/// Which certificates an entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CertificateSelector {
    Uri(String),
    DnsName(String),
    Subject(String),
}

impl X509Authorities {
    pub(super) fn check(
        section: Vec<Spanned<FileAuthority>>,
        trust_domain: &TrustDomain,
        mistakes: &mut RegistryErrors,
    ) -> Self {
        let mut authorities = Vec::new();
        for authority in mistakes.within(MAX_AUTHORITIES, "x509 authorities", section) {
            let at = format!("{}: x509 `{}`", place(&authority), authority.value.name);
            let FileAuthority { ca_file, identities: listed, .. } = authority.value;
            let roots = mistakes.note(&at, roots(&ca_file)).unwrap_or_default();
            let mut identities = Vec::new();
            for entry in mistakes.within(MAX_IDENTITIES, "identities", listed) {
                let at = format!("{}: x509 identity", place(&entry));
                identities.extend(mistakes.note(&at, check_identity(entry.value, trust_domain)));
            }
            authorities.push(X509Authority { roots, identities });
        }
        Self(authorities)
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &X509Authority> {
        self.0.iter()
    }
}

impl X509Authority {
    /// Its roots.
    #[must_use]
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.roots.anchors
    }

    /// Whether a path to one of its roots proves something now: every intermediate may sign, and the root is not over.
    #[must_use]
    pub fn vouches(&self, path: &VerifiedPath<'_>, now: u64) -> bool {
        let roots = self.roots.anchors.iter().zip(&self.roots.signers);
        let mut roots = roots.filter(|(anchor, _)| *anchor == path.anchor());
        identity::check_intermediates(path, Pki::Other).is_ok()
            && roots.any(|(_, root)| root.out_of_time(now).is_none())
    }

    /// Whom a certificate of these names means.
    pub fn identities_of(&self, names: &CertificateNames<'_>) -> impl Iterator<Item = &SpiffeId> {
        self.identities
            .iter()
            .filter(|(selector, _)| selector.fits(names))
            .map(|(_, identity)| identity)
    }
}

impl CertificateSelector {
    fn fits(&self, names: &CertificateNames<'_>) -> bool {
        match self {
            Self::Uri(uri) => names.uris.contains(&uri.as_str()),
            Self::DnsName(name) => names.dns.iter().any(|dns| dns.eq_ignore_ascii_case(name)),
            Self::Subject(subject) => names.subject == *subject,
        }
    }
}

fn check_identity(
    entry: FileIdentity,
    trust_domain: &TrustDomain,
) -> Result<(CertificateSelector, SpiffeId), String> {
    let identity = workload(&entry.identity, trust_domain)?;
    let selector = match (entry.uri, entry.dns_name, entry.subject) {
        (Some(uri), None, None) => CertificateSelector::Uri(uri),
        (None, Some(name), None) => {
            super::check_dns_name(&name)?;
            CertificateSelector::DnsName(name)
        }
        (None, None, Some(subject)) => CertificateSelector::Subject(subject),
        _ => return Err("say exactly one of `uri`, `dnsName` and `subject`".to_owned()),
    };
    match &selector {
        CertificateSelector::Uri(text) | CertificateSelector::Subject(text) if text.is_empty() => {
            Err("an empty name fits too much".to_owned())
        }
        _ => Ok((selector, identity)),
    }
}

fn roots(path: &std::path::Path) -> Result<FileRoots, String> {
    let at = path.display();
    let pem = files::read(path).map_err(|error| error.to_string())?;
    let mut roots = FileRoots::default();
    // Another PKI's root need not be made for SPIFFE; a certificate that signs nobody is none all the same.
    for (certificate, signer) in authorities(&pem).map_err(|error| format!("{at}: {error}"))? {
        let anchor = webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|error| format!("{at}: not a certificate authority's certificate: {error}"))?;
        roots.anchors.push(anchor.to_owned());
        roots.signers.push(signer);
    }
    match roots.anchors.len() {
        ..=MAX_ROOTS => Ok(roots),
        _ => Err(format!("{at}: more than {MAX_ROOTS} certificates")),
    }
}
