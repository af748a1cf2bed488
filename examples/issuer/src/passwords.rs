//! Passwords, kept as argon2id hashes (RFC 9106).
//!
//! A hash costs memory and time on purpose, so a bounded number of them are computed at once: whoever comes when all places
//! are taken and the queue is full is told to come again, instead of taking the machine down.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Hashes computed at the same time: each takes 19 MiB.
const AT_ONCE: usize = 2;
/// Hashes asked for at the same time, those that wait included.
const MOST_ASKED: usize = 32;
/// The shortest and the longest password, bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// Why there is no answer about a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has 8 to 128 bytes")]
    Length,
    /// Too many others are asked about.
    #[error("too many people are logging in; try again")]
    Busy,
    /// The library gave up.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes and compares passwords.
#[derive(Clone)]
pub struct Passwords {
    asked: Arc<Semaphore>,
    computed: Arc<Semaphore>,
    /// Of nobody's password: what an unknown user is compared with.
    nobody: Arc<str>,
}

impl Passwords {
    /// Ready to work.
    ///
    /// # Errors
    /// The library refuses its parameters, or has no random numbers.
    pub fn new() -> anyhow::Result<Self> {
        let nobody = hash_now(b"nobody has this password").map_err(anyhow::Error::from)?;
        let (asked, computed) = (Semaphore::new(MOST_ASKED), Semaphore::new(AT_ONCE));
        Ok(Self { asked: Arc::new(asked), computed: Arc::new(computed), nobody: nobody.into() })
    }

    /// The hash of a new password, with its salt and parameters in it.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        if !LENGTHS.contains(&password.len()) {
            return Err(PasswordError::Length);
        }
        self.compute(move || hash_now(password.as_bytes())).await?
    }

    /// Whether a password is the one of this hash. Without a hash, because there is no such user, the answer is no and takes
    /// as long: nobody learns who has an account.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], [`PasswordError::Failed`].
    pub async fn is(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let same = self.compute(move || is_now(password.as_bytes(), &hash)).await??;
        Ok(same && known)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _asked = self.asked.try_acquire().map_err(|_| PasswordError::Busy)?;
        let computed = self.computed.clone().acquire_owned().await;
        let computed = computed.map_err(|_| PasswordError::Failed)?;
        // The place is given back when the work ends, not when the client goes away.
        let work = move || {
            let _computed = computed;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)
    }
}

/// 19 MiB, two passes, one lane: what OWASP recommends for argon2id.
fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &[u8]) -> Result<String, PasswordError> {
    let hash = hasher()?.hash_password(password).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

fn is_now(password: &[u8], hash: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(|_| PasswordError::Failed)?;
    Ok(hasher()?.verify_password(password, &hash).is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_one() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, hash, expect) in [
            ("correct horse", Some(hash.clone()), true),
            ("correct horsf", Some(hash), false),
            ("correct horse", None, false),
            ("nobody has this password", None, false),
        ] {
            assert_eq!(passwords.is(password.to_owned(), hash).await, Ok(expect), "{password}");
        }
        for password in ["short", &"x".repeat(129)] {
            let refused = passwords.hash(password.to_owned()).await;
            assert_eq!(refused, Err(PasswordError::Length));
        }
    }

    #[tokio::test]
    async fn those_who_find_the_queue_full_are_told_so() {
        let passwords = Passwords::new().unwrap();
        let _all = passwords.asked.acquire_many(32).await.unwrap();
        assert_eq!(passwords.hash("correct horse".to_owned()).await, Err(PasswordError::Busy));
    }
}
