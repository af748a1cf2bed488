//! Names: identities, certificates that carry them, paths.

use identity::{RevocationLists, SpiffeId, TrustDomain, X509Svid};
use policy::{CanonicalPath, PathNormalization};
use rustls_pki_types::CertificateDer;

/// SPIFFE ids: what is read has one spelling and falls apart into what it was made of.
pub fn spiffe_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(id) = SpiffeId::parse(text) else { return };
    assert_eq!(id.as_str(), text, "an id is never rewritten");
    assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
    assert!(text.len() <= 2048 && TrustDomain::parse(id.trust_domain()).is_ok());
    assert!(id.path().split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..")));
    if let (Some(namespace), Some(account)) = (id.namespace(), id.service_account()) {
        assert_eq!(id.path(), format!("/ns/{namespace}/sa/{account}"));
    }
}

/// Leaf certificates in DER: what is accepted names a workload.
pub fn leaf(data: &[u8]) {
    let Ok(svid) = X509Svid::parse(vec![CertificateDer::from(data.to_vec())]) else { return };
    assert!(SpiffeId::parse(svid.id().as_str()).is_ok());
    assert_ne!(svid.id().path(), "", "a leaf names a workload, not a trust domain");
}

/// Revocation lists, in DER and in PEM: what is accepted is kept byte for byte.
pub fn crl(data: &[u8]) {
    if let Ok(lists) = RevocationLists::from_der(&[data]) {
        assert_eq!(lists.iter().collect::<Vec<_>>(), [data]);
        assert!(lists.overdue(u64::MAX) <= 1);
    }
    if let Ok(lists) = RevocationLists::from_pem(data) {
        assert!(!lists.is_empty(), "a file without a list is no empty set");
    }
}

/// Request paths: the canonical form is stable, and what is sent on is what was judged.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for level in [
        PathNormalization::None,
        PathNormalization::Base,
        PathNormalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes,
    ] {
        let Ok(path) = CanonicalPath::parse(text, level) else { continue };
        assert!(path.as_str().starts_with('/'), "{text:?} at {level:?}");
        let sent = path.forward().into_owned();
        let again = CanonicalPath::parse(&sent, level);
        let again =
            again.unwrap_or_else(|error| panic!("{text:?} at {level:?} becomes {sent:?}: {error}"));
        assert_eq!(
            (again.as_str(), again.query()),
            (path.as_str(), path.query()),
            "{text:?} at {level:?}"
        );
        if level != PathNormalization::None {
            check_normal(path.as_str(), text, level);
        }
    }
}

fn check_normal(path: &str, text: &str, level: PathNormalization) {
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    let doubled = level != PathNormalization::Base && path.contains("//");
    assert!(!dots && !doubled && !path.contains('\\'), "{text:?} at {level:?} becomes {path:?}");
}
