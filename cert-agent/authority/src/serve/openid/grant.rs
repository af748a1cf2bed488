//! The form of a token exchange (RFC 8693 §2.1) and the errors that answer it (§2.2.2, RFC 6749 §5.2).

use http::StatusCode;
use oauth::parse_form;
use zeroize::Zeroizing;

use crate::ca::token_exchange::refusal::ExchangeRefusal;

/// The grant.
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The only kind of token that is taken and given (RFC 8693 §3).
pub(super) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The longest form: a token of 16 KiB, and names.
pub(super) const MAX_FORM: usize = 24 * 1024;

/// What is asked for.
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) subject_token: Zeroizing<String>,
    pub(super) audience: String,
}

/// An error as the client hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrantError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) description: String,
}

impl GrantError {
    pub(super) fn new(code: &'static str, description: impl Into<String>) -> Self {
        let status = match code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, code, description: description.into() }
    }

    fn later(status: StatusCode, description: impl Into<String>) -> Self {
        Self { status, code: "temporarily_unavailable", description: description.into() }
    }
}

impl Grant {
    /// Reads the form. What the standards know and we do not do is refused by name; what they do not know is passed
    /// over (RFC 6749 §3.2).
    pub(super) fn read(form: &str) -> Result<Self, GrantError> {
        let fields = parse_form(form, MAX_FORM)
            .map_err(|error| GrantError::new("invalid_request", format!("the form: {error}")))?;
        let find = |name: &str| {
            let field = fields.iter().find(|(field, _)| field == name);
            field.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let wanted = |name: &str| {
            find(name).ok_or_else(|| GrantError::new("invalid_request", format!("no {name}")))
        };
        if wanted("grant_type")? != TOKEN_EXCHANGE {
            return Err(GrantError::new("unsupported_grant_type", "token exchange alone"));
        }
        for (name, code) in [
            ("resource", "invalid_target"),
            ("scope", "invalid_scope"),
            ("actor_token", "invalid_request"),
            ("client_secret", "invalid_client"),
            ("client_assertion", "invalid_client"),
        ] {
            if find(name).is_some() {
                return Err(GrantError::new(code, format!("{name} is not taken here")));
            }
        }
        let given = wanted("subject_token_type")?;
        if given != JWT || find("requested_token_type").is_some_and(|wanted| wanted != JWT) {
            return Err(GrantError::new("invalid_request", format!("tokens are of type {JWT}")));
        }
        Ok(Self {
            client_id: wanted("client_id")?.to_owned(),
            subject_token: Zeroizing::new(wanted("subject_token")?.to_owned()),
            audience: wanted("audience")?.to_owned(),
        })
    }
}

impl From<&ExchangeRefusal> for GrantError {
    fn from(refusal: &ExchangeRefusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            ExchangeRefusal::Holder(_) | ExchangeRefusal::Client(_) => {
                Self::new("invalid_client", text)
            }
            ExchangeRefusal::Audience(..) => Self::new("invalid_target", text),
            ExchangeRefusal::IdentityRate => Self::later(StatusCode::TOO_MANY_REQUESTS, text),
            ExchangeRefusal::GlobalRate => Self::later(StatusCode::SERVICE_UNAVAILABLE, text),
            ExchangeRefusal::Signing(_) => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "the authority cannot sign now")
            }
            // RFC 8693 §2.2.2 has this one code for a token that is not good, and for one that is not accepted.
            _ => Self::new("invalid_request", text),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn form(changes: &[(&str, &str)]) -> String {
        let mut fields = vec![
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", "a.b.c"),
            ("subject_token_type", JWT),
            ("audience", "spiffe://cluster.local"),
            ("client_id", "spiffe://cluster.local/ns/shop/sa/cart"),
        ];
        for (name, value) in changes {
            fields.retain(|(field, _)| field != name);
            fields.push((name, value));
        }
        let mut written = oauth::Form::new();
        for (name, value) in fields {
            written = written.with(name, value);
        }
        written.into_body().to_string()
    }

    #[test]
    fn the_form_of_a_token_exchange() {
        for (row, changes, expect) in [
            ("as it is meant", &[][..], None),
            ("the type wanted", &[("requested_token_type", JWT)], None),
            ("what nobody knows", &[("colour", "blue")], None),
            ("no grant", &[("grant_type", "")], Some("invalid_request")),
            ("another", &[("grant_type", "password")], Some("unsupported_grant_type")),
            ("no token", &[("subject_token", "")], Some("invalid_request")),
            ("no type", &[("subject_token_type", "")], Some("invalid_request")),
            ("another type", &[("subject_token_type", "saml2")], Some("invalid_request")),
            ("another wanted", &[("requested_token_type", "saml2")], Some("invalid_request")),
            ("for nobody", &[("audience", "")], Some("invalid_request")),
            ("nobody asks", &[("client_id", "")], Some("invalid_request")),
            ("a resource", &[("resource", "https://a.example")], Some("invalid_target")),
            ("a scope", &[("scope", "all")], Some("invalid_scope")),
            ("another actor", &[("actor_token", "a.b.c")], Some("invalid_request")),
            ("a secret", &[("client_secret", "a")], Some("invalid_client")),
            ("an assertion", &[("client_assertion", "a.b.c")], Some("invalid_client")),
        ] {
            let refused = Grant::read(&form(changes)).err().map(|error| error.code);
            assert_eq!(refused, expect, "{row}");
        }
        let twice = format!("{}&audience=spiffe%3A%2F%2Fcluster.local", form(&[]));
        assert_eq!(Grant::read(&twice).err().unwrap().code, "invalid_request");
        let long = form(&[("subject_token", &"a".repeat(MAX_FORM))]);
        assert_eq!(Grant::read(&long).err().unwrap().code, "invalid_request");
    }
}
