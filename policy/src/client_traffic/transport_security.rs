//! HTTP Strict Transport Security (RFC 6797).

use std::time::Duration;

/// What a browser is told to remember of the host (`hsts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportSecurity {
    /// How long the host is called by TLS alone, in whole seconds; 0 ends it (RFC 6797 §6.1.1).
    pub max_age: Duration,
    /// Whether the hosts below it are meant as well (RFC 6797 §6.1.2). Default false.
    pub include_subdomains: bool,
    /// Whether browsers may ship it in their lists (`preload`). Default false.
    pub preload: bool,
}

impl TransportSecurity {
    /// The value of `Strict-Transport-Security`.
    pub fn value(&self) -> String {
        let mut value = format!("max-age={}", self.max_age.as_secs());
        if self.include_subdomains {
            value.push_str("; includeSubDomains");
        }
        if self.preload {
            value.push_str("; preload");
        }
        value
    }
}
