//! OAuth 2.0 and OpenID Connect as a client speaks them: what is sent to a provider, and what of its answers is
//! believed.
//!
//! There is no socket and no clock in it: bytes and Unix seconds are handed in, texts to send are handed out. Every
//! reader is bounded and strict: JSON members and parameters that stand there twice are refused, and nothing that a
//! provider or a browser sends is repeated in an error.
//!
//! | step | here | standard |
//! |---|---|---|
//! | discovery | [`ProviderMetadata::parse`] | OpenID Connect Discovery 1.0 §4, RFC 8414 |
//! | to the provider | [`AuthorizationRequest::url`], [`CodeVerifier`] | RFC 6749 §4.1.1, RFC 7636, OpenID Connect Core §3.1.2.1 |
//! | back from it | [`CallbackQuery::parse`], [`CallbackQuery::check_issuer`] | RFC 6749 §4.1.2, RFC 9207 |
//! | tokens | [`authorization_code`], [`refresh_token`], [`client_credentials`], [`ClientAuthentication::request`] | RFC 6749 §4.1.3, §6, §4.4, RFC 7523 |
//! | their answer | [`TokenAnswer::read`] | RFC 6749 §5 |
//! | who it is | [`IdToken::verify`] | OpenID Connect Core §3.1.3.7, §12.2 |
//! | the end | [`EndSessionRequest::url`], [`LogoutToken::verify`] | RP-Initiated Logout 1.0, Back-Channel Logout 1.0 |
//! | tokens of others | [`introspection`], [`IntrospectionAnswer::parse`], [`revocation`] | RFC 7662, RFC 7009 |

mod assertion;
mod authorization;
mod callback;
mod claims;
mod client;
mod constant_time;
mod end_session;
mod error;
mod form;
mod id_token;
mod introspection;
mod logout_token;
mod metadata;
mod random;
mod signature;
mod token_answer;
mod token_request;

#[cfg(test)]
mod test_provider;
#[cfg(test)]
mod tests;

pub use assertion::{AssertionKey, AssertionKeyError};
pub use authorization::{AuthorizationRequest, CodeVerifier};
pub use callback::{CallbackError, CallbackQuery, Outcome};
pub use claims::ClaimError;
pub use client::{AssertionFacts, ClientAuthentication, ClientRequest, ClientSecret, NotSigned};
pub use constant_time::is_same_text;
pub use end_session::EndSessionRequest;
pub use error::OAuthError;
pub use form::{Form, FormError, parse_form};
pub use id_token::{IdToken, IdTokenError, IdTokenExpectations};
pub use introspection::{IntrospectedToken, IntrospectionAnswer};
pub use logout_token::{LogoutToken, LogoutTokenError, logout_token_of};
pub use metadata::{MetadataError, ProviderMetadata, SignInEndpoints};
pub use random::{NoRandomness, random_text};
pub use signature::TokenSignatureError;
pub use token_answer::{AnswerError, TokenAnswer, TokenAnswerError};
pub use token_request::{
    authorization_code, client_credentials, introspection, refresh_token, revocation,
};

/// The largest answer of a provider that is read, in bytes: metadata of real providers have less than 8 KiB, token
/// answers three tokens of 16 KiB at most.
pub const MAX_ANSWER: usize = 64 * 1024;
/// How far a provider's clock may differ from ours, in seconds.
pub const LEEWAY: u64 = 30;
