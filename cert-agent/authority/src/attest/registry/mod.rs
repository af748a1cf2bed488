//! The registry: a YAML file that says who may be whom: which identity a local process has, which identities have
//! DNS names, which other certificate authorities and token issuers are believed, and about whom.
//!
//! ```yaml
//! entries:
//!   - identity: spiffe://cluster.local/ns/shop/sa/cart
//!     unix: {uid: 1000, gid: 1000, path: /usr/local/bin/postern-cert-agent}
//!   - identity: spiffe://cluster.local/ns/postern-system/sa/postern-injector
//!     dnsNames: [postern-injector.postern-system.svc]
//! tokenVouchers: [spiffe://cluster.local/ns/edge/sa/gateway]
//! ```
//!
//! `tokenVouchers` may say in an internal token who a user is (`Signing.ExchangeToken`); without the list nobody may.
//! The sections `x509` and `oidc` are told in [`x509`] and [`oidc`]. An unknown key is refused everywhere, and every
//! mistake is reported at once with its line and column.

pub mod oidc;
pub mod template;
pub mod x509;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use identity::{SpiffeId, TrustDomain};
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::ca::leaf;
use crate::store::files;

/// More entries than this are a mistake.
const MAX_ENTRIES: usize = 10_000;
/// More workloads than this that may vouch for users are a mistake: they are gateways.
const MAX_VOUCHERS: usize = 1_000;

/// Who is who, by what the kernel says of a caller.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: Vec<UnixEntry>,
    x509: x509::X509Authorities,
    oidc: oidc::OidcIssuers,
    token_vouchers: BTreeSet<SpiffeId>,
}

#[derive(Debug, Clone)]
struct UnixEntry {
    identity: SpiffeId,
    unix: Option<UnixSelector>,
    dns_names: Vec<String>,
}

/// Which processes an entry means. The uid decides; gid and path only narrow it.
///
/// A path is no boundary between processes of one uid: any of them can start that program or debug
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnixSelector {
    /// The caller's user.
    pub uid: u32,
    /// The caller's group.
    pub gid: Option<u32>,
    /// The caller's program, absolute; never fits a caller of another pid namespace.
    pub path: Option<PathBuf>,
}

/// What the kernel says of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixCaller {
    /// From SO_PEERCRED.
    pub uid: u32,
    /// From SO_PEERCRED.
    pub gid: u32,
    /// Its program, where its pid is visible to us.
    pub path: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryFile {
    #[serde(default)]
    entries: Vec<Spanned<FileEntry>>,
    #[serde(default)]
    x509: Vec<Spanned<x509::FileAuthority>>,
    #[serde(default)]
    oidc: Vec<Spanned<oidc::FileIssuer>>,
    #[serde(default, rename = "tokenVouchers")]
    token_vouchers: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileEntry {
    identity: String,
    unix: Option<UnixSelector>,
    #[serde(default)]
    dns_names: Vec<String>,
}

/// Why no identity was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// No entry fits.
    #[error(
        "no registry entry fits uid {uid}, gid {gid}; add one to the authority's registry file"
    )]
    None {
        /// The caller's user.
        uid: u32,
        /// The caller's group.
        gid: u32,
    },
    /// Entries of several identities fit equally well.
    #[error(
        "registry entries of several identities fit uid {uid} equally well: {identities}; narrow them"
    )]
    Ambiguous {
        /// The caller's user.
        uid: u32,
        /// The identities, comma-separated.
        identities: String,
    },
}

impl Registry {
    /// Reads the file.
    ///
    /// # Errors
    /// Every mistake of the file at once, with the entry it stands in.
    pub fn load(path: &Path, trust_domain: &TrustDomain) -> anyhow::Result<Self> {
        let content = files::read(path)?;
        let text = std::str::from_utf8(&content)
            .map_err(|_| anyhow!("{}: not UTF-8 text", path.display()))?;
        Self::parse(text, trust_domain).with_context(|| path.display().to_string())
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn parse(text: &str, trust_domain: &TrustDomain) -> anyhow::Result<Self> {
        if text.is_empty() {
            return Err(anyhow!(
                "the file is empty: half-written? `entries: []` says that nobody is meant"
            ));
        }
        let file: RegistryFile =
            serde_saphyr::from_str(text).map_err(|error| anyhow!("{error}"))?;
        let mut mistakes = RegistryErrors::default();
        let mut entries = Vec::new();
        for (index, entry) in mistakes.within(MAX_ENTRIES, "entries", file.entries).enumerate() {
            let at = format!("{}: entry {}", place(&entry), index + 1);
            entries.extend(mistakes.note(&at, check_entry(entry.value, trust_domain)));
        }
        let x509 = x509::X509Authorities::check(file.x509, trust_domain, &mut mistakes);
        let oidc = oidc::OidcIssuers::check(file.oidc, trust_domain, &mut mistakes);
        let mut token_vouchers = BTreeSet::new();
        for voucher in mistakes.within(MAX_VOUCHERS, "tokenVouchers", file.token_vouchers) {
            let at = format!("{}: tokenVouchers", place(&voucher));
            token_vouchers.extend(mistakes.note(&at, workload(&voucher.value, trust_domain)));
        }
        mistakes.none()?;
        Ok(Self { entries, x509, oidc, token_vouchers })
    }

    /// The other certificate authorities; none when the registry has no section `x509`.
    #[must_use]
    pub fn x509_authorities(&self) -> Option<&x509::X509Authorities> {
        (!self.x509.is_empty()).then_some(&self.x509)
    }

    /// The token issuers; none when the registry has no section `oidc`.
    #[must_use]
    pub fn oidc_issuers(&self) -> Option<&oidc::OidcIssuers> {
        (!self.oidc.is_empty()).then_some(&self.oidc)
    }

    /// The identity of a local caller: the entry with the most selectors wins.
    ///
    /// # Errors
    /// [`NoMatch`] when none fits, or when the best are of several identities.
    pub fn identity_of(&self, caller: &UnixCaller) -> Result<SpiffeId, NoMatch> {
        let fitting = || {
            self.entries.iter().filter_map(|entry| {
                let selector = entry.unix.as_ref().filter(|selector| selector.fits(caller))?;
                Some((selector.weight(), &entry.identity))
            })
        };
        let best = fitting()
            .map(|(weight, _)| weight)
            .max()
            .ok_or(NoMatch::None { uid: caller.uid, gid: caller.gid })?;
        let mut identities: Vec<_> =
            fitting().filter(|(weight, _)| *weight == best).map(|(_, identity)| identity).collect();
        identities.sort();
        identities.dedup();
        match identities.as_slice() {
            [one] => Ok((*one).clone()),
            several => {
                let names: Vec<_> = several.iter().map(|identity| identity.as_str()).collect();
                Err(NoMatch::Ambiguous { uid: caller.uid, identities: names.join(", ") })
            }
        }
    }

    /// Whether this workload may say in a token who a user is.
    #[must_use]
    pub fn vouches(&self, identity: &SpiffeId) -> bool {
        self.token_vouchers.contains(identity)
    }

    /// The DNS names that an identity's certificates carry beside it.
    #[must_use]
    pub fn dns_names(&self, identity: &SpiffeId) -> Vec<String> {
        let mut names: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.identity == *identity)
            .flat_map(|entry| entry.dns_names.iter().cloned())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Everything that is wrong with a file, collected.
#[derive(Debug, Default)]
struct RegistryErrors(Vec<String>);

impl RegistryErrors {
    /// The value, or a note of what is wrong with it and where.
    fn note<T>(&mut self, at: &str, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|mistake| self.0.push(format!("{at}: {mistake}"))).ok()
    }

    /// No more of a list than this many.
    fn within<T>(
        &mut self,
        limit: usize,
        what: &str,
        list: Vec<T>,
    ) -> impl Iterator<Item = T> + use<T> {
        if list.len() > limit {
            self.0.push(format!("more than {limit} {what}"));
        }
        list.into_iter().take(limit)
    }

    fn none(self) -> anyhow::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(anyhow!(self.0.join("\n"))) }
    }
}

/// Where it stands in the file.
fn place<T>(value: &Spanned<T>) -> String {
    let at = &value.referenced;
    format!("line {} column {}", at.line(), at.column())
}

/// An identity of this trust domain that may be attested.
fn workload(text: &str, trust_domain: &TrustDomain) -> Result<SpiffeId, String> {
    let identity = SpiffeId::parse(text).map_err(|error| format!("identity `{text}`: {error}"))?;
    leaf::check_workload_id(trust_domain.as_str(), &identity)
        .map_err(|reason| format!("identity `{identity}`: {reason}"))?;
    Ok(identity)
}

impl UnixSelector {
    fn fits(&self, caller: &UnixCaller) -> bool {
        self.uid == caller.uid
            && self.gid.is_none_or(|gid| gid == caller.gid)
            && self.path.as_ref().is_none_or(|path| caller.path.as_ref() == Some(path))
    }

    fn weight(&self) -> u8 {
        u8::from(self.gid.is_some()) + u8::from(self.path.is_some())
    }
}

fn check_entry(entry: FileEntry, trust_domain: &TrustDomain) -> Result<UnixEntry, String> {
    let identity = workload(&entry.identity, trust_domain)?;
    if let Some(path) = entry.unix.as_ref().and_then(|unix| unix.path.as_ref())
        && !path.is_absolute()
    {
        return Err(format!("path `{}` is not absolute", path.display()));
    }
    for name in &entry.dns_names {
        check_dns_name(name)?;
    }
    if entry.unix.is_none() && entry.dns_names.is_empty() {
        return Err("has neither `unix` nor `dnsNames`, so it says nothing".to_owned());
    }
    Ok(UnixEntry { identity, unix: entry.unix, dns_names: entry.dns_names })
}

/// Host names of lower-case letters, digits and hyphens (RFC 1123 §2.1); no wildcard.
fn check_dns_name(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        return Ok(());
    }
    Err(format!("`{name}` is not a DNS name; write lower-case labels without a wildcard"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Registry> {
        Registry::parse(text, &TrustDomain::parse("cluster.local").unwrap())
    }

    fn caller(uid: u32, gid: u32, path: &str) -> UnixCaller {
        UnixCaller { uid, gid, path: (!path.is_empty()).then(|| path.into()) }
    }

    #[test]
    fn the_narrowest_entry_wins() {
        let registry = parse(
            "entries:
  - {identity: 'spiffe://cluster.local/any', unix: {uid: 1000}}
  - {identity: 'spiffe://cluster.local/group', unix: {uid: 1000, gid: 7}}
  - {identity: 'spiffe://cluster.local/program', unix: {uid: 1000, gid: 7, path: /bin/a}}
  - {identity: 'spiffe://cluster.local/one', unix: {uid: 2000, gid: 1}}
  - {identity: 'spiffe://cluster.local/two', unix: {uid: 2000, path: /bin/a}}
",
        )
        .unwrap();
        let check = |caller: UnixCaller, expect: Option<&str>| {
            let seen = registry.identity_of(&caller).ok().map(|id| id.path().to_owned());
            assert_eq!(seen.as_deref(), expect, "{caller:?}");
        };
        check(caller(1000, 1, ""), Some("/any"));
        check(caller(1000, 7, ""), Some("/group"));
        check(caller(1000, 7, "/bin/b"), Some("/group"));
        check(caller(1000, 7, "/bin/a"), Some("/program"));
        check(caller(1001, 7, "/bin/a"), None);
        check(caller(2000, 1, "/bin/a"), None);
        check(caller(2000, 2, "/bin/a"), Some("/two"));
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        let error = parse(
            "entries:
  - {identity: 'spiffe://elsewhere/x', unix: {uid: 1}}
  - {identity: 'spiffe://cluster.local', unix: {uid: 1}}
  - {identity: 'spiffe://cluster.local/postern/authority', unix: {uid: 1}}
  - {identity: 'spiffe://cluster.local/x', unix: {uid: 1, path: bin/a}}
  - {identity: 'spiffe://cluster.local/x', dnsNames: ['*.example']}
  - {identity: 'spiffe://cluster.local/x'}
",
        )
        .unwrap_err()
        .to_string();
        for expect in [
            "line 2 column 5: entry 1: identity `spiffe://elsewhere/x`: it is of another trust domain",
            "entry 2: ",
            "entry 3: ",
            "entry 4: path `bin/a` is not absolute",
            "entry 5: `*.example` is not a DNS name",
            "entry 6: has neither",
        ] {
            assert!(error.contains(expect), "{expect} in {error}");
        }
    }

    #[test]
    fn unknown_and_duplicate_keys_are_errors() {
        for text in [
            "",
            "entrys: []",
            "entries:\n  - {identity: 'spiffe://cluster.local/x', unix: {uid: 1, pid: 2}}",
            "entries:\n  - {identity: 'spiffe://cluster.local/x', uid: 1}",
            "entries: []\nentries: []",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn who_is_listed_vouches_and_nobody_else() {
        let id = |text: &str| SpiffeId::parse(text).unwrap();
        let registry = parse("tokenVouchers: [spiffe://cluster.local/ns/edge/sa/gateway]").unwrap();
        assert!(registry.vouches(&id("spiffe://cluster.local/ns/edge/sa/gateway")));
        assert!(!registry.vouches(&id("spiffe://cluster.local/ns/edge/sa/other")));
        assert!(!Registry::default().vouches(&id("spiffe://cluster.local/ns/edge/sa/gateway")));
        for (text, expect) in [
            ("spiffe://elsewhere/x", "line 1 column 17: tokenVouchers: identity"),
            ("spiffe://cluster.local", "names a trust domain"),
            ("gateway", "tokenVouchers: identity `gateway`"),
        ] {
            let error = parse(&format!("tokenVouchers: [{text}]")).unwrap_err().to_string();
            assert!(error.contains(expect), "{expect} in {error}");
        }
    }

    #[test]
    fn dns_names_follow_the_identity() {
        let registry =
            parse("entries:\n  - {identity: 'spiffe://cluster.local/x', dnsNames: [b.example, a.example]}")
                .unwrap();
        let x = SpiffeId::parse("spiffe://cluster.local/x").unwrap();
        let y = SpiffeId::parse("spiffe://cluster.local/y").unwrap();
        assert_eq!(registry.dns_names(&x), ["a.example", "b.example"]);
        assert!(registry.dns_names(&y).is_empty());
    }
}
