use super::*;

#[test]
fn a_subject_that_policy_allows_and_no_other() {
    for (subject, allowed) in [
        ("orders.new", true),
        ("orders.new.eu", true),
        ("orders", false),
        ("payments.new", false),
        ("orders.*", false),
        ("orders.>", false),
        ("orders..new", false),
        ("orders.", false),
        ("$SYS.REQ.SERVER.PING", false),
        ("$MQTT.JSA.x", false),
    ] {
        let mut connection = Connection::of(vec![allow("publish", &["orders.>"])]);
        if allowed {
            connection.passes(&message(subject, "hello"));
        } else {
            connection.refuses(&message(subject, "hello"), &no_publish(subject));
        }
        connection.passes(&message("orders.after", ""));
    }
}

#[test]
fn everything_is_no_permission_for_what_the_server_keeps() {
    for subject in ["$SYS.REQ.SERVER.PING", "$MQTT.JSA.x", "$JS.API.STREAM.DELETE.S", "$JS.ACK.x"] {
        let mut connection = Connection::of(vec![allow("publish", &[">"])]);
        connection.refuses(&message(subject, ""), &no_publish(subject));
    }
    let mut connection = Connection::of(vec![allow("admin", &["$SYS.>"])]);
    connection.passes(&message("$SYS.REQ.SERVER.PING", ""));
    assert_eq!(connection.asked(), ["+admin $SYS.REQ.SERVER.PING"]);
}

#[test]
fn a_refused_payload_is_swallowed_whatever_it_says() {
    let mut connection = Connection::of(vec![allow("publish", &["orders.>"])]);
    let hidden = message("orders.new", "inner");
    connection.refuses(&message("payments.new", &hidden), &no_publish("payments.new"));
    let block = with_headers("payments.new", "A: b\r\n", &hidden);
    connection.refuses(&block, &no_publish("payments.new"));
    assert_eq!(connection.asked().len(), 2);
}

#[test]
fn quotes_in_a_subject_stay_within_theirs() {
    let mut connection = Connection::of(vec![]);
    connection.refuses(&message("a\"b\\c", ""), &no_publish("a\\\"b\\\\c"));
}

#[test]
fn answers_go_to_ones_own_inbox_or_where_one_may_publish() {
    let rows = [
        ("_INBOX.shop.cart.x", true),
        ("orders.answers", true),
        ("_INBOX.shop.orders.x", false),
        ("_INBOX.shop.cart.*", false),
        ("_INBOX.shop.cart", false),
        ("_INBOX.x", false),
        ("payments.new", false),
        ("orders.>", false),
        ("$JS.API.STREAM.DELETE.S", false),
        ("$JS.ACK.S.C.1.2.3.4.5", false),
        ("$SYS.REQ.x", false),
    ];
    for (reply, allowed) in rows {
        let mut connection = Connection::of(vec![allow("publish", &["orders.>"])]);
        let said = message(&format!("orders.new {reply}"), "x");
        if allowed {
            connection.passes(&said);
        } else {
            let answer = format!("Permissions Violation for Publish with Reply of \"{reply}\"");
            connection.refuses(&said, &answer);
        }
    }
    let mut nobody = Connection::of(vec![allow("publish", &["orders.>"])]);
    nobody.policy.nobody = true;
    assert!(nobody.says(message("orders.new _INBOX.shop.cart.x", "")).0.is_empty());
    let mut stranger = Connection::of(vec![allow("publish", &["orders.>"])]);
    stranger.policy.stranger = true;
    assert!(stranger.says(message("orders.new _INBOX.shop.cart.x", "")).0.is_empty());
}

#[test]
fn an_answer_to_what_was_delivered_once_within_two_minutes() {
    let served = || {
        let answers = Clause { reply: true, ..allow("publish", &[]) };
        let mut connection = Connection::of(vec![answers, allow("subscribe", &["stock.>"])]);
        connection.passes("SUB stock.> 1\r\n");
        connection.delivers("MSG stock.get 1 _INBOX.shop.orders.r1 2\r\nhi\r\n");
        connection
    };
    let answer = message("_INBOX.shop.orders.r1", "5");
    let refusal = no_publish("_INBOX.shop.orders.r1");

    let mut connection = served();
    connection.passes(&answer);
    connection.refuses(&answer, &refusal);

    let mut connection = served();
    connection
        .refuses(&message("_INBOX.shop.orders.r2", "5"), &no_publish("_INBOX.shop.orders.r2"));
    connection.now = Duration::from_secs(121);
    connection.refuses(&answer, &refusal);

    let mut connection = served();
    connection.change(vec![allow("subscribe", &["stock.>"])]);
    connection.refuses(&answer, &refusal);
}

#[test]
fn what_was_delivered_does_not_open_what_the_server_keeps() {
    let answers = Clause { reply: true, ..allow("publish", &[]) };
    let mut connection = Connection::of(vec![answers, allow("subscribe", &["stock.>"])]);
    connection.passes("SUB stock.> 1\r\n");
    for subject in ["$JS.API.STREAM.DELETE.S", "$SYS.x", "$JS.ACK.S.C.1.2.3.4.5"] {
        connection.delivers(&format!("MSG stock.get 1 {subject} 0\r\n\r\n"));
        connection.refuses(&message(subject, ""), &no_publish(subject));
    }
}

#[test]
fn a_question_is_passed_on_to_whoever_answers_it() {
    let answers = Clause { reply: true, ..allow("publish", &["workers.>"]) };
    let mut connection = Connection::of(vec![answers, allow("subscribe", &["stock.>"])]);
    connection.passes("SUB stock.> 1\r\n");
    connection.delivers("MSG stock.get 1 _INBOX.shop.orders.r1 0\r\n\r\n");
    connection.passes(&message("workers.a _INBOX.shop.orders.r1", "x"));
    let answer = "Permissions Violation for Publish with Reply of \"_INBOX.shop.orders.r1\"";
    connection.refuses(&message("workers.a _INBOX.shop.orders.r1", "x"), answer);
}

#[test]
fn the_principal_is_stamped_and_nobody_elses_word_for_it_counts() {
    let stamping = SessionSettings { stamp_source: true, ..settings() };
    let mut connection = Connection::with(&stamping, QUIET, vec![allow("publish", &[">"])]);
    let stamp = format!("Postern-Source: {CART}\r\n");
    let sent = |lines: &str| with_headers("orders.new", lines, "hello");
    assert_eq!(connection.says(message("orders.new", "hello")).0, sent(&stamp));
    let claim = sent("A: b\r\npostern-source: other\r\n");
    assert_eq!(connection.says(claim).0, sent(&format!("A: b\r\n{stamp}")));
    let with_reply = connection.says(message("orders.new orders.r", "")).0;
    assert_eq!(with_reply, with_headers("orders.new orders.r", &stamp, ""));

    let old = "CONNECT {\"verbose\":false}\r\n";
    let mut connection = Connection::with(&stamping, old, vec![allow("publish", &[">"])]);
    connection.passes(&message("orders.new", "hello"));

    let mut connection = Connection::of(vec![allow("publish", &[">"])]);
    connection.passes(&sent("A: b\r\n"));
    let claim = sent("A: b\r\npostern-source: other\r\n");
    assert_eq!(connection.says(claim).0, sent("A: b\r\n"));
}

#[test]
fn lengths_and_lines_have_limits() {
    let small = SessionSettings { message_bytes: 10, ..settings() };
    for (said, too_long) in [
        ("PUB orders.new 11\r\n", true),
        ("HPUB orders.new 0 11\r\n", true),
        ("PUB orders.new 3\r\nabcd\r\n", false),
        ("PUB payments.new 3\r\nabcd\r\n", false),
        ("HPUB orders.new 10 10\r\n0123456789\r\n", false),
    ] {
        let mut connection = Connection::with(&small, QUIET, vec![allow("publish", &["orders.>"])]);
        let end = connection.client(said).unwrap_err();
        assert_eq!(matches!(end, SessionEnd::Limit(_)), too_long, "{said}: {end:?}");
        assert_eq!(matches!(end, SessionEnd::Malformed(_)), !too_long, "{said}: {end:?}");
    }
    let mut connection = Connection::of(vec![]);
    let end = connection.client("P".repeat(5000)).unwrap_err();
    assert!(matches!(end, SessionEnd::Limit(_)), "{end:?}");
    assert_eq!(connection.said().1, "-ERR 'Maximum Control Line Exceeded'\r\n");
}

#[test]
fn a_rollup_of_all_may_whoever_may_delete_all() {
    let publish = || allow("publish", &["orders.eu.>"]);
    for (value, clauses, allowed) in [
        ("sub", vec![publish()], true),
        ("all", vec![publish()], false),
        ("all", vec![publish(), allow("delete", &["orders.eu.>"])], false),
        ("all", vec![publish(), allow("delete", &[">"])], true),
        ("whatever", vec![publish(), allow("delete", &["orders.eu.>"])], false),
    ] {
        let mut connection = Connection::of(clauses);
        let said = with_headers("orders.eu.new", &format!("Nats-Rollup: {value}\r\n"), "x");
        if allowed {
            connection.passes(&said);
        } else {
            connection.refuses(&said, &no_publish("orders.eu.new"));
        }
    }
}

#[test]
fn every_refusal_is_noted_and_what_is_refused_is_never_noted_as_allowed() {
    let twice = "Nats-Trace-Dest: a\r\nNats-Trace-Dest: a\r\n";
    let consumer = r#"{"stream_name":"S","config":{"deliver_subject":"orders.*"}}"#;
    for (said, asked) in [
        (message("orders.*", ""), vec!["!publish orders.*"]),
        (message("$SYS.>", ""), vec!["!admin $SYS.>"]),
        (message("$JS.ACK.S.c.1.2.3.4.*", ""), vec!["!subscribe S"]),
        (message("$JS.API.STREAM.*.S", ""), vec!["!publish $JS.API.STREAM.*.S"]),
        (message("a orders.*", ""), vec!["+publish a", "!publish orders.*"]),
        (
            message("a $JS.ACK.S.c.1.2.3.4.5", ""),
            vec!["+publish a", "!publish $JS.ACK.S.c.1.2.3.4.5"],
        ),
        (message("a $SYS.REQ.x", ""), vec!["+publish a", "!publish $SYS.REQ.x"]),
        (with_headers("a", twice, ""), vec!["+publish a", "!publish a"]),
        (with_headers("a", "Nats-Schedule-Next: x\r\n", ""), vec!["+publish a", "!publish a"]),
        (with_headers("a", "Nats-Trace-Dest: b.*\r\n", ""), vec!["+publish a", "!publish b.*"]),
        (
            message("$JS.API.CONSUMER.CREATE.S", consumer),
            vec!["+subscribe > S", "!publish orders.*"],
        ),
    ] {
        let clauses = vec![allow("publish", &[">"]), allow_streams("subscribe", &["S"])];
        let mut connection = Connection::of(clauses);
        assert_eq!(connection.says(&said).0, "", "{said}");
        assert_eq!(connection.asked(), asked, "{said}");
    }
}

#[test]
fn the_stamp_counts_as_part_of_the_message() {
    let stamp = format!("NATS/1.0\r\nPostern-Source: {CART}\r\n\r\n").len();
    let stamping = SessionSettings { stamp_source: true, message_bytes: 100, ..settings() };
    let block = "NATS/1.0\r\nA: b\r\n\r\n".len();
    let new = "NATS/1.0\r\n\r\n".len();
    for (said, fits) in [
        (message("a", &"x".repeat(100 - stamp)), true),
        (message("a", &"x".repeat(101 - stamp)), false),
        (with_headers("a", "A: b\r\n", &"x".repeat(100 - stamp - block + new)), true),
        (with_headers("a", "A: b\r\n", &"x".repeat(101 - stamp - block + new)), false),
    ] {
        let mut connection = Connection::with(&stamping, QUIET, vec![allow("publish", &["a"])]);
        let end = connection.client(&said);
        assert_eq!(end.is_ok(), fits, "{said}: {end:?}");
        let (to_broker, to_client) = connection.said();
        assert_eq!(to_broker.is_empty(), !fits, "{said}");
        let words = "-ERR 'Maximum Payload Violation: 101 bytes with the headers that the proxy writes'\r\n";
        assert_eq!(to_client, if fits { "" } else { words }, "{said}");
    }
}

#[test]
fn the_end_names_the_beginning_of_a_long_subject() {
    let mut connection = Connection::of(vec![allow("admin", &[">"])]);
    let subject = format!("$JS.API.{}", "x".repeat(2000));
    let end = connection.client(format!("PUB {subject} 300000\r\n"));
    let Err(SessionEnd::Limit(words)) = end else {
        panic!("{end:?}");
    };
    assert!(words.len() < 150, "{words}");
}

#[test]
fn a_verbose_client_gets_one_answer_each_in_order() {
    let verbose = "CONNECT {}\r\n";
    let mut connection = Connection::with(&settings(), verbose, vec![allow("publish", &["a"])]);
    let refused = format!("-ERR '{}'\r\n", no_publish("b"));
    connection
        .client("PUB a 0\r\n\r\nPUB b 0\r\n\r\nPING\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\n")
        .unwrap();
    assert_eq!(
        connection.said(),
        ("PUB a 0\r\n\r\nPING\r\nPUB a 0\r\n\r\n".to_owned(), String::new())
    );
    // The first is for CONNECT.
    assert_eq!(connection.delivers("+OK\r\n"), "+OK\r\n");
    assert_eq!(connection.delivers("+OK\r\n"), format!("+OK\r\n{refused}"));
    assert_eq!(connection.delivers("PONG\r\n"), format!("PONG\r\n{refused}"));
    assert_eq!(connection.delivers("+OK\r\n"), "+OK\r\n");
    assert_eq!(connection.says("PUB b 0\r\n\r\n").1, refused);

    // What the broker refuses itself is an answer too; a pong tells how far it is in any case.
    connection
        .client("PUB a 0\r\n\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\nPUB b 0\r\n\r\nPING\r\n")
        .unwrap();
    let theirs = format!("-ERR '{}'\r\n", no_publish("a"));
    assert_eq!(connection.delivers(&theirs), format!("{theirs}{refused}"));
    assert_eq!(connection.delivers("PONG\r\n"), format!("{refused}PONG\r\n"));
}

#[test]
fn a_verbose_client_waits_while_too_much_is_awaited() {
    let few = SessionSettings { in_flight: 2, ..settings() };
    let mut connection = Connection::with(&few, "CONNECT {}\r\n", vec![allow("publish", &["a"])]);
    assert!(connection.session.wants_more());
    connection.client("PUB a 0\r\n\r\n").unwrap();
    assert!(!connection.session.wants_more());
    connection.broker("+OK\r\n").unwrap();
    assert!(connection.session.wants_more());
}
