//! What a kubelet asks a container.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::pod::InjectedPod;
use crate::process::finish;
use crate::raw;

/// How long a container may take to pass: its period times its failures.
pub(super) fn patience(probe: &Value) -> Duration {
    let number = |key: &str, default| probe[key].as_u64().unwrap_or(default);
    Duration::from_secs(number("periodSeconds", 10) * number("failureThreshold", 3))
}

/// Asks once; `exec` makes a command run in the container.
pub(super) fn ask(
    pod: &InjectedPod,
    probe: &Value,
    exec: impl Fn(&[String]) -> Command,
) -> Result<(), String> {
    if let Some(command) = probe["exec"]["command"].as_array() {
        let run = finish(exec(&texts(command)));
        return if run.code == 0 { Ok(()) } else { Err(format!("{run:?}")) };
    }
    if let Some(get) = probe.get("httpGet") {
        let path = get["path"].as_str().unwrap_or("/").to_owned();
        let (status, body) = http_get(pod, port(&get["port"]), path)?;
        return if (200..400).contains(&status) { Ok(()) } else { Err(format!("{status} {body}")) };
    }
    let port = port(&probe["tcpSocket"]["port"]);
    let address = pod.pod().at(port);
    let dialled = pod.node_run(async move { TcpStream::connect(address).await.map(drop) });
    dialled.map_err(|error| error.to_string())
}

/// A GET from the node.
pub(super) fn http_get(
    pod: &InjectedPod,
    port: u16,
    path: String,
) -> Result<(u16, String), String> {
    let address = pod.pod().at(port);
    let answer = pod.node_run(async move { raw::http_get(address, &path).await })?;
    Ok((answer.status, answer.body))
}

/// A list of texts.
pub(super) fn texts(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn port(value: &Value) -> u16 {
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.unwrap_or_else(|| panic!("this harness asks ports by number, not {value}"))
}
