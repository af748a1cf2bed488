//! What policy allows: HTTP, gRPC, WebSocket and TCP, each through two proxies.

use postern_tests::{Pod, grpc, raw, websocket};
use shop::proto::{ChargeRequest, FollowRequest};
use shop::ticker::GREETING;
use tokio::net::TcpStream;

use crate::identities::short;
use crate::{Stage, url};
use postern_tests::Table;

pub(crate) fn show(table: &mut Table, stage: &Stage) {
    let shop = &stage.shop;
    let (frontend, cart) = (&shop.frontend, &shop.cart);
    let ann = url(frontend, cart, 8080, "/cart/ann");
    let put = frontend.curl_with(&["-d", "tea", &ann]);
    table.row(
        "frontend",
        "cart",
        "HTTP POST /cart/ann",
        "201",
        &format!("{} {}", put.status, put.body.trim()),
    );
    let get = frontend.curl(&ann);
    table.row(
        "frontend",
        "cart",
        "HTTP GET /cart/ann",
        "200",
        &format!("{} {}", get.status, get.body.trim()),
    );
    if stage.mesh.has_namespaces() {
        let get = frontend.curl_with(&["-6", &ann]);
        table.row(
            "frontend",
            "cart",
            "the same over IPv6",
            "200",
            &format!("{} {}", get.status, get.body.trim()),
        );
    }
    who_calls(table, frontend, cart);
    let charged = charge(frontend, &shop.payments);
    table.row(
        "frontend",
        "payments",
        "gRPC Charge, then a stream",
        "authorised, captured, settled",
        &charged,
    );
    let said = web_socket(frontend, cart);
    table.row("frontend", "cart", "WebSocket /events", "you said: hello", &said);
    let orders = frontend.route_to(cart, 9000);
    let said = frontend
        .run(async move { raw::say_and_half_close(orders, b"ADD bob cup\nCOUNT bob\n").await });
    table.row(
        "frontend",
        "cart",
        "TCP orders, half-closed",
        "OK 1, 1, BYE 2",
        &lines(&said.text()),
    );
    let greeted = greeting(frontend, cart);
    table.row("frontend", "cart", "TCP ticker, server first", GREETING, &greeted);
    checkout(table, frontend);
}

/// The app sees who called, in a header that only the mesh can set.
fn who_calls(table: &mut Table, frontend: &Pod, cart: &Pod) {
    let answer = frontend.curl_with(&[
        "-H",
        "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/shop/sa/forged",
        &url(frontend, cart, 8080, "/headers"),
    ]);
    let expected = format!("URI={}", frontend.spiffe_id());
    let seen = if answer.body.contains("forged") {
        "the forged name".to_owned()
    } else if answer.body.contains(&expected) {
        short(&expected)
    } else {
        format!("{} {}", answer.status, answer.body.trim())
    };
    table.row("frontend", "cart", "a forged caller's name is replaced", &short(&expected), &seen);
}

/// A browser asks the front end, which calls both others: plain app code, the mesh unseen.
fn checkout(table: &mut Table, frontend: &Pod) {
    let page = frontend.curl_with(&["-X", "POST", "http://localhost:8000/checkout/ann"]);
    let receipt = serde_json::from_str::<serde_json::Value>(&page.body).unwrap_or_default();
    let seen = format!("{} {} cents", page.status, receipt["amount"]);
    table.row("browser", "frontend", "POST /checkout/ann", "200", &seen);
}

fn charge(frontend: &Pod, payments: &Pod) -> String {
    let address = frontend.route_to(payments, 50051);
    let pay = async move {
        let mut desk = grpc::payments(address).await.map_err(|error| error.to_string())?;
        let charge = ChargeRequest { user: "ann".to_owned(), card: "4000".to_owned(), amount: 250 };
        let receipt =
            desk.charge(charge).await.map_err(|status| grpc::refusal(&status))?.into_inner();
        let follow = FollowRequest { id: receipt.id };
        let mut events =
            desk.follow(follow).await.map_err(|status| grpc::refusal(&status))?.into_inner();
        let mut states = Vec::new();
        while let Some(event) = events.message().await.map_err(|status| grpc::refusal(&status))? {
            states.push(event.state);
        }
        Ok::<_, String>(states.join(", "))
    };
    frontend.run(pay).unwrap_or_else(|refusal| refusal)
}

fn web_socket(frontend: &Pod, cart: &Pod) -> String {
    let address = frontend.route_to(cart, 8080);
    let talk = async move {
        let mut socket = websocket::open(address, "ws://cart:8080/events").await?;
        socket.ask("hello").await
    };
    frontend.run(talk).unwrap_or_else(|refusal| refusal)
}

fn greeting(frontend: &Pod, cart: &Pod) -> String {
    let address = frontend.route_to(cart, 9100);
    frontend.run(async move {
        match TcpStream::connect(address).await {
            Ok(mut stream) => raw::hear_line(&mut stream).await,
            Err(error) => error.to_string(),
        }
    })
}

fn lines(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(", ")
}
