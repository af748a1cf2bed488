//! Required claims, and how long a token may be.

use crate::traffic::jwt::tests::*;

#[test]
fn s39_claims() {
    let world = TokenFixture::usual();
    for (name, changes, expect) in [
        ("good", json!({}), "alice"),
        ("no iss", json!({"iss": null}), "token_claims"),
        ("iss a list", json!({"iss": ["https://id.example"]}), "token_claims"),
        ("unknown issuer", json!({"iss": "https://evil.example"}), "token_issuer_unknown"),
        ("issuer with a slash more", json!({"iss": "https://id.example/"}), "token_issuer_unknown"),
        ("issuer in capitals", json!({"iss": "https://ID.example"}), "token_issuer_unknown"),
        ("no aud", json!({"aud": null}), "token_claims"),
        ("empty aud", json!({"aud": []}), "token_claims"),
        ("aud a list", json!({"aud": ["web", "cart"]}), "alice"),
        ("another aud", json!({"aud": "web"}), "token_audience"),
        ("aud with more", json!({"aud": "cart2"}), "token_audience"),
        ("aud a number", json!({"aud": 1}), "token_claims"),
        ("aud a list with a number", json!({"aud": ["cart", 1]}), "token_claims"),
        ("no exp", json!({"exp": null}), "token_claims"),
        ("exp a text", json!({"exp": "1900000000"}), "token_claims"),
        ("exp a fraction", json!({"exp": 1_900_000_000.5}), "token_claims"),
        ("exp negative", json!({"exp": -1}), "token_claims"),
        ("exp huge", json!({"exp": u64::MAX}), "alice"),
        ("expired within the leeway", json!({"exp": NOW - 29}), "alice"),
        ("expired", json!({"exp": NOW - 30}), "token_expired"),
        ("nbf within the leeway", json!({"nbf": NOW + 30}), "alice"),
        ("nbf ahead", json!({"nbf": NOW + 31}), "token_not_yet_valid"),
        ("nbf a text", json!({"nbf": "0"}), "token_claims"),
        ("iat a text", json!({"iat": "0"}), "token_claims"),
        ("no sub", json!({"sub": null}), "no subject"),
        ("sub a number", json!({"sub": 7}), "token_claims"),
    ] {
        assert_eq!(world.who_bears(&token(changes)), expect, "{name}");
    }
    assert_eq!(world.who(request("GET", "/", &[])), "nobody");
}

#[test]
fn s39_claims_read_one_way_only() {
    let world = TokenFixture::usual();
    let plain = claims(json!({})).to_string();
    let (header, body) = (r#"{"alg":"ES256","kid":"k1"}"#, plain.trim_start_matches('{'));
    for (name, header, claims, expect) in [
        ("plain", header, plain.clone(), "alice"),
        ("a claim twice", header, format!("{{\"sub\":\"root\",{body}"), "token_malformed"),
        (
            "a claim twice, escaped",
            header,
            format!("{{\"s\\u0075b\":\"root\",{body}"),
            "token_malformed",
        ),
        (
            "alg twice",
            r#"{"alg":"ES256","alg":"ES256","kid":"k1"}"#,
            plain.clone(),
            "token_malformed",
        ),
        ("kid twice", r#"{"alg":"ES256","kid":"k1","kid":"k2"}"#, plain.clone(), "token_malformed"),
        ("kid a number", r#"{"alg":"ES256","kid":1}"#, plain.clone(), "token_malformed"),
        ("claims a list", header, "[]".into(), "token_malformed"),
        ("claims followed by more", header, format!("{plain}{{}}"), "token_malformed"),
        (
            "deep",
            header,
            format!("{{\"x\":{}{},{body}", "[".repeat(40), "]".repeat(40)),
            "token_malformed",
        ),
    ] {
        assert_eq!(world.who_bears(&signer().raw(header, &claims)), expect, "{name}");
    }
}

#[test]
fn s39_claims_audience_may_be_waived_by_name_only() {
    let open = RULE.replace(", audiences: [cart]", "");
    for (name, rule, policy, aud, expect) in [
        ("any audience", &*open, "", json!("web"), "alice"),
        ("but one", &*open, "", json!(null), "token_claims"),
        (
            "waived",
            &*open,
            "{issuer: 'https://id.example', audience: OPTIONAL}",
            json!(null),
            "alice",
        ),
        (
            "waived, but named",
            RULE,
            "{issuer: 'https://id.example', audience: OPTIONAL}",
            json!(null),
            "token_claims",
        ),
        (
            "waived for another",
            &*open,
            "{issuer: other, audience: OPTIONAL}",
            json!(null),
            "token_claims",
        ),
    ] {
        let world = TokenFixture::new(&format!("{{{rule}}}"), policy);
        assert_eq!(world.who_bears(&token(json!({ "aud": aud }))), expect, "{name}");
    }
}

#[test]
fn s40_token_dos() {
    let world = TokenFixture::usual();
    // The longest accepted token: its signature and header are 123 bytes, and base64 makes 4 of 3.
    let filled = |length: usize| {
        let mut pad = length * 3 / 4;
        loop {
            let token = token(json!({"pad": "x".repeat(pad)}));
            if token.len() <= length {
                return token;
            }
            pad -= (token.len() - length).div_ceil(2).max(1);
        }
    };
    let largest = filled(MAX_TOKEN_BYTES);
    assert!(largest.len() > MAX_TOKEN_BYTES - 8, "{}", largest.len());
    for (name, token, expect) in [
        ("as long as may be", largest.clone(), "alice"),
        ("longer", format!("{largest}{}", "A".repeat(8)), "token_too_large"),
        ("dots", ".".repeat(MAX_TOKEN_BYTES), "token_malformed"),
        ("one dot", "a.b".into(), "token_malformed"),
        ("three dots", format!("{}.x", token(json!({}))), "token_malformed"),
        ("five parts, as JWE", "a.b.c.d.e".into(), "token_malformed"),
        ("empty parts", "..".into(), "token_malformed"),
        ("empty", String::new(), "token_malformed"),
        (
            "JWE header",
            format!(
                "{}.{}.AA",
                b64(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}"#),
                b64("{}")
            ),
            "token_malformed",
        ),
        ("not base64", "%%%.%%%.%%%".into(), "token_malformed"),
        ("base64 with padding", "e30=.e30=.AA".into(), "token_malformed"),
        ("standard base64", "a+/b.a+/b.AA".into(), "token_malformed"),
        ("not JSON", "AAAA.AAAA.AAAA".into(), "token_malformed"),
        ("blanks within", "e30 .e30.AA".into(), "token_malformed"),
    ] {
        assert_eq!(world.who_bears(&token), expect, "{name}");
    }
}
