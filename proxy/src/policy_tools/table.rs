//! Columns for a terminal.

use std::io::{self, Write};

/// The widest column; longer text is cut, its whole is in the JSON.
const MOST_WIDTH: usize = 60;

/// Writes rows under a head, each column as wide as its widest cell. The last column is not cut.
pub(crate) fn write<const N: usize>(
    out: &mut impl Write,
    head: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0).min(MOST_WIDTH)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    line(out, &head.map(str::to_owned), &widths)?;
    rows.iter().try_for_each(|row| line(out, row, &widths))
}

fn line(out: &mut impl Write, cells: &[String], widths: &[usize]) -> io::Result<()> {
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if at + 1 == cells.len() {
            text.push_str(cell);
            break;
        }
        let shown: String = match cell.chars().count() > *width {
            true => cell.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
            false => cell.clone(),
        };
        text.push_str(&format!("{shown:width$}  "));
    }
    writeln!(out, "{}", text.trim_end())
}

/// A peer's text must not move the cursor (SECURITY-CASES S-52).
fn printable(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns() {
        let rows =
            [["a".into(), "bb".into(), "c c".into()], ["\u{1b}[31m".into(), "".into(), "d".into()]];
        let mut out = Vec::new();
        write(&mut out, ["X", "LONG", "Y"], &rows).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "X      LONG  Y\na      bb    c c\n\u{fffd}[31m        d\n");
    }
}
