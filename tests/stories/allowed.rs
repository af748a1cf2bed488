//! What policy allows works: every protocol, through two proxies, over both address families.

use ::shop::proto::{ChargeRequest, FollowRequest, RefundRequest};
use ::shop::ticker::GREETING;
use postern_tests::{App, Mesh, grpc, raw, shop, websocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::scene::{self, allow};

#[test]
fn http_from_an_allowed_caller() {
    let scene = scene::shop();
    scene.frontend.curl_with(&["-d", "tea", "http://cart:8080/cart/ann"]).expect(201);
    let answer = scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    assert_eq!(answer.body.trim(), r#"{"items":["tea"],"user":"ann"}"#);
    let caller = scene.frontend.principal();
    scene.cart.expect_metric(
        "postern_requests_total",
        &[
            ("direction", "inbound"),
            ("source_principal", &caller),
            ("response_code", "201"),
            ("mtls", "mutual_tls"),
        ],
    );
    scene.cart.expect_metric(
        "postern_authorization_decisions_total",
        &[("decision", "allow"), ("policy", "shop/cart-allow"), ("rule", "0")],
    );
    scene.cart.expect_log(&[
        ("kind", "request"),
        ("direction", "inbound"),
        ("method", "POST"),
        ("path", "/cart/ann"),
        ("status", "201"),
        ("source_principal", &caller),
        ("policy", "shop/cart-allow"),
    ]);
    scene.frontend.expect_metric(
        "postern_requests_total",
        &[("direction", "outbound"), ("response_code", "200")],
    );
}

#[test]
fn http2_from_an_allowed_caller() {
    let scene = scene::shop();
    let answer =
        scene.frontend.curl_with(&["--http2-prior-knowledge", "http://cart:8080/cart/ann"]);
    assert_eq!(answer.expect(200).body.trim(), r#"{"items":[],"user":"ann"}"#);
}

#[test]
fn http_over_ipv6() {
    let scene = scene::shop();
    scene.frontend.curl_with(&["-6", "http://cart:8080/cart/ann"]).expect(200);
    scene.frontend.curl_with(&["-6", "-X", "DELETE", "http://cart:8080/cart/ann"]).expect(403);
    let reports = scene.mesh.pod("reports").start();
    reports
        .curl_with(&["-6", "http://cart:8080/cart/ann"])
        .expect_refusal(403, "no_matching_allow");
}

#[test]
fn grpc_with_streams_statuses_and_trailers() {
    let mesh = Mesh::start();
    shop::install(&mesh, "payments");
    let payments = mesh.pod("payments").port(50051, "grpc").app(App::new("shop-payments")).start();
    let frontend = mesh.pod("frontend").start();
    let address = payments.at(50051);
    frontend.run(async move {
        let mut desk = grpc::payments(address).await.unwrap();
        let charge =
            |card: &str| ChargeRequest { user: "ann".into(), card: card.into(), amount: 250 };
        let receipt = desk.charge(charge("4000")).await.unwrap().into_inner();
        assert_eq!(receipt.amount, 250);
        let mut events =
            desk.follow(FollowRequest { id: receipt.id.clone() }).await.unwrap().into_inner();
        let mut states = Vec::new();
        while let Some(event) = events.message().await.unwrap() {
            states.push(event.state);
        }
        assert_eq!(states, ["authorised", "captured", "settled"]);
        let declined = desk.charge(charge("declined-1")).await.unwrap_err();
        assert_eq!(
            (declined.code(), declined.message()),
            (Code::FailedPrecondition, "the card was declined")
        );
        let refused = desk.refund(RefundRequest { id: receipt.id }).await.unwrap_err();
        assert_eq!(grpc::refusal(&refused), "PermissionDenied no_matching_allow");
    });
    payments.expect_metric("postern_authorization_decisions_total", &[("decision", "deny")]);
    payments.expect_log(&[
        ("path", "/shop.payments.v1.Payments/Refund"),
        ("reason", "no_matching_allow"),
    ]);
}

#[test]
fn websocket_both_ways() {
    let scene = scene::shop();
    let address = scene.cart.at(8080);
    let first = scene.frontend.spawn(async move {
        let mut socket = websocket::open(address, "ws://cart:8080/events").await.unwrap();
        let echo = socket.ask("hello").await.unwrap();
        (echo, socket)
    });
    let (echo, mut socket) = first.join();
    assert_eq!(echo, "you said: hello");
    scene.frontend.curl_with(&["-d", "cup", "http://cart:8080/cart/bob"]).expect(201);
    let pushed = scene.frontend.run(async move { socket.next().await });
    assert_eq!(pushed.as_deref(), Ok("bob added cup"));
    let reports = scene.mesh.pod("reports").start();
    let refused =
        reports.run(async move { websocket::open(address, "ws://cart:8080/events").await.err() });
    assert_eq!(refused.as_deref(), Some("403 no_matching_allow"));
}

#[test]
fn tcp_with_half_close() {
    let scene = scene::shop();
    let orders = scene.cart.at(9000);
    let talk = raw::say_and_half_close(orders, b"ADD ann tea\nADD ann cup\nCOUNT ann\n");
    let heard = scene.frontend.spawn(talk).join();
    assert_eq!((heard.text().as_str(), heard.end), ("OK 1\nOK 2\n2\nBYE 3\n", raw::End::Closed));
    scene.cart.expect_log(&[("kind", "connection"), ("direction", "inbound"), ("protocol", "tcp")]);
}

#[test]
fn tcp_where_the_server_speaks_first() {
    let scene = scene::shop();
    let ticker = scene.cart.at(9100);
    let (greeting, price) = scene.frontend.run(async move {
        let mut stream = TcpStream::connect(ticker).await.unwrap();
        let greeting = raw::hear_line(&mut stream).await;
        stream.write_all(b"tea\n").await.unwrap();
        (greeting, raw::hear_line(&mut stream).await)
    });
    assert_eq!(greeting, GREETING);
    assert_eq!(price, format!("tea {}", ::shop::ticker::price("tea")));
}

#[test]
fn an_undeclared_port_where_the_server_speaks_first() {
    let mesh = Mesh::start();
    mesh.policy("mail", &allow("mail", "frontend"));
    let mail = mesh.pod("mail").port(25, "auto").start();
    let address = mail.at(25);
    drop(mail.spawn(async move {
        let listener = TcpListener::bind("[::]:25").await.unwrap();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"220 mail\r\n").await.unwrap();
        }
    }));
    let frontend = mesh.pod("frontend").start();
    let greeting = frontend.run(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        raw::hear_line(&mut stream).await
    });
    assert_eq!(greeting, "220 mail\r");
}

#[test]
fn megabytes_arrive_as_they_were_sent() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(7000, "tcp").start();
    let address = store.at(7000);
    drop(store.spawn(async move {
        let listener = TcpListener::bind("[::]:7000").await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    }));
    let frontend = mesh.pod("frontend").start();
    let sent: Vec<u8> = (0..8_u32 << 20).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    let received = frontend.run(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        writing.await.unwrap();
        received
    });
    assert!(
        received == expected,
        "{} of {} bytes came back, or others",
        received.len(),
        expected.len()
    );
}

#[test]
fn s16_a_forged_client_certificate_header_is_replaced() {
    let scene = scene::shop();
    let forged =
        "x-forwarded-client-cert: By=spiffe://x/y;URI=spiffe://cluster.local/ns/shop/sa/forged";
    let answer = scene.frontend.curl_with(&["-H", forged, "http://cart:8080/headers"]).expect(200);
    assert!(!answer.body.contains("forged"), "{}", answer.body);
    let told = format!("URI={}", scene.frontend.spiffe_id());
    assert!(
        answer.body.contains(&told)
            && answer.body.contains(&format!("By={}", scene.cart.spiffe_id()))
    );
}
