//! JWT-SVIDs from the authority's service, and the stream of bundles that verifies them.

use std::time::{Duration, Instant};

use crate::support::holder::Holder;
use crate::support::{CART, Ca, Running, within};
use agent::renewal::authority_client::{CallError, issue_jwt};
use authority::ca::holder::HolderError;
use authority::ca::jwt_svid::{JwtRefusal, signed_message};
use authority::clock::{RequestTime, wall_clock};
use identity::jwt::verify_jwt_svid;
use issuance_messages::{IssueJwtRequest, IssueJwtResponse};
use rcgen::SigningKey as _;
use rustls_pki_types::UnixTime;
use tonic::Code;

fn request(holder: &Holder, signed_at: u64, audience: &[&str]) -> IssueJwtRequest {
    let audience: Vec<String> = audience.iter().map(|one| (*one).to_owned()).collect();
    let signed_at = i64::try_from(signed_at).unwrap();
    IssueJwtRequest {
        certificate_chain: holder.chain.clone(),
        signed_at,
        signature: holder.key.sign(&signed_message(signed_at, &audience)).unwrap(),
        audience,
    }
}

async fn ask(
    ca: &Ca,
    authority: &Running,
    request: IssueJwtRequest,
) -> Result<IssueJwtResponse, CallError> {
    within("an answer", issue_jwt(&authority.for_agents(), &ca.roots(), request)).await
}

#[tokio::test]
async fn a_holder_gets_a_token_that_the_published_bundle_verifies() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let request = request(&cart, wall_clock(), &["reports", "orders"]);
    let answer = ask(&ca, &authority, request).await.unwrap();
    let now = UnixTime::now();
    for audience in ["reports", "orders"] {
        let svid = verify_jwt_svid(&answer.svid, audience, &authority.jwt_bundles(), now).unwrap();
        assert_eq!(svid.id.as_str(), CART);
        assert_eq!(i64::try_from(svid.expires).unwrap(), answer.not_after);
        assert!(svid.expires - now.as_secs() <= 300);
        assert_eq!(svid.claims.keys().collect::<Vec<_>>(), ["aud", "exp", "iat", "sub"]);
    }
    assert!(verify_jwt_svid(&answer.svid, "cart", &authority.jwt_bundles(), now).is_err());
}

#[tokio::test]
async fn s30_jwt_names_come_from_the_verified_leaf_only_and_every_refusal_has_its_code() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let other_ca = Ca::new();
    let others = other_ca.start().await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let menu = Holder::of(&ca, &authority, "spiffe://cluster.local/ns/shop/sa/menu").await;
    let foreign = Holder::of(&other_ca, &others, CART).await;
    let now = wall_clock();
    let good = request(&cart, now, &["a"]);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x".repeat(513);
    let mut flipped = good.clone();
    flipped.signature[10] ^= 1;
    let rows: Vec<(&str, IssueJwtRequest, Code)> = vec![
        ("no audience", request(&cart, now, &[]), Code::InvalidArgument),
        ("17 audiences", request(&cart, now, &many), Code::InvalidArgument),
        ("an empty audience", request(&cart, now, &["a", ""]), Code::InvalidArgument),
        ("a long audience", request(&cart, now, &[&long]), Code::InvalidArgument),
        ("signed long ago", request(&cart, now - 120, &["a"]), Code::Unauthenticated),
        ("signed in the future", request(&cart, now + 120, &["a"]), Code::Unauthenticated),
        (
            "a time before 1970",
            IssueJwtRequest { signed_at: -1, ..good.clone() },
            Code::Unauthenticated,
        ),
        (
            "no chain",
            IssueJwtRequest { certificate_chain: Vec::new(), ..good.clone() },
            Code::Unauthenticated,
        ),
        (
            "garbage for a chain",
            IssueJwtRequest { certificate_chain: vec![vec![1, 2, 3]], ..good.clone() },
            Code::Unauthenticated,
        ),
        (
            "a leaf without its intermediate",
            IssueJwtRequest {
                certificate_chain: good.certificate_chain[..1].to_vec(),
                ..good.clone()
            },
            Code::Unauthenticated,
        ),
        (
            "the intermediate as a leaf",
            IssueJwtRequest {
                certificate_chain: good.certificate_chain[1..].to_vec(),
                ..good.clone()
            },
            Code::Unauthenticated,
        ),
        ("another CA of our name", request(&foreign, now, &["a"]), Code::Unauthenticated),
        (
            "somebody else's chain",
            IssueJwtRequest { certificate_chain: menu.chain.clone(), ..good.clone() },
            Code::Unauthenticated,
        ),
        (
            "another audience than signed",
            IssueJwtRequest { audience: vec!["b".into()], ..good.clone() },
            Code::Unauthenticated,
        ),
        (
            "another time than signed",
            IssueJwtRequest { signed_at: good.signed_at - 1, ..good.clone() },
            Code::Unauthenticated,
        ),
        ("a flipped bit", flipped, Code::Unauthenticated),
        (
            "no signature",
            IssueJwtRequest { signature: Vec::new(), ..good.clone() },
            Code::Unauthenticated,
        ),
    ];
    for (name, request, expect) in rows {
        match ask(&ca, &authority, request).await {
            Err(CallError::Refused { code, .. }) => assert_eq!(code, expect, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(ask(&ca, &authority, good).await.is_ok(), "the good one");
}

#[tokio::test]
async fn audiences_cannot_be_moved_from_one_to_the_next() {
    let split = |parts: &[&str]| {
        signed_message(1, &parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
    };
    assert_ne!(split(&["ab", "c"]), split(&["a", "bc"]));
    assert_ne!(split(&["a"]), split(&["a", ""]));
}

#[tokio::test]
async fn tokens_are_rated_per_identity_and_end_with_the_certificate() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let menu = Holder::of(&ca, &authority, "spiffe://cluster.local/ns/shop/sa/menu").await;
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let ask = |holder: &Holder, now: RequestTime| {
        let authority = &authority.authority;
        let (ca, keys) = (authority.ca.now(), &authority.publisher.jwt_keys);
        authority.jwt.issue(&request(holder, now.wall, &["a"]), ca.bundle(), keys, now)
    };
    for n in 0..60 {
        assert!(ask(&cart, now).is_ok(), "{n}");
    }
    assert!(matches!(ask(&cart, now), Err(JwtRefusal::Limited(_))));
    assert!(ask(&menu, now).is_ok(), "another identity is not concerned");
    let later =
        RequestTime { wall: now.wall + 3, monotonic: now.monotonic + Duration::from_secs(3) };
    assert!(ask(&cart, later).is_ok());
    let expired = RequestTime { wall: now.wall + 3601, monotonic: later.monotonic };
    assert!(matches!(ask(&menu, expired), Err(JwtRefusal::Holder(HolderError::Chain(_)))));
}
