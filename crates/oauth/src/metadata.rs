//! What a provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).

use identity::json;
use serde_json::{Map, Value};

use crate::MAX_ANSWER;
use crate::claims::ClaimError;

/// The longest URL of an endpoint, in bytes.
const MAX_URL: usize = 2048;
/// The most entries of a list of methods.
const MAX_METHODS: usize = 64;

/// Why a provider's metadata is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// More than 64 KiB.
    #[error("the provider's metadata is larger than 64 KiB")]
    TooLarge,
    /// No JSON object whose members each stand there once.
    #[error("the provider's metadata is no JSON object whose members each stand there once")]
    NoJson,
    /// `issuer` is not, to the letter, the one that was configured (Discovery §4.3): another provider answers here.
    #[error("the provider's metadata is of another `issuer` than the configured one")]
    Issuer,
    /// A member has another type.
    #[error("the provider's metadata: {0}")]
    Member(#[from] ClaimError),
    /// An endpoint is no plain https URL.
    #[error("the provider's metadata: `{0}` is no https URL without userinfo and fragment")]
    Endpoint(&'static str),
    /// The provider lists methods of PKCE, and S256 is not among them.
    #[error(
        "the provider's metadata: `code_challenge_methods_supported` lacks S256 (RFC 7636 §4.2)"
    )]
    NoS256,
}

/// The metadata of one provider. Endpoints are https URLs without userinfo and fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// Who it is; the same as was configured, to the letter.
    pub issuer: Box<str>,
    /// Where a browser signs in.
    pub authorization_endpoint: Option<Box<str>>,
    /// Where codes and refresh tokens become tokens.
    pub token_endpoint: Option<Box<str>>,
    /// Its keys.
    pub jwks_uri: Option<Box<str>>,
    /// Where a browser signs out (RP-Initiated Logout 1.0 §2.1).
    pub end_session_endpoint: Option<Box<str>>,
    /// RFC 7662.
    pub introspection_endpoint: Option<Box<str>>,
    /// RFC 7009.
    pub revocation_endpoint: Option<Box<str>>,
    /// It puts `iss` into every callback (RFC 9207 §3): one without it is refused.
    pub callbacks_name_issuer: bool,
    /// It tells clients of sign-outs (Back-Channel Logout 1.0 §2.1).
    pub back_channel_logout: bool,
    /// What it says of PKCE; empty: nothing.
    code_challenge_methods: Vec<Box<str>>,
}

/// What a sign-in needs of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInEndpoints<'m> {
    /// Where a browser signs in.
    pub authorization: &'m str,
    /// Where the code becomes tokens.
    pub token: &'m str,
    /// Whose keys sign ID tokens.
    pub keys: &'m str,
}

impl ProviderMetadata {
    /// Reads a discovery document, and believes it only of the issuer that it was fetched for. Members that are not
    /// known are passed over (Discovery §3).
    ///
    /// # Errors
    /// [`MetadataError`].
    pub fn parse(document: &[u8], expected_issuer: &str) -> Result<Self, MetadataError> {
        if document.len() > MAX_ANSWER {
            return Err(MetadataError::TooLarge);
        }
        let members = json::object(document).map_err(|_| MetadataError::NoJson)?;
        if members.get("issuer").and_then(Value::as_str) != Some(expected_issuer) {
            return Err(MetadataError::Issuer);
        }
        Ok(Self {
            issuer: expected_issuer.into(),
            authorization_endpoint: endpoint(&members, "authorization_endpoint")?,
            token_endpoint: endpoint(&members, "token_endpoint")?,
            jwks_uri: endpoint(&members, "jwks_uri")?,
            end_session_endpoint: endpoint(&members, "end_session_endpoint")?,
            introspection_endpoint: endpoint(&members, "introspection_endpoint")?,
            revocation_endpoint: endpoint(&members, "revocation_endpoint")?,
            callbacks_name_issuer: flag(
                &members,
                "authorization_response_iss_parameter_supported",
            )?,
            back_channel_logout: flag(&members, "backchannel_logout_supported")?,
            code_challenge_methods: methods(&members, "code_challenge_methods_supported")?,
        })
    }

    /// What a sign-in needs. A provider that says nothing of PKCE is sent a challenge all the same.
    ///
    /// # Errors
    /// [`MetadataError`]: an endpoint is missing, or the provider has methods of PKCE without S256.
    pub fn for_sign_in(&self) -> Result<SignInEndpoints<'_>, MetadataError> {
        let listed = &self.code_challenge_methods;
        if !listed.is_empty() && !listed.iter().any(|method| &**method == "S256") {
            return Err(MetadataError::NoS256);
        }
        let needed = |endpoint: &'_ Option<Box<str>>, name| {
            endpoint.as_ref().map(|_| ()).ok_or(ClaimError::Missing(name))
        };
        needed(&self.authorization_endpoint, "authorization_endpoint")?;
        needed(&self.token_endpoint, "token_endpoint")?;
        needed(&self.jwks_uri, "jwks_uri")?;
        Ok(SignInEndpoints {
            authorization: self.authorization_endpoint.as_deref().unwrap_or_default(),
            token: self.token_endpoint.as_deref().unwrap_or_default(),
            keys: self.jwks_uri.as_deref().unwrap_or_default(),
        })
    }
}

fn endpoint(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Box<str>>, MetadataError> {
    // Some providers write null for what they do not have.
    let Some(value) = members.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let url = value.as_str().filter(|url| is_plain_https(url));
    url.map(|url| Some(url.into())).ok_or(MetadataError::Endpoint(name))
}

/// https, a host, printable ASCII, and nothing that two readers understand differently.
fn is_plain_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.strip_suffix(']').map_or_else(
        || authority.rsplit_once(':').map_or(authority, |(host, _)| host),
        |_| authority,
    );
    url.len() <= MAX_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&byte))
        && !host.is_empty()
        && !authority.contains('@')
}

fn flag(members: &Map<String, Value>, name: &'static str) -> Result<bool, ClaimError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or(ClaimError::Malformed(name)),
    }
}

fn methods(members: &Map<String, Value>, name: &'static str) -> Result<Vec<Box<str>>, ClaimError> {
    let wrong = ClaimError::Malformed(name);
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MAX_METHODS => {
            let texts = list.iter().map(|method| method.as_str().map(Into::into));
            texts.collect::<Option<_>>().ok_or(wrong)
        }
        Some(_) => Err(wrong),
    }
}
