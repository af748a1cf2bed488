//! What an internal JWT says of a user and of the workloads that act for that user: decided without clock and keys.

use identity::SpiffeId;
use identity::json;
use identity::jwt::internal::{
    InternalJwt, MAX_ACTORS, MAX_CLAIMS, OWN_CLAIMS, is_original_issuer, is_user,
};
use issuance_messages::UserAssertion;
use serde_json::{Map, Value, json};

use super::refusal::ExchangeRefusal;

/// What is said.
pub(super) struct Said {
    pub(super) subject: String,
    pub(super) original_issuer: String,
    /// The current one first.
    pub(super) actors: Vec<SpiffeId>,
    pub(super) further: Map<String, Value>,
}

impl Said {
    /// By a workload that is trusted to know its users.
    pub(super) fn by_voucher(
        user: &UserAssertion,
        voucher: &SpiffeId,
    ) -> Result<Self, ExchangeRefusal> {
        let wrong = |what| Err(ExchangeRefusal::Assertion(what));
        // A token that names a workload would be a JWT-SVID: nobody vouches for those.
        if !is_user(&user.subject) {
            return wrong("subject is not 1 to 255 bytes of text, or is a SPIFFE id");
        }
        if !is_original_issuer(&user.original_issuer) {
            return wrong("original issuer is not 1 to 512 bytes of text");
        }
        Ok(Self {
            subject: user.subject.clone(),
            original_issuer: user.original_issuer.clone(),
            actors: vec![voucher.clone()],
            further: further(&user.claims)?,
        })
    }

    /// The same again, with one more workload that acts, unless it is the one that does already.
    pub(super) fn again(token: InternalJwt, actor: &SpiffeId) -> Result<Self, ExchangeRefusal> {
        let mut actors = token.actors;
        if actors.first() != Some(actor) {
            if actors.len() >= MAX_ACTORS {
                return Err(ExchangeRefusal::TooManyActors);
            }
            actors.insert(0, actor.clone());
        }
        Ok(Self {
            subject: token.subject,
            original_issuer: token.original_issuer,
            actors,
            further: token.further,
        })
    }

    /// `act` (RFC 8693 §4.1): the current actor outermost, each earlier one within.
    pub(super) fn act(&self) -> Value {
        let mut act = Value::Null;
        for actor in self.actors.iter().rev() {
            act = match act {
                Value::Null => json!({ "sub": actor.as_str() }),
                earlier => json!({ "sub": actor.as_str(), "act": earlier }),
            };
        }
        act
    }
}

fn further(claims: &str) -> Result<Map<String, Value>, ExchangeRefusal> {
    if claims.is_empty() {
        return Ok(Map::new());
    }
    if claims.len() > MAX_CLAIMS {
        return Err(ExchangeRefusal::Assertion("claims are longer than 4096 bytes"));
    }
    let claims = json::object(claims.as_bytes())
        .map_err(|_| ExchangeRefusal::Assertion("claims are no JSON object, each member once"))?;
    match OWN_CLAIMS.into_iter().find(|name| claims.contains_key(*name)) {
        Some(name) => Err(ExchangeRefusal::OwnClaim(name)),
        None => Ok(claims),
    }
}
