//! Judging a request by its API's description: a JSON body of 1 KiB, its limits alone, and its schema as well.

use api_schema::{ApiDescription, BodyCheck, BodyPlan, JsonLimits, OperationMatch, RequestHead};
use divan::Bencher;
use http::{HeaderMap, HeaderValue, Method};

fn main() {
    divan::main();
}

const DESCRIPTION: &str = "
openapi: 3.1.0
info: {title: Orders, version: '1'}
paths:
  /orders/{id}:
    put:
      parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses: {default: {description: d}}
components:
  schemas:
    Order:
      type: object
      additionalProperties: false
      required: [customer, lines]
      properties:
        customer: {type: string, maxLength: 64}
        lines: {type: array, maxItems: 100, items: {$ref: '#/components/schemas/Line'}}
    Line:
      type: object
      additionalProperties: false
      required: [article, pieces, price]
      properties:
        article: {type: string, pattern: '^[A-Z]{2}-[0-9]{4}$'}
        pieces: {type: integer, minimum: 1, maximum: 999}
        price: {type: number, minimum: 0}
        note: {type: string, maxLength: 40}
";

#[expect(
    clippy::expect_used,
    reason = "a description of our own that cannot be read is a mistake in this file"
)]
fn description() -> ApiDescription {
    ApiDescription::read(DESCRIPTION).expect("it can be read")
}

/// An order of about 1 KiB.
fn body() -> String {
    let line = r#"{"article": "AB-1234", "pieces": 7, "price": 12.5, "note": "with a ribbon"}"#;
    let lines = vec![line; 13].join(", ");
    format!(r#"{{"customer": "ann", "lines": [{lines}]}}"#)
}

/// Does something with the check of an order's body.
#[expect(
    clippy::panic,
    reason = "a description of our own that does not say so is a mistake in this file"
)]
fn with_check(act: impl FnOnce(&BodyCheck)) {
    let description = description();
    let path = "/orders/6f2c1f9e-3a50-4a8e-9f0d-0d2f8c8f6d11";
    let OperationMatch::Found(operation, values) = description.find(&Method::PUT, path) else {
        panic!("the operation is described")
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let head =
        RequestHead { query: None, headers: &headers, path_parameters: &values, has_body: true };
    match operation.check_request_head(&head) {
        Ok(BodyPlan::Read(check)) => act(&check),
        other => panic!("the body is to be read, not {other:?}"),
    }
}

#[divan::bench]
fn limits(bencher: Bencher<'_, '_>) {
    let body = body();
    bencher.bench(|| JsonLimits::default().check(divan::black_box(body.as_bytes())).is_ok());
}

#[divan::bench]
fn limits_and_schema(bencher: Bencher<'_, '_>) {
    let body = body();
    with_check(|check| {
        assert_eq!(check.check(body.as_bytes(), &JsonLimits::default()), Ok(()));
        let limits = JsonLimits::default();
        bencher.bench(|| check.check(divan::black_box(body.as_bytes()), &limits).is_ok());
    });
}

#[divan::bench]
fn find(bencher: Bencher<'_, '_>) {
    let description = description();
    let path = "/orders/6f2c1f9e-3a50-4a8e-9f0d-0d2f8c8f6d11";
    bencher.bench(|| {
        matches!(description.find(&Method::PUT, divan::black_box(path)), OperationMatch::Found(..))
    });
}
