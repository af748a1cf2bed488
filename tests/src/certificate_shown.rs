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
    pub seconds_left: i64,
}

impl Certificate {
    pub(crate) fn read(shown: &str) -> Self {
        let value: Value =
            serde_json::from_str(shown).unwrap_or_else(|_| panic!("not JSON: {shown}"));
        let text = |name: &str| {
            value[name].as_str().unwrap_or_else(|| panic!("no {name} in {shown}")).to_owned()
        };
        let not_after =
            value["not_after"].as_i64().unwrap_or_else(|| panic!("no not_after in {shown}"));
        Self {
            spiffe_id: text("spiffe_id"),
            serial: text("serial"),
            seconds_left: not_after - time::OffsetDateTime::now_utc().unix_timestamp(),
        }
    }
}
