//! Sign-ins that are under way.

use super::*;

fn flow() -> SignInFlow {
    SignInFlow {
        state: secret("s".repeat(43).as_str()),
        nonce: secret("n"),
        code_verifier: secret("v"),
        return_target: ReturnTarget::parse("/account?a=b").unwrap(),
        started: NOW,
        step_up: StepUpDemand { acr_values: "urn:mfa".to_owned(), max_age: Some(300) },
    }
}

#[test]
fn flows_are_kept_as_they_were() {
    let plain = SignInFlow { step_up: StepUpDemand::default(), ..flow() };
    for flow in [flow(), plain] {
        assert_eq!(SignInFlow::from_bytes(&flow.to_bytes()), Ok(flow));
    }
    let shown = format!("{:?}", flow());
    assert_eq!(shown, "SignInFlow(started 1800000000, to ReturnTarget(/account))");
    let good = String::from_utf8(flow().to_bytes().to_vec()).unwrap();
    for (name, bytes) in [
        ("nothing", String::new()),
        ("a list", "[]".to_owned()),
        ("an unknown member", good.replace("{\"s\"", "{\"z\":1,\"s\"")),
        ("a member twice", good.replace("{\"s\"", "{\"b\":1,\"s\"")),
        ("to somewhere else", good.replace("/account", "//evil.example")),
        ("too long", good.replace("/account", &format!("/{}", "a".repeat(9_000)))),
    ] {
        assert_eq!(SignInFlow::from_bytes(bytes.as_bytes()), Err(MalformedFlow), "{name}");
    }
    for (now, expect) in [(NOW - 1, true), (NOW, false), (NOW + 299, false), (NOW + 300, true)] {
        assert_eq!(flow().is_over(now), expect, "{now}");
    }
}

/// Each tab has a cookie of its own; the sixth one pushes the first out.
#[test]
fn five_flows_of_a_browser_are_alive() {
    let cookie = |state: &str| FlowCookie::of(&FlowId::of_state(state));
    let mut header = "a=b; __Host-postern-s=1.x".to_owned();
    for state in ["1", "2", "3", "4", "5"] {
        let lines = cookie(state).set("sealed", &cookies(&header));
        assert_eq!(lines.len(), 1, "{state}");
        header = format!("{header}; {}", sent_back(&lines));
    }
    let sixth = cookie("6").set("sealed", &cookies(&header));
    assert_eq!(sixth.len(), 2);
    assert_eq!(sixth[0], cookie("1").clear());
    assert!(sixth[1].ends_with("=sealed; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=300"));
    assert_eq!(cookie("3").set("again", &cookies(&header)).len(), 1, "in its own place");
    assert_eq!(cookie("3").sealed(&cookies(&header)), Ok(Some(&b"sealed"[..])));
    assert_eq!(cookie("7").sealed(&cookies(&header)), Ok(None));
    let twice = format!("{header}; {}", sent_back(&cookie("3").set("x", &cookies(""))));
    assert_eq!(cookie("3").sealed(&cookies(&twice)), Err(NotOurs));
}

/// A flow's cookie under another flow's name is nobody's.
#[test]
fn s41_oauth2_login_state_flows_do_not_stand_in_for_each_other() {
    let keys = keys(1, None);
    let (one, other) = (FlowId::of_state("1"), FlowId::of_state("2"));
    assert_eq!(one.as_bytes().len(), 12);
    let of =
        |id| SealBinding { purpose: Purpose::Flow, instance: FlowId::as_bytes(id), ..binding() };
    let sealed = keys.seal(of(&one), &flow().to_bytes(), &random()).unwrap();
    assert!(keys.open(of(&one), sealed.as_bytes()).is_ok());
    assert_eq!(keys.open(of(&other), sealed.as_bytes()).map(drop), Err(NotOurs));
}
