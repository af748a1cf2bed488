//! Signing in, and who is not let in.

use serde_json::json;

use super::scene::{Browser, PAGE, Scene, XHR};

#[tokio::test]
async fn a_person_signs_in_once_and_the_app_learns_who_it_is() {
    let more = "  claimHeaders: [{header: x-user, claim: sub}]\n";
    let scene = Scene::start(more, "").await;
    let mut ann = Browser::default();
    let came = scene.sign_in(&mut ann, "/account?tab=2").await;
    assert_eq!((came.status(), came.subject()), (200, Some("ann")), "{came:?}");
    let forged = [PAGE, &[("x-user", "admin"), ("x-other", "b")]].concat();
    let came = scene.get(&mut ann, "/account", &forged).await;
    assert_eq!(came.field("x-user"), Some("ann"), "S-16: only what the SignIn makes");
    assert_eq!((came.field("cookie"), came.field("x-other")), (None, Some("b")));
    let came = scene.get(&mut ann, "/api", XHR).await;
    assert_eq!((came.status(), came.subject()), (200, Some("ann")), "a script of the page");
    assert_eq!(scene.provider.take_asked(), ["authorization_code"]);
    assert_eq!(scene.count("postern_sign_in_total{result=\"started\"}"), 1);
    assert_eq!(scene.count("postern_sign_in_total{result=\"success\"}"), 1);
    assert_eq!(ann.count("__Host-postern-f"), 0, "the flow is over");
    assert_eq!(ann.count("__Host-postern-c"), 0, "what was completed has been seen");
    assert_eq!(ann.count("__Host-postern-s"), 1, "{ann:?}");
}

#[tokio::test]
async fn a_script_is_never_redirected_and_a_preflight_passes_as_nobody() {
    let scene = Scene::start("", "").await;
    let preflight: &[_] = &[("origin", "https://a"), ("access-control-request-method", "PUT")];
    for (row, method, with, status, reason) in [
        ("a script", "GET", XHR, 401, "sign_in_required"),
        ("a script that posts", "POST", XHR, 401, "sign_in_required"),
        ("a program", "GET", &[], 401, "sign_in_required"),
        ("a probe, by its name", "GET", &[("user-agent", "kube-probe/1")], 401, "sign_in_required"),
        ("a page", "GET", PAGE, 302, "sign_in_started"),
        ("a form", "POST", PAGE, 303, "sign_in_started"),
        ("a preflight", "OPTIONS", preflight, 200, "through"),
    ] {
        let mut who = Browser::default();
        let came = scene.ask(&mut who, method, "/a", with, "").await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
        assert_eq!(came.location().starts_with(&scene.provider.issuer()), status / 100 == 3);
        assert_eq!(who.count("__Host-postern-f-"), usize::from(status / 100 == 3), "{row}");
        assert_eq!(came.subject(), None, "{row}");
    }
}

/// Another proxy let a request pass with any bearer token, because the app would look at it.
#[tokio::test]
async fn cve_2022_29226_an_unverified_bearer_token_is_nobodys() {
    let scene = Scene::start("", "").await;
    let (mut nobody, mut ann) = (Browser::default(), Browser::default());
    scene.sign_in(&mut ann, "/").await;
    for (row, value, forwarded) in [
        ("made up", "Bearer x", false),
        ("in another case", "bEARER x", false),
        ("after a tab", "Bearer\tx", false),
        ("unsigned", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", false),
        ("bound", "DPoP x", false),
        ("of another scheme", "Basic YTpi", true),
    ] {
        let with = [XHR, &[("authorization", value)]].concat();
        let came = scene.get(&mut nobody, "/a", &with).await;
        assert_eq!((came.status(), came.reason()), (401, "sign_in_required"), "{row}");
        let came = scene.get(&mut ann, "/a", &with).await;
        assert_eq!(came.subject(), Some("ann"), "{row}");
        assert_eq!(came.field("authorization").is_some(), forwarded, "{row}: {came:?}");
        let preflight = [("origin", "https://a"), ("access-control-request-method", "PUT")];
        let with = [&preflight[..], &[("authorization", value)]].concat();
        let came = scene.ask(&mut nobody, "OPTIONS", "/a", &with, "").await;
        assert_eq!((came.reason(), came.subject()), ("through", None), "{row}: a preflight");
        assert_eq!(came.field("authorization").is_some(), forwarded, "{row}: a preflight");
    }
}

/// What the provider's tokens are, in a field of their own, and where no rule looks.
const TOKENS: &str = "---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {jwtRules: [{issuer: ISSUER, audiences: [shop], fromHeaders: [{name: x-jwt}]}]}
";

#[tokio::test]
async fn cve_2022_29226_a_verified_token_brings_no_other_one_along() {
    let scene = Scene::start(TOKENS, "").await;
    let token = scene.provider.access_token(&json!({}));
    for (row, value) in [("made up", "Bearer x"), ("after a tab", "Bearer\tx")] {
        let with = [XHR, &[("x-jwt", &*token), ("authorization", value)]].concat();
        let came = scene.get(&mut Browser::default(), "/a", &with).await;
        assert!(came.subject().is_some_and(|who| who.ends_with("program")), "{row}: {came:?}");
        assert_eq!(came.field("authorization"), None, "{row}");
    }
    let with = [XHR, &[("x-jwt", "x"), ("authorization", "Bearer x")]].concat();
    assert_eq!(scene.get(&mut Browser::default(), "/a", &with).await.status(), 401, "neither");
}

#[tokio::test]
async fn a_token_is_no_way_around_a_step_up() {
    let more = "  stepUp: [{paths: ['/transfer/*'], acrValues: ['urn:mfa'], maxAge: 5m}]\n";
    let scene = Scene::start(&[more, TOKENS].concat(), "").await;
    let now = crate::clock::unix_now();
    for (row, path, claims, status, reason) in [
        ("a path that asks for nothing", "/a", json!({}), 200, "through"),
        ("it says nothing", "/transfer/1", json!({}), 401, "step_up_required"),
        (
            "another way",
            "/transfer/1",
            json!({"acr": "urn:pw", "auth_time": now}),
            401,
            "step_up_required",
        ),
        (
            "long ago",
            "/transfer/1",
            json!({"acr": "urn:mfa", "auth_time": now - 600}),
            401,
            "step_up_required",
        ),
        ("all of it", "/transfer/1", json!({"acr": "urn:mfa", "auth_time": now}), 200, "through"),
    ] {
        let token = scene.provider.access_token(&claims);
        let with = [XHR, &[("x-jwt", &*token)]].concat();
        let came = scene.get(&mut Browser::default(), path, &with).await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
    }
}

/// Which session counts is not said by how a client spells a path.
#[tokio::test]
async fn a_spelling_of_the_path_chooses_no_sign_in() {
    let other = "  paths: ['/shop/catalog/*', '/admin/*']
---
apiVersion: policy.postern.dev/v1alpha1
kind: SignIn
metadata: {name: admins, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  paths: ['/admin/x/*']
  issuer: ISSUER
  clientId: shop
  clientSecretRef: {name: oidc}
  redirectPath: /admins/callback
  logoutPath: /admins/logout
  session: {keysSecretRef: {name: keys}, cookieSuffix: admins}
";
    let scene = Scene::start(other, "").await;
    let mut ann = Browser::default();
    scene.sign_in(&mut ann, "/shop/catalog/").await;
    for (row, path, status, reason) in [
        ("its own", "/shop/catalog/1", 200, "through"),
        ("the other's", "/admin/x/1", 401, "sign_in_required"),
        ("by way of its own", "/shop/catalog/../../admin/x/1", 401, "sign_in_required"),
        ("escaped", "/shop/catalog/%2e%2e/%2e%2e/admin/x/1", 401, "sign_in_required"),
        ("a slash that some decode", "/admin/x%2F1", 400, "sign_in_ambiguous"),
        ("its own, by way of the other's", "/admin/x/../../shop/catalog/1", 200, "through"),
    ] {
        let came = scene.get(&mut ann.clone(), path, XHR).await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
    }
}

#[tokio::test]
async fn a_step_up_that_nobody_can_meet_leads_nobody_in_a_circle() {
    let more = "  stepUp: [{paths: ['/a/*'], acrValues: [one]}, {paths: ['/a/b/*'], acrValues: [two]}, {paths: ['/c'], acrValues: [one]}]\n";
    let scene = Scene::start(more, "").await;
    let mut ann = Browser::default();
    let mut nobody = Browser::default();
    scene.sign_in(&mut ann, "/").await;
    for (row, who) in [("nobody", &mut nobody), ("somebody", &mut ann)] {
        let came = scene.get(who, "/a/b/1", PAGE).await;
        assert_eq!((came.status(), came.reason()), (403, "step_up_impossible"), "{row}");
    }
    // The session of a step-up does not come back, the one before does.
    let sent = scene.get(&mut ann, "/c", PAGE).await;
    let before = ann.cookies["__Host-postern-s"].clone();
    scene.provider.memory.lock().claims["acr"] = "one".into();
    scene.come_back(&mut ann, sent.location()).await;
    let after = ann.cookies.insert("__Host-postern-s".into(), before);
    assert_eq!(scene.get(&mut ann, "/c", PAGE).await.reason(), "sign_in_failed");
    ann.cookies.insert("__Host-postern-s".into(), after.unwrap());
    assert_eq!(scene.get(&mut ann, "/c", PAGE).await.subject(), Some("ann"));
}

/// A proxy in front was believed when it said which URL was asked for, and so anybody was.
#[tokio::test]
async fn ghsa_7x63_xv5r_3p2x_what_is_said_of_the_request_plays_no_role() {
    let scene = Scene::start("  paths: ['/account/*']\n", "").await;
    for name in ["x-forwarded-uri", "x-original-url", "x-rewrite-url", "x-forwarded-host"] {
        let mut who = Browser::default();
        let with = [PAGE, &[(name, "/public")]].concat();
        let came = scene.get(&mut who, "/account/1", &with).await;
        assert_eq!(came.reason(), "sign_in_started", "{name}");
        let own = "redirect_uri=https%3A%2F%2Fshop.example%2F.postern%2Fcallback&";
        assert!(came.location().contains(own), "{name}: {}", came.location());
        let with = [XHR, &[(name, "/account/1")]].concat();
        assert_eq!(scene.get(&mut who, "/public", &with).await.reason(), "through", "{name}");
    }
}

#[tokio::test]
async fn two_tabs_sign_in_beside_each_other_and_of_six_the_oldest_is_forgotten() {
    let scene = Scene::start("", "").await;
    let mut ann = Browser::default();
    let mut sent = Vec::new();
    for tab in 0..6 {
        sent.push(scene.get(&mut ann, &format!("/tab/{tab}"), PAGE).await);
    }
    assert_eq!(ann.count("__Host-postern-f-"), 5);
    for (tab, expect) in [(5, 303), (3, 303)] {
        let came = scene.come_back(&mut ann, sent[tab].location()).await;
        assert_eq!((came.status(), came.location()), (expect, &*format!("/tab/{tab}")));
    }
    assert_eq!(ann.count("__Host-postern-f-"), 3);
}

#[tokio::test]
async fn s41_oauth2_login_state_a_callback_counts_once_and_in_its_own_browser() {
    let scene = Scene::start("", "").await;
    let mut ann = Browser::default();
    let sent = scene.get(&mut ann, "/a", PAGE).await;
    let query = scene.provider.authorize(sent.location());
    let callback = |query: &str| format!("/.postern/callback?{query}");
    let other_issuer = query.replace(&scene.provider.issuer(), "https://evil.example");
    let state_cut = query.replace("state=", "state=x");
    let no_issuer = query.split("&iss=").next().unwrap().to_owned();
    let begun = ann.clone();
    for (row, query, of_ann) in [
        ("nothing at all (CVE-2023-27496)", "", true),
        ("no state", "code=a", true),
        ("another state", &*state_cut, true),
        ("another browser: login CSRF", &*query, false),
        ("another provider: mix-up", &*other_issuer, true),
        ("a provider that does not name itself", &*no_issuer, true),
        ("two states", &format!("{query}&state=b"), true),
    ] {
        let mut who = if of_ann { begun.clone() } else { Browser::default() };
        let came = scene.get(&mut who, &callback(query), PAGE).await;
        assert_eq!((came.status(), came.reason()), (400, "sign_in_failed"), "{row}");
        assert_eq!(who.count("__Host-postern-s"), 0, "{row}");
        assert!(scene.provider.take_asked().is_empty(), "{row}: no code is shown to anybody");
    }
    let came = scene.get(&mut ann, &callback(&query), PAGE).await;
    assert_eq!((came.status(), came.location()), (303, "/a"));
    for (row, mut who) in [("its own browser", ann), ("one that kept the flow", begun)] {
        let came = scene.get(&mut who, &callback(&query), PAGE).await;
        assert_eq!((came.status(), came.reason()), (400, "sign_in_failed"), "replayed by {row}");
    }
    assert_eq!(scene.provider.take_asked().len(), 1);
}

/// Whoever has no account can come back as often as they like, and keeps nobody else from it.
#[tokio::test]
async fn s48_one_address_completes_so_many_sign_ins() {
    let scene = Scene::start("", "").await;
    let (mut who, now) = (Browser::default(), std::time::Instant::now());
    let sent = scene.get(&mut who, "/a", PAGE).await;
    let query = scene.provider.authorize(sent.location());
    let callbacks = &scene.state().sign_ins.callbacks;
    while callbacks.admits("10.0.0.7".parse().unwrap(), now + std::time::Duration::from_secs(60)) {}
    let callback = format!("/.postern/callback?{query}");
    let came = scene.get(&mut who, &callback, PAGE).await;
    assert_eq!((came.status(), came.reason()), (429, "sign_in_limited"));
    assert!(scene.provider.take_asked().is_empty(), "and the provider is not asked");
    let mut ann = Browser::default();
    assert_eq!(scene.get(&mut ann, "/a", PAGE).await.reason(), "sign_in_started");
    assert_eq!(scene.count("postern_sign_in_total{result=\"limited\"}"), 1);
}

#[tokio::test]
async fn s41_oauth2_login_state_what_a_provider_refuses_leads_nowhere() {
    let scene = Scene::start("", "").await;
    for (error, status, reason) in [
        ("access_denied", 403, "sign_in_refused"),
        ("login_required", 403, "sign_in_refused"),
        ("temporarily_unavailable", 503, "sign_in_unavailable"),
    ] {
        let mut who = Browser::default();
        let sent = scene.get(&mut who, "/a", PAGE).await;
        let query = scene.provider.authorize(sent.location());
        let code = query.split('&').find(|field| field.starts_with("code=")).unwrap();
        let query = query.replace(code, &format!("error={error}&error_description=%3Cb%3E"));
        let came = scene.get(&mut who, &format!("/.postern/callback?{query}"), PAGE).await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{error}");
        assert!(who.cookies.is_empty(), "{error}: {who:?}");
    }
}

#[tokio::test]
async fn no_sign_in_leads_back_to_itself() {
    let scene = Scene::start("", "").await;
    let mut ann = Browser::default();
    scene.sign_in(&mut ann, "/").await;
    // A cookie that cannot be read is cleared, and signed in once more.
    ann.cookies.insert("__Host-postern-s".into(), "1.AAAA".into());
    let sent = scene.get(&mut ann, "/a", PAGE).await;
    assert_eq!((sent.reason(), ann.count("__Host-postern-s")), ("sign_in_started", 0));
    let came = scene.come_back(&mut ann, sent.location()).await;
    assert_eq!(came.status(), 303);
    // And so it is when the session does not come back: not a third time.
    ann.cookies.remove("__Host-postern-s");
    let came = scene.get(&mut ann, "/a", PAGE).await;
    assert_eq!((came.status(), came.reason()), (400, "sign_in_failed"), "{came:?}");
    let came = scene.get(&mut ann, "/a", PAGE).await;
    assert_eq!(came.reason(), "sign_in_started", "the link of the page begins anew");
}

#[tokio::test]
async fn f32_a_provider_that_is_away_lets_nobody_in_and_leads_nobody_in_a_circle() {
    let scene = Scene::without_provider("", "").await;
    let mut ann = Browser::default();
    for (row, with, status, reason) in
        [("a page", PAGE, 503, "sign_in_unavailable"), ("a script", XHR, 401, "sign_in_required")]
    {
        let came = scene.get(&mut ann, "/a", with).await;
        assert_eq!((came.status(), came.reason()), (status, reason), "{row}");
        assert_eq!(came.location(), "", "{row}");
    }
    scene.know_provider().await;
    let sent = scene.get(&mut ann, "/a", PAGE).await;
    scene.provider.memory.lock().is_down = true;
    let came = scene.come_back(&mut ann, sent.location()).await;
    assert_eq!((came.status(), came.reason()), (503, "sign_in_unavailable"), "in the middle");
    scene.provider.memory.lock().is_down = false;
    let came = scene.sign_in(&mut ann, "/a").await;
    assert_eq!(came.subject(), Some("ann"), "it is back");
}

#[tokio::test]
async fn a_listener_in_the_clear_signs_nobody_in() {
    use http::Request;

    use crate::http::body::Body;
    let scene = Scene::start("", "").await;
    for path in ["/a", "/.postern/callback?state=a&code=b", "/.postern/logout"] {
        let request = Request::builder().uri(path).header("host", "shop.example");
        let request = request.header("sec-fetch-mode", "navigate").body(Body::empty()).unwrap();
        let (came, set) = scene.pass(request, false).await;
        assert_eq!((came.status(), came.reason()), (403, "sign_in_needs_tls"), "{path}");
        assert!(set.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_path_asks_for_a_stronger_sign_in() {
    let more = "  stepUp: [{paths: ['/transfer/*'], acrValues: ['urn:mfa']}]\n";
    let scene = Scene::start(more, "").await;
    let mut ann = Browser::default();
    scene.sign_in(&mut ann, "/").await;
    assert_eq!(scene.get(&mut ann, "/other", PAGE).await.subject(), Some("ann"));
    let came = scene.get(&mut ann, "/transfer/1", XHR).await;
    assert_eq!((came.status(), came.reason()), (401, "step_up_required"));
    let sent = scene.get(&mut ann, "/transfer/1", PAGE).await;
    assert!(sent.location().contains("acr_values=urn%3Amfa"), "{}", sent.location());
    let came = scene.come_back(&mut ann, sent.location()).await;
    assert_eq!(came.reason(), "sign_in_failed", "the provider has not done what was asked for");
    scene.provider.memory.lock().claims["acr"] = "urn:mfa".into();
    let came = scene.sign_in(&mut ann, "/transfer/1").await;
    assert_eq!(came.subject(), Some("ann"));
}
