//! The list, the hosts and the pages as they were, and the hour's snapshots from
//! which they are folded.

use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use harness::writer::Project;
use protocol::Timestamp;
use serde_json::{Value, json};

/// Writes a phase and waits until it is known; answers when it was.
async fn step(system: &System, project: &Project, phase: &str, status: &str) -> Timestamp {
    let name = project.name();
    project.phase(&fixtures::phase(&name, phase, "2/7", status));
    let is = |build: &protocol::Build| {
        (build.phase.as_deref(), build.status.as_deref()) == (Some(phase), Some(status))
    };
    system.build(project, 1, is).await.last_updated
}

async fn get(system: &System, path: &str) -> Value {
    let answer = system.api().get(path).await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

/// Project and phase of each build of a list.
fn told(list: &Value) -> Vec<String> {
    let builds = list["builds"].as_array().unwrap();
    let text = |build: &Value| format!("{} {}", build["project"], build["phase"]).replace('"', "");
    builds.iter().map(text).collect()
}

#[tokio::test]
async fn a_list_is_shown_as_it_was_with_its_filters_and_pages() {
    let system = System::start().await;
    let (one, two) = (system.project("one"), system.project("two"));
    let first = step(&system, &one, "Scout", "researching").await;
    let second = step(&system, &two, "Scout", "researching").await;
    let third = step(&system, &one, "Builder", "building").await;
    step(&system, &two, "Builder", "failed").await;
    step(&system, &one, "Test", "testing").await;
    let now = get(&system, "/api/v1/builds").await;
    assert_eq!(told(&now), ["two Builder", "one Test"]);
    let at = async |at: Timestamp, more: &str| {
        get(&system, &format!("/api/v1/builds?at={at}{more}")).await
    };
    assert!(told(&at(first.plus_millis(-1), "").await).is_empty());
    assert_eq!(told(&at(first, "").await), ["one Scout"]);
    assert_eq!(told(&at(second, "").await), ["two Scout", "one Scout"]);
    let then = at(third, "").await;
    assert_eq!(told(&then), ["two Scout", "one Builder"]);
    assert_eq!(then["builds"][0]["seq"], Value::Null);
    // By what they were, not by what they are.
    assert_eq!(told(&at(third, "&state=running").await).len(), 2);
    assert!(told(&at(third, "&state=failed").await).is_empty());
    assert_eq!(told(&at(third, "&q=builder%3A").await), ["one Builder"]);
    assert_eq!(told(&at(third, "&project=two").await), ["two Scout"]);
    let page = at(third, "&limit=1").await;
    assert_eq!(told(&page), ["two Scout"]);
    let next = page["next"].as_str().unwrap();
    let page = at(third, &format!("&limit=1&cursor={next}")).await;
    assert_eq!(
        (told(&page), &page["next"]),
        (vec!["one Builder".to_owned()], &Value::Null)
    );
    for (at, status, code) in [
        ("2020-01-01T00:00:00Z", 410, "past_retention"),
        ("9000-01-01", 400, "moment_to_come"),
    ] {
        let path = format!("/api/v1/builds?at={at}");
        let refused = system.api().get(&path).await.unwrap();
        let told = (refused.status, refused.error_code());
        assert_eq!(told, (status, code.to_owned()));
    }
    let host = format!("/hosts/{HOST}?at=9000-01-01");
    for page in ["/hosts?at=9000-01-01", &host, "/history?at=9000-01-01"] {
        let refused = system.api().get(page).await.unwrap();
        assert_eq!(refused.status, 400, "{page}");
        assert!(refused.body.contains("That moment has not come"), "{page}");
    }
}

#[tokio::test]
async fn hosts_are_shown_as_they_were() {
    let mut system = System::start().await;
    system.host_is(HOST, "up").await;
    let up = system.api().host(HOST).await.unwrap().last_updated;
    system.agents[0].process.stop().await;
    system.host_is(HOST, "stopped").await;
    let stopped = system.api().host(HOST).await.unwrap();
    let then = get(&system, &format!("/api/v1/hosts/{HOST}?at={up}")).await;
    assert_eq!(
        (&then["state"], &then["last_seen_at"]),
        (&json!("up"), &Value::Null),
        "{then}"
    );
    let then = get(
        &system,
        &format!("/api/v1/hosts?at={}", stopped.last_updated),
    )
    .await;
    assert_eq!(then["hosts"][0]["state"], "stopped");
    assert_eq!(
        then["hosts"][0]["last_seen_at"],
        json!(stopped.last_seen_at)
    );
    // Before its agent was first heard.
    let before =
        "SELECT to_char(min(at) - interval '1 minute', 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM host_past";
    let before = system.database.text(before).await.unwrap();
    assert_eq!(
        get(&system, &format!("/api/v1/hosts?at={before}")).await,
        json!({"hosts": []})
    );
    let none = system
        .api()
        .get(&format!("/api/v1/hosts/{HOST}?at={before}"))
        .await
        .unwrap();
    assert_eq!((none.status, none.error_code().as_str()), (404, "not_yet"));
}

async fn snapshots(system: &System) -> i64 {
    system
        .database
        .number("SELECT count(*) FROM snapshot")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_moment_is_folded_from_the_hours_snapshot_also_when_the_first_events_are_gone() {
    let mut system = System::start().await;
    let project = system.project("long");
    let scout = step(&system, &project, "Scout", "researching").await;
    let builder = step(&system, &project, "Builder", "building").await;
    assert_eq!(snapshots(&system).await, 0);
    // Whoever takes the lead takes snapshots at once, not at the next full hour.
    system.aggregators[0].restart();
    eventually("a snapshot is taken", async || {
        let taken = snapshots(&system).await;
        check(taken == 1, || format!("{taken} snapshots"))
    })
    .await;
    let taken = "SELECT taken_at::text || last_event FROM snapshot";
    let first = system.database.text(taken).await.unwrap();
    system.aggregators[0].ready().await;
    let test = step(&system, &project, "Test", "testing").await;
    step(&system, &project, "Documentation", "documenting").await;
    let id = project.build_id(HOST, 1);
    let phase = async |at: Timestamp| {
        let answer = system
            .api()
            .get(&format!("/api/v1/builds/{id}?at={at}"))
            .await
            .unwrap();
        let body = answer.json();
        if answer.status == 200 {
            body["phase"].clone()
        } else {
            body["error"]["code"].clone()
        }
    };
    assert_eq!(phase(scout).await, "Scout");
    assert_eq!(phase(builder).await, "Builder");
    assert_eq!(phase(test).await, "Test");
    // Retention takes what was before the snapshot: from it on all is known.
    let retire = "DELETE FROM event WHERE id <= (SELECT last_event FROM snapshot)";
    system.database.execute(retire).await.unwrap();
    assert_eq!(phase(builder).await, "past_retention");
    assert_eq!(phase(test).await, "Test");
    let list = get(&system, &format!("/api/v1/builds?at={test}")).await;
    assert_eq!(told(&list), ["long Test"]);
    assert_eq!(list["builds"][0]["state"], "running");
    assert_eq!(system.database.text(taken).await.unwrap(), first);
    // Without it nothing is: it was the snapshot that told.
    system
        .database
        .execute("DELETE FROM snapshot")
        .await
        .unwrap();
    assert_eq!(phase(test).await, "past_retention");
    // A list has it all the same, without what its row says of now.
    let calls = r#"UPDATE build SET body = body || '{"calls": [{"name": "Bash", "input": "ls"}]}'"#;
    system.database.execute(calls).await.unwrap();
    let now = get(&system, "/api/v1/builds").await;
    assert_eq!(now["builds"][0]["calls"][0]["name"], "Bash");
    let list = get(&system, &format!("/api/v1/builds?at={test}")).await;
    assert_eq!(told(&list), ["long null"]);
    assert_eq!(list["builds"][0]["state"], "unknown");
    assert_eq!(list["builds"][0]["calls"], Value::Null);
}

#[tokio::test]
async fn no_snapshot_is_taken_where_nothing_changed() {
    let mut system = System::start().await;
    let (one, two) = (system.project("one"), system.project("two"));
    step(&system, &one, "Scout", "researching").await;
    step(&system, &two, "Scout", "researching").await;
    system.aggregators[0].restart();
    let is = async |expected: i64| {
        eventually("the snapshots are taken", async || {
            let taken = snapshots(&system).await;
            check(taken == expected, || format!("{taken} snapshots"))
        })
        .await;
    };
    is(2).await;
    // As if that had been in an earlier hour.
    let earlier = "UPDATE snapshot SET hour = hour - interval '1 hour', taken_at = taken_at - interval '1 hour'";
    system.database.execute(earlier).await.unwrap();
    system.aggregators[0].ready().await;
    step(&system, &two, "Builder", "building").await;
    system.aggregators[0].restart();
    eventually("one more is taken", async || {
        let taken = snapshots(&system).await;
        check(taken == 3, || format!("{taken} snapshots"))
    })
    .await;
    let changed = two.build_id(HOST, 1);
    let newest = "SELECT build_id FROM snapshot ORDER BY taken_at DESC LIMIT 1";
    assert_eq!(system.database.text(newest).await.unwrap(), changed);
}

#[tokio::test]
async fn pages_of_the_past_stand_still_and_say_so() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    let then = step(&system, &project, "Scout", "researching").await;
    step(&system, &project, "Builder", "building").await;
    let id = project.build_id(HOST, 1);
    with_browser(&system.aggregators[0].base(), async |page| {
        for (path, now) in [
            ("/history".to_owned(), "/history"),
            (format!("/builds/{id}"), "/builds/"),
            (format!("/hosts/{HOST}"), "/hosts/"),
            ("/hosts".to_owned(), "/hosts"),
        ] {
            page.goto(&format!("{path}?at={then}")).await;
            page.until_text("[data-f=past]", |text| text.starts_with("As it was at")).await;
            let back = page.js("return document.querySelector('[data-f=past] a').getAttribute('href')").await;
            assert!(back.as_str().unwrap().starts_with(now), "{back}");
            // Scripts have run and no stream was opened.
            page.until("the scripts have run", "!document.getElementById('theme').hidden").await;
            assert_eq!(page.js("return document.documentElement.dataset.connection").await, "none");
        }
        page.goto(&format!("/history?at={then}")).await;
        assert!(page.body().await.contains("As it was at"));
        let cells = page.js("return document.querySelector('li[data-build] [data-f=track]').getAttribute('aria-label')").await;
        assert!(cells.as_str().unwrap().contains("Scout") && !cells.as_str().unwrap().contains("Builder"), "{cells}");
        // The row leads to the build of that moment, and the form to another one.
        let href = page.js("return document.querySelector('li[data-build] a').getAttribute('href')").await;
        assert!(href.as_str().unwrap().contains("?at="), "{href}");
        page.goto(href.as_str().unwrap()).await;
        page.until_text("[data-f=detail]", |text| text.contains("Scout")).await;
        // A clock that is a little ahead of ours asks for the present.
        page.js("const f = document.querySelector('main > form.when'); f.elements.at.value = new Date(Date.now() + 2e4).toISOString().slice(0, 19); f.submit()").await;
        page.until("the present, live", "location.search === '' && document.documentElement.dataset.connection === 'live'").await;
        page.until_text("[data-f=detail]", |text| text.contains("Builder")).await;
        // The live list of a moment is that of the history.
        page.goto(&format!("/?at={then}")).await;
        assert_eq!(page.js("return location.pathname").await, "/history");
    })
    .await;
}
