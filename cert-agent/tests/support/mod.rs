//! An authority and agents on loopback and temporary unix sockets, for the stories beside this
//! folder.

pub(crate) mod fake;
pub(crate) mod holder;
pub(crate) mod kube_api;
pub(crate) mod web_certificate;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::cli::fetch;
use agent::cli::show;
use agent::proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use agent::renewal::authority_client::{AuthorityAddress, HostPort};
use agent::serve::run::RunSettings as AgentSettings;
use agent::serve::run::serve as serve_agent;
use authority::attest::join_token_store::JoinTokens;
use authority::ca::init::InitSettings;
use authority::ca::init::init;
use authority::ca::rate::PerMinute;
use authority::clock::wall_clock;
use authority::serve::issue::Authority;
use authority::serve::run::RunSettings as AuthoritySettings;
use authority::serve::run::load;
use authority::serve::run::service_accounts;
use authority::serve::server::ConnectionLimits;
use authority::serve::server::Listeners;
use authority::serve::server::UnixSocket;
use authority::serve::server::serve as serve_authority;
use authority::store::directory::AuthorityDirectory;
use authority::store::directory_store::DirectoryStore;
use identity::jwt::{JwtBundle, JwtBundles};
use identity::{SpiffeId, TrustBundle, TrustDomain};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;

/// Whatever is awaited in a story comes within this, or the story fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

pub(crate) fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

/// A directory with an authority in it that is not running yet.
pub(crate) struct Ca {
    pub(crate) dir: TempDir,
    pub(crate) settings: AuthoritySettings,
}

/// A running authority; it stops when it is told to, or dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Arc<Authority>,
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        Self::of("cluster.local")
    }

    pub(crate) fn of(trust_domain: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let directory = AuthorityDirectory::new(dir.path().join("authority"));
        let wanted = InitSettings {
            trust_domain: TrustDomain::parse(trust_domain).unwrap(),
            passphrase_file: None,
            from_root: None,
            pkcs11: None,
            root_lifetime: Duration::from_secs(86_400),
            intermediate_lifetime: Duration::from_secs(86_400),
        };
        init(&directory, &wanted, wall_clock()).unwrap();
        let settings = AuthoritySettings {
            store: Arc::new(DirectoryStore::new(directory.path())),
            shared: false,
            directory,
            listen: "127.0.0.1:0".parse().unwrap(),
            unix: None,
            registry: None,
            leaf_lifetime: Duration::from_secs(3600),
            credential_lifetime: Duration::from_secs(7 * 86_400),
            federation: None,
            bundle_endpoint: None,
            jwt_lifetime: Duration::from_secs(300),
            jwt_issuer: None,
            kubeconfig: None,
            service_accounts: None,
            readiness: None,
            limits: ConnectionLimits::default(),
            root_key: None,
            issuance_log: None,
            issue_rate: PerMinute(6000),
            global_issue_rate: PerMinute(60_000),
        };
        Self { dir, settings }
    }

    pub(crate) fn lifetime(mut self, seconds: u64) -> Self {
        self.settings.leaf_lifetime = Duration::from_secs(seconds);
        self
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.settings.directory.bundle()
    }

    pub(crate) fn roots(&self) -> TrustBundle {
        self.load().ca.now().bundle().clone()
    }

    pub(crate) fn token(&self, identity: &str) -> String {
        let tokens = JoinTokens::new(Arc::clone(&self.settings.store));
        tokens.mint(&id(identity), Duration::from_secs(600), wall_clock()).unwrap().to_string()
    }

    pub(crate) fn load(&self) -> Authority {
        load(&self.settings).unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_at(self.settings.listen).await
    }

    pub(crate) async fn start_at(&self, listen: SocketAddr) -> Running {
        let mut authority = self.load();
        authority.remote.service_accounts =
            service_accounts(&self.settings, &authority).await.unwrap();
        let authority = Arc::new(authority);
        let tcp = TcpListener::bind(listen).await.unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = self.settings.unix.as_deref().map(|path| UnixSocket::bind(path).unwrap());
        let stop = CancellationToken::new();
        let listeners = Listeners { tcp, unix };
        let task = tokio::spawn(serve_authority(
            Arc::clone(&authority),
            listeners,
            self.settings.limits,
            stop.clone(),
        ));
        Running { address, authority, stop, task: Some(task) }
    }
}

impl Running {
    /// Where agents of this machine ask it.
    pub(crate) fn for_agents(&self) -> AuthorityAddress {
        let trust_domain = self.authority.ca.now().trust_domain().clone();
        AuthorityAddress::Network {
            host_port: HostPort::parse(&self.address.to_string()).unwrap(),
            identity: id(&format!("spiffe://{trust_domain}/postern/authority")),
        }
    }

    /// The keys that verify its tokens, as it publishes them.
    pub(crate) fn jwt_bundles(&self) -> JwtBundles {
        let own = &self.authority.publisher.now().own.jwt;
        JwtBundles::new([JwtBundle::parse(own.trust_domain().clone(), &own.to_jwks()).unwrap()])
    }

    /// Stops and waits until the port is free.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        within("the authority to stop", self.task.take().unwrap()).await.unwrap().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An agent in this process.
pub(crate) struct Agent {
    pub(crate) dir: TempDir,
    pub(crate) settings: AgentSettings,
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Agent {
    /// Not started yet.
    pub(crate) fn new(ca: &Ca, authority: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = AgentSettings {
            authority: Some(HostPort::parse(&authority.to_string()).unwrap()),
            authority_unix: None,
            authority_identity: None,
            trust_bundle: ca.bundle(),
            trust_domain: None,
            identity: None,
            socket: dir.path().join("agent.sock"),
            state_dir: dir.path().join("state"),
            join_token_file: None,
            lasting_proof: None,
            allow_uids: Vec::new(),
            end_without_callers: None,
            metrics: None,
        };
        Self { dir, settings, stop: CancellationToken::new(), task: None }
    }

    /// With a join token for this identity.
    pub(crate) fn joining(ca: &Ca, authority: SocketAddr, identity: &str) -> Self {
        let agent = Self::new(ca, authority);
        agent.give_token(&ca.token(identity))
    }

    pub(crate) fn give_token(mut self, token: &str) -> Self {
        let path = self.dir.path().join("join-token");
        std::fs::write(&path, format!("{token}\n")).unwrap();
        self.settings.join_token_file = Some(path);
        self
    }

    pub(crate) fn start(mut self) -> Self {
        self.stop = CancellationToken::new();
        self.task = Some(tokio::spawn(serve_agent(self.settings.clone(), self.stop.clone())));
        self
    }

    pub(crate) async fn started(self) -> Self {
        let agent = self.start();
        agent.until_ready().await;
        agent
    }

    pub(crate) async fn stopped(mut self) -> Self {
        self.stop.cancel();
        within("the agent to stop", self.task.take().unwrap()).await.unwrap().unwrap();
        self
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.settings.socket
    }

    /// As the SPIFFE standard writes it.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub(crate) async fn status(&self) -> Option<show::AgentReport> {
        let status = show::status(self.socket()).await.ok()?;
        Some(show::AgentReport::of(&status, wall_clock()).unwrap())
    }

    pub(crate) async fn renew(&self) -> anyhow::Result<show::AgentReport> {
        show::AgentReport::of(&show::renew(self.socket()).await?, wall_clock())
    }

    pub(crate) async fn until_ready(&self) {
        self.until("ready", |status| status.ready).await;
    }

    pub(crate) async fn until(
        &self,
        what: &str,
        reached: impl Fn(&show::AgentReport) -> bool,
    ) -> show::AgentReport {
        eventually(what, || async { self.status().await.filter(|status| reached(status)) }).await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Asks again and again until there is an answer, or [`DEADLINE`] is over.
pub(crate) async fn eventually<T, F, Fut>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "waited {DEADLINE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

/// A port that nobody listens on, and that the next to ask gets.
pub(crate) async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The Workload API of an agent, without the help of a client library.
pub(crate) async fn bare(agent: &Agent) -> SpiffeWorkloadApiClient<Channel> {
    SpiffeWorkloadApiClient::new(fetch::connect(agent.socket()).await.unwrap())
}

/// A request of somebody who means to make it (Workload Endpoint §3).
pub(crate) fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("workload.spiffe.io", AsciiMetadataValue::from_static("true"));
    request
}
