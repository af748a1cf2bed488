//! The federation file: which other trust domains are believed, and where their bundles come from.
//!
//! ```yaml
//! federation:
//!   - trustDomain: partner.example
//!     file: partner.json                         # PEM roots or a SPIFFE bundle document; followed
//!   - trustDomain: staging.example
//!     endpoint:
//!       url: https://authority.staging.example:8443/bundle.json
//!       profile: https_spiffe
//!       spiffeId: spiffe://staging.example/postern/authority
//!       bootstrap: staging.json                  # trusted until the first answer
//!       allowAddresses: [127.0.0.1]              # the name may mean this machine; default: none
//!   - trustDomain: vendor.example
//!     endpoint:
//!       url: https://vendor.example/spiffe/bundle.json
//!       profile: https_web
//!       caFile: /etc/ssl/certs/ca-certificates.crt   # the default
//! ```
//!
//! URL, profile and trust domain stand there before anything is fetched (SPIFFE Federation §5.1). An
//! unknown key is refused, and every mistake is reported at once with its line and column. Paths are
//! relative to the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use identity::{SpiffeId, TrustDomain};
use serde::Deserialize;
use serde_saphyr::Spanned;
use web_fetch::WebUrl;
use web_fetch::address::{IpNet, parse_block};

use crate::publish::bundles::MAX_FEDERATED;
use crate::store::files;

/// Who vouches for web servers when nothing else is said (Debian and most others put it there).
const WEB_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Exceptions of one endpoint.
const MAX_ALLOWED: usize = 16;

/// Everything the file says, by trust domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FederationConfig(pub BTreeMap<TrustDomain, BundleSource>);

/// Where the bundle of one trust domain comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleSource {
    /// A file: PEM roots or a SPIFFE bundle document.
    File(PathBuf),
    /// A bundle endpoint.
    Endpoint(BundleEndpoint),
}

/// A bundle endpoint (SPIFFE Federation §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleEndpoint {
    /// Its address.
    pub url: WebUrl,
    /// How it proves itself.
    pub profile: EndpointProfile,
    /// Addresses of this machine or its link where it may be, and what it redirects to. Default: none beside an address
    /// that is itself the URL's host.
    pub allow_addresses: Vec<IpNet>,
}

/// How a bundle endpoint proves itself (SPIFFE Federation §5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointProfile {
    /// By a certificate for the host of the URL, from one of these CAs (§5.2.1).
    Web {
        /// PEM.
        ca_file: PathBuf,
    },
    /// By an X.509-SVID of this id (§5.2.2).
    Spiffe {
        /// Who serves the bundle.
        id: SpiffeId,
        /// What the first connection is verified with; there exactly when the endpoint is of the
        /// trust domain whose bundle it serves.
        bootstrap: Option<PathBuf>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FederationFile {
    federation: Vec<Spanned<FileEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileEntry {
    trust_domain: String,
    file: Option<PathBuf>,
    endpoint: Option<FileEndpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileEndpoint {
    url: String,
    profile: String,
    spiffe_id: Option<String>,
    bootstrap: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
}

impl FederationConfig {
    /// Reads the file. `own` is the trust domain of this authority, which nobody else may give a
    /// bundle for.
    ///
    /// # Errors
    /// Every mistake of the file at once, with its place.
    pub fn load(path: &Path, own: &TrustDomain) -> anyhow::Result<Self> {
        let content = files::read(path)?;
        let text = std::str::from_utf8(&content)
            .map_err(|_| anyhow!("{}: not UTF-8 text", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(text, folder, own).with_context(|| path.display().to_string())
    }

    fn parse(text: &str, folder: &Path, own: &TrustDomain) -> anyhow::Result<Self> {
        let file: FederationFile = serde_saphyr::from_str(text).map_err(|error| {
            anyhow!("{error}\n(`federation: []` says that nobody else is believed)")
        })?;
        if file.federation.len() > MAX_FEDERATED {
            return Err(anyhow!("more than {MAX_FEDERATED} trust domains"));
        }
        let mut config = Self::default();
        let mut mistakes = Vec::new();
        for entry in file.federation {
            let at =
                format!("line {} column {}", entry.referenced.line(), entry.referenced.column());
            if let Err(mistake) = config.add(entry.value, folder, own) {
                mistakes.push(format!("{at}: {mistake}"));
            }
        }
        if mistakes.is_empty() { Ok(config) } else { Err(anyhow!(mistakes.join("\n"))) }
    }

    fn add(&mut self, entry: FileEntry, folder: &Path, own: &TrustDomain) -> Result<(), String> {
        let name = TrustDomain::parse(&entry.trust_domain)
            .map_err(|error| format!("trustDomain `{}`: {error}", entry.trust_domain))?;
        if &name == own {
            return Err(format!(
                "trustDomain `{name}` is our own; its bundle comes from this authority only"
            ));
        }
        if self.0.contains_key(&name) {
            return Err(format!("trustDomain `{name}` stands there twice; keep one"));
        }
        let source = match (entry.file, entry.endpoint) {
            (Some(file), None) => BundleSource::File(folder.join(file)),
            (None, Some(endpoint)) => {
                BundleSource::Endpoint(read_endpoint(endpoint, folder, &name)?)
            }
            _ => return Err(format!("trustDomain `{name}` needs one of `file` and `endpoint`")),
        };
        self.0.insert(name, source);
        Ok(())
    }
}

fn read_endpoint(
    endpoint: FileEndpoint,
    folder: &Path,
    name: &TrustDomain,
) -> Result<BundleEndpoint, String> {
    let url = WebUrl::parse(&endpoint.url)
        .map_err(|reason| format!("url `{}`: {reason}", endpoint.url))?;
    let allow_addresses = allowed(&endpoint.allow_addresses)?;
    let profile = match endpoint.profile.as_str() {
        "https_web" => {
            if endpoint.spiffe_id.is_some() || endpoint.bootstrap.is_some() {
                return Err("`spiffeId` and `bootstrap` belong to profile https_spiffe".to_owned());
            }
            let ca_file = endpoint.ca_file.map_or(PathBuf::from(WEB_CAS), |file| folder.join(file));
            EndpointProfile::Web { ca_file }
        }
        "https_spiffe" => {
            if endpoint.ca_file.is_some() {
                return Err("`caFile` belongs to profile https_web".to_owned());
            }
            let bootstrap = endpoint.bootstrap.map(|file| folder.join(file));
            read_spiffe(endpoint.spiffe_id.as_deref(), bootstrap, name)?
        }
        other => {
            return Err(format!("profile `{other}`: expected https_web or https_spiffe"));
        }
    };
    Ok(BundleEndpoint { url, profile, allow_addresses })
}

fn allowed(texts: &[String]) -> Result<Vec<IpNet>, String> {
    if texts.len() > MAX_ALLOWED {
        return Err(format!("allowAddresses has more than {MAX_ALLOWED} entries"));
    }
    let read = |text: &String| {
        parse_block(text).map_err(|reason| format!("allowAddresses `{text}`: {reason}"))
    };
    texts.iter().map(read).collect()
}

/// SPIFFE Federation §5.2.2.2: an endpoint of the trust domain it serves needs a bundle to begin
/// with; for any other the bundle comes from that trust domain's own entry.
fn read_spiffe(
    id: Option<&str>,
    bootstrap: Option<PathBuf>,
    name: &TrustDomain,
) -> Result<EndpointProfile, String> {
    let id = id.ok_or("profile https_spiffe needs `spiffeId`, the id of the endpoint's server")?;
    let id = SpiffeId::parse(id).map_err(|error| format!("spiffeId `{id}`: {error}"))?;
    if id.path().is_empty() {
        return Err(format!("spiffeId `{id}` names a trust domain, not the endpoint's server"));
    }
    match (id.trust_domain() == name.as_str(), &bootstrap) {
        (true, None) => Err(format!(
            "the endpoint is of {name} itself, so it needs `bootstrap`: a file with the bundle of {name}"
        )),
        (false, Some(_)) => Err(format!(
            "`bootstrap` is of no use: {id} is verified with the bundle of its own trust domain"
        )),
        _ => Ok(EndpointProfile::Spiffe { id, bootstrap }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn parse(text: &str) -> anyhow::Result<FederationConfig> {
        FederationConfig::parse(text, Path::new("/conf"), &TrustDomain::parse("own.test").unwrap())
    }

    fn endpoint(lines: &[&str]) -> String {
        let lines: Vec<String> = lines.iter().map(|line| format!("      {line}\n")).collect();
        format!("federation:\n  - trustDomain: b.test\n    endpoint:\n{}", lines.concat())
    }

    #[test]
    fn spiffe_federation_5_1_url_profile_and_trust_domain_are_configured_beforehand() {
        let url = "url: https://b.test/x";
        let (web, spiffe) = ("profile: https_web", "profile: https_spiffe");
        let (id, boot) = ("spiffeId: spiffe://b.test/server", "bootstrap: b.json");
        let elsewhere = "spiffeId: spiffe://c.test/server";
        let check = |name: &str, text: &str, expect: Option<&str>| match (parse(text), expect) {
            (Ok(config), None) => assert!(config.0.len() <= 1, "{name}"),
            (Err(error), Some(words)) => {
                let error = format!("{error:#}");
                assert!(error.contains(words), "{name}: {error}");
            }
            (seen, _) => panic!("{name}: {seen:?}"),
        };
        check("nobody", "federation: []", None);
        check("web", &endpoint(&[url, web]), None);
        check("web with its own CA", &endpoint(&[url, web, "caFile: ca.pem"]), None);
        check("spiffe", &endpoint(&[url, spiffe, id, boot]), None);
        check("spiffe, served by another", &endpoint(&[url, spiffe, elsewhere]), None);
        check("file", "federation:\n  - {trustDomain: b.test, file: b.pem}", None);
        check("empty", "", Some("federation: []"));
        check("no profile", &endpoint(&[url]), Some("profile"));
        check("no url", &endpoint(&[web]), Some("url"));
        check("no trust domain", "federation:\n  - {file: b.pem}", Some("trustDomain"));
        check("unknown profile", &endpoint(&[url, "profile: http"]), Some("expected https_web"));
        check("unknown key", &endpoint(&[url, web, "insecure: true"]), Some("insecure"));
        check("http", &endpoint(&["url: http://b.test/x", web]), Some("https"));
        check("no id", &endpoint(&[url, spiffe, boot]), Some("spiffeId"));
        check("no bootstrap", &endpoint(&[url, spiffe, id]), Some("bootstrap"));
        check("a useless bootstrap", &endpoint(&[url, spiffe, elsewhere, boot]), Some("no use"));
        check(
            "a root id",
            &endpoint(&[url, spiffe, "spiffeId: spiffe://b.test", boot]),
            Some("names a trust domain"),
        );
        check("id for web", &endpoint(&[url, web, id]), Some("belong to profile https_spiffe"));
        check(
            "CA for spiffe",
            &endpoint(&[url, spiffe, id, boot, "caFile: x"]),
            Some("belongs to profile https_web"),
        );
        check("nowhere", "federation:\n  - {trustDomain: b.test}", Some("needs one of"));
        let both = "federation:\n  - {trustDomain: b.test, file: a, endpoint: {url: 'https://b', profile: https_web}}";
        check("both", both, Some("needs one of"));
        let twice =
            "federation:\n  - {trustDomain: b.test, file: a}\n  - {trustDomain: b.test, file: b}";
        check("twice", twice, Some("line 3 column"));
    }

    #[test]
    fn exceptions_of_addresses_are_named_one_by_one() {
        let check = |list: &str, expect: Result<usize, &str>| {
            let line = format!("allowAddresses: {list}");
            let text = endpoint(&["url: https://b.test/x", "profile: https_web", &line]);
            match (parse(&text), expect) {
                (Ok(config), Ok(expect)) => {
                    let Some(BundleSource::Endpoint(found)) = config.0.values().next() else {
                        panic!("{list}")
                    };
                    assert_eq!(found.allow_addresses.len(), expect, "{list}");
                }
                (Err(error), Err(words)) => {
                    let error = error.to_string();
                    assert!(error.contains(words) && error.contains("line 2"), "{list}: {error}");
                }
                (seen, _) => panic!("{list}: {seen:?}"),
            }
        };
        check("[]", Ok(0));
        check("[127.0.0.1, '::1', 169.254.20.0/24]", Ok(3));
        check("[0.0.0.0/0]", Err("allowAddresses `0.0.0.0/0`: write an address"));
        check("[localhost]", Err("write an address"));
        check(&format!("[{}]", ["127.0.0.1"; 17].join(", ")), Err("more than 16"));
    }

    #[test]
    fn s24_trust_domain_confusion_nobody_else_gives_a_bundle_for_our_own_name() {
        let error = parse("federation:\n  - {trustDomain: own.test, file: a}").unwrap_err();
        assert!(error.to_string().contains("our own"), "{error}");
        // No other spelling of it is a trust domain at all.
        for name in ["Own.test", "spiffe://own.test", "own.test/", "own%2etest"] {
            let text = format!("federation:\n  - {{trustDomain: '{name}', file: a}}");
            assert!(parse(&text).is_err(), "{name}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let text =
            "federation:\n  - {trustDomain: own.test, file: a}\n  - {trustDomain: B, file: a}\n";
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("line 3"), "{error}");
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = parse("federation:\n  - {trustDomain: b.test, file: b.pem}").unwrap();
        let source = config.0.values().next().unwrap();
        assert_eq!(source, &BundleSource::File("/conf/b.pem".into()));
    }
}
