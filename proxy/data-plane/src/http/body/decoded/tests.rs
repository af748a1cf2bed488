#![allow(clippy::unwrap_used)]
use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;

use super::*;

const TEXT: &[u8] = b"{\"name\": \"ann\", \"note\": \"<b>hello</b>\"}";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bare(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn whole(bytes: impl Into<Bytes>) -> BodyBeginning {
    BodyBeginning { bytes: bytes.into(), complete: true }
}

#[test]
fn which_coding_a_message_names() {
    for (lines, expect) in [
        (&[][..], Ok(ContentCoding::Identity)),
        (&[""], Ok(ContentCoding::Identity)),
        (&["identity"], Ok(ContentCoding::Identity)),
        (&["gzip"], Ok(ContentCoding::Gzip)),
        (&["X-GZip"], Ok(ContentCoding::Gzip)),
        (&["identity, deflate"], Ok(ContentCoding::Deflate)),
        (&["gzip, gzip"], Err(UnreadableBody::Coding)),
        (&["gzip", "deflate"], Err(UnreadableBody::Coding)),
        (&["br"], Err(UnreadableBody::Coding)),
        (&["zstd"], Err(UnreadableBody::Coding)),
        (&["compress"], Err(UnreadableBody::Coding)),
        (&["gzip\u{e9}"], Err(UnreadableBody::Coding)),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CONTENT_ENCODING, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        assert_eq!(ContentCoding::of(&headers), expect, "{lines:?}");
    }
}

#[test]
fn what_a_coded_body_says() {
    use ContentCoding::{Deflate, Gzip, Identity};
    let two_members = [gzip(&TEXT[..9]), gzip(&TEXT[9..])].concat();
    for (row, coding, coded, most, expect) in [
        ("as it is", Identity, TEXT.to_vec(), 100, Ok((TEXT, true))),
        ("more than asked for", Identity, TEXT.to_vec(), 9, Ok((&TEXT[..9], false))),
        ("gzip", Gzip, gzip(TEXT), 100, Ok((TEXT, true))),
        ("exactly so many", Gzip, gzip(TEXT), TEXT.len(), Ok((TEXT, true))),
        ("one too many", Gzip, gzip(TEXT), TEXT.len() - 1, Ok((&TEXT[..TEXT.len() - 1], false))),
        ("two members", Gzip, two_members, 100, Ok((TEXT, true))),
        ("deflate", Deflate, zlib(TEXT), 100, Ok((TEXT, true))),
        ("nothing", Gzip, Vec::new(), 100, Ok((b"", true))),
        ("nothing coded", Gzip, gzip(b""), 100, Ok((b"", true))),
        ("a bare stream", Deflate, bare(TEXT), 100, Err(UnreadableBody::Malformed)),
        ("no gzip", Gzip, TEXT.to_vec(), 100, Err(UnreadableBody::Malformed)),
        ("it breaks off", Gzip, gzip(TEXT)[..20].to_vec(), 100, Err(UnreadableBody::Malformed)),
        (
            "more behind its end",
            Gzip,
            [gzip(TEXT), TEXT.to_vec()].concat(),
            100,
            Err(UnreadableBody::Malformed),
        ),
        (
            "more behind the end of deflate",
            Deflate,
            [zlib(TEXT), TEXT.to_vec()].concat(),
            100,
            Err(UnreadableBody::Malformed),
        ),
        (
            "a wrong checksum",
            Gzip,
            {
                let mut coded = gzip(TEXT);
                let at = coded.len() - 6;
                coded[at] ^= 1;
                coded
            },
            100,
            Err(UnreadableBody::Malformed),
        ),
    ] {
        let found = coding.decoded(&whole(coded), most);
        let found = found.as_ref().map(|body| (&*body.bytes, body.complete)).map_err(|e| *e);
        assert_eq!(found, expect, "{row}");
    }
}

#[test]
fn of_a_beginning_what_it_says_so_far() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let coded = gzip(&text);
    let half = BodyBeginning { bytes: coded[..coded.len() / 2].to_vec().into(), complete: false };
    let found = ContentCoding::Gzip.decoded(&half, 1 << 20).unwrap();
    assert!(!found.complete && found.bytes.len() > 1000);
    assert!(text.starts_with(&found.bytes));
}

/// The bound of bytes and that of the ratio are each checked as the output grows.
#[test]
fn s49_decompression_and_bodies_a_bomb_ends_within_its_first_bytes() {
    let zeros = vec![0; 10 << 20];
    for (row, coding, coded, most, expect) in [
        ("gzip", ContentCoding::Gzip, gzip(&zeros), usize::MAX, Err(UnreadableBody::Bomb)),
        ("deflate", ContentCoding::Deflate, zlib(&zeros), usize::MAX, Err(UnreadableBody::Bomb)),
        ("in a gzip", ContentCoding::Gzip, gzip(&gzip(&zeros)), 1 << 20, Err(UnreadableBody::Bomb)),
        (
            "many members",
            ContentCoding::Gzip,
            gzip(&zeros).repeat(3),
            1 << 20,
            Err(UnreadableBody::Bomb),
        ),
        ("a short one", ContentCoding::Gzip, gzip(&zeros[..4000]), 1 << 20, Ok(true)),
    ] {
        let found = coding.decoded(&whole(coded), most);
        match (found, expect) {
            (Ok(found), Ok(_)) => assert!(found.bytes.len() < 1 << 20, "{row}"),
            (found, expect) => assert_eq!(found.map(|body| body.complete), expect, "{row}"),
        }
    }
}

/// CVE-2026-48044: a decoder compared its output with its input only at the end.
#[test]
fn cve_2026_48044_the_ratio_is_looked_at_while_the_output_grows() {
    let bomb = BodyBeginning { bytes: gzip(&vec![b'a'; 64 << 20]).into(), complete: false };
    assert_eq!(ContentCoding::Gzip.decoded(&bomb, 1 << 10), Err(UnreadableBody::Bomb));
}

/// CVE-2024-32976: a brotli decoder went round for ever on input it could not use. There is none here, and each round of
/// ours makes progress or ends.
#[test]
fn cve_2024_32976_what_makes_no_progress_ends() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    assert_eq!(ContentCoding::of(&headers), Err(UnreadableBody::Coding));
    let empty_members = gzip(b"").repeat(5000);
    let found = ContentCoding::Gzip.decoded(&whole(empty_members), 100).unwrap();
    assert_eq!(found, whole(Bytes::new()));
}
