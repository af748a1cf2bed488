//! Inside nobody is believed for being inside: each service has its callers, and wants to know for whom they call.

use postern_tests::{OnlineShop, Pod, Table, grpc};
use shop::proto::ChargeRequest;

pub(crate) fn show(table: &mut Table, online: &OnlineShop) {
    let shop = &online.shop;
    let ask = |from: &Pod, more: &[&str]| {
        from.curl_with(&[more, &["http://cart:8080/cart/ann"]].concat()).words()
    };
    let refused = "403 no_matching_allow";
    table.row("reports", "cart", "GET /cart/ann: no caller", refused, &ask(&shop.reports, &[]));
    let nobody = ask(&shop.frontend, &["-H", "x-user: ann"]);
    table.row("frontend", "cart", "the same, for nobody, with x-user: ann", refused, &nobody);
    let charged = charge(&shop.frontend, &shop.payments);
    let expected = "PermissionDenied no_matching_allow";
    table.row("frontend", "payments", "gRPC Charge, for nobody", expected, &charged);
    let charged = charge(&shop.cart, &shop.payments);
    table.row("cart", "payments", "gRPC Charge: no caller", expected, &charged);
    let direct = format!("http://{}/", shop.frontend.at(8000));
    let direct = online.stranger.curl(&direct).words();
    table.row("stranger", "frontend", "its port, past the gateway", "no answer", &direct);
}

fn charge(from: &Pod, payments: &Pod) -> String {
    let address = from.route_to(payments, 50051);
    let charge = ChargeRequest { user: "ann".to_owned(), card: "4000".to_owned(), amount: 1 };
    from.run(async move {
        match grpc::payments(address).await {
            Ok(mut desk) => match desk.charge(charge).await {
                Ok(_) => "charged".to_owned(),
                Err(status) => grpc::refusal(&status),
            },
            Err(error) => error.to_string(),
        }
    })
}
