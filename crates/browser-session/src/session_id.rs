//! The name of a session.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::NotSealed;

/// 256 random bits. Whoever knows one can do nothing with it: it counts within a sealed value alone. It is what a store
/// keeps a session under and what is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// A new one.
    ///
    /// # Errors
    /// [`NotSealed`] where the system gives no random numbers.
    pub fn new(random: &dyn SecureRandom) -> Result<Self, NotSealed> {
        let mut bytes = [0; 32];
        random.fill(&mut bytes).map_err(|_| NotSealed)?;
        Ok(Self(bytes))
    }

    /// One that was kept, such as the plaintext of a sealed reference.
    #[must_use]
    pub fn kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// In base64url: 43 characters.
    #[must_use]
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Self::kept(&bytes))
    }
}

/// Enough to tell sessions apart in a log, and no more.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        write!(f, "SessionId({}..)", text.get(..6).unwrap_or_default())
    }
}
