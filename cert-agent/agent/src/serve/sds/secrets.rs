//! What is held, as Envoy's resources, under the names that SPIRE made known: `default` or the
//! SPIFFE id for the certificate, `ROOTCA` or `spiffe://TRUST-DOMAIN` for the roots of one trust
//! domain, `ALL` for those of all.
//!
//! Roots are always given to Envoy's SPIFFE validator, which picks them by the peer's own trust
//! domain, and never as one list of CAs (SPIFFE Federation §4.2). Revocation lists are not given:
//! that validator has no place for them.

use aws_lc_rs::digest::{SHA256, digest};
use identity::TrustDomain;
use prost::Message as _;

use crate::pem;
use crate::proto::sds::CertificateValidationContext;
use crate::proto::sds::DataSource;
use crate::proto::sds::Packed;
use crate::proto::sds::Secret;
use crate::proto::sds::SpiffeCertValidatorConfig;
use crate::proto::sds::TlsCertificate;
use crate::proto::sds::TypedExtensionConfig;
use crate::proto::sds::secret::Type;
use crate::proto::sds::spiffe_cert_validator_config::TrustDomain as Entry;
use crate::renewal::bundle_set::DomainBundle;
use crate::renewal::served_state::CurrentIdentity;
use crate::renewal::served_state::ServedState;
use crate::serve::workload_messages::trust_domain_id;

/// The type of every resource here.
pub const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const VALIDATOR_URL: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
const VALIDATOR: &str = "envoy.tls.cert_validator.spiffe";

/// The certificate, whatever its SPIFFE id is.
const DEFAULT: &str = "default";
/// The roots of our own trust domain.
const ROOTCA: &str = "ROOTCA";
/// The roots of every trust domain we know, each for itself.
const ALL: &str = "ALL";

/// A trust domain that nobody is of.
const NOBODY: &str = "NOBODY";

/// What a resource is like, to see whether it changed. It never leaves this process.
pub type ContentDigest = [u8; 32];

/// A resource with its name.
#[derive(Debug, Clone)]
pub struct NamedSecret {
    /// As it was asked for.
    pub name: String,
    /// The resource.
    pub packed: Packed,
    /// Of its bytes.
    pub digest: ContentDigest,
}

/// The resource of this name at this time (Unix seconds); none when there is no such name, or its
/// certificate has run out.
#[must_use]
pub fn secret(name: &str, holding: &ServedState, now: u64) -> Option<NamedSecret> {
    let kind = match name {
        DEFAULT => Type::TlsCertificate(certificate(holding.current(now)?)),
        ROOTCA => Type::ValidationContext(roots_of([&holding.trust.own])?),
        ALL => Type::ValidationContext(roots_of(holding.trust.domains())?),
        _ => by_id(name, holding, now)?,
    };
    let value = Secret { name: name.to_owned(), r#type: Some(kind) }.encode_to_vec();
    let digest = sha256(&value);
    Some(NamedSecret {
        name: name.to_owned(),
        packed: Packed { type_url: TYPE_URL.into(), value },
        digest,
    })
}

/// What whoever names nothing gets: the certificate by its id, and each trust domain's roots.
#[must_use]
pub fn all_names(holding: &ServedState, now: u64) -> Vec<String> {
    let identity = holding.current(now).map(|held| held.svid.id().to_string());
    identity.into_iter().chain(holding.trust.domains().map(trust_domain_id)).collect()
}

fn by_id(name: &str, holding: &ServedState, now: u64) -> Option<Type> {
    if let Some(held) = holding.current(now).filter(|held| held.svid.id().as_str() == name) {
        return Some(Type::TlsCertificate(certificate(held)));
    }
    TrustDomain::parse(name.strip_prefix("spiffe://")?).ok()?;
    let known = holding.trust.domains().find(|domain| trust_domain_id(domain) == name);
    let context = known.and_then(|domain| roots_of([domain]));
    Some(Type::ValidationContext(context.or_else(|| nobody(holding))?))
}

/// For a trust domain that is not federated, no longer, or that is distrusted: a context that
/// believes nobody of it. Envoy keeps what it has when it gets nothing, and takes no empty list, so
/// this is a list for a name that no SPIFFE id can have (SPIFFE-ID §2.1: lower case).
fn nobody(holding: &ServedState) -> Option<CertificateValidationContext> {
    Some(validator(vec![entry(NOBODY.to_owned(), &holding.trust.own)]))
}

fn certificate(held: &CurrentIdentity) -> TlsCertificate {
    let chain = pem::certificates(held.svid.chain().iter().map(AsRef::as_ref));
    let key = pem::secret_block("PRIVATE KEY", held.key.pkcs8_der());
    TlsCertificate {
        certificate_chain: Some(DataSource { inline_bytes: chain.into_bytes() }),
        private_key: Some(DataSource { inline_bytes: key.as_bytes().to_vec() }),
    }
}

/// A domain without roots is left out, so that nobody of it is believed; none when no domain is
/// left.
fn roots_of<'a>(
    domains: impl IntoIterator<Item = &'a DomainBundle>,
) -> Option<CertificateValidationContext> {
    let entries: Vec<_> = domains
        .into_iter()
        .filter(|domain| !domain.roots.roots().is_empty())
        .map(|domain| entry(domain.trust_domain().to_string(), domain))
        .collect();
    (!entries.is_empty()).then(|| validator(entries))
}

fn entry(name: String, domain: &DomainBundle) -> Entry {
    let roots = pem::certificates(domain.roots.roots().iter().map(AsRef::as_ref));
    Entry { name, trust_bundle: Some(DataSource { inline_bytes: roots.into_bytes() }) }
}

fn validator(trust_domains: Vec<Entry>) -> CertificateValidationContext {
    let value = SpiffeCertValidatorConfig { trust_domains }.encode_to_vec();
    let typed_config = Some(Packed { type_url: VALIDATOR_URL.to_owned(), value });
    let validator = TypedExtensionConfig { name: VALIDATOR.to_owned(), typed_config };
    CertificateValidationContext { custom_validator_config: Some(validator) }
}

fn sha256(bytes: &[u8]) -> ContentDigest {
    let mut short = ContentDigest::default();
    short.copy_from_slice(digest(&SHA256, bytes).as_ref());
    short
}
