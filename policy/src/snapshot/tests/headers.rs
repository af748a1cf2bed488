//! S-15: conditions on headers with no, one or several values.

use super::*;

/// Lines of the header `x-role`; is `values: [admin]` matched by an ALLOW and by a DENY rule, and `notValues: [admin]`?
#[test]
fn s15_header_conditions() {
    // (lines, ALLOW values, DENY values, ALLOW notValues, DENY notValues)
    let rows: &[(&[&str], bool, bool, bool, bool)] = &[
        (&[], false, false, true, true),
        (&["admin"], true, true, false, false),
        (&[" admin "], true, true, false, false),
        (&["user"], false, false, true, true),
        (&["Admin"], false, false, true, true),
        (&[""], false, false, true, true),
        (&["admin", "admin"], true, true, false, false),
        (&["admin", "user"], false, true, false, true),
        (&["user", "admin"], false, true, false, true),
        (&["admin,user"], false, true, false, true),
        (&["user, admin"], false, true, false, true),
        (&["admin, admin"], true, true, false, false),
        (&["admin,"], false, true, false, true),
    ];
    let rule = |action: &str, values: &str| {
        let text = policy(
            "p",
            &format!(
                "{{action: {action}, rules: [{{when: [{{key: 'request.headers[X-Role]', {values}: [admin]}}]}}]}}"
            ),
        );
        snapshot_with(
            &text,
            &PolicyDefaults { authorization: DefaultAuthorization::Allow, ..permissive() },
        )
    };
    let snapshots = [
        rule("ALLOW", "values"),
        rule("DENY", "values"),
        rule("ALLOW", "notValues"),
        rule("DENY", "notValues"),
    ];
    for (lines, allow, deny, allow_not, deny_not) in rows {
        let headers = lines.iter().map(|line| ("x-role".to_owned(), (*line).to_owned())).collect();
        let ask = TestRequest { headers, ..TestRequest::default() };
        let matched: Vec<bool> =
            snapshots.iter().map(|s| ask.verdict(s).contains("shop/p")).collect();
        assert_eq!(matched, [*allow, *deny, *allow_not, *deny_not], "{lines:?}");
    }
}

/// A value that contains a comma can be allowed by naming it whole; a wildcard never reaches over the comma.
#[test]
fn s15_header_conditions_values_with_commas() {
    let allow = |value: &str| {
        snapshot(&policy(
            "p",
            &format!("{{rules: [{{when: [{{key: 'request.headers[x]', values: ['{value}']}}]}}]}}"),
        ))
    };
    for (value, line, expect) in [
        ("a, b", "a, b", true),
        ("a, b", "a, b, c", false),
        ("a*", "a1, a2", true),
        ("a*", "a1, evil", false),
        ("*b", "evil, b", false),
        ("*", "x, y", true),
        ("*", "x,,y", false),
    ] {
        let ask =
            TestRequest { headers: vec![("x".into(), line.into())], ..TestRequest::default() };
        assert_eq!(ask.verdict(&allow(value)).starts_with("allow"), expect, "{value} {line}");
    }
}

#[test]
fn s15_header_conditions_names_are_known() {
    let text = policy(
        "p",
        "{action: DENY, rules: [{when: [{key: 'request.headers[X-Role]', values: [a]}]}]}",
    );
    let snapshot = snapshot(&text);
    assert!(snapshot.header_names().have_another_spelling_of("x_role"));
    assert!(!snapshot.header_names().have_another_spelling_of("x-role"));
}
