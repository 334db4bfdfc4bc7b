//! A host's clock that is set back by an hour, and file times that are wrong.
//! The clock is one for all processes here, so the agent alone is given another
//! one: a library in front of libc's `clock_gettime`, whose offset is in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use harness::oracle::Recorder;
use harness::scratch;
use harness::system::{Agent, System};
use harness::writer::{PHASE, Project};
use protocol::BuildState;

use super::step;

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        long offset = 0;
        const char *path = getenv("PHASELINE_TEST_CLOCK");
        FILE *file = path ? fopen(path, "re") : NULL;
        if (file) {
            if (fscanf(file, "%ld", &offset) != 1) offset = 0;
            fclose(file);
        }
        time->tv_sec += offset;
    }
    return result;
}
"#;

/// Builds the library; none where there is no C compiler.
fn shim(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    fs::write(&source, SHIM).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
    compiler.arg(&source).arg("-ldl");
    let built = compiler.status().is_ok_and(|status| status.success());
    built.then_some(library)
}

async fn shows(system: &System, id: &str, count: u64) {
    let detail = format!("step {count}");
    let build = system
        .build_by_id(id, |build| {
            build.detail.as_deref() == Some(&detail) && build.state == BuildState::Running
        })
        .await;
    assert!(build.ended_at.is_none());
}

/// How far the clock that the agent's newest event was read by is from ours, and the fault was done at all.
async fn was_read_by_a_clock_at(system: &System, seconds: i64) {
    /// Until a row is looked at; far less than the hours that tell.
    const PASSED: i64 = 600;
    let query = "SELECT extract(epoch FROM observed_at - now())::bigint FROM event \
                 WHERE host = 'set-back' ORDER BY id DESC LIMIT 1";
    let found = system.database.number(query).await.unwrap();
    eprintln!("clock at {seconds} s: the newest event was read {found} s from now");
    assert!(
        (found - seconds).abs() < PASSED,
        "{found} and not {seconds}"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_an_hour_loses_nothing() {
    let dir = scratch::directory("clock");
    let Some(library) = shim(&dir) else {
        eprintln!("skipped: there is no C compiler, and the clock is everybody's");
        return;
    };
    let offset = dir.join("offset");
    let set_clock = |seconds: i64| {
        let new = dir.join("new");
        fs::write(&new, seconds.to_string()).unwrap();
        fs::rename(&new, &offset).unwrap();
    };
    set_clock(0);
    let mut system = System::start().await;
    let watch = scratch::directory("watch");
    let settings = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("PHASELINE_TEST_CLOCK", offset.to_str().unwrap()),
    ];
    let agent = Agent::start_with("set-back", watch.clone().into(), &system.nats, &settings);
    system.agents.push(agent);
    system.host_is("set-back", "up").await;
    let (project, recorder) = (Project::create(watch.join("p")), Recorder::start(&system));
    let id = project.build_id("set-back", 1);
    recorder.step(&project, 1);
    shows(&system, &id, 1).await;
    was_read_by_a_clock_at(&system, 0).await;
    set_clock(-3_600);
    recorder.step(&project, 2);
    shows(&system, &id, 2).await;
    was_read_by_a_clock_at(&system, -3_600).await;
    // An agent that begins an hour before its last one.
    for (count, clock) in [(3, -3_600), (4, -7_200), (5, 3_600), (6, 0)] {
        set_clock(clock);
        system.agents[1].restart();
        recorder.step(&project, count);
        shows(&system, &id, count).await;
        was_read_by_a_clock_at(&system, clock).await;
        system.host_is("set-back", "up").await;
    }
    let events = system.database.events().await.unwrap();
    let late = events.iter().filter(|event| event.late).count();
    assert_eq!(late, 0, "nothing is taken for old");
    let verdict = recorder.verdict(&system, Instant::now()).await;
    verdict.assert_faultless("clock set back");
}

#[tokio::test]
async fn file_times_of_the_future_and_the_past_are_neither_late_nor_silent() {
    let system = System::start().await;
    let project = system.project("times");
    let id = project.build_id(harness::system::HOST, 1);
    let hour = Duration::from_secs(3_600);
    let now = SystemTime::now();
    let begun = Instant::now();
    let times = [now + 24 * hour, now, now - hour, now + hour, now];
    for (count, time) in (1..).zip(times) {
        // Made aside, so that the time is already wrong when the file appears.
        let document = harness::fixtures::numbered("times", count);
        let aside = system.watch.join("aside.json");
        let text = serde_json::to_vec_pretty(&document).unwrap();
        fs::write(&aside, text).unwrap();
        let file = fs::File::options().write(true).open(&aside).unwrap();
        file.set_modified(time).unwrap();
        fs::rename(&aside, project.file(PHASE)).unwrap();
        let detail = format!("step {count}");
        let build = system
            .build_by_id(&id, |build| build.detail.as_deref() == Some(&detail))
            .await;
        let alive_at = build.alive_at.unwrap();
        assert!(
            alive_at <= protocol::Timestamp::from_system_time(SystemTime::now()),
            "no sign of life from the future: {alive_at}"
        );
    }
    step(&project, 6);
    shows(&system, &id, 6).await;
    let events = system.database.events().await.unwrap();
    assert!(events.iter().all(|event| !event.late), "{events:?}");
    eprintln!(
        "file times: {} rows in {:.1} s",
        events.len(),
        begun.elapsed().as_secs_f64()
    );
}
