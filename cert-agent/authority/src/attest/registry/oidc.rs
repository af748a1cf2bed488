//! The section `oidc`: issuers of workload tokens (a CI system, a cloud), and which of their tokens mean whom.
//!
//! ```yaml
//! oidc:
//!   - issuer: https://token.ci.example
//!     audience: postern-authority
//!     jwksUri: https://token.ci.example/keys     # or jwksFile: /etc/postern/ci-keys.json
//!     caFile: /etc/postern/ci-ca.pem             # who vouches for the host of jwksUri
//!     allowLocalAddresses: false                 # true: jwksUri may be on this machine or its link
//!     identities:
//!       - claims: {repository: shop/cart, environment: production}
//!         identity: spiffe://cluster.local/ns/ci/sa/cart
//!       - claims: {environment: production}
//!         identity: spiffe://cluster.local/ci/{repository_owner}
//! ```
//!
//! Every claim of an entry must be there with exactly that value. An entry without claims fits no token.

use std::collections::BTreeMap;
use std::path::PathBuf;

use identity::{SpiffeId, TrustDomain};
use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use web_fetch::WebUrl;

use super::template::IdentityTemplate;
use super::{RegistryErrors, place};

/// More than this many of anything in the section are a mistake.
const MAX_ISSUERS: usize = 32;
const MAX_IDENTITIES: usize = 10_000;
const MAX_CLAIMS: usize = 16;
/// Of a configured value, bytes.
const MAX_VALUE: usize = 512;

/// The issuers that are believed.
#[derive(Debug, Clone, Default)]
pub struct OidcIssuers(Vec<OidcIssuer>);

/// One of them.
#[derive(Debug, Clone)]
pub struct OidcIssuer {
    /// What `iss` must be, exactly.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySource,
    rules: Vec<ClaimRule>,
}

/// Where an issuer's keys (JWKS, RFC 7517) are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySource {
    /// A file of this machine.
    File(PathBuf),
    /// Fetched over https.
    Uri {
        /// The address.
        uri: WebUrl,
        /// PEM certificates of who may vouch for its host.
        ca_file: PathBuf,
        /// Whether loopback and link-local addresses may be called.
        allow_local: bool,
    },
}

#[derive(Debug, Clone)]
struct ClaimRule {
    claims: BTreeMap<String, String>,
    template: IdentityTemplate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FileIssuer {
    issuer: String,
    audience: String,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_local_addresses: bool,
    identities: Vec<Spanned<FileIdentity>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIdentity {
    claims: BTreeMap<String, String>,
    identity: String,
}

impl OidcIssuers {
    pub(super) fn check(
        section: Vec<Spanned<FileIssuer>>,
        trust_domain: &TrustDomain,
        mistakes: &mut RegistryErrors,
    ) -> Self {
        let mut issuers: Vec<OidcIssuer> = Vec::new();
        for issuer in mistakes.within(MAX_ISSUERS, "oidc issuers", section) {
            let at = format!("{}: oidc `{}`", place(&issuer), issuer.value.issuer);
            let issuer = issuer.value;
            mistakes.note(&at, check_names(&issuer));
            if issuers.iter().any(|known| known.issuer == issuer.issuer) {
                let twice = "the issuer stands here twice; give it one entry with all identities";
                mistakes.note::<()>(&at, Err(twice.to_owned()));
            }
            let keys = mistakes.note(&at, key_source(&issuer));
            let rules = rules(issuer.identities, trust_domain, mistakes);
            if let Some(keys) = keys {
                let FileIssuer { issuer, audience, .. } = issuer;
                issuers.push(OidcIssuer { issuer, audience, keys, rules });
            }
        }
        Self(issuers)
    }

    /// Whether nobody is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &OidcIssuer> {
        self.0.iter()
    }
}

impl OidcIssuer {
    /// Whom a token with these (verified) claims means, each once.
    #[must_use]
    pub fn identities_of(&self, claims: &Map<String, Value>) -> Vec<SpiffeId> {
        let fitting = self.rules.iter().filter(|rule| rule.fits(claims));
        let mut identities: Vec<_> =
            fitting.filter_map(|rule| rule.template.identity(claims)).collect();
        identities.sort();
        identities.dedup();
        identities
    }
}

impl ClaimRule {
    fn fits(&self, claims: &Map<String, Value>) -> bool {
        self.claims
            .iter()
            .all(|(name, value)| claims.get(name).and_then(Value::as_str) == Some(value.as_str()))
    }
}

fn rules(
    identities: Vec<Spanned<FileIdentity>>,
    trust_domain: &TrustDomain,
    mistakes: &mut RegistryErrors,
) -> Vec<ClaimRule> {
    let mut rules = Vec::new();
    for entry in mistakes.within(MAX_IDENTITIES, "identities", identities) {
        let at = format!("{}: oidc identity", place(&entry));
        let FileIdentity { claims, identity } = entry.value;
        let template = mistakes.note(&at, IdentityTemplate::parse(&identity, trust_domain));
        let checked = mistakes.note(&at, check_claims(&claims));
        if let (Some(template), Some(())) = (template, checked) {
            rules.push(ClaimRule { claims, template });
        }
    }
    rules
}

fn check_claims(claims: &BTreeMap<String, String>) -> Result<(), String> {
    if claims.is_empty() {
        return Err("`claims` is empty: every token of the issuer would fit; name at least `sub`"
            .to_owned());
    }
    let sized = |text: &String| (1..=MAX_VALUE).contains(&text.len());
    if claims.len() > MAX_CLAIMS || !claims.iter().all(|(name, value)| sized(name) && sized(value))
    {
        return Err("at most 16 claims of 1 to 512 bytes".to_owned());
    }
    Ok(())
}

fn check_names(issuer: &FileIssuer) -> Result<(), String> {
    let sized = |text: &str| (1..=MAX_VALUE).contains(&text.len());
    if !sized(&issuer.issuer) || !sized(&issuer.audience) {
        return Err("`issuer` and `audience` have 1 to 512 bytes".to_owned());
    }
    Ok(())
}

fn key_source(issuer: &FileIssuer) -> Result<KeySource, String> {
    match (&issuer.jwks_uri, &issuer.jwks_file, &issuer.ca_file) {
        (None, Some(file), None) if issuer.allow_local_addresses => {
            Err(format!("`allowLocalAddresses` means nothing beside jwksFile {}", file.display()))
        }
        (None, Some(file), None) => Ok(KeySource::File(file.clone())),
        (Some(uri), None, Some(ca_file)) => {
            let url = WebUrl::parse(uri).map_err(|rule| {
                format!("jwksUri `{uri}` is no https address with a host: {rule}")
            })?;
            Ok(KeySource::Uri {
                uri: url,
                ca_file: ca_file.clone(),
                allow_local: issuer.allow_local_addresses,
            })
        }
        (Some(_), None, None) => {
            Err("jwksUri needs caFile: the certificates of who may vouch for its host".to_owned())
        }
        _ => Err("say either jwksFile, or jwksUri with caFile".to_owned()),
    }
}
