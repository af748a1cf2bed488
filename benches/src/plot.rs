//! The ratios as bars: a picture that reads in light and in dark.

use std::fmt::Write;

use crate::proxies::Proxy;
use crate::results::{Line, Summary};

/// In pixels.
const WIDTH: f64 = 800.0;
/// Where bars begin, and what a ratio of one measures.
const LEFT: f64 = 150.0;
const ONE: f64 = 260.0;
/// A longer bar is cut; its number says what it is.
const LONGEST: f64 = 2.0;
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;
const TOP: f64 = 56.0;

/// The kinds of peers: class of the style, what the legend calls it, the programs.
const KINDS: [(&str, &str, &[Proxy]); 3] = [
    ("best", "best of HAProxy and nginx", &[Proxy::Haproxy, Proxy::Nginx]),
    ("envoy", "Envoy", &[Proxy::Envoy]),
    ("bare", "bare hyper + rustls", &[Proxy::Bare]),
];

const STYLE: &str = "text{font:11px sans-serif;fill:#24292f}.row{font-weight:600}.title{font-size:13px;font-weight:600}\
.best{fill:#0969da}.envoy{fill:#8250df}.bare{fill:#6e7781}.one{stroke:#cf222e;stroke-width:1}.back{fill:#ffffff}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.best{fill:#58a6ff}.envoy{fill:#bc8cff}.bare{fill:#8b949e}\
.one{stroke:#ff7b72}.back{fill:#0d1117}}";

/// One group of bars for each row that has a peer.
pub(crate) fn page(summaries: &[Summary]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for summary in summaries.iter().filter(|summary| !summary.row.is_pairwise()) {
        let bars: Vec<(&str, &Line)> =
            KINDS.iter().filter_map(|(class, _, of)| Some((*class, summary.best(of)?))).collect();
        if bars.is_empty() {
            continue;
        }
        text(&mut body, "row", LEFT - 8.0, y + BAR - 1.0, "end", summary.row.name);
        for (class, line) in bars {
            bar(&mut body, class, y, line);
            y += BAR + 3.0;
        }
        y += GAP;
    }
    let mut page = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         role=\"img\" aria-label=\"Postern's cost divided by that of others\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{y}\"/>\n"
    );
    text(
        &mut page,
        "title",
        12.0,
        20.0,
        "start",
        "Postern's cost / theirs: left of the line Postern needs less",
    );
    let mut x = LEFT;
    for (class, name, _) in KINDS {
        rectangle(&mut page, class, x, 30.0, 10.0, 10.0);
        text(&mut page, "legend", x + 14.0, 39.0, "start", name);
        x += 190.0;
    }
    page.push_str(&body);
    let one = LEFT + ONE;
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<line class=\"one\" x1=\"{one}\" y1=\"{}\" x2=\"{one}\" y2=\"{y}\"/>\n</svg>",
        TOP - 8.0
    );
    page
}

fn bar(body: &mut String, class: &str, y: f64, line: &Line) {
    let Some(ratio) = line.ratio else { return };
    let length = ratio.median.clamp(0.0, LONGEST) * ONE;
    rectangle(body, class, LEFT, y, length, BAR);
    let label = format!("{:.2}  {}", ratio.median, line.contender.name);
    text(body, class, LEFT + length + 5.0, y + BAR - 2.0, "start", &label);
}

fn rectangle(body: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{height:.0}\"/>"
    );
}

/// The names of rows and contenders hold nothing that XML would want escaped.
fn text(body: &mut String, class: &str, x: f64, y: f64, anchor: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let class = if class == "row" || class == "title" { class } else { "" };
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{what}</text>"
    );
}
