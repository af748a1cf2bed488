//! What concerns the broker as a whole: access lists, tokens, quotas, users, features, all transactions.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_delegation_token_request::CreatableRenewers;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_delegation_token_request::DescribeDelegationTokenOwner;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest,
    CreateDelegationTokenRequest, DeleteAclsRequest, DescribeAclsRequest,
    DescribeClientQuotasRequest, DescribeDelegationTokenRequest, DescribeTransactionsRequest,
    DescribeUserScramCredentialsRequest, ExpireDelegationTokenRequest, ListConfigResourcesRequest,
    ListTransactionsRequest, RenewDelegationTokenRequest, TransactionalId, UpdateFeaturesRequest,
};

use crate::connection::{Connection, text};
use crate::whole::Whole;

#[test]
fn access_lists() {
    Whole::<DescribeAclsRequest> {
        versions: 1..=3,
        request: |name, _| {
            DescribeAclsRequest::default()
                .with_resource_type_filter(2)
                .with_resource_name_filter(Some(text(name)))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<CreateAclsRequest> {
        versions: 1..=3,
        request: |name, _| {
            let entry = AclCreation::default()
                .with_resource_type(2)
                .with_resource_name(text(name))
                .with_principal(text("User:*"));
            CreateAclsRequest::default().with_creations(vec![entry.clone(), entry])
        },
        errors: |answer| {
            assert_eq!(answer.results.len(), 2, "each entry has its answer");
            answer.results.iter().map(|result| result.error_code).collect()
        },
        refusal: 31,
    }
    .check();
    Whole::<DeleteAclsRequest> {
        versions: 1..=3,
        request: |_, _| {
            let filters = vec![DeleteAclsFilter::default(); 3];
            DeleteAclsRequest::default().with_filters(filters)
        },
        errors: |answer| {
            assert_eq!(answer.filter_results.len(), 3, "each filter has its answer");
            answer.filter_results.iter().map(|result| result.error_code).collect()
        },
        refusal: 31,
    }
    .check();
}

#[test]
fn delegation_tokens() {
    Whole::<CreateDelegationTokenRequest> {
        versions: 1..=3,
        request: |name, _| {
            let renewer = CreatableRenewers::default().with_principal_name(text(name));
            CreateDelegationTokenRequest::default().with_renewers(vec![renewer])
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<RenewDelegationTokenRequest> {
        versions: 1..=2,
        request: |_, _| RenewDelegationTokenRequest::default(),
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<ExpireDelegationTokenRequest> {
        versions: 1..=2,
        request: |_, _| ExpireDelegationTokenRequest::default(),
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<DescribeDelegationTokenRequest> {
        versions: 1..=3,
        request: |name, _| {
            let owner = DescribeDelegationTokenOwner::default().with_principal_name(text(name));
            DescribeDelegationTokenRequest::default()
                .with_owners((name == "own").then(|| vec![owner]))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
}

#[test]
fn quotas() {
    Whole::<DescribeClientQuotasRequest> {
        versions: 0..=1,
        request: |name, _| {
            let component = ComponentData::default().with_entity_type(text(name));
            DescribeClientQuotasRequest::default().with_components(vec![component])
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<AlterClientQuotasRequest> {
        versions: 0..=1,
        request: |name, _| {
            let part =
                |name| EntityData::default().with_entity_type(text("user")).with_entity_name(name);
            let entry = EntryData::default()
                .with_entity(vec![part(Some(text(name))), part(None)])
                .with_ops(vec![OpData::default().with_key(text("producer_byte_rate"))]);
            AlterClientQuotasRequest::default().with_entries(vec![entry])
        },
        errors: |answer| {
            let entity = answer.entries[0].entity.iter();
            let names: Vec<_> = entity.map(|part| part.entity_name.as_ref()).collect();
            assert_eq!(names, [Some(&text("theirs")), None], "whose answer it is");
            answer.entries.iter().map(|entry| entry.error_code).collect()
        },
        refusal: 31,
    }
    .check();
}

#[test]
fn credentials() {
    Whole::<DescribeUserScramCredentialsRequest> {
        versions: 0..=0,
        request: |name, _| {
            let user = UserName::default().with_name(text(name));
            DescribeUserScramCredentialsRequest::default()
                .with_users((name == "own").then(|| vec![user]))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<AlterUserScramCredentialsRequest> {
        versions: 0..=0,
        request: |name, _| {
            let gone = ScramCredentialDeletion::default().with_name(text("one"));
            let made = ScramCredentialUpsertion::default().with_name(text(name));
            AlterUserScramCredentialsRequest::default()
                .with_deletions(vec![gone])
                .with_upsertions(vec![made])
        },
        errors: |answer| {
            let users: Vec<_> = answer.results.iter().map(|result| result.user.as_str()).collect();
            assert_eq!(users, ["one", "theirs"], "each user has an answer");
            answer.results.iter().map(|result| result.error_code).collect()
        },
        refusal: 31,
    }
    .check();
}

#[test]
fn features_transactions_and_resources() {
    Whole::<UpdateFeaturesRequest> {
        versions: 0..=2,
        request: |name, _| {
            let update = FeatureUpdateKey::default().with_feature(text(name));
            UpdateFeaturesRequest::default().with_feature_updates(vec![update])
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<DescribeTransactionsRequest> {
        versions: 0..=0,
        request: |name, _| {
            let ids = ["own", name].map(|name| TransactionalId(text(name)));
            DescribeTransactionsRequest::default().with_transactional_ids(ids.to_vec())
        },
        errors: |answer| {
            let states = answer.transaction_states.iter();
            let ids: Vec<_> = states.map(|state| state.transactional_id.to_string()).collect();
            assert_eq!(ids, ["own", "theirs"]);
            answer.transaction_states.iter().map(|state| state.error_code).collect()
        },
        refusal: 31,
    }
    .check();
    Whole::<ListTransactionsRequest> {
        versions: 0..=2,
        request: |_, version| {
            ListTransactionsRequest::default()
                .with_transactional_id_pattern((version >= 2).then(|| text(".*")))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
    Whole::<ListConfigResourcesRequest> {
        versions: 0..=1,
        request: |_, version| {
            let kinds = if version == 0 { Vec::new() } else { vec![2, 4] };
            ListConfigResourcesRequest::default().with_resource_types(kinds)
        },
        errors: |answer| vec![answer.error_code],
        refusal: 31,
    }
    .check();
}

/// Who may administer all topics does not administer the broker by that, which is asked about without a topic.
#[test]
fn the_broker_is_no_topic() {
    let mut connection = Connection::new();
    connection.judge.also.push("*".to_owned());
    connection.ask(&CreateAclsRequest::default().with_creations(vec![AclCreation::default()]), 3);
    assert!(connection.forwarded_frame().is_none());
    assert_eq!(connection.judge.asked, ["admin "]);
}
