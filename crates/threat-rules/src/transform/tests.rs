#![allow(clippy::unwrap_used, clippy::panic)]

use super::by_name;

fn check(name: &str, from: &[u8], to: &[u8]) {
    let transform = by_name(name).unwrap_or_else(|| panic!("{name}"));
    let found = transform(from).unwrap_or_else(|| from.to_vec());
    assert_eq!(
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(to),
        "{name}: {}",
        String::from_utf8_lossy(from)
    );
}

#[test]
fn each_transformation_by_example() {
    let rows: &[(&str, &[u8], &[u8])] = &[
        ("urlDecode", b"a%20b+c%zz%4", b"a b c%zz%4"),
        ("urlDecodeUni", b"%u003cscript%uff1e%3e", b"<script>>"),
        ("urlDecodeUni", b"%u00", b"%u00"),
        ("htmlEntityDecode", b"&lt;&#60;&#x3C;&#x3c &colon;&bogus;&", b"<<<< :&bogus;&"),
        ("jsDecode", br"\x3c\u003c\u{3c}\074\n\q\", b"<<<<\nq\\"),
        ("cssDecode", br"e\78 pression\3a\28", b"expression:("),
        ("escapeSeqDecode", br"\x41\101\tB", b"AA\tB"),
        ("base64Decode", b"PHNjcmlwdD4=", b"<script>"),
        ("base64Decode", b"PHNj cmlwdD4", b"<script>"),
        ("base64Encode", b"<a>b", b"PGE+Yg=="),
        ("hexDecode", b"3c61", b"<a"),
        ("hexDecode", b"3c6", b"3c6"),
        ("hexEncode", b"<a", b"3c61"),
        ("sqlHexDecode", b"a=0x3c61 0x", b"a=<a 0x"),
        ("utf8toUnicode", "é<".as_bytes(), b"%u00e9<"),
        ("lowercase", b"SeLeCt", b"select"),
        ("removeNulls", b"a\0b", b"ab"),
        ("replaceNulls", b"a\0b", b"a b"),
        ("removeWhitespace", b" a\t\nb\x0b", b"ab"),
        ("compressWhitespace", b"a \t\n b", b"a b"),
        ("trim", b" a ", b"a"),
        ("replaceComments", b"a/* x */b/* y", b"a b "),
        ("removeComments", b"a/* x */b-- y", b"ab"),
        ("removeCommentsChar", b"a/*x*/b--", b"axb"),
        ("cmdLine", b"C^at  \"/etc\"/pas'swd;  (id)", b"cat/etc/passwd(id)"),
        ("normalizePath", b"/a//b/../c/./d", b"/a/c/d"),
        ("normalizePath", b"../../a", b"../../a"),
        ("normalizePath", b"/../../a/", b"/a/"),
        ("normalizePathWin", br"a\..\b", b"b"),
        ("length", b"abc", b"3"),
    ];
    for (name, from, to) in rows {
        check(name, from, to);
    }
}

#[test]
fn a_name_that_is_none_is_not_passed_over() {
    assert!(by_name("md5").is_none());
    assert!(by_name("rot13").is_none());
}
