//! What a broker says of itself (`INFO`).

use bytes::Bytes;
use message_access::SessionEnd;
use serde_json::{Map, Value};

use crate::line::malformed;

/// Where a broker lists the other servers of its cluster.
const OTHERS: [&str; 2] = ["connect_urls", "ws_connect_urls"];

/// The oldest server whose JetStream reads all of the fields that are judged: those before ignore `filter_subjects`,
/// `subject_transforms` or `multi_last`, so that a request asks for more than it says.
const OLDEST: (u32, u32) = (2, 11);

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
    /// What is no object, a broker that demands TLS of its own, or one that is older than 2.11.
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
        if info.get("version").and_then(Value::as_str).and_then(version) < Some(OLDEST) {
            return Err(SessionEnd::Version(format!(
                "a broker that is older than nats-server {}.{}, or does not say its version",
                OLDEST.0, OLDEST.1
            )));
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

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn what_brokers_say_of_themselves() {
        let text = r#"{"server_id":"x","version":"2.15.1","headers":true,"max_payload":1048576,"client_id":18446744073709551615,"connect_urls":["10.0.0.1:4222"]}"#;
        assert_eq!(Info::read(text, false).unwrap(), (Info { headers: true }, None));
        let (_, anew) = Info::read(text, true).unwrap();
        let anew = String::from_utf8(anew.unwrap().to_vec()).unwrap();
        assert!(!anew.contains("10.0.0.1") && anew.contains("18446744073709551615"), "{anew}");
        assert!(anew.starts_with("INFO {") && anew.ends_with("}\r\n"), "{anew}");
        assert_eq!(
            Info::read(r#"{"version":"2.11.0-dev"}"#, true).unwrap(),
            (Info { headers: false }, None)
        );
        assert!(Info::read(r#"{"version":"2.11.0","tls_required":true}"#, false).is_err());
        assert!(Info::read(r#"{"version":"2.11.0","tls_available":true}"#, false).is_ok());
        assert!(Info::read("[]", false).is_err());
    }

    #[test]
    fn only_servers_that_read_what_is_judged() {
        for (version, good) in [
            (r#""2.11.0""#, true),
            (r#""2.11.0-preview.2""#, true),
            (r#""2.15.1""#, true),
            (r#""3.0.0""#, true),
            (r#""2.10.29""#, false),
            (r#""2.9.25""#, false),
            (r#""1.4.1""#, false),
            (r#""2""#, false),
            (r#""v2.11.0""#, false),
            (r#""""#, false),
            ("2.11", false),
            ("null", false),
        ] {
            let read = Info::read(&format!(r#"{{"version":{version}}}"#), false);
            assert_eq!(read.is_ok(), good, "{version}");
        }
        assert!(matches!(Info::read("{}", false), Err(SessionEnd::Version(_))));
    }
}
