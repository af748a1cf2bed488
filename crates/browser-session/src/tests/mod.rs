//! What browsers bring back, and how it is taken; one file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cookies;
mod flows;
mod sealing;
mod sessions;
mod targets;

use aws_lc_rs::rand::SystemRandom;
use serde_json::json;
use zeroize::Zeroizing;

use crate::*;

const NOW: u64 = 1_800_000_000;

fn random() -> SystemRandom {
    SystemRandom::new()
}

fn keys(current: u8, previous: Option<u8>) -> SessionKeys {
    SessionKeys::new(&[current; 32], previous.map(|byte| [byte; 32]).as_ref()).unwrap()
}

fn binding() -> SealBinding<'static> {
    SealBinding {
        host: "shop.example",
        client_id: "shop",
        policy: "shop/staff",
        purpose: Purpose::Session,
        instance: b"",
    }
}

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn user() -> SignedIn {
    let claims = json!({"sub": "ann", "email": "ann@shop.example", "groups": ["a", "b"]});
    SignedIn {
        issuer: "https://id.example".to_owned(),
        subject: "ann".to_owned(),
        provider_session: Some("s1".to_owned()),
        claims: claims.as_object().unwrap().clone(),
        id_token: Some(secret("a.b.c")),
        refresh_token: Some(secret("r1")),
        access_expires: Some(NOW + 1000),
        auth_time: Some(NOW - 5),
        acr: Some("urn:mfa".to_owned()),
    }
}

/// The cookies of `set-cookie` lines, as a browser sends them back; cleared ones are gone.
fn sent_back(lines: &[String]) -> String {
    let pairs = lines.iter().map(|line| line.split(';').next().unwrap());
    pairs.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
}

fn cookies(header: &str) -> RequestCookies<'_> {
    RequestCookies::of([header.as_bytes()])
}
