//! A gateway before the shop's cart, where people sign in at a provider: with a browser, or by hand, with curl.
//!
//! `/headers` and `/cart/…` need somebody who is signed in; the rest of the shop is open, and has no pages (404).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postern_tests::web::WebAuthority;
use postern_tests::{Answer, Browser, ByHand, Mesh, Pod, PodBuilder, Provider, ProviderClient};
use serde_json::{Value, json};

use crate::gateway_scene::{GatewayScene, gateway_on, policy, target};

pub(crate) const SHOP: &str = "https://shop.example";
pub(crate) const PROVIDER: &str = "https://id.example";
/// A page that shows what the app was sent.
pub(crate) const HEADERS: &str = "https://shop.example/headers";
/// Where the shop's people are after a logout.
pub(crate) const BYE: &str = "https://shop.example/bye";
/// The page on which one signs in.
pub(crate) const SIGN_IN_PAGE: &str = "https://id.example/interaction";
/// The cookie of a session.
pub(crate) const SESSION: &str = "__Host-postern-s";
const SECRET: &str = "a secret of the tests";

/// Who is there.
pub(crate) struct SignInScene {
    pub(crate) provider: Provider,
    pub(crate) gateway: GatewayScene,
}

/// What a scene is about.
pub(crate) struct Wanted {
    /// Laid over the SignIn.
    pub(crate) spec: Value,
    /// Laid over the gateway's proxy.yaml.
    pub(crate) config: Value,
    pub(crate) access_token_seconds: u32,
    /// Whether the gateway has a clock of its own.
    pub(crate) own_clock: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { spec: json!({}), config: json!({}), access_token_seconds: 300, own_clock: false }
    }
}

/// The usual one.
pub(crate) fn sign_in() -> SignInScene {
    sign_in_with(&Wanted::default(), &[])
}

/// One that is about something, with further resources.
pub(crate) fn sign_in_with(wanted: &Wanted, more: &[(&str, &Value)]) -> SignInScene {
    sign_in_on(Mesh::start(), WebAuthority::new("the web"), wanted, more)
}

/// The same on a mesh that has begun.
pub(crate) fn sign_in_on(
    mesh: Mesh,
    web: WebAuthority,
    wanted: &Wanted,
    more: &[(&str, &Value)],
) -> SignInScene {
    let client = ProviderClient::with_secret("shop", "shop.example", SECRET);
    let seconds = wanted.access_token_seconds;
    let provider = Provider::start(&mesh, "id.example", &web, &[client], seconds);
    let mut spec = sign_in_spec();
    postern_tests::overlay(&mut spec, &wanted.spec);
    let sign_in = policy("SignIn", "staff", &spec);
    let secrets =
        [client_secret("shop-oidc", SECRET), session_keys("shop-session", &[("current", 1)])];
    let mut all =
        vec![("sign-in", &sign_in), ("shop-oidc", &secrets[0]), ("shop-session", &secrets[1])];
    all.extend(more);
    let gateway = gateway_on(mesh, web, &all, |edge| wanted.edge(edge));
    gateway.mesh.know_host("shop.example", gateway.edge.ipv4());
    SignInScene { provider, gateway }
}

impl Wanted {
    /// What is different about each replica of the gateway.
    pub(crate) fn edge(&self, edge: PodBuilder) -> PodBuilder {
        let web = json!({"tokens": {"certificateAuthorities": "/run/postern/web-ca.pem"}});
        let edge = edge.config(web).config(self.config.clone());
        if self.own_clock { edge.own_clock() } else { edge }
    }
}

/// Of the client `shop` at the provider.
pub(crate) fn sign_in_spec() -> Value {
    json!({
        "targetRefs": target(Some("shop")),
        "paths": ["/headers", "/cart/*"],
        "issuer": PROVIDER, "clientId": "shop", "clientSecretRef": {"name": "shop-oidc"},
        "scopes": ["openid", "email", "groups"],
        "backChannelLogoutPath": "/.postern/back-channel-logout",
        "postLogoutRedirectUris": [BYE],
        "session": {"keysSecretRef": {"name": "shop-session"}},
        "forward": {"internalJwt": false},
        "claimHeaders": [
            {"header": "x-user", "claim": "sub"}, {"header": "x-email", "claim": "email"},
        ],
    })
}

/// The `Secret` with which a client proves itself.
pub(crate) fn client_secret(name: &str, secret: &str) -> Value {
    secret_of(name, &json!({"client-secret": STANDARD.encode(secret)}))
}

/// The `Secret` of the keys that cookies are sealed with, each made of one byte.
pub(crate) fn session_keys(name: &str, keys: &[(&str, u8)]) -> Value {
    let data: serde_json::Map<_, _> = keys
        .iter()
        .map(|(name, byte)| ((*name).to_owned(), json!(STANDARD.encode([*byte; 32]))))
        .collect();
    secret_of(name, &json!(data))
}

pub(crate) fn secret_of(name: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": "shop"}, "data": data,
    })
}

impl SignInScene {
    pub(crate) fn browser(&self) -> Browser {
        Browser::start(&self.gateway.client, &self.gateway.web)
    }

    pub(crate) fn edge(&self) -> &Pod {
        &self.gateway.edge
    }

    pub(crate) fn by_hand(&self, name: &str) -> ByHand<'_> {
        ByHand::new(&self.gateway.client, name)
    }

    /// How often the gateway has counted this.
    pub(crate) fn counted(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.edge().metrics().sum(metric, labels)
    }

    /// What a program gets for a URL with these cookies.
    pub(crate) fn ask(&self, url: &str, cookies: &str, more: &[&str]) -> Answer {
        self.ask_at(&self.gateway.edge, url, cookies, more)
    }

    /// The same at this replica.
    pub(crate) fn ask_at(&self, edge: &Pod, url: &str, cookies: &str, more: &[&str]) -> Answer {
        let cookies = format!("cookie: {cookies}");
        let fields = [&["-H", &*cookies], more].concat();
        GatewayScene::get_at(edge, &self.gateway.client, url, &fields)
    }
}
