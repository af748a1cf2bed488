//! A small Kubernetes API server on loopback, over real HTTPS: TokenReviews, pods, and Secrets with `resourceVersion`.
//! Its answers have the form of a real one's (see `tests/kubernetes/`).

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Well,
    /// With this status and a `Status` object.
    Status(u16),
    /// Never.
    Silent,
    /// With something that is no JSON.
    Garbage,
}

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    /// `status` of the TokenReview for a token.
    reviews: HashMap<String, Value>,
    pods: HashMap<String, Value>,
    secrets: BTreeMap<String, Value>,
    config_maps: BTreeMap<String, Value>,
    version: u64,
    /// So many writes of Secrets find that another was faster.
    conflicts: u32,
    asked: Vec<String>,
}

/// The server; it ends with the value.
pub(crate) struct KubeApi {
    pub(crate) address: SocketAddr,
    ca: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for KubeApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KubeApi {
    pub(crate) async fn start() -> Self {
        let (tls, ca) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let task =
            tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&state)));
        Self { address, ca, state, task }
    }

    /// Writes the file that leads here.
    pub(crate) fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca);
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {
                "server": format!("https://{}", self.address), "certificate-authority-data": ca,
            }}],
            "users": [{"name": "authority", "user": {"token": "the-authority-s-own-token"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "authority"}}],
        });
        let path = directory.join("kubeconfig.yaml");
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    /// What it says about a token.
    pub(crate) fn review(&self, token: &str, status: Value) {
        self.state.lock().reviews.insert(token.to_owned(), status);
    }

    /// A pod in the namespace `shop`; none: it is gone.
    pub(crate) fn pod(&self, name: &str, pod: Option<Value>) {
        let name = format!("shop/{name}");
        let mut state = self.state.lock();
        match pod {
            Some(pod) => drop(state.pods.insert(name, pod)),
            None => drop(state.pods.remove(&name)),
        }
    }

    /// So many writes of Secrets from now on are refused as another's were faster.
    pub(crate) fn conflicts(&self, count: u32) {
        self.state.lock().conflicts = count;
    }

    pub(crate) fn secrets(&self) -> BTreeMap<String, Value> {
        self.state.lock().secrets.clone()
    }

    /// Removes a Secret or ConfigMap of `mesh`.
    pub(crate) fn remove(&self, name: &str) {
        let mut state = self.state.lock();
        assert!(state.secrets.remove(name).or(state.config_maps.remove(name)).is_some(), "{name}");
    }

    /// `data` of a ConfigMap of `mesh`.
    pub(crate) fn config_map(&self, name: &str) -> Option<Value> {
        self.state.lock().config_maps.get(name).map(|map| map["data"].clone())
    }

    /// Puts a Secret there as another would.
    pub(crate) fn put_secret(&self, name: &str, secret: Value) {
        self.state.lock().put(name, secret);
    }

    /// `METHOD /path` of every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().asked.clone()
    }
}

/// A recorded answer of `tests/kubernetes`.
pub(crate) fn recorded(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes").join(file);
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    recorded.pointer("/response/body").cloned().unwrap_or(recorded)
}

fn certificates() -> (ServerConfig, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params =
        CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let leaf = params.signed_by(&key, &ca).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.into()], private)
        .unwrap();
    (tls, ca.as_ref().pem())
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&state)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mood = {
        let mut state = state.lock();
        state.asked.push(format!("{method} {path}"));
        state.mood
    };
    let (status, body) = match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Garbage => (200, "<html>".to_owned()),
        Mood::Status(code) => (code, failure(code).to_string()),
        Mood::Well => {
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let (status, body) = state.lock().answer(&method, &path, body);
            (status, body.to_string())
        }
    };
    let answer = Response::builder().status(status).header("content-type", "application/json");
    Ok(answer.body(Full::from(body)).unwrap())
}

fn failure(code: u16) -> Value {
    match code {
        401 => recorded("errors/04-unauthorized.body.json"),
        403 => recorded("errors/03-anonymous-forbidden.body.json"),
        404 => recorded("errors/01-not-found.json"),
        _ => json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "the server is unwell", "reason": "InternalError", "code": code}),
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["apis", "authentication.k8s.io", "v1", "tokenreviews"]) => {
                (201, self.token_review(body))
            }
            (&Method::GET, ["api", "v1", "namespaces", namespace, "pods", name]) => {
                match self.pods.get(&format!("{namespace}/{name}")) {
                    Some(pod) => (200, pod.clone()),
                    None => (404, failure(404)),
                }
            }
            (&Method::GET, ["api", "v1", "namespaces", "mesh", "secrets", name]) => {
                match self.secrets.get(*name) {
                    Some(secret) => (200, secret.clone()),
                    None => (404, failure(404)),
                }
            }
            (&Method::POST, ["api", "v1", "namespaces", "mesh", "secrets"]) => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if self.faster() || self.secrets.contains_key(&name) {
                    return (409, recorded("errors/already-exists.json"));
                }
                (201, self.put(&name, body))
            }
            (&Method::GET, ["api", "v1", "namespaces", "mesh", "configmaps", name]) => {
                self.config_maps.get(*name).map_or((404, failure(404)), |map| (200, map.clone()))
            }
            (&Method::POST, ["api", "v1", "namespaces", "mesh", "configmaps"]) => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                if self.config_maps.contains_key(&name) {
                    return (409, recorded("errors/already-exists.json"));
                }
                (201, self.put_map(&name, body))
            }
            (&Method::PUT, ["api", "v1", "namespaces", "mesh", "configmaps", name]) => {
                let Some(found) = self.config_maps.get(*name) else { return (404, failure(404)) };
                let fits =
                    found["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"];
                if !fits {
                    return (409, recorded("errors/conflict.json"));
                }
                (200, self.put_map(name, body))
            }
            (&Method::PUT, ["api", "v1", "namespaces", "mesh", "secrets", name]) => {
                let Some(found) = self.secrets.get(*name) else { return (404, failure(404)) };
                let fits =
                    found["metadata"]["resourceVersion"] == body["metadata"]["resourceVersion"];
                if self.faster() || !fits {
                    return (409, recorded("errors/conflict.json"));
                }
                (200, self.put(name, body))
            }
            _ => (404, failure(404)),
        }
    }

    fn token_review(&self, mut review: Value) -> Value {
        assert_eq!(
            review["spec"]["audiences"],
            json!(["postern-authority"]),
            "our audience is asked for"
        );
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let unknown = || recorded("tokenreview/08-garbage.json")["status"].clone();
        let status = self.reviews.get(token).cloned().unwrap_or_else(unknown);
        review["status"] = status;
        review
    }

    fn faster(&mut self) -> bool {
        let faster = self.conflicts > 0;
        self.conflicts = self.conflicts.saturating_sub(1);
        faster
    }

    fn put(&mut self, name: &str, secret: Value) -> Value {
        let secret = self.versioned(secret);
        self.secrets.insert(name.to_owned(), secret.clone());
        secret
    }

    fn put_map(&mut self, name: &str, map: Value) -> Value {
        let map = self.versioned(map);
        self.config_maps.insert(name.to_owned(), map.clone());
        map
    }

    fn versioned(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        object["metadata"]["namespace"] = json!("mesh");
        object
    }
}
