//! The API server as the authority needs it: TokenReviews and pods, over real HTTPS.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::volumes::token_of;

/// The pods by `NAMESPACE/NAME`.
type Pods = Arc<Mutex<HashMap<String, Value>>>;

/// The server; it serves as long as the runtime it was started in.
pub(super) struct Api {
    address: SocketAddr,
    certificate: String,
    pods: Pods,
}

impl Api {
    pub(super) async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the API server's address");
        let made = rcgen::generate_simple_self_signed(vec![address.ip().to_string()])
            .expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate and its key");
        let pods = Pods::default();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), pods.clone()));
        Self { address, certificate: made.cert.pem(), pods }
    }

    /// The file that leads here.
    pub(super) fn kubeconfig(&self) -> String {
        let roots = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {
                "server": format!("https://{}", self.address), "certificate-authority-data": roots,
            }}],
            "users": [{"name": "authority", "user": {"token": "the-authority-s-own"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "authority"}}],
        })
        .to_string()
    }

    /// Puts a pod in; from now on its token is good.
    pub(super) fn put(&self, pod: &Value) {
        let metadata = &pod["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
        let key = format!("{}/{}", text("namespace"), text("name"));
        self.pods.lock().expect("no thread died holding this").insert(key, pod.clone());
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, pods: Pods) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, pods) = (tls.clone(), pods.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, pods.clone()));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    pods: Pods,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let pods = pods.lock().expect("no thread died holding this");
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let (status, body) = match (method, parts.as_slice()) {
        (Method::POST, ["apis", "authentication.k8s.io", "v1", "tokenreviews"]) => {
            (201, review(&pods, serde_json::from_slice(&body).unwrap_or_default()))
        }
        (Method::GET, ["api", "v1", "namespaces", namespace, "pods", name]) => {
            match pods.get(&format!("{namespace}/{name}")) {
                Some(pod) => (200, pod.clone()),
                None => (404, not_found()),
            }
        }
        _ => (404, not_found()),
    };
    let answer = Response::builder().status(status).header("content-type", "application/json");
    Ok(answer.body(Full::from(body.to_string())).expect("a plain answer"))
}

/// The verdict of a real server on a token bound to a pod, or on one it does not know.
fn review(pods: &HashMap<String, Value>, mut review: Value) -> Value {
    let asked = &review["spec"];
    let found = pods.values().find(|pod| asked["token"] == token_of(pod));
    review["status"] = match found {
        Some(pod) if asked["audiences"] == json!(["postern-authority"]) => {
            let (metadata, account) = (&pod["metadata"], &pod["spec"]["serviceAccountName"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, account) = (text(&metadata["namespace"]), text(account));
            json!({
                "authenticated": true,
                "user": {
                    "username": format!("system:serviceaccount:{namespace}:{account}"),
                    "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
                    "extra": {
                        "authentication.kubernetes.io/pod-name": [metadata["name"]],
                        "authentication.kubernetes.io/pod-uid": [metadata["uid"]],
                    },
                },
                "audiences": asked["audiences"],
            })
        }
        _ => json!({"user": {}, "error": "invalid bearer token"}),
    };
    review
}

fn not_found() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "not found", "reason": "NotFound", "code": 404})
}
