//! Clients and apps that speak HTTP/1.0: real ones, and those that only bytes can be.

use std::path::Path;

use postern_tests::raw::{self, End};
use postern_tests::{Mesh, Pod};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::scene::allow;

struct Scene {
    store: Pod,
    frontend: Pod,
    mesh: Mesh,
}

fn scene() -> Scene {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let frontend = mesh.pod("frontend").start();
    Scene { store, frontend, mesh }
}

/// An app of HTTP/1.1 that says in which form it was asked, in chunks, or with a length where the path says so.
fn tell_what_was_asked(pod: &Pod) {
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tell(stream));
            }
        });
    });
}

async fn tell(mut stream: TcpStream) {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    let (mut asked, mut host) = (String::new(), String::new());
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(named) = line.strip_prefix("host: ") {
            host = named.to_owned();
        }
        match line.as_str() {
            "" => {
                let body = format!("{asked} for {host}");
                let answer = match asked.contains("/chunks") {
                    true => format!(
                        "transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                        body.len()
                    ),
                    false => format!("content-length: {}\r\n\r\n{body}", body.len()),
                };
                let _ = writer.write_all(format!("HTTP/1.1 200 OK\r\n{answer}").as_bytes()).await;
                asked.clear();
            }
            line if asked.is_empty() => asked = line.to_owned(),
            _ => {}
        }
    }
}

#[test]
fn a_client_of_http10_needs_no_host_and_gets_no_chunks() {
    let scene = scene();
    tell_what_was_asked(&scene.store);
    let address = scene.store.at(8080);
    for (name, request, ends) in [
        ("no host", "GET / HTTP/1.0\r\n\r\n".to_owned(), format!("GET / HTTP/1.1 for {address}")),
        (
            "a host",
            "GET / HTTP/1.0\r\nhost: store\r\n\r\n".to_owned(),
            "GET / HTTP/1.1 for store".to_owned(),
        ),
        (
            "what the app sends in chunks",
            "GET /chunks HTTP/1.0\r\n\r\n".to_owned(),
            format!("GET /chunks HTTP/1.1 for {address}"),
        ),
        (
            "chunks, and a connection that the client would keep",
            "GET /chunks HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_owned(),
            format!("GET /chunks HTTP/1.1 for {address}"),
        ),
    ] {
        let said = scene.frontend.run(async move { raw::say(address, request.as_bytes()).await });
        let (head, body) = said
            .text()
            .split_once("\r\n\r\n")
            .map(|(head, body)| (head.to_owned(), body.to_owned()))
            .unwrap();
        assert!(head.starts_with("HTTP/1.0 200 OK"), "{name}: {head}");
        assert!(
            !head.contains("transfer-encoding") && !head.contains("keep-alive"),
            "{name}: {head}"
        );
        assert_eq!(body, ends, "{name}");
        assert_eq!(said.end, End::Closed, "{name}");
    }
    let reports = scene.mesh.pod("reports").start();
    let refused = reports.run(async move { raw::say(address, b"GET / HTTP/1.0\r\n\r\n").await });
    assert!(refused.text().starts_with("HTTP/1.0 403 "), "{}", refused.text());
    assert!(refused.text().contains("x-postern-reason: no_matching_allow"), "{}", refused.text());
    let new = scene.frontend.run(async move {
        raw::say(address, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await
    });
    assert!(
        new.text().contains("x-postern-reason: host_missing"),
        "HTTP/1.1 must say: {}",
        new.text()
    );
}

/// nginx asks with HTTP/1.0 unless told otherwise, as many an old front end does; Python's own server answers so.
#[test]
fn nginx_and_an_app_of_http10_meet() {
    let scene = scene();
    let home = scene.store.directory();
    std::fs::write(home.join("large"), vec![b'x'; 3 << 20]).unwrap();
    let serve = ["-u", "-m", "http.server", "8080", "--bind", "::", "--directory", "/run/postern"];
    let _app = scene.store.start_program("http.server", Path::new("python3"), &serve);
    scene.store.wait_for_app(8080);
    let configuration = "daemon off; user root; master_process off; pid /run/postern/nginx.pid; error_log stderr;\n\
        events {}\n\
        http { access_log off; server { listen 127.0.0.1:7070; location / { proxy_pass http://store:8080; } } }\n";
    std::fs::write(scene.frontend.directory().join("nginx.conf"), configuration).unwrap();
    let arguments = ["-c", "/run/postern/nginx.conf", "-p", "/run/postern"];
    let _nginx = scene.frontend.start_program("nginx", Path::new("nginx"), &arguments);
    scene.frontend.wait_for_app(7070);
    for (name, arguments) in [
        ("by nginx", &["http://127.0.0.1:7070/large"][..]),
        ("by curl as HTTP/1.0", &["-0", "http://store:8080/large"]),
        ("by curl", &["http://store:8080/large"]),
    ] {
        let answer = scene.frontend.curl_with(arguments).expect(200);
        assert_eq!(answer.body.len(), 3 << 20, "{name}");
    }
    scene.store.expect_log(&[("kind", "request"), ("path", "/large"), ("status", "200")]);
    let reports = scene.mesh.pod("reports").start();
    reports.curl_with(&["-0", "http://store:8080/large"]).expect_refusal(403, "no_matching_allow");
}
