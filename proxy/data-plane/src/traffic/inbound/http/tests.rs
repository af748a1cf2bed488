//! What becomes of a request when policy changes between its gate and its registration.
#![allow(clippy::unwrap_used, clippy::panic)]
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use policy::{CanonicalPath, PathNormalization, Resources, SourceFile};
use serde_json::json;

use super::*;
use crate::connection::net::StreamAborter;
use crate::control::config::Config;
use crate::control::installer::ResourceInstaller;
use crate::control::jwks;
use crate::http::gate::{self, AdmittedRequest, GateSettings, HeadLimits, UnderscorePolicy};
use crate::labels::Direction;
use crate::telemetry::LogWriter;
use crate::traffic::caller::AuthenticatedCaller;
use crate::traffic::inbound::arrival::InboundDestination;
use crate::traffic::worker::Worker;

/// An issuer with one key.
struct TestIssuer(EcdsaKeyPair);

impl TestIssuer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// A RequestAuthentication that believes it, with these further fields of the rule.
    fn rule(&self, more: &str) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": encode(x), "y": encode(y)});
        let keys = json!({ "keys": [key] });
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
             metadata: {{name: r, namespace: shop}}\n\
             spec: {{jwtRules: [{{issuer: me, audiences: [cart], jwks: '{keys}'{more}}}]}}\n"
        )
    }

    fn token(&self, now: u64) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({"alg": "ES256", "kid": "k"}));
        let claims = part(
            json!({"iss": "me", "sub": "alice", "aud": "cart", "iat": now - 5, "exp": now + 300}),
        );
        let message = format!("{head}.{claims}");
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A policy with this rule.
fn policy(rule: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: p, namespace: shop}}\nspec: {{rules: [{rule}]}}\n"
    )
}

fn resources(texts: &[&str]) -> Resources {
    let file = SourceFile { name: "all.yaml".into(), bytes: texts.concat().into_bytes() };
    let resources = Resources::parse(&[file], "postern-system");
    resources.unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Puts the snapshot of resources in force; the keys of the rules before are still there, as they are at that moment.
fn swap(installer: &ResourceInstaller, texts: &[&str]) {
    let settings = &installer.state.settings;
    let snapshot = Snapshot::build(&resources(texts), &settings.workload, &settings.defaults);
    jwks::prepare(&installer.state.token_keys, snapshot.tokens(), &installer.config);
    installer.state.install_snapshot(snapshot);
}

fn phases(installer: &ResourceInstaller) -> InboundPhases {
    let state = &installer.state;
    let log = LogWriter::start(std::io::sink()).unwrap();
    let worker = Worker::new(0, 1, state.clone(), log.sink());
    let app = "10.0.0.9:8080".parse().unwrap();
    let source = "10.0.0.7:1".parse().unwrap();
    let connection = state.registry.register(0, Direction::Inbound, source, app, 0);
    let (arrival, aborter) = (InboundDestination::at(app), StreamAborter::default());
    let inbound = InboundConnection { worker, arrival, connection, aborter };
    InboundPhases::new(Arc::new(inbound), Protocol::Http1)
}

fn pass_gate(parts: &mut Parts, snapshot: &Snapshot) -> AdmittedRequest {
    let settings = GateSettings {
        default_port: Some(80),
        dialled: None,
        normalization: PathNormalization::default(),
        head: HeadLimits::default(),
        named: Some(snapshot.header_names()),
        underscores: UnderscorePolicy::Allow,
    };
    gate::admit(parts, &settings).unwrap()
}

/// Lets a request with this field through the gate under the first resources, puts the second ones in force, and registers
/// it. The reason of a refusal, or who the token spoke for.
fn swapped(field: (&str, &str), before: &[&str], after: &[&str]) -> Result<bool, &'static str> {
    let text =
        "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
    let config = Config::parse("p", text.as_bytes()).unwrap();
    let installer = ResourceInstaller::new(config, 1).unwrap();
    installer.install(&resources(before));
    let phases = phases(&installer);
    let request = Request::builder().uri("/cart").header("host", "cart").header(field.0, field.1);
    let (mut parts, mut body) = request.body(Body::empty()).unwrap().into_parts();
    let begun_with = phases.snapshot().unwrap();
    let admitted = pass_gate(&mut parts, &begun_with);
    let path: CanonicalPath<'_> = admitted.path().unwrap();
    let HttpContext { worker, connection, meter, .. } = phases.context();
    let method = parts.method.clone();
    let mut record = RequestRecord::begin(&worker.recorder, connection, meter, &method);
    let mut exchange = Exchange {
        parts: &mut parts,
        body: &mut body,
        admitted: &admitted,
        path: &path,
        snapshot: Some(begun_with),
        known: None,
        caller: AuthenticatedCaller::default(),
        listener: None,
        remote_ip: None,
        answer: None,
        record: &mut record,
    };
    swap(&installer, after);
    phases.judge.authenticate(&mut exchange, None).map_err(|error| error.reason())?;
    let judged_by = exchange.snapshot.as_ref().unwrap();
    assert!(Arc::ptr_eq(judged_by, &installer.state.snapshot()), "the one that is in force");
    Ok(exchange.caller.claims().is_some())
}

#[tokio::test]
async fn f12_policy_tightened_or_removed_between_gate_and_registration_all_is_judged_again() {
    let issuer = TestIssuer::new();
    let now = crate::clock::unix_now();
    let bearer = format!("Bearer {}", issuer.token(now));
    let (token, plain) = (("authorization", bearer.as_str()), ("x_user", "a"));
    let (all, named) =
        (policy("{}"), policy("{when: [{key: 'request.headers[x-user]', values: [a]}]}"));
    let (believed, other) = (issuer.rule(""), TestIssuer::new().rule(""));
    let made = issuer.rule(", outputClaimToHeaders: [{header: x-sub, claim: sub}]");
    for (name, field, before, after, expect) in [
        ("nothing that concerns it", plain, vec![&*all], vec![&*all, &*believed], Ok(false)),
        (
            "its spelling is named now",
            plain,
            vec![&*all],
            vec![&*named],
            Err("underscore_in_header_name"),
        ),
        (
            "a token that still counts",
            token,
            vec![&*all, &*believed],
            vec![&*named, &*believed],
            Ok(true),
        ),
        (
            "no token rules any more",
            token,
            vec![&*all, &*believed],
            vec![&*all],
            Err("policy_changed"),
        ),
        (
            "a token of nobody now",
            token,
            vec![&*all, &*believed],
            vec![&*all, &*other],
            Err("policy_changed"),
        ),
        (
            "headers made of it now",
            token,
            vec![&*all, &*believed],
            vec![&*all, &*made],
            Err("policy_changed"),
        ),
        (
            "token rules where there were none",
            token,
            vec![&*all],
            vec![&*all, &*believed],
            Ok(true),
        ),
    ] {
        assert_eq!(swapped(field, &before, &after), expect, "{name}");
    }
}

#[test]
fn a_broker_gets_no_request_of_a_peer() {
    let text =
        "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
    let config = Config::parse("p", text.as_bytes()).unwrap();
    let installer = ResourceInstaller::new(config, 1).unwrap();
    for (declared, refused) in [
        (Declared::Nats, true),
        (Declared::Mqtt, true),
        (Declared::Kafka, true),
        (Declared::Http, false),
        (Declared::Tcp, false),
        (Declared::Auto, false),
    ] {
        let mut phases = phases(&installer);
        Arc::get_mut(&mut phases.inbound).unwrap().arrival.declared_protocol = declared;
        assert_eq!(phases.refuse_for_broker().is_err(), refused, "{declared:?}");
    }
}
