//! A mesh: one network, one directory of resources, one trust domain, and the pods in it. Two meshes of two trust
//! domains may share a network.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use tempfile::TempDir;

use crate::authority::Authority;
use crate::certificates::{TestAuthority, replace};
use crate::identity_source::IdentitySource;
use crate::network::Network;
use crate::pod::Pod;
use crate::pod_builder::PodBuilder;
use crate::services::Service;
use crate::story_times::StoryTime;

/// A running mesh; cloning gives another handle on the same one. Everything it made goes with the last handle, and
/// when the test has failed by then, every log is printed first.
#[derive(Clone)]
pub struct Mesh {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    // First, so that its process ends before its network does.
    authority: OnceLock<Authority>,
    /// Nothing on loopback.
    pub(crate) network: Option<Network>,
    directory: TempDir,
    pub(crate) trust_domain: String,
    pub(crate) identities: IdentitySource,
    pub(crate) authority_options: Vec<String>,
    test_authority: OnceLock<TestAuthority>,
    known: Mutex<Known>,
    // Last: taking everything away is part of the story's time.
    _time: StoryTime,
}

/// What has been told to the pods so far.
#[derive(Default)]
struct Known {
    next_number: u8,
    services: Vec<Service>,
    hosts: String,
    host_files: Vec<PathBuf>,
}

/// The first number given to a pod that asked for none; lower ones are for pods that did.
const FIRST_FREE_NUMBER: u8 = 20;

impl Mesh {
    /// A mesh whose pods have identity files issued by the harness: no authority, no agents, quick to start.
    #[must_use]
    pub fn start() -> Self {
        Self::new(Some(Network::create()), "cluster.local", IdentitySource::Files, &[])
    }

    /// A mesh with an authority, and a cert agent in each pod that joined with a token of its own.
    #[must_use]
    pub fn with_authority() -> Self {
        Self::with_authority_and(&[])
    }

    /// The same, with further arguments for `postern-authority run`, such as short lifetimes.
    #[must_use]
    pub fn with_authority_and(options: &[&str]) -> Self {
        Self::new(Some(Network::create()), "cluster.local", IdentitySource::Agent, options)
    }

    /// The same without namespaces: pods side by side on loopback, explicit listeners instead of redirection.
    #[must_use]
    pub fn on_loopback() -> Self {
        Self::new(None, "cluster.local", IdentitySource::Agent, &[])
    }

    /// Two meshes with authorities on one network, `cluster.local` and `partner.example`, each with resources of its
    /// own. They believe each other from [`Authority::federate`] on.
    #[must_use]
    pub fn with_partner() -> (Self, Self) {
        let network = Network::create();
        let beside = network.beside();
        let start = |network, trust_domain| {
            Self::new(Some(network), trust_domain, IdentitySource::Agent, Authority::FEDERATED)
        };
        (start(network, "cluster.local"), start(beside, "partner.example"))
    }

    fn new(
        network: Option<Network>,
        trust_domain: &str,
        identities: IdentitySource,
        authority_options: &[&str],
    ) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("postern-mesh-")
            .tempdir()
            .expect("a temporary directory");
        fs::create_dir_all(directory.path().join("resources")).expect("a resources directory");
        fs::create_dir_all(directory.path().join("pods")).expect("a directory for pods");
        Self {
            inner: Arc::new(Inner {
                network,
                directory,
                trust_domain: trust_domain.to_owned(),
                identities,
                authority_options: authority_options
                    .iter()
                    .map(|option| (*option).to_owned())
                    .collect(),
                test_authority: OnceLock::new(),
                authority: OnceLock::new(),
                known: Mutex::new(Known { next_number: FIRST_FREE_NUMBER, ..Known::default() }),
                _time: StoryTime::start(),
            }),
        }
    }

    /// A new pod of this name; see the builder for what it may have.
    #[must_use]
    pub fn pod(&self, name: &str) -> PodBuilder {
        PodBuilder::new(self.clone(), name)
    }

    /// Puts a resource file `NAME.yaml` in force, replaced whole; every proxy of the mesh reads it.
    pub fn policy(&self, name: &str, yaml: &str) {
        replace(&self.resource_path(name), yaml);
    }

    /// Takes a resource file away.
    pub fn remove_policy(&self, name: &str) {
        let path = self.resource_path(name);
        fs::remove_file(&path)
            .unwrap_or_else(|error| panic!("removing {}: {error}", path.display()));
    }

    /// Where the resource file of this name is.
    #[must_use]
    pub fn resource_path(&self, name: &str) -> PathBuf {
        self.directory().join("resources").join(format!("{name}.yaml"))
    }

    /// The mesh's own directory: `resources/`, and `pods/NAME/` with configuration, logs and socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.inner.directory.path()
    }

    /// The trust domain, `cluster.local` unless the mesh is a partner.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.inner.trust_domain
    }

    /// The authority that issued the pods' identity files; a test may ask it for hostile certificates too.
    #[must_use]
    pub fn test_authority(&self) -> &TestAuthority {
        self.inner.test_authority.get_or_init(|| TestAuthority::new(&self.inner.trust_domain))
    }

    /// The running authority of a mesh with agents; started when first asked for.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        self.inner.authority.get_or_init(|| Authority::start(self))
    }

    /// Whether pods have networks of their own.
    #[must_use]
    pub fn has_namespaces(&self) -> bool {
        self.inner.network.is_some()
    }

    /// The number of its network, the third part of the pods' IPv4 addresses; 0 on loopback.
    #[must_use]
    pub fn network_index(&self) -> u8 {
        self.inner.network.as_ref().map_or(0, Network::index)
    }

    /// Tells the pods here of a pod of another mesh on the network: its names, and a `ServiceEntry` with its foreign
    /// SPIFFE id.
    pub fn import(&self, pod: &Pod) {
        self.announce(pod.service(), pod.ipv4(), true);
    }

    /// Makes a service known: its names to every pod's `/etc/hosts`, its `ServiceEntry` to every proxy.
    pub(crate) fn announce(&self, service: Service, ipv4: Ipv4Addr, write_entry: bool) {
        if write_entry {
            self.policy(&format!("service-{}", service.name), &service.document());
        }
        let mut known = self.inner.known.lock().expect("no test thread died holding this");
        let names = service.hosts().join(" ");
        for address in &service.addresses {
            known.hosts.push_str(&format!("{address} {names}\n"));
        }
        if service.addresses.is_empty() {
            known.hosts.push_str(&format!("{ipv4} {names}\n"));
        }
        known.services.push(service);
        // In place, not by rename: pods have these files mounted.
        for file in &known.host_files {
            fs::write(file, hosts_file(&known.hosts)).expect("a hosts file can be written");
        }
    }

    /// Makes a name outside the mesh known to every pod's `/etc/hosts`.
    pub fn know_host(&self, host: &str, ipv4: Ipv4Addr) {
        let mut known = self.inner.known.lock().expect("no test thread died holding this");
        known.hosts.push_str(&format!("{ipv4} {host}\n"));
        for file in &known.host_files {
            fs::write(file, hosts_file(&known.hosts)).expect("a hosts file can be written");
        }
    }

    /// From now on keeps `file` up to date as a pod's `/etc/hosts`.
    pub(crate) fn follow_hosts(&self, file: PathBuf) {
        let mut known = self.inner.known.lock().expect("no test thread died holding this");
        fs::write(&file, hosts_file(&known.hosts)).expect("a hosts file can be written");
        known.host_files.push(file);
    }

    /// The number for the next pod that asked for none.
    pub(crate) fn next_number(&self) -> u8 {
        let mut known = self.inner.known.lock().expect("no test thread died holding this");
        known.next_number += 1;
        known.next_number - 1
    }

    /// All services announced so far.
    pub(crate) fn services(&self) -> Vec<Service> {
        self.inner.known.lock().expect("no test thread died holding this").services.clone()
    }
}

fn hosts_file(services: &str) -> String {
    format!("127.0.0.1 localhost\n::1 localhost\n{services}")
}

impl Drop for Inner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(self.directory.path());
        }
    }
}

/// Prints every log and configuration, so that a failed test shows what its processes said.
#[allow(clippy::print_stderr, reason = "this is for the person who reads why a test failed")]
fn print_logs(directory: &Path) {
    let mut files = Vec::new();
    collect_files(directory, &mut files);
    files.sort();
    for file in files {
        let content = fs::read(&file).unwrap_or_default();
        if content.is_empty() {
            continue;
        }
        let name = file.strip_prefix(directory).unwrap_or(&file);
        eprintln!("---- {}\n{}", name.display(), String::from_utf8_lossy(&content).trim_end());
    }
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type();
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            collect_files(&path, files);
        }
        let shown = ["out", "err", "yaml"]
            .iter()
            .any(|ending| path.extension().is_some_and(|found| found == *ending));
        if kind.is_ok_and(|kind| kind.is_file()) && shown {
            files.push(path);
        }
    }
}
