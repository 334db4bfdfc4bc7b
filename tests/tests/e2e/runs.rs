//! Which writes belong to one build and which begin the next.

use harness::fixtures;
use harness::system::{Agent, HOST, System};
use harness::writer::{Manner, PHASE};
use protocol::BuildState;
use serde_json::json;

#[tokio::test]
async fn a_recreated_file_begins_the_next_run() {
    let system = System::start().await;
    let project = system.project("again");
    project.phase(&fixtures::phase("again", "Builder", "3/7", "building"));
    system.build(&project, 1, |_| true).await;
    let other = fixtures::phase("again", "Builder", "3/7", "implementing");
    project.write(PHASE, &other, Manner::Recreate);
    let next = system.build(&project, 2, |_| true).await;
    assert_eq!(next.state, BuildState::Running);
    let first = system
        .build(&project, 1, |build| build.ended_at.is_some())
        .await;
    assert_eq!(first.state, BuildState::Unknown);
    assert!(first.state_reason.unwrap().contains("run 2"));
}

#[tokio::test]
async fn fewer_completed_phases_begin_the_next_run() {
    let system = System::start().await;
    let project = system.project("shrink");
    let mut file = fixtures::phase("shrink", "Builder", "?/7", "building");
    project.phase(&file);
    system.build(&project, 1, |_| true).await;
    file["phases_completed"] = json!([]);
    project.phase(&file);
    system
        .build(&project, 2, |build| build.state == BuildState::Running)
        .await;
}

#[tokio::test]
async fn a_phase_number_back_at_the_start_begins_the_next_run() {
    let system = System::start().await;
    let project = system.project("back");
    for file in fixtures::whole_build("back") {
        project.phase(&file);
    }
    system
        .build(&project, 1, |build| build.ended_at.is_some())
        .await;
    project.phase(&fixtures::phase("back", "Scout", "1/7", "researching"));
    let next = system.build(&project, 2, |_| true).await;
    assert_eq!(next.state, BuildState::Running);
    assert_eq!(next.session_id.as_deref(), Some("back"));
    let rows = system.database.builds().await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].build.ended_at.is_some() && rows[1].build.ended_at.is_none());
}

#[tokio::test]
async fn editors_and_atomic_writers_do_not_begin_a_run() {
    let system = System::start().await;
    let project = system.project("edited");
    for (count, manner) in (0..).zip(Manner::ALL) {
        project.write(PHASE, &fixtures::numbered("edited", count), manner);
        let detail = format!("step {count}");
        system
            .build(&project, 1, |build| {
                build.detail.as_deref() == Some(&detail)
            })
            .await;
    }
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_runs_with_equal_files_and_equal_summaries_are_two_builds() {
    let system = System::start().await;
    let project = system.project("twice");
    for run in 1..=2 {
        project.phase(&fixtures::phase("twice", "Scout", "1/7", "researching"));
        system
            .build(&project, run, |build| build.state == BuildState::Running)
            .await;
        project.phase(&fixtures::phase("twice", "Deploy", "6/7", "deploying"));
        system
            .build(&project, run, |build| {
                build.phase.as_deref() == Some("Deploy")
            })
            .await;
        project.summary(&fixtures::summary("twice"));
        let ended = system
            .build(&project, run, |build| build.ended_at.is_some())
            .await;
        assert_eq!(ended.state, BuildState::Completed);
    }
}

#[tokio::test]
async fn files_from_before_the_agent_are_found_and_not_live() {
    let mut system = System::bare().await;
    let project = system.project("left-over");
    project.phase(&fixtures::phase("left-over", "Test", "4/7", "testing"));
    let aggregator = harness::system::Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    system
        .agents
        .push(Agent::start(HOST, &system.watch, &system.nats));
    let build = system.build(&project, 1, |_| true).await;
    assert!(build.found);
    assert!(system.database.events().await.unwrap()[0].found);

    // What is written from now on is live.
    let live = system.project("live");
    live.phase(&fixtures::phase("live", "Scout", "1/7", "researching"));
    assert!(!system.build(&live, 1, |_| true).await.found);
}

#[tokio::test]
async fn a_change_while_the_agent_was_away_is_live_and_told_once() {
    let mut system = System::start().await;
    let project = system.project("away");
    project.phase(&fixtures::numbered("away", 1));
    system.build(&project, 1, |_| true).await;
    system.agents[0].kill();
    project.phase(&fixtures::numbered("away", 2));
    system.agents[0].restart();
    let build = system
        .build(&project, 1, |build| {
            build.detail.as_deref() == Some("step 2")
        })
        .await;
    assert!(!build.found);
    // A restart without a change tells nothing again.
    system.agents[0].restart();
    let marker = system.project("marker");
    marker.phase(&fixtures::numbered("marker", 1));
    system.build(&marker, 1, |_| true).await;
    let events = system.database.events().await.unwrap();
    let of_project = events
        .iter()
        .filter(|event| event.project == project.token().to_string());
    assert_eq!(of_project.count(), 2, "{events:?}");
}
