#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::super::interception::tests::settings;
use crate::redirect::ruleset::*;

/// The rules of one chain as text, without comments.
fn bodies(flags: &str, chain: &str) -> String {
    let settings = settings(flags).unwrap();
    let chain = chains(&settings).into_iter().find(|c| c.name == chain).unwrap();
    chain.rules.iter().map(|rule| rule.body() + "\n").collect()
}

fn check(flags: &str, chain: &str, expect: &[&str]) {
    let expect: String = expect.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(bodies(flags, chain), expect, "{flags}: chain {chain}");
}

#[test]
fn inbound_goes_to_the_proxy_except_its_own_ports() {
    check(
        "--egress allow",
        "inbound",
        &[
            "iifname \"lo\" return",
            "fib daddr type != local return",
            "tcp dport { 15000, 15001 } return",
            "tcp dport { 15020, 15021 } return",
            "meta l4proto tcp redirect to :15006",
        ],
    );
    check(
        "--egress allow --inbound-port 4143 --outbound-port 4140 --skip-inbound-ports 22,9000-9010",
        "inbound",
        &[
            "iifname \"lo\" return",
            "fib daddr type != local return",
            "tcp dport { 15000, 4140 } return",
            "tcp dport { 15020, 15021 } return",
            "tcp dport { 22, 9000-9010 } return",
            "meta l4proto tcp redirect to :4143",
        ],
    );
}

#[test]
fn outbound_goes_to_the_proxy_except_loopback() {
    check(
        "--egress allow",
        "outbound",
        &[
            "meta skuid 64137 goto proxy",
            "ip daddr 127.0.0.0/8 return",
            "ip6 daddr ::1 return",
            "meta l4proto tcp redirect to :15001",
        ],
    );
}

#[test]
fn outbound_with_every_exception() {
    check(
        "--exempt uid=7 --exempt mark=42 --agent-uid 64138 --authority 10.0.0.2:15012 --authority [fd00::2]:15012 \
         --skip-outbound-ports 25 --skip-cidrs 10.1.0.0/16,fd00:1::/64 --dns 10.0.0.53 --dns fd00::53",
        "outbound",
        &[
            "meta skuid 7 goto proxy",
            "meta mark 42 goto proxy",
            "ip daddr 127.0.0.0/8 return",
            "ip6 daddr ::1 return",
            "meta skuid 64138 ip daddr 10.0.0.2 tcp dport 15012 return",
            "meta skuid 64138 ip6 daddr fd00::2 tcp dport 15012 return",
            "ip daddr 10.0.0.53 tcp dport 53 return",
            "ip6 daddr fd00::53 tcp dport 53 return",
            "ip daddr { 10.1.0.0/16 } return",
            "ip6 daddr { fd00:1::/64 } return",
            "tcp dport { 25 } return",
            "meta l4proto tcp redirect to :15001",
        ],
    );
}

#[test]
fn a_service_that_picks_itself_is_still_checked() {
    check(
        "--egress allow",
        "proxy",
        &[
            "ip saddr 127.0.0.6 return",
            "ip6 saddr ::1 return",
            "ip daddr 127.0.0.0/8 return",
            "ip6 daddr ::1 return",
            "fib daddr type local meta l4proto tcp redirect to :15006",
        ],
    );
}

#[test]
fn outbound_guard_by_egress() {
    check(
        "--egress allow --allow-udp 443",
        "outbound_guard",
        &[
            "oifname \"lo\" accept",
            "meta skuid 64137 accept",
            "meta l4proto tcp ct state { invalid, untracked } counter name out_of_state drop",
        ],
    );
    check(
        "--egress deny --dns 10.0.0.53 --dns fd00::53 --allow-udp 123,443 --skip-cidrs 10.1.0.0/16",
        "outbound_guard",
        &[
            "oifname \"lo\" accept",
            "meta skuid 64137 accept",
            "ip daddr { 10.1.0.0/16 } accept",
            "meta l4proto tcp ct state { invalid, untracked } counter name out_of_state drop",
            "meta l4proto tcp accept",
            "meta l4proto { 1, 58 } accept",
            "ip daddr 10.0.0.53 udp dport 53 accept",
            "ip6 daddr fd00::53 udp dport 53 accept",
            "udp dport { 123, 443 } accept",
            "ct direction reply udp sport { 123, 443 } accept",
            "counter name egress_denied reject with icmpx type admin-prohibited",
        ],
    );
}

#[test]
fn inbound_guard_keeps_private_ports_private() {
    check(
        "--egress allow --skip-inbound-ports 22",
        "inbound_guard",
        &[
            "iifname \"lo\" accept",
            "tcp dport { 15000, 15001 } counter name private_ports reject with tcp reset",
            "tcp dport { 22 } accept",
            "meta l4proto tcp ct state { invalid, untracked } counter name out_of_state drop",
        ],
    );
}

#[test]
fn the_whole_text_is_one_transaction() {
    let text = ruleset(&settings("--exempt mark=42 --egress allow").unwrap());
    let expect = r#"add table inet postern
delete table inet postern
table inet postern {
	counter egress_denied {
	}

	counter out_of_state {
	}

	counter private_ports {
	}

	chain inbound {
		type nat hook prerouting priority -105; policy accept;
		iifname "lo" return comment "the pod's own traffic is judged as outbound [#]"
		fib daddr type != local return comment "traffic this machine only routes is not ours [#]"
		tcp dport { 15000, 15001 } return comment "refused by inbound_guard [#]"
		tcp dport { 15020, 15021 } return comment "metrics and readiness are served directly [#]"
		meta l4proto tcp redirect to :15006 comment "everything else is for the proxy [#]"
	}

	chain outbound {
		type nat hook output priority -105; policy accept;
		meta mark 42 goto proxy comment "the proxy's own connections [#]"
		ip daddr 127.0.0.0/8 return comment "loopback stays loopback [#]"
		ip6 daddr ::1 return comment "loopback stays loopback [#]"
		meta l4proto tcp redirect to :15001 comment "everything else is for the proxy [#]"
	}

	chain proxy {
		ip saddr 127.0.0.6 return comment "inbound, checked, on its way to the app [#]"
		ip6 saddr ::1 return comment "inbound, checked, on its way to the app [#]"
		ip daddr 127.0.0.0/8 return comment "loopback stays loopback [#]"
		ip6 daddr ::1 return comment "loopback stays loopback [#]"
		fib daddr type local meta l4proto tcp redirect to :15006 comment "a service that picks itself is still checked [#]"
	}

	chain inbound_guard {
		type filter hook input priority -5; policy accept;
		iifname "lo" accept comment "loopback is not guarded [#]"
		tcp dport { 15000, 15001 } counter name private_ports reject with tcp reset comment "for the pod alone [#]"
		meta l4proto tcp ct state { invalid, untracked } counter name out_of_state drop comment "belongs to no connection [#]"
	}

	chain outbound_guard {
		type filter hook output priority -5; policy accept;
		oifname "lo" accept comment "loopback is not guarded [#]"
		meta mark 42 accept comment "the proxy's own traffic [#]"
		meta l4proto tcp ct state { invalid, untracked } counter name out_of_state drop comment "belongs to no connection [#]"
	}

}
"#;
    assert_eq!(without_fingerprints(&text), expect);
}

/// Comments end in ` [xxxxxxxx]"`; the digits are of no interest to a reader of the test.
fn without_fingerprints(text: &str) -> String {
    let line = |line: &str| match line.strip_suffix("]\"") {
        Some(rest) => format!("{}[#]\"\n", &rest[..rest.len() - 9]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_comment_tells_two_settings_apart() {
    let comments = |flags: &str| -> Vec<String> {
        let settings = settings(flags).unwrap();
        chains(&settings).iter().flat_map(|chain| chain.rules.iter().map(Rule::comment)).collect()
    };
    let one = comments("--egress allow --skip-outbound-ports 25");
    let other = comments("--egress allow --skip-outbound-ports 26");
    let differing = one.iter().zip(&other).filter(|(a, b)| a != b).count();
    assert_eq!(
        differing, 2,
        "the rule that redirects not, and the one that lets it pass the guard"
    );
    assert!(one.iter().all(|comment| comment.len() <= 128), "nft takes no longer comment");
}
