//! What the inspection of a JSON request of 1 KiB costs, in microseconds of CPU: the mean of COUNT inspections.
//!
//! ```text
//! cargo run --release -p threat-rules --example cost -- builtin|RULES PARANOIA COUNT BODY
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that says what it found")]

use std::error::Error;
use std::path::Path;

use http::{HeaderMap, HeaderValue, Version};
use nix::sys::resource::{UsageWho, getrusage};
use threat_rules::{InspectedRequest, InspectionSettings, RuleSet};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rules, paranoia, count, body] = arguments.as_slice() else {
        return Err("usage: cost builtin|RULES PARANOIA COUNT BODY".into());
    };
    let read = if rules == "builtin" {
        RuleSet::builtin()
    } else {
        RuleSet::read(Path::new(rules), &[901_410])
    };
    let rules = read.map_err(|problems| {
        problems.iter().map(|problem| format!("{problem}\n")).collect::<String>()
    })?;
    let body = std::fs::read(body)?;
    let settings = InspectionSettings { paranoia: paranoia.parse()?, exclusions: &[] };
    let headers = headers(body.len());
    let request = InspectedRequest {
        method: "POST",
        target: "/api/orders?page=2&sort=-price",
        version: Version::HTTP_11,
        headers: &headers,
        body: &body,
        body_complete: true,
        client: [192, 0, 2, 1].into(),
    };
    let attack = InspectedRequest { target: "/api/orders?q=1'%20or%20'1'='1", ..request };
    if rules.inspect(&attack, &settings).score == 0 || rules.inspect(&request, &settings).score > 0
    {
        return Err("the rules do not tell an attack from an order".into());
    }
    let count: u32 = count.parse()?;
    let before = cpu()?;
    for _ in 0..count {
        std::hint::black_box(rules.inspect(std::hint::black_box(&request), &settings));
    }
    println!("{:.1}", (cpu()? - before) / f64::from(count));
    Ok(())
}

fn headers(length: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let rows = [
        ("host", "shop.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("cookie", "session=s3cr3t; theme=dark"),
    ];
    for (name, value) in rows {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("content-length", HeaderValue::from(length));
    headers
}

/// Microseconds of CPU that this process has used.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| {
        Ok::<_, Box<dyn Error>>(
            f64::from(i32::try_from(time.tv_sec())?) * 1e6
                + f64::from(i32::try_from(time.tv_usec())?),
        )
    };
    Ok(micros(usage.user_time())? + micros(usage.system_time())?)
}
