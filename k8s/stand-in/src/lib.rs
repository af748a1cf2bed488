//! A small Kubernetes API server over real HTTPS, for tests: LIST in pages, WATCH with bookmarks and 410, watch-list,
//! optimistic locking, server-side apply (without the ownership of fields), subresource `status`, outages. The shapes
//! are those of recorded answers (`k8s/tests/fixtures`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness is test code: a step that cannot be done ends the test with the words of what broke"
)]

pub mod answers;
pub mod objects;
pub mod store;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use answers::ResponseBody;
use store::{ObjectStore, RequestTarget};

/// The server, and the objects in it.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// The objects, and the switches that make the server fail.
    pub store: Arc<ObjectStore>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate it shows, PEM.
    pub certificate: String,
}

impl ApiServer {
    /// Serves on a free port of loopback.
    ///
    /// # Panics
    /// There is none.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Serves on an address.
    ///
    /// # Panics
    /// The address is in use.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let names = vec![address.ip().to_string(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let chain: Vec<CertificateDer<'static>> = vec![made.cert.der().clone()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let store = Arc::new(ObjectStore::default());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(accept(listener, acceptor, store.clone()));
        Self { store, address, certificate: made.cert.pem() }
    }

    /// The server's address and certificate, as `--kubeconfig` reads them.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        use base64::Engine as _;
        let authority =
            base64::engine::general_purpose::STANDARD.encode(self.certificate.as_bytes());
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": authority,
            }}],
            "users": [{"name": "controller", "user": {"token": "a-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "controller"}}],
        })
        .to_string()
    }

    /// Puts an object in, as its writer would.
    pub fn put(&self, object: Value) {
        self.store.put(object);
    }

    /// Takes an object out.
    pub fn delete(&self, collection: &str, namespace: &str, name: &str) {
        self.store.delete(collection, namespace, name);
    }

    /// An object, if it is there.
    #[must_use]
    pub fn get(&self, collection: &str, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(collection, namespace, name)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, store: Arc<ObjectStore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if store.is_down() {
            continue;
        }
        let (acceptor, store) = (acceptor.clone(), store.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut outage = store.outages();
            outage.mark_unchanged();
            let service = service_fn(move |request| answer(store.clone(), request));
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = serving => {}
                _ = outage.changed() => {}
            }
        });
    }
}

async fn answer(
    store: Arc<ObjectStore>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let body: Bytes = match tokio::time::timeout(Duration::from_secs(5), body.collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let query: std::collections::HashMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace("%3D", "=").replace("%2F", "/")))
        .collect();
    let Some(target) = RequestTarget::of(parts.uri.path()) else { return Ok(answers::no_page()) };
    if !store.knows(&target.collection) {
        return Ok(answers::no_page());
    }
    let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(match (parts.method, target.name.is_some()) {
        (Method::GET, false) if query.get("watch").is_some_and(|watch| watch == "true") => {
            answers::watch(store, target, &query)
        }
        (Method::GET, false) => answers::list(&store, &target, &query),
        (Method::GET, true) => answers::get(&store, &target),
        (Method::POST, false) => answers::create(&store, &target, value),
        (Method::PUT, true) => answers::replace(&store, &target, value),
        (Method::PATCH, true) => answers::patch(&store, &target, value),
        (Method::DELETE, true) => answers::delete(&store, &target),
        _ => answers::no_page(),
    })
}
