//! Where an issuer publishes its keys (OpenID Connect Discovery 1.0 §4).

use serde_json::Value;

/// Where the issuer's document is: the well-known path comes after the issuer's own (§4.1).
pub(super) fn document_of(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// Why a discovery document is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum DiscoveryError {
    #[error("the discovery document is no JSON object")]
    Malformed,
    /// §4.3: otherwise one issuer could speak for another.
    #[error("the discovery document is of another issuer")]
    Issuer,
    #[error("the discovery document has no `jwks_uri`")]
    NoKeys,
}

/// The address of the keys in a discovery document of this issuer.
pub(super) fn keys_in(document: &[u8], issuer: &str) -> Result<String, DiscoveryError> {
    let document: Value =
        serde_json::from_slice(document).map_err(|_| DiscoveryError::Malformed)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if !document.is_object() {
        return Err(DiscoveryError::Malformed);
    }
    if text("issuer") != Some(issuer) {
        return Err(DiscoveryError::Issuer);
    }
    text("jwks_uri").map(str::to_owned).ok_or(DiscoveryError::NoKeys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s35_ssrf_and_file_reads_discovery() {
        for (issuer, expect) in [
            ("https://id.example", "https://id.example/.well-known/openid-configuration"),
            ("https://id.example/", "https://id.example/.well-known/openid-configuration"),
            (
                "https://id.example/realms/a",
                "https://id.example/realms/a/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(document_of(issuer), expect);
        }
        let issuer = "https://id.example";
        for (name, text, expect) in [
            (
                "good",
                r#"{"issuer":"https://id.example","jwks_uri":"https://k/"}"#,
                Ok("https://k/"),
            ),
            (
                "another's",
                r#"{"issuer":"https://evil.example","jwks_uri":"https://k/"}"#,
                Err(DiscoveryError::Issuer),
            ),
            (
                "a slash more",
                r#"{"issuer":"https://id.example/","jwks_uri":"https://k/"}"#,
                Err(DiscoveryError::Issuer),
            ),
            ("nobody's", r#"{"jwks_uri":"https://k/"}"#, Err(DiscoveryError::Issuer)),
            ("no keys", r#"{"issuer":"https://id.example"}"#, Err(DiscoveryError::NoKeys)),
            (
                "keys a list",
                r#"{"issuer":"https://id.example","jwks_uri":["https://k/"]}"#,
                Err(DiscoveryError::NoKeys),
            ),
            ("list", "[]", Err(DiscoveryError::Malformed)),
            ("HTML", "<html>", Err(DiscoveryError::Malformed)),
        ] {
            assert_eq!(keys_in(text.as_bytes(), issuer), expect.map(str::to_owned), "{name}");
        }
    }
}
