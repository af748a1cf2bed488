//! The probes that the proxy runs in the kubelet's place (`probes`), and the metrics it fetches in Prometheus'
//! (`metrics.app`).

use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use policy::yaml::{self, YamlMapping, YamlReader, YamlValue};

/// The most probes of a pod: five for each of two hundred containers.
const MAX_PROBES: usize = 1000;
/// The most headers of one probe.
const MAX_HEADERS: usize = 64;

/// One probe or lifecycle handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The path that the kubelet requests, `/probe/CONTAINER/KIND`, for handlers with a secret behind it.
    pub path: String,
    /// How long the app may take. Default 1s.
    pub timeout: Duration,
    /// What is requested from the app.
    pub ask: ProbeHandler,
}

/// What is requested from the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeHandler {
    /// `GET`; a status from 200 to 399 is a success.
    Http(HttpProbe),
    /// A connection; accepting it is a success.
    Tcp {
        /// The app's port.
        port: u16,
    },
    /// `grpc.health.v1.Health/Check`; SERVING is a success.
    Grpc {
        /// The app's port.
        port: u16,
        /// The service whose health is requested; empty for the server as a whole.
        service: String,
    },
}

/// A `GET` to the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// The app's port.
    pub port: u16,
    /// Path and query.
    pub path: PathAndQuery,
    /// Whether the app speaks TLS; its certificate is not verified, as the kubelet does not verify it.
    pub tls: bool,
    /// Headers of the request.
    pub headers: HeaderMap,
}

/// Where the app serves metrics of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppMetrics {
    /// The app's port.
    pub port: u16,
    /// Path and query. Default `/metrics`.
    pub path: PathAndQuery,
}

const KINDS: &[(&str, &str)] = &[
    ("liveness", "liveness"),
    ("readiness", "readiness"),
    ("startup", "startup"),
    ("postStart", "postStart"),
    ("preStop", "preStop"),
];

pub(super) fn probes(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> Vec<Probe> {
    let Some(items) = value.and_then(|v| reader.filled_list(v, MAX_PROBES)) else {
        return Vec::new();
    };
    items.into_iter().filter_map(|item| probe(reader, item)).collect()
}

fn probe(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<Probe> {
    let mut map = reader.mapping(value)?;
    let container =
        map.require(reader, "container").and_then(|v| super::sections::dns_label(reader, v));
    let kind = map.require(reader, "kind").and_then(|v| reader.choice(v, KINDS));
    let secret = map.take("secret").map(|v| reader.parsed(v, "a secret", secret));
    let timeout =
        map.take("timeout").map(|v| reader.parsed(v, "a duration from 1s to 1h", timeout));
    let ask = ask(reader, value, &mut map);
    map.finish(reader);
    let secret = match secret {
        Some(secret) => format!("/{}", secret?),
        None => String::new(),
    };
    Some(Probe {
        path: format!("/probe/{}/{}{secret}", container?, kind?),
        timeout: timeout.unwrap_or(Some(Duration::from_secs(1)))?,
        ask: ask?,
    })
}

fn ask(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    map: &mut YamlMapping<'_>,
) -> Option<ProbeHandler> {
    let http = map.take("http").map(|v| http(reader, v).map(ProbeHandler::Http));
    let tcp = map.take("tcp").map(|v| tcp(reader, v));
    let grpc = map.take("grpc").map(|v| grpc(reader, v));
    let mut all = [http, tcp, grpc].into_iter().flatten();
    match (all.next(), all.next()) {
        (Some(ask), None) => ask,
        (None, _) => {
            reader.report(value.node.mark, "nothing to ask", "`http`, `tcp` or `grpc`", None);
            None
        }
        (Some(_), Some(_)) => {
            let fix = Some("remove the others".to_owned());
            reader.report(
                value.node.mark,
                "several things to ask",
                "one of `http`, `tcp`, `grpc`",
                fix,
            );
            None
        }
    }
}

fn http(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HttpProbe> {
    let mut map = reader.mapping(value)?;
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    let path = path(reader, &mut map, "/");
    let tls = map.take("tls").and_then(|v| reader.boolean(v)).unwrap_or(false);
    let headers = map.take("headers").and_then(|v| headers(reader, v)).unwrap_or_default();
    map.finish(reader);
    Some(HttpProbe { port: port?, path: path?, tls, headers })
}

fn headers(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for item in reader.filled_list(value, MAX_HEADERS)? {
        let mut map = reader.mapping(item)?;
        let name = map.require(reader, "name");
        let name = name.and_then(|v| reader.parsed(v, "a header's name", str::parse::<HeaderName>));
        let value = map.require(reader, "value").and_then(|v| match v.is_empty_text() {
            true => Some(HeaderValue::from_static("")),
            false => reader.parsed(v, "a header's value", str::parse::<HeaderValue>),
        });
        map.finish(reader);
        headers.append(name?, value?);
    }
    Some(headers)
}

fn tcp(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ProbeHandler> {
    let mut map = reader.mapping(value)?;
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    map.finish(reader);
    Some(ProbeHandler::Tcp { port: port? })
}

fn grpc(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<ProbeHandler> {
    let mut map = reader.mapping(value)?;
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    let service = map.take("service").and_then(|v| reader.text(v)).unwrap_or_default().to_owned();
    map.finish(reader);
    Some(ProbeHandler::Grpc { port: port?, service })
}

pub(super) fn app_metrics(reader: &mut YamlReader, value: YamlValue<'_>) -> Option<AppMetrics> {
    let mut map = reader.mapping(value)?;
    let port = map.require(reader, "port").and_then(|v| reader.port(v));
    let path = path(reader, &mut map, "/metrics");
    map.finish(reader);
    Some(AppMetrics { port: port?, path: path? })
}

fn path(
    reader: &mut YamlReader,
    map: &mut YamlMapping<'_>,
    default: &'static str,
) -> Option<PathAndQuery> {
    let Some(value) = map.take("path") else { return Some(PathAndQuery::from_static(default)) };
    reader.parsed(value, "a path", |text| match text.starts_with('/') {
        true => text.parse::<PathAndQuery>().map_err(|error| error.to_string()),
        false => Err("a path begins with '/'".to_owned()),
    })
}

fn secret(text: &str) -> Result<String, &'static str> {
    let good = (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if good { Ok(text.to_owned()) } else { Err("16 to 128 letters and digits") }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
    yaml::parse_duration(text)
        .filter(|timeout| bounds.contains(timeout))
        .ok_or_else(|| "write a whole number and a unit: 1s, 2m".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::config::Config;

    fn read(probes: &str) -> Result<Vec<Probe>, String> {
        let text = format!(
            "workload: {{namespace: shop, serviceAccount: cart}}\nidentity: {{workloadApi: unix:///a}}\nprobes: {probes}\n"
        );
        Config::parse("f", text.as_bytes()).map(|c| c.probes).map_err(|e| e.to_string())
    }

    #[test]
    fn what_the_injector_writes() {
        let probes = read(
            r#"[{"container":"app","kind":"readiness","timeout":"3s","http":{"port":8080,"path":"/healthz?full=\u0024(X)","tls":true,"headers":[{"name":"x-a","value":""}]}},{"container":"app","kind":"preStop","secret":"0123456789abcdef","tcp":{"port":1}}]"#,
        );
        let probes = probes.unwrap();
        assert_eq!(probes[0].path, "/probe/app/readiness");
        assert_eq!(probes[0].timeout, Duration::from_secs(3));
        let ProbeHandler::Http(http) = &probes[0].ask else { unreachable!() };
        assert_eq!(http.path.as_str(), "/healthz?full=$(X)");
        assert!(http.tls && http.headers.contains_key("x-a"));
        assert_eq!(probes[1].path, "/probe/app/preStop/0123456789abcdef");
        assert_eq!(probes[1].timeout, Duration::from_secs(1));
    }

    #[test]
    fn mistakes_are_named() {
        for (probes, says) in [
            ("[{container: app, kind: readiness}]", "`http`, `tcp` or `grpc`"),
            ("[{container: app, kind: other, tcp: {port: 1}}]", "one of liveness"),
            ("[{container: app, kind: startup, tcp: {port: 1}, grpc: {port: 1}}]", "one of"),
            ("[{container: app, kind: startup, tcp: {port: 0}}]", "port"),
            ("[{container: a/b, kind: startup, tcp: {port: 1}}]", "a/b"),
            ("[{container: app, kind: startup, secret: a/b, tcp: {port: 1}}]", "secret"),
            ("[{container: app, kind: startup, timeout: 1d, tcp: {port: 1}}]", "1d"),
            ("[{container: app, kind: startup, http: {port: 1, path: x}}]", "begins with"),
            (
                "[{container: app, kind: startup, http: {port: 1, headers: [{name: x-a}]}}]",
                "no `value`",
            ),
        ] {
            let found = read(probes).unwrap_err();
            assert!(found.contains(says), "{probes}: {found}");
        }
    }
}
