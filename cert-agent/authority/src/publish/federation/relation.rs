//! What becomes of the bundle of one other trust domain: pure decisions, time handed in.

use std::time::Duration;

use back_off::BackOff;
use identity::jwk::{BundleDocument, DocumentError, PassedOver};
use identity::jwt::JwtBundle;
use identity::{TrustBundle, TrustDomain};

/// How soon a bundle is fetched again when its document says nothing (SPIFFE Federation §4.1).
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
/// No hint makes us ask more often.
pub const MIN_REFRESH: Duration = Duration::from_secs(10);
/// No hint makes us ask less often.
pub const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);

/// Reads a bundle in either form, a SPIFFE bundle document or PEM roots, and what of it is passed over.
///
/// # Errors
/// [`DocumentError`]. A PEM text without certificates is one: it is more likely a wrong file than a
/// decision to believe nobody, which an empty `keys` says (F-09).
pub fn read_bundle(
    trust_domain: &TrustDomain,
    text: &[u8],
) -> Result<(BundleDocument, Vec<PassedOver>), DocumentError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.trim_ascii_start().starts_with(b"{") {
        return BundleDocument::read(trust_domain.clone(), text);
    }
    let document = BundleDocument {
        x509: TrustBundle::from_pem(trust_domain.clone(), text)?,
        jwt: JwtBundle::new(trust_domain.clone(), Vec::new())?,
        sequence: None,
        refresh_hint: None,
    };
    Ok((document, Vec::new()))
}

/// What a newly fetched document is to the one held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleVerdict {
    /// It takes the place of the one held.
    Newer,
    /// It says what the one held says.
    Same,
    /// Its sequence is lower: a replica or a cache that is behind. The one held stays (SPIFFE
    /// Federation §4.2).
    Older,
}

/// Compares by the sequence when both have one; otherwise the one fetched last is up to date.
#[must_use]
pub fn judge(held: Option<&BundleDocument>, fetched: &BundleDocument) -> BundleVerdict {
    let Some(held) = held else { return BundleVerdict::Newer };
    match (held.sequence, fetched.sequence) {
        (Some(held), Some(fetched)) if fetched < held => BundleVerdict::Older,
        _ if held.same_keys(fetched)
            && held.sequence == fetched.sequence
            && held.refresh_hint == fetched.refresh_hint =>
        {
            BundleVerdict::Same
        }
        _ => BundleVerdict::Newer,
    }
}

/// How long to wait before the next fetch. `failures` in a row; after one, the next try comes at the
/// next interval all the same (§6.2), except while there is nothing yet.
#[must_use]
pub fn wait(held: Option<&BundleDocument>, failures: u32, jitter: f64) -> Duration {
    let wait = match held {
        Some(held) => held
            .refresh_hint
            .map_or(DEFAULT_REFRESH, Duration::from_secs)
            .clamp(MIN_REFRESH, MAX_REFRESH),
        None => BackOff::new(MIN_REFRESH, DEFAULT_REFRESH).wait_after(failures),
    };
    // A tenth earlier at most, never later: a fleet does not ask in one moment.
    wait.mul_f64(1.0 - 0.1 * jitter.clamp(0.0, 1.0)).max(MIN_REFRESH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn root() -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
    }

    fn name() -> TrustDomain {
        TrustDomain::parse("b.test").unwrap()
    }

    fn document(
        sequence: Option<u64>,
        hint: Option<u64>,
        roots: &[rcgen::Certificate],
    ) -> BundleDocument {
        let roots = roots.iter().map(|root| root.der().clone()).collect();
        BundleDocument {
            x509: TrustBundle::from_der(name(), roots).unwrap(),
            jwt: JwtBundle::new(name(), Vec::new()).unwrap(),
            sequence,
            refresh_hint: hint,
        }
    }

    #[test]
    fn spiffe_federation_4_2_the_sequence_tells_which_is_newer() {
        let roots = [root()];
        let of = |sequence| document(sequence, None, &roots);
        let empty = |sequence| document(sequence, None, &[]);
        let check = |name: &str, held: Option<BundleDocument>, fetched: BundleDocument, expect| {
            assert_eq!(judge(held.as_ref(), &fetched), expect, "{name}");
        };
        check("the first", None, of(Some(1)), BundleVerdict::Newer);
        check("higher", Some(of(Some(1))), of(Some(2)), BundleVerdict::Newer);
        check("lower", Some(of(Some(2))), empty(Some(1)), BundleVerdict::Older);
        check("the same", Some(of(Some(2))), of(Some(2)), BundleVerdict::Same);
        check("without sequence, other keys", Some(of(None)), empty(None), BundleVerdict::Newer);
        check("without sequence, the same", Some(of(None)), of(None), BundleVerdict::Same);
        check("a sequence no more", Some(of(Some(2))), empty(None), BundleVerdict::Newer);
        check("other keys, same sequence", Some(of(Some(2))), empty(Some(2)), BundleVerdict::Newer);
    }

    #[test]
    fn spiffe_trust_domain_and_bundle_4_1_2_the_refresh_hint_is_followed_within_bounds() {
        let of = |hint: Option<u64>| wait(Some(&document(None, hint, &[])), 0, 0.0).as_secs();
        assert_eq!(of(None), 300);
        assert_eq!(of(Some(60)), 60);
        assert_eq!(of(Some(0)), 10);
        assert_eq!(of(Some(u64::MAX)), 86_400);
        let held = document(None, Some(60), &[]);
        assert_eq!(wait(Some(&held), 5, 1.0), Duration::from_secs(54), "after failures too");
        let first: Vec<u64> = (1..8).map(|n| wait(None, n, 0.0).as_secs()).collect();
        assert_eq!(first, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(wait(None, u32::MAX, 1.0), Duration::from_secs(270));
    }

    #[test]
    fn f09_bundle_unreadable_is_told_from_explicitly_empty() {
        let pem = root().pem();
        let read =
            |text: &str| read_bundle(&name(), text.as_bytes()).map(|(d, _)| d.x509.roots().len());
        assert_eq!(read(&pem), Ok(1));
        assert_eq!(read(r#"{"keys": []}"#), Ok(0));
        assert_eq!(read("\u{feff} {\"keys\": []}"), Ok(0));
        for text in ["", "garbage", "{", "{}", r#"{"keys": null}"#, &pem[..60]] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
