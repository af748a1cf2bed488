//! How this proxy proves to a provider which client it is (RFC 6749 §2.3), and the Secret that holds the proof.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::Resources;
use crate::core_group::Secret;
use crate::gateway::ObjectName;

/// The longest secret of a client, in bytes.
const MAX_SECRET: usize = 1024;
/// The longest private key, in bytes of PEM.
const MAX_PRIVATE_KEY: usize = 16 << 10;
/// How a key of PKCS#8 begins in PEM (RFC 7468 §10).
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// How a client proves itself where it asks for tokens (`clientAuth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientAuthMethod {
    /// `client_secret_basic`: by a secret, as HTTP Basic has it (RFC 6749 §2.3.1).
    #[default]
    ClientSecretBasic,
    /// `private_key_jwt`: by a JWT that its own key has signed (RFC 7523, OpenID Connect Core 1.0 §9).
    PrivateKeyJwt,
}

impl ClientAuthMethod {
    /// The words of `clientAuth`.
    pub(crate) const CHOICES: &'static [(&'static str, Self)] = &[
        ("client_secret_basic", Self::ClientSecretBasic),
        ("private_key_jwt", Self::PrivateKeyJwt),
    ];

    /// The word, as providers announce it (`token_endpoint_auth_methods_supported`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The key of the Secret that holds the proof.
    pub fn secret_key(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client-secret",
            Self::PrivateKeyJwt => "private-key",
        }
    }
}

/// What a client proves itself by. Wiped from memory when it is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientCredential {
    /// A secret of visible ASCII characters and blanks (RFC 6749 appendix A.2).
    ClientSecret(Zeroizing<String>),
    /// A private key of PKCS#8 in PEM (RFC 7468 §10). That it is one is seen by whoever signs with it.
    PrivateKey(Zeroizing<String>),
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret(_) => "ClientSecret(..)",
            Self::PrivateKey(_) => "PrivateKey(..)",
        })
    }
}

impl ClientCredential {
    /// Out of the Secret that a policy names.
    ///
    /// # Errors
    /// It is not there, or does not hold what the method needs.
    pub(crate) fn of(
        resources: &Resources,
        secret: &ObjectName,
        method: ClientAuthMethod,
    ) -> Result<Self, SecretProblem> {
        let text = text_of(resources, secret, method.secret_key())?;
        let problem = |why| SecretProblem::new(secret, why);
        match method {
            ClientAuthMethod::ClientSecretBasic => {
                check_secret(&text).map_err(problem)?;
                Ok(Self::ClientSecret(text))
            }
            ClientAuthMethod::PrivateKeyJwt => {
                let fits = text.len() <= MAX_PRIVATE_KEY && text.starts_with(PRIVATE_KEY);
                let why = "its `private-key` is no PEM of PKCS#8 (-----BEGIN PRIVATE KEY-----)";
                if fits { Ok(Self::PrivateKey(text)) } else { Err(problem(why)) }
            }
        }
    }
}

fn text_of(
    resources: &Resources,
    secret: &ObjectName,
    key: &'static str,
) -> Result<Zeroizing<String>, SecretProblem> {
    let value = SecretProblem::value(resources, secret, key)?;
    let text = std::str::from_utf8(&value).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| SecretProblem::new(secret, "what it holds is no text"))
}

fn check_secret(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > MAX_SECRET {
        return Err("its `client-secret` is empty or longer than 1024 bytes");
    }
    if text.ends_with(['\n', '\r']) {
        return Err("its `client-secret` ends in a line break, which is no part of a secret");
    }
    match text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(()),
        false => Err("its `client-secret` is no visible ASCII"),
    }
}

/// Why a Secret that a policy names is of no use. Nothing of what it holds is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Secret {secret}: {why}")]
pub struct SecretProblem {
    /// The Secret.
    pub secret: ObjectName,
    /// What is wrong with it.
    pub why: Box<str>,
}

impl SecretProblem {
    pub(crate) fn new(secret: &ObjectName, why: impl Into<Box<str>>) -> Self {
        Self { secret: secret.clone(), why: why.into() }
    }

    /// The value of a key, or that it is not there.
    pub(crate) fn value(
        resources: &Resources,
        secret: &ObjectName,
        key: &'static str,
    ) -> Result<Arc<Zeroizing<Vec<u8>>>, Self> {
        let found = find(resources, secret).ok_or_else(|| Self::new(secret, "it is not there"))?;
        let value = found.value(key).cloned();
        value.ok_or_else(|| Self::new(secret, format!("it has no key `{key}`")))
    }
}

/// A Secret of the set.
pub(crate) fn find<'r>(resources: &'r Resources, name: &ObjectName) -> Option<&'r Secret> {
    let secrets = resources.secrets();
    let found = secrets.binary_search_by(|secret| secret.id.cmp(name)).ok()?;
    secrets.get(found)
}
