//! What a store answers.

use redis_link::reply::{self, LONGEST_REPLY, MOST_NUMBERS, Reply};

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
    match found {
        Ok(None) => assert!(data.len() <= LONGEST_REPLY),
        Ok(Some((reply, length))) => {
            assert!((1..=data.len().min(LONGEST_REPLY)).contains(&length));
            check(&reply);
        }
        Err(_) => {}
    }
}

fn check(reply: &Reply) {
    match reply {
        Reply::Okay => {}
        Reply::Error(words) => {
            assert!(words.chars().count() <= 200 && !words.contains(char::is_control))
        }
        Reply::Numbers(numbers) => assert!(numbers.len() <= MOST_NUMBERS),
    }
}
