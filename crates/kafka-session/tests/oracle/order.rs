//! Answers come in the order of the requests, whoever gives them.

use kafka_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};
use kafka_protocol::protocol::Request;
use message_access::Session;

use crate::connection::{Connection, answer_of, settings};
use crate::topics::{fetch, fetched, produce, produced};

#[test]
fn fifty_requests_at_once_are_answered_in_order() {
    for piece in [0, 1, 11] {
        let mut connection = Connection::new();
        connection.piece = piece;
        let names = |number: i32| match number % 3 {
            0 => vec!["own-a"],
            1 => vec!["theirs"],
            _ => vec!["own-a", "theirs"],
        };
        let requests: Vec<u8> =
            (0..50).flat_map(|number| connection.frame(&produce(&names(number)), 9)).collect();
        connection.client_says(&requests).unwrap();
        assert!(
            connection.answered_frame().is_none(),
            "the first waits for the broker, and all others for it"
        );
        let mut answers = Vec::new();
        for number in (0..50).filter(|number| number % 3 != 1) {
            connection.forwarded::<ProduceRequest>(9).unwrap();
            answers.extend(answer_of::<ProduceRequest>(number + 1, &produced(&["own-a"]), 9));
        }
        connection.broker_says(&answers).unwrap();
        for number in 0..50 {
            let (correlation, answer) = connection.answered::<ProduceRequest>(9).unwrap();
            assert_eq!(correlation, number + 1);
            assert_eq!(answer.responses.len(), names(number).len());
        }
        assert_eq!(connection.session.held(), 0, "nothing is held when all is answered");
    }
}

#[test]
fn no_more_is_read_than_may_wait() {
    let mut connection =
        Connection::with(&message_access::SessionSettings { in_flight: 3, ..settings() });
    let requests: Vec<u8> =
        (0..10).flat_map(|_| connection.frame(&ApiVersionsRequest::default(), 0)).collect();
    connection.client_says(&requests).unwrap();
    assert!(!connection.session.wants_more());
    for number in 1..=10 {
        assert_eq!(
            std::iter::from_fn(|| connection.forwarded_frame()).count(),
            if number == 1 { 3 } else { usize::from(number <= 8) }
        );
        connection.answer::<ApiVersionsRequest>(number, &Default::default(), 0);
        connection.answered_frame().unwrap();
    }
    assert!(connection.session.wants_more());
}

/// What is refused while the broker's answer to another request arrives is answered behind it, not in its middle.
#[test]
fn a_refusal_waits_until_the_answer_before_it_has_ended() {
    let passed = answer_of::<FetchRequest>(1, &fetched(&["own-a"]), 12);
    refused_within("passed", &fetch(&["own-a"]), &passed);
    refused_within("inserted", &fetch(&["own-a", "theirs"]), &passed);
    let held = answer_of::<MetadataRequest>(1, &Default::default(), 12);
    refused_within("rewritten", &MetadataRequest::default().with_topics(None), &held);
}

fn refused_within<R: Request>(case: &str, asked: &R, answer: &[u8]) {
    for length in 0..=answer.len() {
        let (beginning, rest) = answer.split_at(length);
        let mut connection =
            Connection::with(&message_access::SessionSettings { in_flight: 2, ..settings() });
        connection.ask(asked, 12);
        connection.broker_says(beginning).unwrap();
        connection.ask(&produce(&["theirs"]), 9);
        assert_eq!(connection.session.wants_more(), rest.is_empty(), "{case}, {length}");
        connection.broker_says(rest).unwrap();
        assert_eq!(connection.answered::<R>(12).unwrap().0, 1, "{case}, {length}");
        assert_eq!(connection.answered::<ProduceRequest>(9).unwrap().0, 2, "{case}, {length}");
        assert_eq!(connection.session.held(), 0, "{case}, {length}");
    }
}
