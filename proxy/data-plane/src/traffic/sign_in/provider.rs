//! What is asked of a SignIn's provider: tokens for a code or a refresh token, and whether an ID token is its own.

use std::sync::Arc;
use std::time::Duration;

use identity::jws::KeySet;
use oauth::{
    Form, IdToken, IdTokenError, IdTokenExpectations, OAuthError, ProviderMetadata, TokenAnswer,
    TokenAnswerError, TokenSignatureError,
};
use policy::{KeySource, SignInPolicy};
use web_fetch::WebForm;

use crate::traffic::provider_client::ProviderClient;
use crate::traffic::state::ProxyState;

/// For an answer of the token endpoint. A person waits.
const DEADLINE: Duration = Duration::from_secs(5);
/// For the keys of an issuer that has rolled them, where a token names one that is not known.
const KEYS_DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks at the keys.
const KEYS_POLL: Duration = Duration::from_millis(50);

/// The provider of one SignIn, of which all that is needed is known.
#[derive(Clone)]
pub(super) struct Provider {
    state: Arc<ProxyState>,
    policy: Arc<SignInPolicy>,
    pub(super) metadata: Arc<ProviderMetadata>,
}

/// Why a provider did not help.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderFailure {
    /// It may help a moment later: no answer, or one without a reason.
    #[error("{0}")]
    Unavailable(String),
    /// It gave tokens, and none of its keys is known to verify them with.
    #[error("no keys of the provider")]
    NoKeys,
    /// It will not.
    #[error("the provider refused: {}", .0.code())]
    Refused(OAuthError),
    /// Its answer proves nothing.
    #[error(transparent)]
    Unproven(#[from] IdTokenError),
}

impl ProviderFailure {
    /// Whether it says only that a token cannot be verified yet: its key is not known here.
    pub(super) fn is_about_keys(&self) -> bool {
        match self {
            Self::NoKeys => true,
            Self::Unproven(error) => is_unknown_key(error),
            Self::Unavailable(_) | Self::Refused(_) => false,
        }
    }
}

impl Provider {
    /// `None`: its document has never been fetched, is a day old, or lacks what a sign-in needs.
    pub(super) fn of(state: &Arc<ProxyState>, policy: &Arc<SignInPolicy>) -> Option<Self> {
        let metadata = state.sign_ins.providers.get(&policy.settings.issuer)?;
        metadata.for_sign_in().ok()?;
        Some(Self { state: state.clone(), policy: policy.clone(), metadata })
    }

    /// Asks the token endpoint, with our proof of who we are.
    pub(super) async fn tokens(&self, form: Form) -> Result<TokenAnswer, ProviderFailure> {
        let unavailable = |error: &dyn std::fmt::Display| {
            let name = &*self.policy.name;
            tracing::warn!(sign_in = name, %error, "no tokens from the provider");
            ProviderFailure::Unavailable(error.to_string())
        };
        let endpoint = self.metadata.token_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| unavailable(&"no token endpoint"))?;
        let form = self.proved(form).map_err(|error| unavailable(&error))?;
        let answer = self.state.provider_calls.post(endpoint, form, DEADLINE).await;
        let answer = answer.map_err(|error| unavailable(&error))?;
        TokenAnswer::read(answer.status.as_u16(), &answer.body).map_err(|error| match error {
            TokenAnswerError::Refused(refused)
                if !refused.is_temporary() && !refused.is_invalid_client() =>
            {
                ProviderFailure::Refused(refused)
            }
            // A wrong secret of ours says nothing about the person.
            TokenAnswerError::Refused(refused) => unavailable(&refused.code()),
            other => unavailable(&other),
        })
    }

    fn proved(&self, form: Form) -> Result<WebForm, &'static str> {
        let Ok(secrets) = &self.policy.secrets else { return Err("the Secret cannot be used") };
        let settings = &self.policy.settings;
        let client = ProviderClient {
            issuer: &settings.issuer,
            id: &settings.client_id,
            credential: &secrets.client,
        };
        client.proved(form, self.state.clock.unix())
    }

    /// Verifies an ID token. A key that is not known may be new: then the keys are fetched again, and waited for.
    pub(super) async fn verified(
        &self,
        token: &str,
        expected: &IdTokenExpectations<'_>,
    ) -> Result<IdToken, ProviderFailure> {
        let now = self.state.clock.unix();
        let verify = |keys: &KeySet| IdToken::verify(token.as_bytes(), keys, expected, now);
        match self.with_keys(verify, is_unknown_key).await {
            Some(verified) => Ok(verified?),
            None => Err(ProviderFailure::NoKeys),
        }
    }

    /// What a check by the provider's keys says; once more with newer ones where it misses one. `None`: there are none.
    pub(super) async fn with_keys<T, E>(
        &self,
        check: impl Fn(&KeySet) -> Result<T, E>,
        misses_key: impl Fn(&E) -> bool,
    ) -> Option<Result<T, E>> {
        let source = KeySource::Discovery(self.policy.settings.issuer.clone());
        let held = || self.state.token_keys.keys().get(&source).cloned();
        let first = held();
        let checked = first.as_deref().map(&check);
        if !checked.as_ref().is_none_or(|checked| checked.as_ref().err().is_some_and(&misses_key)) {
            return checked;
        }
        self.state.token_keys.unknown_key(&source);
        let newer = async {
            loop {
                match held() {
                    Some(keys) if first.as_ref().is_none_or(|first| !Arc::ptr_eq(first, &keys)) => {
                        return keys;
                    }
                    _ => tokio::time::sleep(KEYS_POLL).await,
                }
            }
        };
        match tokio::time::timeout(KEYS_DEADLINE, newer).await {
            Ok(keys) => Some(check(&keys)),
            Err(_) => checked,
        }
    }
}

fn is_unknown_key(error: &IdTokenError) -> bool {
    matches!(error, IdTokenError::Signature(TokenSignatureError::UnknownKey))
}
