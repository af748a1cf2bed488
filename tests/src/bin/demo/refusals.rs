//! What policy refuses: by allow-list, by method and path, by trust domain, without TLS, without a certificate.

use postern_tests::certificates::TestAuthority;
use postern_tests::{Pod, grpc, raw};
use shop::proto::RefundRequest;

use crate::{Stage, url};
use postern_tests::Table;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let shop = &stage.shop;
    let (frontend, cart, reports) = (&shop.frontend, &shop.cart, &shop.reports);
    let ann = |from| url(from, cart, 8080, "/cart/ann");
    let refused = reports.curl(&ann(reports)).words();
    table.row(
        "reports",
        "cart",
        "GET /cart/ann, not on the list",
        "403 no_matching_allow",
        &refused,
    );
    let refused = frontend.curl_with(&["-X", "DELETE", &ann(frontend)]).words();
    table.row(
        "frontend",
        "cart",
        "DELETE /cart/ann, wrong method",
        "403 no_matching_allow",
        &refused,
    );
    let refused = frontend.curl(&url(frontend, cart, 8080, "/metrics")).words();
    table.row("frontend", "cart", "GET /metrics, wrong path", "403 no_matching_allow", &refused);
    let refused = frontend.curl(&url(frontend, cart, 8080, "/cart/internal/dump")).words();
    table.row("frontend", "cart", "GET /cart/internal/dump, denied", "403 policy_denied", &refused);
    let refused = refund(frontend, &shop.payments);
    table.row(
        "frontend",
        "payments",
        "gRPC Refund, not on the list",
        "PermissionDenied no_matching_allow",
        &refused,
    );
    let orders = reports.route_to(cart, 9000);
    let said = reports.run(async move { raw::say(orders, b"COUNT ann\n").await });
    table.row(
        "reports",
        "cart",
        "TCP orders, not on the list",
        "no answer",
        &no_answer(&said.text()),
    );
    outsiders(table, stage);
}

fn outsiders(table: &mut Table, stage: &Stage) {
    let (intruder, cart) = (&stage.intruder, stage.shop.cart.exposed(8080));
    let plain = intruder.curl(&format!("http://{cart}/cart/ann"));
    table.row("intruder", "cart", "plaintext", "no answer", &plain.words());
    let bare = intruder.curl_with(&["-k", &format!("https://{cart}/cart/ann")]);
    table.row("intruder", "cart", "TLS without a certificate", "no answer", &bare.words());
    let partner = TestAuthority::new("partner.example").workload("shop", "frontend");
    partner.write(intruder.directory());
    let file = |name: &str| intruder.directory().join(name).display().to_string();
    let foreign = intruder.curl_with(&[
        "-k",
        "--cert",
        &file("svid.pem"),
        "--key",
        &file("key.pem"),
        &format!("https://{cart}/cart/ann"),
    ]);
    table.row("partner", "cart", "SVID of spiffe://partner.example", "no answer", &foreign.words());
}

fn refund(frontend: &Pod, payments: &Pod) -> String {
    let address = frontend.route_to(payments, 50051);
    frontend.run(async move {
        match grpc::payments(address).await {
            Ok(mut desk) => match desk.refund(RefundRequest { id: "ann-1".to_owned() }).await {
                Ok(_) => "refunded".to_owned(),
                Err(status) => grpc::refusal(&status),
            },
            Err(error) => error.to_string(),
        }
    })
}

fn no_answer(text: &str) -> String {
    if text.is_empty() { "no answer: closed".to_owned() } else { text.trim().to_owned() }
}
