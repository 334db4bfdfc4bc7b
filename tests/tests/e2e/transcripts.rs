//! Transcripts of Claude Code give figures to the build that they belong to,
//! and inputs and outputs of tools are shown only where the settings allow it.

use std::fs;
use std::path::Path;

use harness::adw::{Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::claude::{Claude, SECRET, output_of};
use harness::fixtures;
use harness::scratch;
use harness::system::{HOST, System};
use protocol::ProjectToken;
use protocol::subject::build_id;
use serde_json::{Value, json};

use crate::log_lines::append;
use crate::pages::open;

/// Lines as Claude Code keeps them: what all have, and the rest.
fn line(cwd: &Path, session: &str, rest: &Value) -> String {
    let mut line = json!({"parentUuid":null,"isSidechain":false,"userType":"external","cwd":cwd,
        "sessionId":session,"version":"2.0.14","gitBranch":"main","timestamp":"2025-12-10T10:33:03.064Z"});
    let rest = rest.as_object().unwrap().clone();
    line.as_object_mut().unwrap().extend(rest);
    format!("{line}\n")
}

pub(crate) fn says(cwd: &Path, session: &str, message: &str) -> String {
    let message = json!({"type":"assistant","uuid":format!("u-{message}"),"message":{"id":message,"role":"assistant",
        "model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":SECRET}],
        "usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":7}}});
    line(cwd, session, &message)
}

pub(crate) fn asks(cwd: &Path, session: &str) -> String {
    let prompt = json!({"type":"user","uuid":"u1","message":{"role":"user","content":SECRET}});
    format!(
        "{}\n{}",
        json!({"type":"summary","summary":SECRET,"leafUuid":"u0"}),
        line(cwd, session, &prompt)
    )
}

#[tokio::test]
async fn a_transcript_gives_figures_to_the_build_where_its_session_works_else_it_is_one() {
    let home = scratch::directory("home");
    let projects = home.join(".claude/projects");
    fs::create_dir_all(&projects).unwrap();
    let file = scratch::directory("config").join("agent.toml");
    let place = format!("transcripts = ['{}/**/*.jsonl']\n", projects.display());
    fs::write(&file, place).unwrap();
    let system = System::start_with(&[("PHASELINE_CONFIG", file.to_str().unwrap())]).await;

    // Nobody's project: a build of its own, told by its session.
    let elsewhere = Path::new("/srv/weather");
    let alone = projects.join("-srv-weather/5f3c.jsonl");
    append(&alone, &asks(elsewhere, "5f3c"));
    append(&alone, &says(elsewhere, "5f3c", "m1").repeat(3));
    let id = build_id(HOST, ProjectToken::of_id("claude-code", "5f3c"), 1);
    let is_counted = |build: &protocol::Build| {
        build
            .tokens
            .as_ref()
            .is_some_and(|t| t.input == Some(3) && t.cache_read == Some(1000))
    };
    let build = system.build_by_id(&id, is_counted).await;
    assert_eq!(
        (build.producer.as_str(), build.project.as_str()),
        ("claude-code", "weather")
    );
    assert_eq!(
        build.cost_estimated,
        Some(true),
        "a transcript has no result"
    );

    // A project where another producer is at work.
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Builder", "4/7", "building"));
    system.build(&project, 1, |_| true).await;
    let beside = projects.join("-shop/77aa.jsonl");
    append(&beside, &asks(project.dir(), "77aa"));
    append(&beside, &says(project.dir(), "77aa", "m2"));
    let build = system.build(&project, 1, is_counted).await;
    assert_eq!(
        build.phase.as_deref(),
        Some("Builder"),
        "all else is its own"
    );
    assert_eq!(build.producer, "context-foundry");
    assert_eq!(system.database.builds().await.unwrap().len(), 2);
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains("hunter2"), "{event:?}");
    }
    let lines = system
        .database
        .number("SELECT count(*) FROM log_line")
        .await;
    assert_eq!(lines.unwrap(), 0, "figures only");
}

#[tokio::test]
async fn tool_inputs_and_outputs_are_shown_masked_where_that_is_allowed() {
    let system = System::start_with(&[("PHASELINE_TEXTS", "all")]).await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let mut claude = Claude::start(&output_of(&workflow.dir(Tree::Main), "builder"), "s1");
    claude.todos("t0", &[("Write the code", "in_progress")]);
    // The output is there before its input.
    claude.output("t1", true);
    claude.call("t1", "Bash");
    let id = workflow.build_id(HOST, 1);
    let called = |build: &protocol::Build| {
        let calls = build.calls.as_ref().and_then(Value::as_array);
        calls.is_some_and(|calls| calls.iter().any(|call| call["name"] == "Bash"))
    };
    let build = system.build_by_id(&id, called).await;
    let masked = SECRET.replace("hunter2", "[masked]");
    let mut call = build.calls.as_ref().unwrap()[0].clone();
    for time in ["began_at", "ended_at"] {
        call.as_object_mut().unwrap().remove(time);
    }
    let expected = json!({"name":"Bash","todo":"Write the code","state":"error","is_error":true,
        "input":format!("command: {masked}"),"output":masked});
    assert_eq!(call, expected);
    for event in system.database.events().await.unwrap() {
        assert!(!format!("{event:?}").contains("hunter2"), "{event:?}");
    }
    if !available() {
        return;
    }
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        page.until_text("[data-f=calls]", |text| text.contains(&masked))
            .await;
        claude.call("t2", "Read");
        page.until_text("[data-f=call-count]", |text| text == "2")
            .await;
        page.until_text("[data-f=calls]", |text| text.contains("Read"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn calls_of_tools_are_told_with_their_to_do_and_times_and_no_text_leaves_unless_allowed() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let mut claude = Claude::start(&output_of(&workflow.dir(Tree::Main), "builder"), "s1");
    claude.todos("t0", &[("Write the code", "in_progress")]);
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |build| build.todos.is_some()).await;
    claude.call("t1", "Bash");
    let newest = |build: &protocol::Build| build.calls.as_ref().map(|calls| calls[0].clone());
    let is = |state: &'static str| {
        move |build: &protocol::Build| newest(build).is_some_and(|call| call["state"] == state)
    };
    let call = newest(&system.build_by_id(&id, is("input-available")).await).unwrap();
    assert!(
        call["began_at"].is_string() && call["ended_at"].is_null(),
        "{call}"
    );
    claude.output("t1", true);
    let call = newest(&system.build_by_id(&id, is("error")).await).unwrap();
    assert_eq!(
        (&call["name"], &call["todo"]),
        (&json!("Bash"), &json!("Write the code"))
    );
    assert!(call["ended_at"].is_string(), "{call}");
    assert_eq!(
        (&call["input"], &call["output"]),
        (&Value::Null, &Value::Null)
    );
    for event in system.database.events().await.unwrap() {
        let text = format!("{event:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("psql"),
            "{text}"
        );
    }
    if !available() {
        return;
    }
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        claude.call("t2", "Read");
        page.until_text("[data-f=calls] > :first-child", |text| {
            text.contains("Write the code") && text.contains("2 calls")
        })
        .await;
        page.until_text("[data-f=calls] > .under:last-child", |text| {
            text.contains("Read") && text.contains("under way")
        })
        .await;
    })
    .await;
}

/// A hook event as ADW's scripts append them.
fn hook(workflow: &str, kind: &str, tool: &str, payload: &Value) -> String {
    let line = json!({"event_id":"evt-1","event_type":kind,"source_app":"adw","session_id":"s1","workflow_id":format!("wf-{workflow}"),
        "timestamp":"2025-12-10T10:33:03.064","payload":payload,"tool_name":tool,"chat_history":null});
    format!("{line}\n")
}

#[tokio::test]
async fn hook_events_are_figures_of_their_workflows_builds_and_texts_only_where_that_is_allowed() {
    for (texts, shown) in [("logs", false), ("all", true)] {
        let system = System::start_with(&[("PHASELINE_TEXTS", texts)]).await;
        let shop = system.watch.join("shop");
        let workflows = ["3af4a34d", "77aa0001"].map(|id| Workflow::begin(&shop, id));
        let hooks = shop.join(".claude/logs/hook_events.jsonl");
        let (first, second) = ("3af4a34d", "77aa0001");
        let list =
            json!({"tool_input":{"todos":[{"content":"Write the code","status":"in_progress"}]}});
        append(&hooks, &hook(first, "PreToolUse", "TodoWrite", &list));
        append(
            &hooks,
            &hook(
                first,
                "PreToolUse",
                "Bash",
                &json!({"tool_input":{"command":SECRET}}),
            ),
        );
        append(
            &hooks,
            &hook(
                second,
                "PreToolUse",
                "Read",
                &json!({"tool_input":{"file":SECRET}}),
            ),
        );
        append(
            &hooks,
            &hook(first, "Notification", "", &json!({"message":SECRET})),
        );
        for workflow in &workflows {
            workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
        }
        let fact = |build: &protocol::Build, key: &str| {
            let fact = build.facts.iter().find(|fact| fact.key == key);
            fact.map(|fact| fact.text.clone())
        };
        let is_told = |build: &protocol::Build| fact(build, "hook_tools").is_some();
        let builds = [
            system
                .build_by_id(&workflows[0].build_id(HOST, 1), |build| {
                    fact(build, "hook_notifications").is_some()
                        && fact(build, "hook_tools").as_deref() == Some("2")
                })
                .await,
            system
                .build_by_id(&workflows[1].build_id(HOST, 1), is_told)
                .await,
        ];
        assert_eq!(fact(&builds[1], "hook_tools").as_deref(), Some("1"));
        assert_eq!(
            builds[0].todos.as_ref().unwrap()[0]["text"],
            "Write the code"
        );
        assert_eq!(builds[1].todos, None);
        let call = &builds[0].calls.as_ref().unwrap()[0];
        assert_eq!(
            (&call["name"], &call["todo"]),
            (&json!("Bash"), &json!("Write the code"))
        );
        assert_eq!(call["input"].is_string(), shown, "{texts}");
        for event in system.database.events().await.unwrap() {
            assert!(!format!("{event:?}").contains("hunter2"), "{event:?}");
        }
    }
}
