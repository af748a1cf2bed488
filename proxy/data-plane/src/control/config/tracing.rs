//! `tracing`: where spans are sent, and how many.

use std::net::IpAddr;
use std::path::PathBuf;

use identity::SpiffeId;
use policy::yaml::{YamlReader, YamlValue};

use super::controller::host_and_port;
use super::tokens::absolute;
use crate::telemetry::trace::SamplingRate;

/// The collector, and what it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracingConfig {
    /// The collector's host name or address (`endpoint`).
    pub host: String,
    /// Its port (`endpoint`).
    pub port: u16,
    /// How the connection is secured (`endpoint`, `identity`, `certificateAuthorities`, `plaintext`).
    pub security: CollectorSecurity,
    /// The share of new traces that is recorded (`sampling`). Default 1 %.
    pub sampling: SamplingRate,
}

/// How the connection to the collector is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectorSecurity {
    /// Not at all: it does not leave the pod, or the operator said that it may.
    Plaintext,
    /// TLS with a web certificate, by the authorities of this PEM file or of the system.
    Web(Option<PathBuf>),
    /// Mutual TLS of the mesh: it proves this identity, and the proxy the workload's.
    Mesh(SpiffeId),
}

/// A value that was written, and what was read of it.
type Written<'n, T> = Option<(YamlValue<'n>, Option<T>)>;

/// What secures the connection, as it was written.
struct WrittenSecurity<'n> {
    identity: Written<'n, SpiffeId>,
    authorities: Written<'n, PathBuf>,
    plaintext: Written<'n, bool>,
}

pub(super) fn read(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<TracingConfig> {
    let mut map = reader.mapping(value)?;
    let endpoint = map.require(reader, "endpoint");
    let sampling = map.take("sampling");
    let sampling = sampling.and_then(|v| reader.parsed(v, "a percentage", SamplingRate::parse));
    let mut written = WrittenSecurity { identity: None, authorities: None, plaintext: None };
    if let Some(v) = map.take("identity") {
        written.identity = Some((v, reader.parsed(v, "a SPIFFE id", SpiffeId::parse)));
    }
    if let Some(v) = map.take("certificateAuthorities") {
        written.authorities = Some((v, reader.parsed(v, "a PEM file", absolute)));
    }
    written.plaintext = map.take("plaintext").map(|v| (v, reader.boolean(v)));
    map.finish(reader);
    let value = endpoint?;
    let endpoint = reader.parsed(value, "http:// or https://", read_endpoint)?;
    let security = match endpoint.encrypted {
        true => encrypted(reader, written)?,
        false => unencrypted(reader, (value, &endpoint.host), &written),
    };
    let Endpoint { host, port, .. } = endpoint;
    Some(TracingConfig { host, port, security, sampling: sampling.unwrap_or_default() })
}

/// Beside `https`: an identity, or who signs web certificates.
fn encrypted(reader: &mut YamlReader, written: WrittenSecurity<'_>) -> Option<CollectorSecurity> {
    let WrittenSecurity { identity, authorities, plaintext } = written;
    if let Some((value, Some(true))) = plaintext {
        needless(reader, value, "no `plaintext` beside https");
    }
    let Some((_, identity)) = identity else {
        return Some(CollectorSecurity::Web(authorities.and_then(|(_, file)| file)));
    };
    if let Some((value, _)) = authorities {
        needless(reader, value, "one of `identity` and `certificateAuthorities`");
    }
    identity.map(CollectorSecurity::Mesh)
}

/// Beside `http`: nothing that would be ignored, and a word where the spans leave the pod.
fn unencrypted(
    reader: &mut YamlReader,
    (endpoint, host): (YamlValue<'_>, &str),
    written: &WrittenSecurity<'_>,
) -> CollectorSecurity {
    if let Some((value, _)) = written.identity {
        needless(reader, value, "no `identity` beside http");
    }
    if let Some((value, _)) = written.authorities {
        needless(reader, value, "no `certificateAuthorities` beside http");
    }
    // What is no boolean has been reported.
    let may_leave = written.plaintext.is_some_and(|(_, said)| said != Some(false));
    if !may_leave && !is_loopback(host) {
        let fix = "write https, or `plaintext: true` where everybody on the way may read the spans";
        reader.report_value(endpoint, "http to loopback alone", Some(fix.to_owned()));
    }
    CollectorSecurity::Plaintext
}

fn needless(reader: &mut YamlReader, value: YamlValue<'_>, expected: &str) {
    reader.report_value(value, expected, Some("remove it, or change `endpoint`".to_owned()));
}

struct Endpoint {
    encrypted: bool,
    host: String,
    port: u16,
}

fn read_endpoint(text: &str) -> Result<Endpoint, &'static str> {
    const WRONG: &str = "write for example http://127.0.0.1:4317 or https://collector.observability.svc:4317, without a path";
    let (encrypted, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(WRONG),
    };
    let (host, port) = host_and_port(rest).map_err(|_| WRONG)?;
    let known =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.bytes().all(known) { Ok(Endpoint { encrypted, host, port }) } else { Err(WRONG) }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::control::config::Config;

    const LEAST: &str =
        "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";

    /// What is read of these keys, or the diagnostics.
    fn read(keys: &str) -> Result<TracingConfig, String> {
        let config = Config::parse("p", format!("{LEAST}tracing: {{{keys}}}").as_bytes());
        config.map(|config| config.tracing.unwrap()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn spans_leave_the_pod_encrypted_unless_it_is_said_otherwise() {
        let collector = SpiffeId::parse("spiffe://cluster.local/ns/o/sa/collector").unwrap();
        for (keys, expect) in [
            ("endpoint: 'http://127.0.0.1:4317'", CollectorSecurity::Plaintext),
            ("endpoint: 'http://[::1]:4317'", CollectorSecurity::Plaintext),
            ("endpoint: 'http://localhost:4317', plaintext: false", CollectorSecurity::Plaintext),
            ("endpoint: 'http://collector:4317', plaintext: true", CollectorSecurity::Plaintext),
            ("endpoint: 'https://collector:4317'", CollectorSecurity::Web(None)),
            (
                "endpoint: 'https://collector:4317', certificateAuthorities: /ca.pem",
                CollectorSecurity::Web(Some("/ca.pem".into())),
            ),
            (
                "endpoint: 'https://collector:4317', identity: 'spiffe://cluster.local/ns/o/sa/collector'",
                CollectorSecurity::Mesh(collector),
            ),
        ] {
            assert_eq!(read(keys).map(|read| read.security), Ok(expect), "{keys}");
        }
        for (keys, expect) in [
            ("endpoint: 'http://collector:4317'", "expected http to loopback alone"),
            (
                "endpoint: 'http://10.0.0.1:4317', plaintext: false",
                "expected http to loopback alone",
            ),
            ("endpoint: 'http://localhost.evil:4317'", "expected http to loopback alone"),
            ("endpoint: 'https://collector:4317', plaintext: true", "no `plaintext` beside https"),
            ("endpoint: 'http://[::1]:1', identity: 'spiffe://a/b'", "no `identity` beside http"),
            (
                "endpoint: 'http://[::1]:1', certificateAuthorities: /a",
                "no `certificateAuthorities` beside http",
            ),
            (
                "endpoint: 'https://a:1', identity: 'spiffe://a/b', certificateAuthorities: /a",
                "one of `identity` and `certificateAuthorities`",
            ),
            ("sampling: 1%", "no `endpoint` in `tracing`"),
            ("endpoint: 'http://[::1]:1', sampling: '2'", "a percentage"),
            ("endpoint: 'http://[::1]:1', serviceName: a", "the unknown key `serviceName`"),
        ] {
            let found = read(keys).unwrap_err();
            assert!(found.contains(expect) && found.lines().count() == 1, "{keys}: {found}");
        }
    }

    #[test]
    fn endpoints_are_a_scheme_a_host_and_a_port() {
        for (text, expect) in [
            ("https://collector.observability.svc:4317", true),
            ("http://[fd00::1]:4317", true),
            ("https://collector", false),
            ("https://collector:0", false),
            ("https://collector:4317/", false),
            ("https://collector:4317/v1/traces", false),
            ("https://user@collector:4317", false),
            ("HTTPS://collector:4317", false),
            ("grpc://collector:4317", false),
            ("collector:4317", false),
            ("https://:4317", false),
            ("https://a b:4317", false),
            ("", false),
        ] {
            assert_eq!(read_endpoint(text).is_ok(), expect, "{text}");
        }
    }
}
