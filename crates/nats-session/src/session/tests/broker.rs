use super::*;

#[test]
fn the_broker_speaks_first_and_the_client_introduces_itself() {
    let mut connection = Connection::fresh(&settings(), vec![]);
    assert!(matches!(connection.client(QUIET), Err(SessionEnd::Malformed(_))));
    for said in ["PING\r\n", "PUB a 0\r\n\r\n", "SUB a 1\r\n", "PONG\r\n"] {
        let mut connection = Connection::fresh(&settings(), vec![allow("publish", &[">"])]);
        connection.broker(INFO).unwrap();
        assert!(matches!(connection.client(said), Err(SessionEnd::Malformed(_))), "{said}");
    }
    let mut connection = Connection::of(vec![]);
    assert!(matches!(connection.client(QUIET), Err(SessionEnd::Malformed(_))));
    assert!(connection.said().1.starts_with("-ERR 'a second CONNECT"));
}

#[test]
fn credentials_pass_as_they_are() {
    let mut connection = Connection::fresh(&settings(), vec![]);
    connection.broker(INFO).unwrap();
    let connect = "connect   {\"verbose\": false, \"user\":\"a\",\"pass\":\"b c\"} \r\n";
    connection.client(connect).unwrap();
    assert_eq!(connection.said(), (connect.to_owned(), INFO.to_owned()));
}

#[test]
fn other_servers_are_withheld_where_that_is_asked_for() {
    let hiding = SessionSettings { hide_servers: true, ..settings() };
    let info =
        "INFO {\"connect_urls\":[\"10.0.0.1:4222\"],\"headers\":true,\"version\":\"2.15.1\"}\r\n";
    let mut connection = Connection::fresh(&hiding, vec![]);
    assert_eq!(connection.delivers(info), INFO);
    let mut connection = Connection::fresh(&settings(), vec![]);
    assert_eq!(connection.delivers(info), info);
}

#[test]
fn what_no_broker_says_ends_this_connection() {
    for said in [
        "MSG a 1\r\n",
        "MSG a 1 x\r\n",
        "MSG a 1 99999999999\r\n",
        "MSG a 1 3\r\nabcd\r\n",
        "MSG a 9 3\r\nabcd\r\n",
        "HMSG a 1 9 3\r\n",
        "RMSG a 1 3\r\n",
        "HELLO\r\n",
        "INFO {\"version\":\"2.15.1\",\"tls_required\":true}\r\n",
        "INFO x\r\n",
        "INFO {\"version\":\"2.10.0\"}\r\n",
    ] {
        let mut connection = Connection::of(vec![allow("subscribe", &["a"])]);
        connection.passes("SUB a 1\r\n");
        assert!(connection.broker(said).is_err(), "{said}");
    }
    let mut connection = Connection::of(vec![]);
    assert!(connection.broker("x".repeat(70_000)).is_err());
    let mut connection = Connection::fresh(&settings(), vec![]);
    assert!(connection.broker("PING\r\n").is_err());
}

#[test]
fn a_message_of_the_brokers_may_be_longer_than_a_clients() {
    let small = SessionSettings { message_bytes: 10, ..settings() };
    let mut connection = Connection::with(&small, QUIET, vec![allow("subscribe", &["a"])]);
    connection.passes("SUB a 1\r\n");
    let value = "v".repeat(50);
    let message = format!("MSG a 1 50\r\n{value}\r\n");
    assert_eq!(connection.delivers(&message), message);
    let block = format!("NATS/1.0\r\nNats-Stream: S\r\n\r\n{value}");
    let message = format!("HMSG a 1 {} {}\r\n{block}\r\n", block.len() - 50, block.len());
    assert_eq!(connection.delivers(&message), message);
}

#[test]
fn verbs_of_servers_are_not_a_clients() {
    for said in [
        "RS+ $G a\r\n",
        "LS+ a\r\n",
        "RMSG $G a 0\r\n",
        "LMSG a 0\r\n",
        "A+ a\r\n",
        "INFO {}\r\n",
        "MSG a 1 0\r\n",
        "+OK\r\n",
        "-ERR 'x'\r\n",
        "GET / HTTP/1.1\r\n",
    ] {
        let mut connection = Connection::of(vec![allow("publish", &[">"])]);
        assert!(matches!(connection.client(said), Err(SessionEnd::Malformed(_))), "{said}");
        assert_eq!(connection.said().0, "", "{said}");
    }
}

#[test]
fn what_the_broker_says_by_itself_passes() {
    let mut connection = Connection::of(vec![]);
    for said in [
        "PING\r\n",
        "PONG\r\n",
        "-ERR 'Stale Connection'\r\n",
        "INFO {\"ldm\":true,\"version\":\"2.15.1\"}\r\n",
        "+OK\r\n",
    ] {
        assert_eq!(connection.delivers(said), said);
    }
}
