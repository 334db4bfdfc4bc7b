//! Hostile state files: each is a row with its content, or flagged as
//! unreadable on its build; the agent sends nothing that is refused later.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use harness::db::EventRow;
use harness::fixtures;
use harness::system::{HOST, System};
use harness::wait::eventually;
use harness::writer::{PHASE, Project};
use serde_json::{Value, json};

use super::others::meanwhile_beside;
use crate::hostile::nasty;

/// What a file holds, and what must become of it.
enum Hostile {
    /// JSON that is an object: a row that says the same, as `serde_json` reads it.
    Row(Vec<u8>),
    /// JSON whose value has to be told in another way: a row.
    Told(Vec<u8>),
    /// Nothing that can be read: flagged.
    Flag(Vec<u8>),
    /// In place of the file.
    Link,
    Pipe,
    Directory,
}

const KEYS: [&str; 12] = [
    "session_id",
    "current_phase",
    "phase_number",
    "status",
    "progress_detail",
    "test_iteration",
    "phases_completed",
    "started_at",
    "last_updated",
    "error",
    "__proto__",
    "cost_usd",
];

/// At least five hundred of them.
fn all() -> Vec<Hostile> {
    let good = fixtures::phase("hostile", "Scout", "1/7", "researching");
    let text = good.to_string();
    let mut all = vec![Hostile::Link, Hostile::Pipe, Hostile::Directory];
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!([]),
        json!([null, [1], {"a": "<blink>"}]),
        json!({"toString": "x", "__proto__": {"polluted": true}}),
    ];
    let texts = nasty().into_iter().map(Value::from);
    for value in odd.into_iter().chain(texts) {
        // U+0000 is told as U+FFFD.
        let zero = value.as_str().is_some_and(|text| text.contains('\0'));
        for key in KEYS {
            let mut file = good.clone();
            file[key] = value.clone();
            let bytes = file.to_string().into_bytes();
            all.push(if zero {
                Hostile::Told(bytes)
            } else {
                Hostile::Row(bytes)
            });
        }
    }
    // Cut anywhere, and with a byte anywhere that no JSON has.
    for at in (0..text.len()).step_by(2) {
        all.push(Hostile::Flag(text.as_bytes()[..at].to_vec()));
        let mut bytes = text.clone().into_bytes();
        bytes[at] = 0xff;
        all.push(Hostile::Flag(bytes));
    }
    all.extend(extremes(&text));
    all
}

/// Long, deep, in other encodings, and what is JSON but no state.
fn extremes(text: &str) -> Vec<Hostile> {
    let row = |value: &Value| Hostile::Row(value.to_string().into_bytes());
    let mut all = Vec::new();
    let nested = |depth: usize| format!("{{\"n\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let many: BTreeMap<String, u64> = (0..20_000).map(|n| (format!("key {n}"), n)).collect();
    all.push(row(&json!(many)));
    all.push(row(&json!({ "list": vec![0; 200_000] })));
    all.push(Hostile::Row(nested(60).into_bytes()));
    all.push(Hostile::Flag(nested(70).into_bytes()));
    all.push(Hostile::Flag(nested(100_000).into_bytes()));
    all.push(Hostile::Flag(
        format!("{{\"x\":\"{}\"}}", "x".repeat(1024 * 1024)).into_bytes(),
    ));
    all.push(Hostile::Row(
        format!("\u{feff}{text}").into_bytes()[3..].to_vec(),
    ));
    all.push(Hostile::Told(format!("\u{feff}{text}").into_bytes()));
    all.push(Hostile::Flag(
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ));
    all.push(Hostile::Flag(vec![0; 4096]));
    all.push(Hostile::Flag(format!("{text}{text}").into_bytes()));
    for odd in [
        "{\"a\":NaN}",
        "{'a':1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{a:1}",
        "// x\n{}",
        "{\"a\":+1}",
    ] {
        all.push(Hostile::Flag(odd.as_bytes().to_vec()));
    }
    // JSON, but no state: told as it is.
    for odd in [
        "null",
        "7",
        "\"text\"",
        "[1]",
        "true",
        "{\"a\":1e131072}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":18446744073709551617}",
    ] {
        all.push(Hostile::Told(odd.as_bytes().to_vec()));
    }
    all
}

fn put(project: &Project, hostile: &Hostile) {
    let file = project.file(PHASE);
    match hostile {
        Hostile::Row(bytes) | Hostile::Told(bytes) | Hostile::Flag(bytes) => {
            fs::write(file, bytes).unwrap();
        }
        Hostile::Link => symlink("/etc/passwd", file).unwrap(),
        Hostile::Pipe => assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
        Hostile::Directory => fs::create_dir(file).unwrap(),
    }
}

/// The newest row of a project is what its file must become.
fn is_accounted_for(hostile: &Hostile, row: Option<&EventRow>) -> Result<&'static str, String> {
    let row = row.ok_or("no row")?;
    let told = |why: &str| Err(format!("{why}: {} {:?}", row.kind, row.document));
    match hostile {
        Hostile::Row(bytes) => {
            let value: Value = serde_json::from_slice(bytes).unwrap();
            if row.kind == "content" && row.document.as_ref() == Some(&value) {
                Ok("row")
            } else {
                told("not what the file says")
            }
        }
        Hostile::Told(_) if row.kind == "content" => Ok("row"),
        Hostile::Flag(_) | Hostile::Link | Hostile::Pipe | Hostile::Directory
            if row.kind == "unreadable" =>
        {
            Ok("flag")
        }
        _ => told("not of this kind"),
    }
}

#[tokio::test]
async fn five_hundred_hostile_files_are_each_a_row_or_a_flag_and_hold_up_nobody() {
    let mut system = System::start().await;
    let files = all();
    assert!(files.len() >= 500, "{}", files.len());
    let projects: Vec<Project> = (0..files.len())
        .map(|n| system.project(&format!("hostile-{n}")))
        .collect();
    let work = async {
        for (project, hostile) in projects.iter().zip(&files) {
            put(project, hostile);
            tokio::task::yield_now().await;
        }
        eventually("every file is accounted for", async || {
            let rows = system.database.events().await?;
            let newest: BTreeMap<&str, &EventRow> =
                rows.iter().map(|row| (row.project.as_str(), row)).collect();
            let mut fates: BTreeMap<&str, usize> = BTreeMap::new();
            for (project, hostile) in projects.iter().zip(&files) {
                let row = newest.get(project.token().to_string().as_str()).copied();
                let fate = is_accounted_for(hostile, row)
                    .map_err(|why| format!("{}: {why}", project.name()))?;
                *fates.entry(fate).or_default() += 1;
            }
            Ok(fates)
        })
        .await
    };
    let (fates, noticed) = meanwhile_beside(&system, work).await;
    eprintln!(
        "hostile files: {}, lost {}, {fates:?}; of {} good events meanwhile the slowest took {} ms",
        files.len(),
        files.len() - fates.values().sum::<usize>(),
        noticed.events,
        noticed.longest.as_millis()
    );
    flags_are_shown(&system, &projects, &files).await;
    let letters = "SELECT count(*) FROM dead_letter";
    assert_eq!(
        system.database.number(letters).await,
        Ok(0),
        "the agent sends nothing that is refused"
    );
    assert!(noticed.events > 0, "the others were held up");
    assert!(system.agents[0].process.ended().is_none());
    assert!(system.aggregators[0].process.ended().is_none());
}

/// Each flagged build says why, and no page is broken by any of them.
async fn flags_are_shown(system: &System, projects: &[Project], files: &[Hostile]) {
    let api = system.api();
    let builds = api.builds().await.unwrap();
    let flagged = projects
        .iter()
        .zip(files)
        .filter(|(_, hostile)| !matches!(hostile, Hostile::Row(_) | Hostile::Told(_)));
    for (project, _) in flagged {
        let id = project.build_id(HOST, 1);
        let build = builds.iter().find(|build| build.id == id).expect("a build");
        let reason = build.state_reason.as_deref().unwrap_or_default();
        assert!(reason.contains("cannot be read"), "{id}: {reason}");
    }
    for page in ["/", "/history", "/hosts", "/system"] {
        let answer = api.get(page).await.unwrap();
        assert_eq!(answer.status, 200, "{page}");
        assert!(!answer.body.contains("<script>alert"), "{page}");
    }
}
