//! Ordinary traffic is let through: at the first level of paranoia no more than one request in a thousand may be
//! refused, and of these none is.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Written, everywhere, get, post};

/// What people write into forms, posts and searches.
const PROSE: &[&str] = &[
    "it's",
    "O'Brien",
    "Conan O'Brien and Sinéad O'Connor",
    "d'Artagnan",
    "don't you think it's 5 o'clock?",
    "rock 'n' roll",
    "select from the menu",
    "Please select a date from the calendar and update your profile",
    "We will drop the table off at your house on Monday",
    "the union will select a new chair",
    "insert coin, then select and order by phone",
    "where can I order 2 or 3 of them, and is it a group by age?",
    "\"quoted\" and 'single quoted'",
    "She said: \"it's 1 or 2, I don't know\"",
    "1 + 1 = 2",
    "a = b or c = d",
    "x < y and y > z",
    "5 > 3 && 2 < 4",
    "if (a < b) { return a; }",
    "price: 10-20% off!!!",
    "100% cotton",
    "C++ & C# developers (m/f/d)",
    "R&D; Q&A; B&B",
    "AT&T",
    "cats; dogs; and birds",
    "Type the name of your cat and press enter",
    "who am i?",
    "Can you ping me later?",
    "Find the ID, then echo it back to me",
    "the net price; the gross price",
    "ls is a command; so is cat",
    "sleep well (8 hours)",
    "--",
    "---",
    "-- Regards, Tom",
    "#hashtag #1",
    "/* nothing to see */",
    "C:\\Users\\tom\\Documents",
    "~/projects",
    "../images/logo.png",
    "see https://example.com/a?b=c&d=e#f",
    "https://example.com/path/page.html",
    "http://localhost:3000/callback",
    "https://shop.example/index.php?id=7",
    "mailto:tom@example.com",
    "tom+tag@example.co.uk",
    "+49 (0)30 123456-78",
    "2026-11-29T21:49:57+01:00",
    "Straße 7, 10115 Berlin",
    "北京市朝阳区",
    "Привет, как дела?",
    "مرحبا بالعالم",
    "こんにちは世界",
    "😀 👍🏽 👩‍👩‍👧",
    "naïve café — “quoted” … ‘single’",
    "Ünïcödé",
    "\u{200b}zero width",
    "line one\nline two\n\nline four",
    "tab\tseparated\tvalues",
    "Location: Berlin\nDate: tomorrow\nDress code: casual",
    "- one\n- two\n- three",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "**bold** _italic_ `code`",
    "> a quote\n> of two lines",
    "[link](https://example.com)",
    "<3",
    "I <3 you",
    "a <b> tag",
    "<p>Hello <b>world</b></p>",
    "<https://example.com>",
    "Tom <tom@example.com>",
    "use the <title> element",
    "{\"a\": 1}",
    "{{name}}",
    "Hello {{ user.first_name }}, welcome",
    "${name}",
    "%d items of %s",
    "100%",
    "50%25",
    "a%20b",
    "function add(a, b) { return a + b; }",
    "let x = [1, 2, 3].map(n => n * 2);",
    "for i in range(10):\n    print(i)",
    "import os\nprint(os.getcwd())",
    "SELECT",
    "How do I write a JOIN in SQL?",
    "DELETE is not a verb I use",
    "public static void main(String[] args)",
    "#include <stdio.h>",
    "git commit -m 'it works'",
    "npm install --save-dev typescript",
    "make && make install",
    "docker run -it ubuntu",
    "kubectl get pods -n shop",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 tom@laptop",
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==",
    "550e8400-e29b-41d4-a716-446655440000",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "0x1F600",
    "0xdeadbeef",
    "3.14159",
    "-1",
    "1e10",
    "1,000,000.00",
    "$9.99",
    "€ 12,50",
    "true",
    "null",
    "undefined",
    "NaN",
    "[object Object]",
    "admin",
    "root",
    "password123!",
    "P@$$w0rd;--x",
    "correct horse battery staple",
    "a;b;c",
    "a|b|c",
    "a&b",
    "(a) or (b)",
    "[1,2,3]",
    "yes/no",
    "and/or",
    "n/a",
    "24/7",
    "Müller & Söhne GmbH",
    "Dr. Strangelove or: How I Learned to Stop Worrying",
    "\"Union Station\" select restaurant",
    "Between 5 and 10 people like it",
    "Having said that, group 2 is null",
    "Exec summary: update the deck and set a date",
    "The char set is UTF-8",
    "She's the one who'd've known",
    "it''s escaped",
    "'twas the night before Christmas",
    "the '90s and '00s",
    "6'2\" tall",
    "5' 11\"",
    "Ma'am; Sir",
    "O'Reilly's \"Learning SQL\" (2nd ed.)",
    "What's the difference between \"and\" and \"or\"?",
    "Robert'); is a well-known joke",
    "size: XL; colour: red",
    "font-family: Arial; color: #333",
    "onboarding = good",
    "once = twice",
    "the script of the play",
    "javascript: the good parts",
    "JavaScript is fun",
    "alert the press",
    "document everything",
    "eval the options",
    "a/b testing",
    "C:/temp/file.txt",
    "file.tar.gz",
    "report (final).docx",
    "résumé.pdf",
    "..",
    "...",
    "wait...",
    "a..b",
    "1..10",
    "v1.2.3-rc.1+build.5",
    "192.168.1.1",
    "2001:db8::1",
    "*.example.com",
    "@everyone",
    "/help me",
    "=SUM(A1:A3)",
    "=1+1",
    "(╯°□°)╯︵ ┻━┻",
    "¯\\_(ツ)_/¯",
    ":-) ;-) :-/",
    "<(^_^)>",
    "^_^",
    "\\o/",
];

fn named() -> Vec<(String, Written)> {
    let mut rows = Vec::new();
    for text in PROSE {
        for (place, written) in everywhere(text) {
            rows.push((format!("{place}: {text}"), written));
        }
    }
    for (name, written) in whole_requests() {
        rows.push((name.to_owned(), written));
    }
    rows
}

/// Requests of browsers, apps and machines.
fn whole_requests() -> Vec<(&'static str, Written)> {
    let json = |text: &str| post("application/json", text.to_owned());
    let upload = |name: &str, content: &[u8]| {
        let head = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        post(
            "multipart/form-data; boundary=b0undary",
            [head.as_bytes(), content, b"\r\n--b0undary--\r\n"].concat(),
        )
    };
    let analytics = "_ga=GA1.2.1234567890.1700000000; _gid=GA1.2.987654321.1700000000; _gat=1; _fbp=fb.1.1700000000000.1234567890; OptanonConsent=isGpcEnabled=0&datestamp=Sat+Nov+29+2026+21%3A49%3A57+GMT%2B0100&version=6.33.0&interactionCount=1&groups=C0001%3A1%2CC0002%3A0; __cf_bm=abc.DEF-1700000000-1-AbCd+/=; session=s%3AaBcDeF.gHiJkL; intercom-id-x=550e8400-e29b-41d4-a716-446655440000; amplitude=eyJkZXZpY2VJZCI6ICJhYmMifQ==";
    vec![
        ("front page", get("/")),
        ("a page with cookies of analytics", get("/").with("cookie", analytics)),
        ("utm", get("/?utm_source=newsletter&utm_medium=email&utm_campaign=spring_sale%202026&gclid=Cj0KCQiA-abc_DEF")),
        ("an arrow of a sort", get("/list?sort=-price,name&filter[status]=open&filter[tags][]=a&filter[tags][]=b&page[size]=20")),
        ("odata", get("/odata/Products?$filter=Price%20gt%2010%20and%20Name%20eq%20'Milk'&$select=Name,Price&$orderby=Name&$top=5")),
        ("graphql", json(r#"{"query":"query($id: ID!) { user(id: $id) { name posts(first: 10) { edges { node { title } } } } }","variables":{"id":"7"}}"#)),
        ("json api", json(r#"{"data":{"type":"articles","attributes":{"title":"It's a title","body":"<p>Hello</p>"},"relationships":{"author":{"data":{"type":"people","id":"9"}}}}}"#)),
        ("an order", json(r#"{"items":[{"sku":"A-1","quantity":2,"price":9.99}],"address":{"name":"Siobhán O'Neill","street":"1 O'Connell St."},"note":"please don't ring; leave at the door"}"#)),
        ("deep json", json(r#"{"a":{"b":{"c":{"d":{"e":[[[{"f":null}]]]}}}}}"#)),
        ("empty json", json("")),
        ("json text", json("\"hello\"")),
        ("oidc callback", get("/callback?code=SplxlOBeZQQYbYS6WxSbIA&state=af0ifjsldkj&iss=https%3A%2F%2Fidp.example&session_state=abc.def")),
        ("a redirect in a redirect", get("/login?next=%2Faccount%3Ftab%3Dorders%26from%3D%252Fshop")),
        ("a matrix parameter", get("/map;v=1.1/tiles")),
        ("a path with spaces", get("/files/My%20Documents/Report%20(final).pdf")),
        ("a path with unicode", get("/wiki/%E5%8C%97%E4%BA%AC")),
        ("a path with dots", get("/releases/v1.2..v1.3")),
        ("an asset", get("/static/js/main.3f2a1b.chunk.js?v=20261129")),
        ("well-known", get("/.well-known/openid-configuration")),
        ("robots", get("/robots.txt")),
        ("a health check", get("/healthz").with("user-agent", "kube-probe/1.33")),
        ("curl", get("/api/items").with("user-agent", "curl/8.14.1").with("accept", "*/*")),
        ("a referer", get("/cart").with("referer", "https://www.google.com/search?q=o%27reilly+%22learning+sql%22&hl=en")),
        ("an old session", get("/cart").with("cookie", "JSESSIONID=0000abc:-1; PHPSESSID=q1w2e3r4t5; theme=dark; cart=%5B%7B%22id%22%3A1%2C%22n%22%3A%22it's%22%7D%5D")),
        ("a bearer token", get("/me").with("authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln")),
        ("traceparent", get("/").with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").with("tracestate", "vendor=a;b")),
        ("a picture", upload("holiday (1).jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01' or 1=1--")),
        ("a text file", upload("notes.txt", b"it's only text; select * from nothing")),
        ("a name with an apostrophe", upload("O'Brien's CV.pdf", b"%PDF-1.7\n")),
        ("a form with much", post("application/x-www-form-urlencoded", "name=Jean-Luc+O%27Neill&email=jl%2Btest%40example.com&message=Hello%21%0D%0A%0D%0AIt%27s+me+%26+you%3B+see+https%3A%2F%2Fexample.com%2Fa%3Fb%3Dc&agree=on&_csrf=Zm9v-bar_baz%3D%3D")),
        ("a form without values", post("application/x-www-form-urlencoded", "a&b=&=c&&d")),
        ("plain text", post("text/plain", "Dear all,\nit's time to select a date.\n-- \nTom")),
        ("csv", post("text/csv", "id,name,note\n1,O'Brien,\"it's; fine\"\n2,Müller,<none>\n")),
        ("xml", post("application/xml", "<order id=\"7\"><item sku=\"A-1\">It's 5 &lt; 6 &amp; fine</item></order>")),
        ("soap", post("text/xml; charset=utf-8", "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><Get xmlns=\"urn:x\"><Id>1</Id></Get></soap:Body></soap:Envelope>")),
        ("protobuf", post("application/grpc", b"\0\0\0\0\x07\n\x05hello".to_vec())),
        ("csp report", post("application/csp-report", r#"{"csp-report":{"document-uri":"https://shop.example/","violated-directive":"script-src 'self'","blocked-uri":"inline"}}"#)),
        ("a delete", Written { method: "DELETE", ..get("/items/7") }),
        ("a preflight", Written { method: "OPTIONS", ..get("/items") }.with("origin", "https://app.example").with("access-control-request-headers", "content-type,x-csrf")),
        ("jsonp", get("/feed?callback=jQuery36109_1700000000")),
        ("coordinates", get("/near?lat=52.5200&lng=-13.4050&r=5km&bbox=1.0,2.0,3.0,4.0")),
        ("dates", get("/events?from=2026-11-01T00:00:00Z&to=2026-11-30T23:59:59%2B01:00")),
        ("elasticsearch", json(r#"{"query":{"bool":{"must":[{"match":{"title":"search"}}],"filter":[{"range":{"date":{"gte":"2026-01-01"}}}]}},"size":10}"#)),
        ("json patch", json(r#"[{"op":"replace","path":"/a/b","value":"c"},{"op":"remove","path":"/d~1e"}]"#)),
        ("a forum post with code", json(r##"{"title":"Why does this not compile?","body":"I wrote:\n\n```js\nconst a = items.filter(i => i.price < 10 && i.name !== 'x').map(i => `${i.name}: ${i.price}`);\nif (a.length > 0) { console.log(\"it's \" + a); }\n```\n\nand use `import { b } from '../lib/b'`. Thanks!","tags":["js","#help"]}"##)),
        ("a forum post about sql", json(r#"{"body":"How can I select all rows from one table where the name is 'Tom' and order them by age? I tried a join, but it's slow."}"#)),
        ("a forum post about a shell", json(r#"{"body":"Run make, then ls -la and look at the output; it should list foo.txt. Use chmod if you can't execute it."}"#)),
        ("markdown", json(r##"{"md":"# Title\n\nIt's **bold** & _it_; see [docs](https://example.com/a(b)).\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n<br>\n"}"##)),
    ]
}

#[test]
fn ordinary_traffic_is_let_through() {
    let rows = named();
    assert!(rows.len() >= 300, "{} rows", rows.len());
    let mut refused = Vec::new();
    for (name, written) in &rows {
        let found = written.inspect(1);
        if found.score >= 5 {
            let rules: Vec<_> =
                found.matches.iter().map(|found| (found.rule, found.variable.as_str())).collect();
            refused.push(format!("{name}: {rules:?}"));
        }
    }
    assert!(
        refused.len() * 1000 <= rows.len(),
        "{} of {}:\n{}",
        refused.len(),
        rows.len(),
        refused.join("\n")
    );
}
