//! People sign in at the gateway with a real browser at a real provider (npm's oidc-provider), and sign out.

use postern_tests::{Shown, wait};
use serde_json::{Value, json};

use crate::gateway_scene::of_group;
use crate::sign_in_scene::{
    BYE, HEADERS, PROVIDER, SESSION, SHOP, SIGN_IN_PAGE, SignInScene, Wanted, sign_in, sign_in_with,
};

/// Only the staff comes to what needs a sign-in.
fn staff_alone() -> Value {
    let staff = json!({"key": "request.auth.claims[groups]", "values": ["staff"]});
    let rules = json!([
        {"to": [{"operation": {"paths": ["/headers", "/cart/*"]}}], "when": [staff]},
        {"to": [{"operation": {"paths": ["/bye"]}}]},
    ]);
    let spec = json!({"selector": {"matchLabels": {"app": "edge"}}, "rules": rules});
    of_group("security.istio.io/v1", "AuthorizationPolicy", "staff", &spec)
}

/// What `/headers` says that the app was sent under this name.
fn sent(shown: &Shown, name: &str) -> Vec<String> {
    sent_in(&shown.text, name)
}

fn sent_in(body: &str, name: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no headers: {body}"));
    let pairs = all["headers"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    pairs.filter(|pair| pair[0] == name).map(|pair| text(&pair[1])).collect()
}

#[test]
fn s41_a_person_signs_in_and_is_known_to_policy_and_app() {
    let scene = sign_in_with(&Wanted::default(), &[("staff", &staff_alone())]);
    let browser = scene.browser();
    let (ann, bob) = (browser.person(), browser.person());
    let page = ann.page();

    page.open(BYE).expect(404, BYE);
    // A script is told, and is not sent to a page of the provider that it could not read.
    page.fetch(HEADERS).expect_refusal(401, "sign_in_required");
    let html = json!({"url": HEADERS, "headers": {"accept": "text/html", "user-agent": "kube-probe/1.33"}});
    page.fetch_all(&[html]).remove(0).expect_refusal(401, "sign_in_required");
    assert_eq!(scene.counted("postern_sign_in_total", &[]), 0.0);

    let asked = page.open(&format!("{HEADERS}?of=ann")).expect_at(SIGN_IN_PAGE);
    assert_eq!(asked.steps[0].0, 302, "{asked:#?}");
    let shown = page.sign_in("ann").expect(200, &format!("{HEADERS}?of=ann"));
    assert_eq!(sent(&shown, "x-user"), ["ann"]);
    assert_eq!(sent(&shown, "x-email"), ["ann@id.example"]);
    scene.edge().expect_metric("postern_sign_in_total", &[("result", "started")]);
    scene.edge().expect_metric("postern_sign_in_total", &[("result", "success")]);
    scene.edge().expect_log(&[("reason", "sign_in_started"), ("status", "302")]);
    scene.edge().expect_log(&[("reason", "signed_in"), ("status", "303")]);

    // The browser keeps the session as nobody else can have it, and the app does not get it, nor believes a page.
    let cookies = ann.cookies(HEADERS);
    let session = cookies.iter().find(|cookie| cookie["name"] == SESSION).unwrap();
    for (attribute, expect) in [
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!("Lax")),
        ("path", json!("/")),
        ("domain", json!("shop.example")),
    ] {
        assert_eq!(session[attribute], expect, "{attribute} of {session}");
    }
    ann.set_cookies(&[json!({"name": "theme", "value": "dark", "url": SHOP})]);
    let forged =
        json!({"url": HEADERS, "headers": {"x-user": "root", "x-email": "root@id.example"}});
    let fetched = page.fetch_all(&[forged]).remove(0).expect(200);
    assert_eq!(sent_in(&fetched.body, "x-user"), ["ann"]);
    assert_eq!(sent_in(&fetched.body, "x-email"), ["ann@id.example"]);
    assert_eq!(sent_in(&fetched.body, "cookie"), ["theme=dark"]);

    // Signed in is not allowed in: the policy asks for a group.
    let page = bob.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    let refused = page.sign_in("bob").expect(403, HEADERS);
    assert!(refused.text.contains("no_matching_allow"), "{refused:#?}");
    scene.edge().expect_log(&[("reason", "no_matching_allow"), ("status", "403")]);
    assert_no_secret_is_logged(&scene, session["value"].as_str().unwrap());
}

fn assert_no_secret_is_logged(scene: &SignInScene, cookie: &str) {
    let log = std::fs::read_to_string(scene.edge().directory().join("proxy.out")).unwrap();
    for secret in ["code=", "state=", "eyJ", "a secret of the tests", &cookie[..24]] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn s41_a_person_signs_out_at_the_gateway_and_at_the_provider() {
    let scene = sign_in();
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);
    let stolen = ann.cookie_header(HEADERS);
    let logout = format!("{SHOP}/.postern/logout");
    scene.ask(HEADERS, &stolen, &[]).expect(200);

    // No link, and no page of others, signs her out.
    let get = page.open(&logout);
    assert_eq!((get.status, get.text.contains("sign_in_method")), (405, true), "{get:#?}");
    page.open(&format!("{PROVIDER}/counts"));
    let foreign = page.submit("post", &logout);
    assert_eq!((foreign.status, foreign.text.contains("logout_cross_origin")), (403, true));
    page.open(HEADERS).expect(200, HEADERS);
    assert_eq!(scene.counted("postern_logout_total", &[("kind", "user")]), 0.0);

    page.submit("post", &logout).expect_at(PROVIDER);
    page.click("button").expect(404, BYE);
    assert_eq!(ann.cookies(HEADERS), Vec::<Value>::new());
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    scene.edge().expect_metric("postern_logout_total", &[("kind", "user")]);
    scene.edge().expect_log(&[("reason", "signed_out"), ("status", "303")]);
    // A copy of the cookie is worth nothing from now on.
    scene.ask(HEADERS, &stolen, &[]).expect_refusal(401, "sign_in_required");
}

#[test]
fn s41_the_provider_ends_one_session_and_no_other() {
    let scene = sign_in();
    let browser = scene.browser();
    let (here, there) = (browser.person(), browser.person());
    let (page, other) = (here.page(), there.page());
    for page in [&page, &other] {
        page.open(HEADERS).expect_at(SIGN_IN_PAGE);
        page.sign_in("ann").expect(200, HEADERS);
    }
    let tab = here.page();
    tab.open(&format!("{PROVIDER}/session/end")).expect_at(PROVIDER);
    tab.click("button").expect_at(PROVIDER);

    page.fetch(HEADERS).expect_refusal(401, "sign_in_required");
    other.fetch(HEADERS).expect(200);
    assert_eq!(scene.provider.count("back-channel logout"), 1);
    scene.edge().expect_metric("postern_logout_total", &[("kind", "back_channel")]);
    scene.edge().expect_log(&[("reason", "back_channel_logout"), ("status", "200")]);

    // Nobody but the provider may say so.
    let path = format!("{SHOP}/.postern/back-channel-logout");
    for (row, form) in [
        ("no token", "logout_token="),
        ("a token of nobody", "logout_token=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."),
        ("two of them", "logout_token=a&logout_token=b"),
        ("something else", "token=a"),
    ] {
        let answer = scene.gateway.get(&path, &["--data", form]);
        assert_eq!((answer.status, answer.reason()), (400, "logout_token_refused"), "{row}");
    }
    scene.edge().expect_metric("postern_logout_total", &[("kind", "back_channel_refused")]);
    other.fetch(HEADERS).expect(200);
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
}

#[test]
fn s41_two_tabs_sign_in_side_by_side() {
    let scene = sign_in();
    let browser = scene.browser();
    let ann = browser.person();
    let cart = format!("{SHOP}/cart/ann");
    let pages = [ann.page(), ann.page()];
    for (page, url) in pages.iter().zip([HEADERS, &*cart]) {
        page.open(url).expect_at(SIGN_IN_PAGE);
    }
    // Each comes back to where it wanted to go.
    pages[1].sign_in("ann").expect(200, &cart);
    pages[0].sign_in("ann").expect(200, HEADERS);
    pages[1].fetch(HEADERS).expect(200);

    // Of many that are left lying the oldest are over: told with a link, and not sent round once more.
    let bob = browser.person();
    let pages: Vec<_> = (0..7).map(|_| bob.page()).collect();
    for page in &pages {
        page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    }
    pages[6].sign_in("bob").expect(200, HEADERS);
    let late = pages[0].sign_in("bob");
    assert_eq!((late.status, late.text.contains("sign_in_failed")), (400, true), "{late:#?}");
    pages[0].click("a").expect_at(SHOP);
    let flows = bob.cookies(HEADERS);
    let flows =
        flows.iter().filter(|c| c["name"].as_str().unwrap().starts_with("__Host-postern-f-"));
    assert!(flows.count() <= 5);
    scene.edge().expect_metric("postern_sign_in_total", &[("result", "failed")]);
    scene.edge().expect_log(&[("reason", "sign_in_failed"), ("status", "400")]);
}

#[test]
fn s41_a_session_is_refreshed_once_by_however_many_requests() {
    let wanted =
        Wanted { access_token_seconds: 5, config: json!({"workers": 2}), ..Wanted::default() };
    let mut scene = sign_in_with(&wanted, &[]);
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);
    let many: Vec<_> = (0..12).map(|n| json!({"url": format!("{HEADERS}?{n}")})).collect();

    let before = ann.cookie_header(HEADERS);
    wait::pass(std::time::Instant::now() + std::time::Duration::from_secs(5));
    for answer in page.fetch_all(&many) {
        answer.expect(200);
    }
    assert_eq!(scene.provider.count("refresh_token"), 1);
    assert_eq!(scene.counted("postern_session_refresh_total", &[("result", "success")]), 1.0);
    assert_ne!(ann.cookie_header(HEADERS), before);
    // The session of before is shown once more by requests that were on their way: it is told what came of the refresh.
    scene.ask(HEADERS, &before, &[]).expect(200);
    assert_eq!(scene.provider.count("refresh_token"), 1);

    // F-32: a provider that is away signs nobody out.
    scene.provider.kill();
    wait::pass(std::time::Instant::now() + std::time::Duration::from_secs(5));
    page.fetch(HEADERS).expect(200);
    scene.edge().expect_metric("postern_session_refresh_total", &[("result", "unavailable")]);

    // One that has forgotten the session does.
    scene.provider.start_afresh();
    wait::until_true("the refusal", || page.fetch(HEADERS).status == 401);
    scene.edge().expect_metric("postern_session_refresh_total", &[("result", "refused")]);
    scene.edge().expect_metric("postern_logout_total", &[("kind", "refresh")]);
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
}
