//! The keys that cookies are sealed with.

use std::fmt;

use zeroize::Zeroizing;

use super::{SignInSecrets, SignInSettings};
use crate::Resources;
use crate::client_credential::{ClientCredential, SecretProblem};
use crate::gateway::ObjectName;

/// The key of the Secret that holds the key in use.
const CURRENT: &str = "current";
/// The key of the Secret that holds the one before it.
const PREVIOUS: &str = "previous";

/// A key of AES-256. Wiped from memory when it is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey(pub Zeroizing<[u8; 32]>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl SignInSecrets {
    /// Out of the Secrets that a SignIn names.
    pub(crate) fn of(
        resources: &Resources,
        settings: &SignInSettings,
        client: &ObjectName,
        keys: &ObjectName,
    ) -> Result<Self, SecretProblem> {
        Ok(Self {
            client: ClientCredential::of(resources, client, settings.client_auth)?,
            current_key: key(resources, keys, CURRENT)?,
            previous_key: previous(resources, keys)?,
        })
    }
}

fn previous(
    resources: &Resources,
    secret: &ObjectName,
) -> Result<Option<SessionKey>, SecretProblem> {
    let found = crate::client_credential::find(resources, secret);
    match found.and_then(|secret| secret.value(PREVIOUS)) {
        Some(_) => key(resources, secret, PREVIOUS).map(Some),
        None => Ok(None),
    }
}

fn key(
    resources: &Resources,
    secret: &ObjectName,
    name: &'static str,
) -> Result<SessionKey, SecretProblem> {
    let value = SecretProblem::value(resources, secret, name)?;
    let mut key = Zeroizing::new([0; 32]);
    if value.len() != key.len() {
        let why =
            format!("its `{name}` is not 32 bytes; make one by `postern-proxy session-key new`");
        return Err(SecretProblem::new(secret, why));
    }
    key.copy_from_slice(&value);
    Ok(SessionKey(key))
}
