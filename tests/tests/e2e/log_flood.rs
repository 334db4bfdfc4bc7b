//! A log that grows as fast as the disk takes it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use harness::adw::{PHASES, Tree, Workflow, planned};
use harness::system::{HOST, System};
use protocol::LogPage;

use crate::log_lines::{append, execution_log, log};

/// Bytes of the log, in lines of this length.
const FLOOD: usize = 300_000_000;
const LINE: usize = 1_000;
/// What the agent may have resident meanwhile, KiB: it reads 64 KiB at once and keeps 8 MiB of lines at most.
/// A debug build takes some 20 MiB for nothing.
const RESIDENT: u64 = 64 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

fn flood(path: &Path) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let piece = format!("{}\n", "z".repeat(LINE - 1)).repeat(1_000);
    for _ in 0..FLOOD / piece.len() {
        file.write_all(piece.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn a_flood_is_skipped_and_counted_and_states_go_first() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let path = execution_log(&workflow);
    append(&path, "first\n");
    let api = system.api();
    log(&api, &id, "", |page| page.lines.len() == 1).await;
    let pid = system.agents[0].process.pid();
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || flood(&path))
    };
    // The states that come with it are there long before the lines are, each of them.
    let mut resident = 0;
    for n in 1..PHASES.len() - 1 {
        workflow.phases(Tree::Main, &PHASES[..n], Some(PHASES[n]));
        system
            .build_by_id(&id, |build| build.phase.as_deref() == Some(PHASES[n]))
            .await;
        resident = resident.max(resident_kib(pid));
    }
    writer.join().unwrap();
    resident = resident.max(resident_kib(pid));
    append(&path, "last\n");
    let end = |page: &LogPage| page.lines.last().is_some_and(|line| line.text == "last");
    let page = log(&api, &id, "?last=1", end).await;
    resident = resident.max(resident_kib(pid));
    assert!(resident < RESIDENT, "{resident} KiB");
    // Each byte was stored or counted.
    let stored = usize::try_from(page.lines.last().unwrap().number).unwrap();
    let lines = (stored - 2) * LINE + "first\nlast\n".len();
    let skipped = usize::try_from(page.skipped_bytes).unwrap();
    assert_eq!(
        lines + skipped,
        usize::try_from(fs::metadata(&path).unwrap().len()).unwrap()
    );
    assert!(skipped > FLOOD / 2, "{skipped}");
}
