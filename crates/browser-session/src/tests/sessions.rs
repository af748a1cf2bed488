//! Sessions: begun, kept, seen, refreshed, over.

use super::*;

fn session() -> Session {
    Session::begin(user(), NOW, 28_800, &random()).unwrap()
}

/// A sign-in never goes on with an id that somebody else may know: it has no say in it.
#[test]
fn ghsa_f24x_5g9q_753f_a_sign_in_makes_a_new_session() {
    let (one, other) = (session(), session());
    assert!(one.id() != other.id() && one.user == other.user);
    let kept = Session::from_bytes(&one.to_bytes()).unwrap();
    assert_eq!(kept.id(), one.id());
    let again = Session::begin(kept.user, NOW, 28_800, &random()).unwrap();
    assert!(again.id() != one.id());
}

/// An address with several `@` is kept and given whole.
#[test]
fn ghsa_c5c4_8r6x_56w3_claims_are_kept_whole() {
    let mut signed_in = user();
    let email = "mallory@evil.example@shop.example";
    signed_in.claims.insert("email".to_owned(), email.into());
    let session = Session::begin(signed_in, NOW, 60, &random()).unwrap();
    let kept = Session::from_bytes(&session.to_bytes()).unwrap();
    assert_eq!(kept.user.claims["email"], email);
}

#[test]
fn sessions_are_kept_as_they_were() {
    let least = SignedIn {
        provider_session: None,
        claims: serde_json::Map::new(),
        id_token: None,
        refresh_token: None,
        access_expires: None,
        auth_time: None,
        acr: None,
        ..user()
    };
    for user in [user(), least] {
        let session = Session::begin(user, NOW, 60, &random()).unwrap();
        assert_eq!(Session::from_bytes(&session.to_bytes()), Ok(session));
    }
    let shown = format!("{:?} {:?}", session(), user());
    assert!(!shown.contains("ann") && !shown.contains("r1"), "{shown}");
    let session = session();
    let good = String::from_utf8(session.to_bytes().to_vec()).unwrap();
    for (name, bytes) in [
        ("nothing", String::new()),
        ("no end", good.replace(",\"e\":1800028800", "")),
        ("an unknown member", good.replace("{\"i\"", "{\"z\":1,\"i\"")),
        ("a short id", good.replace(&session.id().to_text(), "AAAA")),
        ("an end as text", good.replace("\"e\":1800028800", "\"e\":\"1800028800\"")),
        ("too long", good + &" ".repeat(70_000)),
    ] {
        assert_eq!(Session::from_bytes(bytes.as_bytes()), Err(MalformedSession), "{name}");
    }
}

#[test]
fn s41_oauth2_login_state_sessions_end() {
    let (idle, ends) = (3_600, NOW + 28_800);
    for (name, last_seen, now, expect) in [
        ("new", NOW, NOW, Ok(())),
        ("idle, almost", NOW, NOW + idle - 1, Ok(())),
        ("idle", NOW, NOW + idle, Err(SessionOver::Idle)),
        ("busy, almost over", ends - 5, ends - 1, Ok(())),
        ("busy, over", ends - 5, ends, Err(SessionOver::Ended)),
        ("another replica is ahead", NOW, NOW - 30, Ok(())),
        ("another replica is far ahead", NOW, NOW - 31, Err(SessionOver::Future)),
    ] {
        let mut session = session();
        session.last_seen = last_seen;
        assert_eq!(session.check(now, 28_800, idle), expect, "{name}");
    }
    for (name, ttl, expect) in [
        ("the ttl has become shorter, almost over", 101, Ok(())),
        ("the ttl has become shorter", 100, Err(SessionOver::Ended)),
        ("the ttl has become longer", 90_000, Ok(())),
    ] {
        assert_eq!(session().check(NOW + 100, ttl, idle), expect, "{name}");
    }
    let mut kept = session();
    kept.last_seen = ends;
    assert_eq!(kept.check(ends, 90_000, idle), Err(SessionOver::Ended), "nothing lengthens it");
    let mut busy = session();
    for (now, expect) in
        [(0, false), (359, false), (360, true), (361, false), (719, false), (720, true)]
    {
        assert_eq!(busy.see(NOW + now, idle), expect, "{now}");
    }
    assert_eq!((busy.last_seen, busy.left(NOW + 720)), (NOW + 720, 28_080));
}

#[test]
fn tokens_are_refreshed_at_four_fifths_of_their_life() {
    let mut session = session();
    for (now, due) in [(0, false), (799, false), (800, true), (5_000, true)] {
        assert_eq!(session.is_due_for_refresh(NOW + now), due, "{now}");
    }
    assert!(!session.is_access_over(NOW + 999) && session.is_access_over(NOW + 1_000));
    session.refresh(None, None, Some(NOW + 1_800), NOW + 800);
    assert_eq!(session.user.refresh_token, Some(secret("r1")), "the old one stays");
    assert_eq!(session.user.id_token, Some(secret("a.b.c")));
    assert!(!session.is_due_for_refresh(NOW + 1_599) && session.is_due_for_refresh(NOW + 1_600));
    session.refresh(Some(secret("r2")), Some(secret("d.e.f")), None, NOW + 1_600);
    assert_eq!(session.user.refresh_token, Some(secret("r2")), "the new one replaces it");
    assert!(!session.is_due_for_refresh(u64::MAX), "nobody knows when");
    let endless = SignedIn { refresh_token: None, ..user() };
    let session = Session::begin(endless, NOW, 60, &random()).unwrap();
    assert!(!session.is_due_for_refresh(u64::MAX), "nothing to refresh by");
}
