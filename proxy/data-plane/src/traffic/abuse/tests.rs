//! Who is blocked by which answers, and what an edit changes about it.
#![allow(clippy::unwrap_used)]

use http::HeaderMap;
use identity::SpiffeId;
use policy::{Resources, SourceFile, TokenClaims, Workload};
use serde_json::json;

use super::*;
use crate::connection::registry::{Peer, Registry};
use crate::http::BlockRefusal;
use crate::labels::Direction;
use crate::traffic::caller::{AuthenticatedCaller, ClaimsOrigin, KnownClaims};
use crate::traffic::jwt::AuthenticatedToken;

const ANN: &str = "192.0.2.1";
const BOB: &str = "192.0.2.2";

struct Scene {
    watch: Arc<AbuseWatch>,
    registry: Arc<Registry>,
}

fn policies(specs: &[&str]) -> AbusePolicies {
    let documents = specs.iter().enumerate().map(|(place, spec)| {
        format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: AbusePolicy\nmetadata: {{name: p{place}, namespace: shop}}\nspec: {{{spec}}}\n"
        )
    });
    let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
    let file = SourceFile { name: "r.yaml".into(), bytes };
    let resources = Resources::parse(&[file], "postern-system").unwrap();
    let workload = Workload {
        namespace: "shop".into(),
        service_account: "cart".into(),
        labels: std::collections::BTreeMap::new(),
    };
    AbusePolicies::build(&resources, &workload, false)
}

fn scene(specs: &[&str]) -> Scene {
    let metrics = Arc::new(Metrics::new(100).unwrap());
    let watch = Arc::new(AbuseWatch::new(1_000, Arc::new(Clock::start()), metrics));
    watch.install(policies(specs));
    Scene { watch, registry: Arc::new(Registry::new(1)) }
}

/// A request: of whom, and what it is answered where nothing blocks it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    from: &'a str,
    principal: Option<&'a str>,
    token: Option<&'a str>,
    status: u16,
    reason: &'static str,
    grpc_status: Option<&'static str>,
    path: &'a str,
}

const GOOD: Asked<'_> = Asked {
    from: ANN,
    principal: None,
    token: None,
    status: 200,
    reason: "ok",
    grpc_status: None,
    path: "/",
};

impl Scene {
    /// Makes a request; `Err`: it is blocked.
    fn ask(&self, asked: Asked<'_>) -> Result<(), Box<BlockRefusal>> {
        let source = format!("{}:1", asked.from).parse().unwrap();
        let connection = self.registry.register(0, Direction::Inbound, source, source, 0);
        if let Some(id) = asked.principal {
            let id = SpiffeId::parse(id).unwrap();
            connection.set_peer(Peer { id, not_after: 0, leaf_sha256: [0; 32], sni: None });
        }
        let connection: &Arc<Connection> = &connection;
        let Some(mut met) = self.watch.meet(connection, source.ip(), None) else { return Ok(()) };
        let mut blocked = met.refusal_by_connection();
        if asked.status == 401 {
            blocked = blocked.or_else(|| met.refusal_without_credential());
        } else {
            blocked = blocked.or_else(|| met.refusal_by_credential(&caller(asked.token)));
        }
        let mut headers = HeaderMap::new();
        if let Some(status) = asked.grpc_status {
            headers.insert("grpc-status", status.parse().unwrap());
        }
        let (status, reason) = match &blocked {
            Some(refusal) => (refusal.status.as_u16(), BlockRefusal::REASON),
            None => (asked.status, asked.reason),
        };
        let Asked { path, .. } = asked;
        met.answered(AnswerHead { status, reason, headers: &headers, host: "cart", path });
        blocked.map_or(Ok(()), Err)
    }

    fn enumerate(&self, asked: Asked<'_>) {
        for id in 0..60 {
            let _ = self.ask(Asked { status: 404, path: &format!("/{id}"), ..asked });
        }
    }

    fn is_blocked(&self, asked: Asked<'_>) -> bool {
        self.ask(asked).is_err()
    }

    fn counted(&self, action: &str) -> f64 {
        let text = String::from_utf8(self.watch.metrics.render(&[])).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("postern_abuse_total{"));
        let counted = lines.filter(|line| line.contains(&format!("action=\"{action}\"")));
        counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

fn caller(subject: Option<&str>) -> AuthenticatedCaller {
    let Some(subject) = subject else { return AuthenticatedCaller::default() };
    let claims = [("sub".to_owned(), json!(subject))].into_iter().collect();
    let claims = TokenClaims { issuer: "https://id".into(), claims, ..TokenClaims::default() };
    let known = KnownClaims {
        origin: ClaimsOrigin::Introspection,
        policy: "shop/issuer".into(),
        claims: Arc::new(claims),
        made: Vec::new(),
        session: None,
    };
    let token = AuthenticatedToken::of_known(known);
    AuthenticatedCaller { token, ..AuthenticatedCaller::default() }
}

const BLOCK: &str = "mode: block, key: clientAddress";

#[test]
fn which_answers_block_a_caller() {
    let check = |name: &str, asked: Asked<'_>, distinct: bool, expect: bool| {
        let scene = scene(&[BLOCK]);
        for id in 0..60 {
            let path = if distinct { format!("/{id}") } else { "/".to_owned() };
            let _ = scene.ask(Asked { path: &path, ..asked });
        }
        assert_eq!(scene.is_blocked(GOOD), expect, "{name}");
        assert!(!scene.is_blocked(Asked { from: BOB, ..GOOD }), "{name}: another one");
    };
    let status = |status| Asked { status, ..GOOD };
    check("answers", GOOD, true, false);
    check("nothing there", status(404), true, true);
    check("the same is not there", status(404), false, true);
    check("forbidden", status(403), false, true);
    check("not known", status(401), false, true);
    check("errors of the app", status(500), true, false);
    check("limited", Asked { reason: "rate_limited", ..status(429) }, true, false);
    check("a session has ended", Asked { reason: "sign_in_required", ..status(401) }, true, false);
    check("refused by our own policy", Asked { reason: "default_deny", ..status(403) }, true, true);
    let grpc = |grpc_status| Asked { grpc_status: Some(grpc_status), ..GOOD };
    check("gRPC: well", grpc("0"), true, false);
    check("gRPC: NOT_FOUND", grpc("5"), true, true);
    check("gRPC: PERMISSION_DENIED", grpc("7"), false, true);
    check("gRPC: UNAUTHENTICATED", grpc("16"), false, true);
    check("gRPC: INTERNAL", grpc("13"), true, false);
}

#[test]
fn what_is_detected_is_what_is_blocked_with_the_edit() {
    let scene = scene(&["key: clientAddress"]);
    scene.enumerate(GOOD);
    assert!(!scene.is_blocked(GOOD), "detect refuses nobody");
    assert_eq!((scene.counted("detected"), scene.counted("blocked")), (1.0, 0.0));
    assert!(scene.counted("would_refuse") >= 1.0);
    let found = scene.watch.blocks();
    assert_eq!(found.len(), 1);
    let found = &found[0];
    assert_eq!((&*found.policy, &*found.caller, found.key), ("shop/p0", ANN, "clientAddress"));
    assert_eq!((found.enforced, found.cause, found.repeated), (false, "refusals", 0));
    assert!((295..=301).contains(&(found.until - found.since)), "{found:?}");

    scene.watch.install(policies(&[BLOCK]));
    let refused = scene.ask(GOOD).unwrap_err();
    assert_eq!((&*refused.policy, refused.status.as_u16()), ("shop/p0", 429));
    assert!(scene.watch.blocks()[0].enforced);
    assert_eq!(scene.counted("refused"), 1.0);

    scene.watch.install(policies(&[&format!("{BLOCK}, status: 403")]));
    assert_eq!(scene.ask(GOOD).unwrap_err().status.as_u16(), 403, "the answer is no part of it");
    for (row, edited) in [("other numbers", "requests: 21"), ("another time", "blockFor: 1m")] {
        scene.watch.install(policies(&[BLOCK]));
        scene.enumerate(GOOD);
        assert!(scene.is_blocked(GOOD), "{row}: before");
        scene.watch.install(policies(&[&format!("{BLOCK}, {edited}")]));
        assert!(!scene.is_blocked(GOOD), "{row}");
    }
    scene.watch.install(policies(&[]));
    assert!(!scene.is_blocked(GOOD) && scene.watch.blocks().is_empty(), "taken away");
}

#[test]
fn s48_whose_a_request_is() {
    let web = Some("spiffe://td/ns/shop/sa/web");
    let other = Some("spiffe://td/ns/shop/sa/other");
    let by_claim = "mode: block, key: claim, claim: sub";
    let ann = Asked { token: Some("ann"), ..GOOD };
    for (row, spec, abuser, others) in [
        (
            "by certificate, wherever it is",
            "mode: block, key: principal",
            [Asked { principal: web, ..GOOD }, Asked { principal: web, from: BOB, ..GOOD }],
            [Asked { principal: other, ..GOOD }, GOOD],
        ),
        (
            "by token, wherever it is",
            by_claim,
            [ann, Asked { from: BOB, ..ann }],
            [Asked { token: Some("bob"), ..GOOD }, GOOD],
        ),
        ("without a token, by address", by_claim, [GOOD, GOOD], [ann, Asked { from: BOB, ..GOOD }]),
    ] {
        let scene = scene(&[spec]);
        scene.enumerate(abuser[0]);
        assert!(abuser.iter().all(|asked| scene.is_blocked(*asked)), "{row}");
        assert!(!others.iter().any(|asked| scene.is_blocked(*asked)), "{row}: others");
    }
    let scene = scene(&[by_claim]);
    let guess = Asked { status: 401, reason: "token_malformed", ..GOOD };
    (0..40).for_each(|_| drop(scene.ask(guess)));
    assert!(scene.is_blocked(guess), "who guesses tokens is told so");
    assert!(!scene.is_blocked(ann), "whoever has one there is somebody else");
}

#[test]
fn all_policies_hold_together() {
    let scene = scene(&["key: clientAddress, requests: 5", BLOCK, "mode: block, key: principal"]);
    scene.enumerate(GOOD);
    let refused = scene.ask(GOOD).unwrap_err();
    assert_eq!(&*refused.policy, "shop/p1", "the first that blocks");
    assert_eq!(scene.watch.blocks().len(), 3);
}

#[test]
fn s52_a_callers_name_is_cut_and_holds_no_control_characters() {
    let scene = scene(&["key: claim, claim: sub"]);
    let name = format!("a\u{1b}[31m\r\n{}", "x".repeat(10_000));
    scene.enumerate(Asked { token: Some(&name), ..GOOD });
    let shown = &scene.watch.blocks()[0];
    assert_eq!(shown.key, "claim");
    assert!(shown.caller.starts_with("sub a\u{fffd}[31m\u{fffd}\u{fffd}xxx"), "{shown:?}");
    assert_eq!(shown.caller.chars().count(), 256);
}
