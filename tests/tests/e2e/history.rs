//! The past: a build as it was, and all builds folded anew.

use harness::fixtures;
use harness::process::{clean, program};
use harness::spawner;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::Timestamp;
use serde_json::Value;

/// Runs `phaseline-aggregator rebuild` against the system's database.
pub(crate) fn rebuild(system: &System) -> (bool, String) {
    let mut command = clean(spawner::command(program("phaseline-aggregator")));
    command
        .arg("rebuild")
        .env("PHASELINE_DATABASE_URL", system.database.url())
        .env(
            "PHASELINE_DATABASE_PASSWORD_FILE",
            system.database.password_file(),
        );
    let done = command.output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Two runs: one completed, one working.
async fn two_runs(system: &System) -> Project {
    let project = system.project("past");
    for file in fixtures::whole_build("past") {
        project.phase(&file);
        // A writer faster than this would have only its last state recorded.
        let phase = file["current_phase"].as_str();
        system
            .build(&project, 1, |build| build.phase.as_deref() == phase)
            .await;
    }
    system
        .build(&project, 1, |build| build.ended_at.is_some())
        .await;
    project.phase(&fixtures::phase("past", "Scout", "1/7", "researching"));
    system.build(&project, 2, |_| true).await;
    project
}

async fn rows(system: &System) -> Vec<Value> {
    let builds = system.database.builds().await.unwrap();
    builds
        .iter()
        .map(|row| serde_json::json!([row.build, row.seq, row.opened_seq, row.completed_seq]))
        .collect()
}

#[tokio::test]
async fn a_build_is_shown_as_it_was_after_each_of_its_events() {
    let system = System::start().await;
    let project = two_runs(&system).await;
    let id = project.build_id(HOST, 1);
    let events = system.api().events(&id).await.unwrap();
    assert!(events.len() > 3);
    let mut phases = Vec::new();
    for event in &events {
        let path = format!("/api/v1/builds/{id}?at={}", event.committed_at);
        let then = system.api().get(&path).await.unwrap().json();
        assert_eq!(then["seq"], Value::Null, "{then}");
        phases.push(then["phase"].clone());
    }
    let written: Vec<Value> = fixtures::whole_build("past")
        .iter()
        .map(|file| file["current_phase"].clone())
        .collect();
    assert_eq!(phases.last(), written.last());
    assert_eq!(phases.first(), written.first());
    let before = events[0].committed_at.plus_millis(-1_000);
    let answer = system
        .api()
        .get(&format!("/api/v1/builds/{id}?at={before}"))
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "not_yet")
    );
    let now = system.api().raw_build(&id).await.unwrap();
    let last = format!("/api/v1/builds/{id}?at={}", soon());
    let mut then = system.api().get(&last).await.unwrap().json();
    then["seq"] = now["seq"].clone();
    assert_eq!(then, now);
}

/// A moment that our clock has not reached, and another machine's may have.
fn soon() -> Timestamp {
    Timestamp::from_system_time(std::time::SystemTime::now()).plus_millis(30_000)
}

#[tokio::test]
async fn a_rebuild_changes_nothing_until_there_is_something_to_change() {
    let mut system = System::start().await;
    let project = two_runs(&system).await;
    let (done, told) = rebuild(&system);
    assert!(!done && told.contains("stop all of them first"), "{told}");
    // Whoever takes the lead takes snapshots: of the track's current run.
    system.aggregators[0].restart();
    let snapshots = "SELECT count(*) FROM snapshot";
    eventually("a snapshot is taken", async || {
        let taken = system.database.number(snapshots).await?;
        check(taken == 1, || format!("{taken} snapshots"))
    })
    .await;
    system.aggregators[0].ready().await;
    for aggregator in &mut system.aggregators {
        aggregator.process.stop().await;
    }
    let before = rows(&system).await;
    let (done, told) = rebuild(&system);
    assert!(
        done && told.contains("2 builds unchanged, 0 changed, 0 removed, 0 skipped"),
        "{told}"
    );
    assert!(
        told.contains("rebuilding") && told.contains("of=1"),
        "{told}"
    );
    assert_eq!(rows(&system).await, before);
    assert_eq!(system.database.number(snapshots).await, Ok(1));

    // An older fold that read less, and one that saw a run too many.
    let id = project.build_id(HOST, 1);
    let damage = format!(
        "UPDATE build SET body = body - 'phases' || '{{\"phases\":[],\"detail\":null}}', state = 'running', ended_at = NULL,
             completed_seq = NULL WHERE id = '{id}';
         INSERT INTO build (id, host, producer, project_token, project, path, run, state, last_updated, opened_seq, seq, body, opened_at)
         SELECT 'one-too-many', host, producer, project_token, project, path, 3, state, last_updated, 9001, 9001,
             body || '{{\"id\":\"one-too-many\",\"run\":3}}', (SELECT committed_at FROM event ORDER BY id OFFSET 1 LIMIT 1)
         FROM build WHERE id = '{id}';
         UPDATE event SET build_id = 'one-too-many' WHERE id = (SELECT id FROM event ORDER BY id OFFSET 1 LIMIT 1)"
    );
    system.database.execute(&damage).await.unwrap();
    let (done, told) = rebuild(&system);
    assert!(done && told.contains("1 changed, 1 removed"), "{told}");
    let after = system.database.builds().await.unwrap();
    assert_eq!(after.len(), 2);
    assert_eq!(
        serde_json::json!(after[0].build.phases),
        before[0][0]["phases"]
    );
    assert_eq!(after[0].state, "completed");
    assert!(after[0].completed_seq.is_some() && after[0].seq > before[1][1].as_i64().unwrap());
    // What the older fold remembered is gone with it.
    assert_eq!(system.database.number(snapshots).await, Ok(0));
    assert!(rebuild(&system).1.contains("2 builds unchanged, 0 changed"));
    // The parts of a cost are the fold's as well.
    let wrong = format!("UPDATE build SET costs = '[]' WHERE id = '{id}'");
    system.database.execute(&wrong).await.unwrap();
    assert!(rebuild(&system).1.contains("1 builds unchanged, 1 changed"));

    // It goes on where it was.
    system.aggregators[0].restart();
    project.phase(&fixtures::phase("past", "Builder", "3/7", "building"));
    system
        .build(&project, 2, |build| {
            build.phase.as_deref() == Some("Builder")
        })
        .await;
}

#[tokio::test]
async fn a_build_whose_first_events_are_past_retention_is_left_as_it_is() {
    let mut system = System::start().await;
    let project = two_runs(&system).await;
    let id = project.build_id(HOST, 1);
    let events = system.api().events(&id).await.unwrap();
    let between = events[1].committed_at;
    system
        .database
        .execute("DELETE FROM snapshot; DELETE FROM event WHERE id = (SELECT min(id) FROM event)")
        .await
        .unwrap();
    let get = async |path: String| system.api().get(&path).await.unwrap();
    let answer = get(format!("/api/v1/builds/{id}?at={between}")).await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (410, "past_retention")
    );
    // In the list it is there, and unknown.
    let list = get(format!("/api/v1/builds?at={between}&state=unknown")).await;
    let then = &list.json()["builds"][0];
    assert_eq!(then["id"], id.as_str(), "{then}");
    assert_eq!(
        (&then["phase"], &then["cost_usd"]),
        (&Value::Null, &Value::Null)
    );
    // As it ended is in its row.
    let answer = get(format!("/api/v1/builds/{id}?at={}", soon())).await;
    assert_eq!(answer.json()["state"], "completed");
    system.aggregators[0].process.stop().await;
    let before = rows(&system).await;
    let (done, told) = rebuild(&system);
    assert!(
        done && told.contains("1 builds unchanged, 0 changed, 0 removed, 1 skipped"),
        "{told}"
    );
    assert_eq!(rows(&system).await, before);
}
