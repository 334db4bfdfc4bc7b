//! Lines of logs: from the file to the API, the stream and the page; bounded,
//! counted, masked, and at home where texts may not leave.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use harness::adw::{Tree, Workflow, planned};
use harness::api::Api;
use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::scratch;
use harness::system::{Agent, Aggregator, HOST, System};
use harness::wait::{check, eventually};
use protocol::{FrameType, LogPage};

use crate::pages::open;

/// Where a workflow's script writes for people.
pub(crate) fn execution_log(workflow: &Workflow) -> PathBuf {
    workflow.dir(Tree::Main).join("adw_build_iso/execution.log")
}

/// Appends as a logger does that keeps its file open.
pub(crate) fn append(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// Waits until the log of a build is as expected.
pub(crate) async fn log(
    api: &Api,
    id: &str,
    query: &str,
    fits: impl Fn(&LogPage) -> bool,
) -> LogPage {
    eventually(&format!("the log of {id} as expected"), async || {
        let page = api.log(id, query).await?;
        check(fits(&page), || {
            let end = page.lines.last();
            format!(
                "{} lines, dropped {}, last {end:?}",
                page.lines.len(),
                page.dropped
            )
        })?;
        Ok(page)
    })
    .await
}

fn texts(page: &LogPage) -> Vec<&str> {
    page.lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn lines_come_to_the_api_the_stream_and_the_page_masked_and_plain() {
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    let id = workflow.build_id(HOST, 1);
    let path = execution_log(&workflow);
    // Before there is a build: they wait for it.
    append(&path, "INFO starting\n");
    eventually("the line waits for its build", async || {
        let lines = system.database.number("SELECT count(*) FROM log_line");
        check(lines.await? == 1, || "it is not stored".to_owned())
    })
    .await;
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    system.build_by_id(&id, |_| true).await;
    let client = system.client_with(&format!("?logs={id}")).await;
    append(
        &path,
        "\u{1b}[31mERROR\u{1b}[0m connect postgres://app:hunter2@db/shop\nhalf",
    );
    let api = system.api();
    let page = log(&api, &id, "", |page| page.lines.len() == 2).await;
    let masked = "ERROR connect postgres://app:[masked]@db/shop";
    assert_eq!(texts(&page), ["INFO starting", masked]);
    assert_eq!((page.lines[0].number, page.lines[1].number), (1, 2));
    assert!(page.lines[0].file.ends_with("adw_build_iso/execution.log"));
    assert_eq!((page.next, page.dropped, page.skipped_bytes), (None, 0, 0));
    let frame = client
        .until("a log frame", |seen| {
            let mut frames = seen.of(FrameType::Log);
            frames
                .find(|frame| frame.data["lines"][0]["text"] == masked)
                .cloned()
        })
        .await;
    assert_eq!((frame.seq, &frame.data["id"]), (None, &id.as_str().into()));

    workflow.error_log(
        Tree::Main,
        "Traceback\nAPI_KEY=sk-ant-0123456789abcdef0123\n",
    );
    append(&path, " a line\n");
    let page = log(&api, &id, "", |page| page.lines.len() == 5).await;
    let all = texts(&page).join("\n");
    assert!(
        all.contains("half a line") && all.contains("API_KEY=[masked]"),
        "{all}"
    );
    assert!(!all.contains("sk-ant") && !all.contains("hunter2"));
    let rest = api.log(&id, "?after=2&limit=2").await.unwrap();
    assert_eq!((rest.lines.len(), rest.next), (2, Some(4)));
    let last = api.log(&id, "?last=1&limit=2").await.unwrap();
    assert_eq!(last.lines[1], page.lines[4]);
    client.assert_clean();
    for query in ["?after=x", "?limit=0", "?limit=1001", "?from=1"] {
        let answer = api.get(&format!("/api/v1/builds/{id}/logs{query}")).await;
        assert_eq!(answer.unwrap().status, 400, "{query}");
    }
    let unknown = api.get("/api/v1/builds/h-00000000000000aa-1/logs").await;
    assert_eq!(unknown.unwrap().status, 404);
}

#[tokio::test]
async fn the_page_follows_filters_pauses_and_takes_hostile_lines_as_text() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let path = execution_log(&workflow);
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        page.until_text("[data-f=log-note]", |text| text.contains("No log lines"))
            .await;
        append(&path, "<img src=x onerror=alert(1)>\nsecond <script>\n");
        let line = |n: u32| format!("[data-number='{n}'] bdi");
        page.until_text(&line(2), |text| text.contains("second <script>"))
            .await;
        assert_eq!(page.count("[data-panel] img, [data-panel] script").await, 0);
        page.until_text(".log-file", |text| text.contains("execution.log"))
            .await;
        append(&path, &(3..=400).map(|n| format!("line {n}\n")).collect::<String>());
        page.until_text(&line(400), |text| text == "line 400").await;
        let at_end = "(() => { const l = document.querySelector('.log-lines'); \
                      return l.scrollHeight - l.scrollTop - l.clientHeight < 24; })()";
        page.until("it follows the end", at_end).await;

        page.js("document.querySelector('.log-lines').scrollTop = 0").await;
        page.until("there is a way to the end", "!document.querySelector('[data-f=log-end]').hidden")
            .await;
        append(&path, "while reading above\n");
        page.until_text("[data-f=log-end]", |text| text.contains("1 new")).await;
        page.until("it stays where one reads", &format!("!{at_end}")).await;
        page.js("document.querySelector('[data-f=log-end]').click()").await;
        page.until("at the end again", at_end).await;

        page.js("document.querySelector('[data-f=log-pause]').click()").await;
        append(&path, "held back\n");
        page.until_text("[data-f=log-pause]", |text| text.contains("1 new")).await;
        assert_eq!(page.count(&line(402)).await, 0);
        page.js("document.querySelector('[data-f=log-pause]').click()").await;
        page.until_text(&line(402), |text| text == "held back").await;

        page.js("const f = document.querySelector('[data-f=log-filter]'); f.value = 'LINE 39'; f.dispatchEvent(new Event('input'))")
            .await;
        let shown = "[...document.querySelectorAll('.log-line')].filter((el) => !el.hidden).length";
        page.until("eleven lines match", &format!("{shown} === 11")).await;
        append(&path, "line 399 again\nother\n");
        page.until("new ones are filtered too", &format!("{shown} === 12")).await;
    })
    .await;
}

#[tokio::test]
async fn the_oldest_lines_give_way_and_are_counted_and_shown() {
    let mut system = System::bare().await;
    let limits = [
        ("PHASELINE_BUILD_LOG_LINES", "100"),
        ("PHASELINE_BUILD_LOG_BYTES", "16KiB"),
    ];
    let aggregator = Aggregator::start_with(&system.nats, &system.database, &limits);
    aggregator.ready().await;
    system.aggregators.push(aggregator);
    system
        .agents
        .push(Agent::start(HOST, &system.watch, &system.nats));
    system.host_is(HOST, "up").await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let path = execution_log(&workflow);
    append(
        &path,
        &(1..=1_000)
            .map(|n| format!("line {n}\n"))
            .collect::<String>(),
    );
    let api = system.api();
    let page = log(&api, &id, "?limit=1000", |page| page.dropped == 900).await;
    assert_eq!(page.lines.len(), 100);
    assert_eq!((page.lines[0].number, texts(&page)[99]), (901, "line 1000"));
    // By bytes: 16 KiB hold eight lines of two thousand.
    append(&path, &format!("{}\n", "x".repeat(2_000)).repeat(50));
    let page = log(&api, &id, "?limit=1000", |page| page.dropped + 8 == 1_050).await;
    assert_eq!(page.lines.len(), 8);
    let longer = "y".repeat(3_000);
    append(&path, &format!("{longer}\n"));
    let page = log(&api, &id, "?last=1&limit=1", |page| page.lines[0].cut).await;
    assert_eq!(page.lines[0].text, longer[..2_000]);
    if !available() {
        return;
    }
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        page.until_text("[data-f=log-dropped]", |text| {
            text.contains("older lines are not kept")
        })
        .await;
        page.until_text(".log-line:last-child i", |text| text.contains("cut"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn no_line_leaves_a_host_whose_texts_may_not() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let none = [("PHASELINE_TEXTS", "none")];
    let watch = system.watch.clone().into_os_string();
    system
        .agents
        .push(Agent::start_with(HOST, watch, &system.nats, &none));
    system.host_is(HOST, "up").await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    append(&execution_log(&workflow), "stays at home\n");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    workflow.error_log(Tree::Main, "also this\n");
    let id = workflow.build_id(HOST, 1);
    system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    // Another agent's lines come by the same way afterwards: nothing was waiting in it.
    let other = scratch::directory("other");
    system
        .agents
        .push(Agent::start("host-2", &other, &system.nats));
    let second = Workflow::begin(&other.join("shop"), "00000001");
    second.state(Tree::Main, &planned("1", "b"));
    append(&execution_log(&second), "leaves\n");
    let api = system.api();
    let other_id = second.build_id("host-2", 1);
    log(&api, &other_id, "", |page| page.lines.len() == 1).await;
    assert_eq!(api.log(&id, "").await.unwrap().lines, []);
    let lines = system
        .database
        .number("SELECT count(*) FROM log_line")
        .await;
    assert_eq!(lines.unwrap(), 1);
}

#[tokio::test]
async fn a_configured_log_belongs_to_the_newest_build_of_its_project_and_goes_with_the_events() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(aggregator);
    let file = scratch::directory("config").join("agent.toml");
    fs::write(&file, "[[log_file]]\npattern = 'logs/*.log'\n").unwrap();
    let config = [("PHASELINE_CONFIG", file.to_str().unwrap())];
    let watch = system.watch.clone().into_os_string();
    system
        .agents
        .push(Agent::start_with(HOST, watch, &system.nats, &config));
    system.host_is(HOST, "up").await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let build = system.build(&project, 1, |_| true).await;
    append(&project.dir().join("logs/make.log"), "cc -c a.c\n");
    let builder = ".context-foundry/builder-logs/task-1.log";
    append(&project.dir().join(builder), "Task 1 begins\n");
    let api = system.api();
    let page = log(&api, &build.id, "", |page| page.lines.len() == 2).await;
    let mut files: Vec<_> = page.lines.iter().map(|line| line.file.as_str()).collect();
    files.sort_unstable();
    assert_eq!(files, [builder, "logs/make.log"]);
    let age = "UPDATE log_line SET committed_at = now() - interval '91 days'; \
               UPDATE build_log SET updated_at = now() - interval '91 days'";
    system.database.execute(age).await.unwrap();
    system.aggregators[0].restart();
    system.aggregators[0].ready().await;
    log(&api, &build.id, "", |page| page.lines.is_empty()).await;
}
