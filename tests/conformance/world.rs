//! The mesh that all rows share: apps behind sidecars, apps outside the mesh, a caller and a gateway.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use postern_tests::certificates::{Svid, TestAuthority, replace};
use postern_tests::{Mesh, Pod};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use serde_json::{Value, json};

use crate::certificates::Certificates;
use crate::echo::Echo;
use crate::exchange::Way;
use crate::row::{By, Row, service_name};
use crate::{greetings, grpc, tls_app};

/// The first of the addresses at which rows of sidecars have their services, in the mesh's own network.
const FIRST_VIP: u8 = 200;

/// Ports of the apps: HTTP/1.1, HTTP/2 in the clear, gRPC, bytes, and TLS of the app's own, twice.
const HTTP: u16 = 8080;
const H2C: u16 = 8081;
const GRPC: u16 = 7070;
const BYTES: u16 = 9000;
const TLS: [u16; 2] = [8443, 9443];

/// The apps in the mesh: pod and namespace. A service of the same name leads to each.
const APPS: [(&str, &str); 5] = [
    ("infra-v1", "infra"),
    ("infra-v2", "infra"),
    ("infra-v3", "infra"),
    ("app-v1", "app"),
    ("app-v2", "app"),
];

/// The pods, for as long as the rows run.
pub(crate) struct World {
    /// In the mesh, with a sidecar.
    pub(crate) caller: Pod,
    edge: Option<Pod>,
    apps: Vec<Pod>,
    /// Outside the mesh: `web` in the clear, `tls` with TLS of its own.
    outside: [Pod; 2],
    echoes: Vec<(&'static str, Echo)>,
    certificates: Certificates,
    statuses: OnceLock<Value>,
    mesh: Mesh,
}

impl World {
    /// Starts everything that these rows need, with their resources in force.
    pub(crate) fn start(rows: &[Row]) -> Self {
        let mesh = Mesh::start();
        let apps: Vec<Pod> =
            APPS.iter().map(|(name, namespace)| app(&mesh, name, namespace)).collect();
        let outside = ["web", "tls"].map(|name| mesh.pod(name).namespace("web").outside().start());
        let certificates = Certificates::new();
        let mut echoes = Vec::new();
        for (pod, (name, namespace)) in apps.iter().zip(APPS) {
            echoes.push((name, serve(pod, namespace)));
        }
        let [web, tls] = &outside;
        Echo::of(web, "web").serve(web, HTTP);
        for (name, port) in ["tls", "tls-2"].into_iter().zip(TLS) {
            let (own, authority) = (&certificates.app, &certificates.app_authority);
            tls_app::serve(&Echo::named(name, "web"), tls, port, own, authority);
        }
        let caller = mesh.pod("caller").namespace("infra").lay_out();
        let statuses = OnceLock::new();
        let mut world =
            Self { caller, edge: None, apps, outside, echoes, certificates, statuses, mesh };
        world.install(rows);
        // It begins with everything that rows ask it for.
        world.caller.start_processes();
        if rows.iter().any(|row| row.by == By::Gateway) {
            world.edge = Some(world.start_edge());
        }
        world.caller.ready();
        world.apps.iter().for_each(Pod::ready);
        world
    }

    /// The gateway.
    pub(crate) fn edge(&self) -> &Pod {
        self.edge.as_ref().expect("a gateway was started for these rows")
    }

    /// The app of a pod in the mesh.
    pub(crate) fn echo(&self, pod: &str) -> &Echo {
        &self.echoes.iter().find(|(name, _)| *name == pod).expect("a pod of this name").1
    }

    /// Where a row of sidecars has its service.
    pub(crate) fn vip(&self, place: usize) -> Ipv4Addr {
        let number = usize::from(FIRST_VIP) + place % 50;
        Ipv4Addr::new(10, 77, self.mesh.network_index(), u8::try_from(number).expect("few rows"))
    }

    /// Where apps are, by the words that resources have for them.
    pub(crate) fn addresses(&self) -> [(&'static str, String); 3] {
        let [first, ..] = &self.apps[..] else { panic!("there are apps") };
        [
            ("$v1", first.ipv4().to_string()),
            ("$v6", first.ipv6().to_string()),
            ("$web", self.outside[0].ipv4().to_string()),
        ]
    }

    /// A client over TLS with this server name, which believes the gateway's certificates and shows none.
    pub(crate) fn tls(&self, name: Option<&str>) -> Way {
        self.tls_with(name, &[], None)
    }

    /// The same, which offers these protocols, and shows the certificate of a partner: 0 or 1.
    pub(crate) fn tls_with(
        &self,
        name: Option<&str>,
        alpn: &[&str],
        partner: Option<usize>,
    ) -> Way {
        let shown = partner.map(|number| &self.certificates.partners[number]);
        let config = client(&self.certificates.edge_authority, alpn, shown);
        Way::Tls(config, name.map(str::to_owned))
    }

    /// A client over TLS that believes the app outside the mesh, and no gateway.
    pub(crate) fn tls_to_app(&self, name: &str) -> Way {
        Way::Tls(client(&self.certificates.app_authority, &[], None), Some(name.to_owned()))
    }

    /// The certificate that a gateway is to show to apps, as these tell it.
    pub(crate) fn gateway_certificate(&self) -> String {
        let chain = self.certificates.gateway_client.chain();
        chain.first().map(|leaf| tls_app::text(leaf)).expect("a leaf")
    }

    /// What `check` says of the objects that rows began with.
    pub(crate) fn statuses(&self) -> &Value {
        self.statuses.get_or_init(|| self.check())
    }

    /// What `check` says of the objects that are in force now.
    pub(crate) fn check(&self) -> Value {
        let arguments = ["check", "--config", "/run/postern/proxy.yaml", "--output", "json"];
        let checked = self.edge().postern("postern-proxy", &arguments);
        serde_json::from_str(&checked.stdout)
            .unwrap_or_else(|_| panic!("check said {}{}", checked.stdout, checked.stderr))
    }

    /// Puts the file of a row's resources in force.
    pub(crate) fn put(&self, row: &Row, text: &str) {
        self.mesh.policy(&format!("row-{}", row.object_name()), text);
    }

    fn install(&self, rows: &[Row]) {
        self.mesh.policy("certificates", &self.certificates.documents());
        self.mesh.policy("others", &self.others());
        for (place, row) in rows.iter().enumerate() {
            self.put(row, &row.file(self, place));
        }
    }

    /// What is no row's own: the class, the labels of namespaces, and the app outside the mesh.
    fn others(&self) -> String {
        let namespace = |name: &str| {
            let labels = json!({"purpose": if name == "infra" { "infra" } else { "backend" }});
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        };
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "postern"},
            "spec": {"controllerName": "postern.dev/gateway"},
        });
        let ports = json!([port(HTTP, HTTP, "http", "HTTP")]);
        let web = service("web", "web", "MESH_EXTERNAL", &ports, &[&self.outside[0]]);
        let mut all = vec![class, namespace("infra"), namespace("app"), namespace("web"), web];
        // The app with TLS of its own, as those know it who carry its connections.
        for (name, target) in ["tls-v1", "tls-v2"].into_iter().zip(TLS) {
            let ports = json!([port(443, target, "tls", "TLS")]);
            all.push(service(name, "infra", "MESH_EXTERNAL", &ports, &[&self.outside[1]]));
        }
        all.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
    }

    /// The service of a row of sidecars: both versions of the app, at an address of its own.
    pub(crate) fn service_of_both(&self, place: usize) -> Value {
        let pods: Vec<_> = self.apps.iter().take(2).collect();
        let ports = json!([port(80, HTTP, "http", "HTTP"), port(GRPC, GRPC, "grpc", "GRPC")]);
        let mut entry = service(&service_name(place), "infra", "MESH_INTERNAL", &ports, &pods);
        entry["spec"]["addresses"] = json!([self.vip(place)]);
        let ids: Vec<_> = pods.iter().map(|pod| pod.spiffe_id()).collect();
        entry["spec"]["subjectAltNames"] = json!(ids);
        entry
    }

    /// A service outside the mesh where an app expects TLS; nothing but a policy says so.
    pub(crate) fn service_of_tls(&self, name: &str) -> Value {
        let [first, _] = TLS;
        let ports = json!([port(443, first, "tls", "HTTP"), port(first, first, "other", "HTTP")]);
        service(name, "infra", "MESH_EXTERNAL", &ports, &[&self.outside[1]])
    }

    fn start_edge(&self) -> Pod {
        let pod = self.mesh.pod("edge").namespace("infra").lay_out();
        let file = |name: &str| format!("/run/postern/{name}");
        let config = json!({
            "mode": "gateway",
            "workload": {"namespace": "infra", "serviceAccount": "edge", "labels": {"app": "edge"}},
            "identity": {"files": {
                "certificate": file("svid.pem"), "key": file("key.pem"), "bundle": file("bundle.pem"),
            }},
            "resources": {"directory": file("resources")},
            "workers": 1,
        });
        replace(&pod.directory().join("proxy.yaml"), &config.to_string());
        pod.start_proxy();
        pod.ready();
        pod
    }
}

fn client(authority: &TestAuthority, alpn: &[&str], shown: Option<&Svid>) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(tls_app::roots(authority), provider.clone());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_webpki_verifier(verifier.build().expect("a verifier"));
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => builder
            .with_client_auth_cert(shown.chain(), shown.key())
            .expect("a certificate and its key"),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn port(number: u16, target: u16, name: &str, protocol: &str) -> Value {
    json!({"number": number, "targetPort": target, "name": name, "protocol": protocol})
}

fn service(name: &str, namespace: &str, location: &str, ports: &Value, pods: &[&Pod]) -> Value {
    let endpoints: Vec<_> = pods.iter().map(|pod| json!({"address": pod.ipv4()})).collect();
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hosts": [format!("{name}.{namespace}.svc.cluster.local")],
            "location": location,
            "resolution": "STATIC",
            "ports": ports,
            "endpoints": endpoints,
        },
    })
}

fn app(mesh: &Mesh, name: &str, namespace: &str) -> Pod {
    let policy = json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": format!("{name}-callers"), "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/infra/sa/*"]}}]}],
        },
    });
    mesh.policy(&format!("{name}-callers"), &policy.to_string());
    let pod = mesh.pod(name).namespace(namespace);
    let pod = pod.port(HTTP, "http").port(H2C, "http2").port(GRPC, "grpc").port(BYTES, "tcp");
    pod.start_unready()
}

fn serve(pod: &Pod, namespace: &str) -> Echo {
    let echo = Echo::of(pod, namespace);
    echo.serve(pod, HTTP);
    echo.serve(pod, H2C);
    grpc::serve(pod, GRPC);
    greetings::serve(pod, BYTES);
    echo
}
