#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use super::*;

#[test]
fn what_each_request_needs() {
    for (api, body, expect) in [
        ("INFO", "", "describe"),
        ("STREAM.NAMES", "", "describe topic >"),
        ("STREAM.LIST", r#"{"subject":"a.b","offset":0}"#, "describe topic >"),
        ("STREAM.NAMES", r#"{"subject":"a.b","offset":0}"#, "describe topic a.b"),
        ("STREAM.INFO.S", "", "describe stream S"),
        ("STREAM.INFO.S", r#"{"subjects_filter":"a.>","offset":5}"#, "describe topic a.> stream S"),
        ("CONSUMER.NAMES.S", "", "describe stream S"),
        ("CONSUMER.LIST.S", "{}", "describe stream S"),
        ("CONSUMER.INFO.S.c", "", "describe stream S"),
        ("CONSUMER.MSG.NEXT.S.c", "5", "subscribe stream S"),
        ("CONSUMER.DELETE.S.c", "", "delete stream S"),
        ("CONSUMER.PAUSE.S.c", "", "admin stream S"),
        ("CONSUMER.UNPIN.S.c", "", "admin stream S"),
        ("CONSUMER.RESET.S.c", "", "admin stream S"),
        ("STREAM.DELETE.S", "", "admin stream S"),
        ("STREAM.PURGE.S", "", "admin stream S"),
        ("STREAM.SNAPSHOT.S", "", "admin stream S"),
        ("STREAM.MSG.DELETE.S", "", "admin stream S"),
        ("STREAM.PEER.REMOVE.S", "", "admin stream S"),
        ("STREAM.LEADER.STEPDOWN.S", "", "admin stream S"),
        ("DIRECT.GET.S.a.b", "", "subscribe topic a.b stream S"),
        ("DIRECT.GET.S", r#"{"seq":1}"#, "subscribe topic > stream S"),
        ("ACCOUNT.PURGE.A", "", "admin topic $JS.API.ACCOUNT.PURGE.A"),
        ("META.LEADER.STEPDOWN", "", "admin topic $JS.API.META.LEADER.STEPDOWN"),
        ("SERVER.REMOVE", "", "admin topic $JS.API.SERVER.REMOVE"),
        ("STREAM.INFO.S.x", "", "admin topic $JS.API.STREAM.INFO.S.x"),
        ("CONSUMER.MSG.NEXT.S.c.x", "", "admin topic $JS.API.CONSUMER.MSG.NEXT.S.c.x"),
        ("", "", "admin topic $JS.API."),
    ] {
        let call = call(api, body.as_bytes()).unwrap();
        let [need] = call.needs.as_slice() else {
            panic!("{api} needs {:?}", call.needs);
        };
        let mut words = need.operation.as_str().to_owned();
        for (kind, name) in [("topic", &need.topic), ("stream", &need.stream)] {
            if let Some(name) = name {
                words.extend([" ", kind, " ", name]);
            }
        }
        assert_eq!(words, expect, "{api}");
    }
}

#[test]
fn all_that_a_pattern_with_placeholders_can_become() {
    for (pattern, expect) in [
        ("a.b", "a.b"),
        ("a.*", "a.*"),
        ("a.>", "a.>"),
        ("a.$1.b", "a.>"),
        ("a.{{wildcard(1)}}.b", "a.>"),
        ("a.x{{split(1,-)}}", "a.>"),
        ("$2.a", ">"),
        ("{{ partition(3,1) }}", ">"),
        ("$KV.a", "$KV.a"),
    ] {
        assert_eq!(reach(pattern), expect, "{pattern}");
    }
}

#[test]
fn wildcards_only_in_the_filter_of_a_consumer() {
    for (api, expect) in [
        ("STREAM.INFO.S", true),
        ("STREAM.INFO.*", false),
        ("STREAM.INFO.>", false),
        ("STREAM.INFO.", false),
        ("CONSUMER.CREATE.S.c", true),
        ("CONSUMER.CREATE.S.c.a.b", true),
        ("CONSUMER.CREATE.S.c.a.*", true),
        ("CONSUMER.CREATE.S.c.>", true),
        ("CONSUMER.CREATE.S.c.>.a", false),
        ("CONSUMER.CREATE.S.c.a..b", false),
        ("CONSUMER.CREATE.S.c.", false),
        ("CONSUMER.CREATE.*.c.a", false),
        ("CONSUMER.CREATE.S.*.a", false),
        ("CONSUMER.CREATE.S.>", false),
        ("CONSUMER.MSG.NEXT.S.*", false),
        ("DIRECT.GET.S.a.*", false),
    ] {
        assert_eq!(is_request(api), expect, "{api}");
    }
}
