//! The lines `explain` reads. What a line leaves out may also be null. An unknown key is an error here as everywhere: a
//! misspelt `principal` must not pass for plaintext.

use std::fmt;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use identity::SpiffeId;
use policy::{ApiKeyFacts, ConnectionFacts, TokenClaims};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::message::MessageInput;
use crate::policy_tools::recorded::RecordedTraffic;

/// One line: who asks whom for what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputLine {
    source: Option<SourceInput>,
    destination: DestinationInput,
    connection: Option<ConnectionInput>,
    /// Absent: opaque bytes.
    pub(super) request: Option<RequestInput>,
    /// An operation at this workload's broker.
    pub(super) message: Option<MessageInput>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceInput {
    #[serde(default, deserialize_with = "principal")]
    principal: Option<SpiffeId>,
    ip: Option<IpAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationInput {
    ip: Option<IpAddr>,
    port: u16,
    /// A Service that this workload calls: the line asks where the call goes.
    service: Option<String>,
    /// A Gateway, `namespace/name`: the line asks what it does with a client's request.
    gateway: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionInput {
    sni: Option<String>,
}

/// The request of a line, before the gate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestInput {
    pub(super) method: String,
    pub(super) host: Option<String>,
    pub(super) path: String,
    pub(super) headers: Option<HeadersInput>,
    pub(super) jwt: Option<TokenInput>,
    #[serde(rename = "apiKey")]
    pub(super) api_key: Option<ApiKeyInput>,
    /// Whether a log recorded it, which never holds a key.
    #[serde(skip)]
    pub(super) recorded: bool,
}

/// A verified token. `iss`, `sub` and `aud` may stand among the claims instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenInput {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    claims: Option<Map<String, Value>>,
}

/// An API key that was found to be valid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyInput {
    id: Option<String>,
    client: Option<String>,
    scopes: Option<OneOrMany>,
}

/// A text or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// Header fields in the order they were written, a repeated name kept.
#[derive(Debug, Default)]
pub(super) struct HeadersInput(pub(super) Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for HeadersInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = HeadersInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("header names with their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, OneOrMany>()? {
                    fields.push((name, values.into_vec()));
                }
                Ok(HeadersInput(fields))
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

fn principal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SpiffeId>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let text = text.strip_prefix("spiffe://").unwrap_or(&text);
    let id = SpiffeId::parse(&format!("spiffe://{text}")).map_err(serde::de::Error::custom)?;
    match id.path() {
        // No leaf certificate has it (SPIFFE X509-SVID §5.2), so no live peer does.
        "" => Err(serde::de::Error::custom("the principal is a trust domain, not a workload")),
        _ => Ok(Some(id)),
    }
}

impl InputLine {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Self = serde_json::from_slice(line)
            .map_err(|error| format!("{error}; `postern-proxy explain --help` shows the format"))?;
        let DestinationInput { port, service, gateway, .. } = &line.destination;
        if *port == 0 {
            return Err("destination.port is 0; name the app's port".to_owned());
        }
        if service.is_some() && gateway.is_some() {
            return Err("destination names a service and a gateway; name one".to_owned());
        }
        let elsewhere = service.is_some() || gateway.is_some();
        if line.message.is_some() && (line.request.is_some() || elsewhere) {
            return Err(
                "a message goes to this workload, and is no request: name it alone".to_owned()
            );
        }
        Ok(line)
    }

    /// The line for a request or connection that a log recorded; the log has no header fields and
    /// no tokens.
    pub(crate) fn recorded(seen: &RecordedTraffic) -> Self {
        Self {
            source: Some(SourceInput { principal: seen.principal.clone(), ip: seen.source_ip }),
            destination: DestinationInput {
                ip: Some(seen.destination.ip()),
                port: seen.destination.port(),
                service: None,
                gateway: None,
            },
            connection: Some(ConnectionInput { sni: seen.sni.clone() }),
            request: seen.request.as_ref().map(|request| RequestInput {
                method: request.method.clone(),
                host: Some(request.host.clone()),
                path: request.path.clone(),
                headers: None,
                jwt: None,
                api_key: None,
                recorded: true,
            }),
            message: seen.message.as_ref().map(MessageInput::recorded),
        }
    }

    /// The Service and port that this workload calls, where the line asks where the call goes.
    pub(super) fn called(&self) -> Option<(&str, u16)> {
        let service = self.destination.service.as_deref()?;
        Some((service, self.destination.port))
    }

    /// The Gateway and port that a client calls, where the line asks what becomes of it there.
    pub(super) fn at_gateway(&self) -> Option<(&str, u16)> {
        let gateway = self.destination.gateway.as_deref()?;
        Some((gateway, self.destination.port))
    }

    /// The connection as policy sees it.
    pub(super) fn connection(&self) -> ConnectionFacts<'_> {
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let source = self.source.as_ref();
        let destination = self.destination.ip.unwrap_or(unspecified);
        let sni = self.connection.as_ref().and_then(|connection| connection.sni.as_deref());
        ConnectionFacts {
            peer: source.and_then(|source| source.principal.as_ref()),
            source_ip: source.and_then(|source| source.ip).unwrap_or(unspecified),
            remote_ip: None,
            destination: SocketAddr::new(destination, self.destination.port),
            sni: sni.filter(|sni| !sni.is_empty()),
        }
    }
}

impl TokenInput {
    /// The token as policy sees it: `iss`, `sub` and `aud` are claims like the others.
    pub(super) fn claims(&self) -> TokenClaims {
        let mut claims = self.claims.clone().unwrap_or_default();
        if let Some(issuer) = &self.iss {
            claims.insert("iss".into(), issuer.clone().into());
        }
        if let Some(subject) = &self.sub {
            claims.insert("sub".into(), subject.clone().into());
        }
        if let Some(audiences) = &self.aud {
            claims.insert("aud".into(), audiences.clone().into_vec().into());
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        TokenClaims {
            issuer: text("iss").unwrap_or_default(),
            subject: text("sub"),
            audiences: audiences(claims.get("aud")),
            claims,
        }
    }
}

impl ApiKeyInput {
    /// The key as policy sees it.
    pub(super) fn facts(&self) -> ApiKeyFacts {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        let scopes = self.scopes.clone().map(OneOrMany::into_vec).unwrap_or_default();
        ApiKeyFacts {
            // No policy asks for it.
            policy: String::new().into(),
            id: text(&self.id),
            client: text(&self.client),
            scopes: scopes.into_iter().map(Into::into).collect(),
        }
    }
}

/// `aud` is a text or a list of texts (RFC 7519 §4.1.3).
fn audiences(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            many.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// What [`read_line`] found.
pub(crate) enum LineRead {
    /// A line, without its end.
    Line,
    /// A line beyond the limit; it was read past.
    TooLong,
    /// Nothing more.
    End,
}

/// Reads one line of at most `most` bytes into `line`; a longer one is read past without being kept.
pub(crate) fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<LineRead> {
    let mut too_long = false;
    let mut any = false;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(if too_long {
                LineRead::TooLong
            } else if any {
                LineRead::Line
            } else {
                LineRead::End
            });
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        too_long |= line.len() + piece.len() > most;
        if !too_long {
            line.extend_from_slice(piece);
        }
        let used = piece.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(if too_long { LineRead::TooLong } else { LineRead::Line });
        }
    }
}
