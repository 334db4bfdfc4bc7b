//! A bad setting stops a program before it connects to anything: exit code 64
//! and one sentence. Secrets show NOWHERE.

use std::collections::BTreeSet;
use std::process::Command;

use harness::fixtures;
use harness::process::{clean, program};
use harness::system::{Agent, HOST, System};

/// Runs a program to its end; gives exit code, stdout and stderr.
pub(crate) fn run(
    name: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (Option<i32>, String, String) {
    let mut command = clean(Command::new(program(name)));
    let output = command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Never made: nothing may be touched before the settings are checked.
pub(crate) const NOWHERE: (&str, &str) = ("PHASELINE_STATE_DIR", "/tmp/phaseline-settings-test");

/// Program, arguments, variables, and what the sentence must name.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[test]
fn bad_settings_exit_with_64_and_name_setting_value_and_expectation() {
    let cases: [Case; 8] = [
        (
            "phaseline-aggregator",
            &[],
            &[
                ("PHASELINE_LISTEN", "nonsense"),
                ("PHASELINE_DATABASE_URL", "host=/x"),
            ],
            "nonsense",
        ),
        ("phaseline-aggregator", &[], &[], "database"),
        (
            "phaseline-aggregator",
            &["--retention", "soon"],
            &[("PHASELINE_DATABASE_URL", "host=/x")],
            "soon",
        ),
        (
            "phaseline-aggregator",
            &["--no-such-flag"],
            &[],
            "--no-such-flag",
        ),
        (
            "phaseline-agent",
            &[],
            &[NOWHERE, ("PHASELINE_NATS_URL", "http://x y")],
            "http://x y",
        ),
        (
            "phaseline-agent",
            &[],
            &[NOWHERE, ("PHASELINE_OUTBOX_MAX", "lots")],
            "lots",
        ),
        (
            "phaseline-agent",
            &["--config", "/no/such/file.toml"],
            &[NOWHERE],
            "/no/such/file.toml",
        ),
        (
            "phaseline",
            &["up", "--listen", "nonsense"],
            &[NOWHERE],
            "nonsense",
        ),
    ];
    for (name, arguments, variables, named) in cases {
        let (code, _, stderr) = run(name, arguments, variables);
        assert_eq!(
            code,
            Some(64),
            "{name} {arguments:?} {variables:?}: {stderr}"
        );
        assert!(
            stderr.to_lowercase().contains(&named.to_lowercase()),
            "{name}: {stderr}"
        );
        assert!(!std::path::Path::new(NOWHERE.1).exists());
        assert!(
            !stderr.contains("panicked") && !stderr.contains("RUST_BACKTRACE"),
            "{stderr}"
        );
    }
}

#[test]
fn an_agent_takes_calls_on_loopback_addresses_only() {
    for (arguments, named) in [
        (
            ["--ingest", "127.0.0.1:8080, 192.0.2.7:8080"],
            "PHASELINE_INGEST is \"192.0.2.7:8080\", expected loopback addresses",
        ),
        (
            ["--ingest", "localhost"],
            "PHASELINE_INGEST is \"localhost\"",
        ),
        (
            ["--ingest", "127.0.0.1:0"],
            "PHASELINE_INGEST is \"127.0.0.1:0\"",
        ),
        (["--ingest-token-file", "/no/such/token"], "/no/such/token"),
        (["--ingest-token-file", "/dev/null"], "is not empty"),
    ] {
        let (code, _, stderr) = run("phaseline-agent", &arguments, &[NOWHERE]);
        assert_eq!(code, Some(64), "{arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
    assert!(!std::path::Path::new(NOWHERE.1).exists());
}

#[test]
fn help_and_version_answer_on_stdout() {
    for name in ["phaseline", "phaseline-agent", "phaseline-aggregator"] {
        let (code, stdout, _) = run(name, &["--help"], &[]);
        assert_eq!(code, Some(0), "{name}");
        assert!(
            stdout.contains("PHASELINE_") || stdout.contains("up"),
            "{stdout}"
        );
        let (code, stdout, _) = run(name, &["--version"], &[]);
        assert_eq!(code, Some(0), "{name}");
        assert!(stdout.contains(env!("CARGO_PKG_VERSION")), "{stdout}");
    }
}

#[test]
fn the_table_has_the_settings_of_all_programs_and_no_others() {
    let named = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let ours = words.filter(|word| word.starts_with("PHASELINE_"));
        ours.map(str::to_owned).collect()
    };
    let section = include_str!("../../../docs/settings.md");
    let mut known = BTreeSet::new();
    for (program, command) in [
        ("phaseline", Some("up")),
        ("phaseline", Some("demo")),
        ("phaseline", Some("check")),
        ("phaseline", Some("rebuild")),
        ("phaseline-agent", None),
        ("phaseline-aggregator", None),
    ] {
        let arguments: Vec<&str> = command.into_iter().chain(["--help"]).collect();
        let (code, stdout, _) = run(program, &arguments, &[]);
        assert_eq!(code, Some(0), "{program}");
        known.extend(named(&stdout));
    }
    assert_eq!(named(section), known);
}

#[test]
fn a_budget_that_cannot_be_meant_is_one_sentence_and_code_64() {
    let dir = harness::scratch::directory("budget");
    let file = dir.join("config.toml");
    let tables = "[[budget]]\nproject = \"shop\"\nusd = \"2.50\"\nper = \"day\"\n[[budget]]\nproject = \"docs\"\nusd = 2.5\nper = \"day\"\n";
    std::fs::write(&file, tables).unwrap();
    let path = file.to_str().unwrap();
    for (name, arguments) in [
        (
            "phaseline-aggregator",
            vec!["--config", path, "--database-url", "host=/x"],
        ),
        ("phaseline", vec!["up", "--config", path]),
    ] {
        let (code, _, stderr) = run(name, &arguments, &[NOWHERE]);
        assert_eq!(code, Some(64), "{name}: {stderr}");
        assert!(
            stderr.contains("budget 2: usd 2.5 cannot be used; expected [[budget]] with"),
            "{name}: {stderr}"
        );
        assert_eq!(stderr.trim_end().lines().count(), 1, "{name}: {stderr}");
    }
}

#[tokio::test]
async fn a_flag_beats_a_variable_and_a_variable_beats_the_file() {
    let mut system = System::start().await;
    let dir = harness::scratch::directory("config");
    let file = dir.join("agent.toml");
    std::fs::write(&file, "host = \"from-the-file\"\n").unwrap();
    let path = file.to_str().unwrap().to_owned();
    // The harness names the host by a variable, which must win over the file.
    system.agents.push(Agent::start_with(
        "from-the-variable",
        dir.into_os_string(),
        &system.nats,
        &[("PHASELINE_CONFIG", &path)],
    ));
    system.host_is("from-the-variable", "up").await;
    let known = system.api().host("from-the-file").await;
    assert!(known.is_err(), "{known:?}");
}

#[tokio::test]
async fn secrets_are_in_no_log_and_no_answer() {
    let mut system = System::start().await;
    let project = system.project("secret");
    project.phase(&fixtures::phase("secret", "Scout", "1/7", "researching"));
    system.build(&project, 1, |_| true).await;
    // A failing connection is where secrets are usually logged.
    system.nats.kill().await;
    system.nats.up().await;
    system.host_is(HOST, "up").await;
    let mut said = format!(
        "{}{}",
        system.agents[0].process.output(),
        system.aggregators[0].process.output()
    );
    for path in ["/metrics", "/readyz", "/system"] {
        said += &system.api().get(path).await.unwrap().body;
    }
    let files = [
        system.nats.agent_password_file(),
        system.nats.aggregator_password_file(),
        system.database.password_file(),
    ];
    for file in files {
        let secret = std::fs::read_to_string(file).unwrap();
        assert!(secret.trim().len() >= 16);
        assert!(!said.contains(secret.trim()), "a password was written down");
    }
}

#[tokio::test]
async fn migrate_and_healthcheck_work_by_themselves() {
    let system = System::bare().await;
    let password_file = system.database.password_file();
    let url = system.database.url();
    let variables = [
        ("PHASELINE_DATABASE_URL", url.as_str()),
        (
            "PHASELINE_DATABASE_PASSWORD_FILE",
            password_file.to_str().unwrap(),
        ),
    ];
    for round in 0..2 {
        let (code, _, stderr) = run("phaseline-aggregator", &["migrate"], &variables);
        assert_eq!(code, Some(0), "round {round}: {stderr}");
    }
    assert_eq!(
        system
            .database
            .number("SELECT count(*) FROM build")
            .await
            .unwrap(),
        0
    );
    // Every table and column says what it is for.
    let bare = system
        .database
        .number(
            "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace \
             AND a.attnum > 0 AND NOT a.attisdropped \
             AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)",
        )
        .await
        .unwrap();
    assert_eq!(bare, 0, "columns without a comment");
    let (code, _, _) = run(
        "phaseline-aggregator",
        &["healthcheck", "--listen", "127.0.0.1:1"],
        &[],
    );
    assert_eq!(code, Some(1), "nobody answers there");

    let started = System::start().await;
    let listen = started.aggregators[0].base().replace("http://", "");
    let (code, _, stderr) = run(
        "phaseline-aggregator",
        &["healthcheck", "--listen", &listen],
        &[],
    );
    assert_eq!(code, Some(0), "{stderr}");
}
