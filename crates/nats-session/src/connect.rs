//! How a client introduces itself (`CONNECT`). It passes to the broker as it is, credentials included; what decides how the
//! two talk is read here.

use message_access::SessionEnd;

use crate::json::Object;

/// What a client may say of itself.
const KNOWN: [&str; 22] = [
    "echo",
    "verbose",
    "pedantic",
    "tls_required",
    "nkey",
    "jwt",
    "sig",
    "auth_token",
    "user",
    "pass",
    "name",
    "lang",
    "version",
    "protocol",
    "headers",
    "no_responders",
    "account",
    "new_account",
    "import",
    "export",
    "remote_account",
    "proxy_sig",
];

/// What only servers say, or who picks an account by itself (CVE-2022-24450). Some clients write the names, and nothing.
const NOTHING_IN: [&str; 3] = ["account", "remote_account", "proxy_sig"];

/// What matters of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether each thing that the client does is answered by `+OK`. Servers say so unless told otherwise.
    pub(crate) verbose: bool,
    /// Whether the client knows headers.
    pub(crate) headers: bool,
}

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// What is no object, has unknown fields, or asks for what no client of this session gets.
    pub(crate) fn read(text: &str) -> Result<Self, SessionEnd> {
        let options = Object::read(text.as_bytes(), "CONNECT")?;
        options.only(&KNOWN, "CONNECT")?;
        if options.flag("tls_required")? == Some(true) {
            return Err(unsupported(
                "a client that demands TLS of the broker: the mesh encrypts already",
            ));
        }
        let foreign = NOTHING_IN.iter().any(|name| !matches!(options.text(name), Ok(None)))
            || options.flag("new_account")? == Some(true)
            || options.has("import")
            || options.has("export");
        if foreign {
            return Err(unsupported("a CONNECT of a server, or one that picks its account"));
        }
        Ok(Self {
            verbose: options.flag("verbose")?.unwrap_or(true),
            headers: options.flag("headers")?.unwrap_or(false),
        })
    }
}

fn unsupported(what: &str) -> SessionEnd {
    SessionEnd::Version(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_of_themselves() {
        let options = |verbose, headers| Some(Options { verbose, headers });
        for (text, expect) in [
            ("{}", options(true, false)),
            (
                r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"echo":true}"#,
                options(false, true),
            ),
            (
                r#"{"verbose":false,"user":"a","pass":"b","lang":"rust","version":"1","protocol":1}"#,
                options(false, false),
            ),
            (
                r#"{"verbose":false,"tls_required":false,"new_account":false,"account":"","import":null}"#,
                options(false, false),
            ),
            (r#"{"tls_required":true}"#, None),
            (r#"{"verbose":false,"Verbose":true}"#, None),
            (r#"{"VERBOSE":true}"#, None),
            (r#"{"verbose":false,"verbose":true}"#, None),
            (r#"{"verbose":"no"}"#, None),
            (r#"{"import":{"allow":[">"]}}"#, None),
            (r#"{"proxy_sig":"x"}"#, None),
            (r#"{"other":1}"#, None),
            ("", None),
            ("[]", None),
        ] {
            assert_eq!(Options::read(text).ok(), expect, "{text}");
        }
    }

    #[test]
    fn cve_2022_24450_nobody_picks_an_account() {
        for text in [
            r#"{"account":"A"}"#,
            r#"{"account":"A","new_account":true}"#,
            r#"{"new_account":true}"#,
        ] {
            assert!(Options::read(text).is_err(), "{text}");
        }
    }
}
