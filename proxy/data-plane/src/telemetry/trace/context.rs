//! The trace context of a request: `traceparent` of W3C Trace Context, level 2, whose sections are cited by their titles.

use std::fmt;

use data_encoding::HEXLOWER;

/// Characters of a `traceparent` of version 00 (*version-format*).
const TRACEPARENT_LENGTH: usize = 55;
/// Whoever sent it may have recorded its span (*Sampled Flag*).
const SAMPLED: u8 = 1;
/// The last seven bytes of the trace's id are random (*Random Trace ID Flag*).
const RANDOM: u8 = 1 << 1;
/// The version that means nothing (*version*).
const FORBIDDEN_VERSION: u8 = 0xff;

/// The id of a trace: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// An id out of its bytes; `None` for all zeros, which stand for no id.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// A new id out of random bits.
    #[must_use]
    pub fn from_random(first: u64, last: u64) -> Self {
        let number = (u128::from(first) << 64) | u128::from(last);
        Self(number.max(1).to_be_bytes())
    }

    /// Its bytes, as OTLP has them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The last seven bytes as a number below 2^56, by which samplers decide
    /// (*Randomness of trace-id*).
    #[must_use]
    pub fn randomness(&self) -> u64 {
        let last = self.0.iter().skip(9);
        last.fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The id of a span: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// An id out of its bytes; `None` for all zeros, which stand for no id.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// A new id out of random bits.
    #[must_use]
    pub fn from_random(number: u64) -> Self {
        Self(number.max(1).to_be_bytes())
    }

    /// Its bytes, as OTLP has them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// A place in a trace, as `traceparent` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span that sent the request: the parent of what is done for it.
    pub span_id: SpanId,
    /// The flags that have a meaning; the others must not be passed on (*Other Flags*).
    flags: u8,
}

impl TraceContext {
    /// The beginning of a new trace with a random id.
    #[must_use]
    pub fn root(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Self {
        Self { trace_id, span_id, flags: RANDOM | u8::from(sampled) }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self, span_id: SpanId) -> Self {
        Self { span_id, ..*self }
    }

    /// Reads the value of a `traceparent` field; `None` where its rules do not hold: then a new trace begins.
    ///
    /// Of a later version it takes what is as in version 00, and lets more follow behind a dash (*Versioning of traceparent*).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let [version] = hexadecimal(value, 0)?;
        let ends_well = match (version, value.get(TRACEPARENT_LENGTH)) {
            (FORBIDDEN_VERSION, _) => false,
            (_, None) => true,
            (version, Some(next)) => version > 0 && *next == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
        if !ends_well || !dashes {
            return None;
        }
        let trace_id = TraceId::new(hexadecimal(value, 3)?)?;
        let span_id = SpanId::new(hexadecimal(value, 36)?)?;
        let [flags] = hexadecimal(value, 53)?;
        Some(Self { trace_id, span_id, flags: flags & (SAMPLED | RANDOM) })
    }

    /// Whether the sender may have recorded its span, and asks others to do so.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags, as OTLP has them.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// The value of a `traceparent` field, of version 00.
    #[must_use]
    pub fn traceparent(&self) -> [u8; TRACEPARENT_LENGTH] {
        let fields = [&[0][..], &self.trace_id.0, &self.span_id.0, &[self.flags]];
        let mut text = [b'-'; TRACEPARENT_LENGTH];
        let mut at = 0;
        for field in fields {
            let digits = 2 * field.len();
            if let Some(place) = text.get_mut(at..at + digits) {
                HEXLOWER.encode_mut(field, place);
            }
            at += digits + 1;
        }
        text
    }
}

/// The bytes whose hexadecimal digits, in lower case, begin there.
fn hexadecimal<const BYTES: usize>(text: &[u8], at: usize) -> Option<[u8; BYTES]> {
    let digits = text.get(at..at + 2 * BYTES)?;
    let mut bytes = [0; BYTES];
    HEXLOWER.decode_mut(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn context(version: &str, flags: &str) -> Vec<u8> {
        format!("{version}-{TRACE}-{SPAN}-{flags}").into_bytes()
    }

    #[test]
    fn traceparent_is_read_strictly() {
        let check = |name: &str, value: &[u8], expect: Option<u8>| {
            let read = TraceContext::parse(value);
            assert_eq!(read.map(|read| read.flags), expect, "{name}");
            if let Some(read) = read {
                assert_eq!(
                    format!("{:?} {:?}", read.trace_id, read.span_id),
                    format!("{TRACE} {SPAN}")
                );
            }
        };
        check("not sampled", &context("00", "00"), Some(0));
        check("sampled", &context("00", "01"), Some(SAMPLED));
        check("sampled, random id", &context("00", "03"), Some(SAMPLED | RANDOM));
        check("flags without a meaning", &context("00", "fd"), Some(SAMPLED));
        check("a later version", &context("01", "01"), Some(SAMPLED));
        check("a later version with more", &context("cc", "01-what-comes"), Some(SAMPLED));
        check("a later version that ends with a dash", &context("fe", "01-"), Some(SAMPLED));
        check("a later version with more and no dash", &context("01", "01."), None);
        check("a later version, too short", &context("01", "0"), None);
        check("version 00 with more", &context("00", "01-more"), None);
        check("the forbidden version", &context("ff", "01"), None);
        check("a version in upper case", &context("0A", "01"), None);
        check("a version of one digit", format!("0-{TRACE}-{SPAN}-01").as_bytes(), None);
        check("flags in upper case", &context("00", "0A"), None);
        check("no flags", format!("00-{TRACE}-{SPAN}").as_bytes(), None);
        check("flags of one digit", &context("00", "1"), None);
        check("a trace of zeros", format!("00-{:032}-{SPAN}-01", 0).as_bytes(), None);
        check("a span of zeros", format!("00-{TRACE}-{:016}-01", 0).as_bytes(), None);
        check(
            "a trace in upper case",
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()).as_bytes(),
            None,
        );
        check(
            "a trace with a letter beyond f",
            format!("00-g{}-{SPAN}-01", &TRACE[1..]).as_bytes(),
            None,
        );
        check("a span with a blank", format!("00-{TRACE}- {}-01", &SPAN[1..]).as_bytes(), None);
        check("other dashes", format!("00_{TRACE}_{SPAN}_01").as_bytes(), None);
        check("a blank in front", format!(" 00-{TRACE}-{SPAN}-01").as_bytes(), None);
        check("two in one", format!("00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01").as_bytes(), None);
        check("bytes beyond ASCII", &[0xff; TRACEPARENT_LENGTH], None);
        check("empty", b"", None);
        check("only dashes", &[b'-'; TRACEPARENT_LENGTH], None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let root =
            TraceContext::root(TraceId::from_random(1, u64::MAX), SpanId::from_random(7), true);
        let text = root.traceparent();
        assert_eq!(
            std::str::from_utf8(&text),
            Ok("00-0000000000000001ffffffffffffffff-0000000000000007-03")
        );
        assert_eq!(TraceContext::parse(&text), Some(root));
        let child = root.child(SpanId::from_random(8));
        assert_eq!((child.trace_id, child.is_sampled()), (root.trace_id, true));
    }

    #[test]
    fn random_ids_are_never_the_zeros_that_mean_none() {
        assert!(TraceId::new(*TraceId::from_random(0, 0).bytes()).is_some());
        assert!(SpanId::new(*SpanId::from_random(0).bytes()).is_some());
    }

    #[test]
    fn samplers_decide_by_the_last_seven_bytes() {
        for (first, last, expect) in
            [(u64::MAX, 0, 0), (0, u64::MAX, (1 << 56) - 1), (0, 1 << 56, 0), (9, 0x0123, 0x0123)]
        {
            assert_eq!(TraceId::from_random(first, last).randomness(), expect, "{first} {last}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_panics_and_what_is_taken_is_passed_on(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
            digits in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[-0-9a-f]{0,4}",
        ) {
            for value in [bytes, digits.into_bytes()] {
                let Some(read) = TraceContext::parse(&value) else { continue };
                proptest::prop_assert_eq!(TraceContext::parse(&read.traceparent()), Some(read));
                proptest::prop_assert_eq!(&read.traceparent()[3..52], &value[3..52]);
            }
        }
    }
}
