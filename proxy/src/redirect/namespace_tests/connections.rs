//! Who dials whom and who answers.

use super::pod::{app, apply, check, check_outside, counted, in_a_pod, listen, listeners, proxy};
use super::{ALLOW, DENY};
use crate::redirect::ruleset::PRIVATE_PORTS;

#[test]
fn s46_outbound_connections_reach_the_proxy() {
    in_a_pod(module_path!(), "s46_outbound_connections_reach_the_proxy", || {
        listeners();
        apply(DENY);
        let rows = [
            ("10.9.0.2:80", "outbound 10.9.0.2:80"),
            ("[fd09::2]:80", "outbound [fd09::2]:80"),
            ("192.0.2.7:443", "outbound 192.0.2.7:443"),
            ("[2001:db8::7]:443", "outbound [2001:db8::7]:443"),
            // The authority's port is open to the agent alone, and only where flags say so.
            ("10.9.0.2:15012", "outbound 10.9.0.2:15012"),
            // Its own pod by address: through the proxy too.
            ("10.9.0.1:8080", "outbound 10.9.0.1:8080"),
            ("[fd09::1]:8080", "outbound [fd09::1]:8080"),
            // Long DNS answers.
            ("10.9.0.2:53", "outside"),
            ("[fd09::2]:53", "outside"),
        ];
        check("an app", &app(), &rows);
    });
}

#[test]
fn s46_loopback_stays_loopback() {
    in_a_pod(module_path!(), "s46_loopback_stays_loopback", || {
        listeners();
        listen("127.0.0.9:9", "app");
        apply(DENY);
        let rows = [
            ("127.0.0.1:8080", "app"),
            ("[::1]:8080", "app"),
            ("127.0.0.9:9", "app"),
            ("127.0.0.1:15000", "admin"),
        ];
        check("an app", &app(), &rows);
        check("the proxy", &proxy(), &rows);
    });
}

#[test]
fn s46_proxy_leaves_the_pod_freely_and_by_mark() {
    in_a_pod(module_path!(), "s46_proxy_leaves_the_pod_freely_and_by_mark", || {
        listeners();
        apply(DENY);
        check("the proxy", &proxy(), &[("10.9.0.2:80", "outside"), ("[fd09::2]:80", "outside")]);
    });
}

#[test]
fn s46_proxy_leaves_the_pod_by_uid() {
    in_a_pod(module_path!(), "s46_proxy_leaves_the_pod_by_uid", || {
        listeners();
        apply("--egress allow --exempt uid=0");
        check("uid 0, exempt", &app(), &[("10.9.0.2:80", "outside"), ("[fd09::2]:80", "outside")]);
        apply("--egress allow --exempt uid=64137");
        check("uid 0, not exempt", &app(), &[("10.9.0.2:80", "outbound 10.9.0.2:80")]);
        check("marked, not exempt", &proxy(), &[("10.9.0.2:80", "outbound 10.9.0.2:80")]);
    });
}

#[test]
fn s46_checked_inbound_connections_reach_the_app() {
    in_a_pod(module_path!(), "s46_checked_inbound_connections_reach_the_app", || {
        listeners();
        apply(DENY);
        check("the proxy from 127.0.0.6", &proxy().from("127.0.0.6"), &[("10.9.0.1:8080", "app")]);
        check("the proxy from ::1", &proxy().from("::1"), &[("[fd09::1]:8080", "app")]);
        // The source address alone opens nothing.
        check(
            "an app from 127.0.0.6",
            &app().from("127.0.0.6"),
            &[("10.9.0.1:8080", "outbound 10.9.0.1:8080")],
        );
        check(
            "an app from ::1",
            &app().from("::1"),
            &[("[fd09::1]:8080", "outbound [fd09::1]:8080")],
        );
    });
}

#[test]
fn s46_service_that_picks_itself_is_still_checked() {
    in_a_pod(module_path!(), "s46_service_that_picks_itself_is_still_checked", || {
        listeners();
        apply(DENY);
        let rows = [
            ("10.9.0.1:8080", "inbound 10.9.0.1:8080"),
            ("[fd09::1]:8080", "inbound [fd09::1]:8080"),
            ("10.9.0.1:15020", "inbound 10.9.0.1:15020"),
        ];
        check("the proxy", &proxy(), &rows);
        check("the proxy from 127.0.0.1", &proxy().from("127.0.0.1"), &rows[..1]);
    });
}

#[test]
fn s46_inbound_connections_reach_the_proxy() {
    in_a_pod(module_path!(), "s46_inbound_connections_reach_the_proxy", || {
        listeners();
        apply("--egress allow --skip-inbound-ports 22");
        check_outside(&[
            ("10.9.0.1:8080", "inbound 10.9.0.1:8080"),
            ("[fd09::1]:8080", "inbound [fd09::1]:8080"),
            ("10.9.0.1:9999", "inbound 10.9.0.1:9999"),
            ("10.9.0.1:22", "app"),
            ("[fd09::1]:22", "app"),
        ]);
    });
}

#[test]
fn s43_own_ports_from_outside() {
    in_a_pod(module_path!(), "s43_own_ports_from_outside", || {
        listeners();
        // Even where something listens on all addresses.
        listen("10.9.0.1:15000", "a mistake");
        apply(ALLOW);
        check_outside(&[
            ("10.9.0.1:15020", "metrics"),
            ("[fd09::1]:15021", "readiness"),
            ("10.9.0.1:15000", "refused"),
            ("[fd09::1]:15000", "refused"),
            ("10.9.0.1:15001", "refused"),
            ("[fd09::1]:15001", "refused"),
        ]);
        assert_eq!(counted(PRIVATE_PORTS), 4);
    });
}

#[test]
fn s44_a_direct_dial_shows_the_proxy_its_own_port() {
    in_a_pod(module_path!(), "s44_a_direct_dial_shows_the_proxy_its_own_port", || {
        listeners();
        apply(ALLOW);
        check_outside(&[
            ("10.9.0.1:15006", "inbound 10.9.0.1:15006"),
            ("[fd09::1]:15006", "inbound [fd09::1]:15006"),
        ]);
        let rows = [
            ("127.0.0.1:15006", "inbound 127.0.0.1:15006"),
            ("[::1]:15006", "inbound [::1]:15006"),
            ("127.0.0.1:15001", "outbound 127.0.0.1:15001"),
            ("[::1]:15001", "outbound [::1]:15001"),
            ("10.9.0.1:15006", "outbound 10.9.0.1:15006"),
            ("10.9.0.1:15001", "outbound 10.9.0.1:15001"),
        ];
        check("an app", &app(), &rows);
    });
}

#[test]
fn s46_fails_closed_while_the_proxy_is_down() {
    in_a_pod(module_path!(), "s46_fails_closed_while_the_proxy_is_down", || {
        listen("[::]:8080", "app");
        apply(DENY);
        check(
            "an app",
            &app(),
            &[
                ("10.9.0.2:80", "refused"),
                ("[fd09::2]:80", "refused"),
                ("10.9.0.1:8080", "refused"),
            ],
        );
        check_outside(&[("10.9.0.1:8080", "refused"), ("[fd09::1]:8080", "refused")]);
    });
}

#[test]
fn s46_agent_reaches_its_authority_and_nothing_else() {
    in_a_pod(module_path!(), "s46_agent_reaches_its_authority_and_nothing_else", || {
        listeners();
        // The one uid of these namespaces plays the agent.
        apply(
            "--egress deny --dns 10.9.0.2 --agent-uid 0 --authority 10.9.0.2:15012 --authority [fd09::2]:15012",
        );
        let rows = [
            ("10.9.0.2:15012", "outside"),
            ("[fd09::2]:15012", "outside"),
            ("10.9.0.2:80", "outbound 10.9.0.2:80"),
            ("192.0.2.7:15012", "outbound 192.0.2.7:15012"),
        ];
        check("the agent", &app(), &rows);
        apply("--egress allow --agent-uid 64138 --authority 10.9.0.2:15012");
        check("another uid", &app(), &[("10.9.0.2:15012", "outbound 10.9.0.2:15012")]);
    });
}

#[test]
fn s46_skipped_ports_and_networks_go_directly() {
    in_a_pod(module_path!(), "s46_skipped_ports_and_networks_go_directly", || {
        listeners();
        apply("--egress allow --skip-outbound-ports 25,26-28");
        check(
            "an app",
            &app(),
            &[("10.9.0.2:25", "outside"), ("10.9.0.2:80", "outbound 10.9.0.2:80")],
        );
        apply("--egress allow --skip-cidrs fd09::/64");
        check(
            "an app",
            &app(),
            &[("[fd09::2]:80", "outside"), ("10.9.0.2:80", "outbound 10.9.0.2:80")],
        );
        apply("--egress allow --skip-cidrs 10.9.0.0/24,10.9.0.0/16");
        check(
            "an app",
            &app(),
            &[("[fd09::2]:80", "outbound [fd09::2]:80"), ("10.9.0.2:80", "outside")],
        );
    });
}
