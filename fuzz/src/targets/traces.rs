//! Traces.

use data_plane::telemetry::trace::TraceContext;

/// The value of `traceparent`: what is taken is passed on, and reads back as what was taken.
pub fn traceparent(data: &[u8]) {
    let Some(context) = TraceContext::parse(data) else { return };
    let sent = context.traceparent();
    assert_eq!(TraceContext::parse(&sent), Some(context));
    assert_eq!(Some(&sent[3..52]), data.get(3..52), "trace and span are as they came");
    assert!(sent.starts_with(b"00-") && matches!(sent[53..], [b'0', b'0'..=b'3']));
    assert_ne!(*context.trace_id.bytes(), [0; 16]);
    assert_ne!(*context.span_id.bytes(), [0; 8]);
}
