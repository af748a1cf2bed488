//! What we check of the authority's answer before we believe it (F-04). A wrong answer is rejected
//! whole; what is held stays.

use std::time::Duration;

use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{SpiffeId, SvidError, TrustBundle, TrustBundles, X509Svid};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use issuance_messages::IssueResponse;

use crate::renewal::clock_skew::ClockSkew;

/// What an answer must fit.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedAnswer<'a> {
    /// The roots we trust now.
    pub trusted: &'a TrustBundle,
    /// Who we are, when we know already.
    pub identity: Option<&'a SpiffeId>,
    /// The key we asked for.
    pub spki_der: &'a [u8],
    /// Our wall clock, Unix seconds.
    pub now: u64,
    /// What it was measured to differ by from the authority's.
    pub skew: Option<ClockSkew>,
}

/// An answer that holds.
#[derive(Debug)]
pub struct AcceptedAnswer {
    /// The certificate.
    pub svid: X509Svid,
    /// The roots of our trust domain.
    pub bundle: TrustBundle,
}

/// Why an answer is rejected.
#[derive(Debug, thiserror::Error)]
pub enum WrongAnswer {
    /// The chain is empty, or its leaf breaks a rule of the SPIFFE standard.
    #[error("the authority's certificate is no X.509-SVID: {0}")]
    Svid(SvidError),
    /// Another id than ours.
    #[error("the authority answered with a certificate of {seen}, but this agent is {expected}")]
    Identity {
        /// In the certificate.
        seen: SpiffeId,
        /// Ours.
        expected: String,
    },
    /// Another key than the one we made.
    #[error("the authority answered with a certificate of another key than the one we made")]
    Key,
    /// The roots cannot be read, or there are none.
    #[error("the authority's trust bundle cannot be used: {0}")]
    Bundle(String),
    /// The chain does not lead to a root.
    #[error("the authority's certificate does not lead to {roots}: {source}")]
    Chain {
        /// Whose roots.
        roots: &'static str,
        /// The verifier's word.
        source: VerifyError,
    },
    /// Right in everything, but not now.
    #[error("the authority's certificate is not valid now: {source}{skew}")]
    Time {
        /// The verifier's word.
        source: VerifyError,
        /// The difference of the clocks, as the end of a sentence; empty when it is small.
        skew: String,
    },
}

// By hand: the text of the one is part of the other's, so it is no source that would be told again.
impl From<SvidError> for WrongAnswer {
    fn from(error: SvidError) -> Self {
        Self::Svid(error)
    }
}

/// Checks an answer: the leaf's rules, our id, our key, the chain to the roots we trust *and* to
/// those it brings, and the time.
///
/// # Errors
/// [`WrongAnswer`]. The time comes last: with [`WrongAnswer::Time`] everything else was right.
pub fn check(
    answer: &IssueResponse,
    expected: &ExpectedAnswer<'_>,
) -> Result<AcceptedAnswer, WrongAnswer> {
    let chain = certificates(&answer.certificate_chain);
    let svid = X509Svid::parse(chain)?;
    check_identity(svid.id(), expected)?;
    if spki_of(&svid).as_deref() != Some(expected.spki_der) {
        return Err(WrongAnswer::Key);
    }
    let trust_domain = expected.trusted.trust_domain().clone();
    let bundle = TrustBundle::from_der(trust_domain, certificates(&answer.trust_bundle))
        .map_err(|error| WrongAnswer::Bundle(error.to_string()))?;
    if bundle.roots().is_empty() {
        return Err(WrongAnswer::Bundle("it is empty".to_owned()));
    }
    check_chain(&svid, expected.trusted, "the roots we trust", expected)?;
    check_chain(&svid, &bundle, "the roots it came with", expected)?;
    Ok(AcceptedAnswer { svid, bundle })
}

/// The id that an answer's leaf names, whatever else is wrong with it.
#[must_use]
pub fn named_in(answer: &IssueResponse) -> Option<SpiffeId> {
    X509Svid::parse(certificates(&answer.certificate_chain)).ok().map(|svid| svid.id().clone())
}

fn check_identity(seen: &SpiffeId, expected: &ExpectedAnswer<'_>) -> Result<(), WrongAnswer> {
    let wrong = |expected: String| WrongAnswer::Identity { seen: seen.clone(), expected };
    match expected.identity {
        Some(ours) if ours != seen => Err(wrong(ours.to_string())),
        None if seen.trust_domain() != expected.trusted.trust_domain().as_str() => {
            Err(wrong(format!("of trust domain {}", expected.trusted.trust_domain())))
        }
        _ => Ok(()),
    }
}

fn check_chain(
    svid: &X509Svid,
    roots: &TrustBundle,
    name: &'static str,
    expected: &ExpectedAnswer<'_>,
) -> Result<(), WrongAnswer> {
    let bundles = TrustBundles::new([roots.clone()]);
    // `parse` proved that there is a first one.
    let Some((leaf, intermediates)) = svid.chain().split_first() else {
        return Err(SvidError::EmptyChain.into());
    };
    let now_unix = UnixTime::since_unix_epoch(Duration::from_secs(expected.now));
    match verify_peer(&bundles, leaf, intermediates, now_unix, HandshakeSide::Client) {
        Ok(_) => Ok(()),
        Err(source @ VerifyError::Time { .. }) => {
            Err(WrongAnswer::Time { source, skew: ClockSkew::remark(expected.skew) })
        }
        Err(source) => Err(WrongAnswer::Chain { roots: name, source }),
    }
}

fn certificates(ders: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    ders.iter().map(|der| CertificateDer::from(der.clone())).collect()
}

fn spki_of(svid: &X509Svid) -> Option<Vec<u8>> {
    let (_, leaf) = X509Certificate::from_der(svid.chain().first()?).ok()?;
    Some(leaf.public_key().raw.to_vec())
}
