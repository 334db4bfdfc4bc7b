//! Hostile content in every field: shown as text, addressed safely, and later
//! good writes still arrive.

use std::fs;

use harness::fixtures;
use harness::stream::Client;
use harness::system::{Agent, System};
use harness::wait::{check, eventually};
use harness::writer::{PHASE, Project};
use protocol::{Build, subject};
use serde_json::{Value, json};

/// Texts that break something somewhere.
pub(crate) fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' OR 1=1; DROP TABLE event; --",
        "a\u{0}b",
        ".",
        "..",
        "../../etc/passwd",
        "*",
        ">",
        "a.b.>",
        " spaces  inside ",
        "line\nfeed\r\n",
        "\u{202e}gnp.exe",
        "{{7*7}} ${7*7}",
        "%00%2e%2e%2f",
        "\u{1F4A9}\u{FEFF}\u{200B}",
        "javascript:alert(1)",
        "",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("x".repeat(10 * 1024));
    texts
}

const KEYS: [&str; 9] = [
    "session_id",
    "current_phase",
    "phase_number",
    "status",
    "progress_detail",
    "test_iteration",
    "phases_completed",
    "started_at",
    "last_updated",
];

const SUMMARY_KEYS: [&str; 12] = [
    "session_id",
    "task",
    "mode",
    "status",
    "phases_completed",
    "pr_url",
    "github_url",
    "tests_passed",
    "files_created",
    "error",
    "commit_sha",
    "branch",
];

/// Values of types that nobody expects there.
fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!([]),
        json!([null, [1], {"a": "<blink>"}]),
        json!({}),
        json!({"toString": "x", "__proto__": {"polluted": true}}),
        json!(["Scout", null, 7, "<marquee>"]),
    ]
}

#[tokio::test]
async fn hostile_texts_in_every_field_arrive_as_they_are() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("texts");
    for (count, text) in nasty().into_iter().enumerate() {
        let mut file = json!({"marker": count, "status": "x"});
        for key in KEYS {
            file[key] = json!(text);
        }
        file[&text] = json!({text.clone(): text});
        project.phase(&file);
        wait_for_marker(&system, &project, count, |build| build.fields.get("marker")).await;
        let mut summary = json!({"marker": count});
        for key in SUMMARY_KEYS {
            summary[key] = json!(text);
        }
        project.summary(&summary);
        let build = wait_for_marker(&system, &project, count, |build| {
            build.summary.as_ref()?.get("marker")
        })
        .await;
        // What Postgres refuses was replaced at the source.
        let stored = text.replace('\0', "\u{fffd}");
        let told = build.summary.unwrap();
        for key in SUMMARY_KEYS {
            assert_eq!(told[key], json!(stored), "{key}");
        }
        assert_eq!(build.pr_url, None, "{text:?} is no address");
    }
    assert_still_well(&system, &client, &project).await;
}

#[tokio::test]
async fn null_and_wrong_types_in_every_field_crash_nothing() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("types");
    for (count, value) in odd().into_iter().enumerate() {
        let mut file = json!({"marker": count});
        for key in KEYS {
            file[key] = value.clone();
        }
        project.phase(&file);
        wait_for_marker(&system, &project, count, |build| build.fields.get("marker")).await;
        let mut summary = json!({"marker": count});
        for key in SUMMARY_KEYS {
            summary[key] = value.clone();
        }
        project.summary(&summary);
        wait_for_marker(&system, &project, count, |build| {
            build.summary.as_ref()?.get("marker")
        })
        .await;
    }
    for root in ["null", "7", "\"text\"", "[1]", "true"] {
        fs::write(project.file(PHASE), root).unwrap();
    }
    assert_still_well(&system, &client, &project).await;
}

/// The newest build of the project has this marker where `marker_of` looks, and its page opens.
async fn wait_for_marker(
    system: &System,
    project: &Project,
    marker: usize,
    marker_of: impl Fn(&Build) -> Option<&Value>,
) -> Build {
    let api = system.api();
    let token = project.token().to_string();
    eventually("the write with this marker", async || {
        let builds = api.builds().await?;
        let found = builds.into_iter().find(|build| build.id.contains(&token));
        let build = found.ok_or("no build")?;
        let told = marker_of(&build);
        check(told == Some(&json!(marker)), || format!("{told:?}"))?;
        let page = api.get(&format!("/builds/{}", build.id)).await?;
        check(page.status == 200, || {
            format!("the page says {}", page.status)
        })?;
        assert_harmless(&page.body);
        Ok(build)
    })
    .await
}

/// No text of ours became markup.
fn assert_harmless(html: &str) {
    for markup in [
        "<script>alert",
        "<img src=x",
        "<blink>",
        "<marquee",
        "href=\"javascript:",
    ] {
        assert!(!html.contains(markup), "{markup} is in the page as markup");
    }
}

async fn assert_still_well(system: &System, client: &Client, project: &Project) {
    project.phase(&fixtures::phase("good", "Architect", "2/7", "designing"));
    let token = project.token().to_string();
    let api = system.api();
    eventually("a later good write arrives", async || {
        let builds = api.builds().await?;
        let build = builds
            .iter()
            .find(|build| build.id.contains(&token))
            .ok_or("no build")?;
        check(
            build.phase.as_deref() == Some("Architect")
                && build.status.as_deref() == Some("designing"),
            || format!("{build:?}"),
        )
    })
    .await;
    client
        .until_build(&project.name(), |told| told["status"] == "designing")
        .await;
    crate::stream::assert_agrees(system, client).await;
    let ready = api.get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200, "{}", ready.body);
    for page in ["/", "/history", "/hosts", "/system"] {
        let answer = api.get(page).await.unwrap();
        assert_eq!(answer.status, 200, "{page}");
        assert_harmless(&answer.body);
    }
}

#[tokio::test]
async fn hostile_names_of_projects_and_hosts_are_addressed_safely() {
    let mut system = System::start().await;
    let names = [
        "a b",
        "a.b.*.>",
        "%2e%2e",
        "<img src=x onerror=alert(1)>",
        "line\nfeed",
        "\u{202e}gnp",
        "'\"`;$(x)",
        "-",
        "ünïcödé",
        "a\\b",
    ];
    for name in names {
        let project = system.project(name);
        project.phase(&fixtures::phase(name, "Scout", "1/7", "researching"));
        let build = system.build(&project, 1, |_| true).await;
        assert_eq!(build.project, name);
        let plain = build
            .id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        assert!(plain, "{}", build.id);
    }
    for host in [
        "host with space",
        "a.b.*.>",
        "<blink>host</blink>",
        "../host",
        "hôst",
    ] {
        let watch = harness::scratch::directory("odd-host");
        system.agents.push(Agent::start(host, &watch, &system.nats));
        let project = Project::create(watch.join("one"));
        project.phase(&fixtures::phase("one", "Scout", "1/7", "researching"));
        let id = project.build_id(host, 1);
        let build = system.build_by_id(&id, |_| true).await;
        assert_eq!(build.host, host);
        let page = system.api().get(&format!("/builds/{id}")).await.unwrap();
        assert_eq!(page.status, 200);
        assert_harmless(&page.body);
        let client = system.client_with(&format!("?build={id}")).await;
        client.until_build("one", |_| true).await;
        assert!(id.starts_with(&subject::url_name(host)));
    }
    let hosts = system.api().get("/hosts").await.unwrap();
    assert_harmless(&hosts.body);
}

#[tokio::test]
async fn file_names_that_are_no_text_do_not_stop_the_agent() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let system = System::start().await;
    let odd = Project::create(system.watch.join(OsStr::from_bytes(b"\xff\xfe\x80")));
    odd.phase(&fixtures::phase("odd", "Scout", "1/7", "researching"));
    let good = system.project("good");
    good.phase(&fixtures::phase("good", "Scout", "1/7", "researching"));
    system.build(&good, 1, |_| true).await;
    system.build(&odd, 1, |_| true).await;
}

#[tokio::test]
async fn hostile_questions_are_answered_with_plain_errors() {
    let system = System::start().await;
    let api = system.api();
    let long = "x".repeat(5_000);
    let paths = [
        "/api/v1/builds/%00",
        "/api/v1/builds/..%2f..%2fetc",
        "/api/v1/builds/%ff%fe",
        "/api/v1/builds?limit=0",
        "/api/v1/builds?limit=-1",
        "/api/v1/builds?limit=1e9",
        "/api/v1/builds?cursor=%27%3b--",
        "/api/v1/builds?state=%3Cscript%3E",
        "/api/v1/builds/x/events?after=99999999999999999999",
        "/api/v1/hosts/%00",
        "/api/v1/stream?since=abc",
        "/api/v1/nothing",
        "/nothing",
        "/builds/nope",
        "/hosts/%00",
    ];
    for path in paths
        .into_iter()
        .map(str::to_owned)
        .chain([format!("/api/v1/builds/{long}")])
    {
        let answer = api.get(&path).await.unwrap();
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
        assert!(!answer.body.contains("<script>"), "{path}");
        for cause in ["postgres", "panicked", "src/", "tokio", "SELECT"] {
            assert!(
                !answer.body.contains(cause),
                "{path} tells a client about {cause}: {}",
                answer.body
            );
        }
    }
    // A search for anything is a search, never an error.
    for text in ["%25", "%5C", "%27", "_%25_", "%00", "%F0%9F%92%A9"] {
        let answer = api.get(&format!("/api/v1/builds?q={text}")).await.unwrap();
        assert!(
            matches!(answer.status, 200 | 400),
            "{text}: {} {}",
            answer.status,
            answer.body
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_json_are_reported_and_later_good_writes_arrive() {
    let system = System::start().await;
    let client = system.client().await;
    let project = system.project("bytes");
    let good = fixtures::phase("bytes", "Scout", "1/7", "researching").to_string();
    let contents: Vec<Vec<u8>> = vec![
        b"\xff\xfe\x00\x01".to_vec(),
        vec![0; 4096],
        format!("\u{feff}{good}").into_bytes(),
        good.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        b"{\"current_phase\":\"\xc3\x28\"}".to_vec(),
        b"{\"current_phase\":\"\\ud800\"}".to_vec(),
        b"{\"a\":1e131072,\"b\":-1e999999}".to_vec(),
        b"{\"a\":1,\"a\":2}".to_vec(),
        b"{\"a\":NaN}".to_vec(),
        format!("{good}{good}").into_bytes(),
        format!("{good}\n\n  \n").into_bytes(),
    ];
    for content in contents {
        fs::write(project.file(PHASE), &content).unwrap();
        // Long enough for the retries of a torn file to end.
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    }
    assert_still_well(&system, &client, &project).await;
    let letters = system
        .database
        .number("SELECT count(*) FROM dead_letter")
        .await
        .unwrap();
    assert_eq!(letters, 0, "the agent sends nothing that Postgres refuses");
}
