//! What peers are verified with: the bundle of our own trust domain and those of the federated
//! ones, each apart from the others (SPIFFE Federation §4.2).
//!
//! [`accept`] turns the authority's word into that, domain by domain: what cannot be read keeps the
//! last good of its domain, an explicitly empty bundle of another domain means that nobody of it is
//! believed (F-09), and our own is never emptied.

use std::collections::BTreeMap;

use identity::jwt::{JwtBundle, JwtBundles};
use identity::{RevocationLists, TrustBundle, TrustBundles, TrustDomain};
use rustls_pki_types::CertificateDer;

use issuance_messages::{Bundles, TrustDomainBundle};

/// Trust domains in one message, our own among them.
pub const MAX_DOMAINS: usize = 256;
/// The keys that verify JWT-SVIDs when none are known: an empty JWK set (RFC 7517 §5).
const NO_KEYS: &[u8] = br#"{"keys":[]}"#;

/// The bundle of one trust domain.
#[derive(Debug, Clone)]
pub struct DomainBundle {
    /// The X.509 roots, with the revocation lists applied.
    pub roots: TrustBundle,
    /// The keys that verify JWT-SVIDs; none while they are not known, which believes nobody.
    pub jwt: Option<JwtBundle>,
    /// The same as the Workload API gives them: a JWK set without `use` (Workload API §6.2.2).
    pub jwks: Vec<u8>,
    /// Revocation lists, DER.
    pub crls: Vec<Vec<u8>>,
    /// Grows with each change (SPIFFE Trust Domain and Bundle §4.1.1); 0 when not known.
    pub sequence: u64,
    /// Seconds after which a consumer should look again (§4.1.2); 0 when nothing is said.
    pub refresh_hint: u32,
}

impl DomainBundle {
    /// Roots alone, as a PEM file or an answer to a certificate request brings them.
    #[must_use]
    pub fn of_roots(roots: TrustBundle) -> Self {
        Self {
            roots,
            jwt: None,
            jwks: NO_KEYS.to_vec(),
            crls: Vec::new(),
            sequence: 0,
            refresh_hint: 0,
        }
    }

    /// Whose bundle it is.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.roots.trust_domain()
    }
}

impl PartialEq for DomainBundle {
    fn eq(&self, other: &Self) -> bool {
        self.trust_domain() == other.trust_domain()
            && self.roots.roots() == other.roots.roots()
            && self.jwks == other.jwks
            && self.crls == other.crls
            && self.sequence == other.sequence
            && self.refresh_hint == other.refresh_hint
    }
}

impl Eq for DomainBundle {}

/// Our own bundle and the federated ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSet {
    /// Of our own trust domain.
    pub own: DomainBundle,
    /// Of the others, by name.
    pub federated: BTreeMap<TrustDomain, DomainBundle>,
}

impl BundleSet {
    /// Our own roots and nothing else yet.
    #[must_use]
    pub fn of_roots(roots: TrustBundle) -> Self {
        Self { own: DomainBundle::of_roots(roots), federated: BTreeMap::new() }
    }

    /// The same with other roots of our own.
    #[must_use]
    pub fn with_own_roots(&self, roots: TrustBundle) -> Self {
        let roots = roots.with_crls(self.own.roots.crls().clone());
        let own = DomainBundle { roots, ..self.own.clone() };
        Self { own, federated: self.federated.clone() }
    }

    /// Our own first, then the others by name.
    pub fn domains(&self) -> impl Iterator<Item = &DomainBundle> {
        std::iter::once(&self.own).chain(self.federated.values())
    }

    /// Our own roots, as the verifiers take them.
    #[must_use]
    pub fn own_bundles(&self) -> TrustBundles {
        TrustBundles::new([self.own.roots.clone()])
    }

    /// The keys of every trust domain, for the verifier of tokens.
    #[must_use]
    pub fn jwt_bundles(&self) -> JwtBundles {
        JwtBundles::new(self.domains().filter_map(|domain| domain.jwt.clone()))
    }

    /// All revocation lists, DER.
    pub fn crls(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.domains().flat_map(|domain| &domain.crls)
    }
}

/// Why nothing of a message is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedBundles {
    /// The first bundle must be the one of our own trust domain.
    #[error("the authority's bundles do not begin with the one of {0}")]
    NotOurs(TrustDomain),
    /// Taking it would leave us without a root.
    #[error("the authority's bundle of {0} is empty; taking it would leave nobody to trust")]
    Empty(TrustDomain),
    /// Roots or revocation lists of our own trust domain that cannot be read.
    #[error("the authority's bundle of {trust_domain} cannot be used: {reason}")]
    Own {
        /// Ours.
        trust_domain: TrustDomain,
        /// What is wrong with it.
        reason: String,
    },
    /// More trust domains than one agent serves.
    #[error("the authority sent {0} trust domains; an agent takes at most 256")]
    TooMany(usize),
}

/// What a message comes to.
#[derive(Debug)]
pub struct AcceptedBundles {
    /// The trust from now on.
    pub trust: BundleSet,
    /// One sentence for each federated bundle that could not be taken; the last good one of that
    /// domain stays.
    pub complaints: Vec<String>,
}

/// Reads a message. `current` is what is held; its own trust domain is ours.
///
/// # Errors
/// [`RefusedBundles`]: everything stays as it is.
pub fn accept(message: &Bundles, current: &BundleSet) -> Result<AcceptedBundles, RefusedBundles> {
    let ours = current.own.trust_domain();
    if message.bundles.len() > MAX_DOMAINS {
        return Err(RefusedBundles::TooMany(message.bundles.len()));
    }
    let (first, others) = match message.bundles.split_first() {
        Some((first, others)) if first.trust_domain == ours.as_str() => (first, others),
        _ => return Err(RefusedBundles::NotOurs(ours.clone())),
    };
    if first.x509_authorities.is_empty() {
        return Err(RefusedBundles::Empty(ours.clone()));
    }
    let mut complaints = Vec::new();
    let own = read(ours.clone(), first, Some(&current.own), &mut complaints)
        .map_err(|reason| RefusedBundles::Own { trust_domain: ours.clone(), reason })?;
    let mut federated = BTreeMap::new();
    for bundle in others {
        if let Err(reason) = take_federated(bundle, current, &mut federated, &mut complaints) {
            complaints.push(format!("bundle of {:?}: {reason}", bundle.trust_domain));
        }
    }
    Ok(AcceptedBundles { trust: BundleSet { own, federated }, complaints })
}

/// One of another domain; the last good one when this cannot be read.
fn take_federated(
    bundle: &TrustDomainBundle,
    current: &BundleSet,
    federated: &mut BTreeMap<TrustDomain, DomainBundle>,
    complaints: &mut Vec<String>,
) -> Result<(), String> {
    let trust_domain =
        TrustDomain::parse(&bundle.trust_domain).map_err(|error| error.to_string())?;
    if &trust_domain == current.own.trust_domain() || federated.contains_key(&trust_domain) {
        return Err("it comes twice; the first counts".to_owned());
    }
    let last = current.federated.get(&trust_domain);
    let outcome = read(trust_domain.clone(), bundle, last, complaints);
    if let Some(taken) = outcome.as_ref().ok().or(last) {
        federated.insert(trust_domain, taken.clone());
    }
    outcome.map(drop)
}

/// Revocation lists that cannot be read keep the `last` ones; the roots are taken all the same.
fn read(
    trust_domain: TrustDomain,
    bundle: &TrustDomainBundle,
    last: Option<&DomainBundle>,
    complaints: &mut Vec<String>,
) -> Result<DomainBundle, String> {
    let roots =
        bundle.x509_authorities.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let roots = TrustBundle::from_der(trust_domain, roots).map_err(|error| error.to_string())?;
    let jwt = match bundle.jwt_authorities.as_slice() {
        [] => None,
        jwks => Some(
            JwtBundle::parse(roots.trust_domain().clone(), jwks)
                .map_err(|error| format!("its JWT keys: {error}"))?,
        ),
    };
    let (lists, crls) = match RevocationLists::from_der(&bundle.crl) {
        Ok(lists) => (lists, bundle.crl.clone()),
        Err(error) => {
            complaints.push(format!("revocation list of {:?}: {error}", bundle.trust_domain));
            last.map(|last| (last.roots.crls().clone(), last.crls.clone())).unwrap_or_default()
        }
    };
    Ok(DomainBundle {
        jwks: jwt.as_ref().map_or_else(|| NO_KEYS.to_vec(), JwtBundle::to_plain_jwks),
        roots: roots.with_crls(lists),
        jwt,
        crls,
        sequence: bundle.sequence,
        refresh_hint: bundle.refresh_hint,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn root(name: &str) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn bundle(trust_domain: &str, roots: &[Vec<u8>]) -> TrustDomainBundle {
        TrustDomainBundle {
            trust_domain: trust_domain.to_owned(),
            x509_authorities: roots.to_vec(),
            ..TrustDomainBundle::default()
        }
    }

    fn message(bundles: &[TrustDomainBundle]) -> Bundles {
        Bundles { bundles: bundles.to_vec(), server_time: 0 }
    }

    fn ours(root: &[u8]) -> BundleSet {
        let roots = vec![CertificateDer::from(root.to_vec())];
        BundleSet::of_roots(
            TrustBundle::from_der(TrustDomain::parse("ours").unwrap(), roots).unwrap(),
        )
    }

    /// The number of roots by trust domain, and of complaints.
    fn shape(taken: &AcceptedBundles) -> (Vec<(String, usize)>, usize) {
        let domains = taken.trust.domains();
        let roots = domains.map(|d| (d.trust_domain().to_string(), d.roots.roots().len()));
        (roots.collect(), taken.complaints.len())
    }

    #[test]
    fn f09_bundle_unreadable_or_empty() {
        let (a, b) = (root("a"), root("b"));
        let garbage = vec![0x30, 3, 1, 2, 3];
        let current = accept(
            &message(&[
                bundle("ours", std::slice::from_ref(&a)),
                bundle("other", std::slice::from_ref(&b)),
            ]),
            &ours(&a),
        )
        .unwrap()
        .trust;
        let check = |name: &str, bundles: &[TrustDomainBundle], expect: &[(&str, usize)], n| {
            let taken = accept(&message(bundles), &current).unwrap();
            let expect = expect.iter().map(|(name, roots)| ((*name).to_owned(), *roots)).collect();
            assert_eq!(shape(&taken), (expect, n), "{name}");
        };
        let own = bundle("ours", std::slice::from_ref(&a));
        check(
            "unreadable: keeps the last good",
            &[own.clone(), bundle("other", std::slice::from_ref(&garbage))],
            &[("ours", 1), ("other", 1)],
            1,
        );
        check(
            "empty: nobody of it is believed",
            &[own.clone(), bundle("other", &[])],
            &[("ours", 1), ("other", 0)],
            0,
        );
        check("gone: no longer federated", std::slice::from_ref(&own), &[("ours", 1)], 0);
        check(
            "unreadable and never seen before",
            &[own.clone(), bundle("new", std::slice::from_ref(&garbage))],
            &[("ours", 1)],
            1,
        );
        check(
            "one bad domain does not hold up another",
            &[own, bundle("Bad Name", &[]), bundle("new", &[b])],
            &[("ours", 1), ("new", 1)],
            1,
        );
    }

    #[test]
    fn f09_our_own_bundle_is_never_emptied() {
        let a = root("a");
        let current = ours(&a);
        let name = TrustDomain::parse("ours").unwrap();
        let check = |bundles: &[TrustDomainBundle], expect: RefusedBundles| {
            assert_eq!(accept(&message(bundles), &current).unwrap_err(), expect);
        };
        check(&[], RefusedBundles::NotOurs(name.clone()));
        check(&[bundle("other", std::slice::from_ref(&a))], RefusedBundles::NotOurs(name.clone()));
        check(&[bundle("ours", &[])], RefusedBundles::Empty(name));
        let many: Vec<_> = (0..257).map(|n| bundle(&format!("d{n}"), &[])).collect();
        check(&many, RefusedBundles::TooMany(257));
        let unreadable = [bundle("ours", &[vec![1, 2, 3]])];
        assert!(matches!(
            accept(&message(&unreadable), &current).unwrap_err(),
            RefusedBundles::Own { .. }
        ));
        let bad_keys = TrustDomainBundle {
            jwt_authorities: b"{}".to_vec(),
            ..bundle("ours", std::slice::from_ref(&a))
        };
        assert!(accept(&message(&[bad_keys]), &current).is_err());
    }

    #[test]
    fn s28_revocation_an_unreadable_list_keeps_the_last_and_says_so() {
        let (a, b) = (root("a"), root("b"));
        let garbled = |roots: &[Vec<u8>]| TrustDomainBundle {
            crl: vec![vec![0x30, 1, 2]],
            ..bundle("ours", roots)
        };
        let taken = accept(&message(&[garbled(&[a.clone(), b])]), &ours(&a)).unwrap();
        assert_eq!(shape(&taken), (vec![("ours".to_owned(), 2)], 1));
        assert!(taken.complaints[0].starts_with("revocation list of"), "{:?}", taken.complaints);
        assert_eq!(taken.trust.crls().count(), 0);
    }

    #[test]
    fn s24_trust_domain_confusion_a_domain_that_comes_twice_is_not_merged() {
        let (a, b) = (root("a"), root("b"));
        let taken = accept(
            &message(&[
                bundle("ours", std::slice::from_ref(&a)),
                bundle("other", std::slice::from_ref(&a)),
                bundle("other", std::slice::from_ref(&b)),
                bundle("ours", &[b]),
            ]),
            &ours(&a),
        )
        .unwrap();
        assert_eq!(
            shape(&taken),
            (vec![("ours".to_owned(), 1), ("other".to_owned(), 1)], 2),
            "the first counts"
        );
        assert_eq!(taken.trust.own.roots.roots()[0].as_ref(), a);
    }
}
