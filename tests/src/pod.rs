//! A running pod: its processes, what it sees when it calls others, and what its proxy says of itself.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::app::App;
use crate::binaries::binary;
use crate::certificate_shown::Certificate;
use crate::certificates::TestAuthority;
use crate::config::{MARK, OwnPorts};
use crate::curl::Answer;
use crate::identity_source::IdentitySource;
use crate::inside::{Inside, Task};
use crate::logs::LogLine;
use crate::mesh::Mesh;
use crate::metrics::Metrics;
use crate::network::{self, Attachment};
use crate::place::Place;
use crate::process::{Finished, Process, finish};
use crate::raw::{self, HttpAnswer};
use crate::wait::{self, PATIENCE};

/// What a pod is made of.
pub(crate) struct Parts {
    pub(crate) mesh: Mesh,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) place: Place,
    pub(crate) directory: PathBuf,
    pub(crate) own: OwnPorts,
    pub(crate) app: Option<App>,
    pub(crate) has_proxy: bool,
    pub(crate) identities: IdentitySource,
    pub(crate) outbound: Vec<(String, u16, SocketAddr)>,
    /// On loopback, where the proxy listens for each port of the app.
    pub(crate) exposed: Vec<(u16, u16)>,
}

/// A pod with its processes; all of them end when it is dropped.
pub struct Pod {
    // Declared in the order they must end: the thread inside first, the network (by our own drop) last.
    inside: Inside,
    app: Mutex<Option<Process>>,
    proxy: Mutex<Option<Process>>,
    agent: Mutex<Option<Process>>,
    parts: Parts,
}

impl Pod {
    pub(crate) fn new(parts: Parts) -> Self {
        let inside = Inside::enter(&parts.place);
        Self {
            inside,
            app: Mutex::default(),
            proxy: Mutex::default(),
            agent: Mutex::default(),
            parts,
        }
    }

    // ---- what it is

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// Its identity as policies write it: `cluster.local/ns/shop/sa/cart`.
    #[must_use]
    pub fn principal(&self) -> String {
        let Parts { mesh, namespace, service_account, .. } = &self.parts;
        format!("{}/ns/{namespace}/sa/{service_account}", mesh.trust_domain())
    }

    /// Its SPIFFE id.
    #[must_use]
    pub fn spiffe_id(&self) -> String {
        format!("spiffe://{}", self.principal())
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.parts.attachment.as_ref().map_or(Ipv4Addr::LOCALHOST, |net| net.ipv4)
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        self.parts.attachment.as_ref().map_or(Ipv6Addr::LOCALHOST, |net| net.ipv6)
    }

    /// A port of this pod, over IPv4.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        (IpAddr::from(self.ipv4()), port).into()
    }

    /// Where somebody outside the mesh finds a port of this pod: the same address, or, on loopback, its proxy's
    /// inbound listener.
    #[must_use]
    pub fn exposed(&self, port: u16) -> SocketAddr {
        let found = self.parts.exposed.iter().find(|(number, _)| *number == port);
        self.at(found.map_or(port, |(_, target)| *target))
    }

    /// Its directory: configuration, logs, socket; inside the pod it is `/run/postern`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.parts.directory
    }

    /// Where an app in *this* pod dials to reach a port of another: the other's address, or, on loopback, this
    /// pod's outbound listener for it.
    #[must_use]
    pub fn route_to(&self, other: &Pod, port: u16) -> SocketAddr {
        if self.parts.attachment.is_some() || !self.has_proxy() {
            return other.at(port);
        }
        let host = format!("{}.{}.svc.cluster.local", other.parts.name, other.parts.namespace);
        let found = self
            .parts
            .outbound
            .iter()
            .find(|(service, number, _)| *service == host && *number == port);
        found
            .unwrap_or_else(|| panic!("{} has no outbound listener for {host}:{port}", self.name()))
            .2
    }

    pub(crate) fn has_proxy(&self) -> bool {
        self.parts.has_proxy
    }

    // ---- its processes

    /// Gives it an app that could only be named after the pod was laid out.
    #[must_use]
    pub(crate) fn with_app(mut self, app: App) -> Self {
        self.parts.app = Some(app);
        self
    }

    /// Starts its app, and, in the mesh, its redirection, its agent and its proxy.
    pub fn start_processes(&self) {
        self.start_app();
        if self.has_proxy() {
            self.redirect("apply").ok();
            self.start_agent();
            self.start_proxy();
        }
    }

    /// Starts its app, if it has one.
    pub fn start_app(&self) {
        if let Some(app) = &self.parts.app {
            let mut command =
                self.parts.place.command(&self.parts.directory, &binary(&app.program));
            command.args(&app.arguments);
            *lock(&self.app) = Some(Process::start("app", command, &self.parts.directory));
            if let Some((port, _)) = self.parts.exposed.first() {
                self.wait_for_app(*port);
            }
        }
    }

    /// Starts its proxy.
    pub fn start_proxy(&self) {
        let config = self.parts.place.path(&self.parts.directory, "proxy.yaml");
        let mut command = self.parts.place.command(&self.parts.directory, &binary("postern-proxy"));
        command.args(["run", "--config"]).arg(config);
        *lock(&self.proxy) = Some(Process::start("proxy", command, &self.parts.directory));
    }

    /// Starts its cert agent, with a join token the first time, when the mesh has an authority.
    pub fn start_agent(&self) {
        if self.parts.identities == IdentitySource::Agent {
            let command = self.parts.mesh.authority().agent_command(self);
            *lock(&self.agent) = Some(Process::start("agent", command, &self.parts.directory));
        }
    }

    /// Starts its cert agent with this join token instead of one of its own.
    pub fn start_agent_with_token(&self, token: &[u8]) {
        std::fs::write(self.parts.directory.join("join-token"), token).expect("a token file");
        self.start_agent();
    }

    /// Waits until its app listens on this port.
    #[track_caller]
    pub fn wait_for_app(&self, port: u16) {
        wait::until_true(&format!("the app of {} to listen on {port}", self.name()), || {
            // From inside, over loopback, where nothing is redirected.
            self.run(async move { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() })
        });
    }

    /// Its app's process.
    pub fn app(&self) -> MutexGuard<'_, Option<Process>> {
        lock(&self.app)
    }

    /// Does something with its proxy's process; panics when it has none.
    #[track_caller]
    pub fn with_proxy<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(lock(&self.proxy).as_mut().expect("this pod's proxy was started"))
    }

    /// Does something with its agent's process; panics when it has none.
    #[track_caller]
    pub fn with_agent<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(lock(&self.agent).as_mut().expect("this pod's agent was started"))
    }

    /// Runs `postern-proxy redirect ACTION` in the pod; nothing to do on loopback.
    #[must_use]
    pub fn redirect(&self, action: &str) -> Finished {
        if self.parts.attachment.is_none() {
            return Finished { code: 0, stdout: String::new(), stderr: String::new() };
        }
        let mark = format!("mark={MARK}");
        if action == "remove" {
            return self.postern("postern-proxy", &["redirect", "remove"]);
        }
        let mut arguments = vec!["redirect", action, "--exempt", &mark];
        let authority;
        if self.parts.identities == IdentitySource::Agent {
            authority = self.parts.mesh.authority().address().to_string();
            // Only one user id is mapped here, so "the agent's" is everybody's; the address keeps it narrow.
            arguments.extend(["--agent-uid", "0", "--authority", &authority]);
        }
        self.postern("postern-proxy", &arguments)
    }

    /// Runs one of this workspace's programs in the pod, to its end.
    #[must_use]
    pub fn postern(&self, program: &str, arguments: &[&str]) -> Finished {
        self.run_program(&binary(program), arguments)
    }

    /// Runs any program of the machine in the pod, to its end.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&str]) -> Finished {
        self.run_program(Path::new(program), arguments)
    }

    fn run_program(&self, program: &Path, arguments: &[&str]) -> Finished {
        let mut command = self.parts.place.command(&self.parts.directory, program);
        command.args(arguments);
        finish(command)
    }

    /// Starts any program of the machine in the pod, its output in the pod's directory as `NAME.out` and `NAME.err`.
    #[must_use]
    pub fn start_program(&self, name: &str, program: &Path, arguments: &[&str]) -> Process {
        let mut command = self.parts.place.command(&self.parts.directory, program);
        command.args(arguments);
        Process::start(name, command, &self.parts.directory)
    }

    // ---- calling others from inside

    /// Calls a URL with curl, as its app would.
    #[must_use]
    pub fn curl(&self, url: &str) -> Answer {
        self.curl_with(&[url])
    }

    /// Calls with curl and further arguments; IPv4 and at most ten seconds unless they say otherwise.
    #[must_use]
    pub fn curl_with(&self, arguments: &[&str]) -> Answer {
        let mut all = vec!["-sS", "-i", "--max-time", "10"];
        if !arguments.contains(&"-6") {
            all.push("-4");
        }
        all.extend(arguments);
        Answer::of(self.command("curl", &all))
    }

    /// Runs code in the pod's network, as its app would, and waits for the result (at most a minute).
    #[track_caller]
    pub fn run<T, F>(&self, future: F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.spawn(future).join()
    }

    /// Starts code in the pod's network: a server that stands in for the app, or a client that goes on calling.
    pub fn spawn<T, F>(&self, future: F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.inside.spawn(future)
    }

    // ---- its identity

    /// The certificate its agent holds, as the agent shows it.
    #[must_use]
    #[track_caller]
    pub fn certificate(&self) -> Certificate {
        let shown = self.agent_command("show").ok();
        Certificate::read(&shown)
            .unwrap_or_else(|| panic!("{} holds no certificate: {shown}", self.name()))
    }

    /// The same, or nothing when the agent does not answer or holds none.
    #[must_use]
    pub fn try_certificate(&self) -> Option<Certificate> {
        let shown = self.agent_command("show");
        if shown.code == 0 { Certificate::read(&shown.stdout) } else { None }
    }

    /// Has its agent renew at once; returns when the agent has the new certificate.
    #[track_caller]
    pub fn renew_certificate(&self) {
        self.try_renew_certificate().ok();
    }

    /// The same, whatever becomes of it.
    #[must_use]
    pub fn try_renew_certificate(&self) -> Finished {
        self.agent_command("renew")
    }

    /// Runs an action of `postern-cert-agent` against this pod's agent: show, renew, health.
    #[must_use]
    pub fn agent_command(&self, action: &str) -> Finished {
        let socket = self.parts.place.path(&self.parts.directory, "agent.sock");
        self.postern("postern-cert-agent", &[action, "--socket", &socket.to_string_lossy()])
    }

    // ---- what its proxy says

    /// Waits until the proxy says it is ready; panics with its output when it ends instead, or never is.
    #[track_caller]
    pub fn ready(&self) {
        wait::until(&format!("the proxy of {} to be ready", self.name()), PATIENCE, || {
            if let Some(status) = self.with_proxy(Process::ended) {
                let said = self.with_proxy(|proxy| proxy.stderr());
                panic!(
                    "the proxy of {} ended with {status} before it was ready:\n{said}",
                    self.name()
                );
            }
            match self.own_http(self.parts.own.readiness, "/ready") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{}: {}", answer.status, answer.body.trim())),
                Err(error) => Err(error),
            }
        });
    }

    /// Whether the proxy says it is ready now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.own_http(self.parts.own.readiness, "/ready").is_ok_and(|answer| answer.status == 200)
    }

    /// A scrape of the proxy's metrics.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer =
            self.own_http(self.parts.own.metrics, "/metrics").expect("the proxy serves metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// Waits until a metric with these labels counts above zero: records are written when a connection ends, which
    /// may be a moment after the caller has its answer.
    #[track_caller]
    pub fn expect_metric(&self, name: &str, labels: &[(&str, &str)]) {
        wait::until(
            &format!("{name}{labels:?} of {} above zero", self.name()),
            Duration::from_secs(5),
            || {
                let metrics = self.metrics();
                if metrics.sum(name, labels) > 0.0 { Ok(()) } else { Err(metrics.lines(name)) }
            },
        );
    }

    /// An answer of the proxy's admin port.
    #[must_use]
    #[track_caller]
    pub fn admin(&self, path: &str) -> HttpAnswer {
        self.own_http(self.parts.own.admin, path).expect("the proxy serves its admin port")
    }

    /// The proxy's log so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        LogLine::read(&self.with_proxy(|proxy| proxy.stdout()))
    }

    /// Waits until the proxy has logged a line with these fields.
    #[track_caller]
    pub fn expect_log(&self, fields: &[(&str, &str)]) -> LogLine {
        wait::until(
            &format!("a log line of {} with {fields:?}", self.name()),
            Duration::from_secs(5),
            || {
                let found = self.log().into_iter().find(|line| line.has(fields));
                found.ok_or_else(|| format!("{} other lines", self.log().len()))
            },
        )
    }

    /// Asks `postern-proxy explain` about one request, with this pod's configuration.
    #[must_use]
    #[track_caller]
    pub fn explain(&self, request: &serde_json::Value) -> serde_json::Value {
        let question = self.parts.directory.join("explain.json");
        std::fs::write(&question, format!("{request}\n")).expect("a question can be written");
        let config = self.parts.place.path(&self.parts.directory, "proxy.yaml");
        let script = "exec \"$1\" explain --config \"$2\" < \"$3\"";
        let question = self.parts.place.path(&self.parts.directory, "explain.json");
        let program = binary("postern-proxy");
        let text = |path: &Path| path.to_str().expect("our paths are text").to_owned();
        let arguments = ["-c", script, "sh", &text(&program), &text(&config), &text(&question)];
        let answer = self.command("sh", &arguments).ok();
        serde_json::from_str(answer.trim()).unwrap_or_else(|_| panic!("explain answered {answer}"))
    }

    /// The test's own authority: what signed this pod's identity files.
    #[must_use]
    pub fn test_authority(&self) -> &TestAuthority {
        self.parts.mesh.test_authority()
    }

    /// The mesh the pod belongs to.
    #[must_use]
    pub fn mesh(&self) -> &Mesh {
        &self.parts.mesh
    }

    pub(crate) fn place(&self) -> &Place {
        &self.parts.place
    }

    fn own_http(&self, port: u16, path: &str) -> Result<HttpAnswer, String> {
        let path = path.to_owned();
        self.run(async move { raw::http_get((Ipv4Addr::LOCALHOST, port).into(), &path).await })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for process in [&self.app, &self.proxy, &self.agent] {
            // Killed while its network still stands, so that nothing it says in its last moment misleads.
            lock(process).take();
        }
        if let Some(attachment) = &self.parts.attachment {
            network::detach(attachment);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
