use super::*;

fn refused(connection: &mut Connection, subject: &str, body: &str) {
    connection.refuses(&message(subject, body), &no_publish(subject));
}

#[test]
fn consuming_is_by_stream() {
    let consume = || vec![allow_streams("subscribe", &["S"])];
    for (subject, body, allowed) in [
        ("$JS.API.CONSUMER.CREATE.S.c", r#"{"stream_name":"S","config":{"name":"c"}}"#, true),
        ("$JS.API.CONSUMER.MSG.NEXT.S.c", "5", true),
        ("$JS.hub.API.CONSUMER.MSG.NEXT.S.c", "5", true),
        ("$JS.API.DIRECT.GET.S.orders.new", "", true),
        ("$JS.API.STREAM.INFO.S", "", true),
        ("$JS.ACK.S.c.1.2.3.4.5", "+ACK", true),
        ("$JS.ACK._.acc.S.c.1.2.3.4.5.x", "+ACK", true),
        ("$JS.FC.S.c.x", "", true),
        ("$JS.API.INFO", "", true),
        ("$JS.API.CONSUMER.CREATE.T.c", r#"{"stream_name":"T","config":{"name":"c"}}"#, false),
        ("$JS.API.CONSUMER.MSG.NEXT.T.c", "5", false),
        ("$JS.hub.API.CONSUMER.MSG.NEXT.T.c", "5", false),
        ("$JS.API.DIRECT.GET.T.orders.new", "", false),
        ("$JS.API.STREAM.INFO.T", "", false),
        ("$JS.ACK.T.c.1.2.3.4.5", "+ACK", false),
        ("$JS.ACK._.acc.T.c.1.2.3.4.5.x", "+ACK", false),
        ("$JS.FC.T.c.x", "", false),
        ("$JS.API.STREAM.DELETE.S", "", false),
        ("$JS.API.STREAM.PURGE.S", "", false),
        ("$JS.API.STREAM.MSG.DELETE.S", r#"{"seq":1}"#, false),
        ("$JS.API.STREAM.SNAPSHOT.S", "{}", false),
        ("$JS.API.CONSUMER.DELETE.S.other", "", false),
        ("$JS.API.CONSUMER.PAUSE.S.c", "{}", false),
        ("$JS.API.STREAM.LIST", "", false),
        ("$JS.API.META.LEADER.STEPDOWN", "", false),
        ("$JS.API.SERVER.REMOVE", "{}", false),
        ("$JS.API.ACCOUNT.PURGE.A", "", false),
        ("$JS.API.WHATEVER.COMES", "", false),
        ("$JS.API.STREAM.*.S", "", false),
    ] {
        let mut connection = Connection::of(consume());
        if allowed {
            connection.passes(&message(subject, body));
            connection.passes(&with_headers(subject, "A: b\r\n", body));
        } else {
            refused(&mut connection, subject, body);
            connection.refuses(&with_headers(subject, "A: b\r\n", body), &no_publish(subject));
        }
    }
}

#[test]
fn to_ask_for_a_consumer_is_no_right_to_remove_it() {
    let subscribe = || allow_streams("subscribe", &["S"]);
    let mut connection = Connection::of(vec![subscribe()]);
    connection.passes("SUB _INBOX.shop.cart.r 1\r\n");
    let create = message(
        "$JS.API.CONSUMER.CREATE.S.billing _INBOX.shop.cart.r",
        r#"{"stream_name":"S","config":{"name":"billing"}}"#,
    );
    // Whatever answers: who speaks there, nobody knows.
    for answer in [r#"{"error":{"err_code":10148}}"#, r#"{"type":"io.nats.jetstream.api.v1.x"}"#] {
        connection.passes(&create);
        connection.delivers(&format!("MSG _INBOX.shop.cart.r 1 {}\r\n{answer}\r\n", answer.len()));
        refused(&mut connection, "$JS.API.CONSUMER.DELETE.S.billing", "");
    }
    let mut connection = Connection::of(vec![subscribe(), allow_streams("delete", &["S"])]);
    connection.passes(&message("$JS.API.CONSUMER.DELETE.S.billing", ""));
    refused(&mut connection, "$JS.API.STREAM.DELETE.S", "");
}

#[test]
fn a_consumer_gets_what_its_filters_say() {
    let some = || vec![Clause { topics: vec!["orders.new"], ..allow_streams("subscribe", &["S"]) }];
    for (subject, config, allowed) in [
        ("CREATE.S.c", r#"{"filter_subject":"orders.new"}"#, true),
        ("CREATE.S.c.orders.new", r#"{"filter_subject":"orders.new"}"#, true),
        ("DURABLE.CREATE.S.c", r#"{"durable_name":"c","filter_subjects":["orders.new"]}"#, true),
        ("CREATE.S", r#"{"filter_subject":"orders.new"}"#, true),
        ("CREATE.S.c.orders.*", r#"{"filter_subject":"orders.*"}"#, false),
        ("CREATE.S.c", "{}", false),
        ("CREATE.S", "{}", false),
        ("CREATE.S.c", r#"{"filter_subject":""}"#, false),
        ("CREATE.S.c", r#"{"filter_subjects":[]}"#, false),
        ("CREATE.S.c", r#"{"filter_subjects":[""]}"#, false),
        ("CREATE.S.c", r#"{"filter_subject":"orders.>"}"#, false),
        ("CREATE.S.c", r#"{"filter_subjects":["orders.new","orders.old"]}"#, false),
        ("CREATE.T.c", r#"{"filter_subject":"orders.new"}"#, false),
    ] {
        let mut connection = Connection::of(some());
        let stream = if subject.contains(".T.") { "T" } else { "S" };
        let subject = format!("$JS.API.CONSUMER.{subject}");
        let body = format!(r#"{{"stream_name":"{stream}","config":{config}}}"#);
        if allowed {
            connection.passes(&message(&subject, &body));
        } else {
            refused(&mut connection, &subject, &body);
        }
    }
}

#[test]
fn a_filter_with_wildcards_may_stand_in_the_subject() {
    let clauses =
        vec![Clause { topics: vec!["$KV.cfg.>"], ..allow_streams("subscribe", &["KV_cfg"]) }];
    let mut connection = Connection::of(clauses);
    let body = r#"{"stream_name":"KV_cfg","config":{"filter_subject":"$KV.cfg.>"}}"#;
    connection.passes(&message("$JS.API.CONSUMER.CREATE.KV_cfg.c.$KV.cfg.>", body));
    let other = "$JS.API.CONSUMER.CREATE.KV_cfg.c.$KV.*.>";
    let body = r#"{"stream_name":"KV_cfg","config":{"filter_subject":"$KV.*.>"}}"#;
    refused(&mut connection, other, body);
}

#[test]
fn a_consumer_delivers_to_ones_own_inbox_or_where_one_may_publish() {
    for (deliver, allowed) in [
        ("_INBOX.shop.cart.d", true),
        ("mine.d", true),
        ("_INBOX.shop.orders.d", false),
        ("_INBOX.d", false),
        ("theirs.d", false),
        ("mine.*", false),
        ("$JS.API.STREAM.DELETE.S", false),
        ("$SYS.REQ.x", false),
    ] {
        let clauses = vec![allow_streams("subscribe", &["S"]), allow("publish", &["mine.>"])];
        let mut connection = Connection::of(clauses);
        let body = format!(
            r#"{{"stream_name":"S","config":{{"name":"c","deliver_subject":"{deliver}"}}}}"#
        );
        if allowed {
            connection.passes(&message("$JS.API.CONSUMER.CREATE.S.c", &body));
        } else {
            refused(&mut connection, "$JS.API.CONSUMER.CREATE.S.c", &body);
        }
    }
}

#[test]
fn cve_2026_33249_a_snapshot_is_delivered_where_a_consumer_would_be() {
    for (deliver, allowed) in [
        ("_INBOX.shop.cart.d", true),
        ("mine.d", true),
        ("_INBOX.shop.orders.d", false),
        ("theirs.d", false),
        ("mine.>", false),
        ("$JS.API.STREAM.DELETE.OTHER", false),
        ("$JS.ACK.S.c.1.2.3.4.5", false),
    ] {
        let clauses = vec![allow_streams("admin", &["S"]), allow("publish", &["mine.>"])];
        let mut connection = Connection::of(clauses);
        let body = format!(r#"{{"deliver_subject":"{deliver}","chunk_size":1024}}"#);
        if allowed {
            connection.passes(&message("$JS.API.STREAM.SNAPSHOT.S", &body));
        } else {
            refused(&mut connection, "$JS.API.STREAM.SNAPSHOT.S", &body);
        }
    }
}

#[test]
fn the_subjects_of_a_stream_are_seen_by_whoever_may_know_of_them() {
    let some = || vec![Clause { topics: vec!["orders.new"], ..allow_streams("subscribe", &["S"]) }];
    for (subject, body, allowed) in [
        ("STREAM.INFO.S", "", true),
        ("STREAM.INFO.S", r#"{"deleted_details":true}"#, true),
        ("STREAM.INFO.S", r#"{"subjects_filter":"orders.new"}"#, true),
        ("STREAM.INFO.S", r#"{"subjects_filter":">"}"#, false),
        ("STREAM.INFO.S", r#"{"subjects_filter":"orders.*"}"#, false),
        ("STREAM.NAMES", r#"{"subject":"orders.new"}"#, true),
        ("STREAM.LIST", r#"{"subject":"orders.new"}"#, false),
    ] {
        let mut connection = Connection::of(some());
        let subject = format!("$JS.API.{subject}");
        if allowed {
            connection.passes(&message(&subject, body));
        } else {
            refused(&mut connection, &subject, body);
        }
    }
}

#[test]
fn a_stream_takes_in_and_gives_out_what_policy_allows() {
    let make = || {
        vec![
            Clause { topics: vec!["orders.>", "S"], ..allow_streams("create", &["S"]) },
            allow_streams("subscribe", &["S", "SOURCE"]),
            allow("publish", &["again.>"]),
        ]
    };
    for (config, allowed) in [
        (r#""subjects":["orders.new"]"#, true),
        (r#""subjects":["orders.>","orders.new"],"max_msgs":5,"storage":"file""#, true),
        (r#""max_msgs":5"#, true),
        (r#""mirror":{"name":"SOURCE"}"#, true),
        (r#""sources":[{"name":"SOURCE","filter_subject":"x"}]"#, true),
        (r#""subjects":["orders.>"],"republish":{"src":">","dest":"again.>"}"#, true),
        (r#""subjects":["orders.>"],"republish":{"dest":"again.{{wildcard(1)}}"}"#, true),
        (
            r#""subjects":["orders.>"],"subject_transform":{"src":"orders.*","dest":"orders.x.$1"}"#,
            true,
        ),
        (r#""subjects":["payments.>"]"#, false),
        (r#""subjects":["orders.>","payments.new"]"#, false),
        (r#""subjects":[">"]"#, false),
        (r#""sources":[]"#, true),
        (r#""sources":[{"name":"SOURCE","consumer":{"name":"c"}}]"#, false),
        (
            r#""mirror":{"name":"SOURCE","consumer":{"name":"c","deliver_subject":"again.x"}}"#,
            false,
        ),
        (r#""mirror":{"name":"OTHER"}"#, false),
        (r#""sources":[{"name":"SOURCE"},{"name":"OTHER"}]"#, false),
        (r#""mirror":{"name":"SOURCE","external":{"api":"$JS.hub.API","deliver":"x"}}"#, false),
        (r#""subjects":["orders.>"],"republish":{"dest":"payments.>"}"#, false),
        (r#""subjects":["orders.>"],"republish":{"dest":">"}"#, false),
        (r#""subjects":["orders.>"],"republish":{"dest":"{{wildcard(1)}}.x"}"#, false),
        (
            r#""subjects":["orders.>"],"republish":{"dest":"$JS.API.STREAM.DELETE.{{wildcard(1)}}"}"#,
            false,
        ),
        (
            r#""subjects":["orders.>"],"subject_transform":{"src":"orders.*","dest":"payments.$1"}"#,
            false,
        ),
        (r#""subjects":["orders.>"],"subject_transform":{"src":"orders.*","dest":"$1.x"}"#, false),
    ] {
        let body = format!(r#"{{"name":"S",{config}}}"#);
        for verb in ["CREATE", "UPDATE"] {
            let mut connection = Connection::of(make());
            let subject = format!("$JS.API.STREAM.{verb}.S");
            if allowed {
                connection.passes(&message(&subject, &body));
            } else {
                refused(&mut connection, &subject, &body);
            }
        }
    }
    let mut connection = Connection::of(make());
    refused(
        &mut connection,
        "$JS.API.STREAM.CREATE.T",
        r#"{"name":"T","subjects":["orders.new"]}"#,
    );
}

#[test]
fn what_a_stream_copies_and_takes_in_is_all_that_it_could() {
    let create = || allow_streams("create", &["S"]);
    let some = || Clause { topics: vec!["orders.new"], ..allow_streams("subscribe", &["SOURCE"]) };
    let to_orders = || allow("create", &["orders.>"]);
    let whole = || allow_streams("subscribe", &["SOURCE"]);
    let admin = || allow_streams("admin", &["SOURCE"]);
    let transformed = r#""sources":[{"name":"SOURCE","subject_transforms":[{"src":"orders.new","dest":"orders.x"}]}]"#;
    let without_src = r#""sources":[{"name":"SOURCE","subject_transforms":[{"src":"orders.new","dest":"orders.x"},{"dest":"orders.y"}]}]"#;
    let of_consumer = r#""sources":[{"name":"SOURCE","consumer":{"name":"c"},"subject_transforms":[{"src":"orders.new","dest":"orders.x"}]}]"#;
    for (config, clauses, allowed) in [
        (transformed, vec![create(), some(), to_orders()], true),
        (without_src, vec![create(), some(), to_orders()], false),
        (without_src, vec![create(), whole(), to_orders()], true),
        (of_consumer, vec![create(), some(), to_orders()], false),
        (of_consumer, vec![create(), some(), to_orders(), admin()], false),
        (of_consumer, vec![create(), whole(), to_orders()], false),
        (of_consumer, vec![create(), whole(), to_orders(), admin()], true),
        // Without anything to copy, it takes in what has its name.
        (r#""sources":[]"#, vec![create()], false),
        (r#""sources":[]"#, vec![create(), allow("create", &["S"])], true),
        (r#""sources":null,"mirror":null"#, vec![create()], false),
    ] {
        let mut connection = Connection::of(clauses);
        let body = format!(r#"{{"name":"S",{config}}}"#);
        if allowed {
            connection.passes(&message("$JS.API.STREAM.CREATE.S", &body));
        } else {
            refused(&mut connection, "$JS.API.STREAM.CREATE.S", &body);
        }
    }
}

#[test]
fn a_stream_without_subjects_of_the_policy_takes_in_none() {
    let mut connection = Connection::of(vec![allow_streams("create", &["S"])]);
    let body = r#"{"name":"S","subjects":["payments.>"]}"#;
    refused(&mut connection, "$JS.API.STREAM.CREATE.S", body);
    assert_eq!(connection.asked(), ["+create S", "-create payments.>"]);
}

#[test]
fn messages_are_read_by_stream_and_subject() {
    let some = || vec![Clause { topics: vec!["orders.new"], ..allow_streams("subscribe", &["S"]) }];
    for (subject, body, allowed) in [
        ("STREAM.MSG.GET.S", r#"{"last_by_subj":"orders.new"}"#, true),
        ("DIRECT.GET.S", r#"{"seq":1,"next_by_subj":"orders.new"}"#, true),
        ("DIRECT.GET.S", r#"{"multi_last":["orders.new"]}"#, true),
        ("DIRECT.GET.S.orders.new", "", true),
        ("STREAM.MSG.GET.S", r#"{"seq":5}"#, false),
        ("DIRECT.GET.S", r#"{"seq":5}"#, false),
        ("DIRECT.GET.S", "", false),
        ("DIRECT.GET.S", r#"{"multi_last":["orders.new","orders.old"]}"#, false),
        ("DIRECT.GET.S", r#"{"multi_last":[],"seq":1}"#, false),
        ("STREAM.MSG.GET.S", r#"{"seq":2,"next_by_subj":"orders.new"}"#, true),
        ("DIRECT.GET.S", r#"{"multi_last":["orders.new"],"up_to_seq":9,"batch":5}"#, true),
        ("DIRECT.GET.S.orders.new", r#"{"no_hdr":true}"#, true),
        ("DIRECT.GET.S", r#"{"seq":2,"multi_last":["orders.new"]}"#, false),
        (
            "DIRECT.GET.S",
            r#"{"start_time":"2026-01-01T00:00:00Z","multi_last":["orders.new"]}"#,
            false,
        ),
        ("DIRECT.GET.S", r#"{"seq":2,"last_by_subj":"orders.new"}"#, false),
        ("STREAM.MSG.GET.S", r#"{"seq":2,"last_by_subj":"orders.new"}"#, false),
        ("STREAM.MSG.GET.S", r#"{"start_time":"2026-01-01T00:00:00Z"}"#, false),
        ("DIRECT.GET.S.orders.old", "", false),
        ("DIRECT.GET.T.orders.new", "", false),
    ] {
        let mut connection = Connection::of(some());
        let subject = format!("$JS.API.{subject}");
        if allowed {
            connection.passes(&message(&subject, body));
        } else {
            refused(&mut connection, &subject, body);
        }
    }
}

#[test]
fn keys_and_objects_are_subjects() {
    let clauses = || vec![allow("publish", &["$KV.cfg.*", "$O.files.>"])];
    for (subject, allowed) in [
        ("$KV.cfg.a", true),
        ("$JS.hub.API.$KV.cfg.a", true),
        ("$O.files.C.x", true),
        ("$KV.other.a", false),
        ("$JS.hub.API.$KV.other.a", false),
        ("$O.other.C.x", false),
    ] {
        let mut connection = Connection::of(clauses());
        if allowed {
            connection.passes(&message(subject, "1"));
        } else {
            refused(&mut connection, subject, "1");
        }
    }
}

#[test]
fn bodies_that_servers_might_read_otherwise_end_the_session() {
    let anything = || {
        let everything = |operation| Clause { streams: vec!["S"], ..allow(operation, &[">"]) };
        ["publish", "subscribe", "create", "admin", "delete"].map(everything).to_vec()
    };
    for (subject, body) in [
        ("STREAM.CREATE.S", r#"{"name":"T"}"#),
        ("STREAM.CREATE.S", "{}"),
        ("STREAM.CREATE.S", ""),
        ("STREAM.CREATE.S", "[]"),
        ("STREAM.CREATE.S", r#"{"name":"S","Subjects":["payments.>"]}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","\u017fubjects":["payments.>"]}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","subjects":["a"],"subjects":["payments.>"]}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","subjects":"payments.>"}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","forward":{"dest":"payments.x"}}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","republish":{"Dest":"payments.x","dest":"a"}}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","republish":{}}"#),
        ("STREAM.CREATE.S", r#"{"name":"S","mirror":{"name":"S","Name":"T"}}"#),
        ("STREAM.CREATE.S", r#"{"name":"S"} {"name":"T"}"#),
        ("CONSUMER.CREATE.S.c", r#"{"stream_name":"T","config":{}}"#),
        ("CONSUMER.CREATE.S.c", r#"{"stream_name":"S","config":{"name":"d"}}"#),
        ("CONSUMER.CREATE.S.c", r#"{"stream_name":"S","config":{"durable_name":"d"}}"#),
        (
            "CONSUMER.CREATE.S.c",
            r#"{"stream_name":"S","config":{"name":"c","Deliver_Subject":"x"}}"#,
        ),
        ("CONSUMER.CREATE.S.c.a.b", r#"{"stream_name":"S","config":{"filter_subject":"a.c"}}"#),
        ("CONSUMER.CREATE.S.c.a.b", r#"{"stream_name":"S","config":{}}"#),
        (
            "CONSUMER.CREATE.S.c.a.b",
            r#"{"stream_name":"S","config":{"filter_subjects":["a.b","a.c"]}}"#,
        ),
        ("CONSUMER.CREATE.S.c", r#"{"stream_name":"S","config":{"direct":true}}"#),
        ("CONSUMER.CREATE.S.c", r#"{"stream_name":"S"}"#),
        ("CONSUMER.CREATE.S.c", "{"),
        ("STREAM.MSG.GET.S", r#"{"Last_by_subj":"x"}"#),
        ("STREAM.MSG.GET.S", r#"{"seq":2,"multi_last":["a"]}"#),
        ("STREAM.MSG.GET.S", r#"{"last_by_subj":"a","batch":5}"#),
        ("DIRECT.GET.S.a", r#"{"seq":2}"#),
        ("STREAM.INFO.S", r#"{"Subjects_filter":">"}"#),
        ("STREAM.SNAPSHOT.S", r#"{"Deliver_subject":"x"}"#),
        ("STREAM.NAMES", r#"{"Subject":"x"}"#),
        ("STREAM.RESTORE.S", r#"{"config":{"name":"T"},"state":{}}"#),
    ] {
        let mut connection = Connection::of(anything());
        let said = message(&format!("$JS.API.{subject}"), body);
        assert!(connection.client(&said).is_err(), "{subject} {body}");
        assert_eq!(connection.said().0, "", "{subject} {body}");
    }
}

#[test]
fn the_end_names_the_field_that_is_not_known() {
    let mut connection = Connection::of(vec![allow_streams("create", &["S"])]);
    let end = connection.client(message("$JS.API.STREAM.CREATE.S", r#"{"name":"S","later":1}"#));
    let reason = "the configuration of a stream has the unknown field \"later\"".to_owned();
    assert_eq!(connection.said().1, format!("-ERR '{reason}'\r\n"));
    assert_eq!(end, Err(SessionEnd::Version(reason)));
}
