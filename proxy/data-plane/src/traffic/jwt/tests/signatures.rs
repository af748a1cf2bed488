//! Which keys and algorithms are accepted.

use crate::traffic::jwt::tests::*;

#[test]
fn s37_jws_algorithm_and_key_every_kind() {
    let kinds: [(TestSigner, &[&str]); 4] = [
        (TestSigner::rsa(), &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (TestSigner::p256(), &["ES256"]),
        (TestSigner::p384(), &["ES384"]),
        (TestSigner::ed25519(), &["EdDSA"]),
    ];
    let all = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
        "none", "ES512", "", "es256",
    ];
    for (signer, fitting) in &kinds {
        let mut world = TokenFixture::without_keys(&format!("{{{RULE}}}"), "");
        let source = world.rules.rules()[0].jwt.keys.clone();
        world.set_keys(&source, &[with_id(signer.jwk(), "k1")]);
        for algorithm in all {
            let token = signer.token(json!({"alg": algorithm, "kid": "k1"}), claims(json!({})));
            let expect = if fitting.contains(&algorithm) { "alice" } else { "token_algorithm" };
            assert_eq!(world.who_bears(&token), expect, "{algorithm} with {}", signer.jwk());
        }
        // A key that names its algorithm is for that one only.
        let mut jwk = with_id(signer.jwk(), "k1");
        jwk["alg"] = fitting[0].into();
        world.set_keys(&source, &[jwk]);
        for (index, algorithm) in fitting.iter().enumerate() {
            let token = signer.token(json!({"alg": algorithm, "kid": "k1"}), claims(json!({})));
            let expect = if index == 0 { "alice" } else { "token_algorithm" };
            assert_eq!(
                world.who_bears(&token),
                expect,
                "{algorithm} with a key for {}",
                fitting[0]
            );
        }
    }
}

/// EdDSA over Ed25519 has a name of its own since RFC 9864.
#[test]
fn s37_jws_algorithm_and_key_both_names_of_ed25519() {
    let signer = TestSigner::ed25519();
    for (in_key, in_token) in [("Ed25519", "EdDSA"), ("EdDSA", "Ed25519"), ("Ed25519", "Ed25519")] {
        let mut world = TokenFixture::without_keys(&format!("{{{RULE}}}"), "");
        let source = world.rules.rules()[0].jwt.keys.clone();
        let mut jwk = with_id(signer.jwk(), "k1");
        jwk["alg"] = in_key.into();
        world.set_keys(&source, &[jwk]);
        let token = signer.token(json!({"alg": in_token, "kid": "k1"}), claims(json!({})));
        assert_eq!(world.who_bears(&token), "alice", "{in_token} with a key for {in_key}");
    }
}

#[test]
fn s37_jws_algorithm_and_key_forgeries() {
    let world = TokenFixture::usual();
    let good = token(json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let other = TestSigner::p256();
    let embedded = json!({"alg": "ES256", "kid": "k1", "jwk": other.jwk()});
    let remote = json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.example/keys", "x5u": "https://evil.example/c"});
    let hmac_key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA256,
        signer().jwk().to_string().as_bytes(),
    );
    let hs_message =
        format!("{}.{}", b64(r#"{"alg":"HS256","kid":"k1"}"#), b64(claims(json!({})).to_string()));
    let hs =
        format!("{hs_message}.{}", b64(aws_lc_rs::hmac::sign(&hmac_key, hs_message.as_bytes())));
    for (name, token, expect) in [
        ("as issued", good.clone(), "alice"),
        ("no signature", format!("{message}."), "token_malformed"),
        ("no signature and no dot", message.to_owned(), "token_malformed"),
        ("null signature", format!("{message}.{}", b64([0; 64])), "token_signature"),
        ("short signature", format!("{message}.AA"), "token_signature"),
        ("signature with padding", format!("{good}=="), "token_signature"),
        (
            "signature of another key",
            other.token(json!({"alg": "ES256", "kid": "k1"}), claims(json!({}))),
            "token_signature",
        ),
        (
            "claims changed",
            format!("{header}.{}.{signature}", b64(claims(json!({"sub": "root"})).to_string())),
            "token_signature",
        ),
        ("embedded key", other.token(embedded, claims(json!({}))), "token_signature"),
        ("remote key", other.token(remote, claims(json!({}))), "token_signature"),
        ("public key as HMAC secret", hs, "token_algorithm"),
        (
            "none",
            format!("{}.{}.AA", b64(r#"{"alg":"none"}"#), b64(claims(json!({})).to_string())),
            "token_algorithm",
        ),
        (
            "nOnE",
            format!("{}.{}.AA", b64(r#"{"alg":"nOnE"}"#), b64(claims(json!({})).to_string())),
            "token_algorithm",
        ),
        (
            "algorithm missing",
            signer().token(json!({"kid": "k1"}), claims(json!({}))),
            "token_algorithm",
        ),
        (
            "algorithm a number",
            signer().token(json!({"alg": 256, "kid": "k1"}), claims(json!({}))),
            "token_algorithm",
        ),
        (
            "crit",
            signer().token(
                json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}),
                claims(json!({})),
            ),
            "token_malformed",
        ),
        (
            "empty crit",
            signer().token(json!({"alg": "ES256", "kid": "k1", "crit": []}), claims(json!({}))),
            "token_malformed",
        ),
        (
            "zip",
            signer().token(json!({"alg": "ES256", "kid": "k1", "zip": "DEF"}), claims(json!({}))),
            "token_malformed",
        ),
        (
            "at+jwt",
            signer()
                .token(json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), claims(json!({}))),
            "alice",
        ),
        (
            "JWT",
            signer().token(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), claims(json!({}))),
            "alice",
        ),
        (
            "a proof as a token",
            signer()
                .token(json!({"alg": "ES256", "kid": "k1", "typ": "dpop+jwt"}), claims(json!({}))),
            "token_malformed",
        ),
        (
            "a logout token",
            signer().token(
                json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
                claims(json!({})),
            ),
            "token_malformed",
        ),
    ] {
        assert_eq!(world.who_bears(&token), expect, "{name}");
    }
}

#[test]
fn s37_jws_algorithm_and_key_unfit_keys() {
    let changed = |name: &str, value: Value| {
        let mut jwk = with_id(signer().jwk(), "k1");
        jwk[name] = value;
        jwk
    };
    let spare = with_id(TestSigner::ed25519().jwk(), "spare");
    for (name, jwk, expect) in [
        ("as it is", changed("use", json!("sig")), "alice"),
        ("key_ops", changed("key_ops", json!(["verify"])), "alice"),
        ("for encryption", changed("use", json!("enc")), "token_key_unknown"),
        ("use a number", changed("use", json!(1)), "token_key_unknown"),
        ("for signing", changed("key_ops", json!(["sign"])), "token_key_unknown"),
        ("key_ops a text", changed("key_ops", json!("verify")), "token_key_unknown"),
        ("another curve", changed("crv", json!("P-384")), "token_key_unknown"),
        ("no curve", changed("crv", json!(null)), "token_key_unknown"),
        ("another kind", changed("kty", json!("OKP")), "token_key_unknown"),
        ("for encryption by its alg", changed("alg", json!("ECDH-ES")), "token_key_unknown"),
        ("alg of another kind", changed("alg", json!("RS256")), "token_key_unknown"),
        ("a private key", changed("d", json!("AA")), "token_key_unknown"),
        ("off the curve", changed("y", json!(b64([1; 32]))), "token_key_unknown"),
        ("short point", changed("y", json!(b64([1; 31]))), "token_key_unknown"),
        ("kid a number", changed("kid", json!(1)), "token_key_unknown"),
        ("symmetric", json!({"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}), "token_key_unknown"),
        (
            "weak",
            json!({"kty": "RSA", "n": b64([255; 128]), "e": "AQAB", "kid": "k1"}),
            "token_key_unknown",
        ),
    ] {
        let mut world = TokenFixture::without_keys(&format!("{{{RULE}}}"), "");
        let source = world.rules.rules()[0].jwt.keys.clone();
        world.set_keys(&source, &[jwk, spare.clone()]);
        assert_eq!(world.who_bears(&token(json!({}))), expect, "{name}");
    }
}

#[test]
fn s38_kid_and_jwks_state() {
    let (k1, k2) = (TestSigner::p256(), TestSigner::p256());
    let sets = |keys: &[(&TestSigner, Option<&str>)]| -> Vec<Value> {
        keys.iter().map(|(key, id)| id.map_or(key.jwk(), |id| with_id(key.jwk(), id))).collect()
    };
    let header = |id: Option<&str>| match id {
        Some(id) => json!({"alg": "ES256", "kid": id}),
        None => json!({"alg": "ES256"}),
    };
    for (name, set, id, expect) in [
        ("known", sets(&[(&k1, Some("a")), (&k2, Some("b"))]), Some("a"), "alice"),
        (
            "another key's id",
            sets(&[(&k1, Some("a")), (&k2, Some("b"))]),
            Some("b"),
            "token_signature",
        ),
        ("unknown, never the last key", sets(&[(&k1, Some("a"))]), Some("z"), "token_key_unknown"),
        ("empty id", sets(&[(&k1, Some("a"))]), Some(""), "token_key_unknown"),
        (
            "twice",
            sets(&[(&k1, Some("a")), (&k2, Some("a")), (&k2, Some("b"))]),
            Some("a"),
            "token_key_unknown",
        ),
        (
            "thrice",
            sets(&[(&k2, Some("a")), (&k2, Some("a")), (&k1, Some("a")), (&k2, Some("b"))]),
            Some("a"),
            "token_key_unknown",
        ),
        ("no id, one key", sets(&[(&k1, Some("a"))]), None, "alice"),
        ("no id, one nameless key", sets(&[(&k1, None)]), None, "alice"),
        ("no id, two keys", sets(&[(&k1, Some("a")), (&k2, Some("b"))]), None, "token_key_unknown"),
        ("id, nameless key", sets(&[(&k1, None)]), Some("a"), "token_key_unknown"),
    ] {
        let mut world = TokenFixture::without_keys(&format!("{{{RULE}}}"), "");
        let source = world.rules.rules()[0].jwt.keys.clone();
        world.set_keys(&source, &set);
        let token = k1.token(header(id), claims(json!({})));
        assert_eq!(world.who_bears(&token), expect, "{name}");
        let asked = expect == "token_key_unknown";
        assert_eq!(
            world.asked.borrow().as_slice(),
            if asked { vec![source] } else { vec![] },
            "{name}"
        );
    }
}

#[test]
fn s38_kid_and_jwks_state_issuers_share_nothing() {
    let other = TestSigner::p256();
    let rules = format!(
        "{{{RULE}}}, {{issuer: 'https://other.example', jwksUri: 'https://other.example/keys'}}"
    );
    let mut world = TokenFixture::new(&rules, "");
    world.set_keys(
        &KeySource::Uri("https://other.example/keys".into()),
        &[with_id(other.jwk(), "k1")],
    );
    let header = || json!({"alg": "ES256", "kid": "k1"});
    let theirs = json!({"iss": "https://other.example"});
    for (name, token, expect) in [
        ("first", signer().token(header(), claims(json!({}))), "alice"),
        ("second", other.token(header(), claims(theirs.clone())), "alice"),
        ("first's key for the second", signer().token(header(), claims(theirs)), "token_signature"),
        ("second's key for the first", other.token(header(), claims(json!({}))), "token_signature"),
    ] {
        assert_eq!(world.who_bears(&token), expect, "{name}");
    }
}

#[test]
fn f31_without_keys_only_that_issuer_is_refused() {
    let rules = format!(
        "{{{RULE}}}, {{issuer: 'https://down.example', jwksUri: 'https://down.example/keys'}}"
    );
    let mut world = TokenFixture::without_keys(&rules, "");
    let source = world.rules.rules()[0].jwt.keys.clone();
    world.set_keys(&source, &[with_id(signer().jwk(), "k1")]);
    assert_eq!(world.who_bears(&token(json!({}))), "alice");
    assert_eq!(
        world.who_bears(&token(json!({"iss": "https://down.example"}))),
        "token_keys_unavailable"
    );
    assert_eq!(world.who(request("GET", "/", &[])), "nobody");
}

#[test]
fn s38_kid_and_jwks_state_bad_sets() {
    let many: Vec<Value> = (0..129).map(|n| with_id(signer().jwk(), &n.to_string())).collect();
    let key = signer().jwk().to_string();
    for (name, text, expect) in [
        ("good", format!("{{\"keys\":[{key}]}}"), true),
        ("unknown members", format!("{{\"keys\":[{key}],\"x\":1}}"), true),
        ("an odd key beside", format!("{{\"keys\":[{key},{{\"kty\":\"AKP\"}}]}}"), true),
        ("no keys", "{\"keys\":[]}".into(), false),
        ("only odd keys", "{\"keys\":[{\"kty\":\"AKP\"}]}".into(), false),
        (
            "only a doubled id",
            format!("{{\"keys\":[{0},{0}]}}", with_id(signer().jwk(), "a")),
            false,
        ),
        ("keys twice", format!("{{\"keys\":[{key}],\"keys\":[{key}]}}"), false),
        ("a list", format!("[{key}]"), false),
        ("HTML", "<html>".into(), false),
        ("empty", String::new(), false),
        ("cut", format!("{{\"keys\":[{key}"), false),
        ("too many", json!({ "keys": many }).to_string(), false),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).is_ok(), expect, "{name}");
    }
}
