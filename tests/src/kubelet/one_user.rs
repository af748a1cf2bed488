//! What a container is handed where only one user id is mapped: a mark in place of the users.

use std::fs;

use serde_json::{Value, json};

use super::variables::Variables;
use crate::config::MARK;

/// Whether only user 0 exists here.
pub(super) fn is_all_there_is() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().nth(2) == Some("1")
}

/// The arguments with the mark and user 0 in place of the users.
pub(super) fn arguments(mut arguments: Vec<String>) -> Vec<String> {
    for at in 1..arguments.len() {
        let changed = match arguments[at - 1].as_str() {
            "--exempt" => format!("mark={MARK}"),
            "--agent-uid" | "--allow-uid" => "0".to_owned(),
            _ => continue,
        };
        arguments[at] = changed;
    }
    arguments
}

/// The variables with the mark in the configuration of a redirected proxy.
pub(super) fn mark(mut variables: Variables) -> Variables {
    for (name, value) in &mut variables {
        if name == "POSTERN_CONFIG" {
            let mut config: Value = serde_json::from_str(value).expect("the configuration is JSON");
            config["interception"] = json!({"mark": MARK});
            *value = config.to_string();
        }
    }
    variables
}
