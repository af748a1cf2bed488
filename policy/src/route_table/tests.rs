//! Which rule takes what.
#![allow(clippy::unwrap_used, clippy::panic)]

mod matching;
mod reference;
mod scope;

use std::collections::BTreeMap;

use super::*;
use crate::{PathNormalization, SourceFile};

fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system").unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn client(namespace: &str) -> Workload {
    Workload {
        namespace: namespace.into(),
        service_account: "client".into(),
        labels: BTreeMap::new(),
    }
}

/// The table of a client in namespace `shop`.
fn table(text: &str) -> RouteTable {
    RouteTable::build(&resources(text), &client("shop"))
}

const CART: &str = "cart.shop.svc.cluster.local";

/// An HTTPRoute `shop/<name>` of Service `cart`.
fn http(name: &str, more: &str, rules: &str) -> String {
    route("HTTPRoute", &format!("name: {name}, namespace: shop"), more, rules)
}

fn route(kind: &str, metadata: &str, more: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{{metadata}}}\nspec: {{parentRefs: [{{group: '', kind: Service, name: cart, namespace: shop}}], {more} rules: {rules}}}\n"
    )
}

/// A request as a row writes it: `METHOD host path`, and its fields as `name: value`.
struct Asked {
    method: String,
    host: HostName,
    path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    fn new(text: &str) -> Self {
        let mut lines = text.split('\n');
        let mut words = lines.next().unwrap().split(' ');
        let mut word = || words.next().unwrap().to_owned();
        let method = word();
        let host = HostName::parse(&word(), Some(80)).unwrap();
        let path = word();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { method, host, path, headers }
    }

    /// `route/rule` of what is chosen, `404` when nothing is.
    fn of(&self, routes: &ServiceRoutes) -> String {
        let path = CanonicalPath::parse(&self.path, PathNormalization::default()).unwrap();
        let is_grpc = self.headers.iter().any(|(name, _)| name == "content-type");
        let request = RouteRequest {
            method: &self.method,
            host: &self.host,
            path: &path,
            headers: &self.headers,
            is_grpc,
        };
        shown(routes.choose(&request))
    }
}

fn shown(rule: Option<&Arc<RouteRule>>) -> String {
    rule.map_or_else(|| "404".to_owned(), |rule| format!("{}/{}", rule.route.name, rule.index))
}

#[track_caller]
fn check(text: &str, rows: &[(&str, &str)]) {
    let routes = table(text).of_port(CART, 80, "http").unwrap();
    for (asked, expect) in rows {
        assert_eq!(Asked::new(asked).of(&routes), *expect, "{asked}\n{text}");
    }
}
