//! The social network of `examples/social`, with its own policies and proxy configurations as they lie there, behind a
//! gateway.

use example_issuer::tokens::Tokens;
use serde_json::{Value, json};
use social::login::{AUDIENCE, LIFETIME};

use crate::app::App;
use crate::certificates::replace;
use crate::curl::Answer;
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::pod_builder::PodBuilder;
use crate::wait;
use crate::web::WebAuthority;

const NAMESPACE: &str = "social";
/// Who issues the tokens, as the policies name it.
const ISSUER: &str = "http://login.social";

/// The social network's pods, and who comes to it.
pub struct Social {
    /// The login service's pod.
    pub login: Pod,
    /// The profiles' pod.
    pub profiles: Pod,
    /// The posts' pod.
    pub posts: Pod,
    /// The feed's pod.
    pub feed: Pod,
    /// The gateway's pod.
    pub edge: Pod,
    /// A pod outside the mesh: people.
    pub browser: Pod,
    /// Another one: who wants to be somebody else.
    pub stranger: Pod,
}

impl Social {
    /// Starts the network in `mesh`, and waits until it serves. In namespaces only.
    #[must_use]
    pub fn start(mesh: &Mesh) -> Self {
        let web = WebAuthority::new("the web");
        let certificate = web.server(&["social.example"]).secret_in(NAMESPACE, "social-cert");
        mesh.policy("social-cert", &certificate);
        for name in ["services", "login", "profiles", "posts", "feed"] {
            mesh.policy(name, &example::shipped(mesh, &format!("social/policies/{name}")));
        }
        // First, because it makes the keys that the others verify tokens with.
        let login = App::new("social-login").arg("--state=/run/postern/login");
        let login = login.arg("--keys=/run/postern/resources/login-keys.json");
        let login = login.arg("--revocations=/run/postern/resources/logged-out.yaml");
        let login = service(mesh, "login", 3).app(login).start();
        let start = |name: &str, number| {
            service(mesh, name, number).app(App::new(&format!("social-{name}"))).start()
        };
        let (profiles, posts) = (start("profiles", 4), start("posts", 5));
        let feed = start("feed", 6);
        mesh.policy("gateway", &example::shipped(mesh, "social/gateway/gateway"));
        let edge = pod(mesh, "edge", 2).gateway().start();
        let outside = |name: &str, number| {
            let client = mesh.pod(name).number(number).outside().start();
            replace(&client.directory().join("web.pem"), &web.pem());
            client
        };
        let (browser, stranger) = (outside("browser", 7), outside("stranger", 8));
        let started = Self { login, profiles, posts, feed, edge, browser, stranger };
        wait::until_true("the social network to be served", || {
            started.ask(&started.browser, "/jwks.json", &[]).status == 200
        });
        started
    }

    /// Asks the gateway for a path.
    #[must_use]
    pub fn ask(&self, client: &Pod, path: &str, more: &[&str]) -> Answer {
        example::ask_edge(&self.edge, client, &format!("https://social.example{path}"), more)
    }

    /// The same as whoever this token is of.
    #[must_use]
    pub fn ask_as(&self, token: &str, path: &str, more: &[&str]) -> Answer {
        let token = format!("authorization: Bearer {token}");
        self.ask(&self.browser, path, &[&["-H", &token], more].concat())
    }

    /// Sends a name and a password.
    #[must_use]
    pub fn send(&self, client: &Pod, path: &str, name: &str, password: &str) -> Answer {
        let credentials = json!({"name": name, "password": password}).to_string();
        self.ask(client, path, &["--json", &credentials])
    }

    /// A token for somebody who has an account. Panics when there is none.
    #[track_caller]
    #[must_use]
    pub fn token(&self, name: &str, password: &str) -> String {
        let answer = self.send(&self.browser, "/login", name, password).expect(200);
        let answer: Value = serde_json::from_str(&answer.body).expect("the answer is JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// A token as the login service would have made it at this moment (Unix seconds): with its own key.
    #[must_use]
    pub fn token_of(&self, name: &str, issued: i64) -> String {
        self.signed_by("login/key.p8", name, issued)
    }

    /// One that somebody else has made, with a key that nobody knows.
    #[must_use]
    pub fn strangers_token(&self, name: &str, issued: i64) -> String {
        self.signed_by("strangers-key.p8", name, issued)
    }

    fn signed_by(&self, key: &str, name: &str, issued: i64) -> String {
        let key = self.login.directory().join(key);
        let tokens = Tokens::open(ISSUER, AUDIENCE, &key).expect("a key");
        tokens.issue(name, &[], issued, LIFETIME).expect("a token")
    }
}

fn service(mesh: &Mesh, name: &str, number: u8) -> PodBuilder {
    pod(mesh, name, number).port(8080, "http").known_by_files()
}

fn pod(mesh: &Mesh, name: &str, number: u8) -> PodBuilder {
    let config = example::file(&format!("social/proxy/{name}"));
    mesh.pod(name).namespace(NAMESPACE).number(number).config_file(config)
}
