//! How a session ends before its time.

use serde_json::json;

use super::scene::{Browser, PAGE, Scene, XHR};

const OWN: &[(&str, &str)] = &[
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("origin", "https://shop.example"),
];

#[tokio::test]
async fn a_logout_is_a_post_of_the_same_origin_and_ends_every_copy_of_the_cookie() {
    for session in ["", ", store: redis"] {
        let more = "  postLogoutRedirectUris: ['https://shop.example/bye']\n";
        let scene = Scene::start(more, session).await;
        let mut ann = Browser::default();
        scene.sign_in(&mut ann, "/").await;
        let mut copy = ann.clone();
        let cross: &[_] = &[("origin", "https://evil.example"), ("sec-fetch-mode", "navigate")];
        for (row, method, with, status, reason) in [
            ("a link", "GET", OWN, 405, "sign_in_method"),
            ("another site", "POST", cross, 403, "logout_cross_origin"),
            ("nobody says where from", "POST", &[], 403, "logout_cross_origin"),
        ] {
            let came = scene.ask(&mut ann, method, "/.postern/logout", with, "").await;
            assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
        }
        assert_eq!(scene.get(&mut ann, "/a", XHR).await.subject(), Some("ann"), "still there");
        let came = scene.ask(&mut ann, "POST", "/.postern/logout", OWN, "").await;
        assert_eq!((came.status(), came.reason()), (303, "signed_out"), "{came:?}");
        let end = format!("{}/end?client_id=shop&id_token_hint=", scene.provider.issuer());
        assert!(came.location().starts_with(&end), "{}", came.location());
        let back = "post_logout_redirect_uri=https%3A%2F%2Fshop.example%2Fbye";
        assert!(came.location().ends_with(back), "{}", came.location());
        assert!(ann.cookies.is_empty(), "{ann:?}");
        let came = scene.get(&mut copy, "/a", XHR).await;
        assert_eq!((came.status(), came.reason()), (401, "sign_in_required"), "a copy");
        assert_eq!(scene.count("postern_logout_total{kind=\"user\"}"), 1);
    }
}

/// A request may wait for the provider for seconds; what is ended meanwhile is over for it, too.
#[tokio::test]
async fn a_request_whose_session_is_ended_while_it_is_renewed_does_not_go_on() {
    for session in ["", ", store: redis"] {
        let scene = Scene::start("", session).await;
        scene.provider.memory.lock().lasts = 0;
        let mut ann = Browser::default();
        let sent = scene.get(&mut ann, "/", PAGE).await;
        scene.come_back(&mut ann, sent.location()).await;
        scene.provider.memory.lock().is_held = true;
        let (mut tab, mut other) = (ann.clone(), ann.clone());
        let request = scene.get(&mut tab, "/transfer", XHR);
        let logout = async {
            scene.provider.until_asked(2).await;
            let came = scene.ask(&mut other, "POST", "/.postern/logout", OWN, "").await;
            assert_eq!(came.reason(), "signed_out");
            scene.provider.memory.lock().is_held = false;
        };
        let (came, ()) = tokio::join!(request, logout);
        assert_eq!((came.status(), came.reason()), (401, "sign_in_required"), "{session}");
        let came = scene.get(&mut tab, "/a", XHR).await;
        assert_eq!(came.status(), 401, "{session}: and the session has not come back");
    }
}

/// Nobody's session, which nobody has ended.
#[tokio::test]
async fn a_logout_without_a_session_ends_none() {
    let scene = Scene::start("", "").await;
    let mut nobody = Browser::default();
    let came = scene.ask(&mut nobody, "POST", "/.postern/logout", OWN, "").await;
    assert_eq!(came.reason(), "signed_out");
    assert_eq!(scene.count("postern_logout_total{kind=\"user\"}"), 0);
}

#[tokio::test]
async fn the_provider_ends_sessions_once_by_a_token_that_is_its_own() {
    const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    let scene = Scene::start("", "").await;
    let (mut ann, mut other) = (Browser::default(), Browser::default());
    scene.sign_in(&mut ann, "/").await;
    scene.provider.memory.lock().claims["sid"] = "sid-2".into();
    scene.sign_in(&mut other, "/").await;
    let good = scene.provider.logout_token(&json!({"sid": "sid-1"}));
    let path = "/.postern/back-channel";
    let mut broken = good.clone();
    broken.pop();
    let no_event = scene.provider.logout_token(&json!({"sid": "sid-1", "events": {}}));
    let for_others = scene.provider.logout_token(&json!({"sid": "sid-1", "aud": "bank"}));
    let id_token = scene.provider.logout_token(&json!({"sid": "sid-1", "nonce": "n"}));
    let mut provider = Browser::default();
    for (row, method, with, token, status) in [
        ("no token", "POST", FORM, "", 400),
        ("no form", "POST", &[], &*good, 400),
        ("not signed by it", "POST", FORM, &broken, 400),
        ("no event", "POST", FORM, &no_event, 400),
        ("another client's", "POST", FORM, &for_others, 400),
        ("an ID token", "POST", FORM, &id_token, 400),
        ("GET", "GET", FORM, &good, 405),
    ] {
        let body = format!("logout_token={token}");
        let came = scene.ask(&mut provider, method, path, with, &body).await;
        assert_eq!(came.status(), status, "{row}: {came:?}");
        assert_eq!(scene.get(&mut ann, "/a", XHR).await.subject(), Some("ann"), "{row}");
    }
    let body = format!("logout_token={good}");
    let came = scene.ask(&mut provider, "POST", path, FORM, &body).await;
    assert_eq!((came.status(), came.reason()), (200, "back_channel_logout"), "{came:?}");
    assert_eq!(scene.get(&mut ann, "/a", XHR).await.reason(), "sign_in_required");
    assert_eq!(scene.get(&mut other, "/a", XHR).await.subject(), Some("ann"), "another session");
    let came = scene.ask(&mut provider, "POST", path, FORM, &body).await;
    assert_eq!((came.status(), came.reason()), (400, "logout_token_refused"), "once");
    assert_eq!(scene.count("postern_logout_total{kind=\"back_channel\"}"), 1);
    let of_all = scene.provider.logout_token(&json!({"sub": "ann", "jti": "jti-2"}));
    let body = format!("logout_token={of_all}");
    scene.ask(&mut provider, "POST", path, FORM, &body).await;
    assert_eq!(scene.get(&mut other, "/a", PAGE).await.reason(), "sign_in_started", "all of ann's");
}
