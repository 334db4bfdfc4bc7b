//! What is refused is refused in one sentence, with its code, and leaves nothing behind.

use crate::settings::{NOWHERE, run};

/// An address of the block for documentation (RFC 5737): no machine's.
const OTHERS: &str = "192.0.2.1:18082";

#[test]
fn a_refused_start_says_why_and_leaves_nothing_behind() {
    let dir = harness::scratch::directory("refused");
    let file = dir.join("file");
    std::fs::write(&file, "somebody's").unwrap();
    let (file, inside) = (file.to_str().unwrap(), dir.join("file/inside"));
    let (inside, new) = (inside.to_str().unwrap(), dir.join("new/state"));
    let new = new.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fn up<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["up", "--listen", "127.0.0.1:0"], more].concat()
    }
    // Program, arguments, exit code, and what the sentence must name.
    let cases: Vec<(&str, Vec<&str>, i32, &str)> = vec![
        ("phaseline-agent", vec!["--state-dir", file], 64, file),
        ("phaseline-agent", vec!["--state-dir", inside], 64, file),
        (
            "phaseline-agent",
            vec!["--state-dir", "/proc/self/x"],
            64,
            "/proc/self",
        ),
        ("phaseline", up(&["--state-dir", file]), 64, file),
        (
            "phaseline",
            up(&["--state-dir", new, "--postgres-bin", "/usr/share"]),
            64,
            "/usr/share",
        ),
        (
            "phaseline",
            up(&["--state-dir", new, "--nats-server", file]),
            64,
            file,
        ),
        (
            "phaseline",
            vec!["up", "--state-dir", new, "--listen", &taken],
            1,
            "in use",
        ),
        (
            "phaseline",
            vec!["up", "--state-dir", new, "--listen", OTHERS],
            1,
            "this machine has no address 192.0.2.1",
        ),
        (
            "phaseline-aggregator",
            vec!["--database-url", "host=/x", "--listen", OTHERS],
            1,
            "this machine has no such address",
        ),
        (
            "phaseline",
            vec!["rebuild", "--state-dir", new],
            64,
            "holds no data",
        ),
    ];
    for (name, arguments, expected, named) in cases {
        let (code, _, stderr) = run(name, &arguments, &[]);
        assert_eq!(code, Some(expected), "{name} {arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{name} {arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{name} {arguments:?}: {stderr}");
        let left: Vec<_> = std::fs::read_dir(&dir).unwrap().collect();
        assert_eq!(left.len(), 1, "{name} {arguments:?} left {left:?}");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "somebody's");
}

#[test]
fn a_state_directory_that_postgres_cannot_reach_is_refused_and_not_made() {
    use std::os::unix::fs::PermissionsExt as _;
    // Who is not root runs Postgres as himself.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let private = harness::scratch::directory("private");
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let inside = private.join("a/state");
    let arguments = ["up", "--listen", "127.0.0.1:0", "--state-dir"];
    let arguments = [&arguments[..], &[inside.to_str().unwrap()]].concat();
    let (code, _, stderr) = run("phaseline", &arguments, &[]);
    assert_eq!(code, Some(64), "{stderr}");
    assert!(
        stderr.contains("cannot be entered by the user that Postgres runs as"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(std::fs::read_dir(&private).unwrap().count(), 0);
}

#[test]
fn an_empty_flag_is_a_mistake_and_an_empty_variable_is_none() {
    let nothing = [
        ("PHASELINE_CONFIG", ""),
        ("PHASELINE_WATCH", ""),
        ("PHASELINE_HOST", ""),
        NOWHERE,
    ];
    // The bad value behind the empty one says that the empty one was passed over, or not.
    for (name, arguments, named) in [
        ("phaseline", &["up", "--watch", ""][..], "--watch"),
        ("phaseline", &["up", "--host", ""], "--host"),
        ("phaseline", &["up", "--host", " "], "PHASELINE_HOST"),
        ("phaseline", &["up", "--nonsense"], "--nonsense"),
        ("phaseline", &["up", "--listen", "x"], "PHASELINE_LISTEN"),
        ("phaseline", &["rebuild", "--log", "=,="], "PHASELINE_LOG"),
        ("phaseline-agent", &["--host", ""], "--host"),
        ("phaseline-agent", &["--state-dir", ""], "--state-dir"),
        ("phaseline-agent", &["--texts", "x"], "PHASELINE_TEXTS"),
        ("phaseline-aggregator", &["--nonsense"], "--nonsense"),
    ] {
        let (code, _, stderr) = run(name, arguments, &nothing);
        assert_eq!(code, Some(64), "{name} {arguments:?}: {stderr}");
        assert!(stderr.contains(named), "{name} {arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{name} {arguments:?}: {stderr}");
    }
    assert!(!std::path::Path::new(NOWHERE.1).exists());
}

#[test]
fn a_bad_line_of_the_file_is_named_by_its_number() {
    let file = harness::scratch::directory("config").join("phaseline.toml");
    let path = file.to_str().unwrap();
    for (text, named) in [
        (
            "# ours\nlog = \"info\"\nlsten = \"x\"\n",
            "line 3: unknown field `lsten`",
        ),
        ("log = 1\n", "line 1: "),
        ("log = \"info\"\nhost = [\n", "line "),
    ] {
        std::fs::write(&file, text).unwrap();
        for (name, arguments) in [
            ("phaseline-agent", vec!["--config", path]),
            ("phaseline-aggregator", vec!["--config", path]),
            ("phaseline", vec!["up", "--config", path]),
        ] {
            let (code, _, stderr) = run(name, &arguments, &[NOWHERE]);
            assert_eq!(code, Some(64), "{name}: {stderr}");
            assert!(stderr.contains(named), "{name}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{name}: {stderr}");
        }
    }
}
