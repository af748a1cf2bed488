//! What a pod shall be, before it is started.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::App;
use crate::certificates::replace;
use crate::clock::Clock;
use crate::config::{Listeners, OwnPorts, ProxyConfig, overlay};
use crate::identity_source::IdentitySource;
use crate::mesh::Mesh;
use crate::place::Place;
use crate::pod::{Parts, Pod};
use crate::services::{Service, ServicePort};

/// A pod to be; `start` makes it real.
pub struct PodBuilder {
    mesh: Mesh,
    name: String,
    namespace: String,
    service_account: String,
    number: Option<u8>,
    ports: Vec<(u16, String)>,
    app: Option<App>,
    proxy: bool,
    gateway: bool,
    config_file: Option<PathBuf>,
    changes: Vec<Value>,
    write_entry: bool,
    identities: IdentitySource,
    own_clock: bool,
}

impl PodBuilder {
    pub(crate) fn new(mesh: Mesh, name: &str) -> Self {
        let identities = mesh.inner.identities;
        Self {
            mesh,
            name: name.to_owned(),
            namespace: "shop".to_owned(),
            service_account: name.to_owned(),
            number: None,
            ports: Vec::new(),
            app: None,
            proxy: true,
            gateway: false,
            config_file: None,
            changes: Vec::new(),
            write_entry: true,
            identities,
            own_clock: false,
        }
    }

    /// Its namespace; `shop` unless said.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.to_owned();
        self
    }

    /// Its service account; its name unless said.
    #[must_use]
    pub fn service_account(mut self, service_account: &str) -> Self {
        self.service_account = service_account.to_owned();
        self
    }

    /// The last part of its addresses, 2 to 19, for meshes whose resource files name addresses.
    #[must_use]
    pub fn number(mut self, number: u8) -> Self {
        self.number = Some(number);
        self
    }

    /// A port its app listens on, and what it speaks: http, http2, grpc, tcp or auto.
    #[must_use]
    pub fn port(mut self, port: u16, protocol: &str) -> Self {
        self.ports.push((port, protocol.to_owned()));
        self
    }

    /// The program that is its app; without one the test listens itself (`Pod::spawn`), or nobody does.
    #[must_use]
    pub fn app(mut self, app: App) -> Self {
        self.app = Some(app);
        self
    }

    /// A pod outside the mesh: no proxy, no redirection, no identity.
    #[must_use]
    pub fn outside(mut self) -> Self {
        self.proxy = false;
        self
    }

    /// A gateway: its proxy serves the Gateways of the mesh's resources. It has no app, and nothing is redirected.
    #[must_use]
    pub fn gateway(mut self) -> Self {
        self.gateway = true;
        self
    }

    /// Takes this proxy.yaml as it is, instead of writing one.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Lays these keys over the proxy.yaml the harness writes.
    #[must_use]
    pub fn config(mut self, change: Value) -> Self {
        self.changes.push(change);
        self
    }

    /// Writes no `ServiceEntry`: the resource files have one already.
    #[must_use]
    pub fn known_by_files(mut self) -> Self {
        self.write_entry = false;
        self
    }

    /// Identity files issued by the harness, also in a mesh with an authority.
    #[must_use]
    pub fn identity_files(mut self) -> Self {
        self.identities = IdentitySource::Files;
        self
    }

    /// Its agent and its proxy have a clock of their own, for [`Pod::set_clock`].
    #[must_use]
    pub fn own_clock(mut self) -> Self {
        self.own_clock = true;
        self
    }

    /// Builds the pod, starts its processes, and waits until its proxy is ready.
    #[must_use]
    pub fn start(self) -> Pod {
        let pod = self.start_unready();
        if pod.has_proxy() {
            pod.ready();
        }
        pod
    }

    /// Builds the pod and starts its processes, ready or not.
    #[must_use]
    pub fn start_unready(self) -> Pod {
        let pod = self.lay_out();
        pod.start_processes();
        pod
    }

    /// Builds the pod's network and files and starts nothing.
    #[must_use]
    pub fn lay_out(self) -> Pod {
        let number = self.number.unwrap_or_else(|| self.mesh.next_number());
        let attachment =
            self.mesh.inner.network.as_ref().map(|network| network.attach(&self.name, number));
        let place = attachment
            .as_ref()
            .map_or(Place::Loopback, |net| Place::Namespace(net.namespace.clone()));
        let own = if attachment.is_some() { OwnPorts::USUAL } else { OwnPorts::shared(number) };
        let directory = self.mesh.directory().join("pods").join(&self.name);
        make_directory(&directory, &place);
        self.mesh.follow_hosts(directory.join("hosts"));

        let service = self.service(number, attachment.as_ref().map(|net| net.addresses().to_vec()));
        let listeners = self.listeners(&service, own);
        let exposed = service.ports.iter().map(|port| (port.number, port.target)).collect();
        let address = attachment.as_ref().map_or(Ipv4Addr::LOCALHOST, |net| net.ipv4);
        self.mesh.announce(
            service.clone(),
            address,
            self.write_entry && self.proxy && !self.ports.is_empty(),
        );
        if self.proxy {
            self.write_identity(&directory);
            self.write_config(&place, &directory, own, &listeners);
        }
        let clock = self.own_clock.then(|| Clock::new(&directory));
        Pod::new(Parts {
            mesh: self.mesh,
            name: self.name,
            namespace: self.namespace,
            service_account: self.service_account,
            attachment,
            place,
            directory,
            service,
            own,
            app: self.app,
            has_proxy: self.proxy,
            is_gateway: self.gateway,
            identities: self.identities,
            clock,
            outbound: outbound_addresses(&listeners),
            exposed,
        })
    }

    fn service(&self, number: u8, addresses: Option<Vec<std::net::IpAddr>>) -> Service {
        let on_loopback = addresses.is_none();
        let target = |index: usize, port: u16| {
            // On loopback each port has an inbound listener of its own, beside the app's.
            if on_loopback {
                OwnPorts::shared(number).inbound + 40 + u16::try_from(index).unwrap_or(0)
            } else {
                port
            }
        };
        let ports = self.ports.iter().enumerate().map(|(index, (port, protocol))| ServicePort {
            number: *port,
            target: target(index, *port),
            protocol: protocol.clone(),
        });
        Service {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            identity: format!(
                "spiffe://{}/ns/{}/sa/{}",
                self.mesh.trust_domain(),
                self.namespace,
                self.service_account
            ),
            addresses: addresses.unwrap_or_else(|| vec![Ipv4Addr::LOCALHOST.into()]),
            ports: ports.collect(),
        }
    }

    /// On loopback: one inbound listener for each port of ours, one outbound listener for each port of the others.
    fn listeners(&self, service: &Service, own: OwnPorts) -> Listeners {
        if self.mesh.has_namespaces() {
            return Listeners::default();
        }
        let inbound = service.ports.iter().map(|port| {
            json!({
                "bind": format!("127.0.0.1:{}", port.target),
                "forward": format!("127.0.0.1:{}", port.number),
                "protocol": port.protocol,
            })
        });
        let mut next = own.outbound + 60;
        let mut outbound = Vec::new();
        for other in self.mesh.services() {
            for port in &other.ports {
                outbound.push(json!({
                    "bind": format!("127.0.0.1:{next}"),
                    "service": other.hosts()[0],
                    "port": port.number,
                }));
                next += 1;
            }
        }
        Listeners { inbound: inbound.collect(), outbound }
    }

    fn write_identity(&self, directory: &Path) {
        if self.identities == IdentitySource::Files {
            let authority = self.mesh.test_authority();
            replace(&directory.join("bundle.pem"), &authority.bundle_pem());
            authority.workload(&self.namespace, &self.service_account).write(directory);
        }
    }

    fn write_config(&self, place: &Place, directory: &Path, own: OwnPorts, listeners: &Listeners) {
        let target = directory.join("proxy.yaml");
        if let Some(file) = &self.config_file {
            fs::copy(file, &target)
                .unwrap_or_else(|error| panic!("copying {}: {error}", file.display()));
            return;
        }
        let config = ProxyConfig {
            place,
            directory,
            name: &self.name,
            namespace: &self.namespace,
            service_account: &self.service_account,
            identity: &self.identities,
            ports: &self.ports,
            own,
            listeners,
        };
        let mut value = if self.gateway { config.gateway() } else { config.value() };
        for change in &self.changes {
            overlay(&mut value, change);
        }
        // JSON is YAML, and what people read in a failed test's output.
        fs::write(target, serde_json::to_string_pretty(&value).expect("JSON is printable"))
            .expect("a config file");
    }
}

/// The pod's directory with a place for the mesh's resources: mounted there in a namespace, linked on loopback.
fn make_directory(directory: &Path, place: &Place) {
    fs::create_dir_all(directory).expect("a pod's directory");
    let resources = directory.join("resources");
    match place {
        Place::Namespace(_) => fs::create_dir_all(resources),
        Place::Loopback => symlink("../../resources", resources),
    }
    .expect("a place for resources");
}

/// `host:port` of each service with its outbound listener on loopback.
fn outbound_addresses(listeners: &Listeners) -> Vec<(String, u16, SocketAddr)> {
    let address = |listener: &Value| {
        let service = listener["service"].as_str()?.to_owned();
        let port = u16::try_from(listener["port"].as_u64()?).ok()?;
        Some((service, port, listener["bind"].as_str()?.parse().ok()?))
    };
    listeners.outbound.iter().filter_map(address).collect()
}
