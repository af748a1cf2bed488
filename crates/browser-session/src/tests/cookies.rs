//! Cookies of sessions, as they are set, sent back, mixed up and cleared; and the header they come in.

use super::*;

fn names(suffix: &str, allowed: usize) -> SessionCookies {
    SessionCookies::new(suffix, allowed).unwrap()
}

fn text(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}

#[test]
fn a_session_is_cut_into_cookies_and_put_together() {
    let none = RequestCookies::default();
    for (length, count) in [(1, 1), (3_800, 1), (3_801, 2), (7_600, 2), (19_000, 5)] {
        let lines = names("", 5).set(&text(length), 60, &none).unwrap();
        assert_eq!(lines.len(), count, "{length}");
        assert!(lines.iter().all(|line| line.len() < 4_000), "longer than browsers take");
        let header = sent_back(&lines);
        let sealed = names("", 5).sealed(&cookies(&header)).unwrap().unwrap();
        assert_eq!(*sealed, text(length).into_bytes(), "{length}");
    }
    let lines = names("a", 5).set("x", 60, &none).unwrap();
    assert_eq!(
        lines,
        ["__Host-postern-s-a=1.x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"]
    );
}

#[test]
fn a_session_that_does_not_fit_says_what_to_shrink() {
    let none = RequestCookies::default();
    for (length, allowed, needed) in [(19_001, 5, 6), (3_801, 1, 2), (90_000, 5, 24)] {
        let seen = names("", allowed).set(&text(length), 60, &none).unwrap_err();
        assert_eq!(seen, TooManyCookies { needed, allowed });
        assert!(seen.to_string().contains("session.claims"));
    }
}

/// A long session becomes a short one: what is left of the long one is cleared, and meanwhile is not read.
#[test]
fn pieces_of_a_longer_session_are_cleared_and_not_read() {
    let none = RequestCookies::default();
    let long = names("", 5).set(&text(12_000), 60, &none).unwrap();
    let header = sent_back(&long);
    let short = names("", 5).set("x", 60, &cookies(&header)).unwrap();
    let cleared: Vec<_> = short.iter().filter(|line| line.ends_with("Max-Age=0")).collect();
    assert_eq!((short.len(), cleared.len()), (4, 3), "{short:?}");
    let mixed = format!("{}; {}", sent_back(&short), sent_back(&long[1..]));
    assert_eq!(&**names("", 5).sealed(&cookies(&mixed)).unwrap().unwrap(), b"x");
}

/// `__Host-` cookies are cleared by the attributes they were set with, or they stay.
#[test]
fn cve_2025_55162_clearing_has_the_attributes_of_setting() {
    let set = names("", 5).set(&text(8_000), 60, &RequestCookies::default()).unwrap();
    let header = sent_back(&set);
    let clear = names("", 5).clear(&cookies(&header));
    assert_eq!(set.len(), clear.len());
    for (set, clear) in set.iter().zip(&clear) {
        let (name, attributes) = set.split_once('=').unwrap();
        let (_, attributes) = attributes.split_once(';').unwrap();
        let expect = format!("{name}=;{}", attributes.replace("Max-Age=60", "Max-Age=0"));
        assert_eq!(*clear, expect);
    }
    assert_eq!(names("", 5).clear(&cookies("a=b")), [""; 0]);
}

#[test]
fn s41_oauth2_login_state_cookies_truncated_and_mixed_up() {
    let keys = keys(1, None);
    let sealed = keys.seal(binding(), &[5; 9_000], &random()).unwrap();
    let lines = names("", 5).set(&sealed, 60, &RequestCookies::default()).unwrap();
    let all: Vec<_> = lines.iter().map(|line| line.split(';').next().unwrap()).collect();
    let value = |at: usize| all[at].split_once('=').unwrap().1;
    let [name, first, second, third] =
        ["__Host-postern-s=", "__Host-postern-s.1=", "__Host-postern-s.2=", "__Host-postern-s.3="];
    assert_eq!(all.len(), 4);
    let (one, two, three) = (value(1), value(2), value(3));
    let head = value(0);
    let of = |parts: &[(&str, &str)]| {
        parts.iter().map(|(name, value)| format!("{name}{value}")).collect::<Vec<_>>().join("; ")
    };
    let whole = of(&[(name, head), (first, one), (second, two), (third, three)]);
    let shorter = head.replacen('4', "3", 1);
    let short = &three[..three.len() - 1];
    for (what, header, expect) in [
        ("whole", whole.clone(), true),
        (
            "in another order",
            of(&[(third, three), (first, one), (name, head), (second, two)]),
            true,
        ),
        ("the last cut", of(&[(name, head), (first, one), (second, two), (third, short)]), false),
        ("the last missing", of(&[(name, head), (first, one), (second, two)]), false),
        ("one fewer, it says", of(&[(name, &shorter), (first, one), (second, two)]), false),
        ("two exchanged", of(&[(name, head), (first, two), (second, one), (third, three)]), false),
        ("one twice", format!("{whole}; {first}{one}"), false),
        ("the first missing", of(&[(first, one), (second, two), (third, three)]), false),
        ("the first twice", format!("{whole}; {name}{head}"), false),
        ("no count", whole.replace("4.", ""), false),
        ("none of them", whole.replace("=4.", "=0."), false),
        ("too many", whole.replace("=4.", "=6."), false),
        ("a count that is none", whole.replace("=4.", "=x."), false),
        ("empty", name.to_owned(), false),
        ("no value", name.trim_end_matches('=').to_owned(), false),
    ] {
        let seen = names("", 5).sealed(&cookies(&header)).map(|sealed| sealed.unwrap());
        let seen = seen.and_then(|sealed| keys.open(binding(), &sealed));
        assert_eq!(seen.is_ok(), expect, "{what}");
    }
    assert_eq!(names("", 5).sealed(&cookies("a=b")), Ok(None));
    assert_eq!(names("b", 5).sealed(&cookies(&whole)), Ok(None), "another policy's");
}

#[test]
fn suffixes_of_names() {
    for (suffix, expect) in [
        ("", true),
        ("a", true),
        ("staff-2", true),
        ("-a", false),
        ("a-", false),
        ("A", false),
        ("a.1", false),
        ("a=b", false),
        ("ä", false),
        (&"a".repeat(33), false),
    ] {
        assert_eq!(SessionCookies::new(suffix, 5).is_ok(), expect, "{suffix}");
    }
}

/// What the app is given: ours are gone, the others stand there byte for byte.
#[test]
fn our_cookies_are_taken_out_and_no_others_are_touched() {
    for (lines, expect) in [
        (&["a=b; c=d"][..], &["a=b; c=d"][..]),
        (&[" a=b ;c;; =x ;d=\"e f\""], &[" a=b ;c;; =x ;d=\"e f\""]),
        (&["__Host-postern-s=1.x"], &[]),
        (&["a=b; __Host-postern-s=1.x; c=d"], &["a=b; c=d"]),
        (&["__Host-postern-s=1.x; a=b"], &["a=b"]),
        (&["a=b;__Host-postern-s=1.x"], &["a=b"]),
        (&["a=b", "__Host-postern-f-x=y", "c=d"], &["a=b", "c=d"]),
        (&["a=\"x; __Host-postern-s=1.x; b=y\""], &["a=\"x; b=y\""]),
        (&["a=1; __host-POSTERN-s=1.x; b=2"], &["a=1; b=2"]),
        (&["  __Host-postern-s = 1.x ; a=b"], &["a=b"]),
        (&["__Host-postern-anything; a=b"], &["a=b"]),
        (&["__Host-poster=1; x__Host-postern-s=2"], &["__Host-poster=1; x__Host-postern-s=2"]),
        (&["a=__Host-postern-s=1"], &["a=__Host-postern-s=1"]),
        (&[""], &[""]),
    ] {
        let read = RequestCookies::of(lines.iter().map(|line| line.as_bytes()));
        let others: Vec<_> =
            read.others().iter().map(|line| std::str::from_utf8(line).unwrap()).collect();
        assert_eq!(others, expect, "{lines:?}");
        assert_eq!(read.has_ours(), others != lines, "{lines:?}");
    }
    let read = cookies(" __Host-postern-s = 1.x ;__Host-postern-f-q=z");
    assert_eq!(read.value("__Host-postern-s"), Some(Some(&b"1.x"[..])));
    assert_eq!(read.value("__Host-postern-f-q"), Some(Some(&b"z"[..])));
    assert_eq!(read.value("__Host-postern-t"), None);
    let twice = cookies("__Host-postern-s=1.x; __Host-postern-s=1.x");
    assert_eq!(twice.value("__Host-postern-s"), Some(None));
}

/// However many there are, the app gets none of ours.
#[test]
fn a_flood_of_cookies_is_taken_out_whole() {
    let flood = "__Host-postern-s=x; ".repeat(5_000) + "a=b";
    let read = cookies(&flood);
    assert_eq!((read.our_names().count(), read.others()[0].as_ref()), (64, &b"a=b"[..]));
    let bytes = RequestCookies::of([&b"__Host-postern-\xff=1; a=\xff"[..]]);
    assert_eq!(bytes.others()[0].as_ref(), b"a=\xff");
}
