//! Every target over its seeds and changed seeds: an ordinary test, so that no target rots.

use postern_fuzz::{TARGETS, exercise};

/// Changed inputs for each target: about a second in an unoptimized build.
const ROUNDS: u64 = 20_000;

fn run(name: &str) {
    let (_, target) =
        TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
    exercise(name, *target, ROUNDS);
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_here_and_has_its_program() {
            let here = [$(stringify!($name)),*];
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(here.to_vec(), known);
            for name in here {
                let program = format!("{}/fuzz_targets/{name}.rs", env!("CARGO_MANIFEST_DIR"));
                let text = std::fs::read_to_string(&program).expect(&program);
                assert!(text.contains(&format!("targets::{name}(data)")), "{program}");
            }
        }
    };
}

targets!(config resources spiffe_id leaf crl path gate raw_http1 sniff client_hello token jwks review service traceparent proxy_protocol store_reply revocations
    provider_metadata oauth_callback oauth_error token_answer id_token logout_token introspection_answer
    sealed_cookie session sign_in_flow return_target cookie_header
    api_description api_request threat_request threat_rules
    nats_session mqtt_session kafka_session);
