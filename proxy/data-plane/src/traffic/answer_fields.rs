//! The fields that a listener adds to its answers, made once a change: HSTS and the headers that browsers keep to.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};
use policy::client_traffic::ClientTrafficSettings;

/// What is added to answers, and what is taken off.
#[derive(Debug, Default)]
pub struct AnswerFields {
    strict_transport_security: Option<HeaderValue>,
    fields: Vec<(HeaderName, HeaderValue)>,
    replaces: bool,
    removed: Vec<HeaderName>,
}

impl AnswerFields {
    /// Those that the settings of a listener's clients name.
    #[must_use]
    pub fn of(settings: &ClientTrafficSettings) -> Arc<Self> {
        let hsts = settings.hsts.map(|hsts| HeaderValue::try_from(hsts.value()));
        let mut fields = Self {
            // Both were checked when they were read.
            strict_transport_security: hsts.and_then(Result::ok),
            ..Self::default()
        };
        if let Some(headers) = &settings.security_headers {
            let field = |(name, value): &(&'static str, Arc<str>)| {
                let value = HeaderValue::from_str(value).ok()?;
                Some((HeaderName::from_static(name), value))
            };
            fields.fields = headers.fields.iter().filter_map(field).collect();
            fields.replaces = headers.replaces;
            fields.removed = headers.removed.iter().map(|n| HeaderName::from_static(n)).collect();
        }
        Arc::new(fields)
    }

    /// Changes an answer. HSTS means nothing in the clear and is ignored there (RFC 6797 §7.2), so it is not sent.
    pub fn change(&self, headers: &mut HeaderMap, tls: bool) {
        for name in &self.removed {
            headers.remove(name);
        }
        for (name, value) in &self.fields {
            if self.replaces || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
        if let Some(value) = self.strict_transport_security.as_ref().filter(|_| tls) {
            headers.insert(STRICT_TRANSPORT_SECURITY, value.clone());
        }
    }
}
