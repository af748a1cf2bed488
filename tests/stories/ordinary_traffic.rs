//! Threat rules block attacks, and leave ordinary traffic alone: thousands of different requests of people and programs pass
//! a gateway that blocks, with the rules that come with Postern.
#![allow(clippy::print_stdout, reason = "a measurement that is shown")]

use std::collections::BTreeMap;

use postern_tests::ordinary::{OrdinaryAnswer, OrdinaryRequest, ordinary_requests, send_ordinary};
use postern_tests::{Browser, Fetched};
use serde_json::{Value, json};

use crate::gateway_scene::{GatewayScene, gateway_with, policy, target};

const HOST: &str = "shop.example";
/// Of a thousand ordinary requests one may be blocked.
const PER_THOUSAND: usize = 1;
/// Connections that send at the same time.
const LANES: usize = 4;
/// Of so many requests Chromium sends one itself.
const BROWSED_OF: usize = 29;
/// What a browser says of itself, and no page may say for it.
const BROWSERS_OWN: [&str; 5] = ["cookie", "origin", "referer", "user-agent", "accept-language"];

fn threats() -> Value {
    let spec = json!({
        "targetRefs": target(None), "mode": "block", "paranoia": 1,
        // On a machine that does much else no rule is to be the slow one.
        "timeout": "10s", "body": {"inspectBytes": "128KiB", "onExceed": "deny"},
    });
    policy("ThreatPolicy", "edge", &spec)
}

#[test]
fn ordinary_traffic_passes_the_threat_rules() {
    let scene = gateway_with(&[("threats", &threats())]);
    attacks_are_blocked(&scene);
    let requests = ordinary_requests();
    let mut answers = sent_by_programs(&scene, &requests);
    answers.extend(sent_by_a_browser(&scene, &requests));
    assert!(answers.len() >= 3_000, "{} requests", answers.len());
    let blocked: Vec<_> = answers.iter().filter(|answer| !answer.reason.is_empty()).collect();
    print(&answers);
    for answer in &blocked {
        println!("  {} {} {}", answer.status, answer.reason, answer.what);
    }
    // Each of them was looked into: what is not inspected is not blocked either.
    let elsewhere = blocked.iter().find(|answer| answer.reason != "threat_detected");
    assert!(elsewhere.is_none(), "{elsewhere:?}");
    let inspected = scene.edge.metrics().sum("postern_threat_inspection_seconds_count", &[]);
    assert!(inspected >= answers.len() as f64, "{inspected} of {}", answers.len());
    let most = answers.len() * PER_THOUSAND / 1_000;
    assert!(blocked.len() <= most, "{} of {} are blocked", blocked.len(), answers.len());
}

/// The other side of it: nothing passes because the rules are asleep.
fn attacks_are_blocked(scene: &GatewayScene) {
    for attack in [
        "/search?q=1%27%20OR%20%271%27%3D%271%27%20--%20",
        "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E",
        "/files?name=../../../../etc/passwd",
    ] {
        let answer = scene.get(&format!("http://{HOST}{attack}"), &[]);
        assert_eq!((answer.status, answer.reason()), (403, "threat_detected"), "{attack}");
    }
}

fn sent_by_programs(scene: &GatewayScene, requests: &[OrdinaryRequest]) -> Vec<OrdinaryAnswer> {
    let to = (scene.edge.ipv4(), 80).into();
    let lane = |number: usize| {
        let its: Vec<_> = requests.iter().skip(number).step_by(LANES).cloned().collect();
        scene.client.spawn(send_ordinary(to, HOST, its))
    };
    let lanes: Vec<_> = (0..LANES).map(lane).collect();
    lanes.into_iter().flat_map(|lane| lane.join().expect("every request is answered")).collect()
}

/// The same from scripts of a page, with all that Chromium says beside it.
fn sent_by_a_browser(scene: &GatewayScene, requests: &[OrdinaryRequest]) -> Vec<OrdinaryAnswer> {
    scene.mesh.know_host(HOST, scene.edge.ipv4());
    let browser = Browser::start(&scene.client, &scene.web);
    let ann = browser.person();
    let page = ann.page();
    page.open(&format!("https://{HOST}/headers"));
    let text = |request: &OrdinaryRequest| String::from_utf8(request.body.clone()).is_ok();
    let some = requests.iter().step_by(BROWSED_OF).filter(|request| text(request));
    let some: Vec<_> = some.collect();
    let orders: Vec<_> = some.iter().map(|request| order(request)).collect();
    let answers = orders.chunks(20).flat_map(|orders| page.fetch_all(orders));
    some.iter().zip(answers).map(|(request, answer)| noted(request, &answer)).collect()
}

fn order(request: &OrdinaryRequest) -> Value {
    let headers = request.headers.iter().filter(|(name, _)| !BROWSERS_OWN.contains(&&**name));
    let headers: BTreeMap<_, _> = headers.cloned().collect();
    let body = String::from_utf8_lossy(&request.body);
    let body = if body.is_empty() { Value::Null } else { json!(body) };
    let url = format!("https://{HOST}{}", request.target);
    json!({"url": url, "method": request.method, "headers": headers, "body": body})
}

fn noted(request: &OrdinaryRequest, answer: &Fetched) -> OrdinaryAnswer {
    assert!(answer.status > 0, "{} {}: {}", request.method, request.target, answer.body);
    OrdinaryAnswer {
        kind: "a browser",
        what: format!("{} {}", request.method, request.target),
        status: answer.status,
        reason: answer.headers.get("x-postern-reason").cloned().unwrap_or_default(),
    }
}

fn print(answers: &[OrdinaryAnswer]) {
    let mut kinds = BTreeMap::<_, (usize, usize)>::new();
    for answer in answers {
        let (sent, blocked) = kinds.entry(answer.kind).or_default();
        *sent += 1;
        *blocked += usize::from(!answer.reason.is_empty());
    }
    for (kind, (sent, blocked)) in kinds {
        println!("  {kind:20} {sent:5} sent, {blocked:3} blocked");
    }
}
