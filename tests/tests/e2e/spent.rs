//! What a build costs, from the lines of `claude -p` to the page: live, exact
//! to the last digit, kept over restarts of the file and of the agent.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};

use harness::adw::{Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::claude::{Claude, SECRET, Spent, output_of};
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use protocol::{Build, Money};
use serde_json::json;

use crate::pages::open;

const FIRST: Spent = Spent {
    usd: "0.24176750000000002",
    output: 1_832,
};
const SECOND: Spent = Spent {
    usd: "0.061196600000000004",
    output: 598,
};
/// Added on paper; as doubles it would be 0.3029641.
const BOTH: &str = "0.302964100000000024";

fn usd(text: &str) -> Option<Money> {
    Some(text.parse().unwrap())
}

fn costs(text: &'static str) -> impl Fn(&Build) -> bool {
    move |build| build.cost_usd == usd(text) && build.cost_estimated == Some(false)
}

fn workflow(system: &System) -> Workflow {
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    workflow
}

#[tokio::test]
async fn a_cost_is_the_same_to_the_last_digit_in_the_file_the_database_and_the_api() {
    let system = System::start().await;
    let workflow = workflow(&system);
    let id = workflow.build_id(HOST, 1);
    let dir = workflow.dir(Tree::Main);
    let mut planner = Claude::start(&output_of(&dir, "sdlc_planner"), "s1");
    planner.text("m1");
    planner.call("t1", "Bash");
    planner.end(FIRST);
    system.build_by_id(&id, costs(FIRST.usd)).await;
    let implementor = Claude::start(&output_of(&dir, "sdlc_implementor"), "s2");
    implementor.end_without_a_line_break(SECOND);
    let build = system.build_by_id(&id, costs(BOTH)).await;
    let tokens = build.tokens.unwrap();
    assert_eq!((tokens.input, tokens.output), (Some(24), Some(2_430)));
    assert_eq!(build.model.as_deref(), Some("claude-sonnet-4-5-20250929"));
    let body = system
        .api()
        .get(&format!("/api/v1/builds/{id}"))
        .await
        .unwrap()
        .body;
    assert!(body.contains(&format!("\"cost_usd\":{BOTH},")), "{body}");
    let column = "SELECT cost_usd::text FROM build WHERE producer = 'adw'";
    assert_eq!(system.database.text(column).await.unwrap(), BOTH);
    let events = system.database.events().await.unwrap();
    assert!(events.len() > 2);
    let stored = serde_json::to_string(&system.api().raw_build(&id).await.unwrap()).unwrap();
    assert!(!stored.contains(SECRET), "{stored}");
    for event in events {
        assert!(!format!("{event:?}").contains(SECRET), "{event:?}");
    }
}

#[tokio::test]
async fn cost_todos_and_agents_appear_on_the_page_while_lines_are_written() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let workflow = workflow(&system);
    let id = workflow.build_id(HOST, 1);
    let output = output_of(&workflow.dir(Tree::Main), "sdlc_planner");
    with_browser(&system.aggregators[0].base(), async |page| {
        let mut claude = Claude::start(&output, "s1");
        system
            .build_by_id(&id, |build| build.agents.is_some())
            .await;
        open(page, &format!("/builds/{id}")).await;
        claude.todos(
            "l1",
            &[("read the plan", "in_progress"), ("write it", "pending")],
        );
        page.until_text("[data-f=todos]", |text| text.contains("read the plan"))
            .await;
        claude.call("t1", "Bash");
        claude.output("t1", true);
        claude.todos(
            "l2",
            &[("read the plan", "completed"), ("write it", "in_progress")],
        );
        page.until_text("[data-f=todos-done]", |text| text == "1 of 2 done")
            .await;
        page.until_text("[data-f=todos]", |text| text.contains("1 tool"))
            .await;
        // Not told yet, so it is a guess and says so.
        page.until_text("[data-f=cost]", |text| text.starts_with('~'))
            .await;
        // Half a result is none.
        let line = claude.result(FIRST);
        claude.raw(&line[..line.len() / 2]);
        claude.raw(&line[line.len() / 2..]);
        page.until_text("[data-panel] dd[data-f=cost]", |text| text == "$0.24")
            .await;
        page.until_text("[data-f=agents]", |text| {
            text.contains("sdlc_planner") && text.contains("$0.24")
        })
        .await;
        page.until_text("[data-f=tokens]", |text| text.contains("1.8 k out"))
            .await;
        page.until_text("[data-f=context]", |text| text.contains("of 200 k"))
            .await;
        // The same, drawn by the server.
        let html = system
            .api()
            .get(&format!("/builds/{id}"))
            .await
            .unwrap()
            .body;
        for text in ["read the plan", "1 of 2 done", "$0.24 · 1.8 k out"] {
            assert!(html.contains(text), "{text} in {html}");
        }
        assert!(page.complaints().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_truncation_begins_a_second_attempt_and_both_costs_are_kept() {
    let system = System::start().await;
    let workflow = workflow(&system);
    let id = workflow.build_id(HOST, 1);
    let output = output_of(&workflow.dir(Tree::Main), "sdlc_planner");
    let mut first = Claude::start(&output, "s1");
    first.text("m1");
    first.end(FIRST);
    system.build_by_id(&id, costs(FIRST.usd)).await;
    let mut second = Claude::start(&output, "s2");
    let attempts =
        |build: &Build, n: u64| build.agents.as_ref().is_some_and(|a| a[0]["attempts"] == n);
    system.build_by_id(&id, |build| attempts(build, 2)).await;
    second.text("m2");
    second.end(SECOND);
    let build = system.build_by_id(&id, costs(BOTH)).await;
    assert!(attempts(&build, 2), "{:?}", build.agents);
}

#[tokio::test]
async fn an_agent_that_is_killed_in_the_middle_goes_on_where_it_was() {
    let mut system = System::start().await;
    let workflow = workflow(&system);
    let id = workflow.build_id(HOST, 1);
    let output = output_of(&workflow.dir(Tree::Main), "sdlc_planner");
    let mut claude = Claude::start(&output, "s1");
    for n in 0..200 {
        claude.text(&format!("m{n}"));
    }
    claude.todos("l1", &[("all of it", "in_progress")]);
    // The todos were told: everything before them was read and kept.
    let build = system.build_by_id(&id, |build| build.todos.is_some()).await;
    let read = fs::metadata(&output).unwrap().len();
    system.agents[0].kill();
    // What was read is spoilt. Whoever reads it again counts bad lines and misses messages.
    let mut file = OpenOptions::new().write(true).open(&output).unwrap();
    file.seek(SeekFrom::Start(16 * 1024)).unwrap();
    file.write_all(&vec![b'x'; usize::try_from(read).unwrap() - 20 * 1024])
        .unwrap();
    claude.call("t1", "Edit");
    let line = claude.result(FIRST);
    claude.raw(&line[..100]);
    system.agents[0].restart();
    claude.raw(&line[100..]);
    let after = system.build_by_id(&id, costs(FIRST.usd)).await;
    let agent = &after.agents.as_ref().unwrap()[0];
    assert_eq!(
        (&agent["bad_lines"], &agent["attempts"]),
        (&json!(0), &json!(1)),
        "{agent}"
    );
    assert_eq!(after.todos.unwrap()[0]["tools"], 1);
    assert!(build.tokens.unwrap().input <= Some(2 * 201));
}

#[tokio::test]
async fn odd_files_cost_nothing_and_hurt_nothing() {
    let system = System::start().await;
    let workflow = workflow(&system);
    let id = workflow.build_id(HOST, 1);
    let dir = workflow.dir(Tree::Main);
    let empty = output_of(&dir, "empty");
    fs::create_dir_all(empty.parent().unwrap()).unwrap();
    fs::write(&empty, "").unwrap();
    let mut noise = Claude::start(&output_of(&dir, "noise"), "s1");
    noise.raw("Error: not JSON at all\n{\"type\":\"assistant\",\"message\":7}\n\u{0}\u{0}\n");
    noise.raw(&format!(
        "{{\"type\":\"user\",\"image\":\"{}\"}}\n",
        "A".repeat(3 * 1024 * 1024)
    ));
    noise.end(FIRST);
    let build = system.build_by_id(&id, costs(FIRST.usd)).await;
    let agents = build.agents.unwrap();
    assert_eq!(agents.as_array().unwrap().len(), 1, "{agents}");
    assert_eq!(agents[0]["bad_lines"], 2);
    let api = system.api();
    eventually("nothing else is told", async || {
        let builds = api.builds().await?;
        check(builds.len() == 1, || format!("{builds:#?}"))
    })
    .await;
}
