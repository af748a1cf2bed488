//! Requests of many APIs behind one another, and answers of a broker that lies about those that are changed on the way.

use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, HeartbeatRequest, HeartbeatResponse,
    InitProducerIdRequest, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse,
};
use message_access::SessionEnd;

use crate::administration::created;
use crate::connection::{Connection, answer_of, framed, topic};
use crate::groups::{committed, group};

/// What the client gets: the correlation id, the names of the answer and their errors.
type Told = (i32, Vec<(String, i16)>);

/// One of the requests, in turns; whether the broker gets it.
fn request(connection: &mut Connection, turn: i32) -> (Vec<u8>, bool) {
    let heartbeat = |name| HeartbeatRequest::default().with_group_id(group(name));
    match turn % 6 {
        0 => (connection.frame(&heartbeat("own"), 4).into(), true),
        1 => (connection.frame(&heartbeat("theirs"), 4).into(), false),
        2 => (connection.frame(&committed("own", &["own-a", "theirs"]), 9).into(), true),
        3 => (connection.frame(&created(&["theirs", "own-a"]), 7).into(), true),
        4 => (connection.frame(&ListGroupsRequest::default(), 5).into(), true),
        _ => (
            connection
                .frame(&InitProducerIdRequest::default().with_transactional_id(None), 5)
                .into(),
            false,
        ),
    }
}

/// The broker's answer to one of the requests.
fn answer(turn: i32) -> Vec<u8> {
    let correlation = turn + 1;
    let own = || topic("own-a");
    match turn % 6 {
        0 => answer_of::<HeartbeatRequest>(correlation, &HeartbeatResponse::default(), 4),
        2 => {
            let topics = vec![OffsetCommitResponseTopic::default().with_name(own())];
            let answer = OffsetCommitResponse::default().with_topics(topics);
            answer_of::<OffsetCommitRequest>(correlation, &answer, 9)
        }
        3 => {
            let topics = vec![CreatableTopicResult::default().with_name(own())];
            let answer = CreateTopicsResponse::default().with_topics(topics);
            answer_of::<CreateTopicsRequest>(correlation, &answer, 7)
        }
        _ => {
            let groups =
                ["theirs", "own"].map(|name| ListedGroup::default().with_group_id(group(name)));
            let answer = ListGroupsResponse::default().with_groups(groups.to_vec());
            answer_of::<ListGroupsRequest>(correlation, &answer, 5)
        }
    }
    .into()
}

fn told(connection: &mut Connection, turn: i32) -> Told {
    let (correlation, mut told) = match turn % 6 {
        0 | 1 => {
            let (id, answer) = connection.answered::<HeartbeatRequest>(4).unwrap();
            (id, vec![(String::new(), answer.error_code)])
        }
        2 => {
            let (id, answer) = connection.answered::<OffsetCommitRequest>(9).unwrap();
            let error = |topic: &OffsetCommitResponseTopic| {
                topic.partitions.first().map_or(0, |partition| partition.error_code)
            };
            (id, answer.topics.iter().map(|topic| (topic.name.to_string(), error(topic))).collect())
        }
        3 => {
            let (id, answer) = connection.answered::<CreateTopicsRequest>(7).unwrap();
            (id, answer.topics.iter().map(|t| (t.name.to_string(), t.error_code)).collect())
        }
        4 => {
            let (id, answer) = connection.answered::<ListGroupsRequest>(5).unwrap();
            (id, answer.groups.iter().map(|group| (group.group_id.to_string(), 0)).collect())
        }
        _ => {
            let (id, answer) = connection.answered::<InitProducerIdRequest>(5).unwrap();
            (id, vec![(String::new(), answer.error_code)])
        }
    };
    told.sort();
    (correlation, told)
}

#[test]
fn fifty_requests_of_many_apis_are_answered_in_order() {
    for piece in [0, 1, 13] {
        let mut connection = Connection::new();
        connection.piece = piece;
        let requests: Vec<_> = (0..50).map(|turn| request(&mut connection, turn)).collect();
        let asked: Vec<u8> = requests.iter().flat_map(|(request, _)| request.clone()).collect();
        connection.client_says(&asked).unwrap();
        let forwarded = requests.iter().filter(|(_, is_forwarded)| *is_forwarded).count();
        assert_eq!(std::iter::from_fn(|| connection.forwarded_frame()).count(), forwarded);
        assert!(connection.answered_frame().is_none(), "the first one waits for the broker");
        let turns = (0..50).zip(&requests).filter(|(_, (_, is_forwarded))| *is_forwarded);
        let answers: Vec<u8> = turns.flat_map(|(turn, _)| answer(turn)).collect();
        connection.broker_says(&answers).unwrap();
        for turn in 0..50 {
            let expect: &[(&str, i16)] = match turn % 6 {
                0 => &[("", 0)],
                1 => &[("", 30)],
                2 | 3 => &[("own-a", 0), ("theirs", 29)],
                4 => &[("own", 0)],
                _ => &[("", 31)],
            };
            let expect = expect.iter().map(|(name, error)| ((*name).to_owned(), *error)).collect();
            assert_eq!(told(&mut connection, turn), (turn + 1, expect), "in pieces of {piece}");
        }
        assert!(connection.answered_frame().is_none(), "{piece}");
    }
}

#[test]
fn a_broker_that_lies_about_what_is_changed_ends_the_session() {
    let check = |turn: i32, change: fn(&mut Vec<u8>), what: &str| {
        let mut connection = Connection::new();
        for turn in 0..=turn {
            let (request, _) = request(&mut connection, turn);
            connection.client_says(&request).unwrap();
        }
        for before in (0..turn).filter(|before| before % 6 != 1 && before % 6 != 5) {
            connection.broker_says(&answer(before)).unwrap();
            told(&mut connection, before);
            if before == 0 {
                told(&mut connection, 1);
            }
        }
        let mut lie = answer(turn)[4..].to_vec();
        change(&mut lie);
        let end = connection.broker_says(&framed(&lie));
        assert!(matches!(end, Err(SessionEnd::Malformed(_))), "{what}: {end:?}");
        assert!(connection.answered_frame().is_none(), "{what}: nothing of it reaches the client");
    };
    check(2, |answer| answer.truncate(9), "an answer that ends before the list");
    check(2, |answer| answer[3] = 9, "another correlation id");
    check(4, |answer| answer.push(0), "bytes behind the answer");
    check(4, |answer| answer.truncate(answer.len() - 1), "an answer that ends too early");
    check(4, |answer| answer[11] = 0x7f, "more groups than there are");
    check(4, |answer| answer[12] = 0x60, "a name that is longer than the answer");
    check(4, |answer| answer[13] = 0xff, "a name that is no text");
}
