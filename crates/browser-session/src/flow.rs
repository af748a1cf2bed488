//! A sign-in that is under way: from the redirect to the provider until the callback.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::return_target::ReturnTarget;

/// How long a flow lives, in seconds: five minutes, for passwords, second factors and telephones.
pub const FLOW_SECONDS: u64 = 300;
/// The longest flow that is read, in bytes.
const MAX_FLOW: usize = 8 * 1024;

/// What a request asked for beyond being signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepUpDemand {
    /// One of these must be the ID token's `acr`, separated by blanks; empty: any.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub acr_values: String,
    /// How long ago the user may have authenticated, in seconds.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
}

/// A flow, as it is sealed into its cookie. `Debug` does not show its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInFlow {
    /// Comes back in the callback's query.
    pub state: Zeroizing<String>,
    /// Comes back in the ID token.
    pub nonce: Zeroizing<String>,
    /// Of PKCE.
    pub code_verifier: Zeroizing<String>,
    /// Where to, afterwards.
    pub return_target: ReturnTarget,
    /// When it began, Unix seconds.
    pub started: u64,
    /// What is asked for beyond a sign-in.
    pub step_up: StepUpDemand,
}

/// Bytes that are no flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no sign-in flow")]
pub struct MalformedFlow;

/// The written form: JSON with short names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    s: Zeroizing<String>,
    n: Zeroizing<String>,
    v: Zeroizing<String>,
    t: String,
    b: u64,
    u: StepUpDemand,
}

impl SignInFlow {
    /// To be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            s: self.state.clone(),
            n: self.nonce.clone(),
            v: self.code_verifier.clone(),
            t: self.return_target.as_str().to_owned(),
            b: self.started,
            u: self.step_up.clone(),
        };
        // Texts and numbers: nothing of it can fail.
        Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`MalformedFlow`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedFlow> {
        if bytes.len() > MAX_FLOW {
            return Err(MalformedFlow);
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|_| MalformedFlow)?;
        Ok(Self {
            state: written.s,
            nonce: written.n,
            code_verifier: written.v,
            return_target: ReturnTarget::parse(&written.t).map_err(|_| MalformedFlow)?,
            started: written.b,
            step_up: written.u,
        })
    }

    /// Whether its five minutes are over at this Unix second. One that has not begun yet is over as well.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        now < self.started || now >= self.started.saturating_add(FLOW_SECONDS)
    }
}

impl fmt::Debug for SignInFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignInFlow(started {}, to {:?})", self.started, self.return_target)
    }
}
