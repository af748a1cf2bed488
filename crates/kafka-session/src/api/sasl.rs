//! SaslHandshake (17) and SaslAuthenticate (36): what client and broker prove to each other passes, and changes nothing of
//! who the client is to policy. The oldest handshake is followed by bytes without frames, and is not supported.

use super::{Api, NEVER};
use crate::context::Context;
use crate::request::{Judged, Request};
use crate::schema::{bytes, int16, int64, nullable_text, text, values};

pub(super) static HANDSHAKE: Api = Api {
    key: 17,
    name: "SaslHandshake",
    versions: 1..=1,
    flexible: NEVER,
    request: &[text("mechanism")],
    response: &[int16("error_code"), values("mechanisms", &[text("mechanism")])],
    judge,
};

pub(super) static AUTHENTICATE: Api = Api {
    key: 36,
    name: "SaslAuthenticate",
    versions: 0..=2,
    flexible: 2,
    request: &[bytes("auth_bytes")],
    response: &[
        int16("error_code"),
        nullable_text("error_message"),
        bytes("auth_bytes"),
        int64("session_lifetime_ms").since(1),
    ],
    judge,
};

#[allow(clippy::unnecessary_wraps, reason = "one shape for the judgement of every API")]
fn judge(request: &Request<'_>, _: &mut Context<'_>) -> Judged {
    Ok(request.forward())
}
