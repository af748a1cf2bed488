//! A provider with whom people sign in: npm's oidc-provider in a pod outside the mesh.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::binaries::target_directory;
use crate::certificates::replace;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::process::Process;
use crate::wait;
use crate::web::WebAuthority;

/// A provider of some host, on port 443. Anybody may sign in there, under any name.
pub struct Provider {
    pod: Pod,
    process: Process,
    url: String,
}

/// A client as its provider knows it.
#[derive(Clone, Debug)]
pub struct ProviderClient(Value);

impl ProviderClient {
    /// One at `https://HOST`, with the paths that a `SignIn` has by itself, who shows this secret.
    #[must_use]
    pub fn with_secret(id: &str, host: &str, secret: &str) -> Self {
        Self::at(
            id,
            host,
            &json!({
                "client_secret": secret, "token_endpoint_auth_method": "client_secret_basic",
            }),
        )
    }

    /// The same, who signs with the key of this public JWK.
    #[must_use]
    pub fn with_key(id: &str, host: &str, jwk: &Value) -> Self {
        Self::at(
            id,
            host,
            &json!({
                "jwks": {"keys": [jwk]}, "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "ES256",
            }),
        )
    }

    fn at(id: &str, host: &str, authentication: &Value) -> Self {
        let mut client = json!({
            "client_id": id,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "redirect_uris": [format!("https://{host}/.postern/callback")],
            "post_logout_redirect_uris": [format!("https://{host}/bye")],
            "backchannel_logout_uri": format!("https://{host}/.postern/back-channel-logout"),
            "backchannel_logout_session_required": true,
            "require_auth_time": true,
        });
        crate::config::overlay(&mut client, authentication);
        Self(client)
    }

    /// Says more of it, or something else, as OpenID Connect's client metadata does.
    #[must_use]
    pub fn and(mut self, more: &Value) -> Self {
        crate::config::overlay(&mut self.0, more);
        self
    }
}

impl Provider {
    /// Starts the one of this host, which every pod of the mesh finds from now on, and waits until it answers. `web`
    /// vouches for it, and for its clients. Its access tokens are good for so many seconds.
    #[must_use]
    pub fn start(
        mesh: &Mesh,
        host: &str,
        web: &WebAuthority,
        clients: &[ProviderClient],
        access_token_seconds: u32,
    ) -> Self {
        let pod = mesh.pod(&host.replace('.', "-")).outside().start();
        mesh.know_host(host, pod.ipv4());
        let url = format!("https://{host}");
        let certificate = web.server(&[host]);
        let clients: Vec<_> = clients.iter().map(|client| &client.0).collect();
        let config = json!({
            "issuer": url, "state": "/run/postern/state.json",
            "certificate": "/run/postern/web.pem", "key": "/run/postern/web-key.pem",
            "clients": clients, "accessTokenSeconds": access_token_seconds,
        });
        for (name, content) in [
            ("web.pem", certificate.pem),
            ("web-key.pem", certificate.key_pem),
            ("web-ca.pem", web.pem()),
            ("provider.json", config.to_string()),
        ] {
            replace(&pod.directory().join(name), &content);
        }
        let process = run(&pod);
        let mut provider = Self { pod, process, url };
        provider.wait();
        provider
    }

    /// Who it is: its `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.pod.ipv4()
    }

    /// Kills it in the middle of whatever it does. What it knew is kept.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, with what it knew.
    pub fn start_again(&mut self) {
        self.process = run(&self.pod);
        self.wait();
    }

    /// Starts it again, where it knows nothing any more.
    pub fn start_afresh(&mut self) {
        let state = self.pod.directory().join("state.json");
        std::fs::remove_file(state).expect("the provider keeps a state");
        self.start_again();
    }

    /// Has it sign with a new key in place of the old one, which it does not publish any more.
    #[track_caller]
    pub fn rotate(&self) {
        let _ = self.ask(&["-X", "POST"], "/rotate").expect("the provider rotates its key");
    }

    /// How often it has done something since it started: a grant by its type, `back-channel logout`, `error: …`.
    #[must_use]
    #[track_caller]
    pub fn count(&self, what: &str) -> u64 {
        let counts = self.ask(&[], "/counts").expect("the provider counts");
        let counts: Value = serde_json::from_str(&counts).expect("the counts are JSON");
        counts[what].as_u64().unwrap_or(0)
    }

    fn ask(&self, arguments: &[&str], path: &str) -> Result<String, String> {
        let url = format!("{}{path}", self.url);
        let answer = self.pod.curl_with(&[&["-k"], arguments, &[&*url]].concat());
        if answer.status == 200 { Ok(answer.body) } else { Err(format!("{answer:?}")) }
    }

    fn wait(&mut self) {
        let mut started = Instant::now();
        wait::until("the provider to answer", Duration::from_secs(60), || {
            let Err(error) = self.ask(&[], "/counts") else { return Ok(()) };
            // It is somebody else's program: one that hangs at its start is started again.
            if started.elapsed() > Duration::from_secs(15) {
                self.process.kill();
                self.process = run(&self.pod);
                started = Instant::now();
            }
            Err(format!("{error}\n{}", self.process.stderr()))
        });
    }
}

fn run(pod: &Pod) -> Process {
    let peer = target_directory().join("peers/oidc");
    let script = peer.join("provider.mjs");
    assert!(script.is_file(), "{} is not there: run `tests/setup test`", script.display());
    let (node, script) = (peer.join("node"), script);
    let arguments = [
        "NODE_EXTRA_CA_CERTS=/run/postern/web-ca.pem",
        node.to_str().expect("our paths are text"),
        script.to_str().expect("our paths are text"),
        "/run/postern/provider.json",
    ];
    pod.start_program("provider", Path::new("/usr/bin/env"), &arguments)
}
