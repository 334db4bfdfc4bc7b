//! Whatever the manner of writing, the newest state comes and no torn one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::fixtures;
use harness::oracle::{Recorder, TruthLog};
use harness::scale::scale;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::{Manner, PHASE, Project};
use protocol::BuildState;

/// Nothing that was never written is a row, and no pause of a writer was reported as damage.
async fn assert_nothing_torn(system: &System, recorder: &Recorder, since: Instant, test: &str) {
    let verdict = recorder.verdict(system, since).await;
    verdict.assert_faultless(test);
    let breaches = recorder.breaches();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    let events = system.database.events().await.unwrap();
    let unreadable = events
        .iter()
        .filter(|event| event.kind == "unreadable")
        .count();
    assert_eq!(unreadable, 0, "a writer's pause was reported as damage");
}

/// Writes in place, in pieces with pauses of a few milliseconds between them.
fn in_pieces(truth: &TruthLog, project: &Project, writes: u64) {
    for count in 1..=writes {
        let pause = Duration::from_millis(count % 7);
        truth.write(project, count, Manner::Pieces(pause));
    }
}

#[tokio::test]
async fn writes_in_place_with_pauses_inside_show_no_torn_state() {
    const WRITERS: u64 = 8;
    let system = System::start().await;
    let recorder = Recorder::start(&system);
    let writes = scale(400, 10_000) / WRITERS;
    let projects: Vec<Project> = (0..WRITERS)
        .map(|n| system.project(&format!("slow-{n}")))
        .collect();
    let truth = Arc::clone(&recorder.truth);
    let writing = tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            for project in &projects {
                scope.spawn(|| in_pieces(&truth, project, writes));
            }
        });
    });
    writing.await.unwrap();
    let name = format!("{} writes in pieces", writes * WRITERS);
    assert_nothing_torn(&system, &recorder, Instant::now(), &name).await;
}

#[tokio::test]
async fn every_manner_of_writing_in_turn_ends_in_the_newest_state() {
    let system = System::start().await;
    let (project, recorder) = (system.project("mixed"), Recorder::start(&system));
    let manners = Manner::ALL.into_iter().cycle().take(300);
    let truth = Arc::clone(&recorder.truth);
    tokio::task::spawn_blocking(move || {
        for (count, manner) in (1..).zip(manners) {
            truth.write(&project, count, manner);
        }
    })
    .await
    .unwrap();
    let name = "every manner of writing";
    assert_nothing_torn(&system, &recorder, Instant::now(), name).await;
}

#[tokio::test]
async fn spaced_writes_of_each_manner_are_each_seen() {
    let system = System::start().await;
    let project = system.project("spaced");
    for (count, manner) in (0..).zip(Manner::ALL) {
        project.write(PHASE, &fixtures::numbered("spaced", count), manner);
        let detail = format!("step {count}");
        system
            .build(&project, 1, |build| {
                build.detail.as_deref() == Some(&detail)
            })
            .await;
    }
    let rows = system.database.events().await.unwrap();
    assert_eq!(rows.len(), Manner::ALL.len(), "{rows:?}");
}

#[tokio::test]
async fn an_empty_and_a_half_file_keep_the_last_good_state_and_are_then_reported() {
    let system = System::start().await;
    let project = system.project("half");
    project.phase(&fixtures::numbered("half", 1));
    system.build(&project, 1, |_| true).await;
    for content in ["", "{\"session_id\": \"half\", \"current_ph"] {
        std::fs::write(project.file(PHASE), content).unwrap();
        let reported = system
            .build(&project, 1, |build| {
                build
                    .state_reason
                    .as_deref()
                    .is_some_and(|reason| reason.contains(PHASE))
            })
            .await;
        assert_eq!(
            reported.state,
            BuildState::Running,
            "the last good state stays"
        );
        assert_eq!(reported.detail.as_deref(), Some("step 1"));
        project.phase(&fixtures::numbered("half", 1));
        system
            .build(&project, 1, |build| build.state_reason.is_none())
            .await;
    }
    let events = system.database.events().await.unwrap();
    assert!(
        events.iter().any(|event| event.kind == "unreadable"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_state_that_comes_back_is_told_again() {
    let system = System::start().await;
    let project = system.project("a-b-a");
    let (a, b) = (
        fixtures::numbered("a-b-a", 1),
        fixtures::numbered("a-b-a", 2),
    );
    for file in [&a, &b, &a] {
        project.phase(file);
        let detail = file["progress_detail"].as_str().unwrap();
        system
            .build(&project, 1, |build| build.detail.as_deref() == Some(detail))
            .await;
    }
    assert_eq!(system.database.events().await.unwrap().len(), 3);
}

#[tokio::test]
async fn whole_numbers_that_no_double_holds_are_two_states_and_kept_exactly() {
    let system = System::start().await;
    let project = system.project("exact");
    for number in [
        "9007199254740992",
        "9007199254740993",
        "18446744073709551617",
    ] {
        let text = format!(
            "{{\"current_phase\":\"Test\",\"phase_number\":\"4/7\",\"status\":\"testing\",\"stamp\":{number}}}"
        );
        std::fs::write(project.file(PHASE), text).unwrap();
        let api = system.api();
        let path = format!("/api/v1/builds/{}/events", project.build_id(HOST, 1));
        eventually("the number as it was written", async || {
            let answer = api.get(&path).await?;
            let body = answer.body.replace(' ', "");
            check(body.contains(&format!("\"stamp\":{number}")), || body)
        })
        .await;
    }
    assert_eq!(system.database.events().await.unwrap().len(), 3);
}
