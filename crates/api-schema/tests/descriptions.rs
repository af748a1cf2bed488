//! Descriptions that are read, and descriptions that are refused, each with what is told of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use api_schema::{ApiDescription, DescriptionProblem, JsonLimits, OperationMatch, RequestHead};
use http::{HeaderMap, HeaderValue, Method};

/// A description of one operation, `PUT /a`, whose body has a schema, in one of the versions.
fn with_schema(version: &str, schema: &str) -> String {
    format!(
        "openapi: {version}\ninfo: {{title: t, version: '1'}}\npaths:\n  /a:\n    put:\n      requestBody:\n        content:\n          \
         application/json:\n            schema: {schema}\n      responses: {{default: {{description: d}}}}\n"
    )
}

fn told(text: &str) -> Vec<String> {
    match ApiDescription::read(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(DescriptionProblem::to_string).collect(),
    }
}

/// What a body is refused for.
fn put(description: &ApiDescription, body: &str) -> Result<(), String> {
    let OperationMatch::Found(operation, values) = description.find(&Method::PUT, "/a") else {
        panic!("no operation")
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let head =
        RequestHead { query: None, headers: &headers, path_parameters: &values, has_body: true };
    let checked = operation.check_request(&head, body.as_bytes(), &JsonLimits::default());
    checked.map_err(|refusal| refusal.to_string())
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let rows = [
        ("3.0.3", "{type: object, const: 1}", "the keyword `const`"),
        ("3.0.3", "{type: object, patternProperties: {}}", "the keyword `patternProperties`"),
        ("3.0.3", "{type: [string, 'null']}", "a type that OpenAPI 3.0 does not have"),
        ("3.0.3", "{type: null}", "a type that OpenAPI 3.0 does not have"),
        ("3.0.3", "{type: array}", "an array without `items`"),
        ("3.0.3", "{type: strin}", "a type that OpenAPI 3.0 does not have"),
        ("3.0.3", "{type: integer, exclusiveMinimum: true}", "no `minimum` beside it"),
        ("3.0.3", "{type: integer, exclusiveMinimum: 3}", "something else than true or false"),
        ("3.0.3", "{type: string, minLenght: 3}", "the keyword `minLenght`"),
        ("3.0.3", "true", "something else than a schema"),
        ("3.1.0", "{type: string, nullable: true}", "the keyword `nullable`"),
        (
            "3.1.0",
            "{type: integer, minimum: 1, exclusiveMinimum: true}",
            "not of the form that `type` asks for",
        ),
        ("3.1.0", "{type: strin}", "not of the form"),
        ("3.1.0", "{$id: 'https://example.com/a'}", "the keyword `$id`"),
        ("3.1.0", "{$dynamicRef: '#x'}", "the keyword `$dynamicRef`"),
        ("3.1.0", "{definitions: {}}", "the keyword `definitions`"),
        ("3.1.0", "{minLength: x}", "not of the form"),
        ("3.1.0", "{required: name}", "something else than a list of names"),
        ("3.1.0", "{format: phone}", "a format that is not known"),
        ("3.1.0", "{pattern: '(?=a)b'}", "only what takes linear time"),
        ("3.1.0", "{pattern: '(a)\\1'}", "only what takes linear time"),
        ("3.1.0", "{pattern: '('}", "a pattern that is broken"),
        ("3.1.0", "{patternProperties: {'(?!a)': {}}}", "only what takes linear time"),
        ("3.1.0", "{$ref: 'other.yaml#/a'}", "which leaves this description"),
        ("3.1.0", "{$ref: 'https://example.com/a'}", "which leaves this description"),
        ("3.1.0", "{$ref: 'file:///etc/passwd'}", "which leaves this description"),
        ("3.1.0", "{$ref: '#anchor'}", "only `#/…` is understood"),
        ("3.1.0", "{$ref: '#/components/schemas/No'}", "a reference to nothing"),
        ("3.1.0", "{$ref: '#/info/title'}", "something else than a schema"),
        (
            "3.1.0",
            "{$ref: '#/paths/~1a/put/requestBody/content/application~1json/schema'}",
            "refers to itself",
        ),
        ("3.1.0", "{allOf: []}", "something else than a list of schemas"),
        (
            "3.1.0",
            "{oneOf: [{type: string}], discriminator: {propertyName: a}}",
            "each schema needs a name",
        ),
        ("3.1.0", "{oneOf: [], discriminator: {}}", "no `propertyName`"),
        (
            "3.1.0",
            "{oneOf: [{$ref: '#/components/schemas/A', maxProperties: 3}], discriminator: {propertyName: a}}",
            "more than a `$ref`",
        ),
        (
            "3.1.0",
            "{oneOf: [{$ref: '#/components/schemas/A'}], anyOf: [{$ref: '#/components/schemas/B'}], discriminator: {propertyName: a}}",
            "both `oneOf` and `anyOf`",
        ),
    ];
    for (version, schema, expect) in rows {
        let told = told(&with_schema(version, schema));
        assert!(told.iter().any(|problem| problem.contains(expect)), "{schema}: {told:?}");
        assert!(told.iter().all(|problem| problem.starts_with("line ")), "{schema}: {told:?}");
    }
}

#[test]
fn descriptions_that_are_none() {
    let head = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\n";
    let get = |item: &str| format!("{head}paths:\n  /a/{{id}}: {{{item}}}\n");
    let rows = [
        ("swagger: '2.0'".to_owned(), "Swagger 2.0"),
        ("openapi: 3.2.0\npaths: {}".to_owned(), "another version"),
        ("openapi: 3.0\npaths: {}".to_owned(), "no `openapi"),
        ("[]".to_owned(), "no `openapi"),
        (head.to_owned(), "no `paths`"),
        (format!("{head}paths: {{}}\nhosts: []"), "the unknown field `hosts`"),
        (format!("{head}paths: {{a: {{}}}}"), "does not begin with `/`"),
        (format!("{head}paths: {{/a: {{gett: {{}}}}}}"), "the unknown field `gett`"),
        (format!("{head}paths: 7"), "/paths: something else than an object"),
        (
            format!("{head}paths: {{/a: {{get: {{parameters: {{name: x}}, responses: {{}}}}}}}}"),
            "/paths/~1a/get/parameters: something else than a list",
        ),
        (
            format!("{head}paths: {{/a: {{get: {{responses: [a]}}}}}}"),
            "/paths/~1a/get/responses: something else than an object",
        ),
        (format!("{head}paths: {{/a: {{get: {{}}}}}}"), "no `responses`"),
        (format!("{head}paths: {{/a: {{get: {{responses: {{20: {{}}}}}}}}}}"), "neither a status"),
        (
            format!("{head}paths: {{/a: {{get: {{security: [{{x: []}}], responses: {{}}}}}}}}"),
            "none of the security schemes",
        ),
        (get("get: {responses: {}}"), "the parameter `id` of the path is not described"),
        (
            get("parameters: [{name: id, in: path, schema: {}}], get: {responses: {}}"),
            "without `required: true`",
        ),
        (get("parameters: [{name: id, in: body}]"), "no `in` of"),
        (get("parameters: [{name: q, in: query}]"), "neither a `schema` nor a `content`"),
        (
            get("parameters: [{name: q, in: query, style: matrix, schema: {}}]"),
            "a style that a parameter in this place cannot have",
        ),
        (format!("{head}paths: {{'/a/{{b}}': {{}}, '/a/{{c}}': {{}}}}"), "differ in the names"),
        (get("parameters: [{name: q, in: query, schema: {maximum: 100}}]"), "write the type"),
        (get("parameters: [{name: q, in: query, schema: {format: uuid}}]"), "write the type"),
        (
            get("parameters: [{name: q, in: query, schema: {type: array, items: {maximum: 9}}}]"),
            "write the type",
        ),
        (
            get(
                "parameters: [{name: q, in: query, style: deepObject, schema: {type: object, properties: {a: {maxLength: 9}}}}]",
            ),
            "write the type",
        ),
        (
            get(
                "put: {requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {maximum: 9}}}}}}}",
            ),
            "write the type",
        ),
        (
            get("put: {requestBody: {content: {application/*: {schema: {type: object}}}}}"),
            "a schema for a range of media types",
        ),
        (format!("{head}servers: [{{url: v1}}]\npaths: {{}}"), "neither a path from `/` nor a URL"),
        (
            format!("{head}servers: [{{url: '/{{v}}'}}]\npaths: {{}}"),
            "a variable that has no value",
        ),
    ];
    for (text, expect) in rows {
        let told = told(&text);
        assert!(told.iter().any(|problem| problem.contains(expect)), "{text}: {told:?}");
    }
}

#[test]
fn a_problem_says_where() {
    let text = "openapi: 3.0.3\ninfo: {}\npaths:\n  /a:\n    get:\n      respones: {}\n      responses: {}\n";
    assert_eq!(
        told(text).first().map(|problem| &problem[..34]),
        Some("line 6: /paths/~1a/get/respones: t")
    );
}

#[test]
fn schemas_of_3_1() {
    let rows = [
        ("{type: [string, 'null']}", "null", Ok(())),
        ("{type: [string, 'null']}", "7", Err("body: type")),
        ("{const: 7}", "8", Err("body: const")),
        ("{exclusiveMinimum: 7}", "7", Err("body: exclusiveMinimum")),
        (
            "{$defs: {a: {type: integer}}, items: {$ref: '#/paths/~1a/put/requestBody/content/application~1json/schema/$defs/a'}}",
            "[1, x]",
            Err("body: syntax"),
        ),
        (
            "{$defs: {a: {type: integer}}, items: {$ref: '#/paths/~1a/put/requestBody/content/application~1json/schema/$defs/a'}}",
            "[1, \"x\"]",
            Err("/body/1: type"),
        ),
        ("{if: {required: [a]}, then: {required: [b]}}", r#"{"a": 1}"#, Err("body: required")),
        ("{prefixItems: [{type: string}], items: false}", r#"["a", 1]"#, Err("/body/1: false")),
        (
            "{allOf: [{properties: {a: {}}}], unevaluatedProperties: false}",
            r#"{"b": 1}"#,
            Err("body: unevaluatedProperties"),
        ),
        ("{propertyNames: {maxLength: 1}}", r#"{"bb": 1}"#, Err("body: propertyNames")),
        ("{dependentRequired: {a: [b]}}", r#"{"a": 1}"#, Err("body: required")),
        ("{contains: {type: string}}", "[1]", Err("body: contains")),
        ("false", "1", Err("body: false")),
        (
            "{$ref: '#/components/schemas/A', maxLength: 1, description: d}",
            r#""aa""#,
            Err("body: maxLength"),
        ),
        ("{pattern: '^\\p{L}+$'}", r#""é1""#, Err("body: pattern")),
        ("{multipleOf: 0.01}", "0.07", Ok(())),
        ("{uniqueItems: true}", "[1, 2, 1]", Err("body: uniqueItems")),
        ("{format: uuid}", r#""no""#, Err("body: format")),
        ("{format: ipv4}", r#""10.0.0.256""#, Err("body: format")),
        ("{format: email}", r#""no""#, Err("body: format")),
        ("{format: uri}", r#""no""#, Err("body: format")),
        ("{format: int64}", "9223372036854775808", Err("body: maximum")),
        ("{format: int64}", "-9223372036854775808", Ok(())),
    ];
    for (schema, body, expect) in rows {
        let text = with_schema("3.1.0", schema) + "components: {schemas: {A: {type: string}}}\n";
        let description =
            ApiDescription::read(&text).unwrap_or_else(|problems| panic!("{schema}: {problems:?}"));
        assert_eq!(put(&description, body), expect.map_err(str::to_owned), "{schema} {body}");
    }
}

#[test]
fn what_is_required_of_answers_alone_is_found_through_combinations() {
    let text = with_schema(
        "3.0.3",
        "{allOf: [{$ref: '#/components/schemas/Base'}, {required: [id, name]}]}",
    ) + "components:\n  schemas:\n    Id: {type: string, readOnly: true}\n    Base: {type: object, required: [id], properties: {id: {$ref: '#/components/schemas/Id'}, name: {type: string}}}\n";
    let description = ApiDescription::read(&text).unwrap();
    assert_eq!(put(&description, r#"{"name": "a"}"#), Ok(()));
    assert_eq!(put(&description, "{}"), Err("body: required".to_owned()));
    assert_eq!(
        put(&description, r#"{"id": "1", "name": "a"}"#),
        Err("/body/id: readOnly".to_owned())
    );
}

#[test]
fn a_description_in_json_is_the_same() {
    let text = r##"{"openapi": "3.0.0", "info": {"title": "\ud83d\ude00", "version": "1"}, "paths": {"/a": {"put": {"requestBody": {"content": {"application/json": {"schema": {"type": "string"}}}}, "responses": {"200": {"description": "d"}}}}}}"##;
    let description = ApiDescription::read(text).unwrap();
    assert_eq!(put(&description, "1"), Err("body: type".to_owned()));
    let elsewhere = ApiDescription::read_at(text, Some("/v2")).unwrap();
    assert!(matches!(elsewhere.find(&Method::PUT, "/v2/a"), OperationMatch::Found(..)));
    assert!(matches!(elsewhere.find(&Method::PUT, "/a"), OperationMatch::UnknownPath));
}

#[test]
fn s49_a_schema_in_two_branches_of_itself_costs_no_power_of_the_depth() {
    let text = with_schema("3.1.0", "{$ref: '#/components/schemas/A'}")
        + "components:\n  schemas:\n    A:\n      oneOf:\n        - {type: object, required: [x], properties: {c: {$ref: '#/components/schemas/A'}}}\n        - {type: object, required: [y], properties: {c: {$ref: '#/components/schemas/A'}}}\n        - {type: object, required: [z], properties: {c: {$ref: '#/components/schemas/A'}}}\n        - {type: integer}\n";
    let description = ApiDescription::read(&text).unwrap();
    let deep = |inner: &str| r#"{"x": 1, "c": "#.repeat(30) + inner + &"}".repeat(30);
    assert_eq!(put(&description, &deep("1")), Ok(()));
    assert_eq!(put(&description, &deep("\"no\"")), Err("body: schema".to_owned()));
}

/// Components that refer to each other in a row.
fn chain(length: usize, link: impl Fn(usize) -> String) -> String {
    let mut text =
        with_schema("3.1.0", "{$ref: '#/components/schemas/A0'}") + "components:\n  schemas:\n";
    for index in 0..length {
        text.push_str(&format!("    A{index}: {}\n", link(index + 1)));
    }
    text + &format!("    A{length}: {{type: string}}\n")
}

#[test]
fn chains_of_schemas_end() {
    let combined = |to: usize| format!("{{allOf: [{{$ref: '#/components/schemas/A{to}'}}]}}");
    assert!(told(&chain(10, combined)).is_empty());
    let found = told(&chain(5_000, combined));
    assert!(
        found.iter().any(|problem| problem.contains("combined of more than 32 schemas")),
        "{found:?}"
    );
    let within =
        |to: usize| format!("{{properties: {{a: {{$ref: '#/components/schemas/A{to}'}}}}}}");
    assert!(told(&chain(5_000, within)).is_empty());
}

#[test]
fn long_lists_are_refused_before_they_are_looked_through() {
    let members = format!("{{allOf: [{}{{}}]}}", "{}, ".repeat(50_000));
    let found = told(&with_schema("3.1.0", &members));
    assert!(found.iter().any(|problem| problem.contains("more than 1000 schemas")), "{found:?}");
    let head = "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths: {/a: {get: {";
    let parameters: String = (0..201)
        .map(|at| format!("{{name: p{at}, in: query, schema: {{type: string}}}}, "))
        .collect();
    let found = told(&format!("{head}parameters: [{parameters}], responses: {{}}}}}}}}\n"));
    assert!(found.iter().any(|problem| problem.contains("more than 200 parameters")), "{found:?}");
    let types: String = (0..101).map(|at| format!("text/t{at}: {{}}, ")).collect();
    let body = format!("{head}requestBody: {{content: {{{types}}}}}, responses: {{}}}}}}}}\n");
    let found = told(&body);
    assert!(found.iter().any(|problem| problem.contains("more than 100 media types")), "{found:?}");
    let path = format!("openapi: 3.1.0\ninfo: {{}}\npaths: {{\"{}\": {{}}}}", "/a".repeat(500));
    let found = told(&path);
    assert!(found.iter().any(|problem| problem.contains("64 segments")), "{found:?}");
}

#[test]
fn schemas_cannot_multiply() {
    let many = |to: usize| {
        format!(
            "{{allOf: [{}]}}",
            vec![format!("{{$ref: '#/components/schemas/A{to}'}}"); 40].join(", ")
        )
    };
    assert!(told(&chain(14, many)).is_empty());
    let patterns: String =
        (0..1_001).map(|index| format!("p{index}: {{pattern: a{index}}}, ")).collect();
    let found = told(&with_schema("3.1.0", &format!("{{properties: {{{patterns}}}}}")));
    assert!(found.iter().any(|problem| problem.contains("more than 1000 patterns")), "{found:?}");
}
