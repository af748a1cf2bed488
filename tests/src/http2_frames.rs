//! HTTP/2 frames written by hand (RFC 9113 §4, §6), for what no library sends.

/// What a client sends first (RFC 9113 §3.4); its SETTINGS follow.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// §6.1
    Data = 0,
    /// §6.2
    Headers = 1,
    /// §6.3
    Priority = 2,
    /// §6.4
    ResetStream = 3,
    /// §6.5
    Settings = 4,
    /// §6.6
    PushPromise = 5,
    /// §6.7
    Ping = 6,
    /// §6.8
    GoAway = 7,
    /// §6.9
    WindowUpdate = 8,
    /// §6.10
    Continuation = 9,
}

/// On HEADERS and DATA: nothing follows on this stream.
pub const END_STREAM: u8 = 1;
/// On HEADERS and CONTINUATION: the header block is whole.
pub const END_HEADERS: u8 = 4;
/// The setting SETTINGS_INITIAL_WINDOW_SIZE (§6.5.2).
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// The setting SETTINGS_MAX_CONCURRENT_STREAMS (§6.5.2).
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// The error code CANCEL (§7).
pub const CANCEL: u32 = 8;

/// One frame; panics when the payload is longer than a length can say.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload of a test is short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind as u8, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// SETTINGS with these values.
#[must_use]
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(Kind::Settings, 0, 0, &values.iter().flat_map(one).collect::<Vec<_>>())
}

/// The acknowledgement of SETTINGS.
#[must_use]
pub fn settings_ack() -> Vec<u8> {
    frame(Kind::Settings, 1, 0, &[])
}

/// A whole `GET http://HOST PATH` (RFC 7541 §6: static names, literal values); both shorter than 127 bytes.
#[must_use]
pub fn get(stream: u32, host: &str, path: &str) -> Vec<u8> {
    // :method GET and :scheme http are whole entries of the static table.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(4, path), (1, host)] {
        block.push(name);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend(value.as_bytes());
    }
    frame(Kind::Headers, END_STREAM | END_HEADERS, stream, &block)
}

/// RST_STREAM with this error code.
#[must_use]
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(Kind::ResetStream, 0, stream, &code.to_be_bytes())
}

/// WINDOW_UPDATE by this much; 0 is an error that resets the stream (§6.9).
#[must_use]
pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, 0, stream, &by.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_laid_out_as_the_standard_says() {
        let check = |name: &str, frame: &[u8], expect: &[u8]| assert_eq!(frame, expect, "{name}");
        check("empty settings", &settings(&[]), &[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        check(
            "a window of nothing",
            &settings(&[(INITIAL_WINDOW_SIZE, 0)]),
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0],
        );
        check("a reset", &reset(3, CANCEL), &[0, 0, 4, 3, 0, 0, 0, 0, 3, 0, 0, 0, 8]);
        let request = [0, 0, 8, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 4, 1, b'/', 1, 1, b'h'];
        check("a request", &get(1, "h", "/"), &request);
    }
}
