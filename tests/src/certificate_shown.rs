//! What `postern-cert-agent show` says of the certificate it holds.

use serde_json::Value;

/// A certificate as a person asks about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub spiffe_id: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// How long it is still good for, in seconds.
    pub seconds_left: u64,
}

impl Certificate {
    /// Reads what `show` prints when its output is not a terminal; nothing when the agent holds none yet.
    pub(crate) fn read(shown: &str) -> Option<Self> {
        let value: Value =
            serde_json::from_str(shown).unwrap_or_else(|_| panic!("not JSON: {shown}"));
        Some(Self {
            spiffe_id: value["identity"].as_str()?.to_owned(),
            serial: value["serial"].as_str()?.to_owned(),
            seconds_left: value["secondsLeft"].as_u64()?,
        })
    }
}
