//! Somebody in front of a sign-in, without a browser.

use crate::certificates::replace;
use crate::curl::Answer;
use crate::pod::Pod;

/// Where one signs in.
const PROVIDER: &str = "https://id.example";

/// Somebody who signs in step by step, with curl and a file of cookies, as no browser would let them.
pub struct ByHand<'a> {
    client: &'a Pod,
    jar: String,
}

impl<'a> ByHand<'a> {
    /// Nobody yet: no cookie. `client` believes `web.pem` and finds the hosts by their names.
    #[must_use]
    pub fn new(client: &'a Pod, name: &str) -> Self {
        replace(&client.directory().join(format!("{name}.cookies")), "");
        Self { client, jar: format!("/run/postern/{name}.cookies") }
    }

    /// Goes to a URL as a browser does, and follows nothing.
    pub fn go(&self, url: &str, more: &[&str]) -> Answer {
        let usual = [
            "-b",
            &self.jar,
            "-c",
            &self.jar,
            "--cacert",
            "/run/postern/web.pem",
            "--path-as-is",
            "-H",
            "accept: text/html",
        ];
        self.client.curl_with(&[&usual, more, &[url]].concat())
    }

    /// Goes to a URL of the shop and signs in at the provider; ends with the callback, without going there.
    #[must_use]
    #[track_caller]
    pub fn callback(&self, url: &str, name: &str) -> String {
        let mut answer = self.go(url, &[]);
        for _ in 0..6 {
            let to = answer.header("location").unwrap_or_else(|| panic!("no redirect: {answer:?}"));
            let to = if to.starts_with('/') { format!("{PROVIDER}{to}") } else { to.to_owned() };
            if to.contains("/.postern/callback") {
                return to;
            }
            let form = format!("name={name}&password=x");
            let posted = to.contains("/interaction/").then_some(["--data", &*form]);
            answer = self.go(&to, posted.as_ref().map_or(&[], |posted| posted));
        }
        panic!("no callback after six steps: {answer:?}")
    }

    /// Forgets every cookie.
    pub fn forget(&self) {
        replace(&self.file(), "");
    }

    fn file(&self) -> std::path::PathBuf {
        let name = self.jar.rsplit('/').next().unwrap_or(&self.jar);
        self.client.directory().join(name)
    }

    /// Signs in, and ends with the answer to the callback.
    #[track_caller]
    pub fn sign_in(&self, url: &str, name: &str) -> Answer {
        let callback = self.callback(url, name);
        self.go(&callback, &[])
    }

    /// The value of this cookie of the shop.
    #[must_use]
    #[track_caller]
    pub fn cookie(&self, name: &str) -> String {
        let all = self.cookies("shop.example");
        let mut pairs = all.split("; ").filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(found, _)| *found == name);
        found.unwrap_or_else(|| panic!("no {name} in {all}")).1.to_owned()
    }

    /// The cookies for this host as a header has them.
    #[must_use]
    pub fn cookies(&self, host: &str) -> String {
        let text = std::fs::read_to_string(self.file()).expect("a file of cookies");
        let fields = |line: &str| {
            let line = line.strip_prefix("#HttpOnly_").unwrap_or(line).to_owned();
            let fields: Vec<_> = line.split('\t').map(str::to_owned).collect();
            (fields.len() == 7 && fields[0] == host).then(|| format!("{}={}", fields[5], fields[6]))
        };
        text.lines().filter_map(fields).collect::<Vec<_>>().join("; ")
    }
}
