//! The kinds of limit: how each is read, bounded and written.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use policy::yaml::{
    YamlReader, YamlValue, format_duration, format_size, parse_duration, parse_size,
};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u32);

impl ByteSize {
    /// The size for buffers and comparisons.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A kind of limit.
pub trait LimitValue: Copy + PartialOrd {
    /// The unit, for the reference page.
    const UNIT: &'static str;

    /// Reads a value of this kind within its bounds.
    fn read(
        reader: &mut YamlReader,
        value: YamlValue<'_>,
        bounds: RangeInclusive<Self>,
    ) -> Option<Self>;

    /// Writes a value as the file would.
    fn show(self) -> String;
}

impl LimitValue for Duration {
    const UNIT: &'static str = "duration";

    fn read(
        reader: &mut YamlReader,
        value: YamlValue<'_>,
        bounds: RangeInclusive<Self>,
    ) -> Option<Self> {
        let parse = |text: &str| {
            parse_duration(text).ok_or("write a whole number and a unit: 250ms, 10s, 15m, 1h")
        };
        bounded(reader, value, "a duration", bounds, parse)
    }

    fn show(self) -> String {
        format_duration(self)
    }
}

impl LimitValue for ByteSize {
    const UNIT: &'static str = "size";

    fn read(
        reader: &mut YamlReader,
        value: YamlValue<'_>,
        bounds: RangeInclusive<Self>,
    ) -> Option<Self> {
        let parse = |text: &str| {
            let bytes = parse_size(text).and_then(|bytes| u32::try_from(bytes).ok());
            bytes.map(ByteSize).ok_or("write a whole number and a unit: 512B, 64KiB, 1MiB")
        };
        bounded(reader, value, "a size", bounds, parse)
    }

    fn show(self) -> String {
        format_size(u64::from(self.0))
    }
}

impl LimitValue for u32 {
    const UNIT: &'static str = "count";

    fn read(
        reader: &mut YamlReader,
        value: YamlValue<'_>,
        bounds: RangeInclusive<Self>,
    ) -> Option<Self> {
        let number =
            reader.integer(value, u64::from(*bounds.start())..=u64::from(*bounds.end()))?;
        u32::try_from(number).ok()
    }

    fn show(self) -> String {
        self.to_string()
    }
}

/// Reads text by `parse`, then checks the bounds.
fn bounded<T: LimitValue, E: Display>(
    reader: &mut YamlReader,
    value: YamlValue<'_>,
    kind: &str,
    bounds: RangeInclusive<T>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let expected = format!("{kind} from {} to {}", bounds.start().show(), bounds.end().show());
    let Some(text) = value.scalar() else {
        reader.report_value(value, expected, None);
        return None;
    };
    match parse(text) {
        Ok(limit) if bounds.contains(&limit) => return Some(limit),
        Ok(_) => reader.report_value(value, expected, None),
        Err(advice) => reader.report_value(value, expected, Some(advice.to_string())),
    }
    None
}
