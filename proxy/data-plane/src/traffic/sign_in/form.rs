//! The small forms that are sent to the sign-in itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt as _;

use crate::http::body::Body;

/// The longest form, in bytes: a logout token is at most 16 KiB.
const MOST: usize = 32 * 1024;

/// Reads a whole form within this time. `None`: it is none, is too long, or did not come.
pub(super) async fn read(headers: &HeaderMap, body: &mut Body, limit: Duration) -> Option<Bytes> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok())?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    tokio::time::timeout(limit, collect(body)).await.ok().flatten()
}

async fn collect(body: &mut Body) -> Option<Bytes> {
    let mut form = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame.ok()?.into_data().unwrap_or_default();
        if form.len() + data.len() > MOST {
            return None;
        }
        form.extend_from_slice(&data);
    }
    Some(form.freeze())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    #[tokio::test]
    async fn a_form_is_small_and_says_that_it_is_one() {
        const FORM: &str = "application/x-www-form-urlencoded";
        for (row, kind, length, expect) in [
            ("good", Some(FORM), 10, true),
            ("with a charset", Some("application/X-WWW-form-urlencoded; charset=utf-8"), 10, true),
            ("as long as may be", Some(FORM), MOST, true),
            ("too long", Some(FORM), MOST + 1, false),
            ("JSON", Some("application/json"), 10, false),
            ("nothing said", None, 10, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            let mut body = Body::from_bytes("x".repeat(length));
            let read = read(&headers, &mut body, Duration::from_secs(1)).await;
            assert_eq!(read.is_some_and(|form| form.len() == length), expect, "{row}");
        }
    }
}
