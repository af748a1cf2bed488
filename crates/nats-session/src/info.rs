//! What a broker says of itself (`INFO`).

use bytes::Bytes;
use message_access::SessionEnd;
use serde_json::{Map, Value};

use crate::line::malformed;

/// Where a broker lists the other servers of its cluster.
const OTHERS: [&str; 2] = ["connect_urls", "ws_connect_urls"];

/// What matters of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info {
    /// Whether the broker knows headers.
    pub(crate) headers: bool,
}

impl Info {
    /// Reads what the broker says, and with `hide_servers` writes it anew without the other servers, where it names some.
    ///
    /// # Errors
    /// What is no object, or a broker that demands TLS of its own.
    pub(crate) fn read(
        text: &str,
        hide_servers: bool,
    ) -> Result<(Self, Option<Bytes>), SessionEnd> {
        let mut info: Map<String, Value> = serde_json::from_str(text).map_err(|problem| {
            malformed(&format!("the broker's INFO is no JSON object: {problem}"))
        })?;
        let says = |name: &str| info.get(name).and_then(Value::as_bool).unwrap_or(false);
        if says("tls_required") {
            return Err(SessionEnd::Version(
                "a broker that demands TLS of its own: the mesh encrypts already".to_owned(),
            ));
        }
        let headers = says("headers");
        let mut hidden = false;
        if hide_servers {
            for name in OTHERS {
                hidden |= info.remove(name).is_some();
            }
        }
        let anew = hidden.then(|| format!("INFO {}\r\n", Value::Object(info)).into());
        Ok((Self { headers }, anew))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn what_brokers_say_of_themselves() {
        let text = r#"{"server_id":"x","headers":true,"max_payload":1048576,"client_id":18446744073709551615,"connect_urls":["10.0.0.1:4222"]}"#;
        assert_eq!(Info::read(text, false).unwrap(), (Info { headers: true }, None));
        let (_, anew) = Info::read(text, true).unwrap();
        let anew = String::from_utf8(anew.unwrap().to_vec()).unwrap();
        assert!(!anew.contains("10.0.0.1") && anew.contains("18446744073709551615"), "{anew}");
        assert!(anew.starts_with("INFO {") && anew.ends_with("}\r\n"), "{anew}");
        assert_eq!(Info::read("{}", true).unwrap(), (Info { headers: false }, None));
        assert!(Info::read(r#"{"tls_required":true}"#, false).is_err());
        assert!(Info::read(r#"{"tls_available":true}"#, false).is_ok());
        assert!(Info::read("[]", false).is_err());
    }
}
