//! One proxy's stream: who it is, what it asks, what it must be told.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dashboard::mesh::{ReportStream, Reporter};
use dashboard::report::{ProxyReport, ReportProblem};
use prost_types::value::Kind;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::index::{Delta, ObjectName, Subscriber, TypeDelta};
use super::proto::aggregated_discovery_service_server::AggregatedDiscoveryService;
use super::proto::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Resource};
use super::server::Caller;
use super::shared::Shared;

/// What concerns the workload itself: its description and the policies that select it.
pub const POLICY_TYPE: &str = "type.googleapis.com/postern.dev.v1.Policy";
/// How what is sent to destinations is carried: the routes and traffic policies of those that a proxy asks for.
pub const TRAFFIC_TYPE: &str = "type.googleapis.com/postern.dev.v1.Traffic";
/// What a gateway's proxy serves: its Gateway and all that is attached to it, with the certificates that these name.
pub const GATEWAY_TYPE: &str = "type.googleapis.com/postern.dev.v1.Gateway";
/// What a destination means, since services are messages; before, they were ServiceEntries in JSON under `postern.dev.v1`.
pub const SERVICE_TYPE: &str = "type.googleapis.com/postern.dev.v2.Service";
/// What a proxy tells of itself: nothing is subscribed to, and nothing answered.
pub const REPORT_TYPE: &str = "type.googleapis.com/postern.dev.v1.Report";
/// In a node's metadata: the pod's name.
pub const POD_NAME: &str = "POD_NAME";
/// In a node's metadata: the pod's uid.
pub const POD_UID: &str = "POD_UID";

/// From the opening of the stream to its first request.
const FIRST_DEADLINE: Duration = Duration::from_secs(10);
/// How long a Pod may be unknown: its proxy may be faster than our watch.
const POD_DEADLINE: Duration = Duration::from_secs(5);
/// Characters of an unknown type that are logged.
const MOST_TYPE_URL: usize = 128;
/// The most bytes of routes in one answer: well below what a proxy takes.
const MOST_ANSWER: usize = 4 << 20;
/// A proxy that does not take an answer for so long is given up.
const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// The discovery service.
#[derive(Debug)]
pub struct Discovery {
    shared: Arc<Shared>,
}

impl Discovery {
    /// Serves what `shared` knows.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

type DiscoveryAnswer = Result<DeltaDiscoveryResponse, Status>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Discovery {
    type DeltaAggregatedResourcesStream = ReceiverStream<DiscoveryAnswer>;

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        if let Some(kind) = self.shared.unknown_kind() {
            let what = format!("{} are not listed yet; try again", kind.as_str());
            return Err(Status::unavailable(what));
        }
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Status::unauthenticated("no client certificate"))?;
        let (answers, stream) = mpsc::channel(1);
        let shared = self.shared.clone();
        let requests = request.into_inner();
        tokio::spawn(async move {
            let id = caller.id.clone();
            let ended = converse(shared, caller, requests, &answers).await;
            match ended {
                // A pod's end is every day's, whether its proxy said goodbye or was cut off.
                Ok(()) => tracing::info!(%id, "the proxy has gone"),
                Err(status) => {
                    tracing::info!(%id, code = ?status.code(), reason = status.message(), "stream closed");
                    // A proxy that takes nothing learns it from the end of the stream.
                    let _ = tokio::time::timeout(SEND_DEADLINE, answers.send(Err(status))).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// The life of a stream: identify, then answer questions and tell changes until either side ends it.
async fn converse(
    shared: Arc<Shared>,
    caller: Caller,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    answers: &mpsc::Sender<DiscoveryAnswer>,
) -> Result<(), Status> {
    let mut changes = shared.changes();
    let first = tokio::time::timeout(FIRST_DEADLINE, said(&mut requests)).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no first request within 10 s"))??;
    let Some(first) = first else { return Ok(()) };
    let pod = AnnouncedPod::read(first.node.as_ref())?;
    let mut subscriber = identify(&shared, &caller, pod).await?;
    let _counted = shared.count_proxy(subscriber.pod()).ok_or_else(|| {
        Status::resource_exhausted("the pod has too many streams; close one first")
    })?;
    let mut reporting = Reporting::open(&shared, &caller, subscriber.pod());
    let mut session = AnswerStream { answers, nonce: 0 };
    let mut foreign = ForeignTypes::default();
    ask(&shared, &mut subscriber, &mut foreign, first)?;
    let expiry = tokio::time::sleep(time_left(caller.not_after));
    tokio::pin!(expiry);
    loop {
        changes.mark_unchanged();
        let delta = shared.index().delta(&mut subscriber);
        let delta = delta.ok_or_else(|| Status::permission_denied("the pod is gone"))?;
        session.tell(delta).await?;
        tokio::select! {
            request = said(&mut requests) => match request? {
                Some(request) if request.type_url == REPORT_TYPE => reporting.take(&request.report),
                Some(request) => ask(&shared, &mut subscriber, &mut foreign, request)?,
                None => return Ok(()),
            },
            changed = changes.changed() => {
                changed.map_err(|_| Status::unavailable("the controller ends"))?;
            }
            () = &mut expiry => {
                return Err(Status::unauthenticated("the certificate has expired; connect again"));
            }
            () = answers.closed() => return Ok(()),
        }
    }
}

/// What the proxy says next; nothing when it has gone. A connection that breaks has the transport's error for its source; a
/// message that cannot be read has none, and is told.
async fn said(
    requests: &mut Streaming<DeltaDiscoveryRequest>,
) -> Result<Option<DeltaDiscoveryRequest>, Status> {
    match requests.message().await {
        Err(status) if status.source().is_some() => {
            tracing::debug!(reason = status.message(), "the connection has ended");
            Ok(None)
        }
        said => said,
    }
}

fn time_left(not_after: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(not_after).saturating_sub(now)
}

/// What a proxy says of its pod.
struct AnnouncedPod {
    name: String,
    uid: String,
}

impl AnnouncedPod {
    fn read(node: Option<&Node>) -> Result<Self, Status> {
        let fields = node.and_then(|node| node.metadata.as_ref()).map(|metadata| &metadata.fields);
        let text = |key: &str| {
            let value = fields.and_then(|fields| fields.get(key))?;
            match &value.kind {
                Some(Kind::StringValue(text)) if !text.is_empty() && text.len() <= 253 => {
                    Some(text.clone())
                }
                _ => None,
            }
        };
        let missing = |key: &str| Status::invalid_argument(format!("node metadata has no {key}"));
        Ok(Self {
            name: text(POD_NAME).ok_or_else(|| missing(POD_NAME))?,
            uid: text(POD_UID).ok_or_else(|| missing(POD_UID))?,
        })
    }
}

/// The pod that the proxy speaks for: the one it names, when that one's namespace and service account are those it proved.
async fn identify(
    shared: &Shared,
    caller: &Caller,
    announced: AnnouncedPod,
) -> Result<Subscriber, Status> {
    let denied = |why: &str| {
        tracing::warn!(id = %caller.id, pod = announced.name, uid = announced.uid, why, "refused");
        Status::permission_denied(why.to_owned())
    };
    if caller.id.trust_domain() != caller.trust_domain.as_str() {
        return Err(denied("the identity is of another trust domain"));
    }
    let (Some(namespace), Some(account)) = (caller.id.namespace(), caller.id.service_account())
    else {
        return Err(denied("the identity names no namespace and service account"));
    };
    let name = ObjectName::new(namespace, &announced.name);
    let mut changes = shared.changes();
    let known = async {
        loop {
            changes.mark_unchanged();
            let found = shared.index().pod(&name).cloned();
            if let Some(pod) = found {
                return pod;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let pod = tokio::time::timeout(POD_DEADLINE, known)
        .await
        .map_err(|_| Status::unavailable(format!("no pod {name} is known; try again")))?;
    if *pod.uid != *announced.uid {
        return Err(denied("the pod of this name has another uid"));
    }
    if *pod.service_account != *account {
        return Err(denied("the pod has another service account"));
    }
    Ok(Subscriber::new(name, pod.uid))
}

/// Takes in a request. An acknowledgement asks nothing; a refusal is told to the operator.
fn ask(
    shared: &Shared,
    subscriber: &mut Subscriber,
    foreign: &mut ForeignTypes,
    request: DeltaDiscoveryRequest,
) -> Result<(), Status> {
    if let Some(error) = &request.error_detail {
        let pod = subscriber.pod();
        tracing::warn!(%pod, error = error.message, "the proxy refused a resource");
    }
    match request.type_url.as_str() {
        POLICY_TYPE if request.response_nonce.is_empty() => {
            subscriber.ask_policies(request.initial_resource_versions);
        }
        TRAFFIC_TYPE if request.response_nonce.is_empty() => {
            subscriber.ask_traffic(request.initial_resource_versions);
        }
        GATEWAY_TYPE if request.response_nonce.is_empty() => {
            if let Some(kind) = shared.unknown_gateway_kind() {
                let what = format!("{} are not listed yet; try again", kind.as_str());
                return Err(Status::unavailable(what));
            }
            subscriber.ask_gateway(request.initial_resource_versions);
        }
        SERVICE_TYPE => {
            // First what is not used any more: it makes room.
            subscriber.forget_services(&request.resource_names_unsubscribe);
            if !request.resource_names_subscribe.is_empty() {
                let has = request.initial_resource_versions;
                let asked = subscriber.ask_services(request.resource_names_subscribe, has);
                asked.map_err(|error| Status::resource_exhausted(error.to_string()))?;
            }
        }
        other => foreign.note(subscriber.pod(), other),
    }
    Ok(())
}

/// What a stream's proxy tells of itself, for as long as the stream lives. Who it is, is the stream's to say: the pod that it
/// named and whose identity it proved.
struct Reporting {
    shared: Arc<Shared>,
    stream: ReportStream,
    is_noted: bool,
}

impl Reporting {
    fn open(shared: &Arc<Shared>, caller: &Caller, pod: &ObjectName) -> Self {
        let account = caller.id.service_account().unwrap_or_default();
        let reporter = Reporter {
            pod: pod.to_string(),
            workload: format!("{}/{account}", pod.namespace),
            identity: caller.id.without_scheme().to_owned(),
        };
        let stream = shared.reports().open(reporter);
        Self { shared: shared.clone(), stream, is_noted: false }
    }

    /// A report that is refused is a mistake of the proxy's version, or a lie; neither is a reason to end what it is told.
    fn take(&mut self, message: &[u8]) {
        let (read, now) = (ProxyReport::read(message), self.shared.age());
        let taken = self.shared.reports().take(&mut self.stream, read, now);
        let Err(problem) = taken else { return };
        // One that comes too soon was held up by the network.
        if problem != ReportProblem::TooSoon && !std::mem::replace(&mut self.is_noted, true) {
            let pod = self.stream.reporter().pod.as_str();
            tracing::warn!(pod, problem = problem.as_str(), "a report for the page is refused");
        }
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.shared.reports().close(&self.stream);
    }
}

/// Types of resources that this version does not know: a proxy of another version asks for them. Nothing is answered, so that it
/// refuses what it would have to guess; the log says it once a stream.
#[derive(Debug, Default)]
struct ForeignTypes {
    is_noted: bool,
}

impl ForeignTypes {
    fn note(&mut self, pod: &ObjectName, type_url: &str) {
        if ![POLICY_TYPE, TRAFFIC_TYPE, GATEWAY_TYPE].contains(&type_url)
            && !std::mem::replace(&mut self.is_noted, true)
        {
            let type_url: String = type_url.chars().take(MOST_TYPE_URL).collect();
            tracing::warn!(
                %pod,
                type_url,
                "the proxy asks for a type that this version does not know: bring both to one version"
            );
        }
    }
}

/// The answering side of a stream.
struct AnswerStream<'a> {
    answers: &'a mpsc::Sender<DiscoveryAnswer>,
    nonce: u64,
}

impl AnswerStream<'_> {
    async fn tell(&mut self, delta: Delta) -> Result<(), Status> {
        let Delta { policies, traffic, gateway, services } = delta;
        // A destination after its routes: nothing is to be sent to it without them.
        let told = [
            (POLICY_TYPE, policies),
            (TRAFFIC_TYPE, traffic),
            (GATEWAY_TYPE, gateway),
            (SERVICE_TYPE, services),
        ];
        for (type_url, delta) in told {
            let Some(delta) = delta else { continue };
            let parts = match type_url {
                TRAFFIC_TYPE | GATEWAY_TYPE => parts(delta, MOST_ANSWER),
                _ => vec![delta],
            };
            for part in parts {
                self.answer(type_url, part).await?;
            }
        }
        Ok(())
    }

    async fn answer(&mut self, type_url: &str, delta: TypeDelta) -> Result<(), Status> {
        self.nonce += 1;
        let answer = response(type_url, delta, self.nonce);
        match tokio::time::timeout(SEND_DEADLINE, self.answers.send(Ok(answer))).await {
            // A proxy that has gone is noticed by whoever waits for its requests.
            Ok(_) => Ok(()),
            Err(_) => Err(Status::deadline_exceeded("the proxy takes no answer")),
        }
    }
}

/// The same in answers of at most so many bytes, or one document each. Routes can be told one by one; a set of policies
/// in parts could open what the whole closes.
fn parts(delta: TypeDelta, most: usize) -> Vec<TypeDelta> {
    let mut parts = vec![TypeDelta { removed: delta.removed, ..TypeDelta::default() }];
    let mut bytes = 0;
    for (name, document) in delta.changed {
        let size = name.len() + document.bytes.len();
        if bytes > 0 && bytes + size > most {
            parts.push(TypeDelta::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.changed.push((name, document));
        }
    }
    parts
}

fn response(type_url: &str, delta: TypeDelta, nonce: u64) -> DeltaDiscoveryResponse {
    let resources = delta.changed.into_iter().map(|(name, document)| Resource {
        version: document.version.clone(),
        resource: Some(prost_types::Any {
            type_url: type_url.to_owned(),
            value: document.bytes.to_vec(),
        }),
        name,
    });
    DeltaDiscoveryResponse {
        system_version_info: String::new(),
        resources: resources.collect(),
        type_url: type_url.to_owned(),
        nonce: nonce.to_string(),
        removed_resources: delta.removed,
    }
}

#[cfg(test)]
mod tests;
