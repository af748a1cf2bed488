//! JWT-SVIDs from the authority's service, and the stream of bundles that verifies them.

use std::time::{Duration, Instant};

use crate::support::{CART, Ca, Running, id, within};
use agent::renewal::authority_client::{AuthorityAddress, CallError, HostPort, issue, issue_jwt};
use authority::ca::jwt_svid::{JwtRefusal, signed_message};
use authority::clock::{RequestTime, wall_clock};
use identity::jwt::{JwtBundle, JwtBundles, verify_jwt_svid};
use identity::{TrustBundle, TrustDomain};
use issuance_messages::issue_request::Evidence;
use issuance_messages::{IssueJwtRequest, IssueJwtResponse, IssueRequest};
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use rustls_pki_types::UnixTime;
use tonic::Code;

/// A workload with its certificate.
struct Holder {
    key: KeyPair,
    chain: Vec<Vec<u8>>,
}

fn address(authority: &Running) -> AuthorityAddress {
    AuthorityAddress::Network {
        host_port: HostPort::parse(&authority.address.to_string()).unwrap(),
        identity: id("spiffe://cluster.local/postern/authority"),
    }
}

fn roots(ca: &Ca) -> TrustBundle {
    let pem = std::fs::read(ca.bundle()).unwrap();
    TrustBundle::from_pem(TrustDomain::parse("cluster.local").unwrap(), &pem).unwrap()
}

impl Holder {
    async fn of(ca: &Ca, authority: &Running, identity: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let csr_der = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
        let evidence = Some(Evidence::JoinToken(ca.token(identity)));
        let request = IssueRequest { evidence, csr_der };
        let (address, roots) = (address(authority), roots(ca));
        let answer = within("a certificate", issue(&address, &roots, request)).await.unwrap();
        Self { key, chain: answer.certificate_chain }
    }

    fn request(&self, signed_at: u64, audience: &[&str]) -> IssueJwtRequest {
        let audience: Vec<String> = audience.iter().map(|one| (*one).to_owned()).collect();
        let signed_at = i64::try_from(signed_at).unwrap();
        IssueJwtRequest {
            certificate_chain: self.chain.clone(),
            signed_at,
            signature: self.key.sign(&signed_message(signed_at, &audience)).unwrap(),
            audience,
        }
    }
}

async fn ask(
    ca: &Ca,
    authority: &Running,
    request: IssueJwtRequest,
) -> Result<IssueJwtResponse, CallError> {
    within("an answer", issue_jwt(&address(authority), &roots(ca), request)).await
}

fn published(authority: &Running) -> JwtBundles {
    let jwks = authority.authority.publisher.now().own.jwt.to_jwks();
    let trust_domain = TrustDomain::parse("cluster.local").unwrap();
    JwtBundles::new([JwtBundle::parse(trust_domain, &jwks).unwrap()])
}

#[tokio::test]
async fn a_holder_gets_a_token_that_the_published_bundle_verifies() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let request = cart.request(wall_clock(), &["reports", "orders"]);
    let answer = ask(&ca, &authority, request).await.unwrap();
    let now = UnixTime::now();
    for audience in ["reports", "orders"] {
        let svid = verify_jwt_svid(&answer.svid, audience, &published(&authority), now).unwrap();
        assert_eq!(svid.id.as_str(), CART);
        assert_eq!(i64::try_from(svid.expires).unwrap(), answer.not_after);
        assert!(svid.expires - now.as_secs() <= 300);
        assert_eq!(svid.claims.keys().collect::<Vec<_>>(), ["aud", "exp", "iat", "sub"]);
    }
    assert!(verify_jwt_svid(&answer.svid, "cart", &published(&authority), now).is_err());
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
    let good = cart.request(now, &["a"]);
    let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x".repeat(513);
    let mut flipped = good.clone();
    flipped.signature[10] ^= 1;
    let rows: Vec<(&str, IssueJwtRequest, Code)> = vec![
        ("no audience", cart.request(now, &[]), Code::InvalidArgument),
        ("17 audiences", cart.request(now, &many), Code::InvalidArgument),
        ("an empty audience", cart.request(now, &["a", ""]), Code::InvalidArgument),
        ("a long audience", cart.request(now, &[&long]), Code::InvalidArgument),
        ("signed long ago", cart.request(now - 120, &["a"]), Code::Unauthenticated),
        ("signed in the future", cart.request(now + 120, &["a"]), Code::Unauthenticated),
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
        ("another CA of our name", foreign.request(now, &["a"]), Code::Unauthenticated),
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
        authority.jwt.issue(&holder.request(now.wall, &["a"]), ca.bundle(), keys, now)
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
    assert!(matches!(ask(&menu, expired), Err(JwtRefusal::Chain(_))));
}
