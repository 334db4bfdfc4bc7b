//! (c) An agent that has nothing to do, over 1,000 projects in a tree of
//! 50,000 directories.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::system::{Agent, System};
use harness::wait::{check, eventually};
use harness::writer::Project;

use crate::procfs;
use crate::report::Report;

const PROJECTS: usize = 1_000;
/// Under `node_modules`, of each hundredth project so many: 48,500 in all.
const PRUNED_PER_TREE: usize = 4_850;
const TREES: usize = 10;
const HOST: &str = "idle";
/// After the first walk everything it found has been sent.
const SETTLE: Duration = Duration::from_secs(12);
const SPAN: Duration = Duration::from_secs(30);

pub(crate) async fn run(report: &mut Report) {
    let mut system = System::start().await;
    // The broker's stream is there; the agent of the harness itself is not measured.
    system.agents.clear();
    let root = harness::scratch::directory("tree");
    println!("making 50,000 directories");
    make_tree(&root);
    let start = Instant::now();
    system.agents.push(Agent::start(HOST, &root, &system.nats));
    let pid = system.agents[0].process.pid();
    let watching = until_watching(pid, start).await;
    system.host_is(HOST, "up").await;
    let expected = i64::try_from(PROJECTS).unwrap_or(0);
    eventually("all projects are found", async || {
        let seen = system
            .database
            .number(&format!("SELECT count(*) FROM build WHERE host = '{HOST}'"))
            .await?;
        check(seen == expected, || seen.to_string())
    })
    .await;
    tokio::time::sleep(SETTLE).await;

    let (ticks, switches) = (procfs::cpu_ticks(pid), procfs::context_switches(pid));
    tokio::time::sleep(SPAN).await;
    let ticks = procfs::cpu_ticks(pid) - ticks;
    let switches = procfs::context_switches(pid) - switches;
    let resident = procfs::resident_kib(pid);
    println!(
        "{} watches, {ticks} ticks and {switches} context switches in 30 s, {resident} KiB",
        procfs::watches(pid)
    );
    report.at_most("idle agent CPU in 30 s", float(ticks), 2.0, "ticks");
    report.at_most(
        "idle agent context switches in 30 s",
        float(switches),
        60.0,
        "switches",
    );
    report.at_most(
        "idle agent resident memory",
        float(resident) / 1024.0,
        15.0,
        "MiB",
    );
    report.at_most(
        "idle agent start to watching",
        watching.as_secs_f64(),
        1.0,
        "s",
    );
}

fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// 1,000 projects with their producer's directory, 500 plain directories, and the rest pruned.
fn make_tree(root: &Path) {
    for number in 0..PROJECTS {
        let project =
            Project::create(root.join(format!("group-{}/project-{number}", number % 500)));
        project.phase(&fixtures::phase("found", "Scout", "1/7", "researching"));
        if number % (PROJECTS / TREES) == 0 {
            let pruned = project.dir().join("node_modules");
            for package in 0..PRUNED_PER_TREE / 50 {
                for inner in 0..50 {
                    fs::create_dir_all(pruned.join(format!("package-{package}/lib/m{inner}")))
                        .expect("a directory");
                }
            }
        }
    }
}

/// Until the number of its watches no longer grows.
async fn until_watching(pid: u32, start: Instant) -> Duration {
    let mut most = (0, Duration::ZERO);
    while start.elapsed() < most.1 + Duration::from_secs(2) || most.0 < PROJECTS {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "only {} watches",
            most.0
        );
        let now = procfs::watches(pid);
        if now > most.0 {
            most = (now, start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    most.1
}
