//! The list at a moment, of more builds than are folded for one page.

use std::collections::BTreeSet;

use harness::fixtures;
use harness::system::System;
use harness::wait::{check, eventually};
use harness::writer::Project;
use serde_json::Value;

/// Half as many again as are folded for one page.
const BUILDS: usize = 300;
/// Of these the newest state is a failure.
const FAILED: usize = 30;

/// All pages of a list; how many there were, and the builds.
async fn all(system: &System, query: &str) -> (usize, Vec<Value>) {
    let (mut pages, mut builds, mut cursor) = (0, Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/builds?{query}{cursor}");
        let answer = system.api().get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let mut page = answer.json();
        pages += 1;
        builds.append(page["builds"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (pages, builds),
        }
    }
}

async fn known(system: &System, phase: &str, count: usize) {
    eventually(&format!("{count} builds in {phase}"), async || {
        let sql = format!("SELECT count(*) FROM build WHERE body->>'phase' = '{phase}'");
        let seen = system.database.number(&sql).await?;
        check(usize::try_from(seen) == Ok(count), || format!("{seen}"))
    })
    .await;
}

/// The database's clock, as an address has it.
async fn clock(system: &System) -> String {
    let sql =
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')";
    system.database.text(sql).await.unwrap()
}

fn text<'a>(build: &'a Value, key: &str) -> &'a str {
    build[key].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_list_of_the_past_has_every_build_once_however_many_are_folded() {
    let system = System::start().await;
    let projects: Vec<Project> = (0..BUILDS)
        .map(|n| system.project(&format!("team-{}/p{n:03}", n % 3)))
        .collect();
    let all_say = |phase: &str, number: &str, status: &dyn Fn(usize) -> &'static str| {
        for (n, project) in projects.iter().enumerate() {
            project.phase(&fixtures::phase(&project.name(), phase, number, status(n)));
        }
    };
    let before = clock(&system).await;
    all_say("Scout", "1/7", &|_| "researching");
    known(&system, "Scout", BUILDS).await;
    let then = clock(&system).await;
    let status = |n: usize| if n < FAILED { "failed" } else { "building" };
    all_say("Builder", "3/7", &status);
    known(&system, "Builder", BUILDS).await;

    let (pages, builds) = all(&system, &format!("at={then}&limit=200")).await;
    assert!(pages >= 2, "more than are folded for one page");
    let ids: BTreeSet<&str> = builds.iter().map(|build| text(build, "id")).collect();
    assert_eq!((builds.len(), ids.len()), (BUILDS, BUILDS));
    let of_then =
        |build: &&Value| (text(build, "phase"), text(build, "state")) == ("Scout", "running");
    assert_eq!(builds.iter().filter(of_then).count(), BUILDS);
    // As now, newest first.
    let (_, now) = all(&system, "limit=200").await;
    let order = |builds: &[Value]| -> Vec<String> {
        builds
            .iter()
            .map(|build| text(build, "id").to_owned())
            .collect()
    };
    assert_eq!(order(&builds), order(&now));

    // Filters: by what they were then.
    for (query, count) in [
        ("state=running", BUILDS),
        ("state=failed", 0),
        ("q=scout", BUILDS),
        ("q=p00", 10),
        ("project=p299", 1),
        ("state=running&q=team-1", 100),
        ("host=nobody", 0),
    ] {
        for limit in [7, 200] {
            let (_, found) = all(&system, &format!("at={then}&{query}&limit={limit}")).await;
            let ids: BTreeSet<&str> = found.iter().map(|build| text(build, "id")).collect();
            assert_eq!((found.len(), ids.len()), (count, count), "{query} {limit}");
        }
    }
    let (_, failed) = all(&system, "state=failed&limit=200").await;
    assert_eq!(failed.len(), FAILED);
    let (_, none) = all(&system, &format!("at={before}")).await;
    assert!(none.is_empty(), "{none:?}");
    // The page tells of the next one.
    let page = system
        .api()
        .get(&format!("/history?at={then}"))
        .await
        .unwrap();
    assert_eq!(page.status, 200);
    assert!(page.body.contains("cursor="), "{}", page.body);
}
