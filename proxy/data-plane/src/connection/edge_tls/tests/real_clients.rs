//! Clients of others: the command line of OpenSSL, and curl.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::*;

/// Serves one connection after the other: the name it asked for, and what was agreed on, as an answer of HTTP/1.1.
async fn serving(tls: EdgeTls) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(hello) = read_hello(Box::new(stream), Bytes::new(), LIMIT).await else {
                continue;
            };
            let name = hello.server_name().unwrap_or("-").to_owned();
            let Ok(mut connection) = tls.accept(hello, LIMIT).await else { continue };
            let said = format!("{name} {:?} {:?}\n", connection.version, connection.alpn);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", said.len());
            let _ = connection.io.read(&mut [0; 4096]).await;
            let _ = connection.io.write_all(format!("{head}{said}").as_bytes()).await;
            let _ = connection.io.shutdown().await;
        }
    });
    port
}

/// What a program says, on both of its outputs, and whether it ended well.
async fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(4 * LIMIT, command.output()).await.unwrap();
    let ended = ended.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn openssl_gets_the_versions_and_keys_that_it_takes() {
    let rsa = certificate("shop/rsa", &["shop.example"], &rcgen::PKCS_RSA_SHA256);
    let tls = EdgeTls::new(options(vec![ecdsa(&["shop.example"]), rsa])).unwrap();
    let at = format!("127.0.0.1:{}", serving(tls).await);
    let weak = "ALL:@SECLEVEL=0";
    let rsa_only = "RSA+SHA256:rsa_pss_rsae_sha256";
    for (row, more, expect) in [
        ("1.3", &["-tls1_3"][..], Some(["TLSv1.3", "ECDSA"])),
        ("1.2", &["-tls1_2"], Some(["TLSv1.2", "ECDSA"])),
        ("1.3, RSA alone", &["-tls1_3", "-sigalgs", rsa_only], Some(["TLSv1.3", "RSA-PSS"])),
        ("1.2, RSA alone", &["-tls1_2", "-sigalgs", rsa_only], Some(["TLSv1.2", "RSA"])),
        ("1.1", &["-tls1_1", "-cipher", weak], None),
        ("1.0", &["-tls1", "-cipher", weak], None),
        ("1.2, CBC", &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"], None),
        ("1.2, static RSA", &["-tls1_2", "-cipher", "AES128-GCM-SHA256"], None),
    ] {
        let first = ["s_client", "-connect", &at, "-servername", "shop.example"];
        let (_, said) = run("openssl", &[&first[..], more].concat()).await;
        match expect {
            Some(words) => {
                let all = words.iter().all(|word| said.contains(word));
                assert!(all && !said.contains("Cipher is (NONE)"), "{row}: {said}");
            }
            None => assert!(said.contains("Cipher is (NONE)"), "{row}: {said}"),
        }
    }
}

#[tokio::test]
async fn curl_verifies_the_chain_and_speaks_http() {
    let ours = authority("web");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("shop.example".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let chain = params.signed_by(&key, &ours).unwrap().pem();
    let parsed =
        ListenerCertificate::parse("shop/web", chain.as_bytes(), key.serialize_pem().as_bytes());
    let port = serving(EdgeTls::new(options(vec![Arc::new(parsed.unwrap())])).unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, ours.as_ref().pem()).unwrap();
    let call = async |more: &[&str], name: &str| {
        let (to, file) = (format!("{name}:{port}:127.0.0.1"), text(&authorities));
        let url = format!("https://{name}:{port}/");
        let first = ["-sS", "--http1.1", "--resolve", &to, "--cacert", file, &url];
        run("curl", &[&first[..], more].concat()).await
    };
    let said = call(&[], "shop.example").await;
    assert_eq!(said, (true, "shop.example Tls13 Http11\n".to_owned()));
    let said = call(&["--tls-max", "1.2"], "shop.example").await;
    assert_eq!(said, (true, "shop.example Tls12 Http11\n".to_owned()));
    let (ended_well, said) = call(&[], "other.example").await;
    assert!(!ended_well && said.contains("SSL"), "{said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
