//! Which limits a request meets, and as whose.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use serde_json::json;

use super::{LimitRequest, ListenerName, RateLimits};
use crate::facts::TokenClaims;
use crate::resources::DEFAULT_ROOT_NAMESPACE;
use crate::route::RouteRule;
use crate::{
    ApiKeyFacts, CanonicalPath, HostName, HttpFacts, PathNormalization, Resources, SourceFile,
    Workload,
};

fn resources(documents: &[(&str, &str)]) -> Resources {
    let document = |(name, spec): &(&str, &str)| {
        format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: RateLimitPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    };
    let text = documents.iter().map(document).collect::<Vec<_>>().join("---\n");
    let files = [SourceFile { name: "r.yaml".into(), bytes: text.into_bytes() }];
    Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap()
}

fn workload(namespace: &str, app: &str) -> Workload {
    Workload {
        namespace: namespace.into(),
        service_account: "cart".into(),
        labels: [("app".to_owned(), app.to_owned())].into(),
    }
}

/// A route with two rules, of which the second has a name.
fn rules() -> Vec<std::sync::Arc<RouteRule>> {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: cart, namespace: shop}\n\
        spec: {parentRefs: [{kind: Gateway, name: edge}], rules: [{backendRefs: [{name: cart, port: 80}]},\n\
        {name: search, matches: [{path: {value: /search}}], backendRefs: [{name: cart, port: 80}]}]}\n";
    let files = [SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() }];
    let resources = Resources::parse(&files, DEFAULT_ROOT_NAMESPACE).unwrap();
    resources.routes()[0].rules.iter().map(|rule| rule.rule.clone()).collect()
}

/// What a request of these tests is made of.
struct Given<'a> {
    method: &'a str,
    host: &'a str,
    path: &'a str,
    headers: Vec<(String, String)>,
    token: Option<TokenClaims>,
    principal: Option<&'a str>,
    api_key: Option<ApiKeyFacts>,
    client: &'a str,
    listener: Option<ListenerName<'a>>,
    route: Option<&'a RouteRule>,
}

impl Default for Given<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            host: "shop.example",
            path: "/",
            headers: Vec::new(),
            token: None,
            principal: None,
            api_key: None,
            client: "192.0.2.1",
            listener: None,
            route: None,
        }
    }
}

impl Given<'_> {
    fn ask<T>(&self, ask: impl FnOnce(&LimitRequest<'_>) -> T) -> T {
        let host = HostName::parse(self.host, Some(80)).unwrap();
        let path = CanonicalPath::parse(self.path, PathNormalization::default()).unwrap();
        let http = HttpFacts {
            method: self.method,
            host: &host,
            path: &path,
            headers: &self.headers,
            token: self.token.as_ref(),
            api_key: self.api_key.as_ref(),
        };
        ask(&LimitRequest {
            http,
            principal: self.principal,
            client: self.client.parse::<IpAddr>().unwrap(),
            listener: self.listener,
            route: self.route,
        })
    }

    fn meets(&self, table: &RateLimits) -> Vec<String> {
        let places = self.ask(|request| table.applicable(request));
        places.iter().map(|place| table.limits()[*place].id.to_string()).collect()
    }

    fn key(&self, spec: &str) -> Vec<u8> {
        let policy = format!("{{limits: [{{name: l, {spec}, requests: 1, per: 1s}}]}}");
        let table =
            RateLimits::build(&resources(&[("p", &policy)]), &workload("shop", "cart"), false);
        let mut key = Vec::new();
        self.ask(|request| table.limits()[0].key(request, &mut key));
        key
    }
}

fn api_key(policy: &str, id: &str) -> Option<ApiKeyFacts> {
    Some(ApiKeyFacts { policy: policy.into(), id: id.into(), ..ApiKeyFacts::default() })
}

fn token(issuer: &str, claims: serde_json::Value) -> Option<TokenClaims> {
    let claims = claims.as_object().cloned().unwrap();
    Some(TokenClaims { issuer: issuer.into(), claims, ..TokenClaims::default() })
}

const LIMIT: &str = "limits: [{name: l, key: principal, requests: 1, per: 1s}]";

#[test]
fn which_workloads_a_policy_is_about() {
    let all = format!("{{{LIMIT}}}");
    let selected = format!("{{selector: {{matchLabels: {{app: cart}}}}, {LIMIT}}}");
    let gateway = format!(
        "{{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}], {LIMIT}}}"
    );
    for (row, spec, workload, is_gateway, expect) in [
        ("its namespace", &all, workload("shop", "cart"), false, 1),
        ("another namespace", &all, workload("web", "cart"), false, 0),
        ("selected", &selected, workload("shop", "cart"), false, 1),
        ("not selected", &selected, workload("shop", "bank"), false, 0),
        ("a gateway that is selected", &selected, workload("shop", "cart"), true, 1),
        ("a gateway that is named", &gateway, workload("shop", "edge"), true, 1),
        ("a sidecar is no gateway", &gateway, workload("shop", "edge"), false, 0),
    ] {
        let table = RateLimits::build(&resources(&[("p", spec)]), &workload, is_gateway);
        assert_eq!(table.limits().len(), expect, "{row}");
        assert_eq!(table.is_empty(), expect == 0, "{row}");
    }
}

#[test]
fn which_limits_a_request_meets() {
    let matched = |name: &str, what: &str| {
        format!(
            "{{limits: [{{name: {name}, key: principal, requests: 1, per: 1s, match: {{{what}}}}}]}}"
        )
    };
    let policies = [
        ("a", matched("writes", "methods: [POST, PUT]")),
        ("b", matched("carts", "paths: [/cart/*]")),
        ("c", matched("host", "hosts: [api.shop.example]")),
        ("d", matched("header", "headers: [{name: X-Plan, value: free}]")),
        ("e", matched("others", "notPaths: [/health]")),
    ];
    let policies: Vec<_> = policies.iter().map(|(name, spec)| (*name, spec.as_str())).collect();
    let table = RateLimits::build(&resources(&policies), &workload("shop", "cart"), false);
    let headers = |lines: &[(&str, &str)]| {
        lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let ordinary = Given::default;
    for (row, given, expect) in [
        ("nothing but the one for all", ordinary(), vec!["e/others"]),
        ("a method", Given { method: "POST", ..ordinary() }, vec!["a/writes", "e/others"]),
        ("methods have their case", Given { method: "post", ..ordinary() }, vec!["e/others"]),
        ("a path", Given { path: "/cart/1", ..ordinary() }, vec!["b/carts", "e/others"]),
        (
            "a path in another spelling",
            Given { path: "/%63art/1", ..ordinary() },
            vec!["b/carts", "e/others"],
        ),
        ("a path that is left out", Given { path: "/health", ..ordinary() }, vec![]),
        ("a host", Given { host: "API.shop.example:80", ..ordinary() }, vec!["c/host", "e/others"]),
        (
            "a field",
            Given { headers: headers(&[("x-plan", "free")]), ..ordinary() },
            vec!["d/header", "e/others"],
        ),
        (
            "a second line hides nothing",
            Given { headers: headers(&[("x-plan", "paid"), ("x-plan", "free ")]), ..ordinary() },
            vec!["d/header", "e/others"],
        ),
    ] {
        let expect: Vec<_> = expect.iter().map(|id| format!("shop/{id}")).collect();
        assert_eq!(given.meets(&table), expect, "{row}");
    }
}

#[test]
fn which_limits_a_request_meets_at_a_gateway() {
    let target = |name: &str, refs: &str| {
        format!(
            "{{targetRefs: [{refs}], limits: [{{name: {name}, key: route, requests: 1, per: 1s}}]}}"
        )
    };
    let gateway = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}";
    let https = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge, sectionName: https}";
    let route = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart}";
    let rule =
        "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: cart, sectionName: search}";
    let grpc = "{group: gateway.networking.k8s.io, kind: GRPCRoute, name: cart}";
    let policies = [
        ("a", target("gateway", gateway)),
        ("b", target("listener", https)),
        ("c", target("route", route)),
        ("d", target("rule", rule)),
        ("e", target("both", &format!("{gateway}, {route}"))),
        ("f", target("grpc", grpc)),
    ];
    let policies: Vec<_> = policies.iter().map(|(name, spec)| (*name, spec.as_str())).collect();
    let table = RateLimits::build(&resources(&policies), &workload("shop", "edge"), true);
    let rules = rules();
    let listener = |gateway, section| Some(ListenerName { gateway, section: Some(section) });
    let of_set = Some(ListenerName { gateway: "shop/edge", section: None });
    for (row, listener, route, expect) in [
        ("another gateway", listener("shop/other", "https"), None, vec![]),
        ("a listener", listener("shop/edge", "http"), None, vec!["a/gateway", "e/both"]),
        (
            "a listener that is named",
            listener("shop/edge", "https"),
            None,
            vec!["a/gateway", "b/listener", "e/both"],
        ),
        ("a ListenerSet's, whatever its name", of_set, None, vec!["a/gateway", "e/both"]),
        (
            "a route, and what names both counts once",
            listener("shop/edge", "http"),
            Some(&rules[0]),
            vec!["a/gateway", "c/route", "e/both"],
        ),
        (
            "a rule that is named",
            listener("shop/other", "http"),
            Some(&rules[1]),
            vec!["c/route", "d/rule", "e/both"],
        ),
    ] {
        let given = Given { listener, route: route.map(|rule| &**rule), ..Given::default() };
        let expect: Vec<_> = expect.iter().map(|id| format!("shop/{id}")).collect();
        assert_eq!(given.meets(&table), expect, "{row}");
    }
}

#[test]
fn who_is_the_same_caller() {
    let given = Given::default;
    let rules = rules();
    let claims = |issuer: &str, tenant| Given {
        token: token(issuer, json!({ "tenant": tenant })),
        ..given()
    };
    let with_claim = |claims| Given { token: token("i", claims), ..given() };
    let claim = "key: claim, claim: tenant";
    for (row, key, one, other, is_same) in [
        (
            "one principal",
            "key: principal",
            Given { principal: Some("a"), client: "192.0.2.1", ..given() },
            Given { principal: Some("a"), client: "192.0.2.2", ..given() },
            true,
        ),
        (
            "two principals",
            "key: principal",
            Given { principal: Some("a"), ..given() },
            Given { principal: Some("b"), ..given() },
            false,
        ),
        ("all without one are one", "key: principal", given(), given(), true),
        (
            "nobody has no name",
            "key: principal",
            Given { principal: Some(""), ..given() },
            given(),
            false,
        ),
        ("one claim", claim, claims("i", json!("x")), claims("i", json!("x")), true),
        ("two claims", claim, claims("i", json!("x")), claims("i", json!("y")), false),
        ("of two issuers", claim, claims("i", json!("x")), claims("j", json!("x")), false),
        ("a number is no text", claim, claims("i", json!("1")), claims("i", json!(1)), false),
        ("no claim, no token", claim, with_claim(json!({})), given(), true),
        (
            "no claim, whatever else is in the token",
            claim,
            with_claim(json!({ "a": "x" })),
            with_claim(json!({ "b": "y" })),
            true,
        ),
        (
            "two keys",
            "key: apiKey",
            Given { api_key: api_key("shop/a", "k1"), ..given() },
            Given { api_key: api_key("shop/a", "k2"), ..given() },
            false,
        ),
        (
            "one id in two policies",
            "key: apiKey",
            Given { api_key: api_key("shop/a", "k1"), ..given() },
            Given { api_key: api_key("team/b", "k1"), ..given() },
            false,
        ),
        (
            "the parts of a policy's name and of an id",
            "key: apiKey",
            Given { api_key: api_key("shop/a", "bk1"), ..given() },
            Given { api_key: api_key("shop/ab", "k1"), ..given() },
            false,
        ),
        (
            "one /64",
            "key: clientAddress",
            Given { client: "2001:db8::1", ..given() },
            Given { client: "2001:db8::ffff:1:2:3", ..given() },
            true,
        ),
        (
            "two /64",
            "key: clientAddress",
            Given { client: "2001:db8:0:1::1", ..given() },
            Given { client: "2001:db8:0:2::1", ..given() },
            false,
        ),
        (
            "IPv4 in IPv6",
            "key: clientAddress",
            Given { client: "::ffff:192.0.2.1", ..given() },
            Given { client: "192.0.2.1", ..given() },
            true,
        ),
        (
            "two IPv4",
            "key: clientAddress",
            Given { client: "::ffff:192.0.2.1", ..given() },
            Given { client: "::ffff:192.0.2.2", ..given() },
            false,
        ),
        (
            "two rules",
            "key: route",
            Given { route: Some(&rules[0]), ..given() },
            Given { route: Some(&rules[1]), ..given() },
            false,
        ),
        (
            "two parts, the same text across them",
            "key: [principal, apiKey]",
            Given { principal: Some("ab"), api_key: api_key("p", "c"), ..given() },
            Given { principal: Some("a"), api_key: api_key("p", "bc"), ..given() },
            false,
        ),
        (
            "two parts, one of them another",
            "key: [principal, clientAddress]",
            Given { principal: Some("a"), client: "192.0.2.1", ..given() },
            Given { principal: Some("a"), client: "192.0.2.2", ..given() },
            false,
        ),
    ] {
        assert_eq!(one.key(key) == other.key(key), is_same, "{row}");
    }
}

#[test]
fn s48_no_header_says_which_client_it_is() {
    let forwarded = |value: &str| Given {
        headers: vec![("x-forwarded-for".to_owned(), value.to_owned())],
        ..Given::default()
    };
    let key = "key: clientAddress";
    assert_eq!(forwarded("203.0.113.7").key(key), forwarded("203.0.113.8").key(key));
}
