#![allow(clippy::unwrap_used)]

use tokio::io::AsyncWriteExt as _;

use super::ProxyHeaderSight::{Header, Malformed, NeedMore};
use super::*;

/// A header of version 2.
fn second(command: u8, family: u8, behind: &[u8]) -> Vec<u8> {
    let length = u16::try_from(behind.len()).unwrap().to_be_bytes();
    [VERSION_2, &[command, family], &length, behind].concat()
}

fn v4(client: [u8; 4], port: u16) -> Vec<u8> {
    [&client[..], &[10, 0, 0, 1], &port.to_be_bytes(), &[1, 187]].concat()
}

fn v6(client: &str, port: u16) -> Vec<u8> {
    let client: Ipv6Addr = client.parse().unwrap();
    [&client.octets()[..], &[0; 16], &port.to_be_bytes(), &[1, 187]].concat()
}

fn header(client: &str, length: usize) -> ProxyHeaderSight {
    Header { client: Some(client.parse().unwrap()), length }
}

fn own(length: usize) -> ProxyHeaderSight {
    Header { client: None, length }
}

#[test]
fn s47_proxy_protocol_version_1() {
    let check = |row: &str, line: &str, expect: Option<ProxyHeaderSight>| {
        let seen = parse(line.as_bytes());
        match expect {
            Some(expect) => assert_eq!(seen, expect, "{row}"),
            None => assert!(matches!(seen, Malformed(_)), "{row}: {seen:?}"),
        }
    };
    let four = "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
    check("IPv4", four, Some(header("192.0.2.1:56324", four.len())));
    let behind = format!("{four}GET / HTTP/1.1");
    check("with bytes behind it", &behind, Some(header("192.0.2.1:56324", four.len())));
    let six = "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n";
    check("IPv6", six, Some(header("[2001:db8::1]:1", six.len())));
    let mapped = "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n";
    check("IPv4 within IPv6", mapped, Some(header("192.0.2.1:1", mapped.len())));
    check("unknown", "PROXY UNKNOWN\r\n", Some(own(15)));
    let longest = format!("PROXY UNKNOWN{}\r\n", " x".repeat(46));
    check("unknown, 107 bytes", &longest, Some(own(107)));
    check("nothing yet", "", Some(NeedMore));
    check("the beginning", "PRO", Some(NeedMore));
    check("no end yet", four.trim_end(), Some(NeedMore));
    check("half an end", &four[..four.len() - 1], Some(NeedMore));
    check("108 bytes", &format!("PROXY UNKNOWN{} \r\n", " x".repeat(46)), None);
    check("without end", &"PROXY TCP4 ".repeat(10), None);
    check("LF alone", "PROXY UNKNOWN\n", None);
    check("a line of nothing", "PROXY \r\n", None);
    check("LF at once", "PROXY \n", None);
    check("lower case", "proxy TCP4 192.0.2.1 10.0.0.1 1 2\r\n", None);
    check("no family", "PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n", None);
    check("another family", "PROXY TCP4 2001:db8::1 ::1 1 2\r\n", None);
    check("IPv4 as IPv6", "PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n", None);
    check("a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", None);
    check("octal", "PROXY TCP4 192.0.2.010 10.0.0.1 1 2\r\n", None);
    check("three numbers", "PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n", None);
    check("two blanks", "PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n", None);
    check("no target", "PROXY TCP4 192.0.2.1\r\n", None);
    check("no port", "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n", None);
    check("a large port", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 1\r\n", None);
    check("a sign", "PROXY TCP4 192.0.2.1 10.0.0.1 +1 1\r\n", None);
    check("zeros", "PROXY TCP4 192.0.2.1 10.0.0.1 01 1\r\n", None);
    check("a word more", "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n", None);
    check("HTTP", "GET / HTTP/1.1\r\n", None);
    check("HTTP/2", "PRI * HTTP/2.0\r\n", None);
}

#[test]
fn s47_proxy_protocol_version_2() {
    let check = |row: &str, bytes: &[u8], expect: Option<ProxyHeaderSight>| {
        let seen = parse(bytes);
        match expect {
            Some(expect) => assert_eq!(seen, expect, "{row}"),
            None => assert!(matches!(seen, Malformed(_)), "{row}: {seen:?}"),
        }
    };
    let four = second(0x21, 0x11, &v4([192, 0, 2, 1], 56324));
    check("IPv4", &four, Some(header("192.0.2.1:56324", 28)));
    check(
        "with bytes behind it",
        &[&four[..], b"\x16\x03"].concat(),
        Some(header("192.0.2.1:56324", 28)),
    );
    let told = [&v4([192, 0, 2, 1], 1)[..], &[4, 0, 1, 0, 0xea, 0xff, 0xff]].concat();
    check("more is told", &second(0x21, 0x11, &told), Some(header("192.0.2.1:1", 35)));
    check("IPv6", &second(0x21, 0x21, &v6("2001:db8::1", 9)), Some(header("[2001:db8::1]:9", 52)));
    let mapped = second(0x21, 0x21, &v6("::ffff:192.0.2.1", 9));
    check("IPv4 within IPv6", &mapped, Some(header("192.0.2.1:9", 52)));
    check("unspecified", &second(0x21, 0x00, &[]), Some(own(16)));
    check("a unix socket", &second(0x21, 0x31, &[0; 216]), Some(own(232)));
    check("the head alone", &four[..16], Some(NeedMore));
    check("all but a byte", &four[..27], Some(NeedMore));
    check("the beginning", &four[..3], Some(NeedMore));
    check("truncated addresses", &second(0x21, 0x11, &v4([192, 0, 2, 1], 1)[..11]), None);
    check("no addresses", &second(0x21, 0x21, &[]), None);
    check("datagrams", &second(0x21, 0x12, &v4([192, 0, 2, 1], 1)), None);
    check("no family", &second(0x21, 0x41, &[0; 64]), None);
    check("no transport", &second(0x21, 0x13, &[0; 64]), None);
    check("no command", &second(0x22, 0x11, &[0; 12]), None);
    check("version 1 there", &second(0x11, 0x11, &[0; 12]), None);
    check("the most", &second(0x21, 0x00, &[0; 4096]), Some(own(4112)));
    check("more than that", &second(0x21, 0x00, &[0; 4097]), None);
    check("an announcement of 64 KiB", &[VERSION_2, &[0x21, 0x11, 0xff, 0xff]].concat(), None);
    check("another signature", b"\r\n\r\n\0\r\nQUIT\r\x21\x11\0\0", None);
}

/// CVE-2024-23327: a header of a connection that the load balancer opened for itself need not have addresses.
#[test]
fn s47_proxy_protocol_local_is_the_peer_itself() {
    for (row, family, behind) in [
        ("no addresses", 0x00, &[][..]),
        ("a family without addresses", 0x11, &[]),
        ("a family that there is not", 0xff, &[]),
        ("addresses, which mean nothing", 0x11, &v4([192, 0, 2, 1], 1)),
        ("more is told", 0x00, &[3, 0, 4, 1, 2, 3, 4]),
    ] {
        assert_eq!(parse(&second(0x20, family, behind)), own(16 + behind.len()), "{row}");
    }
}

#[test]
fn s47_proxy_protocol_is_the_same_however_it_arrives() {
    let headers = [
        b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(),
        second(0x21, 0x21, &v6("2001:db8::1", 9)),
        second(0x20, 0x00, &[]),
    ];
    for header in headers {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), NeedMore, "{end} of {header:?}");
        }
        assert!(matches!(parse(&header), Header { length, .. } if length == header.len()));
    }
}

/// CVE-2026-47692: what the sender tells besides never becomes a part of the stream, however much it is.
#[tokio::test]
async fn s47_proxy_protocol_what_is_told_besides_stays_outside() {
    let told = [&v4([192, 0, 2, 1], 7)[..], &b"GET /admin ".repeat(300)].concat();
    let sent = [&second(0x21, 0x11, &told)[..], b"GET / HTTP/1.1"].concat();
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let mut server: BoxedIo = Box::new(server);
    client.write_all(&sent).await.unwrap();
    let header = read(&mut server, Duration::from_secs(5)).await.unwrap();
    assert_eq!(&header.ahead[..], b"GET / HTTP/1.1");
}

#[tokio::test(start_paused = true)]
async fn s47_proxy_protocol_from_a_stream() {
    let limit = Duration::from_secs(5);
    let read_all = async |sent: &[u8], ends: bool| {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut server: BoxedIo = Box::new(server);
        client.write_all(sent).await.unwrap();
        if ends {
            client.shutdown().await.unwrap();
        }
        read(&mut server, limit).await
    };
    let sent = [&second(0x21, 0x11, &v4([192, 0, 2, 1], 7))[..], b"GET /"].concat();
    let expect = ProxyHeader {
        client: Some("192.0.2.1:7".parse().unwrap()),
        ahead: Bytes::from_static(b"GET /"),
    };
    assert_eq!(read_all(&sent, false).await.unwrap(), expect);
    let late = read_all(&sent[..20], false).await.unwrap_err();
    assert_eq!((late.label(), matches!(late, ProxyProtocolError::Timeout(_))), ("timeout", true));
    assert_eq!(read_all(b"", false).await.unwrap_err().label(), "timeout", "a silent peer");
    let cut = read_all(&sent[..20], true).await.unwrap_err();
    assert!(matches!(cut, ProxyProtocolError::Ended), "{cut}");
    let none = read_all(b"GET / HTTP/1.1\r\n\r\n", false).await.unwrap_err();
    assert_eq!(none.label(), "malformed");
}

/// Answers every request with the client that a header names, or why there is none.
async fn serving() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut io: BoxedIo = Box::new(stream);
            let said = match read(&mut io, Duration::from_secs(5)).await {
                Ok(header) => format!("{:?}", header.client.map(|client| client.ip())),
                Err(error) => error.to_string(),
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", said.len());
            let _ = io.write_all(format!("{head}{said}").as_bytes()).await;
            let _ = io.shutdown().await;
        }
    });
    port
}

async fn curl(arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new("curl");
    command.args(["-sS", "--max-time", "10"]).args(arguments).kill_on_drop(true);
    let ended = command.output().await.unwrap();
    String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap()
}

#[tokio::test]
async fn s47_proxy_protocol_of_curl() {
    let url = format!("http://127.0.0.1:{}/", serving().await);
    assert_eq!(curl(&["--haproxy-protocol", &url]).await, "Some(127.0.0.1)");
    let said = curl(&[&url]).await;
    assert!(said.contains("this is none"), "{said}");
}

/// HAProxy, whose protocol it is, sends both versions.
#[tokio::test]
async fn s47_proxy_protocol_of_haproxy() {
    let folder = tempfile::tempdir().unwrap();
    let port = serving().await;
    for (option, expect) in [
        ("send-proxy", "Some(127.0.0.7)"),
        ("send-proxy-v2", "Some(127.0.0.7)"),
        ("send-proxy-v2 proxy-v2-options unique-id", "Some(127.0.0.7)"),
    ] {
        let front = free_port();
        let config = folder.path().join("haproxy.cfg");
        let text = format!(
            "defaults\n mode tcp\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n\
             frontend f\n bind 127.0.0.1:{front}\n default_backend b\n\
             backend b\n server s 127.0.0.1:{port} {option}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut haproxy = tokio::process::Command::new("haproxy");
        haproxy.arg("-db").arg("-f").arg(&config).kill_on_drop(true);
        let mut haproxy = haproxy.stdout(std::process::Stdio::null()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{front}/");
        listening(front).await;
        assert_eq!(curl(&["--interface", "127.0.0.7", &url]).await, expect, "{option}");
        haproxy.kill().await.unwrap();
    }
}

async fn listening(port: u16) {
    let until = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "nothing listens on {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

proptest::proptest! {
    #[test]
    fn no_bytes_end_the_program(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&[VERSION_1, &bytes].concat());
        let _ = parse(&[VERSION_2, &bytes].concat());
    }
}
