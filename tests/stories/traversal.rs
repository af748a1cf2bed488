//! Path traversal against a real nginx: what policy keeps from a caller, no spelling of its path brings back.

use std::path::Path;
use std::sync::Arc;

use postern_tests::{Mesh, Pod, Process, raw, tls};
use serde_json::json;

/// On this port everything is allowed but the secret, on the other nothing but the public page.
const DENIED: u16 = 8080;
const PUBLISHED: u16 = 8081;

/// The one byte the secret page is made of; it is in no other answer, so one of it tells of a leak.
const SECRET: char = '\u{7}';
const PUBLIC: &str = "a page for everybody";

/// Respells a path that was spelled plainly.
type Spell = fn(&str) -> String;

/// How to spell a path that leads to the secret page.
const ENCODINGS: [(&str, Spell); 14] = [
    ("plain", str::to_owned),
    ("dots escaped", |path| path.replace('.', "%2e")),
    ("slashes escaped", |path| escape_slashes(path, "%2f")),
    ("dots and slashes escaped", |path| escape_slashes(path, "%2F").replace('.', "%2E")),
    ("dots escaped twice", |path| path.replace('.', "%252e")),
    ("slashes escaped twice", |path| escape_slashes(path, "%252f")),
    ("backslashes", |path| escape_slashes(path, "\\")),
    ("backslashes escaped", |path| escape_slashes(path, "%5c")),
    ("overlong dots", |path| path.replace('.', "%c0%ae")),
    ("overlong slashes", |path| escape_slashes(path, "%c0%af")),
    ("slashes of another width", |path| escape_slashes(path, "%ef%bc%8f")),
    ("letters escaped", |path| path.replace('e', "%65").replace('s', "%73")),
    ("parameters behind dots", |path| path.replace("..", "..;x=1")),
    ("slashes doubled and dots between", |path| path.replace('/', "//./")),
];

/// Ways to the secret page, as the file system would walk them.
const PATHS: &[&str] = &[
    "/secret/page.txt",
    "/public/../secret/page.txt",
    "/public/deep/../../secret/page.txt",
    "/public/./../secret/./page.txt",
    "/public/../../secret/page.txt",
    "/../secret/page.txt",
    "/none/../secret/page.txt",
    "/secret/none/../page.txt",
    "/public/page.txt/../../secret/page.txt",
];

/// Targets that no encoding makes, whole request lines' middle parts.
const TARGETS: &[&str] = &[
    "secret/page.txt",
    "http://web:8080/secret/page.txt",
    "http://web:8080/public/../secret/page.txt",
    "/secret/page.txt?/public/",
    "/secret/page.txt#/public/",
    "/public/?/../../secret/page.txt",
    "/public/#/../../secret/page.txt",
    "/public/%00/../../secret/page.txt",
    "/secret/page.txt%00",
    "/secret/page.txt%20",
    "/public/..%%2fsecret/page.txt",
    "/public/%2e%2e%2fsecret/page.txt",
    "/public/.%2e/secret/page.txt",
    "/public/%2e./secret%2fpage.txt",
    "//secret/page.txt",
    "/%2fsecret/page.txt",
];

/// All slashes but the first, without which it is no path.
fn escape_slashes(path: &str, as_what: &str) -> String {
    let (first, rest) = path.split_at(1);
    format!("{first}{}", rest.replace('/', as_what))
}

fn targets() -> Vec<String> {
    let spelled = ENCODINGS.iter().flat_map(|(_, spell)| PATHS.iter().map(|path| spell(path)));
    spelled.chain(TARGETS.iter().map(|&target| target.to_owned())).collect()
}

fn request(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").into_bytes()
}

/// nginx in a pod, with a public page and the secret one.
fn start_nginx(pod: &Pod) -> Process {
    let folder = pod.directory();
    for (name, content) in
        [("public", PUBLIC.to_owned()), ("secret", SECRET.to_string().repeat(512))]
    {
        std::fs::create_dir_all(folder.join("www").join(name)).unwrap();
        std::fs::write(folder.join("www").join(name).join("page.txt"), content).unwrap();
    }
    std::fs::create_dir_all(folder.join("www/public/deep")).unwrap();
    std::fs::write(folder.join("nginx.conf"), NGINX).unwrap();
    let arguments = ["-e", "stderr", "-p", "/run/postern/", "-c", "nginx.conf"];
    let process = pod.start_program("nginx", Path::new("nginx"), &arguments);
    pod.wait_for_app(PUBLISHED);
    process
}

/// As it comes, but for one process, in the foreground, that keeps its files in the pod's directory, and as the only user
/// there is in a user namespace.
const NGINX: &str = "
user root;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    server { listen 8080; listen 8081; root www; default_type text/plain; }
}
";

/// The caller may read everything but the secret on one port, and the public page alone on the other.
fn policies(mesh: &Mesh) {
    let caller = json!([{"source": {"principals": ["cluster.local/ns/shop/sa/caller"]}}]);
    let policy = |name: &str, action: &str, rules: serde_json::Value| {
        let policy = json!({
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "action": action, "rules": rules},
        });
        mesh.policy(name, &policy.to_string());
    };
    let to = |port: u16, paths: &[&str]| json!([{"operation": {"ports": [port.to_string()], "paths": paths}}]);
    policy(
        "allow",
        "ALLOW",
        json!([
            {"from": caller, "to": to(DENIED, &["*"])},
            {"from": caller, "to": to(PUBLISHED, &["/public/*"])},
        ]),
    );
    policy("deny", "DENY", json!([{"to": to(DENIED, &["/secret", "/secret/*"])}]));
}

/// Which of the spellings nginx itself takes for the secret page, without us.
fn taken_by_nginx(web: &Pod) -> usize {
    let answers = web.run(async {
        let mut answers = Vec::new();
        for target in targets() {
            answers.push(raw::say(([127, 0, 0, 1], DENIED).into(), &request(&target)).await.text());
        }
        answers
    });
    answers.iter().filter(|answer| answer.contains(SECRET)).count()
}

/// Refused, or sent on to nginx as a path where nothing is. A caller's proxy that sees no HTTP says nothing and closes.
fn check(way: &str, port: u16, answers: &[(String, String)]) {
    for (target, answer) in answers {
        let said = format!("{way}, port {port}, {target}: {answer}");
        assert!(!answer.contains(SECRET), "the secret came back: {said}");
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|answer| answer.get(..3));
        let silent = answer.is_empty() && way.ends_with("both proxies") && !target.starts_with('/');
        assert!(silent || matches!(status, Some("400" | "403" | "404")), "{said}");
    }
}

#[test]
fn s12_path_canonicalisation_against_nginx() {
    walk("MERGE_SLASHES");
}

#[test]
fn s12_path_canonicalisation_against_nginx_at_other_levels() {
    ["NONE", "BASE", "DECODE_AND_MERGE_SLASHES"].into_iter().for_each(walk);
}

/// Every spelling on both ports and both ways, with paths normalised as far as `level` says.
fn walk(level: &str) {
    let mesh = Mesh::start();
    policies(&mesh);
    let normalised = json!({"pathNormalization": level});
    let web = mesh.pod("web").port(DENIED, "http").port(PUBLISHED, "http");
    let web = web.config(normalised.clone()).start();
    let _nginx = start_nginx(&web);
    let taken = taken_by_nginx(&web);
    assert!(
        taken >= 40,
        "nginx takes only {taken} of these for the secret page: they prove little"
    );

    let caller = mesh.pod("caller").config(normalised).start();
    let outside = mesh.pod("outside").outside().start();
    let svid = mesh.test_authority().workload("shop", "caller");
    let config = tls::client(Some(&svid), &["http/1.1"]);
    for port in [DENIED, PUBLISHED] {
        let address = web.at(port);
        let page = caller.curl(&format!("http://web:{port}/public/page.txt")).expect(200);
        assert_eq!(page.body, PUBLIC);
        // Through the caller's own proxy, which has its say first.
        let answers = caller.run(async move {
            let mut answers = Vec::new();
            for target in targets() {
                let answer = raw::say(address, &request(&target)).await.text();
                answers.push((target, answer));
            }
            answers
        });
        check(&format!("{level}, both proxies"), port, &answers);
        // And straight to the proxy of nginx, with the caller's certificate.
        let config = Arc::clone(&config);
        let answers = outside.run(async move {
            let mut answers = Vec::new();
            for target in targets() {
                let answer = tls::say(Arc::clone(&config), address, &request(&target)).await;
                answers.push((target, answer.unwrap_or_default()));
            }
            answers
        });
        check(&format!("{level}, one proxy"), port, &answers);
    }
}
