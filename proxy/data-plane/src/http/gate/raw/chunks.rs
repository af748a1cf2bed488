//! The chunked coding, as far as it tells where chunks end.

/// The states of hyper's chunk reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChunkState {
    Size(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Trailer,
    TrailerLf,
    Ended,
}

impl ChunkState {
    /// After one byte, as hyper reads it; `None` where it refuses and the body ends.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        use ChunkState::*;
        Some(match (self, byte) {
            (Size(size) | Extension(size), b'\r') => SizeLf(size),
            (Size(size), _) => match char::from(byte).to_digit(16) {
                Some(digit) => Size(size.checked_mul(16)? | u64::from(digit)),
                None => Extension(size),
            },
            (Extension(size), _) => Extension(size),
            (SizeLf(0), b'\n') | (TrailerLf, b'\n') => EndCr,
            (SizeLf(size), b'\n') => Data(size),
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => Size(0),
            (EndCr, b'\r') => EndLf,
            (EndLf, b'\n') => Ended,
            (Trailer, b'\r') => TrailerLf,
            (EndCr | Trailer, _) => Trailer,
            (SizeLf(_) | Data(_) | DataCr | DataLf | EndLf | TrailerLf | Ended, _) => return None,
        })
    }
}
