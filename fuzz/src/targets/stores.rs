//! What a store answers.

use redis_link::reply::{self, LONGEST_BULK, LONGEST_REPLY, MOST_NUMBERS, Reply};
use session_store::page;

/// Answers of a Redis: however the bytes arrive, there is one verdict; it is given before they are many; an error fits a
/// log line.
pub fn store_reply(data: &[u8]) {
    let found = reply::read(data);
    for end in (0..data.len()).step_by(data.len() / 64 + 1) {
        match reply::read(&data[..end]) {
            Ok(None) => {}
            early => {
                assert_eq!(early, found, "more bytes than {end} changed it");
                break;
            }
        }
    }
    let most = if data.first() == Some(&b'$') { LONGEST_BULK + 32 } else { LONGEST_REPLY };
    match found {
        Ok(None) => assert!(data.len() <= most),
        Ok(Some((reply, length))) => {
            assert!((1..=data.len().min(most)).contains(&length));
            check(&reply);
        }
        Err(_) => {}
    }
}

/// Revocations as a store gives them: what is read is written the same.
pub fn revocations(data: &[u8]) {
    let Some(found) = page::read(data) else { return };
    assert!(found.revocations.len() <= page::MOST_ENTRIES);
    let head = data.len() - found.revocations.len() * page::ENTRY_LENGTH;
    let written: Vec<u8> = found.revocations.iter().flat_map(page::entry).collect();
    assert_eq!(&data[head..], written);
}

fn check(reply: &Reply) {
    match reply {
        Reply::Okay | Reply::Nil => {}
        Reply::Bulk(bytes) => assert!(bytes.len() <= LONGEST_BULK),
        Reply::Error(words) => {
            assert!(words.chars().count() <= 200 && !words.contains(char::is_control))
        }
        Reply::Numbers(numbers) => assert!(numbers.len() <= MOST_NUMBERS),
    }
}
