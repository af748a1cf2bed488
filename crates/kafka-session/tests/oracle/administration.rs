//! Administration of topics: making and removing them, their configuration, and where their partitions lie.

use kafka_protocol::messages::alter_configs_request as alter;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::incremental_alter_configs_response as incremented;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, AlterReplicaLogDirsRequest, BrokerId,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeProducersResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ListPartitionReassignmentsRequest,
};
use message_access::Operation;

use crate::case::Case;
use crate::connection::{Connection, text, topic};
use crate::whole::Whole;

pub(crate) fn created(names: &[&str]) -> CreateTopicsRequest {
    let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    let config = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("1000")));
    let topics = names.iter().map(|name| {
        CreatableTopic::default()
            .with_name(topic(name))
            .with_assignments(vec![assignment.clone()])
            .with_configs(vec![config.clone()])
    });
    CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(77)
}

#[test]
fn creating_topics() {
    Case::<CreateTopicsRequest> {
        versions: 2..=7,
        request: |names, _| created(names),
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, version| {
            let config = CreatableTopicConfigs::default().with_name(text("retention.ms"));
            let topics = names.iter().map(|name| {
                let made = CreatableTopicResult::default().with_name(topic(name));
                match version {
                    5.. => made.with_configs(Some(vec![config.clone()])).with_num_partitions(3),
                    _ => made,
                }
            });
            CreateTopicsResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            answer.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn deleting_topics() {
    Case::<DeleteTopicsRequest> {
        versions: 1..=5,
        request: |names, _| {
            let names = names.iter().map(|name| topic(name));
            DeleteTopicsRequest::default().with_topic_names(names.collect())
        },
        named: |request| request.topic_names.iter().map(|name| name.to_string()).collect(),
        answer: |names, _| {
            let gone = names
                .iter()
                .map(|name| DeletableTopicResult::default().with_name(Some(topic(name))));
            DeleteTopicsResponse::default().with_responses(gone.collect())
        },
        told: |answer| {
            let gone = answer.responses.iter();
            gone.map(|topic| (topic.name.as_ref().unwrap().to_string(), topic.error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn deleting_records() {
    Case::<DeleteRecordsRequest> {
        versions: 0..=2,
        request: |names, _| {
            let partition =
                DeleteRecordsPartition::default().with_partition_index(3).with_offset(8);
            let topics = names.iter().map(|name| {
                DeleteRecordsTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition.clone()])
            });
            DeleteRecordsRequest::default().with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition = DeleteRecordsPartitionResult::default().with_partition_index(3);
            let topics = names.iter().map(|name| {
                DeleteRecordsTopicResult::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition.clone()])
            });
            DeleteRecordsResponse::default().with_topics(topics.collect())
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
}

#[test]
fn adding_partitions() {
    Case::<CreatePartitionsRequest> {
        versions: 0..=3,
        request: |names, _| {
            let assignment =
                CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
            let topics = names.iter().map(|name| {
                CreatePartitionsTopic::default()
                    .with_name(topic(name))
                    .with_count(9)
                    .with_assignments(name.ends_with('a').then(|| vec![assignment.clone()]))
            });
            CreatePartitionsRequest::default().with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let results = names
                .iter()
                .map(|name| CreatePartitionsTopicResult::default().with_name(topic(name)));
            CreatePartitionsResponse::default().with_results(results.collect())
        },
        told: |answer| {
            answer.results.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

/// What is asked of the policy for a topic that is made, removed, or given more partitions.
#[test]
fn each_of_these_is_an_operation_of_its_own() {
    let check = |never: Operation, expect: [bool; 4]| {
        let mut connection = Connection::new();
        connection.judge.never.push(never);
        let name = || vec![topic("own")];
        let records = DeleteRecordsTopic::default().with_name(topic("own"));
        let partitions = CreatePartitionsTopic::default().with_name(topic("own"));
        connection.ask(&created(&["own"]), 7);
        let create = connection.forwarded_frame().is_some();
        connection.ask(&DeleteTopicsRequest::default().with_topic_names(name()), 5);
        let delete = connection.forwarded_frame().is_some();
        connection.ask(&DeleteRecordsRequest::default().with_topics(vec![records]), 2);
        let empty = connection.forwarded_frame().is_some();
        connection.ask(&CreatePartitionsRequest::default().with_topics(vec![partitions]), 3);
        let grow = connection.forwarded_frame().is_some();
        assert_eq!([create, delete, empty, grow], expect, "{never:?}");
    };
    check(Operation::Create, [false, true, true, true]);
    check(Operation::Delete, [true, false, false, true]);
    check(Operation::Admin, [true, true, true, false]);
}

/// The names of these tests are topics; `Case` is about them, and the next test about the other resources.
const TOPIC: i8 = 2;

#[test]
fn configuration_that_is_read() {
    Case::<DescribeConfigsRequest> {
        versions: 1..=4,
        request: |names, _| {
            let resources = names.iter().map(|name| {
                DescribeConfigsResource::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
                    .with_configuration_keys(
                        name.ends_with('a').then(|| vec![text("retention.ms")]),
                    )
            });
            DescribeConfigsRequest::default().with_resources(resources.collect())
        },
        named: |request| request.resources.iter().map(|r| r.resource_name.to_string()).collect(),
        answer: |names, version| {
            let synonym = DescribeConfigsSynonym::default().with_name(text("retention.ms"));
            let config = DescribeConfigsResourceResult::default()
                .with_name(text("retention.ms"))
                .with_synonyms(vec![synonym])
                .with_documentation((version >= 3).then(|| text("how long")));
            let results = names.iter().map(|name| {
                DescribeConfigsResult::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
                    .with_configs(vec![config.clone()])
            });
            DescribeConfigsResponse::default().with_results(results.collect())
        },
        told: |answer| {
            let results = answer.results.iter();
            results
                .map(|result| {
                    assert_eq!(result.resource_type, TOPIC);
                    (result.resource_name.to_string(), result.error_code)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn configuration_that_is_written() {
    Case::<AlterConfigsRequest> {
        versions: 0..=2,
        request: |names, _| {
            let config = alter::AlterableConfig::default().with_name(text("retention.ms"));
            let resources = names.iter().map(|name| {
                alter::AlterConfigsResource::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
                    .with_configs(vec![config.clone()])
            });
            AlterConfigsRequest::default().with_resources(resources.collect())
        },
        named: |request| request.resources.iter().map(|r| r.resource_name.to_string()).collect(),
        answer: |names, _| {
            let responses = names.iter().map(|name| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
            });
            AlterConfigsResponse::default().with_responses(responses.collect())
        },
        told: |answer| {
            let responses = answer.responses.iter();
            responses
                .map(|response| {
                    assert_eq!(response.resource_type, TOPIC);
                    (response.resource_name.to_string(), response.error_code)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
    Case::<IncrementalAlterConfigsRequest> {
        versions: 0..=1,
        request: |names, _| {
            let config = incremental::AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_config_operation(1)
                .with_value(Some(text("1000")));
            let resources = names.iter().map(|name| {
                incremental::AlterConfigsResource::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
                    .with_configs(vec![config.clone()])
            });
            IncrementalAlterConfigsRequest::default().with_resources(resources.collect())
        },
        named: |request| request.resources.iter().map(|r| r.resource_name.to_string()).collect(),
        answer: |names, _| {
            let responses = names.iter().map(|name| {
                incremented::AlterConfigsResourceResponse::default()
                    .with_resource_type(TOPIC)
                    .with_resource_name(text(name))
            });
            IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
        },
        told: |answer| {
            let responses = answer.responses.iter();
            responses.map(|r| (r.resource_name.to_string(), r.error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

/// Each resource is refused by an error of its kind; what is no topic and no group is the broker's.
#[test]
fn configuration_of_what_is_no_topic() {
    let check = |kind: i8, name: &str, rules: bool, expect: Option<i16>| {
        let mut connection = Connection::new();
        connection.judge.rules = rules;
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name));
        connection.ask(&DescribeConfigsRequest::default().with_resources(vec![resource]), 4);
        let answer = connection.answered::<DescribeConfigsRequest>(4);
        let told = answer.map(|(_, answer)| {
            let result = &answer.results[0];
            assert_eq!((result.resource_type, result.resource_name.as_str()), (kind, name));
            result.error_code
        });
        assert_eq!(told, expect, "{kind} {name}");
        assert_eq!(connection.forwarded_frame().is_none(), expect.is_some(), "{kind} {name}");
    };
    check(TOPIC, "own", false, None);
    check(TOPIC, "theirs", true, Some(29));
    check(32, "own", false, None);
    check(32, "theirs", true, Some(30));
    for broker in [0, 1, 4, 8, 16, 64, -1] {
        check(broker, "own", false, Some(31));
        check(broker, "1", true, None);
    }
}

fn elected(names: &[&str]) -> ElectLeadersRequest {
    let topics = names
        .iter()
        .map(|name| TopicPartitions::default().with_topic(topic(name)).with_partitions(vec![0, 7]));
    ElectLeadersRequest::default().with_topic_partitions(Some(topics.collect()))
}

#[test]
fn electing_leaders() {
    Case::<ElectLeadersRequest> {
        versions: 0..=2,
        request: |names, _| elected(names),
        named: |request| {
            let topics = request.topic_partitions.iter().flatten();
            topics.map(|topic| topic.topic.to_string()).collect()
        },
        answer: |names, _| {
            let partition = |id| PartitionResult::default().with_partition_id(id);
            let results = names.iter().map(|name| {
                ReplicaElectionResult::default()
                    .with_topic(topic(name))
                    .with_partition_result(vec![partition(0), partition(7)])
            });
            ElectLeadersResponse::default().with_replica_election_results(results.collect())
        },
        told: |answer| {
            let results = answer.replica_election_results.iter();
            results
                .map(|result| {
                    let told: Vec<_> = result
                        .partition_result
                        .iter()
                        .map(|p| (p.partition_id, p.error_code))
                        .collect();
                    assert_eq!(told, [(0, told[0].1), (7, told[0].1)]);
                    (result.topic.to_string(), told[0].1)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn moving_partitions() {
    Case::<AlterPartitionReassignmentsRequest> {
        versions: 0..=1,
        request: |names, _| {
            let partition = ReassignablePartition::default()
                .with_partition_index(3)
                .with_replicas(Some(vec![BrokerId(1), BrokerId(2)]));
            let cancelled = ReassignablePartition::default().with_replicas(None);
            let topics = names.iter().map(|name| {
                ReassignableTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition.clone(), cancelled.clone()])
            });
            AlterPartitionReassignmentsRequest::default().with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition =
                |index| ReassignablePartitionResponse::default().with_partition_index(index);
            let responses = names.iter().map(|name| {
                ReassignableTopicResponse::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition(3), partition(0)])
            });
            AlterPartitionReassignmentsResponse::default().with_responses(responses.collect())
        },
        told: |answer| {
            let responses = answer.responses.iter();
            responses
                .map(|topic| {
                    let told: Vec<_> = topic
                        .partitions
                        .iter()
                        .map(|p| (p.partition_index, p.error_code))
                        .collect();
                    assert_eq!(told, [(3, told[0].1), (0, told[0].1)]);
                    (topic.name.to_string(), told[0].1)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn producers_of_topics() {
    Case::<DescribeProducersRequest> {
        versions: 0..=0,
        request: |names, _| {
            let topics = names.iter().map(|name| {
                TopicRequest::default().with_name(topic(name)).with_partition_indexes(vec![0, 7])
            });
            DescribeProducersRequest::default().with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition = |index| {
                PartitionResponse::default()
                    .with_partition_index(index)
                    .with_active_producers(vec![ProducerState::default()])
            };
            let topics = names.iter().map(|name| {
                TopicResponse::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition(0), partition(7)])
            });
            DescribeProducersResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            let topics = answer.topics.iter();
            topics
                .map(|topic| {
                    let told: Vec<_> = topic
                        .partitions
                        .iter()
                        .map(|p| (p.partition_index, p.error_code))
                        .collect();
                    assert_eq!(told, [(0, told[0].1), (7, told[0].1)]);
                    (topic.name.to_string(), told[0].1)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn directories_of_replicas() {
    Whole::<AlterReplicaLogDirsRequest> {
        versions: 1..=2,
        request: |name, _| {
            let topics =
                AlterReplicaLogDirTopic::default().with_name(topic(name)).with_partitions(vec![3]);
            let dir =
                AlterReplicaLogDir::default().with_path(text("/disk")).with_topics(vec![topics]);
            AlterReplicaLogDirsRequest::default().with_dirs(vec![dir.clone(), dir])
        },
        errors: |answer| {
            let partitions = answer.results.iter().flat_map(|result| &result.partitions);
            partitions.map(|partition| partition.error_code).collect()
        },
        refusal: 29,
    }
    .check();
    Whole::<DescribeLogDirsRequest> {
        versions: 1..=4,
        request: |name, _| {
            let topics = [name, "own-b"].map(|name| {
                DescribableLogDirTopic::default().with_topic(topic(name)).with_partitions(vec![3])
            });
            DescribeLogDirsRequest::default().with_topics(Some(topics.to_vec()))
        },
        errors: |answer| {
            let mut errors: Vec<i16> = answer.results.iter().map(|dir| dir.error_code).collect();
            if errors.is_empty() {
                errors.push(answer.error_code);
            }
            errors
        },
        refusal: 29,
    }
    .check();
}

#[test]
fn one_topic_that_is_refused_keeps_all_replicas_where_they_are() {
    let mut connection = Connection::new();
    let topics = ["own-a", "theirs"].map(|name| {
        AlterReplicaLogDirTopic::default().with_name(topic(name)).with_partitions(vec![3])
    });
    let dirs = topics.map(|topic| AlterReplicaLogDir::default().with_topics(vec![topic]));
    connection.ask(&AlterReplicaLogDirsRequest::default().with_dirs(dirs.to_vec()), 2);
    assert!(connection.forwarded_frame().is_none());
    let (_, answer) = connection.answered::<AlterReplicaLogDirsRequest>(2).unwrap();
    let told =
        answer.results.iter().map(|r| (r.topic_name.to_string(), r.partitions[0].error_code));
    assert_eq!(told.collect::<Vec<_>>(), [("own-a".to_owned(), 55), ("theirs".to_owned(), 29)]);
}

#[test]
fn partitions_that_are_moving() {
    Whole::<ListPartitionReassignmentsRequest> {
        versions: 0..=0,
        request: |name, _| {
            let topics = [name, "own-b"].map(|name| {
                ListPartitionReassignmentsTopics::default()
                    .with_name(topic(name))
                    .with_partition_indexes(vec![3])
            });
            ListPartitionReassignmentsRequest::default().with_topics(Some(topics.to_vec()))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 29,
    }
    .check();
}

/// Where a request names no topics it is about all of them, and so is an empty list, which brokers may take for that.
#[test]
fn what_names_no_topic_needs_all_of_them() {
    for (is_null, also, allowed) in
        [(true, "x", false), (false, "x", false), (true, "*", true), (false, "*", true)]
    {
        let mut connection = Connection::new();
        connection.judge.rules = true;
        connection.judge.also.push(also.to_owned());
        let elect = elected(&[]);
        let elect = if is_null { elect.with_topic_partitions(None) } else { elect };
        connection.ask(&elect, 2);
        assert_eq!(connection.forwarded_frame().is_some(), allowed);
        let topics = (!is_null).then(Vec::new);
        connection.ask(&ListPartitionReassignmentsRequest::default().with_topics(topics), 0);
        assert_eq!(connection.forwarded_frame().is_some(), allowed);
        let topics = (!is_null).then(Vec::new);
        connection.ask(&DescribeLogDirsRequest::default().with_topics(topics), 4);
        assert_eq!(connection.forwarded_frame().is_some(), allowed);
        if !allowed {
            let (_, answer) = connection.answered::<ElectLeadersRequest>(2).unwrap();
            assert_eq!(answer.error_code, 29);
            let (_, answer) = connection.answered::<ListPartitionReassignmentsRequest>(0).unwrap();
            assert_eq!(answer.error_code, 29);
            let (_, answer) = connection.answered::<DescribeLogDirsRequest>(4).unwrap();
            assert_eq!(answer.error_code, 29);
        }
    }
}
