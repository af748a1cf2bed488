//! Consumer groups: their members, their offsets, and lists of them.

use bytes::Bytes;
use kafka_protocol::messages::consumer_group_describe_response as described;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, TopicName,
    delete_groups_response::DeletableGroupResult,
};

use message_access::SessionEnd;

use crate::case::Case;
use crate::connection::{Connection, answer_of, text, topic};
use crate::whole::Whole;

pub(crate) fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn groups(names: &[&str]) -> Vec<GroupId> {
    names.iter().map(|name| group(name)).collect()
}

fn own_or(name: &str) -> Vec<TopicName> {
    vec![topic("own-a"), topic(name)]
}

#[test]
fn joining_a_group() {
    Whole::<JoinGroupRequest> {
        versions: 0..=9,
        request: |name, version| {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text("range"))
                .with_metadata(Bytes::from_static(b"topics"));
            JoinGroupRequest::default()
                .with_group_id(group(name))
                .with_member_id(text("me"))
                .with_group_instance_id((version >= 5).then(|| text("static")))
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol])
        },
        errors: |answer| {
            assert!(answer.members.is_empty() && answer.generation_id == -1);
            vec![answer.error_code]
        },
        refusal: 30,
    }
    .check();
}

#[test]
fn being_a_member_of_a_group() {
    Whole::<HeartbeatRequest> {
        versions: 0..=4,
        request: |name, _| {
            HeartbeatRequest::default().with_group_id(group(name)).with_member_id(text("me"))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
    Whole::<SyncGroupRequest> {
        versions: 0..=5,
        request: |name, _| {
            let assignment = SyncGroupRequestAssignment::default()
                .with_member_id(text("me"))
                .with_assignment(Bytes::from_static(b"partitions"));
            SyncGroupRequest::default()
                .with_group_id(group(name))
                .with_member_id(text("me"))
                .with_assignments(vec![assignment])
        },
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
}

#[test]
fn leaving_a_group() {
    Whole::<LeaveGroupRequest> {
        versions: 0..=5,
        request: |name, version| {
            let member = MemberIdentity::default().with_member_id(text("me"));
            LeaveGroupRequest::default()
                .with_group_id(group(name))
                .with_member_id(text(if version < 3 { "me" } else { "" }))
                .with_members(if version < 3 { Vec::new() } else { vec![member] })
        },
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
}

#[test]
fn the_heartbeat_that_is_all_of_a_membership() {
    let heartbeat: fn(&str, i16) -> ConsumerGroupHeartbeatRequest =
        |name, _| ConsumerGroupHeartbeatRequest::default().with_group_id(group(name));
    Whole::<ConsumerGroupHeartbeatRequest> {
        versions: 0..=1,
        request: heartbeat,
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
    Whole::<ConsumerGroupHeartbeatRequest> {
        versions: 0..=1,
        request: |name, _| {
            ConsumerGroupHeartbeatRequest::default()
                .with_group_id(group("own"))
                .with_subscribed_topic_names(Some(own_or(name)))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 29,
    }
    .check();
}

/// The broker evaluates a regular expression over all topics, whatever it looks like.
#[test]
fn a_subscription_by_regular_expression_needs_all_topics() {
    let check = |regex: Option<&str>, also: &[&str], expect: Option<i16>| {
        let mut connection = Connection::new();
        connection.judge.also.extend(also.iter().map(|name| (*name).to_owned()));
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group("own"))
            .with_subscribed_topic_names(Some(vec![topic("own-a")]))
            .with_subscribed_topic_regex(regex.map(text));
        connection.ask(&request, 1);
        let answer = connection.answered::<ConsumerGroupHeartbeatRequest>(1);
        assert_eq!(answer.map(|(_, answer)| answer.error_code), expect, "{regex:?} {also:?}");
        assert_eq!(connection.forwarded_frame().is_none(), expect.is_some(), "{regex:?} {also:?}");
    };
    check(None, &[], None);
    check(Some(""), &[], None);
    check(Some("own.*"), &[], Some(29));
    check(Some("own"), &[], Some(29));
    check(Some("own.*"), &["*"], None);
}

pub(crate) fn committed(id: &str, names: &[&str]) -> OffsetCommitRequest {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(12)
            .with_committed_metadata(Some(text("note")))
    };
    let topics = names.iter().map(|name| {
        OffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition(0), partition(7)])
    });
    OffsetCommitRequest::default()
        .with_group_id(group(id))
        .with_member_id(text("me"))
        .with_topics(topics.collect())
}

fn told_of_commit(answer: &OffsetCommitResponse) -> Vec<(String, i16)> {
    let topics = answer.topics.iter().flat_map(|topic| {
        assert_eq!(topic.partitions.iter().map(|p| p.partition_index).collect::<Vec<_>>(), [0, 7]);
        topic.partitions.iter().map(|p| (topic.name.to_string(), p.error_code))
    });
    topics.collect()
}

#[test]
fn committing_offsets() {
    Case::<OffsetCommitRequest> {
        versions: 2..=9,
        request: |names, _| committed("own", names),
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition =
                |index| OffsetCommitResponsePartition::default().with_partition_index(index);
            let topics = names.iter().map(|name| {
                OffsetCommitResponseTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition(0), partition(7)])
            });
            OffsetCommitResponse::default().with_topics(topics.collect())
        },
        told: told_of_commit,
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
    Whole::<OffsetCommitRequest> {
        versions: 2..=9,
        request: |name, _| committed(name, &["own-a", "own-b"]),
        errors: |answer| {
            assert_eq!(told_of_commit(answer).len(), 4, "every partition has its answer");
            told_of_commit(answer).into_iter().map(|(_, error)| error).collect()
        },
        refusal: 30,
    }
    .check();
}

#[test]
fn reading_the_offsets_of_a_group() {
    Whole::<OffsetFetchRequest> {
        versions: 1..=7,
        request: |name, _| {
            let topics = OffsetFetchRequestTopic::default()
                .with_name(topic("own-a"))
                .with_partition_indexes(vec![0, 7]);
            OffsetFetchRequest::default().with_group_id(group(name)).with_topics(Some(vec![topics]))
        },
        errors: |answer| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let mut errors: Vec<i16> = partitions.map(|partition| partition.error_code).collect();
            assert!(errors.is_empty() || errors.len() == 2);
            if errors.is_empty() {
                errors.push(answer.error_code);
            }
            errors
        },
        refusal: 30,
    }
    .check();
    Whole::<OffsetFetchRequest> {
        versions: 2..=7,
        request: |name, _| {
            OffsetFetchRequest::default().with_group_id(group(name)).with_topics(None)
        },
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
}

#[test]
fn reading_the_offsets_of_several_groups() {
    Case::<OffsetFetchRequest> {
        versions: 8..=9,
        request: |names, _| {
            let topics = OffsetFetchRequestTopics::default()
                .with_name(topic("own-a"))
                .with_partition_indexes(vec![0, 7]);
            let groups = names.iter().map(|name| {
                OffsetFetchRequestGroup::default()
                    .with_group_id(group(name))
                    .with_topics(Some(vec![topics.clone()]))
            });
            OffsetFetchRequest::default().with_groups(groups.collect())
        },
        named: |request| request.groups.iter().map(|group| group.group_id.to_string()).collect(),
        answer: |names, _| {
            let partition = OffsetFetchResponsePartitions::default()
                .with_committed_offset(4)
                .with_metadata(Some(text("note")));
            let topics = OffsetFetchResponseTopics::default()
                .with_name(topic("own-a"))
                .with_partitions(vec![partition]);
            let groups = names.iter().map(|name| {
                OffsetFetchResponseGroup::default()
                    .with_group_id(group(name))
                    .with_topics(vec![topics.clone()])
            });
            OffsetFetchResponse::default().with_groups(groups.collect())
        },
        told: |answer| {
            let groups = answer.groups.iter();
            groups.map(|group| (group.group_id.to_string(), group.error_code)).collect()
        },
        refusal: 30,
        forwards_nothing: false,
    }
    .check();
}

fn deleted(id: &str, names: &[&str]) -> OffsetDeleteRequest {
    let partitions = vec![OffsetDeleteRequestPartition::default().with_partition_index(3)];
    let topics = names.iter().map(|name| {
        OffsetDeleteRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(partitions.clone())
    });
    OffsetDeleteRequest::default().with_group_id(group(id)).with_topics(topics.collect())
}

#[test]
fn deleting_offsets() {
    Case::<OffsetDeleteRequest> {
        versions: 0..=0,
        request: |names, _| deleted("own", names),
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition = OffsetDeleteResponsePartition::default().with_partition_index(3);
            let topics = names.iter().map(|name| {
                OffsetDeleteResponseTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition.clone()])
            });
            OffsetDeleteResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            let topics = answer.topics.iter();
            topics
                .map(|topic| {
                    assert_eq!(topic.partitions[0].partition_index, 3);
                    (topic.name.to_string(), topic.partitions[0].error_code)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
    Whole::<OffsetDeleteRequest> {
        versions: 0..=0,
        request: |name, _| deleted(name, &["own-a"]),
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
}

#[test]
fn describing_groups() {
    Case::<DescribeGroupsRequest> {
        versions: 0..=6,
        request: |names, _| DescribeGroupsRequest::default().with_groups(groups(names)),
        named: |request| request.groups.iter().map(|id| id.to_string()).collect(),
        answer: |names, version| {
            let member = DescribedGroupMember::default()
                .with_member_id(text("me"))
                .with_group_instance_id((version >= 4).then(|| text("static")))
                .with_member_assignment(Bytes::from_static(b"partitions"));
            let groups = names.iter().map(|name| {
                DescribedGroup::default()
                    .with_group_id(group(name))
                    .with_group_state(text("Stable"))
                    .with_members(vec![member.clone(), member.clone()])
            });
            DescribeGroupsResponse::default().with_groups(groups.collect())
        },
        told: |answer| {
            let groups = answer.groups.iter();
            groups.map(|group| (group.group_id.to_string(), group.error_code)).collect()
        },
        refusal: 30,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn describing_consumer_groups() {
    Case::<ConsumerGroupDescribeRequest> {
        versions: 0..=1,
        request: |names, _| ConsumerGroupDescribeRequest::default().with_group_ids(groups(names)),
        named: |request| request.group_ids.iter().map(|id| id.to_string()).collect(),
        answer: |names, _| {
            let partitions = described::TopicPartitions::default()
                .with_topic_name(topic("own-a"))
                .with_partitions(vec![1, 2]);
            let assignment =
                described::Assignment::default().with_topic_partitions(vec![partitions]);
            let member = described::Member::default()
                .with_subscribed_topic_names(vec![topic("own-a")])
                .with_assignment(assignment.clone())
                .with_target_assignment(assignment);
            let groups = names.iter().map(|name| {
                described::DescribedGroup::default()
                    .with_group_id(group(name))
                    .with_members(vec![member.clone()])
            });
            ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
        },
        told: |answer| {
            let groups = answer.groups.iter();
            groups.map(|group| (group.group_id.to_string(), group.error_code)).collect()
        },
        refusal: 30,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn deleting_groups() {
    Case::<DeleteGroupsRequest> {
        versions: 0..=2,
        request: |names, _| DeleteGroupsRequest::default().with_groups_names(groups(names)),
        named: |request| request.groups_names.iter().map(|id| id.to_string()).collect(),
        answer: |names, _| {
            let results =
                names.iter().map(|name| DeletableGroupResult::default().with_group_id(group(name)));
            DeleteGroupsResponse::default().with_results(results.collect())
        },
        told: |answer| {
            let results = answer.results.iter();
            results.map(|result| (result.group_id.to_string(), result.error_code)).collect()
        },
        refusal: 30,
        forwards_nothing: false,
    }
    .check();
}

/// What a broker would say is what the sidecar may do.
#[test]
fn authorized_operations_on_groups_are_not_asked_for() {
    for (version, names) in
        (3..=6).flat_map(|version| [(version, &["own", "theirs"][..]), (version, &["own"])])
    {
        let mut connection = Connection::new();
        let request = DescribeGroupsRequest::default()
            .with_groups(groups(names))
            .with_include_authorized_operations(true);
        connection.ask(&request, version);
        let forwarded = connection.forwarded::<DescribeGroupsRequest>(version).unwrap();
        assert!(!forwarded.include_authorized_operations, "{version}");
        assert_eq!(forwarded.groups, groups(&["own"]), "{version}");
    }
}

/// Large clusters have more groups than a request may name; there is no end of names that have no bytes.
#[test]
fn listings_of_many_groups() {
    let list = |names: usize| {
        let mut connection = Connection::new();
        connection.ask(&ListGroupsRequest::default(), 0);
        let listed = |number| {
            let name = if number % 2 == 0 { "own" } else { "theirs" };
            ListedGroup::default().with_group_id(group(name))
        };
        let answer = ListGroupsResponse::default().with_groups((0..names).map(listed).collect());
        let answer = answer_of::<ListGroupsRequest>(1, &answer, 0);
        connection.broker_says(&answer)?;
        Ok(connection.answered::<ListGroupsRequest>(0).unwrap().1.groups.len())
    };
    assert_eq!(list(20_000), Ok(10_000));
    assert!(matches!(list((1 << 16) + 1), Err(SessionEnd::Limit(_))));
}

/// What nobody asked for by name is neither counted nor logged.
#[test]
fn groups_of_others_are_not_listed() {
    for version in 0..=5 {
        for names in [&["own-a", "theirs", "own-b"][..], &["theirs"], &["own-a"], &[]] {
            let mut connection = Connection::new();
            connection.ask(&ListGroupsRequest::default(), version);
            connection.forwarded_frame().unwrap();
            let groups = names.iter().map(|name| {
                let listed = ListedGroup::default().with_group_id(group(name));
                if version >= 4 { listed.with_group_state(text("Stable")) } else { listed }
            });
            let answer = ListGroupsResponse::default().with_groups(groups.collect());
            connection.answer::<ListGroupsRequest>(1, &answer, version);
            let (_, answer) = connection.answered::<ListGroupsRequest>(version).unwrap();
            let told: Vec<String> = answer.groups.iter().map(|g| g.group_id.to_string()).collect();
            let own: Vec<_> = names.iter().filter(|name| name.starts_with("own")).collect();
            assert_eq!(told.iter().collect::<Vec<_>>(), own, "{version}");
            assert!(connection.judge.asked.is_empty(), "{version}");
        }
    }
}
