//! Bytes that are not Kafka, and brokers that lie: the session ends, and nothing else.

use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest};
use message_access::{SessionEnd, SessionSettings};
use proptest::prelude::*;

use crate::connection::{Connection, answer_of, frame_of, framed, settings};
use crate::topics::{fetch, fetched, produce};

fn malformed(result: Result<(), SessionEnd>) -> bool {
    matches!(result, Err(SessionEnd::Malformed(_)))
}

#[test]
fn a_broker_that_lies_ends_the_session() {
    let check = |answer: &[u8], what: &str| {
        let mut connection = Connection::new();
        connection.ask(&fetch(&["own-a", "theirs"]), 12);
        assert!(malformed(connection.broker_says(answer)), "{what}");
        assert!(connection.answered_frame().is_none(), "{what}");
    };
    let answer = answer_of::<FetchRequest>(1, &fetched(&["own-a"]), 12);
    check(&answer_of::<FetchRequest>(2, &fetched(&["own-a"]), 12), "another correlation id");
    check(&framed(&answer[4..12]), "an answer that ends too early");
    check(&[&framed(&answer[4..6])[..], &[0; 4]].concat(), "an answer without a correlation id");
    check(&(-1_i32).to_be_bytes().repeat(2), "a negative length");
    for length in 0..4_i32 {
        check(&length.to_be_bytes(), "an answer that has no room for a correlation id");
    }
    let mut connection = Connection::new();
    assert!(malformed(connection.broker_says(&answer)), "an answer that nobody asked for");
    let mut connection = Connection::new();
    connection.ask(&MetadataRequest::default().with_topics(None), 9);
    let whole = answer_of::<MetadataRequest>(1, &Default::default(), 9);
    assert!(malformed(connection.broker_says(&framed(&[&whole[4..], b"more"].concat()))));
    let mut connection = Connection::new();
    connection.ask(&ApiVersionsRequest::default(), 0);
    let long =
        (i32::MAX).to_be_bytes().iter().chain(&1_i32.to_be_bytes()).copied().collect::<Vec<_>>();
    assert!(
        matches!(connection.broker_says(&long), Err(SessionEnd::Limit(_))),
        "an answer that must be held"
    );
}

#[test]
fn requests_that_are_not_what_their_version_says() {
    let request = frame_of(&produce(&["own-a"]), 9, 1);
    let mut connection = Connection::new();
    assert!(
        malformed(connection.client_says(&framed(&[&request[4..], b"x"].concat()))),
        "bytes behind it"
    );
    let many = produce(&["own-a"]);
    let mut many_partitions = many.clone();
    let partition = many.topic_data[0].partition_data[0].clone();
    many_partitions.topic_data[0].partition_data = vec![partition; 200_001];
    let mut connection =
        Connection::with(&SessionSettings { message_bytes: 16 << 20, ..settings() });
    let request_of_many = frame_of(&many_partitions, 9, 1);
    assert!(
        matches!(connection.client_says(&request_of_many), Err(SessionEnd::Limit(_))),
        "too many partitions"
    );
    for length in 4..request.len() {
        let mut connection = Connection::new();
        assert!(malformed(connection.client_says(&framed(&request[4..length]))), "{length}");
        assert!(connection.forwarded_frame().is_none(), "{length}");
    }
    let mut connection = Connection::new();
    assert!(matches!(connection.client_says(b"GET / HTTP/1.1\r\n\r\n"), Err(SessionEnd::Limit(_))));
    let many: Vec<&str> = std::iter::repeat_n("own", 10_001).collect();
    let mut connection = Connection::new();
    let request = frame_of(&produce(&many), 9, 1);
    assert!(
        matches!(connection.client_says(&request), Err(SessionEnd::Limit(_))),
        "too many names"
    );
}

proptest! {
    /// Whatever comes after a header that is understood, from either side, ends in an error or passes.
    #[test]
    fn junk_does_no_harm(
        key in 0_i16..80,
        version in 0_i16..14,
        body in proptest::collection::vec(any::<u8>(), 0..200),
        answer in proptest::collection::vec(any::<u8>(), 0..200),
        piece in 0_usize..9,
    ) {
        let mut connection = Connection::new();
        connection.piece = piece;
        connection.judge.rules = true;
        let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &1_i32.to_be_bytes(), &[0xff, 0xff]].concat();
        if connection.client_says(&framed(&[&head[..], &body].concat())).is_ok() {
            let _ = connection.broker_says(&framed(&[&1_i32.to_be_bytes()[..], &answer].concat()));
        }
    }
}
