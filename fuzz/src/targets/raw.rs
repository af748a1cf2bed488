//! The look at the bytes of an HTTP/1 connection.

use proxy::filter::gate::raw::RawCheck;

/// However the bytes arrive, the verdict and the bytes that come out are the same, and at most one
/// byte is spoiled: the one that gave the reason.
pub fn raw_http1(data: &[u8]) {
    let (whole, reason) = feed(data, data.len());
    let changed = whole.iter().zip(data).filter(|(after, before)| after != before).count();
    // A byte that was NUL already does not show.
    assert!(changed <= usize::from(reason.is_some()), "{changed} bytes were changed");
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(feed(data, size), (whole.clone(), reason), "in pieces of {size}");
    }
}

fn feed(data: &[u8], size: usize) -> (Vec<u8>, Option<&'static str>) {
    let mut check = RawCheck::default();
    let mut bytes = data.to_vec();
    bytes.chunks_mut(size.max(1)).for_each(|piece| check.feed(piece));
    (bytes, check.refused())
}
