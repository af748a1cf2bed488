//! `postern-cert-agent run`: the loop, the two sockets, and their end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use identity::{SpiffeId, TrustDomain};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use program::Misconfigured;

use crate::proto::own::admin_server::AdminServer;
use crate::proto::own::token_exchange_server::TokenExchangeServer;
use crate::proto::sds::secret_discovery_service_server::SecretDiscoveryServiceServer;
use crate::proto::workload::spiffe_workload_api_server::SpiffeWorkloadApiServer;
use crate::renewal::authority_client::{AuthorityAddress, HostPort};
use crate::renewal::bundle_file::BundleFile;
use crate::renewal::bundles::BundleWatch;
use crate::renewal::evidence::{EvidenceSource, LastingProof};
use crate::renewal::exchange_source::ExchangeSource;
use crate::renewal::jwt_source::JwtSource;
use crate::renewal::renewer::{MAX_FORCED, Renewer};
use crate::renewal::served_state::{self, StateView};
use crate::renewal::state_directory::StateDirectory;
use crate::serve::admin::AdminService;
use crate::serve::callers::AllowedCallers;
use crate::serve::metrics::{MetricsServer, MetricsSources};
use crate::serve::sds::{DiscoveryCounts, SecretDiscovery};
use crate::serve::socket::ListeningSocket;
use crate::serve::token_exchange::TokenExchangeService;
use crate::serve::workload_api::WorkloadApi;

/// The path of the authority's own id in its trust domain.
const AUTHORITY_PATH: &str = "/postern/authority";
/// Requests on our sockets are a few bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// The settings of `run`.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The authority on the network.
    pub authority: Option<HostPort>,
    /// The authority on this machine.
    pub authority_unix: Option<PathBuf>,
    /// The authority's own id; by default the one of its trust domain.
    pub authority_identity: Option<SpiffeId>,
    /// PEM roots.
    pub trust_bundle: PathBuf,
    /// Whose roots they are; by default what they say themselves.
    pub trust_domain: Option<TrustDomain>,
    /// Who we are; by default whatever the authority attests.
    pub identity: Option<SpiffeId>,
    /// Where the Workload API is served.
    pub socket: PathBuf,
    /// Where the renewal credential is kept.
    pub state_dir: PathBuf,
    /// The join token.
    pub join_token_file: Option<PathBuf>,
    /// A proof that lasts, beside our uid on the authority's unix socket.
    pub lasting_proof: Option<LastingProof>,
    /// Who may ask beside our own user.
    pub allow_uids: Vec<u32>,
    /// Where metrics and probes are served; nowhere without.
    pub metrics: Option<SocketAddr>,
    /// Ends by itself, as at SIGTERM, when callers have come and none has been connected for this long.
    pub end_without_callers: Option<Duration>,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Everything that keeps it from starting. An authority that is down does not: the agent waits for
/// it.
pub async fn run(settings: RunSettings) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    program::stop_on_signal(stop.clone())?;
    serve(settings, stop).await
}

/// Serves until `stop`.
///
/// # Errors
/// As [`run`].
pub async fn serve(settings: RunSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let file = BundleFile::open(&settings.trust_bundle, settings.trust_domain.clone())
        .map_err(Misconfigured)?;
    let trusted = file.taken().clone();
    let address = address(&settings, trusted.trust_domain())?;
    let evidence = evidence(&settings);
    let state =
        evidence.needs_state().then(|| StateDirectory::take(&settings.state_dir)).transpose()?;
    let credential = state.as_ref().map(StateDirectory::load).transpose()?.flatten();
    let workload = ListeningSocket::bind(&settings.socket, 0o666)?;
    let admin = ListeningSocket::bind(&admin_path(&settings.socket), 0o600)?;
    if let Some(patience) = settings.end_without_callers {
        stop_when_deserted(&workload, patience, stop.clone());
    }
    tracing::info!(
        authority = %address,
        trust_domain = %trusted.trust_domain(),
        socket = %settings.socket.display(),
        joined = credential.is_some(),
        "serving"
    );
    let (publisher, view) = served_state::channel(trusted);
    let (renew, forced) = mpsc::channel(MAX_FORCED);
    let bundles = BundleWatch {
        address: address.clone(),
        file: file.clone(),
        publisher: publisher.clone(),
        renew: renew.clone(),
    };
    let callers = AllowedCallers::new(&settings.allow_uids);
    let jwt = JwtSource::new(address.clone(), view.clone());
    let exchange = ExchangeSource::new(address.clone(), view.clone());
    let exchange = TokenExchangeService::new(view.clone(), exchange, callers.clone());
    let identity = settings.identity;
    let renewer = Renewer { address, file, identity, evidence, credential, state, publisher };
    let counted = Arc::new(DiscoveryCounts::default());
    let metrics = match settings.metrics {
        Some(address) => {
            let numbers = MetricsSources { view: view.clone(), secrets: Arc::clone(&counted) };
            Some(MetricsServer::bind(address, numbers).await?)
        }
        None => None,
    };
    let for_workloads = workload_services(&view, jwt, &callers, counted, &stop);
    let exchange = TokenExchangeServer::new(exchange).max_decoding_message_size(MAX_REQUEST);
    let for_workloads = for_workloads.add_service(exchange);
    let for_operators = AdminServer::new(AdminService::new(view, renew));
    let for_operators = Routes::new(for_operators.max_decoding_message_size(MAX_REQUEST));
    let served = tokio::try_join!(
        workload.serve(for_workloads, callers, stop.clone()),
        admin.serve(for_operators, AllowedCallers::own_and_root(), stop.clone()),
        ending(renewer.keep_fresh(forced, stop.clone())),
        ending(bundles.follow(stop.clone())),
        ending(async {
            if let Some(metrics) = metrics {
                metrics.serve(stop.clone()).await;
            }
        }),
    );
    tracing::info!("stopped");
    served.map(|_| ())
}

/// The Workload API and Envoy's secret discovery, on one socket.
fn workload_services(
    view: &StateView,
    jwt: JwtSource,
    callers: &AllowedCallers,
    counted: Arc<DiscoveryCounts>,
    stop: &CancellationToken,
) -> Routes {
    let workload_api = WorkloadApi::new(view.clone(), jwt, callers.clone(), stop.clone());
    let workload_api = SpiffeWorkloadApiServer::new(workload_api);
    let secrets = SecretDiscovery::new(view.clone(), callers.clone(), counted, stop.clone());
    let secrets = SecretDiscoveryServiceServer::new(secrets);
    Routes::new(workload_api.max_decoding_message_size(MAX_REQUEST))
        .add_service(secrets.max_decoding_message_size(MAX_REQUEST))
}

/// A duty that ends with `stop` and has nothing to say.
async fn ending(duty: impl Future<Output = ()>) -> anyhow::Result<()> {
    duty.await;
    Ok(())
}

/// Where the admin service of the agent at `socket` is.
#[must_use]
pub fn admin_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".admin");
    path.into()
}

fn address(settings: &RunSettings, trust_domain: &TrustDomain) -> anyhow::Result<AuthorityAddress> {
    match (&settings.authority, &settings.authority_unix) {
        (Some(host_port), None) => {
            let identity = match &settings.authority_identity {
                Some(identity) => identity.clone(),
                None => SpiffeId::parse(&format!("spiffe://{trust_domain}{AUTHORITY_PATH}"))?,
            };
            Ok(AuthorityAddress::Network { host_port: host_port.clone(), identity })
        }
        (None, Some(path)) => Ok(AuthorityAddress::Unix(path.clone())),
        _ => bail!("give either --authority HOST:PORT or --authority-unix PATH"),
    }
}

/// On the authority's own machine our uid is the proof, unless another was given.
fn evidence(settings: &RunSettings) -> EvidenceSource {
    let join_token = settings.join_token_file.clone();
    let local = settings.authority_unix.is_some() && join_token.is_none();
    let lasting = settings.lasting_proof.clone().or(local.then_some(LastingProof::Unix));
    EvidenceSource { lasting, join_token }
}

fn stop_when_deserted(workload: &ListeningSocket, patience: Duration, stop: CancellationToken) {
    let deserted = workload.deserted(patience);
    tokio::spawn(async move {
        tokio::select! {
            () = deserted => tracing::info!(?patience, "no caller is left"),
            () = stop.cancelled() => {}
        }
        stop.cancel();
    });
}
