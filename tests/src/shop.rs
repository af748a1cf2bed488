//! The shop of `examples/shop`, with its own policies and proxy configurations as they lie there.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::app::App;
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;

/// The shop's pods.
pub struct Shop {
    /// The web page's pod: may read and fill carts, and charge.
    pub frontend: Pod,
    /// The cart's pod.
    pub cart: Pod,
    /// The payment service's pod.
    pub payments: Pod,
    /// A pod of the mesh that nobody allowed anything.
    pub reports: Pod,
}

impl Shop {
    /// Starts the shop in `mesh`. In namespaces everything is taken from `examples/shop` as it is, but for the
    /// addresses' network number; on loopback the harness writes services and configurations itself.
    #[must_use]
    pub fn start(mesh: &Mesh) -> Self {
        install_policies(mesh);
        Self::start_pods(mesh, None)
    }

    /// Starts the shop without any policy and in audit mode: every call is let in and written down. In namespaces only.
    #[must_use]
    pub fn start_in_audit_mode(mesh: &Mesh) -> Self {
        install(mesh, "services");
        for name in ["cart", "payments", "frontend", "reports"] {
            let text = fs::read_to_string(shipped_config(name))
                .expect("the shop's configurations are there");
            fs::write(audit_config(mesh, name), text + "defaults: {authorization: audit}\n")
                .expect("a configuration can be written");
        }
        Self::start_pods(mesh, None)
    }

    /// Starts the shop's pods; the front end tells the broker at this address of orders. In namespaces only.
    #[must_use]
    pub(crate) fn start_telling(mesh: &Mesh, broker: &str) -> Self {
        Self::start_pods(mesh, Some(broker))
    }

    /// Starts the shop with these of its policies alone. In namespaces only.
    #[must_use]
    pub fn start_with(mesh: &Mesh, policies: &[&str]) -> Self {
        for name in policies {
            install(mesh, name);
        }
        Self::start_pods(mesh, None)
    }

    fn start_pods(mesh: &Mesh, broker: Option<&str>) -> Self {
        let payments = pod(mesh, "payments", 4, &[(50051, "grpc")], App::new("shop-payments"));
        let cart = pod(
            mesh,
            "cart",
            3,
            &[(8080, "http"), (9000, "tcp"), (9100, "tcp")],
            App::new("shop-cart"),
        );
        let frontend = frontend(mesh, &cart, &payments, broker);
        let reports = builder(mesh, "reports", 5).start();
        Self { frontend, cart, payments, reports }
    }
}

/// A policy that lets one service account of the shop call everything of one app.
#[must_use]
pub fn allow(app: &str, service_account: &str) -> String {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": format!("{app}-allow-{service_account}"), "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "rules": [{"from": [{"source": {"principals": [format!("cluster.local/ns/shop/sa/{service_account}")]}}]}],
        },
    })
    .to_string()
}

/// Copies the shop's resource files into the mesh. On loopback its services are announced by the harness instead.
pub fn install_policies(mesh: &Mesh) {
    for name in ["cart", "payments", "frontend"] {
        install(mesh, name);
    }
    if mesh.has_namespaces() {
        install(mesh, "services");
    }
}

/// Copies one resource file of the shop into the mesh, with the mesh's own network number in its addresses.
pub fn install(mesh: &Mesh, name: &str) {
    mesh.policy(name, &example::shipped(mesh, &format!("shop/policies/{name}")));
}

fn pod(mesh: &Mesh, name: &str, number: u8, ports: &[(u16, &str)], app: App) -> Pod {
    let builder = ports
        .iter()
        .fold(builder(mesh, name, number), |pod, (port, protocol)| pod.port(*port, protocol));
    builder.app(app).start()
}

fn builder(mesh: &Mesh, name: &str, number: u8) -> crate::PodBuilder {
    let pod = mesh.pod(name).number(number);
    if !mesh.has_namespaces() {
        return pod;
    }
    let changed = audit_config(mesh, name);
    let file = if changed.exists() { changed } else { shipped_config(name) };
    pod.known_by_files().config_file(file)
}

fn shipped_config(name: &str) -> PathBuf {
    example::file(&format!("shop/proxy/{name}"))
}

fn audit_config(mesh: &Mesh, name: &str) -> PathBuf {
    mesh.directory().join(format!("audit-{name}.yaml"))
}

/// The front end calls the others by name; on loopback it has to be told its proxy's listeners for them.
fn frontend(mesh: &Mesh, cart: &Pod, payments: &Pod, broker: Option<&str>) -> Pod {
    let builder = builder(mesh, "frontend", 2).port(8000, "http");
    if mesh.has_namespaces() {
        let app = App::new("shop-frontend");
        let Some(broker) = broker else { return builder.app(app).start() };
        let pod = builder.app(app.arg(format!("--events={broker}"))).lay_out();
        pod.start_sidecar_first();
        return pod;
    }
    let pod = builder.lay_out();
    let app = App::new("shop-frontend")
        .arg("--cart")
        .arg(format!("http://{}", pod.route_to(cart, 8080)))
        .arg("--payments")
        .arg(format!("http://{}", pod.route_to(payments, 50051)));
    let pod = pod.with_app(app);
    pod.start_processes();
    pod.ready();
    pod
}
