//! (g) A log that grows as fast as the disk takes it to 1 GB, is cut off and grows
//! again, while state files change beside it: how late their changes are, and what the agent takes.
//! `PHASELINE_BENCH_LOG_MB` is another size, for a look in passing.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::adw::{Tree, Workflow, planned};
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::{Manner, Project};

use crate::latency;
use crate::procfs;
use crate::report::{Report, Spans};

/// Size at which the log is cut off, megabytes.
const LOG_MB: usize = 1_000;
/// Lines of a build's log are about this long, bytes.
const LINE: usize = 120;
/// What is written at once: a producer's buffer.
const PIECE: usize = 256 * 1024;
/// State files that change in turn, so that none is written faster than an agent reports each change.
const FILES: usize = 20;
/// From one change to the next.
const PACE: Duration = Duration::from_millis(20);
/// Measured in all, each while the log grows.
const CHANGES: u64 = 300;
/// The last line.
const LAST: &str = "the last line";

pub(crate) async fn run(report: &mut Report) {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let projects: Vec<Project> = (0..FILES)
        .map(|n| system.project(&format!("p{n}")))
        .collect();
    let mut socket = latency::connect(&system).await;
    let mut count = 0;
    for _ in 0..FILES {
        count += 1;
        latency::one(&projects, count, Manner::InPlace, &mut socket).await;
    }
    let path = workflow.dir(Tree::Main).join("adw_build_iso/execution.log");
    let pid = system.agents[0].process.pid();
    let megabytes = std::env::var("PHASELINE_BENCH_LOG_MB").ok();
    let megabytes = megabytes
        .and_then(|text| text.parse().ok())
        .unwrap_or(LOG_MB);
    let (began, ticks) = (Instant::now(), procfs::cpu_ticks(pid));
    let is_measured = Arc::new(AtomicBool::new(false));
    let writer = {
        let (path, until) = (path.clone(), Arc::clone(&is_measured));
        std::thread::spawn(move || append(&path, megabytes * 1_000_000, &until))
    };
    let (mut spans, mut resident) = (Spans::new(), 0);
    for _ in 0..CHANGES {
        count += 1;
        spans.add(latency::one(&projects, count, Manner::InPlace, &mut socket).await);
        resident = resident.max(procfs::resident_kib(pid));
        tokio::time::sleep(PACE).await;
    }
    is_measured.store(true, Ordering::Relaxed);
    let (written, lasted) = writer.join().expect("the writer ends");
    let api = system.api();
    let mut skipped = 0;
    eventually("the last line is there", async || {
        let page = api.log(&id, "?last=1&limit=1").await?;
        skipped = page.skipped_bytes;
        let last = page.lines.last().map(|line| line.text.as_str());
        check(last == Some(LAST), || format!("{last:?}"))
    })
    .await;
    let spent = float(procfs::cpu_ticks(pid) - ticks) / 100.0 / began.elapsed().as_secs_f64();
    println!(
        "{} MB of log in {:.1} s: {:.1} % of a core, at most {resident} KiB resident, {} MB passed over and counted",
        written / 1_000_000,
        lasted.as_secs_f64(),
        spent * 100.0,
        skipped / 1_000_000,
    );
    spans.line("state file to WebSocket frame, log flood");
    report.at_most(
        "state events while a log floods, p99",
        spans.ms(0.99),
        100.0,
        "ms",
    );
    report.at_most(
        "the same, resident memory",
        float(resident) / 1024.0,
        32.0,
        "MiB",
    );
}

/// Appends as fast as the disk takes it; how many bytes, and how long it took.
fn append(path: &Path, most: usize, until: &AtomicBool) -> (usize, Duration) {
    let began = Instant::now();
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory");
    let file = OpenOptions::new().create(true).append(true).open(path);
    let mut file = file.expect("the log");
    let line = format!("{}\n", "compiling ".repeat(LINE / 10));
    let piece = line.repeat(PIECE / line.len());
    let (mut written, mut size) = (0, 0);
    while written < most || !until.load(Ordering::Relaxed) {
        if size >= most {
            file.set_len(0).expect("cut off");
            size = 0;
        }
        file.write_all(piece.as_bytes()).expect("a write");
        written += piece.len();
        size += piece.len();
    }
    writeln!(file, "{LAST}").expect("a write");
    (written, began.elapsed())
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
