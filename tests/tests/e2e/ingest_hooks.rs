//! Claude Code's hooks of a session that is of no workflow, and its transcript.

use std::fs;
use std::path::Path;

use harness::api::read;
use harness::scratch;
use harness::system::{HOST, System};
use protocol::build::Origin;
use protocol::subject::build_id;
use protocol::{BuildState, ProjectToken};
use serde_json::json;

use crate::log_lines::append;
use crate::transcripts::{asks, says};

const SESSION: &str = "5f3c";

async fn hook(system: &System, kind: &str) {
    let body = json!({"event_id":"evt-1","event_type":kind,"source_app":"app","session_id":SESSION,
        "timestamp":"2025-12-10T10:33:03.1","payload":{"reason":"logout"},"tool_name":"Bash"});
    let request = system.api().request(reqwest::Method::POST, "/api/events");
    let answer = read(request.header("phaseline-host", HOST).json(&body)).await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn a_session_of_which_hooks_and_a_transcript_tell_is_one_build() {
    let projects = scratch::directory("home").join(".claude/projects");
    fs::create_dir_all(&projects).unwrap();
    let file = scratch::directory("config").join("agent.toml");
    let place = format!("transcripts = ['{}/**/*.jsonl']\n", projects.display());
    fs::write(&file, place).unwrap();
    let system = System::start_with(&[("PHASELINE_CONFIG", file.to_str().unwrap())]).await;
    let id = build_id(HOST, ProjectToken::of_id("claude-code", SESSION), 1);

    hook(&system, "PreToolUse").await;
    let is_running = |build: &protocol::Build| build.state == BuildState::Running;
    let build = system.build_by_id(&id, is_running).await;
    assert_eq!(build.session_id.as_deref(), Some(SESSION));
    assert_eq!(
        (build.origin, build.detail.as_deref()),
        (Origin::Http, Some("Bash"))
    );
    hook(&system, "Stop").await;
    let is_waiting = |build: &protocol::Build| build.state == BuildState::Waiting;
    system.build_by_id(&id, is_waiting).await;

    let (cwd, transcript) = (
        Path::new("/srv/weather"),
        projects.join("-srv-weather/5f3c.jsonl"),
    );
    append(&transcript, &asks(cwd, SESSION));
    append(&transcript, &says(cwd, SESSION, "m1"));
    let tells = |build: &protocol::Build| build.tokens.is_some();
    let told = system.build_by_id(&id, tells).await;
    assert_eq!(
        (told.state, told.origin, told.project.as_str()),
        (BuildState::Running, Origin::Live, "weather")
    );
    hook(&system, "PostToolUse").await;
    let is_alive = |build: &protocol::Build| build.alive_at > told.alive_at;
    let build = system.build_by_id(&id, is_alive).await;
    assert_eq!((build.state, build.tokens), (told.state, told.tokens));
    assert_eq!(build.state_reason, told.state_reason);
    assert_eq!(system.database.builds().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_that_only_hooks_tell_of_ends_with_its_reason() {
    let system = System::start().await;
    for kind in ["SessionStart", "PreToolUse", "Stop", "SessionEnd"] {
        hook(&system, kind).await;
    }
    let id = build_id(HOST, ProjectToken::of_id("claude-code", SESSION), 1);
    let build = system.build_by_id(&id, protocol::Build::has_ended).await;
    let reason = build.state_reason.unwrap_or_default();
    assert_eq!(build.state, BuildState::Completed);
    assert!(reason.contains("SessionEnd, logout"), "{reason}");
    hook(&system, "SessionStart").await;
    let next = build_id(HOST, ProjectToken::of_id("claude-code", SESSION), 2);
    let build = system.build_by_id(&next, |_| true).await;
    assert_eq!(build.state, BuildState::Running);
}
