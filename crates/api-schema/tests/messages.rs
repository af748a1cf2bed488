//! Messages against a description of a bank: what is let through and what is refused, with its place.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::type_complexity)]

use std::sync::LazyLock;

use api_schema::{
    AnswerHead, ApiDescription, BodyPlan, JsonLimits, OperationMatch, RefusalKind, RequestHead,
    SchemaRefusal,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

const ID: &str = "6f2c1f9e-3a50-4a8e-9f0d-0d2f8c8f6d11";

static BANK: LazyLock<ApiDescription> = LazyLock::new(read_bank);

fn bank() -> &'static ApiDescription {
    &BANK
}

fn read_bank() -> ApiDescription {
    ApiDescription::read(include_str!("bank.yaml")).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|it| format!("{it}\n")).collect::<String>())
    })
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn told(refusal: SchemaRefusal) -> String {
    refusal.to_string()
}

/// Asks with a target and headers, and a body where there is one.
fn ask(
    method: Method,
    target: &str,
    lines: &[(&str, &str)],
    body: Option<&str>,
) -> Result<(), String> {
    let bank = bank();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (operation, values) = match bank.find(&method, path) {
        OperationMatch::Found(operation, values) => (operation, values),
        OperationMatch::UnknownPath => return Err("unknown".to_owned()),
        OperationMatch::MethodNotAllowed { allow } => return Err(format!("allow {allow}")),
    };
    let headers = headers(lines);
    let head = RequestHead {
        query,
        headers: &headers,
        path_parameters: &values,
        has_body: body.is_some(),
    };
    operation
        .check_request(&head, body.unwrap_or_default().as_bytes(), &JsonLimits::default())
        .map_err(told)
}

#[test]
fn operations_are_found() {
    let transfers = format!("/v1/accounts/{ID}/transfers");
    let rows = [
        (Method::GET, transfers.clone(), Ok(())),
        (Method::HEAD, transfers.clone(), Ok(())),
        (Method::DELETE, transfers.clone(), Err("allow GET, POST, HEAD")),
        (Method::OPTIONS, transfers.clone(), Err("allow GET, POST, HEAD")),
        (Method::GET, format!("/beta/accounts/{ID}/transfers"), Ok(())),
        (Method::GET, format!("/prod/accounts/{ID}/transfers"), Err("unknown")),
        (Method::GET, format!("/accounts/{ID}/transfers"), Err("unknown")),
        (Method::GET, "/v1/accounts/7/transfers".to_owned(), Err("path.id: format")),
        (Method::GET, "/v1/accounts/%zz/transfers".to_owned(), Err("path.id: encoding")),
        (Method::GET, "/v1/matrix/;a=1;a=2/.1,2/x,5".to_owned(), Ok(())),
        (Method::GET, "/v1/matrix/;a=1;a=z/.1,2/x,5".to_owned(), Err("path.a/1: type")),
        (Method::GET, "/v1/matrix/a=1/.1,2/x,5".to_owned(), Err("path.a: style")),
        (Method::GET, "/v1/matrix/;a=1/1,2/x,5".to_owned(), Err("path.b: style")),
        (Method::GET, "/v1/matrix/;a=1/.1/y,5".to_owned(), Err("path.c: required")),
    ];
    for (method, path, expect) in rows {
        let found = ask(method.clone(), &path, &[("x-tenant", "acme")], None);
        assert_eq!(found, expect.map_err(str::to_owned), "{method} {path}");
    }
}

#[test]
fn parameters_are_as_described() {
    let rows: &[(&str, &[(&str, &str)], Result<(), &str>)] = &[
        ("limit=5", &[], Ok(())),
        ("limit=0", &[], Err("query.limit: minimum")),
        ("limit=x", &[], Err("query.limit: type")),
        ("limit=5.5", &[], Err("query.limit: type")),
        ("limit=1e999999", &[], Err("query.limit: type")),
        ("limit=", &[], Err("query.limit: type")),
        ("limit=5&limit=6", &[], Err("query.limit: repeated")),
        ("limit=%zz", &[], Err("query.limit: encoding")),
        ("%6cimit=5", &[], Ok(())),
        ("state=open&state=done", &[], Ok(())),
        ("state=open", &[], Ok(())),
        ("state=closed", &[], Err("query.state/0: enum")),
        ("state=open&state=open&state=open", &[], Err("query.state: maxItems")),
        ("ids=1,2,3", &[], Ok(())),
        ("ids=1%2C2", &[], Ok(())),
        ("ids=1,x", &[], Err("query.ids/1: type")),
        ("ids=1&ids=2", &[], Err("query.ids: repeated")),
        ("tags=a%7Cb", &[], Ok(())),
        ("tags=a|long", &[], Err("query.tags/1: maxLength")),
        ("filter[from]=2026-01-31&filter[big]=true", &[], Ok(())),
        ("filter%5Bfrom%5D=2026-01-31", &[], Ok(())),
        ("filter[from]=today", &[], Err("query.filter/from: format")),
        ("filter[to]=2026-01-31", &[], Err("query.filter: additionalProperties")),
        ("filter[from][x]=2026-01-31", &[], Err("query: unknownParameter")),
        ("verbose", &[], Ok(())),
        ("verbose=true", &[], Ok(())),
        ("verbose=1", &[], Err("query.verbose: type")),
        ("where=%7B%22a%22%3A1%7D", &[], Ok(())),
        ("where=%7B%22a%22%3A1,%22a%22%3A1%7D", &[], Err("query.where: duplicateKey")),
        ("where=%7B%7D", &[], Err("query.where: required")),
        ("debug=1", &[], Err("query: unknownParameter")),
        ("api_key=x", &[], Err("query: unknownParameter")),
        ("%ff=1", &[], Err("query: encoding")),
        ("&&", &[], Ok(())),
        ("", &[("cookie", "a=b; theme=dark")], Ok(())),
        ("", &[("cookie", "theme=blue")], Err("cookie.theme: enum")),
        ("", &[("cookie", "theme =blue")], Err("cookie.theme: enum")),
        ("", &[("cookie", "theme= dark")], Ok(())),
        ("", &[("cookie", "theme=\"dark\"")], Err("cookie.theme: encoding")),
        ("", &[("cookie", "theme=dark"), ("cookie", "theme=dark")], Err("cookie.theme: repeated")),
        ("", &[("x-tenant", "other")], Err("header.x-tenant: repeated")),
    ];
    for (query, lines, expect) in rows {
        let mut all = vec![("x-tenant", "acme")];
        all.extend_from_slice(lines);
        let found = ask(Method::GET, &format!("/v1/accounts/{ID}/transfers?{query}"), &all, None);
        assert_eq!(found, expect.map_err(str::to_owned), "{query} {lines:?}");
    }
    let path = format!("/v1/accounts/{ID}/transfers");
    assert_eq!(ask(Method::GET, &path, &[], None), Err("header.x-tenant: required".to_owned()));
    let upper = ask(Method::GET, &path, &[("x-tenant", "ACME")], None);
    assert_eq!(upper, Err("header.x-tenant: pattern".to_owned()));
}

#[test]
fn json_bodies_are_as_described() {
    let rows: &[(&str, Result<(), &str>)] = &[
        (r#"{"amount": 5, "to": "DE1234", "secret": "x"}"#, Ok(())),
        (r#"{"amount": 5, "to": "DE1234", "secret": "x", "note": null}"#, Ok(())),
        (r#"{"amount": 5, "to": null, "secret": "x"}"#, Err("/body/to: type")),
        (r#"{"amount": 0, "to": "DE1234", "secret": "x"}"#, Err("/body/amount: exclusiveMinimum")),
        (r#"{"amount": 2147483648, "to": "DE1234", "secret": "x"}"#, Err("/body/amount: maximum")),
        (r#"{"amount": 5, "to": "de1234", "secret": "x"}"#, Err("/body/to: pattern")),
        (r#"{"amount": 5, "to": "DE1234"}"#, Err("body: required")),
        (r#"{"id": "1", "amount": 5, "to": "DE1234", "secret": "x"}"#, Err("/body/id: readOnly")),
        (
            r#"{"amount": 5, "to": "DE1234", "secret": "x", "admin": true}"#,
            Err("body: additionalProperties"),
        ),
        (
            r#"{"amount": 5, "to": "DE1234", "secret": "x", "lines": [{"price": 1}, {"price": 11}]}"#,
            Err("/body/lines/1/price: maximum"),
        ),
        (
            r#"{"amount": 5, "to": "DE1234", "secret": "x", "labels": {"<script>": 1}}"#,
            Err("/body/labels/*: type"),
        ),
        (r#"{"amount": 5, "to": "DE1234", "secret": "x", "proof": "aGk="}"#, Ok(())),
        (
            r#"{"amount": 5, "to": "DE1234", "secret": "x", "proof": "a!"}"#,
            Err("/body/proof: format"),
        ),
        (r#"{"amount": 5, "to": "DE1234", "secret": "x", "when": "2026-11-29T10:00:00Z"}"#, Ok(())),
        (
            r#"{"amount": 5, "to": "DE1234", "secret": "x", "when": "now"}"#,
            Err("/body/when: format"),
        ),
        (r#"{"amount": 5, "amount": 6, "to": "DE1234", "secret": "x"}"#, Err("body: duplicateKey")),
        ("[]", Err("body: type")),
        ("", Err("body: syntax")),
    ];
    let path = format!("/v1/accounts/{ID}/transfers?api_key=x");
    for (body, expect) in rows {
        let found = ask(Method::POST, &path, &[("content-type", "application/json")], Some(body));
        assert_eq!(found, expect.map_err(str::to_owned), "{body}");
    }
}

#[test]
fn media_types_are_as_described() {
    let path = format!("/v1/accounts/{ID}/transfers");
    let good = r#"{"amount": 5, "to": "DE1234", "secret": "x"}"#;
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--b--\r\n";
    let other = "--b\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\nx\r\n--b--\r\n";
    let unexpected = Err("header.content-type: content");
    let rows: &[(&str, &[&str], Option<&str>, Result<(), &str>)] = &[
        ("JSON", &["Application/JSON; charset=UTF-8"], Some(good), Ok(())),
        ("JSON in another charset", &["application/json; charset=utf-16"], Some(good), unexpected),
        ("two media types", &["application/json", "text/plain"], Some(good), unexpected),
        ("none", &[], Some(good), unexpected),
        ("one that is not described", &["application/xml"], Some("<a/>"), unexpected),
        ("a range is no media type", &["*/*"], Some(good), unexpected),
        ("text", &["text/plain"], Some("hello"), Ok(())),
        ("no body", &[], None, Err("body: required")),
        (
            "a form",
            &["application/x-www-form-urlencoded"],
            Some("amount=5&note=7&tags=a&tags=b"),
            Ok(()),
        ),
        (
            "a bad form",
            &["application/x-www-form-urlencoded"],
            Some("amount=0"),
            Err("/body/amount: minimum"),
        ),
        (
            "a short form",
            &["application/x-www-form-urlencoded"],
            Some("note=a"),
            Err("body: required"),
        ),
        (
            "a field twice",
            &["application/x-www-form-urlencoded"],
            Some("amount=1&amount=2"),
            Err("body: repeated"),
        ),
        (
            "a field too many",
            &["application/x-www-form-urlencoded"],
            Some("amount=1&x=2"),
            Err("body: additionalProperties"),
        ),
        ("parts", &["multipart/form-data; boundary=b"], Some(part), Ok(())),
        (
            "a form in another charset",
            &["application/x-www-form-urlencoded; charset=ibm037"],
            Some("amount=5"),
            unexpected,
        ),
        (
            "parts in another charset",
            &["multipart/form-data; boundary=b; charset=utf-16"],
            Some(part),
            unexpected,
        ),
        (
            "parts with two boundaries",
            &["multipart/form-data; boundary=b; boundary=c"],
            Some(part),
            unexpected,
        ),
        (
            "a charset twice",
            &["application/json; charset=utf-8; charset=utf-7"],
            Some(good),
            unexpected,
        ),
        ("parts without a boundary", &["multipart/form-data"], Some(part), Err("body: boundary")),
        (
            "other parts",
            &["multipart/form-data; boundary=b"],
            Some(other),
            Err("/body/file: required"),
        ),
    ];
    for (name, types, body, expect) in rows {
        let lines: Vec<(&str, &str)> = types.iter().map(|it| ("content-type", *it)).collect();
        let found = ask(Method::POST, &path, &lines, *body);
        assert_eq!(found, expect.map_err(str::to_owned), "{name}");
    }
    let get = ask(
        Method::GET,
        &path,
        &[("x-tenant", "acme"), ("content-type", "application/json")],
        Some("{}"),
    );
    assert_eq!(get, Err("body: requestBody".to_owned()));
}

#[test]
fn a_discriminator_chooses_the_schema() {
    let rows = [
        (r#"{"kind": "round", "r": 1}"#, Ok(())),
        (r#"{"kind": "Square", "a": 1}"#, Ok(())),
        (r#"{"kind": "round", "a": 1}"#, Err("body: required")),
        (r#"{"kind": "Square", "a": "x"}"#, Err("/body/a: type")),
        (r#"{"kind": "Circle", "r": 1}"#, Err("/body/kind: enum")),
        (r#"{"r": 1}"#, Err("body: required")),
        (r#"7"#, Err("body: type")),
    ];
    for (body, expect) in rows {
        let found =
            ask(Method::PUT, "/v1/shapes", &[("content-type", "application/json")], Some(body));
        assert_eq!(found, expect.map_err(str::to_owned), "{body}");
    }
}

#[test]
fn a_schema_may_hold_itself() {
    let rows = [
        (r#"{"name": "a", "below": [{"name": "b", "below": [{"name": "c"}]}]}"#, Ok(())),
        (
            r#"{"name": "a", "below": [{"name": "b", "below": [{}]}]}"#,
            Err("/body/below/0/below/0: required"),
        ),
    ];
    for (body, expect) in rows {
        let found =
            ask(Method::PUT, "/v1/trees", &[("content-type", "application/json")], Some(body));
        assert_eq!(found, expect.map_err(str::to_owned), "{body}");
    }
}

#[test]
fn answers_are_as_described() {
    let bank = bank();
    let path = format!("/v1/accounts/{ID}/transfers");
    let good = format!(r#"[{{"id": "{ID}", "amount": 5, "to": "DE1234"}}]"#);
    let secret = format!(r#"[{{"id": "{ID}", "amount": 5, "to": "DE1234", "secret": "x"}}]"#);
    let json = ("content-type", "application/json");
    let problem = ("content-type", "application/problem+json");
    let rows: &[(&str, u16, &[(&str, &str)], Option<&str>, Result<(), &str>)] = &[
        ("as described", 200, &[json, ("x-total", "1")], Some(&good), Ok(())),
        ("to HEAD", 200, &[json, ("x-total", "1")], None, Ok(())),
        ("without its header", 200, &[json], Some(&good), Err("header.x-total: required")),
        (
            "a header of another type",
            200,
            &[json, ("x-total", "x")],
            Some(&good),
            Err("header.x-total: type"),
        ),
        (
            "what is only written",
            200,
            &[json, ("x-total", "1")],
            Some(&secret),
            Err("/body/0/secret: writeOnly"),
        ),
        (
            "what is missing",
            200,
            &[json, ("x-total", "1")],
            Some(r#"[{}]"#),
            Err("/body/0: required"),
        ),
        (
            "another media type",
            200,
            &[("content-type", "text/html"), ("x-total", "1")],
            Some("<b>"),
            Err("header.content-type: content"),
        ),
        ("of a class", 404, &[problem], Some(r#"{"title": "gone"}"#), Ok(())),
        (
            "of a class, and wrong",
            404,
            &[problem],
            Some(r#"{"title": 7}"#),
            Err("/body/title: type"),
        ),
        ("of no other status", 500, &[], None, Ok(())),
        (
            "a body that is not described",
            500,
            &[json],
            Some("{}"),
            Err("header.content-type: content"),
        ),
    ];
    for (name, status, lines, body, expect) in rows {
        let OperationMatch::Found(operation, _) = bank.find(&Method::GET, &path) else {
            panic!("{name}")
        };
        let headers = headers(lines);
        let head = AnswerHead {
            status: StatusCode::from_u16(*status).unwrap(),
            headers: &headers,
            has_body: body.is_some(),
        };
        let found = operation.check_answer(
            &head,
            body.unwrap_or_default().as_bytes(),
            &JsonLimits::default(),
        );
        assert_eq!(found.map_err(told), expect.map_err(str::to_owned), "{name}");
    }
    let OperationMatch::Found(post, _) = bank.find(&Method::POST, &path) else { panic!() };
    let head = AnswerHead { status: StatusCode::OK, headers: &HeaderMap::new(), has_body: false };
    let unknown = post.check_answer_head(&head).unwrap_err();
    assert_eq!(
        (unknown.kind, told(unknown).as_str()),
        (RefusalKind::SchemaMismatch, "status: responses")
    );
}

#[test]
fn bodies_are_read_only_where_they_are_judged() {
    let bank = bank();
    let path = format!("/v1/accounts/{ID}/transfers");
    let OperationMatch::Found(operation, values) = bank.find(&Method::POST, &path) else {
        panic!()
    };
    for (media, expect) in [
        ("application/json", true),
        ("text/plain", false),
        ("multipart/form-data; boundary=b", true),
    ] {
        let headers = headers(&[("content-type", media)]);
        let head = RequestHead {
            query: None,
            headers: &headers,
            path_parameters: &values,
            has_body: true,
        };
        let plan = operation.check_request_head(&head).unwrap();
        assert_eq!(matches!(plan, BodyPlan::Read(_)), expect, "{media}");
    }
}

#[test]
fn operations_tell_who_they_are() {
    let bank = bank();
    let told: Vec<_> = bank
        .operations()
        .map(|it| {
            format!(
                "{} {} {:?} {:?} {:?}",
                it.method(),
                it.path(),
                it.id(),
                it.tags(),
                it.security()
            )
        })
        .take(2)
        .collect();
    assert!(
        told[0].starts_with("GET /accounts/{id}/transfers Some(\"listTransfers\") [\"transfers\"]"),
        "{told:?}"
    );
    assert!(told[0].contains("(\"oauth\", [\"transfers.read\"])"), "{told:?}");
    assert!(told[1].contains("(\"key\", [])"), "{told:?}");
}
