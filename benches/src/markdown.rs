//! The results as a page.

use std::fmt::Write;

use serde_json::Value;

use crate::proxies::Proxy;
use crate::results::{Line, Summary};

/// One table of all rows, then each row's contenders, then the circumstances.
pub(crate) fn page(summaries: &[Summary]) -> String {
    let mut page = String::from(
        "# What Postern costs beside others\n\nWritten by `make bench`; [the README](../README.md) says how to read it. \
         Ratios are ours divided by theirs,\nmedian and spread of runs in turn: below 1 Postern needs less.\n\n\
         ![ratios](latest.svg)\n\n",
    );
    let (pairwise, beside): (Vec<_>, Vec<_>) =
        summaries.iter().partition(|summary| summary.row.is_pairwise());
    page.push_str("| row | unit | Postern | best of HAProxy and nginx | ratio | Envoy | ratio | bare | ratio |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for summary in &beside {
        let cells = [&[Proxy::Haproxy, Proxy::Nginx][..], &[Proxy::Envoy], &[Proxy::Bare]]
            .map(|of| peer(summary, of));
        let ours = summary.ours().map(|line| number(line.value.median)).unwrap_or_default();
        let (row, unit) = (summary.row.name, summary.row.figure.unit());
        push(&mut page, format_args!("| `{row}` | {unit} | {ours} | {} |\n", cells.join(" | ")));
    }
    page.push_str("\n| row | program | the other setting / the first |\n|---|---|---|\n");
    for summary in &pairwise {
        for line in summary.lines.iter().filter(|line| line.ratio.is_some()) {
            push(
                &mut page,
                format_args!(
                    "| `{}` | {} | {} |\n",
                    summary.row.name,
                    line.contender.name,
                    ratio(line)
                ),
            );
        }
    }
    page.push_str("\n## Row by row\n");
    summaries.iter().for_each(|summary| details(&mut page, summary));
    page.push_str("\n## Circumstances\n\n");
    circumstances(&mut page, summaries);
    page
}

/// The best setting of these programs: its name, its figure, and the ratio.
fn peer(summary: &Summary, of: &[Proxy]) -> String {
    summary.best(of).map_or_else(
        || "- | -".to_owned(),
        |line| format!("{} ({}) | {}", number(line.value.median), line.contender.name, ratio(line)),
    )
}

fn ratio(line: &Line) -> String {
    line.ratio.map_or_else(String::new, |ratio| {
        format!("**{:.2}** ({:.2}-{:.2})", ratio.median, ratio.min, ratio.max)
    })
}

/// With one digit where it matters.
fn number(value: f64) -> String {
    if value.abs() < 1000.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn details(page: &mut String, summary: &Summary) {
    let row = summary.row;
    let (name, title, unit) = (row.name, row.title, row.figure.unit());
    push(page, format_args!("\n### {name}\n\nMeasured: {title}.\nThe figure: {unit}.\n\n"));
    page.push_str("| contender | median | spread | ratio | a second | p50 / p99, ms | CPU of proxies / load / others |\n");
    page.push_str("|---|---|---|---|---|---|---|\n");
    for line in &summary.lines {
        let latency = match (line.p50_us, line.p99_us) {
            (Some(p50), Some(p99)) => format!("{:.2} / {:.2}", p50 / 1e3, p99 / 1e3),
            _ => "-".to_owned(),
        };
        let rate = if line.rate > 0.0 { format!("{:.0}", line.rate) } else { "-".to_owned() };
        push(
            page,
            format_args!(
                "| {} | {} | {}-{} | {} | {rate} | {latency} | {:.0} / {:.0} / {:.0} % |\n",
                line.contender.name,
                number(line.value.median),
                number(line.value.min),
                number(line.value.max),
                ratio(line),
                line.proxies_busy * 100.0,
                line.load_busy * 100.0,
                line.others_busy * 100.0,
            ),
        );
    }
}

/// Rows that were measured under the same ones are named together.
fn circumstances(page: &mut String, summaries: &[Summary]) {
    let without_row = |context: &Value| {
        let mut context = context.clone();
        context["row"] = Value::Null;
        context["versions"] = Value::Null;
        context
    };
    let mut seen: Vec<(Value, Vec<&str>)> = Vec::new();
    for summary in summaries {
        let context = without_row(&summary.context);
        match seen.iter_mut().find(|(other, _)| *other == context) {
            Some((_, rows)) => rows.push(summary.row.name),
            None => seen.push((context, vec![summary.row.name])),
        }
    }
    page.push_str("| rows | machine | kernel | commit | date |\n|---|---|---|---|---|\n");
    for (context, rows) in seen {
        let text = |key: &str| context[key].as_str().unwrap_or("unknown").to_owned();
        let cells = ["machine", "kernel", "commit", "date"].map(text);
        push(page, format_args!("| {} | {} |\n", rows.join(", "), cells.join(" | ")));
    }
    let mut versions: Vec<(String, String)> = Vec::new();
    for all in summaries.iter().filter_map(|summary| summary.context["versions"].as_object()) {
        for (name, version) in all {
            let pair = (name.clone(), version.as_str().unwrap_or("unknown").to_owned());
            if !versions.contains(&pair) {
                versions.push(pair);
            }
        }
    }
    page.push_str("\n| program | version |\n|---|---|\n");
    for (name, version) in versions {
        push(page, format_args!("| {name} | {version} |\n"));
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = page.write_fmt(text);
}
