//! Probes and lifecycle handlers: rewritten so that the kubelet, which has no certificate, asks the
//! proxy, and the proxy asks the app.
//!
//! The kubelet's `GET http://POD:15021/probe/CONTAINER/KIND` names no target. Targets stand in the
//! proxy's configuration alone, so nobody can make the proxy ask anything else, and only the verdict
//! comes back. Handlers *do* something (a `preStop` may end the app), so their address also has a
//! secret part, which is in the pod's spec and nowhere else.
//!
//! A probe that names a host is left alone: it does not ask this pod. So is `exec`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::inject::pod::ContainerPort;
use crate::inject::refusal::Refusal;

/// Where the proxy serves readiness and probes.
pub(crate) const PROBE_PORT: u16 = 15021;
/// What the path of a rewritten probe begins with.
const PATH: &str = "/probe/";
/// How long a `postStart` handler may take; Kubernetes itself sets no limit.
const POST_START_SECONDS: u32 = 300;

/// What the proxy must know to ask in the kubelet's place; a section of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProxyProbe {
    container: String,
    kind: ProbeKind,
    /// The secret part of a handler's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<HttpAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<TcpAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc: Option<GrpcAction>,
}

/// Which probe or handler of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
    PostStart,
    PreStop,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpAction {
    port: u16,
    path: String,
    #[serde(default, skip_serializing_if = "is_false")]
    tls: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<HttpHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpHeader {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpAction {
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrpcAction {
    port: u16,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    service: String,
}

impl ProbeKind {
    const ALL: [Self; 5] =
        [Self::Liveness, Self::Readiness, Self::Startup, Self::PostStart, Self::PreStop];

    /// The field of a container that holds it, and for handlers the field inside that.
    fn fields(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Liveness => ("livenessProbe", None),
            Self::Readiness => ("readinessProbe", None),
            Self::Startup => ("startupProbe", None),
            Self::PostStart => ("lifecycle", Some("postStart")),
            Self::PreStop => ("lifecycle", Some("preStop")),
        }
    }

    fn name(self) -> &'static str {
        let (outer, inner) = self.fields();
        inner.unwrap_or(outer)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Startup => "startup",
            Self::PostStart => "postStart",
            Self::PreStop => "preStop",
        }
    }

    fn is_handler(self) -> bool {
        matches!(self, Self::PostStart | Self::PreStop)
    }
}

/// What all probes of a pod have in common.
pub(crate) struct ProbeRewriter<'a> {
    /// Targets of probes that were rewritten before.
    pub(crate) known: &'a [ProxyProbe],
    /// The secret part of handlers' paths.
    pub(crate) secret: &'a str,
    /// The pod's grace period, which bounds its `preStop` handlers.
    pub(crate) grace_seconds: u32,
}

impl ProbeRewriter<'_> {
    /// Rewrites the probes and handlers of one container; what they asked is added to `targets`, and to `refusals` a
    /// [`Refusal::Probe`] where a target cannot be made out.
    pub(crate) fn container(
        &self,
        container: &mut Map<String, Value>,
        targets: &mut Vec<ProxyProbe>,
        refusals: &mut Vec<Refusal>,
    ) {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let ports = ContainerPort::of(container);
        for kind in ProbeKind::ALL {
            let (outer, inner) = kind.fields();
            let holder = container.get_mut(outer).and_then(|outer| match inner {
                None => Some(outer),
                Some(inner) => outer.get_mut(inner),
            });
            let Some(holder) = holder.and_then(Value::as_object_mut) else { continue };
            let refuse =
                |problem| Refusal::Probe { container: name.clone(), kind: kind.name(), problem };
            match self.one(&name, kind, holder, &ports) {
                Ok(target) => targets.extend(target),
                Err(problem) => refusals.push(refuse(problem)),
            }
        }
    }

    /// Rewrites one probe in place; `None` when it is none of ours to serve.
    fn one(
        &self,
        container: &str,
        kind: ProbeKind,
        holder: &mut Map<String, Value>,
        ports: &[ContainerPort],
    ) -> Result<Option<ProxyProbe>, String> {
        let Some(target) = ProbeAction::of(holder, ports)? else { return Ok(None) };
        if let ProbeAction::Rewritten(path) = target {
            let before = self.known.iter().find(|probe| probe.path() == path);
            return before.cloned().map(Some).ok_or_else(|| {
                format!("asks the proxy for {path}, which is not in its configuration; write the app's own port and path")
            });
        }
        let (http, tcp, grpc) = match target {
            ProbeAction::Http(http) => (Some(http), None, None),
            ProbeAction::Tcp(tcp) => (None, Some(tcp), None),
            ProbeAction::Grpc(grpc) => (None, None, Some(grpc)),
            ProbeAction::Rewritten(_) => (None, None, None),
        };
        let probe = ProxyProbe {
            container: container.to_owned(),
            kind,
            secret: kind.is_handler().then(|| self.secret.to_owned()),
            timeout: format!("{}s", self.timeout_seconds(kind, holder)),
            http,
            tcp,
            grpc,
        };
        for field in ["httpGet", "tcpSocket", "grpc"] {
            holder.remove(field);
        }
        let get = json!({ "path": probe.path(), "port": PROBE_PORT, "scheme": "HTTP" });
        holder.insert("httpGet".to_owned(), get);
        Ok(Some(probe))
    }

    fn timeout_seconds(&self, kind: ProbeKind, holder: &Map<String, Value>) -> u32 {
        let seconds = match kind {
            ProbeKind::PreStop => self.grace_seconds,
            ProbeKind::PostStart => POST_START_SECONDS,
            _ => {
                let written = holder.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(1);
                u32::try_from(written).unwrap_or(u32::MAX)
            }
        };
        seconds.clamp(1, 3600)
    }
}

impl ProxyProbe {
    fn path(&self) -> String {
        let secret = self.secret.as_ref().map(|secret| format!("/{secret}")).unwrap_or_default();
        format!("{PATH}{}/{}{secret}", self.container, self.kind.word())
    }
}

enum ProbeAction {
    Http(HttpAction),
    Tcp(TcpAction),
    Grpc(GrpcAction),
    /// By an earlier injection, to this path.
    Rewritten(String),
}

impl ProbeAction {
    /// What a probe asks; `None` when it does not ask this pod over the network.
    fn of(holder: &Map<String, Value>, ports: &[ContainerPort]) -> Result<Option<Self>, String> {
        one_action(holder)?;
        let action = |key| holder.get(key).filter(|action| action.is_object());
        let other_host = |action: &Value| {
            action.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty())
        };
        if let Some(get) = action("httpGet") {
            if other_host(get) {
                return Ok(None);
            }
            let path = get.get("path").and_then(Value::as_str).unwrap_or("/");
            let port = port_number(get.get("port"), ports)?;
            if port == PROBE_PORT && path.starts_with(PATH) {
                return Ok(Some(Self::Rewritten(path.to_owned())));
            }
            let rooted = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            if rooted.parse::<http::uri::PathAndQuery>().is_err() {
                return Err(format!("path {path:?} is none of HTTP's"));
            }
            let tls = get.get("scheme").and_then(Value::as_str) == Some("HTTPS");
            return Ok(Some(Self::Http(HttpAction {
                port,
                path: rooted,
                tls,
                headers: headers(get)?,
            })));
        }
        if let Some(socket) = action("tcpSocket") {
            if other_host(socket) {
                return Ok(None);
            }
            return Ok(Some(Self::Tcp(TcpAction {
                port: port_number(socket.get("port"), ports)?,
            })));
        }
        let Some(grpc) = action("grpc") else { return Ok(None) };
        let service = grpc.get("service").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Self::Grpc(GrpcAction { port: port_number(grpc.get("port"), ports)?, service })))
    }
}

/// Kubernetes takes one action of a probe or handler, and none beside it.
fn one_action(holder: &Map<String, Value>) -> Result<(), String> {
    let known = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].into_iter();
    let there = known.filter(|key| holder.get(*key).is_some_and(|action| !action.is_null()));
    match there.collect::<Vec<_>>().as_slice() {
        [] | [_] => Ok(()),
        several => {
            Err(format!("has {} actions, {}; write one", several.len(), several.join(" and ")))
        }
    }
}

fn headers(get: &Value) -> Result<Vec<HttpHeader>, String> {
    match get.get("httpHeaders") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => {
            let headers: Vec<HttpHeader> =
                Vec::deserialize(list).map_err(|error| format!("httpHeaders: {error}"))?;
            match headers.iter().find(|header| !header.is_valid()) {
                Some(bad) => Err(format!("httpHeaders: {:?} is none of HTTP's", bad.name)),
                None => Ok(headers),
            }
        }
    }
}

impl HttpHeader {
    fn is_valid(&self) -> bool {
        self.name.parse::<http::HeaderName>().is_ok()
            && self.value.parse::<http::HeaderValue>().is_ok()
    }
}

/// A number, or the name of a port of the same container.
fn port_number(port: Option<&Value>, ports: &[ContainerPort]) -> Result<u16, String> {
    match port {
        Some(Value::Number(number)) => {
            let port = number.as_u64().and_then(|number| u16::try_from(number).ok());
            port.filter(|port| *port != 0).ok_or_else(|| format!("{number} is no port"))
        }
        Some(Value::String(name)) => {
            let named = ports.iter().find(|port| port.name.as_deref() == Some(name));
            named
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok())
                .ok_or_else(|| format!("names port {name:?}, which the container does not declare"))
        }
        _ => Err("has no port".to_owned()),
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
