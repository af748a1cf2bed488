//! Why a request that needs a signed-in person was refused: one list, with the stable codes.

use http::StatusCode;
use serde_json::json;

/// Why a request was refused where a SignIn is in force. Never holds any part of a cookie, a token or a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// Nobody is signed in, and whoever asks could do nothing with a redirect.
    #[error("nobody is signed in")]
    Required,
    /// Somebody is signed in, but not in the way that the path asks for (RFC 9470).
    #[error("the path asks for another or a newer authentication")]
    StepUp,
    /// What the path asks for can be met by no authentication: the `stepUp` items about it contradict each other.
    #[error("no authentication meets all that `stepUp` asks for this path")]
    StepUpImpossible,
    /// One reading of the path is guarded by one SignIn, and another by another one.
    #[error("the path can be read in two ways, which two SignIns guard")]
    Ambiguous,
    /// The provider cannot be asked, or the SignIn cannot be used.
    #[error("nobody can sign in: {0}")]
    Unavailable(&'static str),
    /// The store of sessions does not answer.
    #[error("the store of sessions does not answer")]
    Store,
    /// Sign-in over a listener without TLS: cookies would be anybody's.
    #[error("the listener has no TLS")]
    Clear,
    /// A request that ends a session comes from another origin.
    #[error("the logout does not come from a page of the host itself")]
    CrossOrigin,
    /// The path is one of the sign-in, which takes this method alone.
    #[error("the path of the sign-in takes {0} alone")]
    Method(&'static str),
    /// The sign-in was not completed.
    #[error("the sign-in failed: {0}")]
    Failed(&'static str),
    /// One address completes too many sign-ins.
    #[error("too many sign-ins come from the address of the client")]
    Limited,
    /// The provider says that this person may not sign in.
    #[error("the provider refuses the sign-in")]
    Refused,
    /// The session does not fit into cookies.
    #[error(
        "the session does not fit into `session.maxCookies` cookies; name fewer `session.claims`, or keep sessions in \
         `store: redis`"
    )]
    TooLarge,
    /// A logout token is not accepted (OpenID Connect Back-Channel Logout 1.0 §2.6).
    #[error("the logout token is refused: {0}")]
    LogoutToken(&'static str),
}

impl SignInRefusal {
    /// The status for the caller.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Required | Self::StepUp => StatusCode::UNAUTHORIZED,
            Self::Unavailable(_) | Self::Store => StatusCode::SERVICE_UNAVAILABLE,
            Self::StepUpImpossible | Self::Clear | Self::CrossOrigin | Self::Refused => {
                StatusCode::FORBIDDEN
            }
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Ambiguous | Self::Failed(_) | Self::LogoutToken(_) => StatusCode::BAD_REQUEST,
            Self::Limited => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code for `x-postern-reason`, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "sign_in_required",
            Self::StepUp => "step_up_required",
            Self::StepUpImpossible => "step_up_impossible",
            Self::Ambiguous => "sign_in_ambiguous",
            Self::Unavailable(_) => "sign_in_unavailable",
            Self::Store => "session_store_unavailable",
            Self::Clear => "sign_in_needs_tls",
            Self::CrossOrigin => "logout_cross_origin",
            Self::Method(_) => "sign_in_method",
            Self::Failed(_) => "sign_in_failed",
            Self::Limited => "sign_in_limited",
            Self::Refused => "sign_in_refused",
            Self::TooLarge => "session_too_large",
            Self::LogoutToken(_) => "logout_token_refused",
        }
    }

    /// What a person is told, and the `title` of the problem that a program is told.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Required => "Nobody is signed in",
            Self::StepUp => "Sign in once more to go on",
            Self::StepUpImpossible => "No sign-in is good enough for this page",
            Self::Ambiguous => "This address can be read in two ways",
            Self::Unavailable(_) => "Nobody can sign in at the moment",
            Self::Store => "Sessions cannot be looked up at the moment",
            Self::Clear => "Signing in needs https",
            Self::CrossOrigin => "A page of another site cannot sign you out",
            Self::Method(_) => "This address is not asked in this way",
            Self::Failed(_) => "The sign-in was not completed",
            Self::Limited => "Too many sign in at once",
            Self::Refused => "You were not let in",
            Self::TooLarge => "The session is too large",
            Self::LogoutToken(_) => "The logout token is refused",
        }
    }

    /// The scheme of a 401 (RFC 9110 §11.6.1 wants one); for a step-up that of RFC 9470 §3.
    #[must_use]
    pub fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Required => Some("SignIn"),
            Self::StepUp => Some("SignIn error=\"insufficient_user_authentication\""),
            _ => None,
        }
    }

    /// The methods of a 405 (RFC 9110 §10.2.1).
    #[must_use]
    pub fn allow(self) -> Option<&'static str> {
        match self {
            Self::Method(method) => Some(method),
            _ => None,
        }
    }

    /// The body for a program: problem details (RFC 9457).
    #[must_use]
    pub fn problem(self) -> String {
        json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status().as_u16(),
            "reason": self.as_str(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::RequestError;

    #[test]
    fn what_a_program_is_told() {
        for (refusal, status, reason, challenge, allow) in [
            (SignInRefusal::Required, 401, "sign_in_required", Some("SignIn"), None),
            (
                SignInRefusal::StepUp,
                401,
                "step_up_required",
                Some("SignIn error=\"insufficient_user_authentication\""),
                None,
            ),
            (SignInRefusal::StepUpImpossible, 403, "step_up_impossible", None, None),
            (SignInRefusal::Ambiguous, 400, "sign_in_ambiguous", None, None),
            (SignInRefusal::Unavailable("x"), 503, "sign_in_unavailable", None, None),
            (SignInRefusal::Store, 503, "session_store_unavailable", None, None),
            (SignInRefusal::Clear, 403, "sign_in_needs_tls", None, None),
            (SignInRefusal::CrossOrigin, 403, "logout_cross_origin", None, None),
            (SignInRefusal::Method("POST"), 405, "sign_in_method", None, Some("POST")),
            (SignInRefusal::Failed("x"), 400, "sign_in_failed", None, None),
            (SignInRefusal::Limited, 429, "sign_in_limited", None, None),
            (SignInRefusal::Refused, 403, "sign_in_refused", None, None),
            (SignInRefusal::TooLarge, 500, "session_too_large", None, None),
            (SignInRefusal::LogoutToken("x"), 400, "logout_token_refused", None, None),
        ] {
            let response = RequestError::SignIn(refusal).response(false);
            let field = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            assert_eq!(response.status().as_u16(), status, "{reason}");
            assert_eq!(field("x-postern-reason"), Some(reason));
            assert_eq!(field("content-type"), Some("application/problem+json"), "{reason}");
            assert_eq!(field("cache-control"), Some("no-store"), "{reason}");
            assert_eq!(field("www-authenticate"), challenge, "{reason}");
            assert_eq!(field("allow"), allow, "{reason}");
            assert_eq!(field("location"), None, "{reason}");
            let problem = refusal.problem();
            assert!(problem.contains(reason) && problem.contains(refusal.title()), "{problem}");
        }
    }
}
