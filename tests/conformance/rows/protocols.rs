//! What apps speak: HTTP/2 in the clear, WebSocket; and what browsers ask before they ask.

use http::Method;
use postern_tests::websocket;

use crate::exchange::{Exchange, Way, get};
use crate::row::{Row, Scene};

pub(crate) const ROWS: &[Row] = &[
    Row::gateway("HTTPRouteBackendProtocolH2C", H2C, h2c),
    Row::gateway("HTTPRouteBackendProtocolWebSocket", WEB_SOCKET, web_socket),
    Row::gateway("HTTPRouteCORS", CORS, cors),
];

const H2C: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs: [{name: infra-v1, port: 8081}]
";

fn h2c(scene: &Scene<'_>) {
    let exchange = get("/").reaches("infra-v1").sees_protocol("HTTP/2.0");
    scene.expect_at(scene.at(1, 80), &Way::Http2, std::slice::from_ref(&exchange));
    scene.expect(&[exchange]);
}

const WEB_SOCKET: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - backendRefs: [{name: infra-v1, port: 8080}]
";

fn web_socket(scene: &Scene<'_>) {
    let address = scene.at(1, 80);
    scene.world.edge().run(async move {
        let mut socket = websocket::open(address, "ws://example.org/socket").await.unwrap();
        for text in ["one", "two"] {
            assert_eq!(socket.ask(text).await.as_deref(), Ok(text));
        }
    });
}

const CORS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: $row, namespace: infra}
spec:
  parentRefs: [$parent]
  rules:
    - matches: [{path: {type: PathPrefix, value: /lists}}]
      filters:
        - type: CORS
          cors:
            allowOrigins: ['https://one.example', 'https://*.two.example']
            allowMethods: [GET, OPTIONS]
            allowHeaders: [x-one, x-two]
            exposeHeaders: [x-three, x-four]
            allowCredentials: true
            maxAge: 3600
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /methods}}]
      filters: [{type: CORS, cors: {allowOrigins: ['https://one.example'], allowMethods: ['*']}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /origins}}]
      filters: [{type: CORS, cors: {allowOrigins: ['*'], allowMethods: [PUT], allowCredentials: false}}]
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /all}}]
      filters:
        - type: CORS
          cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true}
      backendRefs: [{name: infra-v1, port: 8080}]
    - matches: [{path: {type: PathPrefix, value: /public}}]
      filters:
        - type: CORS
          cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: false}
      backendRefs: [{name: infra-v1, port: 8080}]
";

const ORIGIN: &str = "access-control-allow-origin";
const CREDENTIALS: &str = "access-control-allow-credentials";

fn cors(scene: &Scene<'_>) {
    preflights(scene);
    requests(scene);
}

fn preflights(scene: &Scene<'_>) {
    for origin in ["https://one.example", "https://a.two.example", "https://a.b.two.example"] {
        let asked =
            preflight("/lists", origin, "GET").with("access-control-request-headers: x-one, x-two");
        let answer = scene.ask(scene.at(1, 80), &Way::Plain, &asked).expect("an answer");
        asked.check(&answer).unwrap();
        assert_eq!(answer.header(ORIGIN).as_deref(), Some(origin));
        assert_eq!(answer.header(CREDENTIALS).as_deref(), Some("true"));
        assert_eq!(answer.header("access-control-max-age").as_deref(), Some("3600"));
        for (header, values) in [
            ("access-control-allow-methods", ["GET", "OPTIONS"]),
            ("access-control-allow-headers", ["x-one", "x-two"]),
        ] {
            assert_eq!(listed(answer.header(header)), sorted(&values), "{header}");
        }
    }
    scene.expect(&[
        preflight("/lists", "https://three.example", "GET").gets_no(ORIGIN),
        preflight("/lists", "http://one.example", "GET").gets_no(ORIGIN),
        preflight("/methods", "https://one.example", "POST")
            .gets(&format!("{ORIGIN}: https://one.example"))
            .gets_one_of("access-control-allow-methods", &["POST", "*"])
            .gets_no(CREDENTIALS),
        preflight("/origins", "https://any.example:8080", "PUT")
            .gets_one_of(ORIGIN, &["https://any.example:8080", "*"])
            .gets("access-control-allow-methods: PUT")
            .gets_no(CREDENTIALS),
        // With credentials nothing is answered with a star (Fetch, CORS protocol and credentials).
        preflight("/all", "https://any.example", "PUT")
            .with("access-control-request-headers: x-one")
            .gets(&format!("{ORIGIN}: https://any.example"))
            .gets("access-control-allow-methods: PUT")
            .gets("access-control-allow-headers: x-one")
            .gets(&format!("{CREDENTIALS}: true")),
        preflight("/public", "https://any.example", "PUT")
            .with("access-control-request-headers: x-one")
            .gets_one_of(ORIGIN, &["https://any.example", "*"])
            .gets_one_of("access-control-allow-methods", &["PUT", "*"])
            .gets_one_of("access-control-allow-headers", &["x-one", "*"])
            .gets_no(CREDENTIALS),
    ]);
}

fn requests(scene: &Scene<'_>) {
    let from = |path: &str, origin: &str| get(path).with(&format!("origin: {origin}"));
    scene.expect(&[
        from("/lists", "https://one.example")
            .reaches("infra-v1")
            .gets(&format!("{ORIGIN}: https://one.example"))
            .gets(&format!("{CREDENTIALS}: true")),
        from("/lists", "https://a.two.example")
            .reaches("infra-v1")
            .gets(&format!("{ORIGIN}: https://a.two.example")),
        from("/lists", "https://three.example").gets_no(ORIGIN),
        from("/origins", "https://any.example:8080")
            .method(Method::PUT)
            .reaches("infra-v1")
            .gets_one_of(ORIGIN, &["https://any.example:8080", "*"])
            .gets_no(CREDENTIALS),
        from("/all", "https://any.example")
            .reaches("infra-v1")
            .gets(&format!("{ORIGIN}: https://any.example"))
            .gets(&format!("{CREDENTIALS}: true")),
        from("/public", "https://any.example")
            .reaches("infra-v1")
            .gets_one_of(ORIGIN, &["https://any.example", "*"])
            .gets_no(CREDENTIALS),
    ]);
}

/// What a browser asks before a request of this method (Fetch, CORS-preflight fetch).
fn preflight(path: &str, origin: &str, method: &str) -> Exchange {
    let request = get(path).method(Method::OPTIONS).with(&format!("origin: {origin}"));
    request.with(&format!("access-control-request-method: {method}")).answers_one_of(&[200, 204])
}

fn listed(header: Option<String>) -> Vec<String> {
    let header = header.unwrap_or_default();
    sorted(&header.split(',').map(str::trim).collect::<Vec<_>>())
}

fn sorted(values: &[&str]) -> Vec<String> {
    let mut values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
    values.sort();
    values
}
