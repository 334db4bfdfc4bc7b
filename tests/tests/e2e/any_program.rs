//! Any other program: from a `[[producer]]` table to the page, and what
//! `check` says of its files. The examples are README's own, pasted.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::browser::{available, with_browser};
use harness::process::{clean, program};
use harness::scratch;
use harness::system::{HOST, System};
use harness::writer::Project;
use protocol::{BuildState, ProjectToken, subject};
use serde_json::Value;

use crate::pages::{open, until_state};

const README: &str = include_str!("../../../README.md");

/// The blocks of this language in README's section of this heading.
fn blocks(heading: &str, language: &str) -> impl Iterator<Item = &'static str> + use<> {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let begin = format!("```{language}\n");
    let parts: Vec<_> = section.split(&begin).skip(1).collect();
    let parts = parts.into_iter();
    parts.map(|part| part.split_once("```").unwrap().0)
}

/// The first block of this language in README's section on any other program.
fn example(language: &str) -> &'static str {
    blocks("Any other program", language).next().unwrap()
}

/// What is pasted into a shell in this directory, as if it was a clone in which `make up` was typed.
fn paste(text: &str, dir: &Path) -> Output {
    let mut shell = clean(Command::new("sh"));
    let (programs, release) = (program("phaseline"), dir.join("target/release"));
    if fs::symlink_metadata(&release).is_err() {
        fs::create_dir_all(dir.join("target")).unwrap();
        symlink(programs.parent().unwrap(), release).unwrap();
    }
    shell.args(["-e", "-c", text]);
    shell.current_dir(dir).output().unwrap()
}

/// Servers, and an agent with this configuration.
async fn start(config: &str) -> System {
    let file = scratch::directory("config").join("phaseline.toml");
    fs::write(&file, config).unwrap();
    System::start_with(&[("PHASELINE_CONFIG", file.to_str().unwrap())]).await
}

fn build_id(producer: &str, project: &Path, id: &str, run: u32) -> String {
    let token = ProjectToken::of_id(producer, &format!("{}{id}", project.display()));
    subject::build_id(HOST, token, run)
}

/// Runs `phaseline-agent check` with this configuration.
fn check(config: &Path, file: &Path, more: &[&str]) -> Output {
    let mut command = clean(Command::new(program("phaseline-agent")));
    command.arg("check").arg(file).arg("--config").arg(config);
    command.args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[tokio::test]
async fn the_first_build_of_the_readme_works_as_it_is_pasted() {
    let system = System::start().await;
    let id = Project::unmade(system.watch.join("hello")).build_id(HOST, 1);
    let mut blocks = blocks("A first build", "sh");
    let mut next = || {
        let said = paste(blocks.next().unwrap(), &system.watch);
        assert!(said.status.success(), "{}", text(&said.stderr));
    };
    next();
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(
        (build.project.as_str(), build.state, build.phase.as_deref()),
        ("hello", BuildState::Running, Some("Builder"))
    );
    let page = system.api().get("/").await.unwrap().body;
    for shown in ["hello", "running", "Builder"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let page = format!("/builds/{id}");
    let page = system.api().get(&page).await.unwrap().body;
    for shown in ["Writing the parser", "Scout", "Architect"] {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    next();
    let ended = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(ended.state, BuildState::Completed);
    assert!(blocks.next().is_none(), "a block that nobody tests");
}

#[tokio::test]
async fn the_example_of_the_readme_works_as_it_is_pasted() {
    let config = example("toml");
    let system = start(config).await;
    fs::write(system.watch.join("phaseline.toml"), config).unwrap();
    let said = paste(example("sh"), &system.watch);
    let explained = text(&said.stdout);
    assert!(said.status.success(), "{explained}{}", text(&said.stderr));
    for expected in [
        "nightly",
        "running: the status \"working\" means running",
        "0.4",
        "nothing to warn about",
    ] {
        assert!(explained.contains(expected), "{explained}");
    }

    let project = system.watch.join("shop");
    let id = build_id("nightly", &project, "", 1);
    let build = system.build_by_id(&id, |_| true).await;
    assert_eq!(
        (build.producer.as_str(), build.project.as_str()),
        ("nightly", "shop")
    );
    assert_eq!(
        (build.state, build.progress),
        (BuildState::Running, Some(0.4))
    );
    assert_eq!(
        (build.session_id.as_deref(), build.phase.as_deref()),
        (Some("7"), Some("Test"))
    );
    assert_eq!(build.cost_usd.unwrap().to_string(), "0.125");
    assert_eq!(build.tokens.unwrap().output, Some(8192));
    assert_eq!(build.model.as_deref(), Some("claude-sonnet-4-5"));
    assert_eq!(build.fields["heartbeat"], 1, "every member is kept");

    let file = project.join("status/build.json");
    let state = fs::read_to_string(&file).unwrap();
    if available() {
        with_browser(&system.aggregators[0].base(), async |page| {
            open(page, &format!("/builds/{id}")).await;
            until_state(page, &id, "running").await;
            page.until_text("[data-f=details]", |text| text.contains("Nightly build"))
                .await;
            write(&file, &state.replace("\"Test\"", "\"Ship\""));
            page.until_text("[data-f=phase]", |text| text.contains("Ship"))
                .await;
        })
        .await;
    }
    write(&file, &state.replace("working", "ok"));
    let ended = system
        .build_by_id(&id, |build| build.ended_at.is_some())
        .await;
    assert_eq!(ended.state, BuildState::Completed);
    write(&file, &state.replace("\"run\": 7", "\"run\": 8"));
    let next = build_id("nightly", &project, "", 2);
    let build = system.build_by_id(&next, |_| true).await;
    assert_eq!(build.session_id.as_deref(), Some("8"));
}

const LINES: &str = "[[producer]]
name = 'lines'
file = 'runs/{id}.jsonl'
format = 'jsonl'
states = { begun = 'running', over = 'completed' }
fields = { session_id = '/run', status = '/state', phase = '/phase' }
";

#[tokio::test]
async fn json_lines_become_a_build_for_each_id_over_truncation_and_rotation() {
    let system = start(LINES).await;
    let project = system.watch.join("shop");
    let file = |id: &str| project.join(format!("runs/{id}.jsonl"));
    let append = |id: &str, text: &str| {
        fs::create_dir_all(project.join("runs")).unwrap();
        let opened = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file(id));
        opened.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let line = |run: u32, state: &str, phase: &str| {
        format!("{{\"run\":{run},\"state\":\"{state}\",\"phase\":\"{phase}\"}}\n")
    };
    let in_phase = async |id: &str, run: u32, phase: &str| {
        let id = build_id("lines", &project, &format!("\n{id}"), run);
        system
            .build_by_id(&id, |build| build.phase.as_deref() == Some(phase))
            .await
    };
    append("a", &line(1, "begun", "Plan"));
    append("b", &line(1, "begun", "Plan"));
    in_phase("a", 1, "Plan").await;
    in_phase("b", 1, "Plan").await;
    // Half a line waits for its other half.
    append("a", "{\"run\":1,\"state\":\"over\",");
    append("b", &line(1, "begun", "Build"));
    in_phase("b", 1, "Build").await;
    assert_eq!(in_phase("a", 1, "Plan").await.state, BuildState::Running);
    append("a", "\"phase\":\"Ship\"}\n");
    assert_eq!(in_phase("a", 1, "Ship").await.state, BuildState::Completed);
    // Truncated and begun anew; then rotated away.
    fs::write(file("a"), line(2, "begun", "Plan")).unwrap();
    in_phase("a", 2, "Plan").await;
    fs::rename(file("a"), project.join("runs/a.jsonl.1")).unwrap();
    append("a", &line(2, "over", "Ship"));
    assert_eq!(in_phase("a", 2, "Ship").await.state, BuildState::Completed);
    assert_eq!(system.database.builds().await.unwrap().len(), 3);
}

#[test]
fn check_tells_good_drifted_and_broken_files_apart() {
    let dir = scratch::directory("check");
    let config = dir.join("phaseline.toml");
    write(&config, example("toml"));
    let file: PathBuf = dir.join("shop/status/build.json");
    let good = r#"{"run":1,"title":"t","state":"working","doing":"x","percent":4,"step":{"name":"Test","number":"1/2"},
        "git":{"branch":"main"},"model":"m","spent":{"usd":1,"tokens":2}}"#;
    let cases = [
        (good.to_owned(), 0, "nothing to warn about"),
        (
            good.replace("working", "linting"),
            1,
            "nobody said what \"linting\" means",
        ),
        (
            good.replace("\"step\"", "\"stage\""),
            1,
            "phase: nothing stands at /step/name",
        ),
        (
            good.replace("\"usd\":1", "\"usd\":\"cheap\""),
            1,
            "expected an amount of US dollars",
        ),
        (good[..40].to_owned(), 1, "it cannot be read as JSON"),
    ];
    for (content, code, expected) in cases {
        write(&file, &content);
        let said = check(&config, &file, &[]);
        let shown = text(&said.stdout);
        assert_eq!(
            said.status.code(),
            Some(code),
            "{shown}{}",
            text(&said.stderr)
        );
        assert!(shown.contains(expected), "{shown}");
        let told = check(&config, &file, &["--json"]);
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(told["warnings"].as_array().unwrap().is_empty(), code == 0);
        assert_eq!(told["producer"], "nightly");
        // Who has the launcher only asks that one.
        let mut launcher = clean(Command::new(program("phaseline")));
        launcher
            .arg("check")
            .arg(&file)
            .arg("--config")
            .arg(&config);
        let said = launcher.output().unwrap();
        assert_eq!(
            (said.status.code(), text(&said.stdout)),
            (Some(code), shown)
        );
    }
    let nobodys = dir.join("shop/other.json");
    write(&nobodys, good);
    let said = check(&config, &nobodys, &[]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stdout).contains("no producer's file"));
}

#[test]
fn what_check_cannot_use_ends_with_64_and_one_sentence() {
    let dir = scratch::directory("check");
    let (good, bad) = (dir.join("good.toml"), dir.join("bad.toml"));
    write(&good, example("toml"));
    write(&bad, &example("toml").replace("\"nightly\"", "\"adw\""));
    for (config, file, expected) in [
        (
            &good,
            dir.join("missing.json"),
            "expected a file that is there",
        ),
        (
            &bad,
            good.clone(),
            "[[producer]] \"adw\" name is \"adw\", expected a name of its own",
        ),
        (&dir.join("none.toml"), good.clone(), "PHASELINE_CONFIG"),
    ] {
        let said = check(config, &file, &[]);
        let sentence = text(&said.stderr);
        assert_eq!(said.status.code(), Some(64), "{sentence}");
        assert!(sentence.contains(expected), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
    }
}

#[test]
fn a_bad_table_stops_agent_and_up_before_anything_starts() {
    let dir = scratch::directory("check");
    let (config, state) = (dir.join("bad.toml"), dir.join("state"));
    let state_dir = state.to_str().unwrap();
    for (from, to, expected) in [
        (
            "\"/step/name\"",
            "\"step.name\"",
            "fields.phase is \"step.name\", expected a JSON Pointer",
        ),
        (
            "\"completed\"",
            "\"finished\"",
            "states.\"ok\" is \"finished\", expected one of queued",
        ),
        (
            "\"status/build.json\"",
            "\"target/build.json\"",
            "prune leaves out target",
        ),
    ] {
        write(&config, &example("toml").replacen(from, to, 1));
        for (name, more) in [("phaseline-agent", &[][..]), ("phaseline", &["up"][..])] {
            let mut command = clean(Command::new(program(name)));
            command
                .args(more)
                .args(["--state-dir", state_dir, "--config"])
                .arg(&config);
            let said = command.output().unwrap();
            // The two programs put their sentences together with other signs.
            let sentence = text(&said.stderr).replace(';', ",");
            assert_eq!(said.status.code(), Some(64), "{name}: {sentence}");
            assert!(
                sentence.contains("[[producer]] \"nightly\"") && sentence.contains(expected),
                "{name}: {sentence}"
            );
            assert!(!state.exists(), "a refused start leaves nothing behind");
        }
    }
}
