use super::*;

#[test]
fn what_policy_allows_and_nothing_wider() {
    let clauses = || {
        vec![
            allow("subscribe", &["orders.*", "audit.>"]),
            Clause { queues: vec!["workers"], ..allow("subscribe", &["jobs"]) },
        ]
    };
    for (said, refusal) in [
        ("SUB orders.new 1", ""),
        ("SUB orders.* 1", ""),
        ("SUB audit.> 1", ""),
        ("SUB audit.a.b 1", ""),
        ("SUB jobs workers 1", ""),
        ("SUB jobs 1", ""),
        ("SUB orders.> 1", "\"orders.>\""),
        ("SUB > 1", "\">\""),
        ("SUB *.new 1", "\"*.new\""),
        ("SUB audit 1", "\"audit\""),
        ("SUB audit..x 1", "\"audit..x\""),
        ("SUB jobs others 1", "\"jobs\" using queue \"others\""),
        ("SUB orders.new workers 1", "\"orders.new\" using queue \"workers\""),
        ("SUB $SYS.> 1", "\"$SYS.>\""),
        ("SUB $JS.API.> 1", "\"$JS.API.>\""),
    ] {
        let mut connection = Connection::of(clauses());
        let line = format!("{said}\r\n");
        if refusal.is_empty() {
            connection.passes(&line);
            assert_eq!(connection.session.subscriptions(), 1, "{said}");
        } else {
            let answer = format!("Permissions Violation for Subscription to {refusal}");
            connection.refuses(&line, &answer);
            assert_eq!(connection.session.subscriptions(), 0, "{said}");
        }
    }
}

#[test]
fn ones_own_inbox_and_nobody_elses() {
    let mut connection = Connection::of(vec![allow("publish", &["a"])]);
    connection.passes("SUB _INBOX.shop.cart.> 1\r\n");
    for inbox in ["_INBOX.>", "_INBOX.shop.orders.x", "_INBOX.shop.*.x", "_INBOX.shop.cart2.>"] {
        let answer = format!("Permissions Violation for Subscription to \"{inbox}\"");
        connection.refuses(&format!("SUB {inbox} 2\r\n"), &answer);
    }
}

#[test]
fn messages_come_to_what_is_open() {
    let mut connection = Connection::of(vec![allow("subscribe", &["a.>"])]);
    let to = |sid: &str| format!("MSG a.b {sid} 2\r\nhi\r\n");
    let with_headers = "HMSG a.b 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n";
    connection.passes("SUB a.> 1\r\n");
    assert_eq!(connection.delivers(&to("1")), to("1"));
    assert_eq!(connection.delivers(with_headers), with_headers);
    assert_eq!(connection.delivers(&to("2")), "");
    connection.passes("UNSUB 1 4\r\n");
    connection.broker(to("1").repeat(3)).unwrap();
    // The broker may have counted fewer: what is closed is closed on both sides.
    assert_eq!(connection.said(), ("UNSUB 1\r\n".to_owned(), to("1").repeat(2)));
    assert_eq!(connection.session.subscriptions(), 0);
    connection.passes("SUB a.> 1\r\n");
    connection.passes("UNSUB 1\r\n");
    connection.passes("UNSUB 9\r\n");
    connection.passes("SUB a.> 2\r\n");
    assert_eq!(connection.delivers(&to("2")), to("2"));
    assert_eq!(connection.says("UNSUB 2 1\r\n").0, "UNSUB 2\r\n");
    assert_eq!(connection.delivers(&to("1")), "");
}

#[test]
fn an_id_stands_for_one_subscription_at_a_time() {
    let mut connection = Connection::of(vec![allow("subscribe", &["a", "b"])]);
    connection.passes("SUB a 1\r\n");
    assert!(matches!(connection.client("SUB b 1\r\n"), Err(SessionEnd::Malformed(_))));
}

#[test]
fn as_many_as_may_be_open() {
    let mut connection = Connection::of(vec![allow("subscribe", &["a"])]);
    for sid in 0..16 {
        connection.passes(&format!("SUB a {sid}\r\n"));
    }
    assert!(matches!(connection.client("SUB a 16\r\n"), Err(SessionEnd::Limit(_))));
}

#[test]
fn what_policy_takes_back_is_closed_on_both_sides() {
    let mut connection = Connection::of(vec![allow("subscribe", &["a", "b"])]);
    connection.passes("SUB a 1\r\n");
    connection.passes("SUB b 2\r\n");
    connection.change(vec![allow("subscribe", &["a"])]);
    let told = "-ERR 'Permissions Violation for Subscription to \"b\" (sid \"2\")'\r\n";
    assert_eq!(connection.said(), ("UNSUB 2\r\n".to_owned(), told.to_owned()));
    assert_eq!(connection.session.subscriptions(), 1);
    assert_eq!(connection.delivers("MSG b 2 0\r\n\r\nMSG a 1 0\r\n\r\n"), "MSG a 1 0\r\n\r\n");
    connection.change(vec![allow("subscribe", &["a"])]);
    assert_eq!(connection.said(), (String::new(), String::new()));

    // Allowed again, it is opened anew, under another id: what is under way for the old one has no way around.
    connection.change(vec![allow("subscribe", &["a", "b"])]);
    connection.passes("UNSUB 2\r\n");
    connection.passes("SUB b 3\r\n");
    assert_eq!(connection.delivers("MSG b 2 0\r\n\r\nMSG b 3 0\r\n\r\n"), "MSG b 3 0\r\n\r\n");
    assert!(connection.client("SUB b 2\r\n").is_err());
}

#[test]
fn what_is_taken_back_counts_no_more_and_is_forgotten_once_the_broker_has_closed_it() {
    let both = || vec![allow("subscribe", &["a", "b"])];
    let mut connection = Connection::of(both());
    for sid in 0..16 {
        connection.passes(&format!("SUB b {sid}\r\n"));
    }
    connection.passes("PING\r\n");
    let (held, none) = (connection.session.held(), vec![allow("subscribe", &["a"])]);
    connection.change(none);
    connection.change(both());
    connection.said();
    for sid in 16..32 {
        connection.passes(&format!("SUB b {sid}\r\n"));
    }
    assert!(connection.session.held() > held + held / 2);
    // This answers the ping before: what is under way for the old ones comes behind it.
    assert_eq!(connection.delivers("PONG\r\nMSG b 3 0\r\n\r\n"), "PONG\r\n");
    connection.passes("PING\r\n");
    assert!(connection.session.held() > held + held / 2);
    assert_eq!(connection.delivers("PONG\r\nMSG b 3 0\r\n\r\n"), "PONG\r\n");
    assert!(connection.session.held() < held + held / 4);
    connection.passes("UNSUB 16\r\n");
    connection.passes("SUB b 3\r\n");
    assert_eq!(connection.delivers("MSG b 3 0\r\n\r\n"), "MSG b 3 0\r\n\r\n");
    assert!(matches!(connection.client("SUB a 99\r\n"), Err(SessionEnd::Limit(_))));
    let mut connection = Connection::of(both());
    connection.passes("SUB b 1\r\n");
    connection.change(vec![allow("subscribe", &["a"])]);
    connection.said();
    connection.delivers("PONG\r\nPONG\r\n");
    connection.passes("SUB a 2\r\n");
    assert!(connection.client("SUB a 1\r\n").is_err(), "no ping was sent");
}

#[test]
fn what_is_taken_back_breaks_no_message() {
    let mut connection = Connection::of(vec![allow("subscribe", &["b"]), allow("publish", &["a"])]);
    connection.passes("SUB b 2\r\n");
    assert_eq!(connection.says("PUB a 5\r\nhel").0, "PUB a 5\r\nhel");
    assert_eq!(connection.delivers("MSG b 2 5\r\nhel"), "MSG b 2 5\r\nhel");
    connection.change(vec![allow("publish", &["a"])]);
    assert_eq!(connection.said(), (String::new(), String::new()));
    let told = "-ERR 'Permissions Violation for Subscription to \"b\" (sid \"2\")'\r\n";
    assert_eq!(connection.says("lo\r\nPUB a 0\r\n\r\n").0, "lo\r\nUNSUB 2\r\nPUB a 0\r\n\r\n");
    assert_eq!(connection.delivers("lo\r\nPING\r\n"), format!("lo\r\n{told}PING\r\n"));
}

#[test]
fn a_verbose_client_is_not_told_of_what_we_close() {
    let clauses = vec![allow("subscribe", &["b"]), allow("publish", &["a"])];
    let mut connection = Connection::with(&settings(), "CONNECT {}\r\n", clauses);
    connection.client("SUB b 2\r\n").unwrap();
    connection.broker("+OK\r\n+OK\r\n").unwrap();
    connection.change(vec![allow("publish", &["a"])]);
    connection.client("PUB a 0\r\n\r\n").unwrap();
    connection.said();
    let told = "-ERR 'Permissions Violation for Subscription to \"b\" (sid \"2\")'\r\n";
    assert_eq!(connection.delivers("+OK\r\n"), told);
    assert_eq!(connection.delivers("+OK\r\n"), "+OK\r\n");
}

#[test]
fn what_a_consumer_delivers_is_judged_by_its_stream_and_its_subject() {
    let some = |topics: &[&'static str]| {
        vec![Clause { topics: topics.to_vec(), ..allow_streams("subscribe", &["S"]) }]
    };
    for (message, delivered) in [
        ("MSG orders.new 1 $JS.ACK.S.c.1.2.3.4.5 2\r\nhi\r\n", true),
        ("MSG orders.new 1 $JS.ACK._.acc.S.c.1.2.3.4.5.x 2\r\nhi\r\n", true),
        ("HMSG orders.new 1 $JS.ACK.S.c.1.2.3.4.5 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", true),
        ("HMSG _INBOX.shop.cart.d 1 $JS.FC.S.c.x 12 12\r\nNATS/1.0\r\n\r\n\r\n", true),
        ("MSG _INBOX.shop.cart.d 1 2\r\nhi\r\n", true),
        ("MSG orders.secret 1 $JS.ACK.S.c.1.2.3.4.5 2\r\nhi\r\n", false),
        ("MSG orders.new 1 $JS.ACK.T.c.1.2.3.4.5 2\r\nhi\r\n", false),
        ("MSG orders.new 1 $JS.ACK._.acc.T.c.1.2.3.4.5.x 2\r\nhi\r\n", false),
        ("HMSG orders.secret 1 $JS.ACK.S.c.1.2.3.4.5 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", false),
        ("HMSG _INBOX.shop.cart.d 1 $JS.FC.T.c.x 12 12\r\nNATS/1.0\r\n\r\n\r\n", false),
    ] {
        let mut connection = Connection::of(some(&["orders.new"]));
        connection.passes("SUB _INBOX.shop.cart.d 1\r\n");
        let expect = if delivered { message } else { "" };
        assert_eq!(connection.delivers(message), expect, "{message}");
        assert_eq!(connection.asked().iter().any(|asked| asked.starts_with('-')), !delivered);
        connection.change(vec![allow("publish", &["a"])]);
        let still = message.starts_with("MSG _INBOX");
        assert_eq!(connection.delivers(message) == message, still, "{message}");
        connection.change(some(&[">"]));
        let all = message.replace(".T.", ".S.").replace("_INBOX.shop.cart.d", "orders.x");
        assert_eq!(connection.delivers(&all), all);
    }
}

#[test]
fn a_subscription_with_wildcards_does_not_find_what_the_server_keeps() {
    for pattern in [">", "*.>", "*.API.>", "*.*.*.S"] {
        for (subject, delivered) in [
            ("$KV.API.a.S", true),
            ("$JS.EVENT.ADVISORY.S", true),
            ("$JS.API.STREAM.S", false),
            ("$JS.ACK.S.c.1.2.3.4.5", false),
            ("$SYS.REQ.SERVER.S", false),
            ("$MQTT.API.msgs.S", false),
        ] {
            let message = format!("MSG {subject} 1 _INBOX.shop.orders.r 2\r\nhi\r\n");
            let mut connection = Connection::of(vec![allow("subscribe", &[">"])]);
            connection.passes(&format!("SUB {pattern} 1\r\n"));
            let expect = if delivered { &message } else { "" };
            assert_eq!(connection.delivers(&message), expect, "{pattern} {subject}");
            let admin = vec![allow("subscribe", &[">"]), allow("admin", &[">"])];
            connection.change(admin);
            assert_eq!(connection.delivers(&message), message, "{pattern} {subject}");
        }
    }
}
