//! Sign-in with cookies, callbacks and addresses that somebody else has made, or has kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::gateway_scene::{gateway_of, http, https, object, policy, target};
use crate::sign_in_scene::{
    BYE, HEADERS, SESSION, SHOP, SIGN_IN_PAGE, Wanted, session_keys, sign_in, sign_in_spec,
    sign_in_with,
};

/// A callback counts in the browser that began, and once.
#[test]
fn s41_a_callback_of_somebody_else_signs_nobody_in() {
    let scene = sign_in();
    let browser = scene.browser();
    let victim = browser.person();
    let page = victim.page();
    let mallory = scene.by_hand("mallory");
    let callback = mallory.callback(HEADERS, "mallory");

    // Login CSRF: the victim follows Mallory's link, with and without a sign-in of their own under way.
    for under_way in [false, true] {
        if under_way {
            page.open(HEADERS).expect_at(SIGN_IN_PAGE);
        }
        let shown = page.open(&callback);
        assert_eq!(
            (shown.status, shown.text.contains("sign_in_failed")),
            (400, true),
            "{shown:#?}"
        );
        // On the page that says so no script may ask for anything.
        page.open(BYE).expect(404, BYE);
        page.fetch(HEADERS).expect_refusal(401, "sign_in_required");
    }
    assert_eq!(scene.counted("postern_sign_in_total", &[("result", "success")]), 0.0);

    for (row, from, to) in [
        ("another issuer", "iss=https%3A%2F%2Fid.example", "iss=https%3A%2F%2Fevil.example"),
        ("no issuer", "&iss=https%3A%2F%2Fid.example", ""),
        ("another state", "state=", "state=x"),
        ("two states", "state=", "state=x&state="),
    ] {
        let mallory = scene.by_hand("mixed-up");
        let callback = mallory.callback(HEADERS, "mallory");
        assert!(callback.contains(from), "{callback}");
        let answer = mallory.go(&callback.replacen(from, to, 1), &[]);
        assert_eq!((answer.status, answer.reason()), (400, "sign_in_failed"), "{row}: {answer:?}");
        assert!(!mallory.cookies("shop.example").contains(SESSION), "{row}");
    }

    let answer = mallory.go(&callback, &[]).expect(303);
    assert_eq!(answer.header("location"), Some("/headers"));
    mallory.go(HEADERS, &[]).expect(200);
    let again = mallory.go(&callback, &[]);
    assert_eq!((again.status, again.reason()), (400, "sign_in_failed"), "{again:?}");
    scene.edge().expect_metric("postern_sign_in_total", &[("result", "failed")]);
    scene.edge().expect_log(&[("reason", "sign_in_failed"), ("status", "400")]);
}

#[test]
fn ghsa_f24x_5g9q_753f_a_planted_session_is_not_the_one_that_is_signed_in() {
    let scene = sign_in();
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();
    let mallory = scene.by_hand("mallory");
    mallory.sign_in(HEADERS, "mallory").expect(303);
    let value = mallory.cookie(SESSION);
    let planted = format!("{SESSION}={value}");
    let logout = ["-X", "POST", "-H", "origin: https://shop.example"];
    mallory.go(&format!("{SHOP}/.postern/logout"), &logout).expect(303);

    let cookie = json!({
        "name": SESSION, "value": value, "domain": "shop.example", "path": "/", "secure": true,
        "httpOnly": true, "sameSite": "Lax",
    });
    ann.set_cookies(&[cookie]);
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);
    assert!(!ann.cookie_header(HEADERS).contains(&value));
    scene.ask(HEADERS, &planted, &[]).expect_refusal(401, "sign_in_required");
}

/// Wherever somebody says they want to go, after the sign-in they are at this host.
#[test]
fn s41_nobody_is_sent_to_another_host_after_a_sign_in() {
    let wanted = Wanted { spec: json!({"paths": ["/*"]}), ..Wanted::default() };
    let scene = sign_in_with(&wanted, &[]);
    let ann = scene.by_hand("ann");
    for path in [
        "/headers?to=https://evil.example",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "/%2f%2fevil.example/",
        "/%5c%5cevil.example/",
        "/%09/evil.example/",
        "/.//evil.example",
        "/x/..//evil.example",
        "/@evil.example",
        "/%0d%0alocation:%20https://evil.example",
    ] {
        let first = ann.go(&format!("{SHOP}{path}"), &[]);
        if first.status == 400 {
            // No strict reader takes the path.
            continue;
        }
        let answer = ann.sign_in(&format!("{SHOP}{path}"), "ann").expect(303);
        let to = answer.header("location").unwrap();
        let second = to.as_bytes().get(1);
        assert!(to.starts_with('/') && !matches!(second, Some(b'/' | b'\\')), "{path}: {to}");
        assert!(!to.contains('\\') && !to.contains('\t'), "{path}: {to}");
        ann.forget();
    }
    // What others say of a URL plays no role (GHSA-7x63-xv5r-3p2x).
    let told = ["-H", "x-forwarded-uri: //evil.example", "-H", "x-forwarded-host: evil.example"];
    let answer = ann.go(HEADERS, &told).expect(302);
    assert!(!answer.header("location").unwrap().contains("evil"), "{answer:?}");
}

/// Two hosts, two clients; the same keys, which is the worst case.
#[test]
fn s41_cookies_that_were_cut_swapped_or_made_up_are_nobodys() {
    let bank = json!({
        "targetRefs": target(Some("bank")), "paths": ["/headers"],
        "postLogoutRedirectUris": [],
    });
    let mut spec = sign_in_spec();
    postern_tests::overlay(&mut spec, &bank);
    let bank = policy("SignIn", "bank", &spec);
    let route = json!({
        "parentRefs": [{"name": "edge"}], "hostnames": ["bank.example"],
        "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
    });
    let route = object("HTTPRoute", "bank", &route);
    let gateway: Value = serde_json::from_str(&gateway_of(&[
        http(80),
        https("shop", "shop-cert"),
        https("bank", "bank-cert"),
    ]))
    .unwrap();
    let more = [("bank", &bank), ("bank-route", &route), ("gateway", &gateway)];
    let scene = sign_in_with(&Wanted::default(), &more);
    scene.gateway.mesh.know_host("bank.example", scene.edge().ipv4());
    let certificate = scene.gateway.web.server(&["bank.example"]).secret("bank-cert");
    scene.gateway.change("the bank's certificate", |mesh| mesh.policy("bank-cert", &certificate));
    let ann = scene.by_hand("ann");
    ann.sign_in(HEADERS, "ann").expect(303);
    let value = &*ann.cookie(SESSION);
    let cookies = format!("{SESSION}={value}");
    scene.ask(HEADERS, &cookies, &[]).expect(200);

    let bank = "https://bank.example/headers";
    scene.ask(bank, &cookies, &[]).expect_refusal(401, "sign_in_required");
    for (row, changed) in cut_and_changed(value) {
        let cookie = format!("{SESSION}={changed}");
        let answer = scene.ask(HEADERS, &cookie, &[]);
        assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"), "{row}");
    }
    for (row, name) in [
        ("the name of a flow", "__Host-postern-f-00000000"),
        ("without its prefix", "postern-s"),
        ("as a second piece", "__Host-postern-s.1"),
        ("another case", "__host-postern-s"),
    ] {
        let answer = scene.ask(HEADERS, &format!("{name}={value}"), &[]);
        assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"), "{row}");
    }
    // A navigation with a session that cannot be read signs in anew, and does so once.
    let html = ["-H", "accept: text/html"];
    let anew = scene.ask(HEADERS, &format!("{SESSION}={}x", &value[..40]), &html).expect(302);
    let cleared = anew.headers.iter().any(|(name, value)| {
        name == "set-cookie"
            && value.starts_with(&format!("{SESSION}=;"))
            && value.contains("Max-Age=0")
    });
    assert!(cleared, "{anew:?}");

    // The key is replaced: the one of before still opens, and one that is gone does not.
    let rolled = session_keys("shop-session", &[("current", 2), ("previous", 1)]).to_string();
    scene.gateway.change("the new key", |mesh| mesh.policy("shop-session", &rolled));
    let answer = scene.ask(HEADERS, &cookies, &[]).expect(200);
    assert!(answer.header("set-cookie").is_some(), "sealed anew: {answer:?}");
    let rolled = session_keys("shop-session", &[("current", 3), ("previous", 2)]).to_string();
    scene.gateway.change("the key after it", |mesh| mesh.policy("shop-session", &rolled));
    scene.ask(HEADERS, &cookies, &[]).expect_refusal(401, "sign_in_required");
}

/// A sealed value, `PIECES.TEXT`, in which something is missing or different.
fn cut_and_changed(value: &str) -> Vec<(String, String)> {
    let (pieces, text) = value.split_once('.').unwrap();
    let length = value.len();
    let mut all: Vec<_> = [0, 1, 2, 8, length / 2, length - 4, length - 1]
        .iter()
        .map(|end| (format!("the first {end}"), value[..*end].to_owned()))
        .collect();
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap();
    for at in [0, 1, 12, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        all.push((format!("byte {at}"), format!("{pieces}.{}", URL_SAFE_NO_PAD.encode(changed))));
    }
    for (row, changed) in [
        ("twice", format!("{value}{text}")),
        ("more of it", format!("{value}AAAA")),
        ("of two pieces", format!("2.{text}")),
        ("of no pieces", format!("0.{text}")),
        ("without a number", text.to_owned()),
    ] {
        all.push((row.to_owned(), changed));
    }
    all
}

/// A session of several cookies is whole, or none.
#[test]
fn s41_a_large_session_is_whole_or_none() {
    let scene = sign_in();
    let browser = scene.browser();
    let many = browser.person();
    let page = many.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("many").expect(200, HEADERS);
    page.open(HEADERS).expect(200, HEADERS);
    let text = |cookie: &Value, field: &str| cookie[field].as_str().unwrap().to_owned();
    let cookies = many.cookies(HEADERS);
    let mut values: Vec<_> =
        cookies.iter().map(|cookie| (text(cookie, "name"), text(cookie, "value"))).collect();
    values.sort();
    let names: Vec<_> = values.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names[..2], [SESSION, &format!("{SESSION}.1")], "{names:?}");
    let header = |pairs: &[(String, String)]| {
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    };
    let whole = scene.ask(HEADERS, &header(&values), &[]).expect(200);
    assert!(whole.body.contains("many@id.example") && !whole.body.contains(SESSION), "{whole:?}");

    let mut backwards = values.clone();
    backwards.reverse();
    scene.ask(HEADERS, &header(&backwards), &[]).expect(200);
    let mut swapped = values.clone();
    (swapped[0].1, swapped[1].1) = (values[1].1.clone(), values[0].1.clone());
    let mut doubled = values.clone();
    doubled.push(values[1].clone());
    for (row, changed) in [
        ("the first alone", &values[..1]),
        ("without the first", &values[1..]),
        ("values swapped", &swapped),
        ("one of them twice", &doubled),
    ] {
        let answer = scene.ask(HEADERS, &header(changed), &[]);
        assert_eq!((answer.status, answer.reason()), (401, "sign_in_required"), "{row}");
    }
    // After the logout none of them is left (CVE-2025-55162).
    page.submit("post", &format!("{SHOP}/.postern/logout"));
    assert_eq!(many.cookies(HEADERS), Vec::<Value>::new());
    scene.ask(HEADERS, &header(&values), &[]).expect_refusal(401, "sign_in_required");
}

/// Whatever stands in `authorization`: nobody has verified it, so it lets nobody in, and the app does not get it.
#[test]
fn cve_2022_29226_a_token_that_nobody_verified_opens_nothing() {
    let scene = sign_in();
    let ann = scene.by_hand("ann");
    ann.sign_in(HEADERS, "ann").expect(303);
    let session = format!("{SESSION}={}", ann.cookie(SESSION));
    for (row, authorization) in [
        ("no token at all", "Bearer x"),
        ("a token of nobody", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."),
        ("another case", "bearer x"),
    ] {
        let token = format!("authorization: {authorization}");
        let alone = scene.gateway.get(HEADERS, &["-H", &token]);
        assert_eq!((alone.status, alone.reason()), (401, "sign_in_required"), "{row}: {alone:?}");
        let beside = scene.ask(HEADERS, &session, &["-H", &token]).expect(200);
        assert!(beside.body.contains("ann@id.example"), "{row}: {beside:?}");
        assert!(!beside.body.to_lowercase().contains("authorization"), "{row}: {beside:?}");
    }
    scene.edge().expect_log(&[("reason", "sign_in_required"), ("status", "401")]);
}
