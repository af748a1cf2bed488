//! One stream from the controller: connect, request, receive, until it ends.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use identity::tls::ALPN_H2;
use identity::verify::{HandshakeSide, verify_peer};
use prost_types::value::Kind;
use rustls_pki_types::UnixTime;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::proto::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use super::proto::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Status};
use super::report::Reports;
use super::resource_cache::{ResourceCache, ResourceDocument};
use crate::clock::unix_now;
use crate::connection::mesh_connection::PeerChain;
use crate::connection::tls;
use crate::control::config::ControllerConfig;
use crate::control::installer::ResourceInstaller;
use crate::http::grpc_channel;
use crate::traffic::demand::{DestinationDemand, LookupState};
use crate::traffic::state::ProxyState;

const POLICY_TYPE: &str = "type.googleapis.com/postern.dev.v1.Policy";
const TRAFFIC_TYPE: &str = "type.googleapis.com/postern.dev.v1.Traffic";
const GATEWAY_TYPE: &str = "type.googleapis.com/postern.dev.v1.Gateway";
const SERVICE_TYPE: &str = "type.googleapis.com/postern.dev.v2.Service";
const REPORT_TYPE: &str = "type.googleapis.com/postern.dev.v1.Report";

/// From the dial to the open stream.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer: what a directory of resources may hold.
const MOST_ANSWER: usize = crate::control::config::MAX_DIRECTORY_BYTES;
/// From the open stream to the first policy message: a controller that sends nothing is left for another one.
const FIRST_ANSWER_DEADLINE: Duration = Duration::from_secs(15);
/// How often unused destinations are dropped and the controller's certificate is verified again.
const SWEEP: Duration = Duration::from_secs(15);
/// How often the controller is told what changed of ourselves, for its page.
const REPORT: Duration = Duration::from_secs(5);
/// Characters of the rejection summary.
const MOST_TOLD: usize = 2000;
/// Requests that wait to be sent.
const MOST_REQUESTS: usize = 64;
/// The longest that routes wait for those in the answers behind them.
const GATHER: Duration = Duration::from_millis(10);
/// The longest a request may wait to be sent.
const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// Follows one stream to its end. What it delivered stays in `cache`.
pub(super) async fn follow_once(
    installer: &ResourceInstaller,
    controller: &ControllerConfig,
    demand: &DestinationDemand,
    cache: &mut ResourceCache,
) -> anyhow::Result<()> {
    let state = &*installer.state;
    let connected = tokio::time::timeout(CONNECT_DEADLINE, connect(state, controller)).await;
    let (channel, chain) =
        connected.map_err(|_| anyhow!("no connection within {CONNECT_DEADLINE:?}"))??;
    let (requests, queue) = mpsc::channel(MOST_REQUESTS);
    demand.begin_stream();
    send(&requests, first_request(controller, cache)).await?;
    // Before the destinations: the controller then tells of each its routes first.
    send(&requests, traffic_request(cache)).await?;
    if let Some(gateway) = &cache.gateway {
        send(&requests, everything(GATEWAY_TYPE, gateway.versions())).await?;
    }
    ask_services(&requests, demand, state.clock.coarse(), cache.services.versions()).await?;
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(MOST_ANSWER);
    let queue = futures_util::stream::unfold(queue, |mut queue| async move {
        queue.recv().await.map(|request| (request, queue))
    });
    let opened = tokio::time::timeout(CONNECT_DEADLINE, client.delta_aggregated_resources(queue));
    let opened = opened.await.map_err(|_| anyhow!("no stream within {CONNECT_DEADLINE:?}"))?;
    let mut answers = opened.map_err(|status| refused(&status))?.into_inner();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut report_time = tokio::time::interval(REPORT);
    report_time.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reports = Reports::default();
    let silence = tokio::time::sleep(FIRST_ANSWER_DEADLINE);
    tokio::pin!(silence);
    let mut said_unanswered = false;
    let mut gathering = Gathering::default();
    loop {
        tokio::select! {
            // In this order: the first are rare, and what waits for a moment without an answer comes last.
            biased;
            () = &mut silence, if !demand.is_connected() => {
                bail!("no word about policy within {FIRST_ANSWER_DEADLINE:?}");
            }
            () = demand.wait_for_unsent() => ask_services(&requests, demand, state.clock.coarse(), HashMap::new()).await?,
            _ = sweep.tick() => {
                verify_controller_chain(state, &chain)?;
                say_unanswered(state, demand, &mut said_unanswered);
                let idle = demand.sweep(state.clock.coarse(), &cache.services.destinations());
                if !idle.is_empty() {
                    forget_unused(installer, demand, cache, &idle);
                    let request = DeltaDiscoveryRequest {
                        type_url: SERVICE_TYPE.to_owned(),
                        resource_names_unsubscribe: idle,
                        ..DeltaDiscoveryRequest::default()
                    };
                    send(&requests, request).await?;
                }
            }
            _ = report_time.tick(), if demand.is_connected() => report(&requests, reports.next(state)),
            answer = answers.message(), if gathering.has_time() => {
                let answer = answer.map_err(|status| refused(&status))?;
                let answer = answer.context("the controller closed the stream")?;
                let acknowledgement = take(installer, demand, cache, answer);
                gathering.note(cache.calls_have_changed());
                send(&requests, acknowledgement).await?;
            }
            () = std::future::ready(()), if cache.calls_have_changed() => {
                put_traffic_in_force(installer, cache);
                gathering.note(false);
            }
        }
    }
}

/// Since when routes wait to be put in force together with those of the answers behind them: to make the tables costs
/// what all routes cost, not what one does.
#[derive(Default)]
struct Gathering(Option<Instant>);

impl Gathering {
    fn note(&mut self, waits: bool) {
        self.0 = waits.then(|| self.0.unwrap_or_else(Instant::now));
    }

    fn has_time(&self) -> bool {
        self.0.is_none_or(|since| since.elapsed() < GATHER)
    }
}

/// The stream must not outlive what authenticated the controller: its certificate, its root, and our own certificate.
fn verify_controller_chain(state: &ProxyState, chain: &PeerChain) -> anyhow::Result<()> {
    let credentials = state.valid_credentials().context("our own certificate has expired")?;
    let (leaf, intermediates) = chain.split_first().context("the controller showed nothing")?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(unix_now()));
    verify_peer(credentials.bundles(), leaf, intermediates, now, HandshakeSide::Server)
        .context("the controller is no longer believed")?;
    Ok(())
}

/// A controller of another version ignores what it does not understand, and nothing is guessed: logged once per stream.
fn say_unanswered(state: &ProxyState, demand: &DestinationDemand, said: &mut bool) {
    if !*said && demand.has_unanswered(state.clock.coarse()) {
        *said = true;
        tracing::warn!(
            type_url = SERVICE_TYPE,
            "the controller does not say what destinations mean; is it of another version?"
        );
    }
}

fn refused(status: &tonic::Status) -> anyhow::Error {
    anyhow!("{:?}: {}", status.code(), status.message())
}

async fn send(
    requests: &mpsc::Sender<DeltaDiscoveryRequest>,
    request: DeltaDiscoveryRequest,
) -> anyhow::Result<()> {
    match tokio::time::timeout(SEND_DEADLINE, requests.send(request)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => bail!("the controller closed the stream"),
        Err(_) => bail!("the controller takes no request"),
    }
}

/// Nothing waits for it: where the queue is full, a later report says the same.
fn report(requests: &mpsc::Sender<DeltaDiscoveryRequest>, report: Option<Vec<u8>>) {
    let Some(report) = report else { return };
    let request = DeltaDiscoveryRequest {
        type_url: REPORT_TYPE.to_owned(),
        report,
        ..DeltaDiscoveryRequest::default()
    };
    if requests.try_send(request).is_err() {
        tracing::debug!("the controller takes requests too slowly for a report");
    }
}

fn first_request(controller: &ControllerConfig, cache: &ResourceCache) -> DeltaDiscoveryRequest {
    let text = |text: &str| prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let pod = &controller.pod;
    let fields = [("POD_NAME", &pod.name), ("POD_UID", &pod.uid)];
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), text(value))).collect();
    DeltaDiscoveryRequest {
        node: Some(Node { id: pod.name.clone(), metadata: Some(prost_types::Struct { fields }) }),
        type_url: POLICY_TYPE.to_owned(),
        resource_names_subscribe: vec!["*".to_owned()],
        initial_resource_versions: cache.policy_versions(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn traffic_request(cache: &ResourceCache) -> DeltaDiscoveryRequest {
    everything(TRAFFIC_TYPE, cache.traffic.versions())
}

/// Asks for whatever of a type is for us.
fn everything(type_url: &str, has: HashMap<String, String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: vec!["*".to_owned()],
        initial_resource_versions: has,
        ..DeltaDiscoveryRequest::default()
    }
}

async fn ask_services(
    requests: &mpsc::Sender<DeltaDiscoveryRequest>,
    demand: &DestinationDemand,
    now: u32,
    has: HashMap<String, String>,
) -> anyhow::Result<()> {
    let unsent = demand.take_unsent(now);
    if unsent.is_empty() {
        return Ok(());
    }
    let request = DeltaDiscoveryRequest {
        type_url: SERVICE_TYPE.to_owned(),
        resource_names_subscribe: unsent,
        initial_resource_versions: has,
        ..DeltaDiscoveryRequest::default()
    };
    send(requests, request).await
}

/// Puts a response in force; returns the acknowledgement or rejection to send.
fn take(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &mut ResourceCache,
    answer: DeltaDiscoveryResponse,
) -> DeltaDiscoveryRequest {
    let removed = answer.removed_resources;
    let documents: Vec<ResourceDocument> = answer
        .resources
        .into_iter()
        .map(|resource| ResourceDocument {
            name: resource.name,
            version: resource.version,
            bytes: resource.resource.map(|any| any.value).unwrap_or_default(),
        })
        .collect();
    if ![TRAFFIC_TYPE, GATEWAY_TYPE].contains(&answer.type_url.as_str()) {
        // A destination after its routes: nothing is to be sent to it without them.
        put_traffic_in_force(installer, cache);
    }
    let error = match answer.type_url.as_str() {
        POLICY_TYPE => take_policies(installer, demand, cache, documents, &removed),
        TRAFFIC_TYPE => take_traffic(installer, cache, documents, &removed),
        GATEWAY_TYPE => take_gateway(installer, cache, documents, &removed),
        SERVICE_TYPE => take_services(installer, demand, cache, documents, &removed),
        other => {
            tracing::debug!(type_url = other, "a resource of an unknown type");
            None
        }
    };
    acknowledge(answer.nonce, &answer.type_url, error)
}

/// The rejection for the controller when something was rejected.
fn take_policies(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &mut ResourceCache,
    documents: Vec<ResourceDocument>,
    removed: &[String],
) -> Option<String> {
    let is_first = !cache.is_loaded();
    let changed = is_first || !documents.is_empty() || !removed.is_empty();
    cache.take_policies(documents, removed);
    demand.set_connected(true);
    if changed {
        if is_first {
            // The services that arrived before there were policies.
            let hosts = cache.services.table().services().map(|service| service.host.clone());
            locate(installer, demand, cache, hosts.collect::<Vec<_>>().iter());
        }
        installer.install_cluster(&cache.cluster_state());
    }
    tell_refusals(&installer.state, cache, changed)
}

/// The rejection for the controller when something was rejected. It is put in force when no answer waits behind it.
fn take_traffic(
    installer: &ResourceInstaller,
    cache: &mut ResourceCache,
    documents: Vec<ResourceDocument>,
    removed: &[String],
) -> Option<String> {
    cache.traffic.take(documents, removed);
    tell_refusals(&installer.state, cache, true)
}

/// The same of what is served at the edge. A sidecar has not asked for it, and takes nothing of it.
fn take_gateway(
    installer: &ResourceInstaller,
    cache: &mut ResourceCache,
    documents: Vec<ResourceDocument>,
    removed: &[String],
) -> Option<String> {
    let Some(gateway) = &mut cache.gateway else {
        return Some("this proxy is no gateway's".to_owned());
    };
    gateway.take(documents, removed);
    tell_refusals(&installer.state, cache, true)
}

/// Where there was an update of them since this was last done.
fn put_traffic_in_force(installer: &ResourceInstaller, cache: &mut ResourceCache) {
    if let Some(resources) = cache.take_changed_calls() {
        let incomplete = cache.traffic.is_incomplete();
        installer.install_calls(&resources, incomplete);
        installer.state.metrics.config_update(true);
    }
}

/// The rejection for the controller when something was rejected. No policy is read again, and no connection is
/// authorized again.
fn take_services(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &mut ResourceCache,
    documents: Vec<ResourceDocument>,
    removed: &[String],
) -> Option<String> {
    let keys: Vec<String> = documents.iter().map(|document| document.name.clone()).collect();
    let hosts = cache.services.take(documents, removed);
    let error = put_services_in_force(installer, demand, cache, &hosts);
    keys.iter().for_each(|key| demand.answered(key, LookupState::Service));
    removed.iter().for_each(|key| demand.answered(key, LookupState::Unknown));
    error
}

/// Before there are policies nothing is put in force.
fn put_services_in_force(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &ResourceCache,
    hosts: &BTreeSet<Arc<str>>,
) -> Option<String> {
    if cache.is_loaded() {
        locate(installer, demand, cache, hosts.iter());
        installer.state.metrics.config_update(true);
    }
    tell_refusals(&installer.state, cache, cache.is_loaded())
}

fn locate<'a>(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &ResourceCache,
    hosts: impl Iterator<Item = &'a Arc<str>>,
) {
    let (state, table) = (&installer.state, cache.services.table());
    if table.version() != state.services.table().version() {
        state.services.install(table.clone());
    }
    let hosts = hosts.map(|host| (host, table.named(host).next().is_some()));
    demand.services(hosts, state.clock.coarse());
}

fn tell_refusals(state: &ProxyState, cache: &ResourceCache, changed: bool) -> Option<String> {
    let refused = cache.refused();
    let refused = (!refused.is_empty()).then(|| refusal_summary(&refused));
    if let (Some(refused), true) = (&refused, changed) {
        state.metrics.config_update(false);
        tracing::error!(refused, "resources refused; what was accepted before stays in force");
    }
    state.metrics.config_stale.set(i64::from(refused.is_some()));
    refused
}

/// As much of what was rejected as fits a log line and an answer to the controller.
fn refusal_summary(refused: &[String]) -> String {
    refused.join("; ").chars().take(MOST_TOLD).collect()
}

fn forget_unused(
    installer: &ResourceInstaller,
    demand: &DestinationDemand,
    cache: &mut ResourceCache,
    keys: &[String],
) {
    let before = cache.services.destinations().len();
    let hosts = cache.services.forget_unused(keys);
    if cache.services.destinations().len() != before {
        put_services_in_force(installer, demand, cache, &hosts);
    }
}

fn acknowledge(nonce: String, type_url: &str, error: Option<String>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        response_nonce: nonce,
        // 3: INVALID_ARGUMENT (google.rpc.Code)
        error_detail: error.map(|message| Status { code: 3, message }),
        ..DeltaDiscoveryRequest::default()
    }
}

/// The connection, and the certificates by which the controller authenticated itself.
async fn connect(
    state: &ProxyState,
    controller: &ControllerConfig,
) -> anyhow::Result<(Channel, PeerChain)> {
    let credentials = loop {
        match state.valid_credentials() {
            Some(credentials) => break credentials,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let expected = [controller.identity.clone()].into();
    let config = credentials.client_config(expected, &[ALPN_H2])?;
    let address = (controller.host.as_str(), controller.port);
    let dialled = dial(state, address).await;
    let stream = dialled.with_context(|| format!("cannot reach {}:{}", address.0, address.1))?;
    stream.set_nodelay(true)?;
    let name = tls::server_name(&controller.host, stream.peer_addr()?.ip());
    let stream = TlsConnector::from(config).connect(name, stream).await;
    let stream = stream.context("the controller's TLS")?;
    let chain = tls::chain(stream.get_ref().1)?;
    let endpoint = Endpoint::from_static("http://controller")
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    Ok((grpc_channel::over(stream, endpoint).await?, chain))
}

/// The proxy's own connections carry the mark that the interception rules exempt, where one is configured.
async fn dial(state: &ProxyState, address: (&str, u16)) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host(address).await? {
        match crate::connection::net::DialOptions::upstream(
            &state.settings.limits,
            &state.settings.interception,
        )
        .connect(address)
        .await
        {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
