//! The mesh's authority: a real `postern-authority` in a pod of its own, and the agents' command lines.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::json;
use tokio::net::TcpStream;

use crate::binaries::binary;
use crate::certificates::replace;
use crate::inside::Inside;
use crate::mesh::Mesh;
use crate::network::{self, Attachment};
use crate::place::Place;
use crate::pod::Pod;
use crate::process::{Finished, Process, finish};
use crate::wait;

/// The authority's place on the network.
const NUMBER: u8 = 10;
/// Its port.
const PORT: u16 = 15012;
/// Where one of [`Authority::FEDERATED`] serves its bundle to other trust domains.
const BUNDLE_PORT: u16 = 15443;

/// A running authority.
pub struct Authority {
    process: Mutex<Option<Process>>,
    place: Place,
    attachment: Option<Attachment>,
    directory: PathBuf,
    address: SocketAddr,
    /// Further arguments of `postern-authority run`.
    options: Vec<String>,
}

impl Authority {
    /// The arguments of one that may federate: nobody is believed before [`Authority::federate`].
    pub(crate) const FEDERATED: &[&str] =
        &["--federation", "/run/postern/federation.yaml", "--bundle-endpoint", "0.0.0.0:15443"];

    pub(crate) fn start(mesh: &Mesh) -> Self {
        let attachment =
            mesh.inner.network.as_ref().map(|network| network.attach("authority", NUMBER));
        let place = attachment
            .as_ref()
            .map_or(Place::Loopback, |net| Place::Namespace(net.namespace.clone()));
        let ip = attachment.as_ref().map_or(std::net::Ipv4Addr::LOCALHOST, |net| net.ipv4);
        let directory = mesh.directory().join("pods/authority");
        fs::create_dir_all(directory.join("resources")).expect("the authority's directory");
        fs::write(directory.join("hosts"), "127.0.0.1 localhost\n").expect("a hosts file");
        fs::write(directory.join("passphrase"), "a passphrase only for this test\n")
            .expect("a passphrase file");
        let authority = Self {
            process: Mutex::new(None),
            place,
            attachment,
            directory,
            address: (ip, PORT).into(),
            options: mesh.inner.authority_options.clone(),
        };
        let passphrase = authority.place.path(&authority.directory, "passphrase");
        let passphrase = passphrase.to_str().expect("our paths are text");
        authority
            .run("init", &["--trust-domain", mesh.trust_domain(), "--passphrase-file", passphrase]);
        fs::write(authority.directory.join("federation.yaml"), "federation: []\n")
            .expect("a federation file");
        fs::write(authority.directory.join("registry.yaml"), "entries: []\n")
            .expect("a registry file");
        fs::write(authority.bundle(), authority.run("bundle", &[])).expect("a bundle file");
        authority.start_again();
        authority
    }

    /// Where agents find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it, waiting until it accepts connections.
    pub fn start_again(&self) {
        self.start_again_with(&[]);
    }

    /// The same with further arguments of `postern-authority run`, for this time.
    pub fn start_again_with(&self, options: &[&str]) {
        let mut command = self.command("run");
        // Tests force renewals far more often than production should allow.
        command.args(["--listen", &self.address.to_string(), "--issue-rate", "600"]);
        command.args(&self.options).args(options);
        let process = Process::start("authority", command, &self.directory);
        *self.process.lock().expect("no thread died holding this") = Some(process);
        let (inside, address) = (Inside::enter(&self.place), self.address);
        wait::until_true("the authority to listen", || {
            inside.spawn(async move { TcpStream::connect(address).await.is_ok() }).join()
        });
    }

    /// The roots that agents are given to know it by.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.directory.join("bundle.pem")
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.process.lock().expect("no thread died holding this").take();
    }

    /// A join token for one identity, good once.
    #[must_use]
    pub fn token(&self, spiffe_id: &str) -> String {
        // Where replicas share a state, tokens are in it.
        let state = self.options.iter().position(|option| option == "--state");
        let state = state.and_then(|at| self.options.get(at..at + 2)).unwrap_or_default();
        let mut arguments = vec!["--identity", spiffe_id];
        arguments.extend(state.iter().map(String::as_str));
        self.run("token", &arguments).trim().to_owned()
    }

    /// Believes the trust domain of `other` from now on, by its bundle endpoint and profile `https_spiffe`.
    pub fn federate(&self, trust_domain: &str, other: &Self) {
        fs::copy(other.bundle(), self.directory.join("other.pem")).expect("a first bundle");
        let entry = json!({"federation": [{
            "trustDomain": trust_domain,
            "endpoint": {
                "url": format!("https://{}:{BUNDLE_PORT}/bundle.json", other.address.ip()),
                "profile": "https_spiffe",
                "spiffeId": format!("spiffe://{trust_domain}/postern/authority"),
                "bootstrap": "other.pem",
            },
        }]});
        replace(&self.directory.join("federation.yaml"), &entry.to_string());
    }

    /// Believes no other trust domain from now on.
    pub fn end_federation(&self) {
        replace(&self.directory.join("federation.yaml"), "federation: []\n");
    }

    /// These workloads may vouch for users from now on, where its options name `/run/postern/registry.yaml`.
    pub fn let_vouch(&self, workloads: &[&str]) {
        let registry = json!({ "tokenVouchers": workloads });
        replace(&self.directory.join("registry.yaml"), &registry.to_string());
    }

    /// Runs one step of a root roll-over: prepare, activate, retire or status.
    #[must_use]
    pub fn root(&self, step: &str) -> Finished {
        let mut command = self.place.command(&self.directory, &binary("postern-authority"));
        command.args(["root", step, "--dir"]).arg(self.place.path(&self.directory, "state"));
        if matches!(step, "prepare" | "activate") {
            command.arg("--passphrase-file").arg(self.place.path(&self.directory, "passphrase"));
        }
        finish(command)
    }

    /// How a pod's agent is started: with a join token of its own the first time.
    pub(crate) fn agent_command(&self, pod: &Pod) -> Command {
        let directory = pod.directory();
        let inside = |name: &str| pod.place().path(directory, name);
        fs::copy(self.bundle(), directory.join("trust-bundle.pem")).expect("a trust bundle");
        let token = directory.join("join-token");
        if !token.exists() {
            fs::write(&token, self.token(&pod.spiffe_id())).expect("a token file");
        }
        let mut command = pod.place().command(directory, &binary("postern-cert-agent"));
        command.arg("run").args(["--authority", &self.address.to_string()]);
        command.arg("--trust-bundle").arg(inside("trust-bundle.pem"));
        command.arg("--socket").arg(inside("agent.sock"));
        command.arg("--state-dir").arg(inside("agent-state"));
        command.arg("--join-token-file").arg(inside("join-token"));
        command
    }

    fn run(&self, action: &str, arguments: &[&str]) -> String {
        let mut command = self.command(action);
        command.args(arguments);
        finish(command).ok()
    }

    fn command(&self, action: &str) -> Command {
        let mut command = self.place.command(&self.directory, &binary("postern-authority"));
        command.arg(action).arg("--dir").arg(self.place.path(&self.directory, "state"));
        command
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.kill();
        if let Some(attachment) = &self.attachment {
            network::detach(attachment);
        }
    }
}
