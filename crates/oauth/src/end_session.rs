//! Where a browser is sent to sign out (OpenID Connect RP-Initiated Logout 1.0 §2).

use crate::form::push_query_field;

/// A logout request.
#[derive(Clone, Copy)]
pub struct EndSessionRequest<'a> {
    /// The provider's `end_session_endpoint`.
    pub endpoint: &'a str,
    /// Ours.
    pub client_id: &'a str,
    /// The ID token of the session, where it is kept; empty: the provider asks the user.
    pub id_token_hint: &'a str,
    /// Where the browser is sent afterwards, one that the provider knows of us; empty: it stays there.
    pub post_logout_redirect_uri: &'a str,
}

impl EndSessionRequest<'_> {
    /// As a URL to redirect to. It holds the ID token: never log it.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.endpoint.to_owned();
        for (name, value) in [
            ("client_id", self.client_id),
            ("id_token_hint", self.id_token_hint),
            ("post_logout_redirect_uri", self.post_logout_redirect_uri),
        ] {
            if !value.is_empty() {
                push_query_field(&mut url, name, value);
            }
        }
        url
    }
}
