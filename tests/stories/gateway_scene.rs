//! A gateway before the shop's cart, and a client outside the mesh.

use postern_tests::certificates::replace;
use postern_tests::web::WebAuthority;
use postern_tests::{Answer, Mesh, Pod, PodBuilder, wait};
use serde_json::{Value, json};

use crate::scene::{allow, cart_builder};

/// Who is there.
pub(crate) struct GatewayScene {
    pub(crate) edge: Pod,
    pub(crate) client: Pod,
    pub(crate) cart: Pod,
    pub(crate) web: WebAuthority,
    pub(crate) mesh: Mesh,
}

/// Listeners of HTTP on port 80, and of HTTPS for `shop.example` on port 443; every path of `shop.example` is the cart's.
pub(crate) fn gateway() -> GatewayScene {
    gateway_with(&[])
}

/// The same with further resources, each a file of this name.
pub(crate) fn gateway_with(more: &[(&str, &Value)]) -> GatewayScene {
    gateway_on(Mesh::start(), WebAuthority::new("the web"), more, |edge| edge)
}

/// The same on a mesh that has begun, where something is different about the gateway. It finds whom the web believes in
/// `/run/postern/web-ca.pem`.
pub(crate) fn gateway_on(
    mesh: Mesh,
    web: WebAuthority,
    more: &[(&str, &Value)],
    different: impl FnOnce(PodBuilder) -> PodBuilder,
) -> GatewayScene {
    mesh.policy("cart-for-edge", &allow("cart", "edge"));
    mesh.policy("shop-cert", &web.server(&["shop.example"]).secret("shop-cert"));
    mesh.policy("gateway", &gateway_of(&[http(80), https("shop", "shop-cert")]));
    mesh.policy("cart-route", &cart_route().to_string());
    for (name, resource) in more {
        mesh.policy(name, &resource.to_string());
    }
    let forwarded = json!({"from": ["cluster.local/ns/shop/sa/edge"]});
    let cart = cart_builder(&mesh).config(json!({"inbound": {"forwardedFor": forwarded}})).start();
    let edge = edge(&mesh, "edge", &web, different);
    let client = mesh.pod("client").outside().start();
    replace(&client.directory().join("web.pem"), &web.pem());
    GatewayScene { edge, client, cart, web, mesh }
}

/// A replica of the gateway, in a pod of this name.
pub(crate) fn edge(
    mesh: &Mesh,
    name: &str,
    web: &WebAuthority,
    different: impl FnOnce(PodBuilder) -> PodBuilder,
) -> Pod {
    let quick = json!({"limits": {"resourcePoll": "1s"}});
    let edge = mesh.pod(name).service_account("edge").gateway().config(quick);
    let edge = different(edge).lay_out();
    replace(&edge.directory().join("web-ca.pem"), &web.pem());
    edge.start_processes();
    edge.ready();
    edge
}

/// The Gateway `edge` with these listeners.
pub(crate) fn gateway_of(listeners: &[Value]) -> String {
    let spec = json!({"gatewayClassName": "postern", "listeners": listeners});
    object("Gateway", "edge", &spec).to_string()
}

/// A listener of HTTP for every host, by the name of its port.
pub(crate) fn http(port: u16) -> Value {
    json!({"name": format!("http-{port}"), "port": port, "protocol": "HTTP"})
}

/// A listener of HTTPS on port 443 for `NAME.example`, which shows a Secret's certificate.
pub(crate) fn https(name: &str, secret: &str) -> Value {
    json!({
        "name": name, "port": 443, "protocol": "HTTPS", "hostname": format!("{name}.example"),
        "tls": {"certificateRefs": [{"name": secret}]},
    })
}

/// Every path of `shop.example`, at every listener, is the cart's.
pub(crate) fn cart_route() -> Value {
    let rules = json!([{"backendRefs": [{"name": "cart", "port": 8080}]}]);
    let hosts = json!(["shop.example"]);
    let spec = json!({"parentRefs": [{"name": "edge"}], "hostnames": hosts, "rules": rules});
    object("HTTPRoute", "cart", &spec)
}

/// An object of the Gateway API in the shop's namespace.
pub(crate) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    of_group("gateway.networking.k8s.io/v1", kind, name, spec)
}

/// An object of ours.
pub(crate) fn policy(kind: &str, name: &str, spec: &Value) -> Value {
    of_group("policy.postern.dev/v1alpha1", kind, name, spec)
}

pub(crate) fn of_group(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

/// What a policy of ours is about: the gateway, or one listener of it.
pub(crate) fn target(section: Option<&str>) -> Value {
    let mut target =
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"});
    if let Some(section) = section {
        target["sectionName"] = json!(section);
    }
    json!([target])
}

impl GatewayScene {
    /// Asks for a URL with curl: its name leads to the gateway, whose certificate is verified.
    pub(crate) fn get(&self, url: &str, more: &[&str]) -> Answer {
        self.get_as(&self.client, url, more)
    }

    pub(crate) fn get_as(&self, client: &Pod, url: &str, more: &[&str]) -> Answer {
        Self::get_at(&self.edge, client, url, more)
    }

    /// The same at this replica.
    pub(crate) fn get_at(edge: &Pod, client: &Pod, url: &str, more: &[&str]) -> Answer {
        let (scheme, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let usual = if scheme == "https" { "443" } else { "80" };
        let (host, port) = authority.split_once(':').unwrap_or((authority, usual));
        let to = format!("{host}:{port}:{}", edge.ipv4());
        let believing = ["--resolve", &to, "--cacert", "/run/postern/web.pem"];
        client.curl_with(&[&believing, more, &[url]].concat())
    }

    /// Does something to the resources, and waits until the gateway has taken them.
    pub(crate) fn change(&self, what: &str, act: impl FnOnce(&Mesh)) {
        let taken = || {
            let labels = [("result", "success")];
            self.edge.metrics().sum("postern_config_updates_total", &labels)
        };
        let before = taken();
        act(&self.mesh);
        wait::until_true(what, || taken() > before);
    }
}
