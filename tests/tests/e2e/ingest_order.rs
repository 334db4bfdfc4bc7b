//! A file and calls of the same build are one build, whichever comes first.

use harness::api::read;
use harness::fixtures;
use harness::system::{HOST, System};
use harness::wait;
use harness::writer::Project;
use protocol::build::Origin;
use protocol::{Build, BuildState, ProjectToken, subject};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

use harness::process::{clean, program};

async fn post(system: &System, path: &str, body: &Value) {
    let request = system
        .api()
        .request(reqwest::Method::POST, path)
        .header("phaseline-host", HOST)
        .json(body);
    let answer = read(request).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The build that calls make while no file of the session is known.
fn of_calls(session: &str, run: u32) -> String {
    let token = format!("http:context-foundry:{session}");
    subject::build_id(HOST, ProjectToken::of(Path::new(&token)), run)
}

/// The ids that the list shows, newest first.
async fn listed(system: &System) -> Vec<String> {
    let builds = system.api().builds().await.unwrap();
    builds.into_iter().map(|build| build.id).collect()
}

async fn joined(system: &System, calls: &str, files: &Project, run: u32) -> Build {
    let id = files.build_id(HOST, run);
    system
        .build_by_id(calls, |build| build.same_as.as_deref() == Some(id.as_str()))
        .await
}

#[tokio::test]
async fn a_call_that_comes_before_its_file_makes_no_second_build() {
    let system = System::start().await;
    let client = system.client().await;
    let scout = fixtures::phase("web", "Scout", "1/7", "researching");
    post(&system, "/api/phase-update", &scout).await;
    let usage = json!({"type":"context_update","session_id":"web","sequence":2,"data":{"tokens_used":83_000}});
    post(&system, "/api/broadcast/web", &usage).await;
    let calls = of_calls("web", 1);
    let before = system
        .build_by_id(&calls, |build| build.context.is_some())
        .await;

    let project = system.project("web");
    project.phase(&scout);
    let other = joined(&system, &calls, &project, 1).await;
    assert!(other.has_ended() && other.state == BuildState::Unknown);
    let build = system
        .build(&project, 1, |build| build.context.is_some())
        .await;
    assert_eq!((build.origin, build.path.as_str()), (Origin::Live, "web"));
    assert_eq!(
        build.context.unwrap().used,
        Some(83_000),
        "what only calls told is kept"
    );
    assert_eq!(build.started_at, before.started_at);
    assert_eq!(listed(&system).await, [project.build_id(HOST, 1)]);

    // Further calls are of the one build, and so are further files.
    let agent = json!({"session_id":"web","agent_id":"scout-1","status":"active"});
    post(&system, "/api/agent-update", &agent).await;
    system
        .build(&project, 1, |build| build.agents.is_some())
        .await;
    for file in fixtures::whole_build("web") {
        post(&system, "/api/phase-update", &file).await;
        project.phase(&file);
    }
    let done = system.build(&project, 1, Build::has_ended).await;
    assert_eq!(done.state, BuildState::Completed);
    assert_eq!(listed(&system).await.len(), 1);

    // Whoever watched was told, and whoever comes now sees one build.
    client
        .until("the other build to go", |seen| {
            seen.builds
                .get(&calls)
                .filter(|build| build["same_as"].is_string())
                .map(|_| ())
        })
        .await;
    let fresh = system.client().await;
    fresh
        .until("a snapshot with one build", |seen| {
            (seen.builds.len() == 1).then_some(())
        })
        .await;
    // Its address leads to the one build.
    let page = system.api().get(&format!("/builds/{calls}")).await.unwrap();
    assert_eq!(page.status, 303);
    let to = page.headers["location"].to_str().unwrap().to_owned();
    assert!(to.ends_with(&project.build_id(HOST, 1)), "{to}");
}

#[tokio::test]
async fn the_next_build_may_begin_with_a_call_too() {
    let system = System::start().await;
    let project = system.project("again");
    for file in fixtures::whole_build("again") {
        project.phase(&file);
    }
    system.build(&project, 1, Build::has_ended).await;
    let scout = fixtures::phase("again", "Scout", "1/7", "researching");
    post(&system, "/api/phase-update", &scout).await;
    system.build_by_id(&of_calls("again", 1), |_| true).await;
    project.phase(&scout);
    joined(&system, &of_calls("again", 1), &project, 2).await;
    let ids = listed(&system).await;
    assert_eq!(ids, [project.build_id(HOST, 2), project.build_id(HOST, 1)]);
}

#[tokio::test]
async fn two_projects_of_one_name_stay_two_builds() {
    let system = System::start().await;
    let first = fixtures::phase("app", "Builder", "3/7", "building");
    post(&system, "/api/phase-update", &first).await;
    system.build_by_id(&of_calls("app", 1), |_| true).await;
    let one = system.project("a/app");
    one.phase(&first);
    joined(&system, &of_calls("app", 1), &one, 1).await;
    // Another project, whose call comes first: it cannot be told from one of the project that is known.
    let second = fixtures::phase("app", "Scout", "1/7", "researching");
    post(&system, "/api/phase-update", &second).await;
    let other = system.project("b/app");
    other.phase(&second);
    system
        .build(&other, 1, |build| build.phase.as_deref() == Some("Scout"))
        .await;
    // Calls of the first do not change the second, which is the newest of that name.
    let later = fixtures::phase("app", "Test", "4/7", "testing");
    post(&system, "/api/phase-update", &later).await;
    one.phase(&later);
    let build = system
        .build(&one, 1, |build| build.phase.as_deref() == Some("Test"))
        .await;
    assert_eq!(build.phases.len(), 4, "{:?}", build.phases);
    let second = system.build(&other, 1, |_| true).await;
    assert_eq!((second.phase.as_deref(), second.run), (Some("Scout"), 1));
    assert_eq!(listed(&system).await.len(), 2);
}

#[tokio::test]
async fn a_rebuild_comes_to_the_same_one_build() {
    let mut system = System::start().await;
    let scout = fixtures::phase("web", "Scout", "1/7", "researching");
    post(&system, "/api/phase-update", &scout).await;
    system.build_by_id(&of_calls("web", 1), |_| true).await;
    let project = system.project("web");
    project.phase(&scout);
    joined(&system, &of_calls("web", 1), &project, 1).await;
    let bodies = async || -> Vec<Build> {
        let rows = system.database.builds().await.unwrap();
        rows.into_iter().map(|row| row.build).collect()
    };
    let before = bodies().await;
    let settings = [
        ("PHASELINE_DATABASE_URL", system.database.url()),
        (
            "PHASELINE_DATABASE_PASSWORD_FILE",
            system.database.password_file().display().to_string(),
        ),
    ];
    system.aggregators[0].kill();
    let said = wait::eventually("the rebuild runs", async || {
        let mut command = clean(Command::new(program("phaseline-aggregator")));
        let output = command
            .arg("rebuild")
            .envs(settings.iter().cloned())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(text)
        }
    })
    .await;
    assert!(
        said.contains("2 builds unchanged, 0 changed, 0 removed, 0 skipped"),
        "{said}"
    );
    let rows = system.database.builds().await.unwrap();
    let after: Vec<Build> = rows.into_iter().map(|row| row.build).collect();
    assert_eq!(after, before);
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    // The new leader places calls as the old one did.
    let agent = json!({"session_id":"web","agent_id":"scout-1","status":"active"});
    post(&system, "/api/agent-update", &agent).await;
    system
        .build(&project, 1, |build| build.agents.is_some())
        .await;
}
