//! `make bench`: what the whole chain costs, beside what its parts cost alone,
//! measured in the same run on the same servers. Arguments choose parts:
//! `latency`, `throughput`, `idle`, `unchanged`, `growing`, `flood`, `browser`; none runs all.
//!
//! The figures mean something on a machine that does nothing else.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table"
)]

mod browser;
mod flood;
mod growing;
mod idle;
mod latency;
mod primitives;
mod procfs;
mod report;
mod throughput;
mod unchanged;

use report::Report;

const PARTS: [&str; 7] = [
    "latency",
    "throughput",
    "idle",
    "unchanged",
    "growing",
    "flood",
    "browser",
];

fn main() {
    // cargo adds `--bench`.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| !text.starts_with('-'))
        .collect();
    if let Some(unknown) = chosen.iter().find(|part| !PARTS.contains(&part.as_str())) {
        eprintln!(
            "no part is called {unknown}; there are: {}",
            PARTS.join(", ")
        );
        std::process::exit(64);
    }
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| name == part);
    let mut report = Report::default();
    for part in PARTS.into_iter().filter(|part| wanted(part)) {
        println!("\n== {part}");
        // A runtime per part: none of its tasks live on in the next one.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            match part {
                "latency" => latency::run(&mut report).await,
                "throughput" => throughput::run(&mut report).await,
                "idle" => idle::run(&mut report).await,
                "unchanged" => unchanged::run(&mut report).await,
                "growing" => growing::run(&mut report).await,
                "flood" => flood::run(&mut report).await,
                _ => browser::run(&mut report).await,
            }
        });
    }
    report.print();
}
