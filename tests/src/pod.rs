//! A running pod: what it is, and the processes, the calls and the observations of the files beside.

mod calling;
mod observing;
mod processes;
mod upgrading;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::app::App;
use crate::certificates::TestAuthority;
use crate::clock::Clock;
use crate::config::OwnPorts;
use crate::identity_source::IdentitySource;
use crate::inside::Inside;
use crate::mesh::Mesh;
use crate::network::{self, Attachment};
use crate::place::Place;
use crate::process::Process;
use crate::services::Service;

/// What a pod is made of.
pub(crate) struct Parts {
    pub(crate) mesh: Mesh,
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) place: Place,
    pub(crate) directory: PathBuf,
    /// What other pods know of it.
    pub(crate) service: Service,
    pub(crate) own: OwnPorts,
    pub(crate) app: Option<App>,
    pub(crate) has_proxy: bool,
    /// Nothing is redirected in it.
    pub(crate) is_gateway: bool,
    pub(crate) identities: IdentitySource,
    /// Where agent and proxy have a clock of their own.
    pub(crate) clock: Option<Clock>,
    pub(crate) outbound: Vec<(String, u16, SocketAddr)>,
    /// On loopback, where the proxy listens for each port of the app.
    pub(crate) exposed: Vec<(u16, u16)>,
}

/// A pod with its processes; all of them end when it is dropped.
pub struct Pod {
    // Dropping ends the processes and takes the network away, in our own drop; the thread inside ends last.
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

    pub(crate) fn service(&self) -> Service {
        self.parts.service.clone()
    }

    pub(crate) fn has_proxy(&self) -> bool {
        self.parts.has_proxy
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
