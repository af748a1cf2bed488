//! A session, from request to request.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use browser_session::{Session, SignedIn};
use futures_util::future::join_all;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, Response, StatusCode};
use policy::{CanonicalPath, HostName, PathNormalization};

use super::scene::{Browser, PAGE, Scene, XHR};
use crate::clock::unix_now;
use crate::connection::registry::RegisteredConnection;
use crate::http::body::Body;
use crate::labels::Direction;
use crate::traffic::authorize::RequestFacts;
use crate::traffic::caller::AuthenticatedCaller;
use crate::traffic::jwt::AuthenticatedToken;
use crate::traffic::review::{RequestReview, ReviewedFacts};
use crate::traffic::sign_in::refresh::refresh_key;
use crate::traffic::sign_in::session::end;
use crate::traffic::sign_in::shared::Refreshed;
use crate::traffic::sign_in::{kept, known};

#[tokio::test]
async fn tokens_are_renewed_once_however_many_requests_come() {
    for session in ["", ", store: redis"] {
        let scene = Scene::start("", session).await;
        scene.provider.memory.lock().lasts = 0;
        let mut ann = Browser::default();
        let sent = scene.get(&mut ann, "/", PAGE).await;
        scene.come_back(&mut ann, sent.location()).await;
        scene.provider.memory.lock().lasts = 3600;
        scene.provider.memory.lock().claims["email"] = "ann@new.example".into();
        let before = ann.clone();
        let together = (0..8).map(|_| async {
            let mut tab = before.clone();
            let came = scene.get(&mut tab, "/a", XHR).await;
            (came.subject().map(str::to_owned), tab)
        });
        for (subject, tab) in join_all(together).await {
            assert_eq!(subject.as_deref(), Some("ann"), "{session}");
            ann = tab;
        }
        let mut late = before.clone();
        assert_eq!(scene.get(&mut late, "/a", XHR).await.subject(), Some("ann"), "{session}");
        assert_eq!(scene.get(&mut ann, "/a", XHR).await.subject(), Some("ann"), "{session}");
        let asked = scene.provider.take_asked();
        assert_eq!(asked, ["authorization_code", "refresh_token"], "{session}");
        assert_eq!(scene.count("postern_session_refresh_total{result=\"success\"}"), 1);
    }
}

#[tokio::test]
async fn a_refused_refresh_ends_the_session() {
    let scene = Scene::start("", "").await;
    scene.provider.memory.lock().lasts = 0;
    let mut ann = Browser::default();
    let sent = scene.get(&mut ann, "/", PAGE).await;
    scene.come_back(&mut ann, sent.location()).await;
    scene.provider.memory.lock().refresh = None;
    let came = scene.get(&mut ann, "/a", XHR).await;
    assert_eq!((came.status(), came.reason()), (401, "sign_in_required"));
    assert_eq!(ann.count("__Host-postern-s"), 0, "cleared");
    assert_eq!(scene.count("postern_session_refresh_total{result=\"refused\"}"), 1);
    assert_eq!(scene.count("postern_logout_total{kind=\"refresh\"}"), 1);
}

/// A copy of the cookie does not come back when the provider can no longer be asked.
#[tokio::test]
async fn f32_a_session_whose_refresh_was_refused_stays_over_while_the_provider_is_away() {
    for session in ["", ", store: redis"] {
        let scene = Scene::start("", session).await;
        scene.provider.memory.lock().lasts = 0;
        let mut ann = Browser::default();
        let sent = scene.get(&mut ann, "/", PAGE).await;
        scene.come_back(&mut ann, sent.location()).await;
        let mut thief = ann.clone();
        let used = scene.provider.memory.lock().refresh.take().unwrap();
        assert_eq!(scene.get(&mut ann, "/a", XHR).await.status(), 401);
        scene.provider.memory.lock().is_down = true;
        // As after ten seconds, and a try that the provider has not answered.
        let policy = scene.policy();
        let key = refresh_key(&policy, &used.into());
        scene.state().sign_ins.recent.put(key, Refreshed::Unavailable, Instant::now());
        let came = scene.get(&mut thief, "/a", XHR).await;
        assert_eq!((came.status(), came.reason()), (401, "sign_in_required"), "{session}");
    }
}

/// Providers leave out a claim that is empty.
#[tokio::test]
async fn a_claim_that_a_refresh_no_longer_says_is_gone() {
    let scene = Scene::start("  claimHeaders: [{header: x-email, claim: email}]\n", "").await;
    scene.provider.memory.lock().lasts = 0;
    let mut ann = Browser::default();
    let sent = scene.get(&mut ann, "/", PAGE).await;
    scene.come_back(&mut ann, sent.location()).await;
    scene.provider.memory.lock().lasts = 3600;
    scene.provider.memory.lock().claims.as_object_mut().unwrap().remove("email");
    let came = scene.get(&mut ann, "/a", XHR).await;
    assert_eq!((came.subject(), came.field("x-email")), (Some("ann"), None));
}

/// The keys are asked for once in thirty seconds, and the refresh token is used up by then.
#[tokio::test]
async fn a_refresh_whose_id_token_cannot_be_verified_yet_ends_nothing() {
    let scene = Scene::start("  claimHeaders: [{header: x-email, claim: email}]\n", "").await;
    scene.provider.memory.lock().lasts = 0;
    let mut ann = Browser::default();
    let sent = scene.get(&mut ann, "/", PAGE).await;
    scene.come_back(&mut ann, sent.location()).await;
    scene.provider.memory.lock().lasts = 3600;
    scene.provider.memory.lock().key_id = "newer";
    scene.provider.memory.lock().claims["email"] = "evil@shop.example".into();
    for row in ["by the refresh", "by what it gave"] {
        let came = scene.get(&mut ann, "/a", XHR).await;
        let expect = (Some("ann"), Some("ann@shop.example"));
        assert_eq!((came.subject(), came.field("x-email")), expect, "{row}");
    }
    assert_eq!(scene.provider.take_asked(), ["authorization_code", "refresh_token"]);
}

#[tokio::test]
async fn f32_who_is_signed_in_goes_on_while_the_provider_is_away() {
    let scene = Scene::start("", "").await;
    scene.provider.memory.lock().lasts = 0;
    let mut ann = Browser::default();
    let sent = scene.get(&mut ann, "/", PAGE).await;
    scene.come_back(&mut ann, sent.location()).await;
    scene.provider.memory.lock().is_down = true;
    scene.provider.take_asked();
    for _ in 0..3 {
        assert_eq!(scene.get(&mut ann, "/a", PAGE).await.subject(), Some("ann"));
    }
    assert_eq!(scene.provider.take_asked().len(), 1, "and is not asked by each request");
    assert_eq!(scene.count("postern_session_refresh_total{result=\"unavailable\"}"), 1);
}

#[tokio::test]
async fn s41_oauth2_login_state_a_cookie_is_of_one_host_alone() {
    let scene = Scene::start("", "").await;
    let mut ann = Browser::default();
    scene.sign_in(&mut ann, "/").await;
    let value = ann.cookies["__Host-postern-s"].clone();
    let cut = value[..value.len() - 1].to_owned();
    let mut turned = value.clone().into_bytes();
    turned[20] ^= 1;
    let turned = String::from_utf8(turned).unwrap();
    for (row, value, host) in [
        ("another host", &value, "other.example"),
        ("cut", &cut, "shop.example"),
        ("one bit of it", &turned, "shop.example"),
        ("twice", &format!("{value}; __Host-postern-s={value}"), "shop.example"),
        ("empty", &String::new(), "shop.example"),
    ] {
        let mut thief = Browser::default();
        thief.cookies.insert("__Host-postern-s".into(), value.clone());
        let came = scene.get(&mut thief, "/a", &[XHR, &[("host", host)]].concat()).await;
        assert_eq!((came.status(), came.reason()), (401, "sign_in_required"), "{row}");
        assert_eq!(thief.count("__Host-postern-s"), 0, "{row}: cleared");
    }
}

/// A session's id is made at the sign-in: what a browser had before is no part of it.
#[tokio::test]
async fn ghsa_f24x_5g9q_753f_a_sign_in_never_goes_on_with_an_old_session() {
    for session in ["", ", store: redis"] {
        let scene = Scene::start("", session).await;
        let mut ann = Browser::default();
        let sent = scene.get(&mut ann, "/", PAGE).await;
        let mut mallory = Browser::default();
        scene.sign_in(&mut mallory, "/").await;
        let planted = mallory.cookies["__Host-postern-s"].clone();
        ann.cookies.insert("__Host-postern-s".into(), planted.clone());
        scene.come_back(&mut ann, sent.location()).await;
        assert_ne!(ann.cookies["__Host-postern-s"], planted);
        let came = scene.get(&mut mallory, "/a", XHR).await;
        assert_eq!(came.status(), 401, "{session}: and the one that was planted is over");
        assert_eq!(scene.get(&mut ann, "/a", XHR).await.subject(), Some("ann"), "{session}");
    }
}

#[tokio::test]
async fn a_session_that_does_not_fit_says_so_and_a_hint_that_does_not_is_left_out() {
    for (row, length, status, reason) in [
        ("with the ID token it would not fit", 2_000, 303, "signed_in"),
        ("nothing fits", 8_000, 500, "session_too_large"),
    ] {
        let scene = Scene::start("", ", maxCookies: 1").await;
        scene.provider.memory.lock().claims["email"] = "a".repeat(length).into();
        let mut ann = Browser::default();
        let sent = scene.get(&mut ann, "/", PAGE).await;
        let came = scene.come_back(&mut ann, sent.location()).await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
    }
}

/// An app may take its time to answer, and a cookie in that answer would undo what another request has renewed meanwhile.
#[tokio::test]
async fn a_late_answer_does_not_bring_an_old_session_back() {
    let scene = Scene::start("", "").await;
    let mut ann = Browser::default();
    scene.sign_in(&mut ann, "/").await;
    let state = scene.state();
    let (policy, session) = (scene.policy(), session(&scene));
    let set = || vec![HeaderValue::from_static("a=b")];
    let (early, late) =
        (kept(state, &policy, &session, set()), kept(state, &policy, &session, set()));
    assert_eq!(early().len(), 1);
    let key = refresh_key(&policy, &"old".to_owned().into());
    let recent = &state.sign_ins.recent;
    recent.put(key, Refreshed::Unavailable, Instant::now());
    assert_eq!(kept(state, &policy, &session, set())().len(), 1, "nothing has come of it");
    recent.put(key, Refreshed::Renewed(Arc::new(session.clone())), Instant::now());
    assert!(late().is_empty());
}

/// A session with the refresh token `old`.
fn session(scene: &Scene) -> Session {
    let claims = serde_json::json!({"email": "ann@shop.example", "salary": 1});
    let user = SignedIn {
        issuer: scene.provider.issuer(),
        subject: "ann".into(),
        provider_session: None,
        claims: claims.as_object().unwrap().clone(),
        id_token: None,
        refresh_token: Some("old".to_owned().into()),
        access_expires: None,
        auth_time: None,
        acr: None,
    };
    Session::begin(user, 1, 10, &SystemRandom::new()).unwrap()
}

#[tokio::test]
async fn a_claim_that_is_no_longer_kept_is_no_longer_shown() {
    let scene = Scene::start("", "").await;
    let known = known(scene.state(), &scene.policy(), &session(&scene));
    let claims = &known.claims.claims;
    assert!(claims.contains_key("email") && !claims.contains_key("salary"), "{claims:?}");
}

/// A request that is open, by a session of ann's.
fn open_request(scene: &Scene, session: &Session) -> (RegisteredConnection, RequestReview) {
    let state = scene.state();
    let token = AuthenticatedToken::of_known(known(state, &scene.policy(), session));
    let caller = AuthenticatedCaller { token, ..AuthenticatedCaller::default() };
    let (normalization, headers) = (PathNormalization::default(), HeaderMap::new());
    let path = CanonicalPath::parse("/ws", normalization).unwrap();
    let host = HostName::parse("shop.example", Some(443)).unwrap();
    let facts = RequestFacts {
        method: &Method::GET,
        host: &host,
        path: &path,
        headers: &headers,
        token: caller.claims(),
        api_key: None,
    };
    let judged_by =
        ReviewedFacts { normalization, remote_ip: None, caller: &caller, listener: None };
    let address = "10.0.0.7:1".parse().unwrap();
    let connection = state.registry.register(0, Direction::Inbound, address, address, 0);
    let review = RequestReview::begin(&connection, &state.snapshot(), &facts, &judged_by);
    (connection, review)
}

/// What is open is judged again once a second, where somebody has signed out, and else now and then.
#[tokio::test]
async fn what_is_open_ends_with_its_session() {
    let scene = Scene::start("", "").await;
    let (state, now) = (scene.state(), unix_now());
    let lasting = |created| {
        let mut lasting = session(&scene);
        (lasting.created, lasting.ends) = (created, created + 28_800);
        lasting
    };
    let (ann, bob, old) = (lasting(now), lasting(now), lasting(now - 28_801));
    let opened = [&ann, &bob, &old].map(|session| open_request(&scene, session));
    let refused = || opened.each_ref().map(|(_, review)| review.is_refused());
    let mut heard = state.sessions().revocations_heard();
    state.end_with_sessions(&mut heard, 1);
    assert_eq!(refused(), [false; 3], "nothing has happened");
    end(state, &ann).await.unwrap();
    state.end_with_sessions(&mut heard, 2);
    assert_eq!(refused(), [true, false, true], "ann has signed out; and one has ended by itself");
    let (_open, left) = open_request(&scene, &old);
    state.end_with_sessions(&mut heard, 29);
    assert!(!left.is_refused());
    state.end_with_sessions(&mut heard, 30);
    assert!(left.is_refused(), "its ttl has passed");
    let (_open, left) = open_request(&scene, &bob);
    for (row, key, previous, expect) in [
        ("the key is rolled", 8, Some(7), false),
        ("its key is the one before", 8, Some(7), false),
        ("its key is gone", 8, None, true),
    ] {
        scene.roll(key, previous);
        assert_eq!(left.is_refused(), expect, "{row}");
    }
}

/// A browser takes cookies of an answer that switches protocols, and what renewed the session may be that one.
#[tokio::test]
async fn a_web_socket_gets_its_cookie_too() {
    let scene = Scene::start("", "").await;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let set = (SET_COOKIE, HeaderValue::from_static("a=b"));
    let (response, _) = scene.switched(response, set);
    assert_eq!(response.headers().get("set-cookie").unwrap(), "a=b");
}
