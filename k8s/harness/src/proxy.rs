//! A simulated proxy: it connects, subscribes, and keeps what it receives.

use std::collections::{BTreeMap, HashMap};
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use identity::SpiffeId;
use identity::tls::ALPN_H2;
use k8s::controller::proto::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use k8s::controller::proto::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node};
use k8s::controller::service::{
    GATEWAY_TYPE, POD_NAME, POD_UID, POLICY_TYPE, REPORT_TYPE, SERVICE_TYPE, TRAFFIC_TYPE,
};
use k8s::controller::service_message::Service;
use prost::Message as _;
use prost_types::value::Kind;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::{Status, Streaming};

use super::trust::{CONTROLLER, TestTrust};

/// A simulated proxy: what it received, by name.
pub struct Proxy {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    answers: Streaming<DeltaDiscoveryResponse>,
    /// The policies in force, by name.
    pub policies: BTreeMap<String, Value>,
    /// The routes and traffic policies in force, by name.
    pub traffic: BTreeMap<String, Value>,
    /// What it serves as a gateway's proxy, by name; `None` until the first answer to that.
    pub gateway: Option<BTreeMap<String, Value>>,
    /// The services it asked for, by the name it asked by.
    pub services: BTreeMap<String, Service>,
    /// The names that the last answer about services took away or does not know.
    pub unknown: Vec<String>,
    /// The version of each policy and service, by name.
    pub versions: HashMap<String, String>,
    wire: std::net::TcpStream,
}

impl Proxy {
    /// Connects, announces a pod, and asks for its policies. The first answer is awaited by [`Self::hear`].
    ///
    /// # Errors
    /// The controller refuses the connection or the stream.
    pub async fn connect(
        controller: SocketAddr,
        trust: &TestTrust,
        id: &str,
        pod: (&str, &str),
    ) -> Result<Self, Status> {
        Self::resume(controller, trust, id, pod, HashMap::new()).await
    }

    /// Connects anew and says which versions it has.
    ///
    /// # Errors
    /// The controller refuses the connection or the stream.
    ///
    /// # Panics
    /// The stream ends before its first request.
    pub async fn resume(
        controller: SocketAddr,
        trust: &TestTrust,
        id: &str,
        pod: (&str, &str),
        has: HashMap<String, String>,
    ) -> Result<Self, Status> {
        let stream = Self::handshake(controller, trust, id).await?;
        let wire = stream.get_ref().0.as_fd().try_clone_to_owned().unwrap().into();
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
            traffic: BTreeMap::new(),
            gateway: None,
            services: BTreeMap::new(),
            unknown: Vec::new(),
            versions: HashMap::new(),
            wire,
        })
    }

    /// Ends as a process does that is killed: nothing more is said, of HTTP/2 or of TLS.
    ///
    /// # Panics
    /// The connection has ended before.
    pub fn cut_off(self) {
        self.wire.shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// A connection over mutual TLS, on which nothing is said yet.
    ///
    /// # Errors
    /// The handshake fails.
    ///
    /// # Panics
    /// Nobody listens at this address.
    pub async fn handshake(
        controller: SocketAddr,
        trust: &TestTrust,
        id: &str,
    ) -> Result<TlsStream<TcpStream>, Status> {
        let (svid, key) = trust.svid(id);
        let expected: Arc<[SpiffeId]> = [SpiffeId::parse(CONTROLLER).unwrap()].into();
        let bundles = Arc::new(trust.bundles());
        let config =
            identity::tls::client_config(&svid, &key, bundles, expected, &[ALPN_H2]).unwrap();
        let stream = TcpStream::connect(controller).await.unwrap();
        let name = rustls_pki_types::ServerName::IpAddress(controller.ip().into());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        stream.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// Asks for services by name, or by address and port.
    ///
    /// # Panics
    /// The stream has ended.
    pub async fn ask(&self, keys: &[&str]) {
        self.ask_for(SERVICE_TYPE, keys).await;
    }

    /// Asks for resources of any type.
    ///
    /// # Panics
    /// The stream has ended.
    pub async fn ask_for(&self, type_url: &str, keys: &[&str]) {
        let request = DeltaDiscoveryRequest {
            type_url: type_url.into(),
            resource_names_subscribe: keys.iter().map(ToString::to_string).collect(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    /// Tells of itself.
    ///
    /// # Panics
    /// The stream has ended.
    pub async fn report(&self, message: impl Into<Vec<u8>>) {
        let request = DeltaDiscoveryRequest {
            type_url: REPORT_TYPE.into(),
            report: message.into(),
            ..DeltaDiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }

    /// Takes in the next answer.
    ///
    /// # Errors
    /// The stream ends.
    ///
    /// # Panics
    /// Nothing comes within 20 seconds, or no JSON.
    pub async fn hear(&mut self) -> Result<(), Status> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.answers.message()).await;
        let answer = next.expect("an answer within 20 s")?;
        let answer = answer.ok_or_else(|| Status::unavailable("the stream ended"))?;
        let of_service = answer.type_url == SERVICE_TYPE;
        let mut gateway = match answer.type_url == GATEWAY_TYPE {
            true => self.gateway.take().unwrap_or_default(),
            false => BTreeMap::new(),
        };
        for name in &answer.removed_resources {
            gateway.remove(name);
            self.policies.remove(name);
            self.traffic.remove(name);
            self.services.remove(name);
            self.versions.remove(name);
        }
        for resource in answer.resources {
            let (name, bytes) = (resource.name.clone(), resource.resource.unwrap().value);
            let text = || serde_json::from_slice(&bytes).unwrap();
            match answer.type_url.as_str() {
                POLICY_TYPE => drop(self.policies.insert(name, text())),
                TRAFFIC_TYPE => drop(self.traffic.insert(name, text())),
                GATEWAY_TYPE => drop(gateway.insert(name, text())),
                _ => drop(self.services.insert(name, Service::decode(&*bytes).unwrap())),
            }
            self.versions.insert(resource.name, resource.version);
        }
        if answer.type_url == GATEWAY_TYPE {
            self.gateway = Some(gateway);
        }
        if of_service {
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
    ///
    /// # Panics
    /// The stream ends before.
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
