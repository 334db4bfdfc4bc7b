//! The page of a build that OpenBuilder's runner told by WebSocket and HTTP.

use harness::api::{Api, read};
use harness::browser::{available, with_browser};
use harness::system::System;
use protocol::BuildState;
use serde_json::{Value, json};

use crate::ingest_runner::{Runner, aggregator, build_id, runner, say};
use crate::pages::open;

/// The text of a page's element, given how it begins.
fn text<'a>(page: &'a str, begin: &str) -> &'a str {
    let rest = page
        .split(begin)
        .nth(1)
        .unwrap_or_else(|| panic!("no {begin} in {page}"));
    rest.split_once('>').unwrap().1.split("</d").next().unwrap()
}

/// Names of the tools that are shown, in their order, and what is said of them.
fn shown_calls<'a>(page: &'a str) -> Vec<(&'a str, &'a str)> {
    let list = page.split("data-f=\"calls\"").nth(1).unwrap();
    let list = list.split("</dl>").next().unwrap();
    let members = list.split("<dt><bdi>").skip(1);
    let between = |text: &'a str, begin: &str, end: &str| {
        let rest = text.split(begin).nth(1).unwrap();
        rest.split(end).next().unwrap()
    };
    members
        .map(|member| {
            let name = member.split("</bdi>").next().unwrap();
            (name, between(member, "<dd dir=\"auto\">", "</dd>"))
        })
        .collect()
}

/// What its runner tells of a build that plans, works, and repairs itself.
async fn tell(api: &Api, runner: &mut Runner) {
    let begun = json!({"projectId":"p-7","buildId":"b-7","sessionId":"s-7","agentId":"claude-code",
                       "claudeModelId":"claude-haiku-4-5","event":{"type":"start","messageId":"m"}});
    let request = api
        .request(reqwest::Method::POST, "/api/build-events")
        .json(&begun);
    assert_eq!(read(request).await.unwrap().status, 200);
    let todos = json!([{"content":"Scaffold","status":"in_progress"},{"activeForm":"Testing","status":"pending"}]);
    for event in [
        json!({"type":"tool-input-available","toolCallId":"t1","toolName":"Grep","input":{}}),
        json!({"type":"tool-output-available","toolCallId":"t1","output":"x"}),
        json!({"type":"tool-input-available","toolCallId":"t2","toolName":"TodoWrite","input":{"todos":todos}}),
        json!({"type":"tool-input-available","toolCallId":"t3","toolName":"Write","input":{},"todoIndex":0}),
        json!({"type":"tool-error","toolCallId":"t3","error":"x"}),
        json!({"type":"tool-input-available","toolCallId":"t4","toolName":"Bash","input":{},"todo_index":1}),
    ] {
        say(runner, &streamed(&event)).await;
    }
    let repair = json!({"type":"autofix-started","projectId":"p-7","errorType":"startup","attempt":1,"maxAttempts":3,
                        "errorMessage":"port 3000 is taken"});
    say(runner, &repair).await;
    let summary = json!({"type":"build-summary","projectId":"p-7","payload":{"summary":"A shop with a cart"}});
    say(runner, &summary).await;
}

fn streamed(event: &Value) -> Value {
    json!({"type":"build-stream","projectId":"p-7","commandId":"c","data":format!("data: {event}\n\n")})
}

const REPAIRED: &str = "attempt 1 of 3, after an error of its startup, port 3000 is taken";

#[tokio::test]
async fn the_page_of_an_openbuilder_run_shows_who_built_what_with_which_tools() {
    let mut system = System::bare().await;
    let aggregator = aggregator(&system, &[]).await;
    let base = aggregator.base();
    system.aggregators.push(aggregator);
    let api = system.api();
    let mut runner = runner(&base, None).await.unwrap();
    tell(&api, &mut runner).await;
    let id = build_id("p-7");
    let build = system
        .build_by_id(&id, |build| build.summary.is_some())
        .await;
    assert_eq!(build.state, BuildState::Running);

    let page = api.get(&format!("/builds/{id}")).await.unwrap().body;
    for (fact, shown) in [
        ("coding_agent", "claude-code"),
        ("model", "claude-haiku-4-5"),
        ("session", "s-7"),
    ] {
        assert_eq!(text(&page, &format!("data-f=\"{fact}\"")), shown);
    }
    assert!(text(&page, "data-f=\"project\"").starts_with("p-7"));
    for shown in ["A shop with a cart", "Auto-fix", REPAIRED] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let expected = [
        ("(planning)", "1 call"),
        ("Grep", ""),
        ("Scaffold", "1 call"),
        ("Write", "failed"),
        ("Testing", "1 call"),
        ("Bash", "under way"),
    ];
    assert_eq!(shown_calls(&page), expected);
    if available() {
        goes_on_in_a_browser(&base, &id, &mut runner).await;
    }
}

/// The script shows the same, and goes on with what comes.
async fn goes_on_in_a_browser(base: &str, id: &str, runner: &mut Runner) {
    with_browser(base, async |page| {
        open(page, &format!("/builds/{id}")).await;
        let done = json!({"type":"tool-output-available","toolCallId":"t4","output":"x"});
        say(runner, &streamed(&done)).await;
        page.until_text("[data-f=calls] > .under:last-child", |text| {
            text.contains("Bash") && !text.contains("under way")
        })
        .await;
        let first = "[data-f=calls] > :first-child";
        page.until_text(first, |text| text.contains("(planning)"))
            .await;
        let agent = "[data-f=coding_agent]";
        page.until_text(agent, |text| text == "claude-code").await;
        page.until_text("[data-f=details]", |text| text.contains(REPAIRED))
            .await;
        let printed = json!({"type":"log-chunk","projectId":"p-7","stream":"stderr","cursor":"1",
                             "data":"Error: port 3000 is taken\n"});
        say(runner, &printed).await;
        page.until_text("[data-number='1'] bdi", |text| {
            text == "Error: port 3000 is taken"
        })
        .await;
        page.until_text(".log-file", |text| text.contains("http/stderr"))
            .await;
        let summary = "[data-f=summary]";
        page.until_text(summary, |text| text.contains("A shop with a cart"))
            .await;
    })
    .await;
}
