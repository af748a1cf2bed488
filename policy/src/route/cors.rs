//! Which pages of other origins may read the answers (`CORS`, GEP-1767; the CORS protocol of the Fetch standard, §3.2).

use std::sync::Arc;

use crate::{HeaderSource, HostName};

/// What a rule says to browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicy {
    /// The origins whose pages may; empty: none.
    pub allow_origins: Vec<OriginPattern>,
    /// Whether requests may carry cookies and the like. Default: no.
    pub allow_credentials: bool,
    /// The methods they may use beside GET, HEAD and POST; `*` alone: any.
    pub allow_methods: Vec<Arc<str>>,
    /// The request fields they may set, in lower case; `*` alone: any.
    pub allow_headers: Vec<Arc<str>>,
    /// The answer fields they may read, in lower case; `*`: any.
    pub expose_headers: Vec<Arc<str>>,
    /// For how many seconds browsers keep the answer to a preflight. Default 5.
    pub max_age: u32,
}

/// An origin, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Every origin.
    Any,
    /// The host exactly.
    Host(Origin),
    /// Every host that ends with the one here, which begins with a dot; every host at all, when it is empty.
    HostsBelow(Origin),
}

/// A scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: Arc<str>,
    /// In lower case.
    pub host: Arc<str>,
    /// The scheme's where none was written.
    pub port: u16,
}

/// What CORS makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsDecision {
    /// Answer 204 at once, with these fields; there are none for an origin that may not.
    Preflight(Vec<(&'static str, String)>),
    /// Go on, and put these fields into the answer, in the place of the app's ([`CorsPolicy::OWN_FIELDS`]).
    Fields(Vec<(&'static str, String)>),
}

impl CorsPolicy {
    /// The answer fields that the policy says alone: what the app says of them is taken away.
    pub const OWN_FIELDS: [&'static str; 6] = [
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "access-control-max-age",
    ];

    /// Decides for a request. Every answer under a policy also says `Vary: Origin`.
    pub fn decide(&self, method: &str, headers: &dyn HeaderSource) -> CorsDecision {
        let wanted_method = single(headers, "access-control-request-method");
        let origin = single(headers, "origin");
        let wanted_method = wanted_method.filter(|_| method == "OPTIONS" && origin.is_some());
        let is_preflight = wanted_method.is_some();
        let mut fields = vec![("vary", "Origin".to_owned())];
        if let Some(origin) = origin.filter(|origin| self.allows(origin)) {
            fields.push(("access-control-allow-origin", origin));
            if self.allow_credentials {
                fields.push(("access-control-allow-credentials", "true".to_owned()));
            }
            self.expose(&mut fields);
            if let Some(wanted) = wanted_method {
                self.answer(&mut fields, wanted, headers);
            }
        }
        match is_preflight {
            true => CorsDecision::Preflight(fields),
            false => CorsDecision::Fields(fields),
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let parsed = Origin::parse(origin);
        self.allow_origins.iter().any(|pattern| pattern.matches(parsed.as_ref()))
    }

    /// Which answer fields pages may read. With credentials `*` is a name like any other to browsers, so it is not said.
    fn expose(&self, fields: &mut CorsFields) {
        if self.allow_credentials && is_any(&self.expose_headers) {
            return;
        }
        if let Some(names) = joined(&self.expose_headers) {
            fields.push(("access-control-expose-headers", names));
        }
    }

    /// What only the answer to a preflight says. For `*` what was asked for is said back, which is right with and
    /// without credentials.
    fn answer(&self, fields: &mut CorsFields, wanted_method: String, headers: &dyn HeaderSource) {
        let methods = match is_any(&self.allow_methods) {
            true => Some(wanted_method).filter(|method| is_token(method)),
            false => joined(&self.allow_methods),
        };
        fields.extend(methods.map(|methods| ("access-control-allow-methods", methods)));
        let names = match is_any(&self.allow_headers) {
            true => {
                single(headers, "access-control-request-headers").filter(|names| is_list(names))
            }
            false => joined(&self.allow_headers),
        };
        fields.extend(names.map(|names| ("access-control-allow-headers", names)));
        fields.push(("access-control-max-age", self.max_age.to_string()));
    }
}

/// Names and values of fields.
type CorsFields = Vec<(&'static str, String)>;

impl OriginPattern {
    /// Whether it is about an origin; one that could not be read (`null`) is only among all.
    fn matches(&self, origin: Option<&Origin>) -> bool {
        match (self, origin) {
            (Self::Any, _) => true,
            (_, None) => false,
            (Self::Host(pattern), Some(origin)) => pattern == origin,
            (Self::HostsBelow(pattern), Some(origin)) => {
                let ends = origin.host.strip_suffix(&*pattern.host);
                (pattern.scheme == origin.scheme)
                    && pattern.port == origin.port
                    && ends.is_some_and(|before| !before.is_empty())
            }
        }
    }
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port` of `http` or `https`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let host = HostName::parse(rest, Some(default)).ok()?;
        let port = host.effective_port()?;
        Some(Self { scheme: scheme.into(), host: host.name().into(), port })
    }
}

fn is_any(names: &[Arc<str>]) -> bool {
    names.iter().any(|name| **name == *"*")
}

fn joined(names: &[Arc<str>]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// A method or field name (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Field names with commas between them: nothing else is said back.
fn is_list(text: &str) -> bool {
    text.split(',').all(|name| is_token(name.trim_matches([' ', '\t'])))
}

/// The value of a field that stands once.
fn single(headers: &dyn HeaderSource, name: &str) -> Option<String> {
    let mut found = Vec::new();
    headers.values(name, &mut |value| found.push(value.to_vec()));
    match found.len() {
        1 => String::from_utf8(found.remove(0)).ok(),
        _ => None,
    }
}
