//! ADW's files: in the main tree and in worktrees, one build for one id.

use protocol::ProjectToken;
use serde_json::json;

use super::*;

const STATE: &str = "agents/3af4a34d/adw_state.json";
const TREE_STATE: &str = "trees/3af4a34d/agents/3af4a34d/adw_state.json";

#[test]
fn a_workflows_files_are_one_build_wherever_they_lie() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let project = dir.path().join("shop");
    write(&project, STATE, r#"{"adw_id":"3af4a34d"}"#);
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(1);
    write(
        &project,
        TREE_STATE,
        r#"{"adw_id":"3af4a34d","issue_number":"83"}"#,
    );
    write(
        &project.join("trees/3af4a34d"),
        ".git/HEAD",
        "ref: refs/heads/feature\n",
    );
    half.expect(2);
    write(
        &project,
        "agents/3af4a34d/completed_phases.json",
        r#"{"completed":[]}"#,
    );
    let events = half.expect(3);
    for event in &events {
        assert_eq!(event.producer, "adw");
        assert_eq!(event.project_token, ProjectToken::of_id("adw", "3af4a34d"));
        assert_eq!(
            (event.project.as_str(), event.path.as_str()),
            ("shop", "shop")
        );
    }
    assert_eq!(events[0].file, STATE);
    assert_eq!(events[1].file, TREE_STATE);
}

#[test]
fn the_branch_is_that_of_the_working_tree_that_the_file_is_in() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), ".git/HEAD", "ref: refs/heads/main\n");
    write(
        dir.path(),
        "trees/3af4a34d/.git/HEAD",
        "ref: refs/heads/feature\n",
    );
    write(dir.path(), STATE, r#"{"a":1}"#);
    write(dir.path(), TREE_STATE, r#"{"a":2}"#);
    let half = Half::start(state.path(), &[dir.path()]);
    let branch = |event: &Event| event.git.as_ref().and_then(|git| git.branch.clone());
    let mut branches: Vec<_> = half
        .expect(2)
        .iter()
        .map(|event| (event.file.clone(), branch(event).unwrap()))
        .collect();
    branches.sort();
    assert_eq!(
        branches,
        [
            (STATE.to_owned(), "main".to_owned()),
            (TREE_STATE.to_owned(), "feature".to_owned())
        ]
    );
}

#[test]
fn of_an_error_log_only_its_size_leaves_the_host() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), STATE, "{}");
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(1);
    write(dir.path(), "agents/3af4a34d/error.log", "token=secret\n");
    // Anybody's error.log is nobody's business.
    write(dir.path(), "agents/other/error.log", "nothing to see");
    let events = half.settle(dir.path(), 2);
    let document = events[1].document.as_ref().unwrap().get();
    assert_eq!(document, r#"{"bytes":13}"#);
    assert_eq!((events[1].size, events[1].kind), (13, EventKind::Content));
}

#[test]
fn a_workflow_deeper_than_the_deepest_walk_is_found_whole() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let deep: PathBuf = std::iter::repeat_n("d", 32).collect();
    let project = dir.path().join(deep);
    write(&project, TREE_STATE, "{}");
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(1);
    write(&project, STATE, r#"{"later":1}"#);
    half.expect(2);
}

#[test]
fn a_directory_of_dependencies_is_left_out_also_among_workflows() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), "agents/node_modules/adw_state.json", "{}");
    let half = Half::start(state.path(), &[dir.path()]);
    half.settle(dir.path(), 0);
}

#[test]
fn hooks_of_several_workflows_in_one_file_reach_each_of_them() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hook = |workflow: &str| {
        let line = json!({"event_type":"PreToolUse","workflow_id":format!("wf-{workflow}"),"tool_name":"Read","payload":{}});
        format!("{line}\n")
    };
    let person = r#"{"event_type":"Stop","session_id":"s"}"#;
    const HOOKS: &str = ".claude/logs/hook_events.jsonl";
    write(dir.path(), "quiet/.claude/logs/hook_events.jsonl", person);
    write(dir.path(), HOOKS, &(hook("a") + &hook("b") + &hook("a")));
    write(
        dir.path(),
        &format!("trees/3af4a34d/{HOOKS}"),
        &(hook("a") + person),
    );
    let half = Half::start(state.path(), &[dir.path()]);
    let mut told: Vec<_> = half
        .expect(3)
        .iter()
        .map(|event| {
            let digest: serde_json::Value = serde_json::from_str(document(event)).unwrap();
            (event.project_token, digest["events"].as_u64())
        })
        .collect();
    let of = |id: &str, events: u64| (ProjectToken::of_id("adw", id), Some(events));
    let mut expected = vec![of("a", 2), of("b", 1), of("3af4a34d", 2)];
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_log_that_is_held_open_tells_when_its_writer_ended() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(dir.path(), STATE, "{}");
    let log = dir
        .path()
        .join("agents/3af4a34d/adw_plan_iso/execution.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let half = Half::start(state.path(), &[dir.path()]);
    half.expect(1);
    // Written by another process, which is then killed: it has no chance to say anything.
    let mut script = std::process::Command::new("sh")
        .args(["-c", "exec 3>>\"$1\"; echo begun >&3; exec sleep 600", "sh"])
        .arg(&log)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let events = half.expect(3);
    assert_eq!(document(&events[1]), r#"{"bytes":6}"#);
    assert_eq!(document(&events[2]), r#"{"bytes":6,"held":true}"#);
    script.kill().unwrap();
    script.wait().unwrap();
    let closed = r#"{"bytes":6,"held":false}"#;
    assert_eq!(document(&half.expect(4)[3]), closed);
    drop(half);
    // The next agent knows that nobody has opened it since.
    let half = Half::start(state.path(), &[dir.path()]);
    let events = half.settle(dir.path(), 4);
    assert_eq!(document(&events[3]), closed);
    // Lines that are each written by a process of their own tell nothing of an end.
    drop(half);
    fs::remove_file(&log).unwrap();
    let half = Half::start(state.path(), &[dir.path()]);
    for line in 0..30 {
        let mut file = fs::File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
        drop(file);
        std::thread::park_timeout(Duration::from_millis(60));
    }
    let told = half.events();
    assert_eq!(document(told.last().unwrap()), r#"{"bytes":2}"#);
}
