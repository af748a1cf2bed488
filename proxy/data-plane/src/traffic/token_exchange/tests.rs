//! What is asked, what is kept, and an agent that answers, refuses, goes away and stays silent.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message as _;
use serde_json::json;
use tokio::net::UnixListener;

use super::agent::proto::{ExchangeRequest, ExchangeResponse, exchange_request};
use super::cache::{ExchangedToken, ExchangedTokens, MARGIN, MAX_TOKENS};
use super::exchanger::TokenExchanger;
use super::question::ExchangeSubject;
use crate::clock::{Clock, unix_now};
use crate::telemetry::metrics::Metrics;
use crate::traffic::token_exchange::*;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn rule(claims: &[&str]) -> TokenExchangeRule {
    TokenExchangeRule {
        name: "shop/users".into(),
        issuers: Vec::new(),
        claims: claims.iter().map(|name| (*name).into()).collect(),
        lifetime: std::time::Duration::from_secs(60),
        audience: None,
    }
}

fn user(subject: Option<&str>, claims: Value) -> TokenClaims {
    TokenClaims {
        issuer: "https://id.example".into(),
        subject: subject.map(str::to_owned),
        audiences: Vec::new(),
        claims: claims.as_object().unwrap().clone(),
    }
}

fn question(subject: &str) -> ExchangeQuestion {
    let user = user(Some(subject), json!({}));
    ExchangeQuestion::of_user(&user, &rule(&[]), CART.into()).unwrap()
}

#[test]
fn only_the_claims_that_a_rule_names_go_inside() {
    let all =
        json!({"sub": "ann", "email": "ann@example.com", "groups": ["a", "b"], "secret": "x"});
    for (row, claims, expect) in [
        ("some", &["groups", "email"][..], r#"{"email":"ann@example.com","groups":["a","b"]}"#),
        ("one that is not there", &["phone"], ""),
        ("none", &[], ""),
    ] {
        let user = user(Some("ann"), all.clone());
        let asked = ExchangeQuestion::of_user(&user, &rule(claims), CART.into()).unwrap();
        let ExchangeSubject::User { subject, issuer, claims, .. } = &asked.subject else {
            panic!()
        };
        assert_eq!((&**subject, &**issuer), ("ann", "https://id.example"), "{row}");
        assert_eq!(&**claims, expect, "{row}");
        assert_eq!((&*asked.audience, asked.lifetime), (CART, 60), "{row}");
    }
}

#[test]
fn some_users_cannot_be_named() {
    let long = "x".repeat(256);
    for (row, subject, claims, why) in [
        ("nobody", None, json!({}), "no `sub`"),
        ("a name without letters", Some(""), json!({}), "no `sub`"),
        ("a long name", Some(&*long), json!({}), "no `sub`"),
        ("a workload", Some("spiffe://cluster.local/ns/a/sa/b"), json!({}), "no `sub`"),
        ("much to say", Some("ann"), json!({"email": "x".repeat(4096)}), "4096 bytes"),
    ] {
        let user = user(subject, claims);
        let asked = ExchangeQuestion::of_user(&user, &rule(&["email"]), CART.into());
        match asked.map(drop) {
            Err(ExchangeFailure::Refused(told)) => assert!(told.contains(why), "{row}: {told}"),
            other => panic!("{row}: {other:?}"),
        }
    }
}

/// Parts that run together the same way are still different questions (S-42).
#[test]
fn s42_cache_key_collisions_of_an_exchange() {
    let of = |subject: &str, issuer: &str, email: &str, audience: &str, lifetime: u64| {
        let mut user = user(Some(subject), json!({ "email": email }));
        user.issuer = issuer.into();
        let mut rule = rule(&["email"]);
        rule.lifetime = std::time::Duration::from_secs(lifetime);
        ExchangeQuestion::of_user(&user, &rule, audience.into()).unwrap().key()
    };
    let usual = of("ann", "https://id", "a@b", CART, 60);
    let signed_in = |issued: u64| {
        let user = user(Some("ann"), json!({ "iat": issued }));
        ExchangeQuestion::of_user(&user, &rule(&[]), CART.into()).unwrap().key()
    };
    assert_ne!(signed_in(1000), signed_in(1001), "somebody who has signed in again");
    assert_eq!(signed_in(1000), signed_in(1000));
    for (row, key) in [
        ("another user", of("bob", "https://id", "a@b", CART, 60)),
        ("another issuer", of("ann", "https://od", "a@b", CART, 60)),
        ("a letter moved", of("annh", "ttps://id", "a@b", CART, 60)),
        ("another claim", of("ann", "https://id", "a@c", CART, 60)),
        ("another audience", of("ann", "https://id", "a@b", "spiffe://cluster.local", 60)),
        ("another life", of("ann", "https://id", "a@b", CART, 61)),
        ("a token of that text", ExchangeQuestion::of_token("ann", &rule(&[]), CART.into()).key()),
    ] {
        assert_ne!(key, usual, "{row}");
    }
    assert_eq!(usual, of("ann", "https://id", "a@b", CART, 60));
}

#[test]
fn s48_limit_and_metric_keys_tokens_that_are_kept_are_bounded_in_number_and_time() {
    let tokens = ExchangedTokens::default();
    let token =
        |not_after| ExchangedToken { bearer: HeaderValue::from_static("Bearer x"), not_after };
    let key = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    };
    tokens.put(key(0), token(1000), 900);
    for (row, now, there) in [
        ("at once", 900, true),
        ("before its margin", 999 - MARGIN, true),
        ("within its margin", 1000 - MARGIN, false),
        ("after its end", 1001, false),
    ] {
        assert_eq!(tokens.get(&key(0), now).is_some(), there, "{row}");
    }
    tokens.put(key(1), token(MARGIN), 0);
    assert!(tokens.get(&key(1), 0).is_none(), "one that has no use is not kept");
    tokens.put(key(0), token(1000), 0);
    for number in 2..3 * MAX_TOKENS {
        tokens.put(key(number), token(1000), 0);
        // What is used stays.
        assert!(tokens.get(&key(0), 0).is_some());
        assert!(tokens.len() <= MAX_TOKENS);
    }
}

/// How the agent of a test answers, by the user it is asked about.
async fn agent(listener: UnixListener, asked: Arc<Mutex<Vec<ExchangeRequest>>>) {
    // Its connections end with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let asked = asked.clone();
        connections.spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/postern.agent.v1.TokenExchange/Exchange");
                assert_eq!(request.headers()["workload.spiffe.io"], "true");
                tokio::spawn(answer(request.into_body(), respond, asked.clone()));
            }
        });
    }
}

async fn answer(
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    asked: Arc<Mutex<Vec<ExchangeRequest>>>,
) {
    let mut text = Vec::new();
    while let Some(Ok(part)) = body.data().await {
        text.extend_from_slice(&part);
    }
    let request = ExchangeRequest::decode(&text[5..]).unwrap();
    asked.lock().unwrap().push(request.clone());
    let who = match &request.subject {
        Some(exchange_request::Subject::Assertion(user)) => user.subject.clone(),
        Some(exchange_request::Subject::SubjectToken(token)) => token.clone(),
        None => String::new(),
    };
    let head = Response::builder().header("content-type", "application/grpc");
    let refusal = match &*who {
        "expired" => Some("16"),
        "bad" => Some("3"),
        "not-let" => Some("7"),
        "away" => Some("14"),
        _ => None,
    };
    if let Some(status) = refusal {
        let head = head.header("grpc-status", status).header("grpc-message", "no").body(());
        respond.send_response(head.unwrap(), true).unwrap();
        return;
    }
    if who == "silent" {
        std::future::pending::<()>().await;
    }
    let good_for = if who == "long" { 3600 } else { 60 };
    let token = if who == "odd" { "no token".into() } else { format!("h.{who}.s") };
    let not_after = i64::try_from(unix_now() + good_for).unwrap();
    let answer = ExchangeResponse { token, not_after };
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(answer.encoded_len()).unwrap());
    answer.encode(&mut frame).unwrap();
    let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
    stream.send_data(frame.freeze(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).unwrap();
}

fn exchanger(socket: Option<&Path>) -> (TokenExchanger, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(8).unwrap());
    let clock = Arc::new(Clock::start());
    (TokenExchanger::new(socket.map(Path::to_owned), clock, metrics.clone()), metrics)
}

/// How many requests had each result.
fn results(metrics: &Metrics) -> BTreeMap<String, String> {
    let page = String::from_utf8(metrics.render(&[])).unwrap();
    let counted = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("postern_token_exchange_total{result=\"")?;
        let (result, count) = rest.split_once("\"} ")?;
        Some((result.to_owned(), count.to_owned()))
    });
    counted.collect()
}

#[tokio::test]
async fn an_agent_answers_refuses_and_is_asked_once_for_many() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(agent(UnixListener::bind(&socket).unwrap(), asked.clone()));
    let (exchanger, metrics) = exchanger(Some(&socket));
    let exchanger = Arc::new(exchanger);
    let bearers = (0..10).map(|_| {
        let exchanger = exchanger.clone();
        tokio::spawn(async move { exchanger.bearer(question("ann")).await.unwrap() })
    });
    for bearer in bearers.collect::<Vec<_>>() {
        let bearer = bearer.await.unwrap();
        assert_eq!(bearer, "Bearer h.ann.s");
        assert!(bearer.is_sensitive());
    }
    assert_eq!(asked.lock().unwrap().len(), 1, "asked once for all");
    exchanger.bearer(question("ann")).await.unwrap();
    let first = asked.lock().unwrap()[0].clone();
    assert_eq!((&*first.audience, first.lifetime), (CART, 60));
    let token = |token| ExchangeQuestion::of_token(token, &rule(&[]), CART.into());
    assert_eq!(exchanger.bearer(token("t")).await.unwrap(), "Bearer h.t.s");
    assert_eq!(asked.lock().unwrap().len(), 2);
    // A token that is for another workload is the app's mistake.
    let not_for_us = exchanger.bearer(token("not-let")).await.unwrap_err();
    assert!(matches!(not_for_us, ExchangeFailure::Refused(_)), "{not_for_us}");

    for (row, who, refused) in [
        ("a token that has ended", "expired", true),
        ("a rule is broken", "bad", true),
        ("a workload that may not vouch for users", "not-let", false),
        ("no authority", "away", false),
        ("a token that lives too long", "long", false),
        ("no token at all", "odd", false),
    ] {
        let failure = exchanger.bearer(question(who)).await.unwrap_err();
        assert_eq!(matches!(failure, ExchangeFailure::Refused(_)), refused, "{row}: {failure}");
    }
    let counted = results(&metrics);
    let of = |result: &str| counted.get(result).map(String::as_str);
    assert_eq!((of("refused"), of("unavailable")), (Some("3"), Some("4")));
    assert_eq!((of("issued"), of("cached")), (Some("11"), Some("1")));
}

#[tokio::test]
async fn a_restarted_agent_is_asked_again_and_a_silent_one_not_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (exchanger, _) = exchanger(Some(&socket));
    let gone = exchanger.bearer(question("ann")).await.unwrap_err();
    assert!(gone.to_string().contains("cannot be reached"), "{gone}");
    for who in ["ann", "bob"] {
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let running = tokio::spawn(agent(listener, asked.clone()));
        assert_eq!(exchanger.bearer(question(who)).await.unwrap(), format!("Bearer h.{who}.s"));
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    }
    let _ = std::fs::remove_file(&socket);
    tokio::spawn(agent(UnixListener::bind(&socket).unwrap(), asked));
    let began = std::time::Instant::now();
    let silent = exchanger.bearer(question("silent")).await.unwrap_err();
    assert!(matches!(silent, ExchangeFailure::Unavailable(_)), "{silent}");
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test]
async fn without_an_agent_nothing_is_exchanged() {
    let (exchanger, metrics) = exchanger(None);
    let failure = exchanger.bearer(question("ann")).await.unwrap_err();
    assert!(failure.to_string().contains("identity.workloadApi"), "{failure}");
    assert_eq!(results(&metrics).get("unavailable").map(String::as_str), Some("1"));
    let error = RequestError::from(failure);
    assert_eq!((error.status().as_u16(), error.reason()), (503, "token_exchange_unavailable"));
    let refused = RequestError::from(ExchangeFailure::Refused("no".into()));
    assert_eq!((refused.status().as_u16(), refused.reason()), (401, "token_exchange_refused"));
}

#[test]
fn the_audience_is_the_one_identity_of_a_service() {
    let own = TrustDomain::parse("cluster.local").unwrap();
    let id = |text: &str| SpiffeId::parse(text).unwrap();
    let (cart, other) = (id(CART), id("spiffe://cluster.local/ns/shop/sa/other"));
    let partner = id("spiffe://partner.example/ns/shop/sa/cart");
    for (row, identities, expect) in [
        ("one", vec![cart.clone()], CART),
        ("several", vec![cart.clone(), other], "spiffe://cluster.local"),
        ("none", vec![], "spiffe://cluster.local"),
        ("one of another mesh", vec![partner], "spiffe://cluster.local"),
    ] {
        assert_eq!(&*only_identity(&identities, &own), expect, "{row}");
    }
    assert_eq!(&*own_audience(Some(&cart), &own), CART);
    assert_eq!(&*own_audience(None, &own), "spiffe://cluster.local");
}

#[test]
fn an_audience_that_is_not_ours_is_no_fault_of_the_users() {
    let own = TrustDomain::parse("cluster.local").unwrap();
    for (row, audience, ours) in [
        ("a workload", CART, true),
        ("the trust domain", "spiffe://cluster.local", true),
        ("another trust domain", "spiffe://partner.example", false),
        ("a workload of it", "spiffe://partner.example/ns/shop/sa/cart", false),
        ("a name that begins alike", "spiffe://cluster.local.evil/ns/a/sa/b", false),
    ] {
        match audience_of_rule(&audience.into(), &own) {
            Ok(found) => assert!(ours && *found == *audience, "{row}"),
            Err(ExchangeFailure::Unavailable(_)) => assert!(!ours, "{row}"),
            Err(other) => panic!("{row}: {other}"),
        }
    }
}

fn said(claims: Value) -> Map<String, Value> {
    claims.as_object().unwrap().clone()
}

fn snapshot(objects: &str) -> Snapshot {
    let file = policy::SourceFile { name: "r.yaml".into(), bytes: objects.as_bytes().to_vec() };
    let resources = policy::Resources::parse(&[file], "postern-system").unwrap();
    let workload = policy::Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: BTreeMap::new(),
    };
    Snapshot::build(&resources, &workload, &policy::PolicyDefaults::default())
}

/// The new token would be issued after the revocation.
#[test]
fn a_revoked_user_gets_no_new_token_for_one_that_an_app_has_kept() {
    let snapshot = snapshot(
        "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenRevocation\nmetadata: {name: r, namespace: shop}\n\
         spec: {tokens: [{issuer: 'spiffe://cluster.local', id: a}], \
         subjects: [{issuer: 'https://id.example', subject: ann, issuedBefore: 1000}]}\n",
    );
    for (row, user, issued, id, good) in [
        ("of a revoked user", "ann", 999, "b", false),
        ("who has signed in again", "ann", 1000, "b", true),
        ("of another user", "bob", 999, "b", true),
        ("revoked itself", "bob", 999, "a", false),
    ] {
        let sent = said(json!({
            "iss": "spiffe://cluster.local", "orig_iss": "https://id.example", "sub": user, "iat": issued, "jti": id,
        }));
        match refuse_revoked(&sent, &snapshot) {
            Ok(()) => assert!(good, "{row}"),
            Err(error) => {
                assert_eq!((error.status().as_u16(), error.reason()), (401, "token_revoked"));
                assert!(!good, "{row}");
            }
        }
    }
}

/// A gateway of the mesh is a workload on the way as others are.
#[test]
fn a_token_of_the_mesh_is_exchanged_for_its_original_issuers_users() {
    let exchange = |issuers: &str| {
        snapshot(&format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: TokenExchange\nmetadata: {{name: e, namespace: shop}}\n\
             spec: {{issuers: ['{issuers}'], audience: '{CART}'}}\n"
        ))
    };
    let own = TrustDomain::parse("cluster.local").unwrap();
    let sent = said(json!({"iss": "spiffe://cluster.local", "orig_iss": "https://id.example"}));
    for (row, issuer, asks) in [
        ("of its issuer", "https://id.example", true),
        ("of another", "https://other.example", false),
    ] {
        let snapshot = exchange(issuer);
        let rule = rule_of(&sent, snapshot.token_exchange(), None);
        let audience = rule.map(|rule| audience_of_rule(rule.audience.as_ref().unwrap(), &own));
        assert_eq!(audience.is_some_and(|audience| *audience.unwrap() == *CART), asks, "{row}");
    }
    let mut verified = user(Some("ann"), json!({"jti": "a"}));
    for (row, id, ours) in [
        ("the same", json!("a"), true),
        ("another", json!("b"), false),
        ("none", json!(null), false),
    ] {
        assert_eq!(is_the_same(&said(json!({ "jti": id })), Some(&verified)), ours, "{row}");
    }
    verified.claims.remove("jti");
    assert!(!is_the_same(&said(json!({})), Some(&verified)), "without a name");
}

/// The two copies of the agent's messages must not drift apart.
#[test]
fn the_protocol_is_the_cert_agents() {
    let read = |path: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        std::fs::read_to_string(format!("{root}{path}")).unwrap()
    };
    let theirs = read("../../cert-agent/agent/proto/token_exchange.proto");
    assert_eq!(read("proto/token_exchange.proto"), theirs);
}
