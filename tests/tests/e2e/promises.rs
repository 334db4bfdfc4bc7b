//! `docs/reliability.md` and `docs/producers.md` name the test that shows each
//! promise and each oddity: each is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where tests are, beside the code and from outside.
const CRATES: [&str; 7] = [
    "agent",
    "aggregator",
    "dashboard",
    "ingest",
    "protocol",
    "standalone",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The text of every program and test of ours.
fn code() -> String {
    let mut code = String::new();
    for name in CRATES {
        for dir in ["src", "tests"] {
            let dir = root().join(name).join(dir);
            if dir.is_dir() {
                sources(&dir, &mut code);
            }
        }
    }
    code
}

/// Names of tests in a text: they are sentences, other names are shorter.
fn named(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|name| name.matches('_').count() >= 4)
        .collect()
}

/// Whether a function of this name is a test: the attribute stands above it.
fn is_test(code: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let mut places = code.match_indices(&function);
    places.any(|(at, _)| {
        let above = code[..at].rsplit("\n\n").next().unwrap_or_default();
        above.contains("#[test]") || above.contains("#[tokio::test")
    })
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let code = code();
    let promises = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let named = named(&promises);
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(is_test(&code, name), "no test is called {name}");
    }
}

#[test]
fn every_oddity_of_a_producer_names_a_test_that_exists() {
    let code = code();
    let oddities = fs::read_to_string(root().join("docs/producers.md")).unwrap();
    let mut listed = 0;
    for line in oddities.lines() {
        // One line each, so that none hides behind the test of another.
        assert!(!line.starts_with([' ', '*', '+', '|']), "{line}");
        if !line.starts_with("- ") {
            continue;
        }
        listed += 1;
        let named = named(line);
        assert!(!named.is_empty(), "it names no test: {line}");
        for name in named {
            assert!(is_test(&code, name), "no test is called {name}");
        }
    }
    assert!(listed > 80, "{listed} oddities");
}
