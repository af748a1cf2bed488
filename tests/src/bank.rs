//! The bank of `examples/bank`, with its own policies and proxy configurations as they lie there, behind a gateway.

use std::fs;

use bank::login::{AUDIENCE, lifetime};
use bank::people::Role;
use example_issuer::passwords::Passwords;
use example_issuer::tokens::Tokens;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::app::App;
use crate::broker::{Broker, BrokerKind};
use crate::certificates::replace;
use crate::curl::Answer;
use crate::example;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::pod_builder::PodBuilder;
use crate::wait;
use crate::web::WebAuthority;

const NAMESPACE: &str = "bank";
/// Who issues the tokens, as the policies name it.
const ISSUER: &str = "http://login.bank";
/// Everybody's password here.
const PASSWORD: &str = "correct horse battery";
/// Who may log in.
const PEOPLE: [(&str, Role); 6] = [
    ("ann", Role::Customer),
    ("bob", Role::Customer),
    ("tess", Role::Teller),
    ("paula", Role::Approver),
    ("pete", Role::Approver),
    ("otto", Role::Auditor),
];
/// The policies that say who may be called by whom: what `policy suggest` makes of an ordinary day.
const SUGGESTED: [&str; 6] = ["login", "accounts", "transfers", "payments", "audit", "web"];

/// The bank's pods, and who comes to it.
pub struct Bank {
    /// The login service's pod.
    pub login: Pod,
    /// The accounts' pod.
    pub accounts: Pod,
    /// The transfers' pod.
    pub transfers: Pod,
    /// The payments' pod.
    pub payments: Pod,
    /// The record's pod.
    pub audit: Pod,
    /// The web page's pod.
    pub web: Pod,
    /// The gateway's pod.
    pub edge: Pod,
    /// A pod outside the mesh: people.
    pub browser: Pod,
    /// Another one: who has no business here.
    pub stranger: Pod,
}

impl Bank {
    /// Starts the bank in `mesh`, and waits until it serves. In namespaces only.
    #[must_use]
    pub fn start(mesh: &Mesh) -> Self {
        install_rules(mesh);
        Self::start_pods(mesh, "", false)
    }

    /// The same with its events: a broker that payments tell and the record listens to, with these policies about topics.
    #[must_use]
    pub fn start_with_events(mesh: &Mesh, topics: &str) -> (Self, Broker) {
        for name in ["services", "connect"] {
            let text = example::shipped(mesh, &format!("bank/events/{name}"));
            mesh.policy(&format!("events-{name}"), &text);
        }
        mesh.policy("topics", topics);
        install_rules(mesh);
        let kind = BrokerKind::Mosquitto;
        let broker = pod(mesh, "broker", 12, "").known_by_files();
        let broker = Broker::start(kind, kind.protocol(), broker);
        (Self::start_pods(mesh, "", true), broker)
    }

    /// Starts it without any policy of who may call whom, in audit mode: every call is let in and written down.
    #[must_use]
    pub fn start_in_audit_mode(mesh: &Mesh) -> Self {
        Self::start_pods(mesh, "defaults: {authorization: audit}\n", false)
    }

    fn start_pods(mesh: &Mesh, more: &str, events: bool) -> Self {
        let web_authority = WebAuthority::new("the web");
        let certificate = web_authority.server(&["bank.example"]).secret_in(NAMESPACE, "bank-cert");
        mesh.policy("bank-cert", &certificate);
        for name in ["services", "namespace", "users"] {
            install(mesh, name);
        }
        // First, because it makes the keys that the others verify tokens with.
        let login = App::new("bank-login").arg("--people=/run/postern/people.json");
        let login = login.arg("--key=/run/postern/key.p8");
        let login = login.arg("--keys=/run/postern/resources/login-keys.json");
        let login = service(mesh, "login", 3, more).app(login).lay_out();
        describe(&login);
        replace(&login.directory().join("people.json"), &people());
        login.start_processes();
        login.ready();
        let start = |name: &str, number, database: bool| {
            let app = App::new(&format!("bank-{name}"));
            let file = format!("--database=/run/postern/{name}.db");
            let app = if database { app.arg(file) } else { app };
            let tells = events && ["audit", "payments"].contains(&name);
            let app = if tells { app.arg("--events=broker:1883") } else { app };
            let pod = service(mesh, name, number, more).app(app).lay_out();
            describe(&pod);
            pod.start_processes();
            pod.ready();
            pod
        };
        let audit = start("audit", 7, true);
        let (accounts, payments) = (start("accounts", 4, true), start("payments", 6, false));
        let (transfers, web) = (start("transfers", 5, true), start("web", 8, false));
        mesh.policy("gateway", &example::shipped(mesh, "bank/gateway/gateway"));
        let edge = pod(mesh, "edge", 2, "").gateway().start();
        let outside = |name: &str, number| {
            let client = mesh.pod(name).number(number).outside().start();
            replace(&client.directory().join("web.pem"), &web_authority.pem());
            client
        };
        let (browser, stranger) = (outside("browser", 9), outside("stranger", 11));
        let started =
            Self { login, accounts, transfers, payments, audit, web, edge, browser, stranger };
        wait::until_true("the bank to be served", || {
            started.ask(&started.browser, "/jwks.json", &[]).status == 200
        });
        started
    }

    /// The workloads that have policies of their own.
    #[must_use]
    pub fn workloads(&self) -> [&Pod; 6] {
        [&self.login, &self.accounts, &self.transfers, &self.payments, &self.audit, &self.web]
    }

    /// Asks the gateway for a path. By HTTP/1.1, because curl has no answer to show when an HTTP/2 stream ends before it
    /// has sent all of a body that nobody wants.
    #[must_use]
    pub fn ask(&self, client: &Pod, path: &str, more: &[&str]) -> Answer {
        let url = format!("https://bank.example{path}");
        example::ask_edge(&self.edge, client, &url, &[&["--http1.1"], more].concat())
    }

    /// The same as whoever this token is of.
    #[must_use]
    pub fn ask_as(&self, token: &str, path: &str, more: &[&str]) -> Answer {
        let token = format!("authorization: Bearer {token}");
        self.ask(&self.browser, path, &[&["-H", &token], more].concat())
    }

    /// Has somebody make a transfer; `key` makes it the same one again.
    #[must_use]
    pub fn transfer(&self, token: &str, key: &str, order: &Value) -> Answer {
        let key = format!("idempotency-key: {key}");
        self.ask_as(token, "/transfers", &["-H", &key, "--json", &order.to_string()])
    }

    /// Logs somebody in, with this password or the right one.
    #[must_use]
    pub fn log_in(&self, name: &str, password: Option<&str>) -> Answer {
        let password = password.unwrap_or(PASSWORD);
        let credentials = json!({"name": name, "password": password}).to_string();
        self.ask(&self.browser, "/login", &["--json", &credentials])
    }

    /// A token as the login service would make it at this moment: with its own key, without asking for the password.
    #[must_use]
    pub fn token(&self, name: &str, role: Role) -> String {
        self.signed_by("key.p8", name, role, OffsetDateTime::now_utc().unix_timestamp())
    }

    /// One that it made an hour ago.
    #[must_use]
    pub fn old_token(&self, name: &str, role: Role) -> String {
        self.signed_by("key.p8", name, role, OffsetDateTime::now_utc().unix_timestamp() - 3600)
    }

    /// One that somebody else has made, with a key that nobody knows.
    #[must_use]
    pub fn strangers_token(&self, name: &str, role: Role) -> String {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        self.signed_by("strangers-key.p8", name, role, now)
    }

    fn signed_by(&self, key: &str, name: &str, role: Role, issued: i64) -> String {
        let key = self.login.directory().join(key);
        let tokens = Tokens::open(ISSUER, AUDIENCE, &key).expect("a key");
        let claims = [("role", role.name())];
        tokens.issue(name, &claims, issued, lifetime(role)).expect("a token")
    }
}

/// What lets the bank's services be called, and by whom.
fn install_rules(mesh: &Mesh) {
    install(mesh, "roles");
    mesh.policy("schemas", &example::shipped(mesh, "bank/schemas"));
    for name in SUGGESTED {
        install(mesh, &format!("{name}-allow"));
    }
}

/// Puts a resource file of the bank in force.
fn install(mesh: &Mesh, name: &str) {
    mesh.policy(name, &example::shipped(mesh, &format!("bank/policies/{name}")));
}

/// Lays what a service takes and answers beside its proxy.
fn describe(pod: &Pod) {
    let shipped = example::file(&format!("bank/openapi/{}", pod.name()));
    let text = fs::read_to_string(shipped).expect("the bank's descriptions are there");
    replace(&pod.directory().join("openapi.yaml"), &text);
}

/// Who may log in, as the login service reads it.
fn people() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let passwords = Passwords::new().expect("argon2 is there");
    let hash = runtime.block_on(passwords.hash(PASSWORD.to_owned())).expect("a hash");
    let person = |(name, role): &(&str, Role)| {
        (name.to_string(), json!({"role": role.name(), "password": hash}))
    };
    Value::Object(PEOPLE.iter().map(person).collect()).to_string()
}

fn service(mesh: &Mesh, name: &str, number: u8, more: &str) -> PodBuilder {
    pod(mesh, name, number, more).port(8080, "http").known_by_files()
}

/// A pod with the shipped configuration, and `more` lines in it.
fn pod(mesh: &Mesh, name: &str, number: u8, more: &str) -> PodBuilder {
    let shipped = example::file(&format!("bank/proxy/{name}"));
    let text = fs::read_to_string(shipped).expect("the bank's configurations are there");
    let config = mesh.directory().join(format!("{name}-proxy.yaml"));
    replace(&config, &(text + more));
    mesh.pod(name).namespace(NAMESPACE).number(number).config_file(config)
}
