#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::http::gate::raw::*;

/// Feeds a connection whole, then in pieces of every size up to 7; the verdict is the same.
fn verdict(connection: &str) -> Option<&'static str> {
    let feed = |size: usize| {
        let mut check = RawCheck::default();
        let mut seen = connection.as_bytes().to_vec();
        seen.chunks_mut(size).for_each(|piece| check.feed(piece));
        let changed = seen.iter().zip(connection.bytes()).filter(|(a, b)| **a != *b).count();
        assert_eq!(
            changed,
            usize::from(check.refused().is_some()),
            "one byte is spoiled or none: {connection:?}"
        );
        check.refused()
    };
    let whole = feed(connection.len());
    for size in 1..8 {
        assert_eq!(feed(size), whole, "in pieces of {size}: {connection:?}");
    }
    whole
}

fn check(row: &str, connection: &str, expect: Option<&str>) {
    assert_eq!(verdict(connection), expect, "{row}");
    // The same after a request of every framing: the check has to find the next head.
    for before in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello\n\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length:0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\r\nc\r\nA \t;ext=\"1\"\r\n0123456789\r\n00\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\na: b\r\ncontent-length: 7\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade:  H2C \r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(verdict(&format!("{before}{connection}")), expect, "{row}, after {before:?}");
    }
}

#[test]
fn s06_content_length_vs_transfer_encoding_raw() {
    let conflict = Some(AMBIGUOUS_FRAMING);
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    check("length alone", &head("Content-Length: 0"), None);
    check("chunked alone", &(head("Transfer-Encoding: chunked") + "0\r\n\r\n"), None);
    check(
        "length, then chunked",
        &head("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        conflict,
    );
    check(
        "chunked, then length",
        &head("transfer-encoding: chunked\r\nX: y\r\ncontent-length: 5"),
        conflict,
    );
    check("case", &head("CONTENT-LENGTH: 5\r\ntRANSFER-eNCODING: chunked"), conflict);
    check("the same length twice", &head("Content-Length: 5\r\nContent-Length: 5"), conflict);
    check(
        "two codings",
        &head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        conflict,
    );
    check("a list", &head("Content-Length: 5, 5"), conflict);
    check("a sign", &head("Content-Length: +5"), conflict);
    check("hexadecimal", &head("Content-Length: 0x5"), conflict);
    check("a blank inside", &head("Content-Length: 5 5"), conflict);
    check("nothing", &head("Content-Length:"), conflict);
    check("only blanks", &head("Content-Length: \t"), conflict);
    check("too many digits", &head("Content-Length: 99999999999999999999"), conflict);
    check("blanks around", &head("Content-Length: \t0 \t "), None);
    check(
        "other names",
        &head(
            "Content-Lengthy: 5\r\nX-Content-Length: 5\r\nTransfer: 1\r\nTe: trailers\r\nContent-Length-: 1",
        ),
        None,
    );
    check("a name in a value", &head("X: a\r\nY: Content-Length: 5\r\nZ: Content-Length: 6"), None);
}

#[test]
fn s07_bare_line_feeds() {
    let bare = Some(BARE_LINE_FEED);
    check("after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", bare);
    check("after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", bare);
    check("after a length", "POST / HTTP/1.1\r\nContent-Length: 5\n\r\n", bare);
    check("after a name", "GET / HTTP/1.1\r\nContent-Le\nHost: a\r\n\r\n", bare);
    check("after an upgrade", "GET / HTTP/1.1\r\nUpgrade: h2c\n\r\n", bare);
    check("at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", bare);
    check("CR LF everywhere", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", None);
}

#[test]
fn a_body_is_never_looked_into() {
    let poison = "GET / HTTP/1.1\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\n";
    let length = poison.len();
    let body = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{poison}");
    check("by length", &body, None);
    let chunk = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{poison}\r\n0\r\n\r\n"
    );
    check("by chunks", &chunk, None);
    check("a head after it", &format!("{body}GET / HTTP/1.1\n"), Some(BARE_LINE_FEED));
    check("a head after chunks", &format!("{chunk}GET / HTTP/1.1\n"), Some(BARE_LINE_FEED));
}

#[test]
fn s08_after_an_upgrade_nothing_is_looked_at() {
    let tunnel = "\n\0 Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\n";
    for upgrade in [
        "websocket",
        "h2c, websocket",
        "h2",
        "h2cx ",
        "h2c x",
        "",
        "h 2c",
        "\r\nUpgrade: h2c",
        "h2c\r\nUpgrade: a",
    ] {
        let connection = format!("GET / HTTP/1.1\r\nUpgrade: {upgrade}\r\n\r\n{tunnel}");
        assert_eq!(verdict(&connection), None, "{upgrade:?}");
    }
    check(
        "h2c is ignored",
        &format!("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n{tunnel}"),
        Some(BARE_LINE_FEED),
    );
}

#[test]
fn broken_chunks_are_left_to_the_library() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "5\r\nhelloX\n",
        "5\nhello",
        "fffffffffffffffff\r\n",
        "0\r\n\rX\n",
        "0\r\na: b\rX\n",
        "1\r\na\rX",
    ] {
        assert_eq!(verdict(&format!("{head}{body}\n\n\n")), None, "{body:?}");
    }
}

/// The verdict on an answer, whole and in pieces.
fn answer(head_only: bool, bytes: &str) -> Option<&'static str> {
    let feed = |size: usize| {
        let mut check = RawCheck::answer(head_only);
        let mut seen = bytes.as_bytes().to_vec();
        seen.chunks_mut(size).for_each(|piece| check.feed(piece));
        check.refused()
    };
    let whole = feed(bytes.len());
    for size in 1..8 {
        assert_eq!(feed(size), whole, "in pieces of {size}: {bytes:?}");
    }
    whole
}

#[test]
fn s07_answers_are_looked_at_too() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let (bare, none) = (Some(BARE_LINE_FEED), Some(NO_STATUS_LINE));
    for (row, bytes, expect) in [
        ("an answer", format!("{ok}x: y\r\n\r\n"), None),
        ("a bare LF", format!("{ok}x: a\nset-cookie: b\r\n\r\n"), bare),
        ("in the status line", "HTTP/1.1 200 OK\nx: y\r\n\r\n".into(), bare),
        ("in a short status line", "HTTP\nx: y\r\n\r\n".into(), bare),
        ("an empty line first", format!("\r\n{ok}\r\n"), none),
        ("LF first", format!("\n{ok}\r\n"), none),
        (
            "a length beside chunks",
            format!("{ok}content-length: 5\r\n{chunked}"),
            Some(AMBIGUOUS_FRAMING),
        ),
        ("a body is not looked into", format!("{ok}content-length: 4\r\n\r\n\n\n\n\n"), None),
        ("nor is one without an end", format!("{ok}\r\n\n\n"), None),
        ("nor are chunks", format!("{ok}{chunked}2\r\n\n\n\r\n0\r\n\r\n\n"), None),
        ("their trailers are", format!("{ok}{chunked}0\r\na: b\nc: d\r\n\r\n"), bare),
        ("an upgrade that is offered", format!("{ok}upgrade: h2c\r\nx: a\n\r\n"), bare),
        ("an interim head", "HTTP/1.1 103 E\r\nx: a\nb: c\r\n\r\n".into(), bare),
        ("the head after it", format!("HTTP/1.1 103 E\r\n\r\n{ok}x: a\nb: c\r\n\r\n"), bare),
        ("after a switch", "HTTP/1.1 101 S\r\nupgrade: a\r\n\r\n\n\n".into(), None),
        ("204 ends", format!("HTTP/1.1 204 N\r\n{chunked}\n"), None),
    ] {
        assert_eq!(answer(false, &bytes), expect, "{row}");
    }
    let head = format!("{ok}{chunked}0\r\na: b\n");
    assert_eq!(answer(true, &head), None, "nothing follows where only the head was asked for");
    let hint = "HTTP/1.1 103 E\r\n\r\n";
    assert_eq!(answer(false, &hint.repeat(32)), None);
    assert_eq!(answer(false, &hint.repeat(33)), Some(TOO_MANY_INTERIM));
}

#[test]
fn s07_a_bare_line_feed_in_trailers() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    assert_eq!(verdict(&format!("{head}a: b\r\nc: d\r\n\r\n")), None);
    assert_eq!(verdict(&format!("{head}a: b\nc: d\r\n\r\n")), Some(BARE_LINE_FEED));
    assert_eq!(verdict(&format!("{head}\na: b\r\n\r\n")), Some(BARE_LINE_FEED));
}

#[test]
fn an_expectation_is_hidden_from_the_library_and_nothing_else_is() {
    let hide = |value: &str| {
        let head = format!("POST / HTTP/1.1\r\nExpect:{value}\r\nContent-Length: 1\r\n\r\ne");
        let mut bytes = head.clone().into_bytes();
        // In pieces, since the name may have been handed over already.
        bytes.chunks_mut(3).fold(RawCheck::default(), |mut check, piece| {
            check.feed(piece);
            check
        });
        let hidden = String::from_utf8(bytes).unwrap();
        hidden.lines().find_map(|line| line.strip_prefix("Expect:")).unwrap().to_owned()
    };
    assert_eq!(hide(" 100-continue"), " 100-continu*");
    assert_eq!(hide("\t 100-CONTINUE "), "\t 100-CONTINU* ");
    assert_eq!(hide(" 100-continued"), " 100-continu*d", "which the gate does not know");
    for other in ["", " 100", " banana", " x100-continue", " 1 00-continue"] {
        assert_eq!(hide(other), other);
    }
    let shown = |value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("expect", value.parse().unwrap());
        show_expectation(&mut headers);
        headers["expect"].to_str().unwrap().to_owned()
    };
    assert_eq!(shown("100-cONTINU*"), "100-continue");
    for other in ["100-continue", "100-continu*d", "*", "banana"] {
        assert_eq!(shown(other), other);
    }
}

#[test]
fn s06_content_length_vs_transfer_encoding_where_a_message_ends() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok";
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    for message in [get, post, chunked] {
        let mut check = RawCheck::default();
        assert_eq!(check.whole_messages(), Some(0));
        for count in 1..3 {
            for (at, byte) in message.bytes().enumerate() {
                check.feed(&mut [byte]);
                let whole = (at + 1 == message.len()).then_some(count);
                assert_eq!(check.whole_messages(), whole, "{message:?} {at}");
            }
        }
        for stray in [b'\r', b'\n'] {
            check.feed(&mut [stray]);
            assert_eq!(check.whole_messages(), None, "{message:?}");
        }
    }
    let mut check = RawCheck::default();
    check.feed(&mut b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec());
    assert_eq!(check.whole_messages(), None, "what follows is no HTTP");
}

/// What the check makes of a connection handed over in pieces of this size: its bytes afterwards, and the verdict.
fn looked_at(
    mut check: RawCheck,
    connection: &[u8],
    size: usize,
) -> (Vec<u8>, Option<&'static str>, (bool, Option<u64>)) {
    let mut seen = connection.to_vec();
    seen.chunks_mut(size).for_each(|piece| check.feed(piece));
    (seen, check.refused(), (check.is_in_body(), check.whole_messages()))
}

/// Pieces that heads, bodies and attempts to confuse them are made of.
const PIECES: [&str; 32] = [
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "x",
    "5",
    "0",
    "\0",
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 103 E\r\n",
    "HTTP/1.1 101 S\r\n",
    "HTTP/1.1 204 N\r\n",
    "HTTP/1.1 2",
    "Host: a\r\n",
    "X-Other: b\r\n",
    "Content-Length: 5\r\n",
    "content-length:",
    "Content-Length",
    "Content-Type: a/b\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:",
    "Upgrade: h2c\r\n",
    "Upgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "expect: 100-contin",
    "5\r\nhello\r\n",
    "0\r\na: b\r\n\r\n",
];

proptest::proptest! {
    /// A piece of one byte has no whole line in it, so nothing of a head is skipped there.
    #[test]
    fn skipped_or_byte_by_byte_is_the_same(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..24),
        size in 2..64usize,
    ) {
        let connection: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        let connection = connection.as_bytes();
        let checks: [fn() -> RawCheck; 3] =
            [RawCheck::default, || RawCheck::answer(false), || RawCheck::answer(true)];
        for check in checks {
            let slowly = looked_at(check(), connection, 1);
            for size in [size, connection.len().max(1)] {
                let found = looked_at(check(), connection, size);
                proptest::prop_assert_eq!(&found, &slowly, "in pieces of {}", size);
            }
        }
    }
}
