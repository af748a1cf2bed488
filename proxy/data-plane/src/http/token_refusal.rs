//! Why a presented token was refused: one list, with the stable codes.

use identity::jws::JwsError;

/// Why a presented token was refused; always 401 (RFC 6750 §3.1). Never holds any part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// More than one token: which of them counts must not depend on the reader.
    #[error("more than one token in the request; send one, in one place")]
    TwoTokens,
    /// Longer than [`identity::jws::MAX_TOKEN`].
    #[error("the token is longer than 16 KiB")]
    TooLarge,
    /// No compact JWS of strict JSON.
    #[error("malformed token: {0}")]
    Malformed(&'static str),
    /// `alg` is none that a public key of the issuer is for.
    #[error("the token's algorithm is not one of RS, PS, ES or EdDSA, or not the key's")]
    Algorithm,
    /// No rule believes this issuer's tokens in this place.
    #[error("no RequestAuthentication believes this issuer's tokens in this place of a request")]
    UnknownIssuer,
    /// The issuer's keys have never been fetched, or are too old.
    #[error(
        "no keys of the issuer are at hand; see the log for what keeps them from being fetched"
    )]
    NoKeys,
    /// No usable key of the issuer fits the token.
    #[error("the issuer has no usable key of the token's `kid`")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or of a wrong type.
    #[error("claims: {0}")]
    Claims(&'static str),
    /// None of the audiences is ours.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A TokenPolicy names the workloads that may present it, and the peer is none of them; or it is a token of the mesh, and
    /// the peer is no workload of it.
    #[error(
        "this peer may not present tokens of this issuer (TokenPolicy `principals`; tokens of the mesh: its workloads)"
    )]
    Presenter,
    /// A TokenPolicy wants bound tokens, and this one is not.
    #[error("the token is bound to no key (TokenPolicy `confirmation: REQUIRED`)")]
    Unbound,
    /// The token is bound to a certificate, and the peer's is another one (RFC 8705 §3).
    #[error("the token is bound to another client certificate")]
    Certificate,
    /// The token is bound to a key, and the proof is missing or wrong (RFC 9449 §4.3).
    #[error("proof of possession: {0}")]
    Proof(&'static str),
    /// The proof was used before (RFC 9449 §11.1).
    #[error("the proof of possession was used before")]
    ProofRepeated,
    /// A TokenRevocation lists it.
    #[error("the token is revoked (TokenRevocation)")]
    Revoked,
    /// Its issuer says that it is not active (RFC 7662 §2.2): expired, revoked, or never issued.
    #[error("its issuer says that the token is not active")]
    Inactive,
}

impl TokenRefusal {
    /// The stable code for `x-postern-reason`, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoTokens => "two_tokens",
            Self::TooLarge => "token_too_large",
            Self::Malformed(_) => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::UnknownIssuer => "token_issuer_unknown",
            Self::NoKeys => "token_keys_unavailable",
            Self::UnknownKey => "token_key_unknown",
            Self::Signature => "token_signature",
            Self::Claims(_) => "token_claims",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Presenter => "token_presenter",
            Self::Unbound => "token_unbound",
            Self::Certificate => "token_certificate",
            Self::Proof(_) => "token_proof",
            Self::ProofRepeated => "token_proof_repeated",
            Self::Revoked => "token_revoked",
            Self::Inactive => "token_inactive",
        }
    }

    /// The challenge that tells a client what is wrong (RFC 6750 §3, RFC 9449 §7.1).
    #[must_use]
    pub fn challenge(self) -> &'static str {
        match self {
            Self::Proof(_) | Self::ProofRepeated => "DPoP error=\"invalid_dpop_proof\"",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

impl From<JwsError> for TokenRefusal {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::TooLarge => Self::TooLarge,
            JwsError::Malformed(reason) => Self::Malformed(reason),
            JwsError::Extension(_) => Self::Malformed("a header of `crit`, `enc` or `zip`"),
            JwsError::Algorithm => Self::Algorithm,
            JwsError::Unsigned => Self::Malformed("no signature"),
            JwsError::SignatureEncoding => Self::Signature,
        }
    }
}
