//! Lists of many builds: a state and a text are found by an index, and where
//! the one for texts cannot be had, the same is found without it.

use std::process::Command;

use harness::fixtures;
use harness::postgres::{Database, Postgres};
use harness::process::{clean, program};
use harness::system::System;
use harness::wait::{check, eventually};
use harness::writer::Project;
use serde_json::Value;

/// Copies of the one build that is there, ended and older than it; the oldest has a detail of its own.
const MANY: &str = r#"
INSERT INTO build (id, host, producer, project_token, project, path, run, session_id, state, branch, started_at, ended_at,
                   alive_at, last_updated, opened_at, opened_seq, seq, body)
SELECT 'made-' || n, host, producer, project_token, 'made', path, 1000 + n, session_id, made.state, branch, started_at,
       started_at, alive_at, last_updated, opened_at, -n, 1000000 + n,
       body || jsonb_build_object('id', 'made-' || n, 'project', 'made', 'state', made.state, 'ended_at', body->'started_at',
                                  'detail', CASE n WHEN 20000 THEN '100% of Odd_Ends mended' ELSE 'step ' || n END)
FROM build, generate_series(1, 20000) n, LATERAL (SELECT CASE n WHEN 19999 THEN 'cancelled' ELSE 'completed' END AS state) made;
ANALYZE build"#;

async fn found(system: &System, query: &str) -> Vec<String> {
    let answer = system.api().get(&format!("/api/v1/builds?{query}")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let list: Value = answer.json();
    let builds = list["builds"].as_array().unwrap().iter();
    builds
        .map(|build| build["id"].as_str().unwrap().to_owned())
        .collect()
}

/// What is looked for, and what is found of it, whatever index there is.
async fn assert_found(system: &System, open: &str) {
    for (query, expected) in [
        ("q=odd_ends", vec!["made-20000"]),
        ("q=100%25%20OF", vec!["made-20000"]),
        // Signs of a pattern mean themselves.
        ("q=odd%25ends", vec![]),
        ("q=oddxends", vec![]),
        (
            "q=made-1999",
            vec![
                "made-1999",
                "made-19990",
                "made-19991",
                "made-19992",
                "made-19993",
                "made-19994",
                "made-19995",
                "made-19996",
                "made-19997",
                "made-19998",
                "made-19999",
            ],
        ),
        // The end of one member and the beginning of the next are not one text.
        ("q=made%20work", vec![]),
        ("q=researching&project=work", vec![open]),
        ("state=running", vec![open]),
        ("state=cancelled", vec!["made-19999"]),
        ("state=failed", vec![]),
        ("state=cancelled&q=step%2019999", vec!["made-19999"]),
    ] {
        assert_eq!(found(system, query).await, expected, "{query}");
    }
    assert_eq!(
        found(system, "state=completed&limit=2").await,
        ["made-1", "made-2"]
    );
    assert_eq!(found(system, "q=ma&limit=2").await, ["made-1", "made-2"]);
}

#[tokio::test]
async fn a_state_and_a_text_are_found_by_an_index_among_many_builds_and_the_same_without_it() {
    let system = System::start().await;
    let project: Project = system.project("work");
    project.phase(&fixtures::phase("work", "Scout", "2/7", "researching"));
    let open = system.build(&project, 1, |_| true).await.id;
    system.database.execute(MANY).await.unwrap();
    assert_found(&system, &open).await;
    let mut indexes = vec!["build_by_state"];
    if has_text_index(&system.database).await {
        indexes.push("build_by_text");
    }
    for index in indexes {
        let scans =
            format!("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = '{index}'");
        eventually(&format!("{index} was used"), async || {
            let scans = system.database.number(&scans).await?;
            check(scans > 0, || format!("{scans} scans"))
        })
        .await;
    }
    let drop = "DROP INDEX IF EXISTS build_by_text";
    system.database.execute(drop).await.unwrap();
    assert_found(&system, &open).await;
}

async fn has_text_index(database: &Database) -> bool {
    let count = "SELECT count(*) FROM pg_class WHERE relname = 'build_by_text'";
    let has = database.number(count).await.unwrap() == 1;
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'";
    assert_eq!(has, database.number(available).await.unwrap() == 1);
    has
}

#[tokio::test]
async fn a_database_that_gives_no_extension_is_migrated_all_the_same() {
    let database = Postgres::shared().await.database().await;
    let refuse = "DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM phaseline', current_database()); END $$";
    database.execute(refuse).await.unwrap();
    let password_file = database.password_file();
    let output = clean(Command::new(program("phaseline-aggregator")))
        .arg("migrate")
        .env("PHASELINE_DATABASE_URL", database.url())
        .env("PHASELINE_DATABASE_PASSWORD_FILE", password_file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let indexes =
        "SELECT count(*) FROM pg_class WHERE relname IN ('build_by_text', 'build_by_state')";
    assert_eq!(database.number(indexes).await.unwrap(), 1);
}
