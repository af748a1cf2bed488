//! The mesh's authority: a real `postern-authority` in a pod of its own, and the agents' command lines.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::binaries::binary;
use crate::mesh::Mesh;
use crate::network::{self, Attachment};
use crate::place::Place;
use crate::pod::Pod;
use crate::process::{Process, finish};
use crate::wait;

/// The authority's place on the network.
const NUMBER: u8 = 10;
/// Its port.
const PORT: u16 = 15012;

/// A running authority.
pub struct Authority {
    process: std::sync::Mutex<Option<Process>>,
    place: Place,
    attachment: Option<Attachment>,
    directory: std::path::PathBuf,
    address: SocketAddr,
}

impl Authority {
    pub(crate) fn start(mesh: &Mesh) -> Self {
        let attachment = mesh.inner.network.as_ref().map(|network| network.attach("authority", NUMBER));
        let place = attachment.as_ref().map_or(Place::Loopback, |net| Place::Namespace(net.namespace.clone()));
        let ip = attachment.as_ref().map_or(std::net::Ipv4Addr::LOCALHOST, |net| net.ipv4);
        let directory = mesh.directory().join("pods/authority");
        fs::create_dir_all(directory.join("resources")).expect("the authority's directory");
        fs::write(directory.join("hosts"), "127.0.0.1 localhost\n").expect("a hosts file");
        fs::write(directory.join("passphrase"), "a passphrase only for this test\n").expect("a passphrase file");
        let authority = Self {
            process: std::sync::Mutex::new(None),
            place,
            attachment,
            directory,
            address: (ip, PORT).into(),
        };
        authority.run("init", &["--trust-domain", mesh.trust_domain()]);
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
        let mut command = self.command("run");
        command.args(["--listen", &self.address.to_string()]);
        let process = Process::start("authority", command, &self.directory);
        *self.process.lock().expect("no thread died holding this") = Some(process);
        wait::until_true("the authority to listen", || self.directory.join("bundle.pem").exists());
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.process.lock().expect("no thread died holding this").take();
    }

    /// A join token for one identity, good once.
    #[must_use]
    pub fn token(&self, spiffe_id: &str) -> String {
        self.run("token", &["--spiffe-id", spiffe_id]).trim().to_owned()
    }

    /// How a pod's agent is started: with a fresh join token in its directory.
    pub(crate) fn agent_command(&self, pod: &Pod) -> Command {
        let directory = pod.directory();
        let inside = |name: &str| pod.place().path(directory, name);
        fs::copy(self.directory.join("bundle.pem"), directory.join("trust-bundle.pem")).expect("a trust bundle");
        let token = directory.join("join-token");
        if !directory.join("agent-state").exists() {
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
        let inside = |name: &str| self.place.path(&self.directory, name);
        let mut command = self.place.command(&self.directory, &binary("postern-authority"));
        command.arg(action).arg("--state-dir").arg(inside("state"));
        command.arg("--passphrase-file").arg(inside("passphrase"));
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
