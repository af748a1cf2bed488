//! A gateway with a SignIn, and browsers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use policy::{
    CanonicalPath, GatewayListener, PathNormalization, Resources, SignInPolicy, SourceFile,
};

use super::provider::{CLIENT, FakeProvider};
use crate::control::config::Config;
use crate::control::installer::ResourceInstaller;
use crate::control::jwks;
use crate::http::body::Body;
use crate::http::gate::{self, GateSettings, HeadLimits, UnderscorePolicy};
use crate::labels::{Direction, Protocol};
use crate::telemetry::LogWriter;
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::caller::AuthenticatedCaller;
use crate::traffic::exchange::{Exchange, PhaseEnd};
use crate::traffic::judge::RequestJudge;
use crate::traffic::record::RequestRecord;
use crate::traffic::sign_in;
use crate::traffic::state::ProxyState;
use crate::traffic::upgrade;
use crate::traffic::worker::Worker;

/// A gateway whose listener for `shop.example` asks people to sign in.
pub(super) struct Scene {
    pub(super) provider: FakeProvider,
    installer: ResourceInstaller,
    worker: Arc<Worker>,
}

/// What a browser keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Browser {
    pub(super) cookies: BTreeMap<String, String>,
    /// Their names as they came first: the order in which they are sent (RFC 6265 §5.4).
    order: Vec<String>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Came {
    /// It was answered here: status, reason, `location`.
    Answered(u16, &'static str, String),
    /// It goes on to the app, with these fields and this subject.
    Through(HeaderMap, Option<String>),
}

/// A navigation.
pub(super) const PAGE: &[(&str, &str)] = &[("sec-fetch-mode", "navigate")];
/// A script's request.
pub(super) const XHR: &[(&str, &str)] = &[("sec-fetch-mode", "cors")];

impl Came {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Answered(status, ..) => *status,
            Self::Through(..) => 200,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Answered(_, reason, _) => reason,
            Self::Through(..) => "through",
        }
    }

    pub(super) fn location(&self) -> &str {
        match self {
            Self::Answered(_, _, location) => location,
            Self::Through(..) => "",
        }
    }

    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::Answered(..) => None,
            Self::Through(_, subject) => subject.as_deref(),
        }
    }

    /// A field that the app gets.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        match self {
            Self::Answered(..) => None,
            Self::Through(headers, _) => headers.get(name).map(|value| value.to_str().unwrap()),
        }
    }
}

impl Scene {
    /// A SignIn for everything, with these further lines of its `spec` and of its `session`, in which ISSUER is the provider.
    pub(super) async fn start(more: &str, session: &str) -> Self {
        let scene = Self::without_provider(more, session).await;
        scene.know_provider().await;
        scene
    }

    /// The provider's document is not fetched yet.
    pub(super) async fn without_provider(more: &str, session: &str) -> Self {
        let provider = FakeProvider::start().await;
        let text = config(&provider);
        let installer = ResourceInstaller::new(Config::parse("p", text.as_bytes()).unwrap(), 1);
        let installer = installer.unwrap();
        installer.install(&resources(&documents(&provider.issuer(), more, session)));
        let log = LogWriter::start(std::io::sink()).unwrap();
        let worker = Worker::new(0, 1, installer.state.clone(), log.sink());
        Self { provider, installer, worker }
    }

    /// Follows the sources of keys, as the control thread does, until the provider is known.
    pub(super) async fn know_provider(&self) {
        let (state, issuer) = (self.state().clone(), self.provider.issuer());
        tokio::spawn(jwks::keep(state.clone(), self.installer.config.clone()));
        let source = policy::KeySource::Discovery(issuer.as_str().into());
        let known = async {
            while state.sign_ins.providers.get(&issuer).is_none()
                || state.token_keys.keys().get(&source).is_none()
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
    }

    pub(super) fn state(&self) -> &Arc<ProxyState> {
        &self.installer.state
    }

    /// The SignIn.
    pub(super) fn policy(&self) -> Arc<SignInPolicy> {
        self.state().snapshot().sign_ins().policies().next().unwrap().clone()
    }

    /// Seals with another key from now on, and takes what was sealed with the one before.
    pub(super) fn roll(&self, key: u8, previous: Option<u8>) {
        let encoded = |key: u8| data_encoding::BASE64.encode(&[key; 32]);
        let previous = previous.map(|key| format!(", previous: {}", encoded(key)));
        let rolled = format!("current: {}{}", encoded(key), previous.unwrap_or_default());
        let text = documents(&self.provider.issuer(), "", "");
        let text = text.replace(&format!("current: {}", encoded(7)), &rolled);
        self.installer.install(&resources(&text));
    }

    /// What a client gets of an answer that may switch protocols, and sets this field.
    pub(super) fn switched(
        &self,
        response: Response<Body>,
        field: (HeaderName, HeaderValue),
    ) -> (Response<Body>, bool) {
        let address = "10.0.0.7:1".parse().unwrap();
        let registry = &self.state().registry;
        let connection = registry.register(0, Direction::Inbound, address, address, 0);
        let meter = self.worker.meter(labels());
        let recorder = &self.worker.recorder;
        let mut record = RequestRecord::begin(recorder, &connection, &meter, &Method::GET);
        record.answer_also([field]);
        let limits = &self.state().settings.limits;
        let (response, carried) =
            upgrade::finish_upgrade(Ok(response), None, record, connection.clone(), limits);
        (response, carried.is_some())
    }

    fn listener(&self) -> Arc<GatewayListener> {
        let ports = self.state().edge.ports();
        let port = ports.values().next().unwrap();
        port.by_host("shop.example").unwrap().listener.clone()
    }

    /// Asks as a browser does, and keeps what it is given.
    pub(super) async fn get(&self, who: &mut Browser, path: &str, with: &[(&str, &str)]) -> Came {
        self.ask(who, "GET", path, with, "").await
    }

    pub(super) async fn ask(
        &self,
        who: &mut Browser,
        method: &str,
        target: &str,
        with: &[(&str, &str)],
        body: &str,
    ) -> Came {
        let named = with.iter().any(|(name, _)| *name == "host");
        let mut request = Request::builder().method(method).uri(target);
        if !named {
            request = request.header("host", "shop.example");
        }
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        if !who.cookies.is_empty() {
            request = request.header("cookie", who.header());
        }
        let request = request.body(Body::from_bytes(body.to_owned())).unwrap();
        let (came, set) = self.pass(request, true).await;
        set.iter().for_each(|line| who.keep(line));
        came
    }

    /// The phases of a gateway until a request is judged. What its answer sets.
    pub(super) async fn pass(&self, request: Request<Body>, tls: bool) -> (Came, Vec<String>) {
        let (mut parts, mut body) = request.into_parts();
        let snapshot = self.state().snapshot();
        let settings = GateSettings {
            default_port: Some(443),
            dialled: None,
            normalization: PathNormalization::default(),
            head: HeadLimits::default(),
            named: Some(snapshot.header_names()),
            underscores: UnderscorePolicy::Allow,
        };
        let admitted = gate::admit(&mut parts, &settings).unwrap();
        let path: CanonicalPath<'_> = admitted.path().unwrap();
        let address = "10.0.0.7:1".parse().unwrap();
        let registry = &self.state().registry;
        let connection = registry.register(0, Direction::Inbound, address, address, 0);
        let meter = self.worker.meter(labels());
        let mut record =
            RequestRecord::begin(&self.worker.recorder, &connection, &meter, &parts.method.clone());
        let mut exchange = Exchange {
            parts: &mut parts,
            body: &mut body,
            admitted: &admitted,
            path: &path,
            snapshot: Some(snapshot),
            known: None,
            caller: AuthenticatedCaller::default(),
            listener: Some(self.listener()),
            remote_ip: None,
            answer: None,
            record: &mut record,
        };
        let judge = RequestJudge { worker: self.worker.clone(), connection: (*connection).clone() };
        let passed = admit(self.state(), &judge, &mut exchange, &self.listener(), tls).await;
        let subject = exchange.caller.claims().and_then(|claims| claims.subject.clone());
        let mut headers = match &passed {
            Err(PhaseEnd::Answer { response, .. }) => response.headers().clone(),
            Err(PhaseEnd::Refuse(error)) => error.response(false).headers().clone(),
            Ok(()) => of_an_app(),
        };
        record.complete_head(&mut headers);
        if headers.contains_key("set-cookie") {
            assert_eq!(headers.get("cache-control").unwrap(), "no-store", "somebody's cookie");
            assert!(!headers.contains_key("cdn-cache-control"), "{headers:?}");
        }
        let set = headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned());
        let set = set.collect();
        let location = headers.get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
        let came = match passed {
            Ok(()) => Came::Through(parts.headers.clone(), subject),
            Err(PhaseEnd::Refuse(error)) => {
                Came::Answered(error.status().as_u16(), error.reason(), location)
            }
            Err(PhaseEnd::Answer { response, reason }) => {
                Came::Answered(response.status().as_u16(), reason, location)
            }
        };
        (came, set)
    }

    /// Signs in as a browser does that goes to this path, and follows the last redirect.
    pub(super) async fn sign_in(&self, who: &mut Browser, path: &str) -> Came {
        let sent = self.get(who, path, PAGE).await;
        assert_eq!((sent.status(), sent.reason()), (302, "sign_in_started"), "{sent:?}");
        let back = self.come_back(who, sent.location()).await;
        assert_eq!((back.status(), back.reason()), (303, "signed_in"), "{back:?}");
        self.get(who, back.location(), PAGE).await
    }

    /// Signs in at the provider that a redirect leads to, and comes back.
    pub(super) async fn come_back(&self, who: &mut Browser, location: &str) -> Came {
        let query = self.provider.authorize(location);
        self.get(who, &format!("/.postern/callback?{query}"), PAGE).await
    }

    /// A counter of the metrics.
    pub(super) fn count(&self, line: &str) -> u64 {
        let text = String::from_utf8(self.state().metrics.render(b"")).unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// An answer of an app that caches may keep, each in its own words.
fn of_an_app() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", "public, max-age=86400".parse().unwrap());
    headers.insert("cdn-cache-control", "max-age=86400".parse().unwrap());
    headers
}

/// As `GatewayPhases::authenticate` does.
async fn admit(
    state: &Arc<ProxyState>,
    judge: &RequestJudge,
    exchange: &mut Exchange<'_>,
    listener: &Arc<GatewayListener>,
    tls: bool,
) -> Result<(), PhaseEnd> {
    let client = "10.0.0.7".parse().unwrap();
    let admission = sign_in::admit(state, exchange, listener, (client, tls)).await?;
    judge.authenticate(exchange, None)?;
    Ok(sign_in::confirm(&admission, exchange)?)
}

impl Browser {
    fn header(&self) -> String {
        let place = |name: &String| self.order.iter().position(|known| known == name);
        let mut pairs: Vec<_> = self.cookies.iter().collect();
        pairs.sort_by_key(|(name, _)| place(name));
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.split(";").any(|found| found.trim() == attribute), "{line}");
        }
        let is_cleared = attributes.ends_with("Max-Age=0");
        if is_cleared || !self.cookies.contains_key(name) {
            self.order.retain(|known| known != name);
        }
        if is_cleared {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
            if !self.order.iter().any(|known| known == name) {
                self.order.push(name.to_owned());
            }
        }
    }

    /// Cookies whose names begin so.
    pub(super) fn count(&self, prefix: &str) -> usize {
        self.cookies.keys().filter(|name| name.starts_with(prefix)).count()
    }
}

fn labels() -> TrafficLabels {
    TrafficLabels {
        direction: Direction::Inbound,
        source_principal: "a".into(),
        destination_principal: "b".into(),
        destination_service: "c".into(),
        protocol: Protocol::Http1,
        mtls: false,
    }
}

fn config(provider: &FakeProvider) -> String {
    let authorities = provider.directory.path().join("ca.pem");
    format!(
        "mode: gateway\nworkload: {{namespace: shop, serviceAccount: edge}}\nidentity: {{workloadApi: 'unix:///a'}}\n\
         gateway: {{name: shop/edge}}\n\
         tokens: {{certificateAuthorities: '{}', allowAddresses: [127.0.0.1]}}\n",
        authorities.display()
    )
}

fn documents(issuer: &str, more: &str, session: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\n\
         spec: {{gatewayClassName: postern, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: oidc, namespace: shop}}\nstringData: {{client-secret: s3cret}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: keys, namespace: shop}}\n\
         data: {{current: {}}}\n\
         ---\napiVersion: policy.postern.dev/v1alpha1\nkind: SignIn\nmetadata: {{name: staff, namespace: shop}}\n\
         spec:\n  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}]\n  issuer: {issuer}\n\
         \x20 clientId: {CLIENT}\n  clientSecretRef: {{name: oidc}}\n  backChannelLogoutPath: /.postern/back-channel\n\
         \x20 session: {{keysSecretRef: {{name: keys}}{session}}}\n{more}",
        data_encoding::BASE64.encode(&[7; 32]),
        more = more.replace("ISSUER", issuer),
    )
}

fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "all.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}
