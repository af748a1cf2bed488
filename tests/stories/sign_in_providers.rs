//! Providers that are away, that roll their keys, that want more, and several of them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use postern_tests::{ByHand, Mesh, Provider, ProviderClient, wait};
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::time::Duration;

use crate::gateway_scene::{edge, gateway_of, http, https, object, policy, target};
use crate::sign_in_scene::{
    HEADERS, SHOP, SIGN_IN_PAGE, Wanted, secret_of, sign_in, sign_in_spec, sign_in_with,
};

#[test]
fn f32_a_provider_is_killed_in_the_middle_and_while_people_are_signed_in() {
    let mut scene = sign_in();
    let browser = scene.browser();
    let (ann, bob, eve) = (browser.person(), browser.person(), browser.person());
    let (signed_in, halfway) = (ann.page(), bob.page());
    signed_in.open(HEADERS).expect_at(SIGN_IN_PAGE);
    signed_in.sign_in("ann").expect(200, HEADERS);
    halfway.open(HEADERS).expect_at(SIGN_IN_PAGE);
    let by_hand = ByHand::new(&scene.gateway.client, "carol");
    let callback = by_hand.callback(HEADERS, "carol");

    scene.provider.kill();
    signed_in.reload().expect(200, HEADERS);
    eve.page().try_open(HEADERS).unwrap_err();
    let lost = by_hand.go(&callback, &[]).expect_refusal(503, "sign_in_unavailable");
    assert_eq!(lost.header("location"), None);
    scene.edge().expect_metric("postern_sign_in_total", &[("result", "unavailable")]);
    scene.edge().expect_log(&[("reason", "sign_in_unavailable"), ("status", "503")]);
    // A replica that has never seen the provider sends nobody anywhere.
    let other = edge(&scene.gateway.mesh, "edge-2", &scene.gateway.web, |edge| {
        Wanted::default().edge(edge)
    });
    let html = ["-H", "accept: text/html"];
    let answer = scene.ask_at(&other, HEADERS, "", &html);
    let answer = answer.expect_refusal(503, "sign_in_unavailable");
    assert_eq!(answer.header("location"), None);
    let cookies = ann.cookie_header(HEADERS);
    scene.ask_at(&other, HEADERS, &cookies, &[]).expect(200);

    scene.provider.start_again();
    halfway.sign_in("bob").expect(200, HEADERS);
    signed_in.fetch(HEADERS).expect(200);

    // Its key is another one from now on: those who are signed in do not notice, and whoever comes waits for it.
    scene.provider.rotate();
    signed_in.fetch(HEADERS).expect(200);
    wait::until("a sign-in with the new key", Duration::from_secs(45), || {
        let dora = scene.by_hand("dora");
        let answer = dora.sign_in(HEADERS, "dora");
        if answer.status == 303 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn s41_some_paths_ask_for_more_than_being_signed_in() {
    let cart = format!("{SHOP}/cart/ann");
    let steps = json!([
        {"paths": ["/cart/*"], "acrValues": ["urn:mfa"]},
        {"paths": ["/headers"], "maxAge": "5m"},
    ]);
    let wanted = Wanted {
        spec: json!({"stepUp": steps}),
        access_token_seconds: 3600,
        own_clock: true,
        ..Wanted::default()
    };
    let scene = sign_in_with(&wanted, &[]);
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();
    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);

    page.fetch(&cart).expect_refusal(401, "step_up_required");
    page.open(&cart).expect_at(SIGN_IN_PAGE);
    // A provider that does not do what it is asked for is not believed.
    let weak = page.sign_in("ann");
    assert_eq!((weak.status, weak.text.contains("sign_in_failed")), (400, true), "{weak:#?}");
    page.open(&cart).expect_at(SIGN_IN_PAGE);
    page.sign_in_strongly("ann").expect(200, &cart);
    page.fetch(&cart).expect(200);
    page.open(HEADERS).expect(200, HEADERS);
    scene.edge().expect_log(&[("reason", "step_up_required"), ("status", "401")]);

    // Ten minutes later it is too long ago for one path, and for the other it is not.
    let cookies = ann.cookie_header(HEADERS);
    scene.edge().set_clock("+10m");
    wait::until_true("the gateway's clock to move", || {
        scene.ask(HEADERS, &cookies, &[]).reason() == "step_up_required"
    });
    let asked = scene.ask(HEADERS, &cookies, &["-H", "accept: text/html"]).expect(302);
    assert!(asked.header("location").unwrap().contains("max_age=300"), "{asked:?}");
    page.fetch(&cart).expect(200);
}

/// By host and by path; one of the clients proves itself with a key.
#[test]
fn s41_several_providers_by_host_and_by_path() {
    let mesh = Mesh::start();
    let key = KeyPair::generate().unwrap();
    let point = key.public_key_raw();
    let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33), "use": "sig", "alg": "ES256",
    });
    let shop_callback = format!("{SHOP}/.postern/cart/callback");
    let client = ProviderClient::with_key("bank", "bank.example", &jwk).and(&json!({
        "redirect_uris": ["https://bank.example/.postern/callback", shop_callback],
    }));
    let bank_key =
        secret_of("bank-key", &json!({"private-key": STANDARD.encode(key.serialize_pem())}));
    let of_partner = |name: &str, different: &Value| {
        let mut spec = sign_in_spec();
        let partner = json!({
            "issuer": "https://partner.example", "clientId": "bank", "clientAuth": "private_key_jwt",
            "clientSecretRef": {"name": "bank-key"}, "postLogoutRedirectUris": [],
        });
        postern_tests::overlay(&mut spec, &partner);
        postern_tests::overlay(&mut spec, different);
        policy("SignIn", name, &spec)
    };
    let carts = of_partner(
        "carts",
        &json!({
            "paths": ["/cart/*"], "redirectPath": "/.postern/cart/callback",
            "logoutPath": "/.postern/cart/logout", "backChannelLogoutPath": "/.postern/cart/back-channel",
            "session": {"cookieSuffix": "cart"},
        }),
    );
    let bank = of_partner(
        "bank",
        &json!({
            "targetRefs": target(Some("bank")), "paths": ["/headers"],
        }),
    );
    let route = object(
        "HTTPRoute",
        "bank",
        &json!({
            "parentRefs": [{"name": "edge"}], "hostnames": ["bank.example"],
            "rules": [{"backendRefs": [{"name": "cart", "port": 8080}]}],
        }),
    );
    let listeners = [http(80), https("shop", "shop-cert"), https("bank", "bank-cert")];
    let gateway: Value = serde_json::from_str(&gateway_of(&listeners)).unwrap();
    let web = postern_tests::web::WebAuthority::new("the web");
    let partner = Provider::start(&mesh, "partner.example", &web, &[client], 300);
    let certificate: Value =
        serde_json::from_str(&web.server(&["bank.example"]).secret("bank-cert")).unwrap();
    let wanted = Wanted { spec: json!({"paths": ["/headers"]}), ..Wanted::default() };
    let more = [
        ("carts", &carts),
        ("bank", &bank),
        ("bank-route", &route),
        ("gateway", &gateway),
        ("bank-key", &bank_key),
        ("bank-cert", &certificate),
    ];
    let scene = crate::sign_in_scene::sign_in_on(mesh, web, &wanted, &more);
    scene.gateway.mesh.know_host("bank.example", scene.edge().ipv4());
    let browser = scene.browser();
    let ann = browser.person();
    let page = ann.page();

    page.open(HEADERS).expect_at(SIGN_IN_PAGE);
    page.sign_in("ann").expect(200, HEADERS);
    let cart = format!("{SHOP}/cart/ann-of-partner");
    page.open(&cart).expect_at("https://partner.example/interaction");
    page.sign_in("ann-of-partner").expect(200, &cart);
    page.open(HEADERS).expect(200, HEADERS);
    // Who is signed in at that provider already is there without a page between.
    let shown =
        page.open("https://bank.example/headers").expect(200, "https://bank.example/headers");
    assert!(shown.text.contains("ann-of-partner@partner.example"), "{shown:#?}");
    assert_eq!(partner.count("authorization_code"), 2);
    assert_eq!(scene.provider.count("authorization_code"), 1);
}
