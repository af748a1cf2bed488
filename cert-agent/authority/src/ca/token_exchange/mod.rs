//! Internal JWTs (`Signing.ExchangeToken`): which user a request inside the mesh is of, and which workloads act for
//! that user. Few workloads may say who a user is; every workload may pass on what it was told.

pub mod refusal;
mod said;

use std::time::Duration;

use identity::SpiffeId;
use identity::jws::MAX_TOKEN;
use identity::jwt::JwtBundle;
use identity::jwt::internal::verify_internal_jwt;
use parking_lot::Mutex;
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use issuance_messages::exchange_token_request::Subject;

use crate::ca::jwt_keys::JwtKeys;
use crate::ca::leaf;
use crate::ca::rate::{IssueRates, PerMinute};
use crate::ca::token_issuer::TokenIssuer;
use crate::clock::RequestTime;
use crate::store::secret;
use refusal::ExchangeRefusal;
use said::Said;

/// The longest that an internal token is good, seconds.
pub const MAX_LIFETIME: u32 = 300;
/// Tokens a minute for one identity: a gateway asks for one a user, audience and five minutes.
const PER_IDENTITY: u32 = 6_000;
/// Tokens a minute in all.
const GLOBAL: u32 = 60_000;
/// Random bytes of a token's own name.
const TOKEN_ID: usize = 16;

/// Signs internal JWTs.
#[derive(Debug)]
pub struct TokenExchange {
    issuer: TokenIssuer,
    rates: Mutex<IssueRates>,
}

/// What a proven holder asks for.
#[derive(Debug)]
pub struct Exchange<'r> {
    /// Who asks.
    pub holder: &'r SpiffeId,
    /// Whether it may say who a user is.
    pub may_vouch: bool,
    /// For whom the token is.
    pub audience: &'r str,
    /// How long it shall be good, seconds; 0: as long as may be.
    pub lifetime: u32,
    /// Whom it names.
    pub subject: &'r Subject,
}

/// A signed token.
pub struct InternalToken {
    /// JWS compact serialization.
    pub token: Zeroizing<String>,
    /// When it ends, Unix seconds.
    pub not_after: u64,
}

impl TokenExchange {
    /// Signs as `issuer`.
    #[must_use]
    pub fn new(issuer: TokenIssuer) -> Self {
        let rates = IssueRates::new(PerMinute(PER_IDENTITY), PerMinute(GLOBAL));
        Self { issuer, rates: Mutex::new(rates) }
    }

    /// As whom it signs.
    #[must_use]
    pub fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// Answers one request of a proven holder. `published` are the keys that subject tokens are verified by.
    ///
    /// The rate comes first: what is refused counts too, because to verify a token costs as much as to sign one.
    ///
    /// # Errors
    /// [`ExchangeRefusal`].
    pub fn exchange(
        &self,
        asked: &Exchange<'_>,
        published: &JwtBundle,
        keys: &JwtKeys,
        now: RequestTime,
    ) -> Result<InternalToken, ExchangeRefusal> {
        self.rates.lock().take(asked.holder.as_str(), now.monotonic)?;
        self.check_audience(asked.audience)?;
        let wanted = now.wall.saturating_add(lifetime(asked.lifetime)?.into());
        let (said, not_after) = match asked.subject {
            Subject::Assertion(_) if !asked.may_vouch => {
                return Err(ExchangeRefusal::NoVoucher(asked.holder.clone()));
            }
            Subject::Assertion(user) => (Said::by_voucher(user, asked.holder)?, wanted),
            Subject::SubjectToken(token) => {
                self.delegated(token, asked.holder, published, now.wall, wanted)?
            }
        };
        let token_id = secret::random_hex::<TOKEN_ID>();
        let claims = self.claims(&said, asked.audience, now.wall, not_after, &token_id);
        let signer = keys.now().signer(now.wall).map_err(ExchangeRefusal::Signing)?;
        let token = Zeroizing::new(signer.token(&claims).map_err(ExchangeRefusal::Signing)?);
        if token.len() > MAX_TOKEN {
            return Err(ExchangeRefusal::TooLarge);
        }
        tracing::info!(
            actor = %asked.holder,
            kind = asked.subject.kind(),
            audience = asked.audience,
            original_issuer = said.original_issuer,
            actors = said.actors.len(),
            token_id,
            not_after,
            "issued an internal token"
        );
        Ok(InternalToken { token, not_after })
    }

    /// A workload of our trust domain, or all of them.
    fn check_audience(&self, audience: &str) -> Result<(), ExchangeRefusal> {
        if audience == self.issuer.mesh() {
            return Ok(());
        }
        let trust_domain = self.issuer.trust_domain().as_str();
        SpiffeId::parse(audience)
            .map_err(|_| "is no SPIFFE id")
            .and_then(|id| leaf::check_workload_id(trust_domain, &id).map_err(|_| "is not ours"))
            .map_err(|reason| ExchangeRefusal::Audience(reason, trust_domain.to_owned()))
    }

    /// What a subject token says, and until when it may be said again: no longer than by itself.
    fn delegated(
        &self,
        token: &str,
        holder: &SpiffeId,
        published: &JwtBundle,
        now: u64,
        wanted: u64,
    ) -> Result<(Said, u64), ExchangeRefusal> {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
        // No leeway: an authority signed it, and their clocks are one.
        let token = verify_internal_jwt(token, published, at, 0)?;
        if !self.issuer.is_ours(&token.issuer) {
            return Err(ExchangeRefusal::Issuer);
        }
        let mesh = self.issuer.mesh();
        if !token.audience.iter().any(|named| named == holder.as_str() || *named == mesh) {
            return Err(ExchangeRefusal::NotForHolder(holder.clone()));
        }
        let not_after = token.expires.min(wanted);
        Ok((Said::again(token, holder)?, not_after))
    }

    fn claims(
        &self,
        said: &Said,
        audience: &str,
        now: u64,
        not_after: u64,
        token_id: &str,
    ) -> Value {
        // Ours are written over whatever stands there.
        let mut claims = said.further.clone();
        for (name, value) in [
            ("iss", json!(self.issuer.name())),
            ("sub", json!(said.subject)),
            ("aud", json!([audience])),
            ("exp", json!(not_after)),
            ("iat", json!(now)),
            ("jti", json!(token_id)),
            ("act", said.act()),
            ("orig_iss", json!(said.original_issuer)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        Value::Object(claims)
    }
}

fn lifetime(wanted: u32) -> Result<u32, ExchangeRefusal> {
    match wanted {
        0 => Ok(MAX_LIFETIME),
        1..=MAX_LIFETIME => Ok(wanted),
        more => Err(ExchangeRefusal::Lifetime(more)),
    }
}
