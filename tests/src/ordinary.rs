//! Ordinary traffic: what people and programs send who mean no harm, in thousands of different requests. Threat rules are
//! judged by how few of them they block.
//!
//! It is made of lists by a fixed sequence of numbers: every run sends the same.

mod bodies;
mod demos;
mod sending;
mod words;

pub use sending::{OrdinaryAnswer, send_ordinary};
use words::{AGENTS, LINKS, NAMES, SEARCHES, SENTENCES};

/// One request that means no harm.
#[derive(Clone, Debug)]
pub struct OrdinaryRequest {
    /// What kind it is of, for a table.
    pub kind: &'static str,
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body; empty where there is none.
    pub body: Vec<u8>,
}

/// How many there are of each kind that is made of lists.
const EACH: usize = 480;

/// All of them, in an order that mixes the kinds.
#[must_use]
pub fn ordinary_requests() -> Vec<OrdinaryRequest> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let makers: [fn(&mut Chance) -> OrdinaryRequest; 7] =
        [search, page, api, bodies::form, bodies::json, bodies::multipart, bodies::upload];
    let mut all: Vec<_> = (0..EACH).flat_map(|_| makers.map(|make| make(&mut chance))).collect();
    all.extend(demos::all());
    all
}

fn search(chance: &mut Chance) -> OrdinaryRequest {
    let words = chance.of(SEARCHES);
    let page = chance.below(9);
    let target = match chance.below(4) {
        0 => format!("/search?q={}", encoded(words)),
        1 => format!("/search?q={}&page={page}&sort=price_asc", encoded(words)),
        2 => format!("/suggest?term={}&limit=10&_={}", encoded(words), 1_790_000_000_000 + page),
        _ => format!("/search?q={}&filter[brand]=O%27Neill&filter[size][]=M", encoded(words)),
    };
    request("search", "GET", target, chance)
}

fn page(chance: &mut Chance) -> OrdinaryRequest {
    let number = chance.below(9_999);
    let target = match chance.below(5) {
        0 => format!("/products/tea-{number}.html"),
        1 => format!("/static/js/main.{number:08x}.chunk.js?v=2.{}", chance.below(9)),
        2 => format!("/account/login?return_to={}", encoded(chance.of(LINKS))),
        3 => format!("/blog/2026/11/{}/", encoded(&chance.of(SEARCHES).replace(' ', "-"))),
        _ => format!("/images/{number}/thumb_200x200.webp?w=200&h=200&fit=crop"),
    };
    let mut request = request("page with cookies", "GET", target, chance);
    let session = chance.text(32);
    let cookie = format!(
        "_ga=GA1.2.{number}.1790000000; sid={session}; consent={}; cart=%7B%22items%22%3A%5B%22tea%22%5D%7D; theme=dark",
        encoded("{\"ads\":false,\"stats\":true}"),
    );
    request.headers.push(("cookie".to_owned(), cookie));
    request.headers.push(("referer".to_owned(), chance.of(LINKS).to_owned()));
    request
}

fn api(chance: &mut Chance) -> OrdinaryRequest {
    let number = chance.below(99_999);
    let (method, target) = match chance.below(5) {
        0 => ("GET", format!("/api/v2/orders/{number}?fields=id,total,items&expand=customer")),
        1 => ("GET", format!("/api/v2/users?name={}&active=true", encoded(chance.of(NAMES)))),
        2 => ("DELETE", format!("/api/v2/carts/{number}/items/{}", chance.below(99))),
        3 => (
            "GET",
            format!("/api/v2/events?since=2026-11-29T21%3A49%3A59Z&cursor={}", chance.text(24)),
        ),
        _ => (
            "GET",
            format!(
                "/api/v2/stats?from=-7d&to=now&group_by=day&order_by=-visits&select=count&n={number}"
            ),
        ),
    };
    let mut request = request("programs", method, target, chance);
    let token = format!("Bearer {}.{}.{}", chance.text(40), chance.text(160), chance.text(86));
    request.headers.push(("authorization".to_owned(), token));
    request
}

/// What every one of them has.
fn request(
    kind: &'static str,
    method: &'static str,
    target: String,
    chance: &mut Chance,
) -> OrdinaryRequest {
    let accept = if kind == "programs" {
        "application/json"
    } else {
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    };
    let headers = [
        ("user-agent", chance.of(AGENTS)),
        ("accept", accept),
        (
            "accept-language",
            chance.of(&["de-DE,de;q=0.9,en;q=0.8", "en-US,en;q=0.5", "ja", "fr-FR,fr;q=0.9"]),
        ),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    OrdinaryRequest { kind, method, target, headers, body: Vec::new() }
}

/// As forms and their queries write it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Numbers that are always the same (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of(&mut self, list: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.below(list.len() as u64)).expect("an index");
        list[index]
    }

    /// Some sentences.
    fn prose(&mut self) -> String {
        let many = 1 + self.below(3);
        (0..many).map(|_| self.of(SENTENCES)).collect::<Vec<_>>().join(" ")
    }

    /// Letters and digits, as tokens and ids are made of.
    fn text(&mut self, length: usize) -> String {
        const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let sign = |number: u64| char::from(SIGNS[usize::try_from(number & 63).expect("below 64")]);
        (0..length).map(|_| sign(self.next())).collect()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_thousands_and_hardly_two_are_the_same() {
        let all = ordinary_requests();
        let same = |a: &OrdinaryRequest| (a.method, a.target.clone(), a.body.clone());
        let different: std::collections::BTreeSet<_> = all.iter().map(same).collect();
        assert!(
            all.len() >= 3_500 && different.len() >= 3_000,
            "{} of {}",
            different.len(),
            all.len()
        );
        let longest = all.iter().map(|request| request.body.len()).max();
        assert!(longest < Some(16 << 10), "{longest:?}: more than rules look into");
    }
}
