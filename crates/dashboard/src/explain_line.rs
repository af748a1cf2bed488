//! The question to `postern-proxy explain` that a refusal is the answer to: one line of JSON, in the form that the command
//! reads. It is made of what is kept of a decision; header fields and tokens are not kept, so a rule that looked at them
//! is explained as for a request without.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bounds::EXPLAIN_LINE;
use crate::denials::RefusedTraffic;

#[derive(Serialize)]
struct Line<'a> {
    source: Source<'a>,
    destination: Destination<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<ConnectionPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message<'a>>,
}

#[derive(Serialize)]
struct Message<'a> {
    protocol: &'a str,
    operation: &'a str,
    #[serde(flatten)]
    names: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reply: bool,
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    ip: &'a str,
}

#[derive(Serialize)]
struct Destination<'a> {
    ip: &'a str,
    port: u16,
}

#[derive(Serialize)]
struct ConnectionPart<'a> {
    sni: &'a str,
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    host: &'a str,
    path: &'a str,
}

/// The line; `None` where it would be longer than a person copies, or the destination is none.
#[must_use]
pub fn explain_line(seen: &RefusedTraffic<'_>) -> Option<String> {
    let destination: std::net::SocketAddr = seen.destination.parse().ok()?;
    let ip = destination.ip().to_string();
    let line = Line {
        source: Source { principal: seen.source_principal, ip: seen.source_ip },
        destination: Destination { ip: &ip, port: destination.port() },
        connection: seen.sni.map(|sni| ConnectionPart { sni }),
        request: seen.request.map(|request| Request {
            method: request.method,
            host: request.host,
            path: request.path,
        }),
        message: seen.message.as_ref().map(|message| Message {
            protocol: message.protocol,
            operation: message.operation,
            names: message.names.iter().copied().collect(),
            reply: message.reply,
        }),
    };
    // Whoever was refused has chosen the path, and people paste the line between the quotes of a shell.
    let line = serde_json::to_string(&line).ok()?.replace('\'', "\\u0027");
    (line.len() <= EXPLAIN_LINE).then_some(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::denials::{SeenMessage, SeenRequest};

    #[test]
    fn a_line_has_what_was_kept_and_nothing_else() {
        let check = |name: &str, seen: RefusedTraffic<'_>, expect: Option<&str>| {
            assert_eq!(explain_line(&seen).as_deref(), expect, "{name}");
        };
        let plain = RefusedTraffic::of("10.0.0.7", "10.0.0.9:8080");
        let request = |path| Some(SeenRequest { method: "GET", host: "cart:8080", path });
        check(
            "plaintext bytes",
            plain.clone(),
            Some(r#"{"source":{"ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080}}"#),
        );
        let principal = Some("cluster.local/ns/shop/sa/reports");
        check(
            "a request",
            RefusedTraffic { source_principal: principal, request: request("/a"), ..plain.clone() },
            Some(
                r#"{"source":{"principal":"cluster.local/ns/shop/sa/reports","ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080},"request":{"method":"GET","host":"cart:8080","path":"/a"}}"#,
            ),
        );
        check(
            "over IPv6 with a server name",
            RefusedTraffic { sni: Some("cart"), ..RefusedTraffic::of("fd00::7", "[fd00::9]:9000") },
            Some(
                r#"{"source":{"ip":"fd00::7"},"destination":{"ip":"fd00::9","port":9000},"connection":{"sni":"cart"}}"#,
            ),
        );
        check(
            "a path that would end the quotes of a shell",
            RefusedTraffic { request: request("/x';id;'"), ..plain.clone() },
            Some(
                r#"{"source":{"ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080},"request":{"method":"GET","host":"cart:8080","path":"/x\u0027;id;\u0027"}}"#,
            ),
        );
        let message = SeenMessage {
            protocol: "kafka",
            operation: "subscribe",
            names: vec![("topic", "pay'ments"), ("client_id", "c")],
            reply: false,
        };
        check(
            "an operation at a broker",
            RefusedTraffic { message: Some(message), ..plain.clone() },
            Some(
                r#"{"source":{"ip":"10.0.0.7"},"destination":{"ip":"10.0.0.9","port":8080},"message":{"protocol":"kafka","operation":"subscribe","client_id":"c","topic":"pay\u0027ments"}}"#,
            ),
        );
        let long = format!("/{}", "x".repeat(EXPLAIN_LINE));
        check(
            "longer than a person copies",
            RefusedTraffic { request: request(&long), ..plain },
            None,
        );
        check("no destination", RefusedTraffic::of("10.0.0.7", "?"), None);
    }
}
