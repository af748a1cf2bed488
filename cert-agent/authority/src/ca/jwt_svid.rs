//! JWT-SVIDs for holders of a live X.509-SVID (`Signing.IssueJwt`).
//!
//! The name comes from the verified leaf and from nowhere else: the request has no field for one.
//! The signature proves that whoever asks holds the leaf's key, over TLS and the unix socket alike.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::verify::{HandshakeSide, VerifyError, verify_peer};
use identity::{SpiffeId, TrustBundle, TrustBundles};
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use issuance_messages::{IssueJwtRequest, IssueJwtResponse};

use crate::ca::jwt_keys::{JwtKeys, JwtSigner, MAX_TOKEN_LIFETIME};
use crate::ca::leaf;
use crate::ca::rate::{IssueRates, PerMinute, RateLimited};
use crate::clock::RequestTime;

/// The most audiences of one token. One is best (JWT-SVID §3.2).
pub const MAX_AUDIENCES: usize = 16;
/// The longest audience, bytes.
pub const MAX_AUDIENCE: usize = 512;
/// How far the caller's clock may be off, seconds.
const MAX_SKEW: u64 = 60;
/// What the caller signs begins with this and a zero byte.
const CONTEXT: &[u8] = b"postern jwt request v1\0";
/// Tokens a minute for one identity: one for each of a hundred audiences, renewed at half of five
/// minutes, leaves some.
const PER_IDENTITY: PerMinute = PerMinute(60);
/// Tokens a minute in all.
const GLOBAL: PerMinute = PerMinute(60_000);
/// How long a token is good when nothing else is said.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// Why no token was signed.
#[derive(Debug, thiserror::Error)]
pub enum JwtRefusal {
    /// No audience, too many, or one that is empty or too long.
    #[error("the request has {0}; give 1 to 16 audiences of 1 to 512 bytes")]
    Audience(&'static str),
    /// The caller's clock is off, or the request is an old one.
    #[error(
        "the request was signed {0} s from our time; within 60 s it would do. Check the clocks"
    )]
    Clock(u64),
    /// The chain does not verify.
    #[error(transparent)]
    Chain(#[from] VerifyError),
    /// No certificate at all.
    #[error("the request has no certificate")]
    NoCertificate,
    /// The chain verifies, but is not of our trust domain.
    #[error("`{0}` gets no JWT-SVID here: {1}")]
    Identity(SpiffeId, &'static str),
    /// The signature is not by the leaf's key.
    #[error("the request is not signed by the certificate's key (ECDSA P-256 with SHA-256)")]
    Signature,
    /// Too often.
    #[error(transparent)]
    Limited(#[from] RateLimited),
    /// No key, or a failure of the library.
    #[error("cannot sign a token: {0:#}")]
    Signing(anyhow::Error),
}

/// Signs tokens.
#[derive(Debug)]
pub struct JwtIssuer {
    lifetime: u64,
    rates: Mutex<IssueRates>,
}

impl JwtIssuer {
    /// Tokens that are good for `lifetime`, at most an hour.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        let lifetime = lifetime.as_secs().clamp(1, MAX_TOKEN_LIFETIME);
        Self { lifetime, rates: Mutex::new(IssueRates::new(PER_IDENTITY, GLOBAL)) }
    }

    /// Answers one request. `own` is the bundle of our trust domain with its revocation lists.
    ///
    /// The order: what is cheap first, the rate after the proof, so that nobody without a
    /// certificate uses it up for the one who has it.
    ///
    /// # Errors
    /// [`JwtRefusal`].
    pub fn issue(
        &self,
        request: &IssueJwtRequest,
        own: &TrustBundle,
        keys: &JwtKeys,
        now: RequestTime,
    ) -> Result<IssueJwtResponse, JwtRefusal> {
        check_audience(&request.audience)?;
        check_clock(request.signed_at, now.wall)?;
        let id = proven_holder(request, own, now.wall)?;
        self.rates.lock().take(id.as_str(), now.monotonic)?;
        let signer = keys.now().signer(now.wall).map_err(JwtRefusal::Signing)?;
        let not_after = now.wall.saturating_add(self.lifetime);
        let svid = sign(&signer, &id, &request.audience, now.wall, not_after)
            .map_err(JwtRefusal::Signing)?;
        tracing::info!(identity = %id, audience = request.audience.join(" "), not_after, "issued a JWT-SVID");
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        Ok(IssueJwtResponse { svid, not_after: seconds(not_after), server_time: seconds(now.wall) })
    }
}

fn check_audience(audience: &[String]) -> Result<(), JwtRefusal> {
    if audience.is_empty() {
        return Err(JwtRefusal::Audience("no audience"));
    }
    if audience.len() > MAX_AUDIENCES {
        return Err(JwtRefusal::Audience("too many audiences"));
    }
    if audience.iter().any(|one| !(1..=MAX_AUDIENCE).contains(&one.len())) {
        return Err(JwtRefusal::Audience("an audience that is empty or too long"));
    }
    Ok(())
}

fn check_clock(signed_at: i64, now: u64) -> Result<(), JwtRefusal> {
    let apart = u64::try_from(signed_at).map_or(u64::MAX, |signed_at| signed_at.abs_diff(now));
    if apart > MAX_SKEW { Err(JwtRefusal::Clock(apart)) } else { Ok(()) }
}

/// Who asks: the chain verified against our own roots at this moment, and the key's signature.
fn proven_holder(
    request: &IssueJwtRequest,
    own: &TrustBundle,
    now: u64,
) -> Result<SpiffeId, JwtRefusal> {
    let chain: Vec<CertificateDer<'_>> =
        request.certificate_chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let (certificate, intermediates) = chain.split_first().ok_or(JwtRefusal::NoCertificate)?;
    let bundles = TrustBundles::new([own.clone()]);
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let id = verify_peer(&bundles, certificate, intermediates, at, HandshakeSide::Client)?;
    leaf::check_workload_id(own.trust_domain().as_str(), &id)
        .map_err(|reason| JwtRefusal::Identity(id.clone(), reason))?;
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| JwtRefusal::Signature)?;
    let key = &parsed.public_key().subject_public_key.data;
    let message = signed_message(request.signed_at, &request.audience);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&message, &request.signature)
        .map_err(|_| JwtRefusal::Signature)?;
    Ok(id)
}

/// What `proto/authority.proto` says is signed. Each audience has its length before it, so that no
/// two requests have one message.
#[must_use]
pub fn signed_message(signed_at: i64, audience: &[String]) -> Vec<u8> {
    let mut message = CONTEXT.to_vec();
    message.extend_from_slice(&signed_at.to_be_bytes());
    for one in audience {
        let length = u32::try_from(one.len()).unwrap_or(u32::MAX);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(one.as_bytes());
    }
    message
}

/// JWT-SVID §2, §3: `alg`, `kid` and `typ` only; `sub`, `aud`, `exp`, and `iat` beside them.
fn sign(
    signer: &JwtSigner,
    id: &SpiffeId,
    audience: &[String],
    now: u64,
    not_after: u64,
) -> anyhow::Result<String> {
    let header = json!({ "alg": "ES256", "kid": signer.kid(), "typ": "JWT" });
    let claims = json!({ "sub": id.as_str(), "aud": audience, "exp": not_after, "iat": now });
    let encode = |part: String| URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = signer.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
