//! Injected pods, run as a kubelet runs them: what `postern-k8s inject` wrote is all that a pod is made of.
//!
//! A pod is a network namespace of the mesh, a container a process with a mount namespace of its own, with its volumes
//! where its spec mounts them, a read-only root, the variables of its spec and no others, and the capabilities of its
//! spec. Init containers run in order, native sidecars stay and are waited for by their startup probes, the end comes
//! in Kubernetes' order with its grace. The agent proves who the pod is with the projected token; the authority asks
//! an API server, which is a stand-in (`api`).
//!
//! What differs from a cluster, and why:
//!
//! - Images are the programs of this workspace and of this machine. Targets of mounts lie below `/etc`, `/run` and
//!   `/var/run`, because the rest of the root is this machine's.
//! - Where only one user id is mapped, as for `tests/in-namespace` without root, no container can have a user of its
//!   own. There, and only in what a container is handed, `uid=64137` of the redirection becomes a firewall mark, which
//!   the proxy's configuration names too, and the uids that the agent answers to and is known by become 0. The proxy
//!   then keeps `NET_ADMIN`, which a mark needs, unless the pod is not redirected.
//! - Nothing is restarted: a sidecar that ends early ends the test.
//! - Startup probes are asked more often than each second, so that tests are quick.

mod api;
mod container;
mod one_user;
mod pod;
mod probe;
mod variables;
mod volumes;

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::binaries::binary;
use crate::certificates::replace;
use crate::mesh::Mesh;
use crate::pod::Pod;
use api::Api;
pub use pod::{Ended, InjectedPod};

/// The namespace of all pods here.
const NAMESPACE: &str = "shop";

/// An authority that believes service accounts, an API server that vouches for them, and a node.
pub struct Cluster {
    api: Api,
    node: Pod,
    mesh: Mesh,
}

impl Cluster {
    /// Starts a cluster without pods.
    #[must_use]
    pub fn start() -> Self {
        let options = ["--service-accounts", "--kubeconfig", "/run/postern/kubeconfig"];
        let mesh = Mesh::with_authority_and(&options);
        let node = mesh.pod("node").outside().lay_out();
        let address = node.at(6443);
        let api = node.run(async move { Api::start(address).await });
        let authority = mesh.directory().join("pods/authority");
        fs::create_dir_all(&authority).expect("the authority's directory");
        fs::write(authority.join("kubeconfig"), api.kubeconfig()).expect("a kubeconfig");
        let roots = mesh.directory().join("config-maps/postern-trust-bundle");
        fs::create_dir_all(&roots).expect("a ConfigMap");
        fs::copy(mesh.authority().bundle(), roots.join("bundle.pem")).expect("the roots");
        Self { api, node, mesh }
    }

    /// The mesh: its policies are the ConfigMap `postern-resources` of every pod.
    #[must_use]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// A place of the cluster's network that is outside of the mesh.
    #[must_use]
    pub fn node(&self) -> &Pod {
        &self.node
    }

    /// The same manifest, injected by `postern-k8s inject` for this cluster.
    #[must_use]
    pub fn inject(&self, manifest: &Value) -> Value {
        let authority = self.mesh.authority().address().to_string();
        let written = filtered(manifest, &["inject", "--authority", &authority]);
        serde_saphyr::from_slice(&written).expect("the injector writes YAML")
    }

    /// Upgrades the proxy of a running pod by `postern-k8s upgrade-pod`.
    pub fn upgrade(&self, pod: &mut InjectedPod) {
        let image = "localhost/postern/postern-proxy:0.1.0";
        let written = filtered(pod.object(), &["upgrade-pod", "--image", image]);
        pod.update(serde_json::from_slice(&written).expect("it writes JSON"));
    }

    /// Injects a pod and runs it until its containers are started.
    #[must_use]
    pub fn run(&self, manifest: &Value) -> InjectedPod {
        self.run_injected(self.inject(manifest))
    }

    /// Runs a pod as it is.
    #[must_use]
    pub fn run_injected(&self, mut object: Value) -> InjectedPod {
        let name = object["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
        object["metadata"]["namespace"] = json!(NAMESPACE);
        object["metadata"]["uid"] = json!(format!("uid-of-{name}"));
        let account = object["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned();
        object["spec"]["serviceAccountName"] = json!(account);
        let pod = self.mesh.pod(&name).namespace(NAMESPACE).service_account(&account);
        let pod = pod.outside().lay_out();
        let gateway = Ipv4Addr::new(10, 77, self.mesh.network_index(), 1).to_string();
        pod.command("ip", &["route", "add", "default", "via", &gateway]).ok();
        let ip = pod.ipv4().to_string();
        object["status"] = json!({"phase": "Pending", "podIP": ip, "podIPs": [{"ip": ip}]});
        self.api.put(&object);
        InjectedPod::start(pod, object)
    }

    /// Puts a Service of port 8080 into what every proxy knows, or changes its endpoints: callers dial `ip`, pods of the
    /// account `name` answer on `target`.
    pub fn service(&self, name: &str, ip: Ipv4Addr, target: u16, endpoints: &[&InjectedPod]) {
        let addresses: Vec<Value> =
            endpoints.iter().map(|pod| json!({"address": pod.pod().ipv4()})).collect();
        let entry = json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "hosts": [format!("{name}.{NAMESPACE}.svc.cluster.local")],
                "addresses": [ip],
                "location": "MESH_INTERNAL",
                "resolution": "STATIC",
                "ports": [{"number": 8080, "targetPort": target, "name": "http", "protocol": "HTTP"}],
                "endpoints": addresses,
                "subjectAltNames": [format!("spiffe://{}/ns/{NAMESPACE}/sa/{name}", self.mesh.trust_domain())],
            },
        });
        replace(&self.mesh.resource_path(&format!("service-{name}")), &entry.to_string());
    }
}

/// What `postern-k8s` makes of an object on its standard input.
fn filtered(object: &Value, arguments: &[&str]) -> Vec<u8> {
    let mut filter = Command::new(binary("postern-k8s"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("postern-k8s starts");
    let mut input = filter.stdin.take().expect("a piped input");
    input.write_all(object.to_string().as_bytes()).expect("it reads");
    drop(input);
    let output = filter.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?} of {object} fails");
    output.stdout
}

/// Where the files of a ConfigMap are: those of `postern-resources` are the mesh's policies.
fn config_map(mesh: &Mesh, name: &str) -> PathBuf {
    match name {
        "postern-resources" => mesh.directory().join("resources"),
        _ => mesh.directory().join("config-maps").join(name),
    }
}
