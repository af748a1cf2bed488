//! The lines `explain` reads. An unknown key is a mistake here as everywhere: a misspelt
//! `principal` must not pass for plaintext.

use std::fmt;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use identity::SpiffeId;
use policy::{Connection, TokenClaims};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// One line: who asks whom for what.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(default)]
    source: SourceInput,
    destination: DestinationInput,
    #[serde(default)]
    connection: ConnectionInput,
    /// Absent: opaque bytes.
    pub(super) request: Option<RequestInput>,
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
    #[serde(default)]
    pub(super) headers: HeadersInput,
    pub(super) jwt: Option<TokenInput>,
}

/// A verified token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenInput {
    iss: String,
    sub: Option<String>,
    aud: Option<OneOrMany>,
    #[serde(default)]
    claims: Map<String, Value>,
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
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
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
        deserializer.deserialize_map(Fields)
    }
}

fn principal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SpiffeId>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let text = text.strip_prefix("spiffe://").unwrap_or(&text);
    SpiffeId::parse(&format!("spiffe://{text}")).map(Some).map_err(serde::de::Error::custom)
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        match line.destination.port {
            0 => Err("destination.port is 0; name the app's port".to_owned()),
            _ => Ok(line),
        }
    }

    /// The connection as policy sees it.
    pub(super) fn connection(&self) -> Connection<'_> {
        let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let destination = self.destination.ip.unwrap_or(unspecified);
        Connection {
            peer: self.source.principal.as_ref(),
            source_ip: self.source.ip.unwrap_or(unspecified),
            remote_ip: None,
            destination: SocketAddr::new(destination, self.destination.port),
            sni: self.connection.sni.as_deref().filter(|sni| !sni.is_empty()),
        }
    }
}

impl TokenInput {
    /// The token as policy sees it: `iss`, `sub` and `aud` are claims like the others.
    pub(super) fn claims(&self) -> TokenClaims {
        let audiences = self.aud.clone().map(OneOrMany::into_vec).unwrap_or_default();
        let mut claims = self.claims.clone();
        claims.insert("iss".into(), self.iss.clone().into());
        if let Some(subject) = &self.sub {
            claims.insert("sub".into(), subject.clone().into());
        }
        if !audiences.is_empty() {
            claims.insert("aud".into(), audiences.clone().into());
        }
        TokenClaims { issuer: self.iss.clone(), subject: self.sub.clone(), audiences, claims }
    }
}

/// What [`read_line`] found.
pub(super) enum Read {
    /// A line, without its end.
    Line,
    /// A line beyond the limit; it was read past.
    TooLong,
    /// Nothing more.
    End,
}

/// Reads one line of at most `most` bytes into `line`; a longer one is read past without being kept.
pub(super) fn read_line(
    reader: &mut impl BufRead,
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<Read> {
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
                Read::TooLong
            } else if any {
                Read::Line
            } else {
                Read::End
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
            return Ok(if too_long { Read::TooLong } else { Read::Line });
        }
    }
}
