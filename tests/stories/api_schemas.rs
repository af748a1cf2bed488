//! Requests and answers are what the description of their API says, or come to nobody.

use postern_tests::certificates::replace;
use postern_tests::{Mesh, Pod, wait};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::gateway_scene::{gateway_with, policy};
use crate::scene::allow;

/// What a client wrote, and nobody else may come to write.
const SECRET: &str = "canary-7d1f";
/// The accounts of a bank.
const ACCOUNTS: &str = r#"openapi: 3.0.3
info: {title: Accounts, version: "1"}
paths:
  /accounts/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
    get:
      operationId: readAccount
      parameters:
        - {name: fields, in: query, schema: {type: string, maxLength: 5}}
      responses:
        "200":
          description: the account
          content:
            application/json:
              schema:
                type: object
                required: [id, balance]
                properties: {id: {type: integer}, balance: {type: integer}}
  /transfers:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [to, amount]
              additionalProperties: false
              properties:
                to: {type: string, maxLength: 8}
                amount: {type: integer, minimum: 1}
      responses: {"200": {description: made}}
"#;

fn schema(spec: &Value) -> String {
    policy("ApiSchema", "accounts", spec).to_string()
}

/// An ApiSchema for the store, with these keys besides.
fn inline(more: &Value) -> String {
    let mut spec = json!({
        "selector": {"matchLabels": {"app": "store"}},
        "document": {"inline": ACCOUNTS},
        "mode": "block",
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    schema(&spec)
}

/// An app that answers whatever it is asked: an account as described, number 2 as nobody described it, and with what it
/// was asked.
fn serve(pod: &Pod) {
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
    });
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let head = text.find("\r\n\r\n");
        let announced = text.to_lowercase().split("content-length: ").nth(1).map(|rest| {
            rest.lines().next().unwrap_or_default().trim().parse::<usize>().unwrap_or(0)
        });
        let is_whole = head.is_some_and(|head| request.len() >= head + 4 + announced.unwrap_or(0));
        if length == 0 || is_whole {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let path = text.split(' ').nth(1).unwrap_or("/");
    let asks_coding = text.to_lowercase().contains("accept-encoding");
    let body = match path.split('?').next().unwrap_or("/") {
        "/accounts/1" => "{\"id\": 1, \"balance\": 5}".to_owned(),
        "/accounts/2" => format!("{{\"id\": 2, \"balance\": \"{SECRET}\"}}"),
        _ => format!("{{\"got\": {}, \"coding\": {asks_coding}}}", request.len()),
    };
    let sent = if text.starts_with("HEAD") { "" } else { &body };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{sent}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await
}

struct Scene {
    mesh: Mesh,
    store: Pod,
    frontend: Pod,
}

fn scene(written: &str) -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    mesh.policy("accounts", written);
    let quick = json!({"limits": {"resourcePoll": "1s", "inspectionMemory": "1MiB"}});
    let store = mesh.pod("store").port(8080, "http").config(quick).lay_out();
    replace(&store.directory().join("api.yaml"), ACCOUNTS);
    store.start_processes();
    store.ready();
    serve(&store);
    let frontend = mesh.pod("frontend").start();
    Scene { mesh, store, frontend }
}

const URL: &str = "http://store:8080";
const JSON: &str = "content-type: application/json";

impl Scene {
    fn ask(&self, path: &str, more: &[&str]) -> postern_tests::Answer {
        self.frontend.curl_with(&[more, &[&format!("{URL}{path}")]].concat())
    }

    fn transfer(&self, body: &str) -> postern_tests::Answer {
        self.ask("/transfers", &["-H", JSON, "-d", body])
    }

    /// Puts another ApiSchema in force, and waits until it acts.
    fn change(&self, written: &str, acts: impl Fn(&Self) -> bool) {
        self.mesh.policy("accounts", written);
        wait::until_true("the other ApiSchema to act", || acts(self));
    }
}

#[test]
fn what_is_described_passes_and_nothing_else_does() {
    let scene = scene(&inline(&json!({"json": {"maxBytes": "1KiB", "maxDepth": 4}})));
    let deep = "[".repeat(9) + &"]".repeat(9);
    let long = format!("{{\"to\": \"{}\", \"amount\": 1}}", "a".repeat(2000));
    let good = "{\"to\": \"ann\", \"amount\": 3}";
    let wrong = format!("{{\"to\": \"{SECRET}\", \"amount\": 3}}");
    let twice = "{\"to\": \"ann\", \"amount\": 3, \"amount\": 4}";
    let post = |body| vec!["-H", JSON, "-d", body];
    for (row, path, call, status, reason) in [
        ("a described path", "/accounts/1", vec![], 200, ""),
        ("as HEAD", "/accounts/1", vec!["-I"], 200, ""),
        ("with its parameter", "/accounts/1?fields=id", vec![], 200, ""),
        ("a described body", "/transfers", post(good), 200, ""),
        ("another path", "/admin", vec![], 404, "operation_unknown"),
        ("another method", "/accounts/1", vec!["-X", "DELETE"], 405, "method_not_allowed"),
        ("another parameter of the path", "/accounts/x", vec![], 422, "schema_mismatch"),
        (
            "a parameter that is too long",
            "/accounts/1?fields=canary-7d1f",
            vec![],
            422,
            "schema_mismatch",
        ),
        (
            "another content type",
            "/transfers",
            vec!["-H", "content-type: text/plain", "-d", good],
            415,
            "content_type_unexpected",
        ),
        (
            "another coding",
            "/transfers",
            vec!["-H", JSON, "-H", "content-encoding: br", "-d", good],
            415,
            "body_not_inspectable",
        ),
        ("a property that is too long", "/transfers", post(&wrong), 422, "schema_mismatch"),
        ("a key twice", "/transfers", post(twice), 400, "json_limits"),
        ("no JSON", "/transfers", post("{"), 400, "json_limits"),
        ("too deep", "/transfers", post(&deep), 400, "json_limits"),
        ("too long", "/transfers", post(&long), 413, "body_too_large_to_inspect"),
        ("no body", "/transfers", vec!["-X", "POST"], 422, "schema_mismatch"),
    ] {
        let answer = scene.ask(path, &call);
        assert_eq!((answer.status, answer.reason()), (status, reason), "{row}: {answer:?}");
        if status != 200 {
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{row}");
            assert!(!answer.body.contains(SECRET), "{row}: {answer:?}");
        }
    }
    let refused = scene.ask("/accounts/1", &["-X", "DELETE"]);
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    let refused = scene.transfer(&wrong).expect_refusal(422, "schema_mismatch");
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(problem["errors"], json!([{"place": "/body/to", "keyword": "maxLength"}]));

    let line = scene.store.expect_log(&[
        ("status", "422"),
        ("api_schema", "shop/accounts"),
        ("api_operation", "POST /transfers"),
        ("schema_result", "schema_mismatch"),
        ("schema_action", "blocked"),
        ("schema_place", "/body/to"),
        ("schema_keyword", "maxLength"),
    ]);
    assert!(line.has(&[("reason", "schema_mismatch")]));
    let logged = format!("{:?}", scene.store.log());
    assert!(!logged.contains(SECRET), "{logged}");
    let metric = "postern_api_schema_total";
    scene.store.expect_metric(metric, &[("result", "ok"), ("action", "allowed")]);
    scene.store.expect_metric(metric, &[("result", "schema_mismatch"), ("action", "blocked")]);
}

#[test]
fn an_edit_turns_detection_into_refusal_and_a_broken_one_changes_nothing() {
    let scene = scene(&inline(&json!({"mode": "detect"})));
    let wrong = "{\"to\": \"ann\"}";
    scene.ask("/admin", &[]).expect(200);
    scene.transfer(wrong).expect(200);
    scene.store.expect_log(&[
        ("status", "200"),
        ("schema_result", "schema_mismatch"),
        ("schema_action", "detected"),
        ("schema_keyword", "required"),
    ]);
    let metric = "postern_api_schema_total";
    let labels = [("result", "operation_unknown"), ("action", "detected")];
    scene.store.expect_metric(metric, &labels);

    scene.change(&inline(&json!({})), |scene| scene.transfer(wrong).status == 422);
    scene.ask("/admin", &[]).expect_refusal(404, "operation_unknown");
    let broken = inline(&json!({})).replace("openapi: 3.0.3", "openapi: 9.0.3");
    scene.mesh.policy("accounts", &broken);
    scene.store.expect_metric("postern_config_stale", &[]);
    scene.transfer(wrong).expect_refusal(422, "schema_mismatch");

    let lenient = inline(&json!({"unknownOperations": "allow"}));
    scene.change(&lenient, |scene| scene.ask("/admin", &[]).status == 200);
    scene.ask("/accounts/1", &["-X", "DELETE"]).expect_refusal(405, "method_not_allowed");
    scene.ask("/accounts%2F1", &[]).expect_refusal(404, "operation_unknown");

    scene.mesh.remove_policy("accounts");
    wait::until_true("no description to be left", || scene.transfer(wrong).status == 200);
}

#[test]
fn a_description_in_a_file_acts_as_it_changes_and_outlives_a_broken_one() {
    let by_file = |path: &str, mode: &str| {
        schema(&json!({
            "selector": {"matchLabels": {"app": "store"}}, "ports": [8080], "mode": mode,
            "document": {"path": path}, "basePath": "/v1",
        }))
    };
    let scene = scene(&by_file("/run/postern/api.yaml", "block"));
    let file = scene.store.directory().join("api.yaml");
    scene.ask("/v1/accounts/1", &[]).expect(200);
    scene.ask("/accounts/1", &[]).expect_refusal(404, "operation_unknown");

    replace(&file, &ACCOUNTS.replace("/transfers:", "/payments:"));
    wait::until_true("the other description to act", || {
        scene.ask("/v1/payments", &["-H", JSON, "-d", "{\"to\": \"a\", \"amount\": 1}"]).status
            == 200
    });
    replace(&file, &ACCOUNTS.replace("responses:", "respones:"));
    scene.store.expect_metric("postern_api_documents_stale", &[]);
    scene.ask("/v1/accounts/1", &[]).expect(200);
    scene.ask("/v1/transfers", &[]).expect_refusal(404, "operation_unknown");

    let nowhere = by_file("/run/postern/nowhere.yaml", "block");
    scene.change(&nowhere, |scene| scene.ask("/v1/accounts/1", &[]).status == 503);
    scene.ask("/v1/accounts/1", &[]).expect_refusal(503, "inspection_unavailable");
    let watched = by_file("/run/postern/nowhere.yaml", "detect");
    scene.change(&watched, |scene| scene.ask("/v1/accounts/1", &[]).status == 200);
    scene
        .store
        .expect_log(&[("schema_result", "inspection_unavailable"), ("schema_action", "detected")]);
    replace(&scene.store.directory().join("nowhere.yaml"), ACCOUNTS);
    scene.change(&nowhere, |scene| scene.ask("/v1/accounts/x", &[]).status == 422);
    scene.ask("/v1/accounts/1", &[]).expect(200);
}

#[test]
fn answers_are_compared_where_somebody_asks_for_it() {
    let scene = scene(&inline(&json!({})));
    let coding =
        ["-H", "accept-encoding: gzip", "-H", JSON, "-d", "{\"to\": \"a\", \"amount\": 1}"];
    let told = |scene: &Scene| scene.ask("/transfers", &coding).expect(200).body;
    assert!(told(&scene).contains("\"coding\": true"));
    scene.ask("/accounts/2", &[]).expect(200);

    let detecting = inline(&json!({"answers": "detect"}));
    scene.change(&detecting, |scene| told(scene).contains("\"coding\": false"));
    let passed = scene.ask("/accounts/2", &[]).expect(200);
    assert!(passed.body.contains(SECRET), "{passed:?}");
    scene.store.expect_log(&[
        ("status", "200"),
        ("schema_result", "answer_mismatch"),
        ("schema_action", "detected"),
        ("schema_place", "/body/balance"),
    ]);

    let blocking = inline(&json!({"answers": "block"}));
    scene.change(&blocking, |scene| scene.ask("/accounts/2", &[]).status == 502);
    let refused = scene.ask("/accounts/2", &[]).expect_refusal(502, "answer_mismatch");
    assert!(!refused.body.contains(SECRET) && !refused.body.contains("balance"), "{refused:?}");
    scene.ask("/accounts/1", &[]).expect(200);
    scene.ask("/accounts/1", &["-I"]).expect(200);
    // An app that does not switch answers as ever.
    let upgrade = ["-H", "connection: upgrade", "-H", "upgrade: websocket"];
    scene.ask("/accounts/2", &upgrade).expect_refusal(502, "answer_mismatch");
    scene.ask("/accounts/1", &upgrade).expect(200);
    let metric = "postern_api_schema_total";
    scene.store.expect_metric(metric, &[("result", "answer_ok"), ("action", "allowed")]);
    scene.store.expect_metric(metric, &[("result", "answer_mismatch"), ("action", "blocked")]);
    // A fault that is only told of does not exempt the answer.
    let told = inline(&json!({"mode": "detect", "answers": "block"}));
    scene.change(&told, |scene| scene.ask("/accounts/1?x=1", &[]).status == 200);
    scene.ask("/accounts/2?x=1", &[]).expect_refusal(502, "answer_mismatch");
    let logged = format!("{:?}", scene.store.log());
    assert!(!logged.contains(SECRET), "{logged}");
}

/// The client waits to be told to go on before it sends its body; the proxy tells it, and looks.
#[test]
fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let scene = scene(&inline(&json!({})));
    let expect = ["-H", "expect: 100-continue", "--expect100-timeout", "60", "-H", JSON];
    for (body, status) in [("{\"to\": \"ann\", \"amount\": 3}", 200), ("{\"to\": 1}", 422)] {
        let answer = scene.ask("/transfers", &[&expect[..], &["-d", body]].concat());
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

/// A body of a few bytes may become very long ones: it is refused before it is undone.
#[test]
fn s49_a_body_that_grows_beyond_measure_is_refused() {
    let scene = scene(&inline(&json!({})));
    let body = scene.frontend.directory().join("bomb.gz");
    let made = std::process::Command::new("sh")
        .args(["-c", "head -c 50000000 /dev/zero | gzip -9 > \"$0\""])
        .arg(&body)
        .status()
        .unwrap();
    assert!(made.success());
    let coded = ["-H", JSON, "-H", "content-encoding: gzip", "--data-binary"];
    let refused = scene.ask("/transfers", &[&coded[..], &["@/run/postern/bomb.gz"]].concat());
    refused.expect_refusal(413, "body_too_large_to_inspect");
    let fine = scene.frontend.directory().join("fine.gz");
    let made = std::process::Command::new("sh")
        .args(["-c", "printf '{\"to\": \"ann\", \"amount\": 3}' | gzip > \"$0\""])
        .arg(&fine)
        .status()
        .unwrap();
    assert!(made.success());
    scene.ask("/transfers", &[&coded[..], &["@/run/postern/fine.gz"]].concat()).expect(200);
}

/// Long bodies are compared beside the worker, and all that are held count together.
#[test]
fn s49_long_bodies_are_compared_and_held_within_a_bound() {
    let scene = scene(&inline(&json!({"json": {"maxBytes": "4MiB"}})));
    let with = |amount: u8, blanks: usize| {
        format!("{{\"to\": \"ann\", \"amount\": {amount}{}}}", " ".repeat(blanks))
    };
    for (row, body, status, reason) in [
        ("a long one", with(3, 200_000), 200, ""),
        ("a long one that is not as described", with(0, 200_000), 422, "schema_mismatch"),
        ("more than there is room for", with(3, 2_000_000), 503, "inspection_overloaded"),
        ("the next one has room", with(3, 200_000), 200, ""),
    ] {
        replace(&scene.frontend.directory().join("long.json"), &body);
        let post = ["-H", JSON, "--data-binary", "@/run/postern/long.json"];
        let answer = scene.ask("/transfers", &post);
        assert_eq!((answer.status, answer.reason()), (status, reason), "{row}: {answer:?}");
    }
}

#[test]
fn who_is_not_selected_is_as_before() {
    let spec = json!({
        "selector": {"matchLabels": {"app": "bank"}}, "mode": "block",
        "document": {"inline": ACCOUNTS},
    });
    let scene = scene(&schema(&spec));
    scene.ask("/admin", &[]).expect(200);
    scene.transfer("no JSON").expect(200);
    assert_eq!(scene.store.metrics().sum("postern_api_schema_total", &[]), 0.0);
}

#[test]
fn at_a_gateway_a_route_has_a_description_of_its_own() {
    let cart = "openapi: 3.1.0\ninfo: {title: Cart, version: '1'}\npaths:\n  /cart/{who}:\n    get:\n      parameters:\n        - {name: who, in: path, required: true, schema: {type: string, pattern: '^[a-z]{1,8}$'}}\n      responses: {'200': {description: the cart}}\n";
    let route =
        json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "cart"}]);
    let spec = json!({"targetRefs": route, "mode": "block", "document": {"inline": cart}});
    let scene = gateway_with(&[("cart-schema", &policy("ApiSchema", "cart", &spec))]);
    scene.get("https://shop.example/cart/ann", &[]).expect(200);
    scene.get("https://shop.example/cart/ANN", &[]).expect_refusal(422, "schema_mismatch");
    scene.get("https://shop.example/admin", &[]).expect_refusal(404, "operation_unknown");
    scene.edge.expect_log(&[("api_schema", "shop/cart"), ("api_operation", "GET /cart/{who}")]);
    assert_eq!(scene.cart.metrics().sum("postern_api_schema_total", &[]), 0.0);
}

/// Requests that PyPI's schemathesis makes of a description, as it says and otherwise, against an app that takes everything:
/// whoever refuses is the proxy.
#[test]
fn an_outside_judge_finds_no_described_request_refused_and_no_other_let_through() {
    let target = postern_tests::binary("postern-proxy");
    let judge = target.parent().unwrap().parent().unwrap().join("peers/python/bin/schemathesis");
    assert!(judge.is_file(), "{} is missing: run `tests/setup test`", judge.display());
    let descriptions = postern_tests::repository().join("tests/peers/schemathesis");
    for (name, base_path) in [("orders-3.0.yaml", ""), ("tickets-3.1.yaml", "/desk/v2")] {
        let file = descriptions.join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let scene = scene(&inline(&json!({"document": {"inline": text}})));
        let url = format!("{URL}{base_path}");
        let checks = "not_a_server_error,positive_data_acceptance,negative_data_rejection,missing_required_header,unsupported_method";
        let run = scene.frontend.command(
            "env",
            &[
                "-C",
                // It leaves a cache where it runs.
                "/run/postern",
                "HOME=/run/postern",
                judge.to_str().unwrap(),
                "run",
                file.to_str().unwrap(),
                "--url",
                &url,
                "--phases",
                "coverage,fuzzing",
                "--checks",
                checks,
                "--max-examples",
                "25",
                "--generation-deterministic",
                "--generation-allow-x00",
                "false",
                "--suppress-health-check",
                "all",
                "--no-shrink",
                "--no-color",
            ],
        );
        assert_eq!(run.code, 0, "{name}:\n{}\n{}", run.stdout, run.stderr);
        let counted =
            |result| scene.store.metrics().sum("postern_api_schema_total", &[("result", result)]);
        for result in ["ok", "schema_mismatch"] {
            assert!(counted(result) >= 20.0, "{name}: {result} {}", counted(result));
        }
    }
}
