//! The header fields of W3C Trace Context: `traceparent`, and `tracestate`, which is never looked into.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::telemetry::trace::TraceContext;

/// The place of a request in its trace.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems say beside it, each in words of its own.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Characters of `tracestate` that a span keeps a copy of: as many as everybody should pass on (W3C Trace Context,
/// *tracestate Limits*).
const MOST_TRACE_STATE: usize = 512;

/// The trace that a request came with; `None` without a valid `traceparent`, and with more than one.
#[must_use]
pub fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return None;
    }
    TraceContext::parse(first.as_bytes())
}

/// A copy of `tracestate` for a span, where it is one field of an ordinary length.
#[must_use]
pub fn trace_state(headers: &HeaderMap) -> Option<Box<str>> {
    let mut values = headers.get_all(TRACESTATE).iter();
    let first = values.next().and_then(|value| value.to_str().ok());
    let state = first.filter(|state| (1..=MOST_TRACE_STATE).contains(&state.len()))?;
    values.next().is_none().then(|| state.into())
}

/// Sets `traceparent`, in place of what is there. Where the trace begins here, `tracestate` goes: it is of another
/// trace (W3C Trace Context, *Mutating the traceparent Field*).
pub fn set_trace_context(headers: &mut HeaderMap, context: &TraceContext, begins: bool) {
    if begins {
        headers.remove(TRACESTATE);
    }
    // Digits and dashes, which every value may have.
    let Ok(mut value) = HeaderValue::from_bytes(&context.traceparent()) else { return };
    // Never seen again on its connection: an entry in the table of HPACK would only drive others out (RFC 7541
    // §2.3.2).
    value.set_sensitive(true);
    headers.insert(TRACEPARENT, value);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::telemetry::trace::{SpanId, TraceId};

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_trace_is_named_once() {
        let check = |fields: &[(&'static str, &str)], expect: bool| {
            assert_eq!(trace_context(&headers(fields)).is_some(), expect, "{fields:?}");
        };
        check(&[("traceparent", CALLER)], true);
        check(&[("traceparent", CALLER), ("tracestate", "=,=")], true);
        check(&[("traceparent", CALLER), ("traceparent", CALLER)], false);
        check(&[("traceparent", "00-1-2-3")], false);
        check(&[("tracestate", "a=b")], false);
        check(&[], false);
    }

    #[test]
    fn a_state_is_kept_where_it_is_short_and_whole() {
        let check = |fields: &[(&'static str, &str)], expect: Option<&str>| {
            assert_eq!(trace_state(&headers(fields)).as_deref(), expect, "{fields:?}");
        };
        check(&[("tracestate", "congo=t61,rojo=00f0")], Some("congo=t61,rojo=00f0"));
        check(&[("tracestate", "congo=t61"), ("tracestate", "rojo=00f0")], None);
        check(&[("tracestate", &"a".repeat(513))], None);
        check(&[("tracestate", "")], None);
        check(&[], None);
    }

    #[test]
    fn a_new_trace_takes_the_place_of_what_was_sent() {
        let own = TraceContext::root(TraceId::from_random(1, 2), SpanId::from_random(3), true);
        for begins in [true, false] {
            let sent =
                [("traceparent", CALLER), ("traceparent", "nonsense"), ("tracestate", "a=b")];
            let mut headers = headers(&sent);
            set_trace_context(&mut headers, &own, begins);
            assert_eq!(trace_context(&headers), Some(own));
            assert_eq!(headers.contains_key("tracestate"), !begins);
        }
    }
}
