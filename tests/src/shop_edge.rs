//! The edge of the shop, with the resources of `examples/shop/gateway` as they lie there: a gateway, and clients outside
//! the mesh that believe its certificates.

use crate::app::App;
use crate::certificates::replace;
use crate::curl::Answer;
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::wait;
use crate::web::{WebAuthority, WebCertificate};

/// Hosts of the shop's listeners, and the Secrets that they name.
const CERTIFICATES: [(&str, &str); 3] = [
    ("shop.example", "shop-cert"),
    ("api.shop.example", "api-cert"),
    ("partners.example", "partners-cert"),
];

/// The hash of the example, of which nobody has the key.
const NOBODYS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The gateway before the shop, and who comes to it.
pub struct ShopEdge {
    /// The gateway's pod.
    pub edge: Pod,
    /// A pod outside the mesh.
    pub browser: Pod,
    /// Another one, which has the certificate of a partner in `partner.pem` and `partner-key.pem`, and in `unknown.pem`
    /// and `unknown-key.pem` one of the same authority that means nobody.
    pub partner: Pod,
    /// The next version of the cart.
    pub cart_next: Pod,
    /// Who vouches for the gateway's certificates.
    pub web: WebAuthority,
    /// The key of the program that may ask for carts.
    pub api_key: String,
    mesh: Mesh,
}

impl ShopEdge {
    /// Starts the edge of a shop that runs in `mesh`, and waits until it serves.
    #[must_use]
    pub fn start(mesh: &Mesh) -> Self {
        let web = WebAuthority::new("the web");
        for (host, name) in CERTIFICATES {
            mesh.policy(name, &web.server(&[host]).secret(name));
        }
        let partners = WebAuthority::new("Acme");
        mesh.policy("partner-authorities", &partners.config_map("partner-authorities"));
        let config = |name: &str| example::file(&format!("shop/proxy/{name}"));
        let cart_next = mesh.pod("cart-next").number(8).port(8080, "http").known_by_files();
        let cart_next = cart_next.config_file(config("cart-next")).app(App::new("shop-cart"));
        let edge = mesh.pod("edge").number(7).gateway().config_file(config("edge"));
        let (edge, api_key) = (edge.lay_out(), new_key(mesh));
        for name in ["gateway", "routes", "shift", "clients", "mesh"] {
            let text = example::shipped(mesh, &format!("shop/gateway/{name}"));
            let (_, hash) = &api_key;
            mesh.policy(&format!("edge-{name}"), &text.replace(NOBODYS, hash));
        }
        edge.start_processes();
        let browser = mesh.pod("browser").number(9).outside().start();
        let partner = mesh.pod("partner").number(11).outside().start();
        let (api_key, _) = api_key;
        let cart_next = cart_next.start();
        let started = Self { edge, browser, partner, cart_next, web, api_key, mesh: mesh.clone() };
        started.equip(&partners);
        started.edge.ready();
        wait::until_true("the shop to be served", || {
            started.get(&started.browser, "https://shop.example/", &[]).status == 200
        });
        started
    }

    /// What each client has on its disk.
    fn equip(&self, partners: &WebAuthority) {
        for client in [&self.browser, &self.partner] {
            replace(&client.directory().join("web.pem"), &self.web.pem());
        }
        let names = [("partner", "orders.acme.example"), ("unknown", "ads.acme.example")];
        for (file, name) in names {
            let WebCertificate { pem, key_pem } = partners.client(name);
            replace(&self.partner.directory().join(format!("{file}.pem")), &pem);
            replace(&self.partner.directory().join(format!("{file}-key.pem")), &key_pem);
        }
    }

    /// Asks the gateway for a URL with curl: its name leads there, and its certificate is verified.
    #[must_use]
    pub fn get(&self, client: &Pod, url: &str, more: &[&str]) -> Answer {
        example::ask_edge(&self.edge, client, url, more)
    }

    /// Puts another certificate for `shop.example` in force.
    pub fn rotate(&self) {
        self.mesh.policy("shop-cert", &self.web.server(&["shop.example"]).secret("shop-cert"));
    }

    /// The share of calls below `/cart/next` that the next version of the cart gets, in percent.
    pub fn shift(&self, percent: u32) {
        let text = example::shipped(&self.mesh, "shop/gateway/shift");
        let text = text.replace("weight: 90", &format!("weight: {}", 100 - percent));
        let text = text.replace("weight: 10}", &format!("weight: {percent}}}"));
        self.mesh.policy("edge-shift", &text);
    }
}

/// A new API key, and its hash.
fn new_key(mesh: &Mesh) -> (String, String) {
    let maker = mesh.pod("api-keys").number(12).outside().start();
    let arguments = ["api-key", "new", "--client", "warehouse", "--scopes", "carts"];
    let made = maker.postern("postern-proxy", &arguments).ok();
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON on a pipe");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    (text(&made["key"]), text(&made["entry"]["hash"]))
}
