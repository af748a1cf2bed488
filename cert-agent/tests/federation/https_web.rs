//! The profile https_web, both sides: whom we believe when we ask, and what our endpoint answers.

use super::*;
use crate::support::web_certificate::web_certificate;

/// A web server with a certificate of its own CA, which answers each request with the next text.
struct Web {
    address: SocketAddr,
    ca_pem: String,
}

impl Web {
    async fn answering(names: &[&str], answers: Vec<String>) -> Self {
        let (leaf, key, ca_pem) = web_certificate(names);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let Some(answer) = answers.next() else { return };
                let answer = answer.replace("HERE", &address.to_string());
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, ca_pem }
    }

    async fn fetch(&self) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, &self.ca_pem).unwrap();
        let url = WebUrl::parse(&format!("https://{}/x", self.address)).unwrap();
        let fetched = fetch(&url, &EndpointTrust::web(&ca_file).unwrap()).await;
        fetched.map(|t| String::from_utf8(t).unwrap()).map_err(|error| format!("{error:#}"))
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test]
async fn spiffe_federation_5_2_1_https_web_the_host_and_every_redirect_are_checked() {
    let check =
        async |name: &str, names: &[&str], answers: Vec<String>, expect: Result<&str, &str>| {
            let web = Web::answering(names, answers).await;
            match (web.fetch().await, expect) {
                (Ok(seen), Ok(expect)) => assert_eq!(seen, expect, "{name}"),
                (Err(error), Err(words)) => assert!(error.contains(words), "{name}: {error}"),
                (seen, _) => panic!("{name}: {seen:?}"),
            }
        };
    let host = ["127.0.0.1"];
    let again = || redirect("https://HERE/y");
    check("good", &host, vec![ok("{}")], Ok("{}")).await;
    check("another host", &["127.0.0.2"], vec![ok("{}")], Err("did not prove itself")).await;
    check("a DNS name", &["b.test"], vec![ok("{}")], Err("did not prove itself")).await;
    check("a redirect", &host, vec![again(), ok("{}")], Ok("{}")).await;
    check("a relative redirect", &host, vec![redirect("/y"), ok("{}")], Ok("{}")).await;
    let three = vec![again(), again(), again(), ok("{}")];
    check("three redirects", &host, three, Ok("{}")).await;
    let four = vec![again(), again(), again(), again(), ok("{}")];
    check("four redirects", &host, four, Err("more than 3 redirects")).await;
    check("to http", &host, vec![redirect("http://HERE/y")], Err("must be https")).await;
    check("to userinfo", &host, vec![redirect("https://u@HERE/y")], Err("userinfo")).await;
    check(
        "not found",
        &host,
        vec!["HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".into()],
        Err("404"),
    )
    .await;
    check("no HTTP", &host, vec!["nonsense\r\n\r\n".into()], Err("")).await;
    check("nothing", &host, vec![String::new()], Err("")).await;
    let long = ok(&"x".repeat(1024 * 1024 + 1));
    check("too long", &host, vec![long], Err("more than 1 MiB")).await;
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}".to_owned();
    check("cut off", &host, vec![cut], Err("the document")).await;
    // To a server whose certificate is of another CA.
    let other = Web::answering(&host, vec![ok("{}")]).await;
    let away = redirect(&format!("https://{}/", other.address));
    check("a redirect to one of another CA", &host, vec![away], Err("did not prove itself")).await;
}

#[tokio::test]
async fn s35_ssrf_and_file_reads_endpoints_and_redirects_lead_outside() {
    // What the operator has written is meant; where a redirect leads is checked like a name.
    let redirected = async |to: &str| {
        let web = Web::answering(&["127.0.0.1"], vec![redirect(&format!("https://{to}/"))]).await;
        web.fetch().await.unwrap_err()
    };
    for to in [
        "127.0.0.2:1",
        "[::1]:1",
        "0.0.0.0:1",
        "169.254.1.1:1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[::ffff:127.0.0.2]:1",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:2::1]",
    ] {
        let error = redirected(to).await;
        assert!(error.contains("is not called at"), "{to}: {error}");
        assert!(error.contains("`allowAddresses`"), "{to}: {error}");
    }
    // As the endpoint itself: a name may mean this machine only by exception, a metadata service is never one.
    let (_, _, ca_pem) = web_certificate(&["localhost"]);
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ca_pem).unwrap();
    let trusted = EndpointTrust::web(&ca_file).unwrap();
    let excepted = trusted.clone().also_at(&web_fetch::address::local_blocks());
    let ask = async |url: &str, trusted: &EndpointTrust| {
        let url = WebUrl::parse(url).unwrap();
        format!("{:#}", fetch(&url, trusted).await.unwrap_err())
    };
    for url in [
        "https://localhost:1/",
        "https://169.254.169.254/",
        "https://168.63.129.16/",
        // No host's address, whoever has written it.
        "https://0.0.0.0:1/",
        "https://0.1.2.3:1/",
        "https://[::]:1/",
        "https://[::ffff:0.0.0.0]:1/",
        "https://224.0.0.1:1/",
        "https://[ff02::1]:1/",
        "https://255.255.255.255:1/",
        "https://240.0.0.1:1/",
    ] {
        let error = ask(url, &trusted).await;
        assert!(error.contains("is not called at"), "{url}: {error}");
    }
    for url in ["https://127.0.0.1:1/", "https://127.0.0.2:1/", "https://[::1]:1/"] {
        let error = ask(url, &trusted).await;
        assert!(error.contains("cannot connect"), "written: {url}: {error}");
    }
    let error = ask("https://localhost:1/", &excepted).await;
    assert!(error.contains("cannot connect"), "by exception: {error}");
    let error = ask("https://169.254.169.254/", &excepted).await;
    assert!(error.contains("metadata service"), "no block holds it: {error}");
}

#[test]
fn a_file_of_web_authorities_with_anything_else_in_it_is_refused_by_name() {
    let (leaf, _, ca) = web_certificate(&["localhost"]);
    let (dir, leaf) = (tempfile::tempdir().unwrap(), leaf.pem());
    let file = dir.path().join("ca.pem");
    for (name, text, expect) in [
        ("a CA", ca.clone(), None),
        ("a server's certificate", leaf.clone(), Some("certificate 0 ")),
        ("beside a CA", format!("{ca}{leaf}"), Some("certificate 1 ")),
        ("a damaged block", format!("{ca}{}", &ca[..99]), Some("damaged PEM at certificate 1 ")),
        ("nothing", String::new(), Some("no PEM certificate")),
    ] {
        std::fs::write(&file, text).unwrap();
        match (EndpointTrust::web(&file), expect) {
            (seen, None) => assert!(seen.is_ok(), "{name}"),
            (seen, Some(words)) => {
                let said = format!("{:#}", seen.expect_err(name));
                assert!(said.contains("ca.pem") && said.contains(words), "{name}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn spiffe_federation_5_2_1_3_our_endpoint_answers_anybody_with_the_newest_bundle() {
    let (leaf, key, ca_pem) = web_certificate(&["127.0.0.1"]);
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key_file) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&certificate, leaf.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ca_pem).unwrap();
    let profile = ServerProfile::Web { certificate: certificate.clone(), key: key_file };
    let b = Partner::with("b.test", &profile).await;
    let trusted = EndpointTrust::web(&ca_file).unwrap();
    let url = WebUrl::parse(&b.url()).unwrap();
    let first = fetch(&url, &trusted).await.unwrap();
    assert_eq!(String::from_utf8(first).unwrap(), b.document());
    add_root(&b.ca);
    take_up(&b);
    let second = fetch(&url, &trusted).await.unwrap();
    let second = BundleDocument::parse(domain("b.test"), &second).unwrap();
    assert_eq!(second.x509.roots().len(), 2);
    assert_eq!((second.jwt.keys().len(), second.refresh_hint), (1, Some(300)));
    let nowhere = WebUrl::parse(&format!("https://{}/else", b.endpoint)).unwrap();
    assert!(format!("{:#}", fetch(&nowhere, &trusted).await.unwrap_err()).contains("404"));
    // A new certificate for the host is taken up without a restart.
    let (leaf, key, ca_pem) = web_certificate(&["127.0.0.1"]);
    std::fs::write(&ca_file, ca_pem).unwrap();
    std::fs::write(dir.path().join("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(&certificate, leaf.pem()).unwrap();
    let trusted = EndpointTrust::web(&ca_file).unwrap();
    let took_up = async {
        while fetch(&url, &trusted).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, took_up).await.expect("the new certificate");
}
