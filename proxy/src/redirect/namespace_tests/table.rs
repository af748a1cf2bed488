//! The table itself: loaded twice, taken away, compared.

use std::io::Write as _;
use std::process::ExitCode;

use super::pod::{app, apply, check, in_a_pod, line, listeners, verified};
use super::{ALLOW, DENY};
use crate::redirect::interception::tests::flags;
use crate::redirect::nft;
use crate::redirect::ruleset::removal;
use crate::redirect::{RedirectAction, RedirectArgs, run};

#[test]
fn apply_twice_is_apply_once_and_breaks_nothing() {
    in_a_pod(module_path!(), "apply_twice_is_apply_once_and_breaks_nothing", || {
        listeners();
        apply(DENY);
        let mut connection = app().open("10.9.0.2:80").unwrap();
        assert_eq!(line(&mut connection).unwrap(), "outbound 10.9.0.2:80");
        apply(DENY);
        assert_eq!(verified(DENY), [""; 0]);
        connection.write_all(b"app still there\n").unwrap();
        assert_eq!(line(&mut connection).unwrap(), "app", "an open connection survives");
        check("an app", &app(), &[("10.9.0.2:80", "outbound 10.9.0.2:80")]);
    });
}

#[test]
fn remove_takes_the_rules_away_and_may_be_repeated() {
    in_a_pod(module_path!(), "remove_takes_the_rules_away_and_may_be_repeated", || {
        nft::load(&removal()).unwrap();
        apply(DENY);
        nft::load(&removal()).unwrap();
        nft::load(&removal()).unwrap();
        assert!(nft::list_table().unwrap().is_none());
        check("an app", &app(), &[("10.9.0.2:80", "outside")]);
    });
}

#[test]
fn verify_names_what_differs() {
    in_a_pod(module_path!(), "verify_names_what_differs", || {
        let check = |after: &str, says: &str| {
            apply(DENY);
            assert_eq!(verified(DENY), [""; 0], "fresh");
            nft::load(after).unwrap();
            let found = verified(DENY).join("\n");
            assert!(found.contains(says), "{after}: {found:?}");
        };
        check("delete table inet postern", "the table inet postern is not loaded");
        check(
            "flush chain inet postern outbound",
            "chain outbound: missing or made with other flags: ip6 daddr ::1 return",
        );
        check("flush table inet postern", "chain inbound_guard: missing");
        check(
            "insert rule inet postern outbound accept",
            "chain outbound: a rule that should not be there: [{\"accept\":null}]",
        );
        check(
            "add rule inet postern proxy accept comment \"mine\"",
            "should not be there: \"mine\"",
        );
        check("add chain inet postern extra", "chain extra is not ours");
        check(
            "flush chain inet postern inbound; delete chain inet postern inbound",
            "chain inbound is missing",
        );
        check(
            "flush chain inet postern inbound; delete chain inet postern inbound; \
             add chain inet postern inbound { type nat hook prerouting priority 7; }",
            "chain inbound does not hang where it should",
        );
    });
}

#[test]
fn verify_sees_other_flags_and_edits() {
    in_a_pod(module_path!(), "verify_sees_other_flags_and_edits", || {
        apply("--egress allow --skip-outbound-ports 25");
        let found = verified("--egress allow --skip-outbound-ports 26").join("\n");
        assert!(
            found.contains("missing or made with other flags: tcp dport { 26 } return"),
            "{found}"
        );
        assert_eq!(verified("--egress allow --skip-outbound-ports 25"), [""; 0]);

        apply(ALLOW);
        let listing = nft::list_table().unwrap().unwrap();
        let mut rules = listing["nftables"].as_array().unwrap().iter().map(|item| &item["rule"]);
        let last = rules.rfind(|rule| rule["chain"] == "outbound").unwrap();
        let (handle, comment) = (&last["handle"], &last["comment"]);
        nft::load(&format!(
            "replace rule inet postern outbound handle {handle} accept comment {comment}"
        ))
        .unwrap();
        let found = verified(ALLOW).join("\n");
        assert!(found.contains("edited since: meta l4proto tcp redirect to :15001"), "{found}");
    });
}

#[test]
fn exit_codes_of_the_command() {
    in_a_pod(module_path!(), "exit_codes_of_the_command", || {
        let run = |action| run(RedirectArgs { action }).unwrap();
        assert_eq!(
            run(RedirectAction::Verify(flags("--dns 10.9.0.2"))),
            ExitCode::from(1),
            "nothing loaded"
        );
        assert_eq!(run(RedirectAction::Apply(flags("--dns 10.9.0.2"))), ExitCode::SUCCESS);
        assert_eq!(run(RedirectAction::Verify(flags("--dns 10.9.0.2"))), ExitCode::SUCCESS);
        assert_eq!(
            run(RedirectAction::Verify(flags("--dns 10.9.0.3"))),
            ExitCode::from(1),
            "other flags"
        );
        assert_eq!(run(RedirectAction::Apply(flags("--inbound-port 15020"))), ExitCode::from(2));
        assert_eq!(run(RedirectAction::Remove), ExitCode::SUCCESS);
    });
}
