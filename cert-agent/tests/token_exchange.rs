//! Internal tokens: who may have one signed, what it says, and how a proxy gets it from its agent.

use std::time::{Duration, Instant};

use crate::support::fake::{Fake, agent_of};
use crate::support::holder::Holder;
use crate::support::{Agent, CART, Ca, Running, id, with_header, within};
use agent::cli::fetch;
use agent::proto::own::exchange_request::Subject as AskedSubject;
use agent::proto::own::token_exchange_client::TokenExchangeClient;
use agent::proto::own::token_exchange_server::TokenExchangeServer;
use agent::proto::own::{ExchangeRequest, ExchangeResponse, UserAssertion as AskedUser};
use agent::renewal::authority_client::{AuthorityAddress, CallError, KeptConnection};
use agent::renewal::exchange_source::ExchangeSource;
use agent::renewal::served_state;
use agent::serve::callers::AllowedCallers;
use agent::serve::socket::ListeningSocket;
use agent::serve::token_exchange::TokenExchangeService;
use authority::attest::registry::Registry;
use authority::ca::token_exchange::refusal::ExchangeRefusal;
use authority::ca::token_issuer::IssuerUrl;
use authority::clock::{RequestTime, wall_clock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::jwt::internal::{InternalJwt, verify_internal_jwt};
use identity::jwt::verify_jwt_svid;
use issuance_messages::exchange_token_request::Subject;
use issuance_messages::{ExchangeTokenRequest, ExchangeTokenResponse, UserAssertion};
use rcgen::SigningKey as _;
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Code, Request, Status};

const GATEWAY: &str = "spiffe://cluster.local/ns/edge/sa/gateway";
const MENU: &str = "spiffe://cluster.local/ns/shop/sa/menu";
const MESH: &str = "spiffe://cluster.local";
const CLAIMS: &str = r#"{"email":"ann@example.org","groups":["staff"]}"#;

fn ann() -> UserAssertion {
    user("ann", "https://id.example", CLAIMS)
}

fn user(subject: &str, issuer: &str, claims: &str) -> UserAssertion {
    UserAssertion {
        subject: subject.to_owned(),
        original_issuer: issuer.to_owned(),
        claims: claims.to_owned(),
    }
}

/// An authority that lets the gateway vouch.
async fn ready() -> (Ca, Running) {
    let ca = Ca::new();
    let authority = ca.start().await;
    let trust_domain = authority.authority.ca.now().trust_domain().clone();
    let registry = Registry::parse(&format!("tokenVouchers: [{GATEWAY}]"), &trust_domain).unwrap();
    authority.authority.records.registry.set(registry);
    (ca, authority)
}

impl Holder {
    fn asks(&self, audience: &str, lifetime: u32, subject: Subject) -> ExchangeTokenRequest {
        self.signed(ExchangeTokenRequest {
            certificate_chain: self.chain.clone(),
            signed_at: i64::try_from(wall_clock()).unwrap(),
            signature: Vec::new(),
            audience: audience.to_owned(),
            lifetime,
            subject: Some(subject),
        })
    }

    fn signed(&self, mut request: ExchangeTokenRequest) -> ExchangeTokenRequest {
        request.signature = self.key.sign(&request.signed_bytes()).unwrap();
        request
    }

    fn asserts(&self, audience: &str, user: UserAssertion) -> ExchangeTokenRequest {
        self.asks(audience, 0, Subject::Assertion(user))
    }

    fn delegates(&self, audience: &str, token: &str) -> ExchangeTokenRequest {
        self.asks(audience, 0, Subject::SubjectToken(token.to_owned()))
    }
}

async fn ask(
    authority: &Running,
    request: ExchangeTokenRequest,
) -> Result<ExchangeTokenResponse, CallError> {
    let roots = authority.authority.ca.now().bundle().clone();
    let mut connection = KeptConnection::open(&authority.for_agents(), &roots).await.unwrap();
    within("an answer", connection.exchange_token(request)).await
}

fn read(authority: &Running, token: &str) -> InternalJwt {
    let own = &authority.authority.publisher.now().own.jwt;
    verify_internal_jwt(token, own, UnixTime::now(), 0).unwrap()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_gateway_says_who_the_user_is_and_a_workload_says_it_again() {
    let (ca, authority) = ready().await;
    let gateway = Holder::of(&ca, &authority, GATEWAY).await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let before = wall_clock();
    let first = ask(&authority, gateway.asserts(CART, ann())).await.unwrap();
    let (at, said) = (claims(&first.token), read(&authority, &first.token));
    let expires = at["exp"].as_u64().unwrap();
    assert_eq!(i64::try_from(expires).unwrap(), first.not_after);
    assert!((before + 300..=before + 320).contains(&expires), "five minutes");
    let expect = json!({
        "iss": MESH, "sub": "ann", "aud": [CART], "exp": expires, "iat": at["iat"], "jti": said.token_id,
        "act": {"sub": GATEWAY}, "orig_iss": "https://id.example",
        "email": "ann@example.org", "groups": ["staff"],
    });
    assert_eq!(at, expect);

    let second = ask(&authority, cart.delegates(MENU, &first.token)).await.unwrap();
    let (again, said_again) = (claims(&second.token), read(&authority, &second.token));
    let mut expect = expect;
    expect["aud"] = json!([MENU]);
    expect["act"] = json!({"sub": CART, "act": {"sub": GATEWAY}});
    expect["iat"] = again["iat"].clone();
    expect["jti"] = again["jti"].clone();
    assert_eq!(again, expect, "the user's facts and the end stay as they are");
    assert_ne!(said.token_id, said_again.token_id);
    assert_eq!(said_again.actors, [id(CART), id(GATEWAY)]);

    // Every workload takes what is for the trust domain; a shorter life is kept, a longer one is not given.
    let short = Subject::Assertion(ann());
    let mesh = ask(&authority, gateway.asks(MESH, 60, short)).await.unwrap();
    assert!(mesh.not_after <= first.not_after - 235, "{} {}", mesh.not_after, first.not_after);
    let menu = ask(&authority, cart.delegates(MENU, &mesh.token)).await.unwrap();
    assert_eq!(menu.not_after, mesh.not_after, "not outlived");

    let page = authority.authority.metrics.page(&authority.authority.ca.now(), before).unwrap();
    for line in [
        "postern_authority_token_exchanges_total{kind=\"assertion\",result=\"issued\"} 2",
        "postern_authority_token_exchanges_total{kind=\"delegation\",result=\"issued\"} 2",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
}

#[tokio::test]
async fn s30_internal_jwt_every_refusal_stands_beside_its_permission() {
    let (ca, authority) = ready().await;
    let other_ca = Ca::of("other.test");
    let other = other_ca.start().await;
    let gateway = Holder::of(&ca, &authority, GATEWAY).await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let foreign = Holder::of(&other_ca, &other, "spiffe://other.test/ns/edge/sa/gateway").await;
    let for_cart = ask(&authority, gateway.asserts(CART, ann())).await.unwrap().token;
    let for_menu = ask(&authority, gateway.asserts(MENU, ann())).await.unwrap().token;
    let good = gateway.asserts(CART, ann());
    let with = |change: &dyn Fn(&mut ExchangeTokenRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let assert = |subject: &str, issuer: &str, claims: &str| {
        gateway.asserts(CART, user(subject, issuer, claims))
    };
    let issuer = "https://id.example";
    let about = |claim: &str| assert("ann", issuer, &format!("{{\"{claim}\":\"x\"}}"));
    let long = format!("{{\"a\":\"{}\"}}", "a".repeat(4096));
    let deep = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
    let mut forged = for_cart.clone();
    let last = if forged.ends_with('A') { "g" } else { "A" };
    forged.replace_range(forged.len() - 3..forged.len() - 2, last);
    let unsigned = format!("{}.", for_cart.rsplit_once('.').unwrap().0);
    let svid = authority.authority.publisher.jwt_keys.now().signer(wall_clock()).unwrap();
    let exp = wall_clock() + 300;
    let svid = svid.token(&json!({"sub": GATEWAY, "aud": [CART], "exp": exp, "iat": exp})).unwrap();
    let strange = authority.authority.publisher.jwt_keys.now().signer(wall_clock()).unwrap();
    let mut said = claims(&for_cart);
    said["iss"] = json!("https://elsewhere.example");
    let strange = strange.token(&said).unwrap();
    let of_other = other.authority.publisher.jwt_keys.now().signer(wall_clock()).unwrap();
    let of_other = of_other.token(&claims(&for_cart)).unwrap();
    let soon = i64::try_from(wall_clock()).unwrap() + 120;
    let (invalid, unknown, denied) =
        (Code::InvalidArgument, Code::Unauthenticated, Code::PermissionDenied);
    // Our own fault, which a user's client must not hear as theirs.
    let own_fault = Code::FailedPrecondition;
    let rows: Vec<(&str, ExchangeTokenRequest, Code)> = vec![
        ("no voucher", cart.asserts(MENU, ann()), denied),
        ("of another trust domain", foreign.asserts(CART, ann()), own_fault),
        (
            "for another trust domain",
            gateway.asserts("spiffe://other.test/ns/a/sa/b", ann()),
            invalid,
        ),
        ("for all of it", gateway.asserts("spiffe://other.test", ann()), invalid),
        (
            "for the authority",
            gateway.asserts("spiffe://cluster.local/postern/authority", ann()),
            invalid,
        ),
        ("for a name", gateway.asserts("menu", ann()), invalid),
        ("for nobody", gateway.asserts("", ann()), invalid),
        ("for too long", gateway.asks(CART, 301, Subject::Assertion(ann())), invalid),
        ("nobody named", gateway.signed(with(&|request| request.subject = None)), invalid),
        ("no user", assert("", issuer, ""), invalid),
        ("a long user", assert(&"a".repeat(256), issuer, ""), invalid),
        ("a line feed in it", assert("ann\nbob", issuer, ""), invalid),
        ("a workload for a user", assert(CART, issuer, ""), invalid),
        ("in capitals", assert("SPIFFE://cluster.local/ns/shop/sa/cart", issuer, ""), invalid),
        ("no issuer", assert("ann", "", ""), invalid),
        ("a long issuer", assert("ann", &"a".repeat(513), ""), invalid),
        ("long claims", assert("ann", issuer, &long), invalid),
        ("deep claims", assert("ann", issuer, &deep), invalid),
        ("a list of claims", assert("ann", issuer, "[]"), invalid),
        ("a claim twice", assert("ann", issuer, r#"{"a":1,"a":2}"#), invalid),
        ("the issuer as a claim", about("iss"), invalid),
        ("the subject as a claim", about("sub"), invalid),
        ("the audience as a claim", about("aud"), invalid),
        ("the end as a claim", about("exp"), invalid),
        ("the actor as a claim", about("act"), invalid),
        ("a key as a claim", about("cnf"), invalid),
        ("the original issuer as a claim", about("orig_iss"), invalid),
        ("a forged signature", with(&|request| request.signature[10] ^= 1), own_fault),
        ("no signature", with(&|request| request.signature.clear()), own_fault),
        (
            "another audience than signed",
            with(&|request| MENU.clone_into(&mut request.audience)),
            own_fault,
        ),
        ("another lifetime than signed", with(&|request| request.lifetime = 1), own_fault),
        (
            "another user than signed",
            with(&|request| {
                request.subject = Some(Subject::Assertion(user("bob", issuer, CLAIMS)))
            }),
            own_fault,
        ),
        (
            "somebody else's chain",
            with(&|request| request.certificate_chain.clone_from(&cart.chain)),
            own_fault,
        ),
        ("no chain", with(&|request| request.certificate_chain.clear()), own_fault),
        ("signed long ago", gateway.signed(with(&|request| request.signed_at -= 120)), own_fault),
        (
            "signed in the future",
            gateway.signed(with(&|request| request.signed_at = soon)),
            own_fault,
        ),
        ("before 1970", gateway.signed(with(&|request| request.signed_at = -1)), own_fault),
        ("a token for somebody else", cart.delegates(MENU, &for_menu), denied),
        ("the gateway's own back", gateway.delegates(MENU, &for_cart), denied),
        ("a forged token", cart.delegates(MENU, &forged), unknown),
        ("an unsigned token", cart.delegates(MENU, &unsigned), unknown),
        ("a JWT-SVID", cart.delegates(MENU, &svid), unknown),
        ("of another issuer", cart.delegates(MENU, &strange), unknown),
        ("by another authority", cart.delegates(MENU, &of_other), unknown),
        ("no token", cart.delegates(MENU, ""), unknown),
        ("on to another trust domain", cart.delegates("spiffe://other.test/a", &for_cart), invalid),
    ];
    for (name, request, expect) in rows {
        match ask(&authority, request).await {
            Err(CallError::Refused { code, message }) => {
                assert_eq!(code, expect, "{name}: {message}");
                assert!(!message.contains("ann") && !message.contains("eyJ"), "{name}: {message}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(ask(&authority, good).await.is_ok(), "the good assertion");
    assert!(ask(&authority, assert("ann", issuer, "")).await.is_ok(), "without claims");
    assert!(ask(&authority, cart.delegates(MENU, &for_cart)).await.is_ok(), "the good delegation");
    let refused = verify_jwt_svid(&for_cart, CART, &authority.jwt_bundles(), UnixTime::now());
    assert!(refused.is_err(), "an internal token proves no workload");
}

#[tokio::test]
async fn s30_internal_jwt_16_actors_and_not_one_more() {
    let (ca, authority) = ready().await;
    let gateway = Holder::of(&ca, &authority, GATEWAY).await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let menu = Holder::of(&ca, &authority, MENU).await;
    let mut token = ask(&authority, gateway.asserts(CART, ann())).await.unwrap().token;
    for actors in 2..=16 {
        let (holder, next) = if actors % 2 == 0 { (&cart, MENU) } else { (&menu, CART) };
        token = ask(&authority, holder.delegates(next, &token)).await.unwrap().token;
        assert_eq!(read(&authority, &token).actors.len(), actors);
    }
    let refused = ask(&authority, menu.delegates(CART, &token)).await;
    assert!(matches!(refused, Err(CallError::Refused { code: Code::PermissionDenied, .. })));
}

/// A sidecar that has a token signed for its own app, and exchanges it when the app sends it on, is one workload.
#[tokio::test]
async fn a_workload_that_acts_already_is_not_named_twice() {
    let (ca, authority) = ready().await;
    let gateway = Holder::of(&ca, &authority, GATEWAY).await;
    let cart = Holder::of(&ca, &authority, CART).await;
    let own = ask(&authority, gateway.asserts(GATEWAY, ann())).await.unwrap().token;
    let sent_on = ask(&authority, gateway.delegates(CART, &own)).await.unwrap().token;
    assert_eq!(claims(&sent_on)["act"], json!({"sub": GATEWAY}));
    let again = ask(&authority, cart.delegates(MESH, &sent_on)).await.unwrap().token;
    let by_cart = ask(&authority, cart.delegates(MENU, &again)).await.unwrap().token;
    let through = json!({"sub": CART, "act": {"sub": GATEWAY}});
    assert_eq!(claims(&by_cart)["act"], through);
    let back = ask(&authority, gateway.delegates(MENU, &again)).await.unwrap().token;
    assert_eq!(claims(&back)["act"], json!({"sub": GATEWAY, "act": through}), "on the way again");
}

#[tokio::test]
async fn s33_ca_dos_internal_tokens_have_a_rate_of_their_own_and_an_end() {
    let (ca, authority) = ready().await;
    let gateway = Holder::of(&ca, &authority, GATEWAY).await;
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let authority = &authority.authority;
    let first = authority.exchange_token_at(&gateway.asserts(CART, ann()), now).unwrap();
    let delegated = |seconds: u64| {
        let now = RequestTime { wall: now.wall + seconds, ..now };
        let token = Subject::SubjectToken(first.token.to_string());
        authority.exchange_for(&id(CART), MENU, 0, &token, now).map(|token| token.not_after)
    };
    assert_eq!(delegated(0).ok(), Some(now.wall + 300));
    assert_eq!(delegated(299).ok(), Some(now.wall + 300), "its last second");
    assert!(matches!(delegated(300), Err(ExchangeRefusal::SubjectToken(_))), "no leeway");

    let nobody = Subject::SubjectToken(String::new());
    let ask = |holder: &str, now| authority.exchange_for(&id(holder), CART, 0, &nobody, now);
    for n in 0..6_000 {
        assert!(matches!(ask(MENU, now), Err(ExchangeRefusal::SubjectToken(_))), "{n}");
    }
    assert!(matches!(ask(MENU, now), Err(ExchangeRefusal::IdentityRate)));
    assert!(matches!(ask(GATEWAY, now), Err(ExchangeRefusal::SubjectToken(_))), "its own bucket");
    let later = RequestTime { monotonic: now.monotonic + Duration::from_secs(1), ..now };
    assert!(matches!(ask(MENU, later), Err(ExchangeRefusal::SubjectToken(_))));
}

#[tokio::test]
async fn an_https_issuer_is_named_in_both_kinds_of_token_and_earlier_ones_stay_good() {
    let mut ca = Ca::new();
    ca.settings.jwt_issuer = Some(IssuerUrl::parse("https://id.example/mesh").unwrap());
    let authority = ca.load();
    let now = RequestTime { wall: wall_clock(), monotonic: Instant::now() };
    let signer = authority.publisher.jwt_keys.now().signer(now.wall).unwrap();
    let earlier = signer.token(&json!({
        "iss": MESH, "sub": "ann", "aud": [CART], "exp": now.wall + 60, "iat": now.wall, "jti": "1",
        "act": {"sub": GATEWAY}, "orig_iss": "https://id.example",
    }));
    let earlier = Subject::SubjectToken(earlier.unwrap());
    let token = authority.exchange_for(&id(CART), MENU, 0, &earlier, now).unwrap();
    assert_eq!(claims(&token.token)["iss"], "https://id.example/mesh");
    let again = Subject::SubjectToken(token.token.to_string());
    assert!(authority.exchange_for(&id(MENU), CART, 0, &again, now).is_ok());
}

/// The proxy's side of the agent's socket.
async fn exchange(agent: &Agent, request: ExchangeRequest) -> Result<ExchangeResponse, Status> {
    let channel = fetch::connect(agent.socket()).await.unwrap();
    let mut client = TokenExchangeClient::new(channel);
    let answer = within("an answer", client.exchange(with_header(request))).await;
    answer.map(tonic::Response::into_inner)
}

fn assertion(audience: &str) -> ExchangeRequest {
    let user = AskedUser {
        subject: "ann".to_owned(),
        original_issuer: "https://id.example".to_owned(),
        claims: CLAIMS.to_owned(),
    };
    let subject = Some(AskedSubject::Assertion(user));
    ExchangeRequest { audience: audience.to_owned(), lifetime: 0, subject }
}

fn delegation(audience: &str, token: &str) -> ExchangeRequest {
    let subject = Some(AskedSubject::SubjectToken(token.to_owned()));
    ExchangeRequest { audience: audience.to_owned(), lifetime: 0, subject }
}

#[tokio::test]
async fn a_proxy_gets_internal_tokens_from_its_agent() {
    let (ca, authority) = ready().await;
    let gateway = Agent::joining(&ca, authority.address, GATEWAY).started().await;
    let cart = Agent::joining(&ca, authority.address, CART).started().await;
    for agent in [&gateway, &cart] {
        agent.until("the bundles", |status| status.bundle_stream.updates > 0).await;
    }
    let first = exchange(&gateway, assertion(CART)).await.unwrap();
    assert_eq!(read(&authority, &first.token).actors, [id(GATEWAY)]);
    assert_eq!(Some(first.not_after), claims(&first.token)["exp"].as_i64());
    let second = exchange(&cart, delegation(MENU, &first.token)).await.unwrap();
    assert_eq!(read(&authority, &second.token).actors, [id(CART), id(GATEWAY)]);
    assert_eq!(second.not_after, first.not_after);

    let refused =
        async |agent: &Agent, request: ExchangeRequest| exchange(agent, request).await.unwrap_err();
    assert_eq!(refused(&cart, assertion(MENU)).await.code(), Code::PermissionDenied);
    assert_eq!(refused(&cart, delegation(MENU, "x")).await.code(), Code::Unauthenticated);
    assert_eq!(refused(&cart, delegation("menu", "x")).await.code(), Code::InvalidArgument);
    let nobody = ExchangeRequest { subject: None, ..assertion(CART) };
    assert_eq!(refused(&gateway, nobody).await.code(), Code::InvalidArgument);
    let channel = fetch::connect(gateway.socket()).await.unwrap();
    let confused = TokenExchangeClient::new(channel).exchange(assertion(CART)).await;
    assert_eq!(confused.unwrap_err().code(), Code::InvalidArgument, "without the security header");

    // The kept connection ends with the authority; the next question makes a new one.
    let address = authority.address;
    authority.stop().await;
    assert_eq!(refused(&gateway, assertion(CART)).await.code(), Code::Unavailable);
    let authority = ca.start_at(address).await;
    let again = refused(&gateway, assertion(CART)).await;
    assert_eq!(again.code(), Code::PermissionDenied, "it answers; its registry is empty: {again}");
    drop(authority);
}

#[tokio::test]
async fn s36_local_secrets_and_rights_internal_tokens_for_listed_users_only() {
    let (ca, dir) = (Ca::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("agent.sock");
    let other = nix::unistd::Uid::effective().as_raw() + 1;
    let callers = AllowedCallers::exactly(vec![other]);
    let (_publisher, view) = served_state::channel(ca.roots());
    let source = ExchangeSource::new(AuthorityAddress::Unix("/nowhere".into()), view.clone());
    let service = TokenExchangeService::new(view, source, callers.clone());
    let socket = ListeningSocket::bind(&path, 0o666).unwrap();
    let services = Routes::new(TokenExchangeServer::new(service));
    tokio::spawn(socket.serve(services, callers, CancellationToken::new()));
    let mut client = TokenExchangeClient::new(fetch::connect(&path).await.unwrap());
    let refused = within("no", client.exchange(with_header(assertion(CART)))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains("may not ask here"), "{refused}");
}

#[tokio::test]
async fn an_agent_believes_no_internal_token_that_it_did_not_mean() {
    let ca = Ca::new();
    let fake = Fake::serve(&ca);
    let agent = agent_of(&ca, &fake.socket, CART).started().await;
    agent.until("the bundles", |status| status.bundle_stream.updates > 0).await;
    let now = wall_clock();
    let honest = json!({
        "iss": MESH, "sub": "ann", "aud": [MENU], "exp": now + 300, "iat": now, "jti": "1",
        "act": {"sub": CART}, "orig_iss": "https://id.example",
    });
    let check = async |name: &str, change: &dyn Fn(&mut Value), expect: Option<&str>| {
        let mut says = honest.clone();
        change(&mut says);
        *fake.internal.lock().unwrap() = Some(says);
        match (exchange(&agent, assertion(MENU)).await, expect) {
            (Ok(_), None) => {}
            (Err(status), Some(words)) => {
                assert_eq!(status.code(), Code::Unavailable, "{name}");
                assert!(status.message().contains(words), "{name}: {status}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    };
    check("as it was meant", &|_| {}, None).await;
    check("another user", &|says| says["sub"] = json!("bob"), Some("another user")).await;
    check("of another issuer", &|says| says["orig_iss"] = json!("x"), Some("another user")).await;
    check("for another", &|says| says["aud"] = json!([CART]), Some("another audience")).await;
    check(
        "for another as well",
        &|says| says["aud"] = json!([MENU, CART]),
        Some("another audience"),
    )
    .await;
    check("another actor", &|says| says["act"] = json!({"sub": MENU}), Some("the actor")).await;
    check("over", &|says| says["exp"] = json!(now - 61), Some("expired")).await;
    check("a JWT-SVID", &|says| says["sub"] = json!(CART), Some("`sub`")).await;
    *fake.internal.lock().unwrap() = None;
    let refused = exchange(&agent, assertion(MENU)).await.unwrap_err();
    assert!(refused.message().contains("not today"), "{refused}");
}

#[test]
fn nothing_of_a_user_or_a_token_is_in_the_debug_of_a_message() {
    let holder = ExchangeTokenRequest {
        subject: Some(Subject::Assertion(ann())),
        ..ExchangeTokenRequest::default()
    };
    let answer = ExchangeTokenResponse { token: "ann".to_owned(), ..Default::default() };
    let gives = ExchangeResponse { token: "ann".to_owned(), not_after: 1 };
    let texts = [
        format!("{holder:?}"),
        format!("{:?}", ann()),
        format!("{answer:?}"),
        format!("{:?}", assertion(CART)),
        format!("{:?}", delegation(CART, "ann")),
        format!("{gives:?}"),
        format!("{:?}", Request::new(assertion(CART))),
    ];
    for text in texts {
        assert!(!text.contains("ann"), "{text}");
    }
}
