//! A trust domain, a controller beside the fake API server, and a simulated proxy.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use identity::tls::ALPN_H2;
use identity::{SpiffeId, SvidKey, TrustBundle, TrustBundles, TrustDomain, X509Svid};
use k8s::controller::credentials::OwnCredentials;
use k8s::controller::index::{Index, IndexSettings};
use k8s::controller::proto::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use k8s::controller::proto::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use k8s::controller::service::{POD_NAME, POD_UID, POLICY_TYPE, SERVICE_TYPE};
use k8s::controller::shared::Shared;
use k8s::controller::{server, watch as watches};
use prost_types::value::Kind;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tonic::{Status, Streaming};

use crate::fake_api::FakeApi;

/// The controller's identity.
pub const CONTROLLER: &str = "spiffe://cluster.local/ns/postern-system/sa/postern-controller";

/// The root of `cluster.local`, held by the test.
pub struct TestTrust {
    root: CertifiedIssuer<'static, KeyPair>,
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let uri = Ia5String::try_from("spiffe://cluster.local".to_owned()).unwrap();
    params.subject_alt_names = vec![SanType::URI(uri)];
    params
}

impl TestTrust {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        Self { root: CertifiedIssuer::self_signed(root_params(), key).unwrap() }
    }

    /// Writes the controller's SVID and the root, for another process of the test.
    pub fn write(&self, directory: &std::path::Path) {
        std::fs::write(directory.join("root.pem"), self.root.as_ref().pem()).unwrap();
        std::fs::write(directory.join("bundle.pem"), self.root.as_ref().pem()).unwrap();
        let (svid, key) = self.svid(CONTROLLER);
        std::fs::write(directory.join("controller.der"), &svid.chain()[0]).unwrap();
        std::fs::write(directory.join("controller.key"), key.pkcs8_der()).unwrap();
    }

    /// Writes an SVID as a proxy reads it from files.
    pub fn write_svid(&self, directory: &std::path::Path, id: &str) {
        let (svid, key) = self.svid(id);
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            let lines: Vec<&str> =
                text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
        };
        let chain = pem("CERTIFICATE", &svid.chain()[0]);
        std::fs::write(directory.join("svid.pem"), chain).unwrap();
        std::fs::write(directory.join("key.pem"), pem("PRIVATE KEY", key.pkcs8_der())).unwrap();
    }

    pub fn bundles(&self) -> TrustBundles {
        let domain = TrustDomain::parse("cluster.local").unwrap();
        let root = self.root.as_ref().der().clone();
        TrustBundles::new([TrustBundle::from_der(domain, vec![root]).unwrap()])
    }

    pub fn svid(&self, id: &str) -> (X509Svid, SvidKey) {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("leaf");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let uri = Ia5String::try_from(id.to_owned()).unwrap();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.root).unwrap();
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let key = SvidKey::from_pkcs8_der(key.serialize_der()).unwrap();
        (X509Svid::parse(chain).unwrap(), key)
    }

    pub fn credentials(&self) -> Arc<OwnCredentials> {
        let (svid, key) = self.svid(CONTROLLER);
        Arc::new(OwnCredentials::new(&svid, &key, self.bundles()).unwrap())
    }
}

/// The controller's credentials as [`TestTrust::write`] wrote them.
pub fn read_credentials(directory: &std::path::Path) -> Arc<OwnCredentials> {
    let read = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let svid = X509Svid::parse(vec![CertificateDer::from(read("controller.der"))]).unwrap();
    let key = SvidKey::from_pkcs8_der(read("controller.key")).unwrap();
    let domain = TrustDomain::parse("cluster.local").unwrap();
    let bundle = TrustBundle::from_pem(domain, &read("root.pem")).unwrap();
    Arc::new(OwnCredentials::new(&svid, &key, TrustBundles::new([bundle])).unwrap())
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// The controller's watches and its server, in this process.
pub struct Controller {
    pub shared: Arc<Shared>,
    pub address: SocketAddr,
    pub client: kube::Client,
    pub credentials: watch::Sender<Option<Arc<OwnCredentials>>>,
}

pub fn settings() -> IndexSettings {
    IndexSettings {
        root_namespace: "postern-system".into(),
        cluster_domain: "cluster.local".into(),
        trust_domain: TrustDomain::parse("cluster.local").unwrap(),
    }
}

pub async fn client(api: &FakeApi) -> kube::Client {
    let file = kube::config::Kubeconfig::from_yaml(&api.kubeconfig()).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

impl Controller {
    pub async fn start(api: &FakeApi, trust: &TestTrust) -> Self {
        Self::with(client(api).await, trust.credentials()).await
    }

    /// With any API server and credentials.
    pub async fn with(client: kube::Client, own: Arc<OwnCredentials>) -> Self {
        let shared = Arc::new(Shared::new(Index::new(settings())));
        tokio::spawn(watches::follow(client.clone(), shared.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (credentials, own) = watch::channel(Some(own));
        tokio::spawn(server::serve(listener, own, shared.clone()));
        Self { shared, address, client, credentials }
    }

    /// Waits until everything is listed.
    pub async fn synced(&self) {
        // Ten thousand objects of each kind take their time on a busy machine.
        let begun = Instant::now();
        while let Some(kind) = self.shared.unknown_kind() {
            assert!(begun.elapsed() < Duration::from_secs(180), "{kind:?} is not listed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A simulated proxy: what it was told, by name.
pub struct Proxy {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
    pub policies: BTreeMap<String, Value>,
    pub services: BTreeMap<String, Value>,
    pub unknown: Vec<String>,
    pub versions: HashMap<String, String>,
}

impl Proxy {
    /// Connects, announces a pod, and asks for its policies. The first answer is awaited by [`Self::hear`].
    pub async fn connect(
        controller: SocketAddr,
        trust: &TestTrust,
        id: &str,
        pod: (&str, &str),
    ) -> Result<Self, Status> {
        Self::resume(controller, trust, id, pod, HashMap::new()).await
    }

    pub async fn resume(
        controller: SocketAddr,
        trust: &TestTrust,
        id: &str,
        pod: (&str, &str),
        has: HashMap<String, String>,
    ) -> Result<Self, Status> {
        let (svid, key) = trust.svid(id);
        let expected: Arc<[SpiffeId]> = [SpiffeId::parse(CONTROLLER).unwrap()].into();
        let bundles = Arc::new(trust.bundles());
        let config =
            identity::tls::client_config(&svid, &key, bundles, expected, &[ALPN_H2]).unwrap();
        let stream = TcpStream::connect(controller).await.unwrap();
        let name = rustls_pki_types::ServerName::IpAddress(controller.ip().into());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(|error| Status::unavailable(error.to_string()))?;
        let channel = tonic::transport::Endpoint::from_static("http://controller")
            .connect_with_connector(Dialled(Some(TokioIo::new(stream))))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (requests, queue) = mpsc::channel(16);
        let text = |text: &str| prost_types::Value { kind: Some(Kind::StringValue(text.into())) };
        let fields = [(POD_NAME, pod.0), (POD_UID, pod.1)];
        let fields = fields.map(|(key, value)| (key.to_owned(), text(value))).into();
        let first = DeltaDiscoveryRequest {
            node: Some(Node { id: pod.0.into(), metadata: Some(prost_types::Struct { fields }) }),
            type_url: POLICY_TYPE.into(),
            resource_names_subscribe: vec!["*".into()],
            initial_resource_versions: has,
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await.unwrap();
        let queue = tokio_stream::wrappers::ReceiverStream::new(queue);
        let mut client =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(64 << 20);
        let answers = client.delta_aggregated_resources(queue).await?.into_inner();
        Ok(Self {
            requests,
            answers,
            policies: BTreeMap::new(),
            services: BTreeMap::new(),
            unknown: Vec::new(),
            versions: HashMap::new(),
        })
    }

    pub async fn ask(&self, keys: &[&str]) {
        let request = DeltaDiscoveryRequest {
            type_url: SERVICE_TYPE.into(),
            resource_names_subscribe: keys.iter().map(ToString::to_string).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    /// Takes in the next answer.
    pub async fn hear(&mut self) -> Result<(), Status> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.answers.message()).await;
        let answer = next.expect("an answer within 20 s")?;
        let answer = answer.ok_or_else(|| Status::unavailable("the stream ended"))?;
        let of_policy = answer.type_url == POLICY_TYPE;
        let known = if of_policy { &mut self.policies } else { &mut self.services };
        for name in &answer.removed_resources {
            known.remove(name);
            self.versions.remove(name);
        }
        for resource in answer.resources {
            let document = serde_json::from_slice(&resource.resource.unwrap().value).unwrap();
            known.insert(resource.name.clone(), document);
            self.versions.insert(resource.name, resource.version);
        }
        if !of_policy {
            self.unknown = answer.removed_resources;
        }
        let acknowledgement = DeltaDiscoveryRequest {
            type_url: answer.type_url,
            response_nonce: answer.nonce,
            ..DeltaDiscoveryRequest::default()
        };
        let _ = self.requests.send(acknowledgement).await;
        Ok(())
    }

    /// Takes in answers until it is so.
    pub async fn hear_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            self.hear().await.unwrap();
        }
    }
}

struct Dialled<S>(Option<S>);

impl<S: Send + 'static> tower_service::Service<http::Uri> for Dialled<S> {
    type Response = S;
    type Error = std::io::Error;
    type Future = Ready<std::io::Result<S>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: http::Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| std::io::ErrorKind::NotConnected.into()))
    }
}

/// A namespace, part of the mesh or not.
pub fn namespace(name: &str, member: bool) -> Value {
    let labels = if member { json!({"postern.dev/inject": "enabled"}) } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A running pod with a proxy: `<app>-1`, of the service account `<app>`.
pub fn pod(namespace: &str, name: &str, app: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": namespace, "uid": format!("uid-{name}"),
            "labels": {"app": app},
        },
        "spec": {
            "serviceAccountName": app,
            "initContainers": [{"name": "postern-proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "app"}],
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    })
}

pub fn service(namespace: &str, name: &str, ip: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "selector": {"app": name},
            "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": 8080}],
        },
    })
}

pub fn slice(namespace: &str, service: &str, endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(ip, pod)| {
            json!({
                "addresses": [ip],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace},
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-abcde"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    })
}

pub fn allow(namespace: &str, name: &str, from: &[&str]) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "action": "ALLOW",
            "rules": [{"from": [{"source": {"principals": from}}]}],
        },
    })
}

/// A shop: `frontend` and `cart`, each a pod, a service and its slice.
pub fn shop(api: &FakeApi) {
    api.put(namespace("shop", true));
    api.put(namespace("postern-system", false));
    for (app, number) in [("cart", 1), ("frontend", 2)] {
        let (pod_ip, pod_name) = (format!("10.1.0.{number}"), format!("{app}-1"));
        api.put(pod("shop", &pod_name, app, &pod_ip));
        api.put(service("shop", app, &format!("10.96.0.{number}"), 80));
        api.put(slice("shop", app, &[(&pod_ip, &pod_name)]));
    }
}
