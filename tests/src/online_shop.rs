//! The whole shop of `examples/shop/online`, as it lies there: people sign in at a provider, through a gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::by_hand::ByHand;
use crate::certificates::replace;
use crate::curl::Answer;
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::provider::{Provider, ProviderClient};
use crate::shop::Shop;
use crate::wait;
use crate::web::WebAuthority;

const URL: &str = "https://shop.example";
const SECRET: &str = "a secret of the demo";

/// The shop, its edge, and who comes to it.
pub struct OnlineShop {
    /// The services.
    pub shop: Shop,
    /// The gateway's pod.
    pub edge: Pod,
    /// Where people sign in.
    pub provider: Provider,
    /// A pod outside the mesh: customers, each with cookies of their own.
    pub customers: Pod,
    /// Another one, with an address of its own: who is up to something.
    pub stranger: Pod,
    /// Who vouches for the names of the web.
    pub web: WebAuthority,
    mesh: Mesh,
}

impl OnlineShop {
    /// Starts the shop with all that lies in `online`, and waits until it serves. In namespaces only.
    #[must_use]
    pub fn start() -> Self {
        let mesh = Mesh::with_authority_and(&["--registry", "/run/postern/registry.yaml"]);
        let web = WebAuthority::new("the web");
        let client = ProviderClient::with_secret("shop", "shop.example", SECRET);
        let client = client.and(&json!({"post_logout_redirect_uris": [format!("{URL}/")]}));
        let provider = Provider::start(&mesh, "id.example", &web, &[client], 300);
        mesh.policy("shop-cert", &web.server(&["shop.example"]).secret("shop-cert"));
        mesh.policy("shop-oidc", &secret("shop-oidc", "client-secret", SECRET.as_bytes()));
        mesh.policy("shop-session", &secret("shop-session", "current", &[7; 32]));
        for name in ["gateway", "sign-in", "limits", "abuse", "threats", "inside"] {
            mesh.policy(&format!("online-{name}"), &shipped(&mesh, name));
        }
        let shop = Shop::start_with(&mesh, &["services", "frontend"]);
        let edge = mesh.pod("edge").number(7).gateway();
        let edge = edge.config_file(example::file("shop/proxy/edge-online")).lay_out();
        replace(&edge.directory().join("web-ca.pem"), &web.pem());
        edge.start_processes();
        mesh.know_host("shop.example", edge.ipv4());
        mesh.authority().let_vouch(&[&edge.spiffe_id()]);
        let outside = |name: &str, number| {
            let client = mesh.pod(name).number(number).outside().start();
            replace(&client.directory().join("web.pem"), &web.pem());
            client
        };
        let (customers, stranger) = (outside("customers", 21), outside("stranger", 22));
        let started = Self { shop, edge, provider, customers, stranger, web, mesh };
        started.edge.ready();
        wait::until_true("the shop to be served", || started.get("/", &[]).status == 200);
        started
    }

    /// What whoever is up to something gets for a path: a program, without any cookie.
    #[must_use]
    pub fn get(&self, path: &str, more: &[&str]) -> Answer {
        example::ask_edge(&self.edge, &self.stranger, &format!("{URL}{path}"), more)
    }

    /// A customer who has signed in. The first answer may have to wait until the authority lets the gateway vouch.
    #[must_use]
    pub fn customer(&self, name: &str) -> Customer<'_> {
        let customer = Customer(ByHand::new(&self.customers, name));
        let _ = customer.0.sign_in(&format!("{URL}/basket"), name);
        wait::until_true("the gateway to vouch for customers", || {
            customer.get("/basket", &[]).status == 200
        });
        customer
    }

    /// Replaces one word in a resource of `online` while it is in force.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = shipped(&self.mesh, name);
        assert!(text.contains(from), "no {from} in {name}.yaml");
        self.mesh.policy(&format!("online-{name}"), &text.replace(from, to));
    }
}

/// Somebody with a session at the shop.
pub struct Customer<'a>(ByHand<'a>);

impl Customer<'_> {
    /// Goes to a path of the shop with the session's cookies, and follows nothing.
    #[must_use]
    pub fn get(&self, path: &str, more: &[&str]) -> Answer {
        self.0.go(&format!("{URL}{path}"), more)
    }

    /// The cookies of the session, as somebody who has stolen them would send them.
    #[must_use]
    pub fn cookies(&self) -> String {
        self.0.cookies("shop.example")
    }
}

fn shipped(mesh: &Mesh, name: &str) -> String {
    example::shipped(mesh, &format!("shop/online/{name}"))
}

fn secret(name: &str, key: &str, value: &[u8]) -> String {
    let data: Value = json!({ key: STANDARD.encode(value) });
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": "shop"}, "data": data,
    })
    .to_string()
}
