//! JWT-SVIDs for holders of a live X.509-SVID (`Signing.IssueJwt`).

use std::time::Duration;

use identity::{SpiffeId, TrustBundle};
use parking_lot::Mutex;
use serde_json::json;

use issuance_messages::{IssueJwtRequest, IssueJwtResponse};

use crate::ca::holder::{HolderError, HolderProof};
use crate::ca::jwt_keys::{JwtKeys, JwtSigner, MAX_TOKEN_LIFETIME};
use crate::ca::rate::{IssueRates, PerMinute, RateLimited};
use crate::ca::token_issuer::IssuerUrl;
use crate::clock::RequestTime;

/// The most audiences of one token. One is best (JWT-SVID §3.2).
pub const MAX_AUDIENCES: usize = 16;
/// The longest audience, bytes.
pub const MAX_AUDIENCE: usize = 512;
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
    /// Nobody is proven.
    #[error(transparent)]
    Holder(#[from] HolderError),
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
    issuer: Option<IssuerUrl>,
    rates: Mutex<IssueRates>,
}

impl JwtIssuer {
    /// Tokens that are good for `lifetime`, at most an hour; with `issuer` as their `iss`, and none without.
    #[must_use]
    pub fn new(lifetime: Duration, issuer: Option<IssuerUrl>) -> Self {
        let lifetime = lifetime.as_secs().clamp(1, MAX_TOKEN_LIFETIME);
        Self { lifetime, issuer, rates: Mutex::new(IssueRates::new(PER_IDENTITY, GLOBAL)) }
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
        let proof = HolderProof {
            chain: &request.certificate_chain,
            signed_at: request.signed_at,
            message: &signed_message(request.signed_at, &request.audience),
            signature: &request.signature,
        };
        let id = proof.holder(own, now.wall)?;
        self.rates.lock().take(id.as_str(), now.monotonic)?;
        let signer = keys.now().signer(now.wall).map_err(JwtRefusal::Signing)?;
        let not_after = now.wall.saturating_add(self.lifetime);
        let svid = self
            .sign(&signer, &id, &request.audience, now.wall, not_after)
            .map_err(JwtRefusal::Signing)?;
        tracing::info!(identity = %id, audience = request.audience.join(" "), not_after, "issued a JWT-SVID");
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        Ok(IssueJwtResponse { svid, not_after: seconds(not_after), server_time: seconds(now.wall) })
    }

    /// JWT-SVID §3: `sub`, `aud`, `exp`, and `iat` beside them.
    fn sign(
        &self,
        signer: &JwtSigner,
        id: &SpiffeId,
        audience: &[String],
        now: u64,
        not_after: u64,
    ) -> anyhow::Result<String> {
        let mut claims =
            json!({ "sub": id.as_str(), "aud": audience, "exp": not_after, "iat": now });
        if let (Some(issuer), Some(claims)) = (&self.issuer, claims.as_object_mut()) {
            claims.insert("iss".to_owned(), json!(issuer.as_str()));
        }
        signer.token(&claims)
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
