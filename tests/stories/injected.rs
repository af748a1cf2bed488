//! What the injector writes into a pod, handed to the programs that shall obey it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use postern_tests::binary;

const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: cart
  annotations:
    postern.dev/skip-inbound-ports: "22,9000-9010"
    postern.dev/skip-cidrs: 10.9.0.0/16
    postern.dev/log-level: debug
    prometheus.io/scrape: "true"
    prometheus.io/port: "9102"
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: app
    image: cart
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: http, path: "/ready?full=$(HOME)", httpHeaders: [{name: x-a, value: "b"}]}}
    livenessProbe: {grpc: {port: 9090, service: cart.Cart}}
    startupProbe: {tcpSocket: {port: 8080}}
    lifecycle: {preStop: {httpGet: {port: 8080, path: /stop}}}
"#;

fn injected(manifest: &str) -> String {
    let mut inject = Command::new(binary("postern-k8s"))
        .args(["inject", "--authority", "10.0.0.1:15012"])
        .args(["--tracing-collector", "collector.observability.svc:4317"])
        .args(["--tracing-identity", "spiffe://cluster.local/ns/observability/sa/collector"])
        .args(["--tracing-sampling", "0.5%"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    inject.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    let output = inject.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The arguments of the container whose first one is this.
fn arguments(manifest: &str, first: &str) -> Vec<String> {
    let lines = manifest.lines().map(str::trim_start);
    let items = lines.skip_while(|line| *line != format!("- {first}"));
    let items = items.take_while(|line| line.starts_with("- "));
    items.map(|line| line.trim_start_matches("- ").trim_matches('"').to_owned()).collect()
}

fn run(program: &str, arguments: &[String]) -> Output {
    Command::new(binary(program)).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The configuration as the kubelet hands it over, with directories of this test.
fn configuration(manifest: &str, directory: &Path) -> String {
    let mut values = manifest.lines().filter_map(|line| line.trim_start().strip_prefix("value: "));
    let text = values.find(|value| value.contains("workload")).unwrap();
    let text: String = serde_json::from_str(text).unwrap();
    text.replace("$(POSTERN_NAMESPACE)", "shop")
        .replace("$(POSTERN_SERVICE_ACCOUNT)", "cart")
        .replace("/etc/postern", directory.to_str().unwrap())
}

#[test]
fn what_an_injected_pod_is_told_is_what_the_programs_take() {
    let manifest = injected(POD);

    let mut redirect = arguments(&manifest, "redirect");
    "print".clone_into(&mut redirect[1]);
    redirect.extend(["--dns", "10.0.0.2"].map(str::to_owned));
    let rules = succeeds(&run("postern-proxy", &redirect));
    for rule in [
        "meta skuid 64137",
        "meta skuid 64138 ip daddr 10.0.0.1 tcp dport 15012",
        "tcp dport { 22, 9000-9010 }",
        "ip daddr { 10.9.0.0/16 }",
    ] {
        assert!(rules.contains(rule), "{rule}: {rules}");
    }

    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("pod")).unwrap();
    fs::create_dir(directory.path().join("resources")).unwrap();
    fs::write(directory.path().join("pod/labels"), "app=\"cart\"\n").unwrap();
    let file = directory.path().join("proxy.yaml");
    fs::write(&file, configuration(&manifest, directory.path())).unwrap();
    let check = ["check", "--config", file.to_str().unwrap()].map(str::to_owned);
    succeeds(&run("postern-proxy", &check));

    // The agent reads its flags first: what it misses is the file, not a flag.
    let mut agent = arguments(&manifest, "run");
    for argument in agent.iter_mut().filter(|argument| argument.starts_with("/etc/postern")) {
        *argument = argument.replace("/etc/postern", directory.path().to_str().unwrap());
    }
    assert!(agent.contains(&"--service-account-token-file".to_owned()), "{agent:?}");
    let output = run("postern-cert-agent", &agent);
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(says.contains("bundle.pem") && !says.contains("unexpected argument"), "{says}");
}
