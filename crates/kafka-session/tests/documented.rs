//! The page about Kafka has a row for each API that is understood, with its versions, and no other.

#![allow(clippy::unwrap_used, missing_docs)]

#[test]
fn the_page_names_every_api_and_its_versions() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events-kafka.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter(|row| row.starts_with(|first: char| first.is_ascii_digit()));
    let documented: Vec<String> = rows
        .map(|row| row.split('|').take(2).map(str::trim).collect::<Vec<_>>().join(" | "))
        .collect();
    let supported: Vec<String> = kafka_session::supported()
        .map(|api| {
            let (first, last) = (api.versions.start(), api.versions.end());
            format!("{} {} | {first}-{last}", api.key, api.name)
        })
        .collect();
    assert_eq!(documented, supported);
}
