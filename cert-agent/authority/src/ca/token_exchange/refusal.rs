//! Why no internal JWT was signed.

use identity::SpiffeId;
use identity::jwt::internal::InternalJwtError;

use super::{GLOBAL, PER_IDENTITY};
use crate::ca::holder::HolderError;
use crate::ca::rate::RateLimited;

/// Why. No message holds any part of a token, or what is said of a user.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeRefusal {
    /// Nobody is proven.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// It calls itself otherwise than its certificate does.
    #[error("the client_id is not the certificate's `{0}`")]
    Client(SpiffeId),
    /// For nobody whom we sign internal tokens for.
    #[error("the audience {0}; give the SPIFFE id of a workload of {1}, or spiffe://{1}")]
    Audience(&'static str, String),
    /// Longer than an internal token may be good.
    #[error("a lifetime of {0} s; an internal token is good for 300 s at most")]
    Lifetime(u32),
    /// Neither a user nor a token.
    #[error("the request names nobody; give an assertion or a subject token")]
    NoSubject,
    /// What is said of the user cannot stand in a token.
    #[error("the assertion's {0}")]
    Assertion(&'static str),
    /// A further claim has a name of ours.
    #[error("the claim `{0}` is the authority's to say")]
    OwnClaim(&'static str),
    /// The workload has not been trusted with saying who a user is.
    #[error(
        "`{0}` may not vouch for users; `tokenVouchers` of the authority's registry lists who may"
    )]
    NoVoucher(SpiffeId),
    /// The subject token is not, or no longer, one of ours.
    #[error("the subject token is not good: {0}")]
    SubjectToken(#[from] InternalJwtError),
    /// It is signed by us, but as somebody else.
    #[error("the subject token's `iss` is not ours")]
    Issuer,
    /// The subject token is for somebody else.
    #[error("the subject token is not for `{0}`")]
    NotForHolder(SpiffeId),
    /// One more workload is too many.
    #[error("the subject token has come through 16 workloads already")]
    TooManyActors,
    /// Longer than anybody takes.
    #[error("the token would be longer than 16 KiB")]
    TooLarge,
    /// This workload asks too often.
    #[error(
        "more than {PER_IDENTITY} internal tokens a minute for one workload; keep them while they are good"
    )]
    IdentityRate,
    /// All of them together ask too often.
    #[error("the authority signs {GLOBAL} internal tokens a minute at most; ask again later")]
    GlobalRate,
    /// No key, or a failure of the library.
    #[error("cannot sign a token: {0:#}")]
    Signing(anyhow::Error),
}

impl From<RateLimited> for ExchangeRefusal {
    fn from(limited: RateLimited) -> Self {
        match limited {
            RateLimited::Instance(_) => Self::IdentityRate,
            RateLimited::Global(_) => Self::GlobalRate,
        }
    }
}
