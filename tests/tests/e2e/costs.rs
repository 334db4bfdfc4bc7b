//! What builds cost together, to the last digit; what is unknown stays unknown; and
//! who goes over a budget is told of, not stopped.

use std::fs;

use harness::adw::{Tree, Workflow, planned};
use harness::browser::{available, with_browser};
use harness::claude::{Claude, Spent, output_of};
use harness::fixtures;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually};
use serde_json::{Value, json};

use crate::pages::open;

const PLAN: Spent = Spent {
    usd: "0.24176750000000002",
    output: 1_832,
};
const BUILD: Spent = Spent {
    usd: "0.061196600000000004",
    output: 598,
};
/// Added on paper.
const BOTH: &str = "0.302964100000000024";

/// A workflow whose agents cost something, and a build of which nobody knows what it cost.
async fn spend(system: &System) {
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let dir = workflow.dir(Tree::Main);
    for (agent, spent) in [("sdlc_planner", PLAN), ("sdlc_implementor", BUILD)] {
        let mut claude = Claude::start(&output_of(&dir, agent), agent);
        claude.text("m1");
        claude.end(spent);
    }
    let is = |build: &protocol::Build| build.cost_usd == BOTH.parse().ok();
    system.build_by_id(&workflow.build_id(HOST, 1), is).await;
    let free = system.project("docs");
    free.phase(&fixtures::phase("docs", "Scout", "1/7", "researching"));
    system.build(&free, 1, |_| true).await;
}

/// The text of an answer: its amounts with all their digits.
async fn text(system: &System, path: &str) -> String {
    let answer = system.api().get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

fn keys(text: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(text).unwrap();
    page["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].clone())
        .collect()
}

#[tokio::test]
async fn costs_are_added_up_to_the_last_digit_and_unknown_ones_are_counted() {
    let system = System::start().await;
    spend(&system).await;
    for by in [
        "day", "host", "project", "producer", "phase", "model", "build",
    ] {
        let told = text(&system, &format!("/api/v1/costs?by={by}")).await;
        let total = format!(
            "\"total\":{{\"key\":null,\"cost_usd\":{BOTH},\"estimated_usd\":0,\"builds\":2,\"unknown_builds\":1}}"
        );
        assert!(told.contains(&total), "{by}: {told}");
    }
    let phases = text(&system, "/api/v1/costs?by=phase").await;
    assert_eq!(
        keys(&phases),
        [json!("Plan"), json!("Build"), Value::Null],
        "{phases}"
    );
    assert!(
        phases.contains(&format!("\"key\":\"Plan\",\"cost_usd\":{},", PLAN.usd)),
        "{phases}"
    );
    assert!(
        phases.contains(&format!("\"key\":\"Build\",\"cost_usd\":{},", BUILD.usd)),
        "{phases}"
    );
    assert!(phases.contains("{\"key\":null,\"cost_usd\":null,\"estimated_usd\":null,\"builds\":1,\"unknown_builds\":1}"), "{phases}");
    let projects = text(&system, "/api/v1/costs?by=project").await;
    assert_eq!(keys(&projects), ["shop", "docs"]);
    let models = text(&system, "/api/v1/costs?by=model&project=shop").await;
    assert_eq!(keys(&models), ["claude-sonnet-4-5-20250929"], "{models}");
    let none = text(&system, "/api/v1/costs?to=2020-01-01").await;
    assert!(
        none.contains("\"rows\":[]") && none.contains("\"cost_usd\":null"),
        "{none}"
    );
    for (query, told) in [
        ("by=week", "by must be one of day"),
        ("limit=0", "limit must be"),
        ("from=soon", "from must be an RFC 3339 time"),
        ("frm=1", "is not a parameter"),
    ] {
        let answer = system
            .api()
            .get(&format!("/api/v1/costs?{query}"))
            .await
            .unwrap();
        assert!(
            answer.status == 400 && answer.body.contains(told),
            "{}",
            answer.body
        );
    }
    let page = system.api().get("/costs?by=phase").await.unwrap().body;
    for shown in [
        "$0.24",
        "$0.06",
        "<bdi>Plan</bdi>",
        "<bdi>unknown</bdi>",
        "title=\"$0.24176750000000002\"",
    ] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
}

#[tokio::test]
async fn past_builds_are_found_by_branch_time_and_cost() {
    let system = System::start().await;
    spend(&system).await;
    let found = async |query: &str| {
        let list: Value =
            serde_json::from_str(&text(&system, &format!("/api/v1/builds?{query}")).await).unwrap();
        let builds = list["builds"].as_array().unwrap().clone();
        builds
            .iter()
            .map(|build| build["project"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("branch=feature-issue-83").await, ["shop"]);
    assert!(found("branch=feature").await.is_empty());
    assert_eq!(
        found(&format!("cost_min={BOTH}&cost_max={BOTH}")).await,
        ["shop"]
    );
    assert!(found("cost_min=0.302964100000000025").await.is_empty());
    assert!(found("cost_max=0.302964100000000023").await.is_empty());
    assert_eq!(found("from=2020-01-01&to=2999-01-01").await.len(), 2);
    assert!(found("to=2020-01-01").await.is_empty() && found("from=2999-01-01").await.is_empty());
    assert_eq!(
        found("project=docs&producer=context-foundry&state=running").await,
        ["docs"]
    );
    for (query, told) in [
        (
            "cost_min=cheap",
            "cost_min must be an amount of US dollars such as 2.50.",
        ),
        (
            "from=2026-02-01&to=2026-01-01",
            "to must be later than from.",
        ),
        ("at=noon", "at must be an RFC 3339 time"),
    ] {
        let answer = system
            .api()
            .get(&format!("/api/v1/builds?{query}"))
            .await
            .unwrap();
        assert!(
            answer.status == 400 && answer.body.contains(told),
            "{}",
            answer.body
        );
    }
    let page = system
        .api()
        .get("/history?branch=feature-issue-83&cost_min=0.3")
        .await
        .unwrap()
        .body;
    assert!(
        page.contains("name=\"branch\" value=\"feature-issue-83\"") && page.contains("data-build=")
    );
}

#[tokio::test]
async fn an_amount_is_rounded_alike_by_the_server_and_by_a_page() {
    if !available() {
        return;
    }
    let amounts = [
        "0.125",
        "2.135",
        "1.005",
        "0.005",
        "9.995",
        "0.30296410000000002",
        "0",
        "12",
    ];
    let system = System::start().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        let script = "const url = document.querySelector('script[type=module]').src.replace('main.js', 'format.js');
                      return import(url).then((format) => arguments[0].map((usd) => format.money(Number(usd), false)))";
        let shown = page.js_with(script, vec![json!(amounts)]).await;
        let told = amounts.map(|usd| format!("${}", usd.parse::<protocol::Money>().unwrap().to_cents()));
        assert_eq!(shown, json!(told));
        assert_eq!(told[0], "$0.13");
    })
    .await;
}

#[tokio::test]
async fn a_project_that_goes_over_its_budget_raises_an_alert_and_goes_on() {
    let dir = harness::scratch::directory("budgets");
    let file = dir.join("aggregator.toml");
    let table = |project: &str, usd: &str, per: &str| {
        format!("[[budget]]\nproject = \"{project}\"\nusd = \"{usd}\"\nper = \"{per}\"\n")
    };
    let tables = [
        table("shop", "0.25", "day"),
        table("shop", "0.30296410000000003", "month"),
        table("shop", "0.3", "build"),
        table("docs", "1", "day"),
    ];
    fs::write(&file, tables.concat()).unwrap();
    let mut system = System::bare().await;
    let config = [("PHASELINE_CONFIG", file.to_str().unwrap())];
    let aggregator = Aggregator::start_with(&system.nats, &system.database, &config);
    aggregator.ready().await;
    system.aggregators.push(aggregator);
    system
        .agents
        .push(Agent::start(HOST, &system.watch, &system.nats));
    system.host_is(HOST, "up").await;
    assert!(system.api().alerts().await.unwrap().is_empty());
    spend(&system).await;
    let alerts = eventually("two budgets are exceeded", async || {
        let alerts = system.api().alerts().await?;
        let whole = alerts.iter().all(|alert| alert.text.contains("$0.30"));
        check(alerts.len() == 2 && whole, || format!("{alerts:#?}"))?;
        Ok(alerts)
    })
    .await;
    let texts: Vec<&str> = alerts.iter().map(|alert| alert.text.as_str()).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.contains("project \"shop\" spent $0.30 on ")
                && text.contains("$0.25 per day")),
        "{texts:?}"
    );
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("build ") && text.contains("$0.30 per build")),
        "{texts:?}"
    );
    let budgets = text(&system, "/api/v1/budgets").await;
    let budgets: Value = serde_json::from_str(&budgets).unwrap();
    let over: Vec<bool> = budgets["budgets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["over"].as_bool().unwrap())
        .collect();
    assert_eq!(over, [true, false, true, false]);
    assert_eq!(budgets["budgets"][3]["spent_usd"], Value::Null);
    assert_eq!(budgets["budgets"][3]["unknown_builds"], 1);
    for path in ["/costs", "/system"] {
        let page = system.api().get(path).await.unwrap().body;
        assert!(
            page.contains("over budget") || page.contains("over its budget"),
            "{path}"
        );
    }
    // Nothing is stopped.
    let more = system.project("shop-two");
    more.phase(&fixtures::phase("shop-two", "Scout", "1/7", "researching"));
    system.build(&more, 1, |_| true).await;
}
