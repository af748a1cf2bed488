//! Which key of a request counts, and what the app gets to see of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use http::Request;
use policy::{ApiKeyTable, PolicyDefaults, Resources, Snapshot, SourceFile, Workload};

use super::*;

/// The key `open-sesame` in a header, and `query-key` in a parameter.
fn table(header: &str, query: &str) -> Arc<ApiKeyTable> {
    let policy = |name: &str, more: &str, key: &str| {
        format!(
            "---\napiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{{more} keys: [{{id: {name}-1, client: {name}, hash: '{}'}}]}}\n",
            hash(key.as_bytes())
        )
    };
    let text =
        [policy("header", header, "open-sesame"), policy("query", query, "query-key")].concat();
    let files = [SourceFile { name: "r".into(), bytes: text.into_bytes() }];
    let resources = Resources::parse(&files, "postern-system").unwrap_or_else(|m| panic!("{m}"));
    let (namespace, service_account) = ("shop".to_owned(), "cart".to_owned());
    let workload = Workload { namespace, service_account, labels: [].into() };
    Snapshot::build(&resources, &workload, &PolicyDefaults::default()).api_keys().clone()
}

const OPTIONAL: &str = "mode: optional,";
const QUERY: &str = "mode: optional, from: {query: key},";

/// Whose key it is, and what the app gets: the headers of the key, and the target.
fn ask(
    table: &ApiKeyTable,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(Option<String>, usize, String), ApiKeyRefusal> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let query = target.split_once('?').map(|(_, query)| query);
    let found = authenticate(table.rules(None), &mut parts, query, 0)?;
    found.hide_parameter(&mut parts);
    let client = found.facts().map(|facts| facts.client.to_string());
    Ok((client, parts.headers.get_all("x-api-key").iter().count(), parts.uri.to_string()))
}

#[test]
fn s39_one_key_counts_and_the_app_does_not_see_it() {
    let table = table(OPTIONAL, QUERY);
    let key = ("x-api-key", "open-sesame");
    let none = |target: &str| Ok((None, 0, target.to_owned()));
    let whose = |client: &str, target: &str| Ok((Some(client.to_owned()), 0, target.to_owned()));
    let invalid = Err(ApiKeyRefusal::Invalid);
    let long = "k".repeat(MAX_API_KEY_BYTES + 1);
    for (row, target, headers, expect) in [
        ("none", "/a?b=c", vec![], none("/a?b=c")),
        ("in its header", "/a", vec![key], whose("header", "/a")),
        ("in its parameter", "/a?b=c&key=query-key", vec![], whose("query", "/a?b=c")),
        ("in another spelling", "/a?k%65y=query%2Dkey", vec![], whose("query", "/a")),
        ("another key", "/a", vec![("x-api-key", "open-sesam")], invalid.clone()),
        ("none in the header", "/a", vec![("x-api-key", "")], invalid.clone()),
        ("in the place of another", "/a?key=open-sesame", vec![], invalid.clone()),
        ("twice", "/a", vec![key, key], invalid.clone()),
        ("two in a line", "/a", vec![("x-api-key", "open-sesame, open-sesame")], invalid.clone()),
        ("in two places", "/a?key=query-key", vec![key], invalid.clone()),
        ("two parameters", "/a?key=query-key&key=query-key", vec![], invalid.clone()),
        ("too long", "/a", vec![("x-api-key", &*long)], invalid.clone()),
    ] {
        assert_eq!(ask(&table, "GET", target, &headers), expect, "{row}");
    }
}

#[test]
fn a_key_is_handed_on_where_policy_says_so() {
    let table = table("forward: true, mode: optional,", "forward: true, from: {query: key},");
    let found = ask(&table, "GET", "/a", &[("x-api-key", "open-sesame")]).unwrap();
    assert_eq!(found, (Some("header".into()), 1, "/a".into()));
    let found = ask(&table, "GET", "/a?key=query-key", &[]).unwrap();
    assert_eq!(found, (Some("query".into()), 0, "/a?key=query-key".into()));
}

#[test]
fn a_key_is_required_of_all_but_preflights() {
    let table = table("", QUERY);
    let preflight = [("origin", "https://a"), ("access-control-request-method", "GET")];
    for (row, method, headers, expect) in [
        ("a request", "GET", &[][..], Err(ApiKeyRefusal::Missing)),
        ("OPTIONS alone", "OPTIONS", &[], Err(ApiKeyRefusal::Missing)),
        ("the fields of a preflight alone", "GET", &preflight, Err(ApiKeyRefusal::Missing)),
        ("a preflight", "OPTIONS", &preflight, Ok((None, 0, "/a".to_owned()))),
    ] {
        assert_eq!(ask(&table, method, "/a", headers), expect, "{row}");
    }
}

#[test]
fn where_nothing_is_asked_a_header_is_the_apps_own() {
    let found = ask(&ApiKeyTable::default(), "GET", "/a", &[("x-api-key", "x")]).unwrap();
    assert_eq!(found, (None, 1, "/a".into()));
}
