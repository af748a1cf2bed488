//! The page at `/dashboard`, in a real browser beside a real proxy: what was refused, by which policy, how nearly it would
//! have been allowed; and that nothing a stranger sends does more there than be read.

use std::env;
use std::net::Ipv4Addr;
use std::path::Path;

use postern_tests::Page;
use postern_tests::shop::Shop;
use postern_tests::web::WebAuthority;
use postern_tests::{BrokerKind, Browser, Mesh, Pod};
use serde_json::{Value, json};

use crate::{event_nats, event_scene, gateway_scene};

const DASHBOARD: &str = "http://127.0.0.1:15000/dashboard";
const DATA: &str = "**/dashboard/data.json";
/// Where the pictures of the documentation go: `make screenshots` sets it.
const PICTURES: &str = "POSTERN_PICTURES";

/// A shop with limits, whose cart was asked for things that it allows and for things that it does not.
fn visited_shop() -> (Mesh, Shop) {
    let mesh = Mesh::with_authority();
    let limits = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "RateLimitPolicy",
        "metadata": {"name": "cart-limits", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "limits": [
            {"name": "per-caller", "key": "principal", "requests": 60, "per": "1h"},
            {"name": "posts", "key": "principal", "requests": 2, "per": "1h", "match": {"methods": ["POST"]}},
        ]},
    });
    mesh.policy("cart-limits", &limits.to_string());
    let shop = Shop::start(&mesh);
    let ask = |caller: &Pod, arguments: &[&str], status: u16| {
        caller.curl_with(arguments).expect(status);
    };
    let get = |path: &str| format!("http://cart:8080{path}");
    for user in ["ann", "ben", "cid", "dora"] {
        (0..5).for_each(|_| ask(&shop.frontend, &[&get(&format!("/cart/{user}"))], 200));
    }
    ask(&shop.payments, &[&get("/cart/ann")], 403);
    ask(&shop.frontend, &["-X", "DELETE", &get("/cart/ann")], 403);
    ask(&shop.frontend, &[&get("/cart/internal/keys")], 403);
    let post = ["-X", "POST", "-d", "tea", &get("/cart/ann")];
    let statuses: Vec<_> = (0..4).map(|_| shop.frontend.curl_with(&post).status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    for path in ["/cart/ann", "/cart/ben", "/cart/ann"] {
        ask(&shop.reports, &[&get(path)], 403);
    }
    (mesh, shop)
}

fn browser_beside(pod: &Pod) -> Browser {
    Browser::start(pod, &WebAuthority::new("the web"))
}

fn desk(colours: &str) -> Value {
    json!({"viewport": {"width": 1080, "height": 720}, "colorScheme": colours})
}

fn expect_no_complaints(page: &Page<'_>) {
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

fn expect_no_barriers(page: &Page<'_>, what: &str) {
    let barriers = page.barriers();
    assert!(barriers.is_empty(), "{what}: {barriers:#?}");
}

/// Takes a picture where somebody wants pictures.
fn picture(page: &Page<'_>, name: &str) {
    if let Some(folder) = env::var_os(PICTURES) {
        page.picture(&Path::new(&folder).join(format!("dashboard-{name}.png")));
    }
}

/// The row of the denials that has these words.
fn row(page: &Page<'_>, words: &str) -> String {
    page.expect_seen(&format!("#denials-body tr:has-text(\"{words}\")"))
}

#[test]
fn a_denial_is_shown_with_its_policy_and_its_nearest_miss_and_its_line_gives_the_same_verdict() {
    let (_mesh, shop) = visited_shop();
    let browser = browser_beside(&shop.cart);
    let person = browser.person_who_looks(&desk("light"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);

    let reports = row(&page, "/sa/reports");
    for part in
        ["3 times", "GET /cart/ann", "no rule allowed it", "no_matching_allow", "1 other request"]
    {
        assert!(reports.contains(part), "{part}: {reports}");
    }
    assert!(reports.contains("shop/cart-allow, rule 0 would have matched but for"), "{reports}");
    let denied = row(&page, "/cart/internal/keys");
    assert!(denied.contains("shop/cart-no-internals, rule 0"), "{denied}");

    page.press("#denials-body tr:has-text(\"/sa/reports\") button");
    let line = page.expect_seen("#denials-body .explain pre");
    expect_same_verdict(&shop.cart, &line, ("no_matching_allow", &Value::Null));
    page.press("#denials-body tr:has-text(\"/sa/reports\") button");
    page.press("#denials-body tr:has-text(\"/cart/internal/keys\") button");
    let line = page.expect_seen("#denials-body .explain pre:has-text(\"internal\")");
    expect_same_verdict(&shop.cart, &line, ("policy_denied", &json!("shop/cart-no-internals")));

    // What happens while somebody looks comes by itself, and is told to those who only listen.
    shop.reports.curl("http://cart:8080/cart/zoe").expect(403);
    page.expect_seen("#denials-body tr:has-text(\"/cart/zoe\")");
    page.expect_seen("#said:has-text(\"New denial: \")");
    page.fill("#filter", "internals");
    page.expect_seen("#denials-body tr:has-text(\"/cart/internal/keys\")");
    assert_eq!(page.count("#denials-body tr:has-text(\"/sa/reports\")"), 0);
    expect_no_complaints(&page);
}

/// Hands the line to `postern-proxy explain`, as a person would.
fn expect_same_verdict(pod: &Pod, line: &str, (reason, policy): (&str, &Value)) {
    let line: Value = serde_json::from_str(line).expect("the page shows JSON");
    let explained = pod.explain(&line);
    assert_eq!(explained["decision"], "deny", "{line}: {explained}");
    assert_eq!((&explained["reason"], &explained["policy"]), (&json!(reason), policy), "{line}");
}

#[test]
fn a_refused_operation_at_a_broker_is_shown_and_its_line_gives_the_same_verdict() {
    let rules = json!([event_scene::rule("orders", &[event_scene::publish(&["bus.orders"])])]);
    let kind = BrokerKind::Nats;
    let scene = event_scene::events(kind, &event_scene::topic_policy(kind, "bus", "ALLOW", &rules));
    let server = scene.broker.at();
    scene.orders.run(async move {
        let mut stream = event_nats::open(server).await;
        let refused = event_nats::say(&mut stream, "PUB bus.payments 0\r\n\r\n").await;
        assert!(refused.starts_with("-ERR 'Permissions Violation"), "{refused}");
    });
    let browser = browser_beside(scene.broker.pod());
    let person = browser.person_who_looks(&desk("light"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    let denied = row(&page, "bus.payments");
    for part in ["/sa/orders", "nats publish bus.payments", "topic_denied"] {
        assert!(denied.contains(part), "{part}: {denied}");
    }
    page.press("#denials-body tr:has-text(\"bus.payments\") button");
    let line = page.expect_seen("#denials-body .explain pre");
    expect_same_verdict(scene.broker.pod(), &line, ("topic_denied", &Value::Null));
    expect_no_complaints(&page);
}

#[test]
fn every_view_says_what_the_proxy_knows() {
    let (_mesh, shop) = visited_shop();
    let browser = browser_beside(&shop.cart);
    let person = browser.person_who_looks(&desk("dark"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    let seen = |selector: &str, parts: &[&str]| {
        let text = page.expect_seen(selector);
        parts.iter().for_each(|part| assert!(text.contains(part), "{selector}: {part}: {text}"));
    };
    seen("#graph-body tr:has-text(\"/sa/frontend\")", &["calls us"]);
    seen("#graph-body tr:has-text(\"/sa/reports\")", &["3"]);
    seen("#graph-picture svg", &["frontend", "3 denied"]);
    seen("#policies-body", &["shop/cart-no-internals, rule 0", "default"]);
    seen("#reasons-body", &["no_matching_allow", "rate_limited", "inbound"]);
    seen(
        "#certificates-body tbody tr",
        &["spiffe://cluster.local/ns/shop/sa/cart", "fresh", "left of"],
    );
    seen(
        "#limits-body tr:has-text(\"posts\")",
        &["shop/cart-limits/posts", "2 in 1 h for each principal"],
    );
    seen("#services-body", &["payments", "50051/grpc", "unused"]);
    seen("#about", &["sidecar", "ready"]);

    // Where the proxy is gone the page says how old it is, and does not look alive.
    page.cut(DATA);
    page.expect_seen("#stale:has-text(\"the program cannot be reached\")");
    seen("#live", &["no answer"]);
    page.press("#pause");
    seen("#live", &["paused"]);
}

#[test]
fn anybody_can_read_it_light_or_dark_wide_or_narrow_with_a_keyboard_alone() {
    let (_mesh, shop) = visited_shop();
    let browser = browser_beside(&shop.cart);
    let looks = |name: &str, looks: &Value| {
        let person = browser.person_who_looks(looks);
        let page = person.page();
        page.open(DASHBOARD).expect(200, DASHBOARD);
        row(&page, "/sa/reports");
        if name != "light" {
            picture(&page, name);
        }
        expect_no_barriers(&page, name);
        page.press("#denials-body tr:has-text(\"/sa/reports\") button");
        page.expect_seen("#denials-body .explain pre");
        if name == "light" {
            picture(&page, name);
        }
        expect_no_barriers(&page, &format!("{name}, explained"));
        assert_eq!(page.overhang(), 0, "{name}: wider than the window");
        expect_no_complaints(&page);
    };
    looks("light", &desk("light"));
    looks("dark", &desk("dark"));
    let phone = json!({"viewport": {"width": 390, "height": 844}, "colorScheme": "light", "reducedMotion": "reduce"});
    looks("narrow", &phone);

    let person = browser.person_who_looks(&desk("light"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    row(&page, "/sa/reports");
    let walk: Vec<_> = (0..32).map(|_| page.key("Tab")).collect();
    let place = |begins: &str| {
        let found = walk.iter().position(|stop| stop.starts_with(begins));
        found.unwrap_or_else(|| panic!("no key leads to {begins}: {walk:#?}"))
    };
    let skip = place("a Skip to denials");
    let order = [
        skip,
        place("button#pause"),
        place("a#to-denials"),
        place("input#filter"),
        place("button Explain: "),
    ];
    assert!(order.is_sorted(), "{walk:#?}");
    // The button that opened the line keeps the focus, and the page's own changes do not take it away.
    let person = browser.person_who_looks(&desk("light"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    row(&page, "/sa/reports");
    let is_there = (0..40).any(|_| page.key("Tab").starts_with("button Explain: "));
    assert!(is_there, "no key leads to the line again: {walk:#?}");
    let _ = page.key("Enter");
    page.expect_seen("#denials-body .explain pre");
    shop.frontend.curl("http://cart:8080/cart/internal/more").expect(403);
    page.expect_seen("#denials-body tr:has-text(\"/cart/internal/more\")");
    assert!(page.key("Shift").starts_with("button Close: "), "the focus is lost");
}

#[test]
fn s43_admin_and_debug_what_strangers_send_is_text_on_the_page() {
    let (_mesh, shop) = visited_shop();
    let hostile = "/cart/<img src=x onerror=hit()>'\"><script>hit()</script>";
    let encoded = "http://cart:8080/cart/%3Cscript%3Ehit()";
    shop.reports.curl_with(&["--path-as-is", "-g", encoded]).expect(403);
    let browser = browser_beside(&shop.cart);
    let person = browser.person();
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    row(&page, "script%3Ehit()");

    // Whatever gets into the data, in any place that holds a text.
    let answer = shop.cart.admin("/dashboard/data.json");
    let mut data: Value = serde_json::from_str(&answer.body).expect("JSON");
    let rules = json!({"left_out": 0, "shown": [{"rule": 942_100, "group": "", "variable": ""}]});
    data["detections"] = json!({"left_out": 0, "shown": [{"time": 1, "policy": "", "action": "", "score": 5, "threshold": 5,
        "rules": rules, "source_principal": "", "source_ip": "", "method": "", "host": "", "path": ""}]});
    data["blocks"] = json!({"left_out": 0, "shown": [{"policy": "", "key": "", "caller": "", "why": "", "mode": "", "since": 1, "until": 2}]});
    replace_texts(&mut data, hostile);
    page.pretend(DATA, &data);
    page.expect_seen("h1:has-text(\"<script>hit()</script>\")");
    for (list, times) in [
        ("denials", 2),
        ("threats", 2),
        ("blocks", 1),
        ("graph", 1),
        ("limits", 1),
        ("services", 1),
    ] {
        let text = page.expect_seen(&format!("#{list}-body"));
        assert!(text.matches("<img src=x onerror=hit()>").count() >= times, "{list}: {text}");
    }
    assert_eq!(page.count("main img, main script, main [onerror]"), 0);
    expect_no_complaints(&page);
}

fn replace_texts(value: &mut Value, with: &str) {
    match value {
        Value::String(text) => with.clone_into(text),
        Value::Array(all) => all.iter_mut().for_each(|one| replace_texts(one, with)),
        Value::Object(all) => all.values_mut().for_each(|one| replace_texts(one, with)),
        _ => {}
    }
}

#[test]
fn s43_admin_and_debug_a_page_of_another_name_gets_nothing() {
    let mesh = Mesh::start();
    mesh.know_host("rebound.example", Ipv4Addr::LOCALHOST);
    let cart = crate::scene::cart(&mesh);
    let browser = browser_beside(&cart);
    let person = browser.person();
    let page = person.page();
    for path in ["", "/data.json", "/page.js"] {
        let url = format!("http://rebound.example:15000/dashboard{path}");
        let shown = page.open(&url).expect(403, &url);
        assert!(shown.text.contains("the Host must be localhost"), "{shown:?}");
    }
    // Another origin of the same machine, such as an app on another port, reads nothing either.
    page.open("http://127.0.0.1:15020/metrics");
    let fetched = page.fetch("http://127.0.0.1:15000/dashboard/data.json");
    assert_eq!(fetched.status, 0, "{fetched:?}");
    page.open(DASHBOARD).expect(200, DASHBOARD);
    assert_eq!(page.fetch("/dashboard/data.json").status, 200);
}

#[test]
fn a_gateway_shows_its_listeners_and_whom_it_refused() {
    let deny = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "no-internals", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "edge"}}, "action": "DENY",
            "rules": [{"to": [{"operation": {"paths": ["/cart/internal*"]}}]}]},
    });
    let scene = gateway_scene::gateway_with(&[("no-internals", &deny)]);
    scene.get("http://shop.example/cart/ann", &[]).expect(200);
    scene.get("http://shop.example/cart/internal", &[]).expect(403);
    let browser = browser_beside(&scene.edge);
    let person = browser.person_who_looks(&desk("light"));
    let page = person.page();
    page.open(DASHBOARD).expect(200, DASHBOARD);
    let listeners = page.expect_seen("#listeners-body");
    assert!(listeners.contains("shop/edge:") && listeners.contains("shop.example"), "{listeners}");
    assert!(page.expect_seen("#routes-body").contains("shop"), "a route took a request");
    let denied = row(&page, "/cart/internal");
    assert!(
        denied.contains("shop/no-internals, rule 0") && denied.contains("nobody proven"),
        "{denied}"
    );
    page.press("#denials-body button");
    let line = page.expect_seen("#denials-body .explain pre");
    expect_same_verdict(&scene.edge, &line, ("policy_denied", &json!("shop/no-internals")));
    expect_no_barriers(&page, "gateway");
    expect_no_complaints(&page);
}
