//! The shop as it is without Postern: the apps do their work, and anybody may do anything. Everything the other
//! stories measure with is tried here first.

use postern_tests::{App, Capture, Load, Mesh, grpc, raw, websocket};
use shop::proto::{ChargeRequest, RefundRequest};
use shop::ticker::GREETING;

#[test]
fn the_apps_work_alone_and_refuse_nobody() {
    let mesh = Mesh::start();
    let pod = |name: &str| mesh.pod(name).outside();
    let cart = pod("cart").app(App::new("shop-cart")).start();
    let payments = pod("payments").app(App::new("shop-payments")).start();
    let frontend = pod("frontend").app(App::new("shop-frontend")).start();
    let intruder = pod("intruder").start();
    for (pod, port) in [(&cart, 8080), (&payments, 50051), (&frontend, 8000)] {
        pod.wait_for_app(port);
    }

    frontend.curl_with(&["-d", "tea", "http://cart:8080/cart/ann"]).expect(201);
    intruder.curl_with(&["-6", "-X", "DELETE", "http://cart:8080/cart/bob"]).expect(204);
    let page = intruder.curl_with(&["-X", "POST", "http://frontend:8000/checkout/ann"]).expect(200);
    assert!(page.body.contains("settled"), "{}", page.body);

    let (http, orders, ticker, grpc) =
        (cart.at(8080), cart.at(9000), cart.at(9100), payments.at(50051));
    intruder.run(async move {
        let mut socket = websocket::open(http, "ws://cart:8080/events").await.unwrap();
        assert_eq!(socket.ask("hi").await.as_deref(), Ok("you said: hi"));
        let heard = raw::say_and_half_close(orders, b"COUNT ann\n").await;
        assert_eq!(heard.text(), "1\nBYE 1\n");
        let mut stream = tokio::net::TcpStream::connect(ticker).await.unwrap();
        assert_eq!(raw::hear_line(&mut stream).await, GREETING);
        let mut desk = grpc::payments(grpc).await.unwrap();
        let charge = ChargeRequest { user: "ann".into(), card: "4000".into(), amount: 1 };
        assert_eq!(desk.charge(charge).await.unwrap().into_inner().amount, 1);
        desk.refund(RefundRequest { id: "ann-1".into() }).await.unwrap();
    });
    let capture = Capture::start(&cart);
    intruder.curl("http://cart:8080/cart/everybody-can-read-this").expect(200);
    assert!(capture.finish().shows(b"everybody-can-read-this"));
    let load = Load::start(&intruder, http, "cart:8080", "/cart/ann", 4);
    frontend.curl("http://cart:8080/cart/ann").expect(200);
    load.finish().expect_all_good();
}
