//! Whose a file is, by its path and what lies beside it.

use super::*;

fn spec(root: &str, path: &str) -> Option<Spec> {
    Producers::built_in().spec(Path::new(root), Path::new(path))
}

#[test]
fn a_file_is_known_by_its_name_and_its_directories() {
    let role = |path: &str| spec("/p", path).map(|spec| spec.source.role);
    assert_eq!(
        role("/p/.context-foundry/current-phase.json"),
        Some(Role::Phase)
    );
    assert_eq!(
        role("/p/.context-foundry/session-summary.json"),
        Some(Role::Summary)
    );
    assert_eq!(role("/p/agents/1f/adw_state.json"), Some(Role::Part));
    assert_eq!(role("/p/current-phase.json"), None);
    assert_eq!(role("/p/.context-foundry/other.json"), None);
    assert_eq!(role("/p/agents/adw_state.json"), None);
    assert_eq!(role("/"), None);
}

#[test]
fn one_workflow_is_one_build_in_the_main_tree_and_in_its_worktree() {
    let main = spec("/r", "/r/p/agents/1f/adw_state.json").unwrap();
    let tree = spec("/r", "/r/p/trees/1f/agents/1f/adw_state.json").unwrap();
    assert_eq!(main.token(), tree.token());
    assert_eq!(main.token(), ProjectToken::of_id("adw", "1f"));
    assert_eq!(main.project, Path::new("/r/p"));
    assert_eq!(tree.project, Path::new("/r/p"));
    assert_eq!(tree.file, Path::new("trees/1f/agents/1f/adw_state.json"));
    assert_eq!(main.tree(), Path::new("/r/p"));
    assert_eq!(tree.tree(), Path::new("/r/p/trees/1f"));
    // Another workflow's files that were checked out into the worktree are that workflow's.
    let other = spec("/r", "/r/p/trees/1f/agents/2e/adw_state.json").unwrap();
    assert_eq!(other.token(), ProjectToken::of_id("adw", "2e"));
}

#[test]
fn a_root_inside_a_project_is_a_project() {
    let tree = spec("/r/p/trees/1f", "/r/p/trees/1f/agents/1f/adw_state.json").unwrap();
    assert_eq!(tree.project, Path::new("/r/p/trees/1f"));
    assert_eq!(tree.token(), ProjectToken::of_id("adw", "1f"));
    let own = spec(
        "/p/.context-foundry",
        "/p/.context-foundry/current-phase.json",
    )
    .unwrap();
    assert_eq!(own.token(), ProjectToken::of(Path::new("/p")));
}

#[test]
fn directories_on_the_way_are_known_and_only_hidden_ones_are_owned() {
    let all = Producers::built_in();
    assert_eq!(all.leads(Path::new("/p/trees/1f/agents/1f")), Some(4));
    assert_eq!(all.leads(Path::new("/p/agents")), Some(1));
    assert_eq!(all.leads(Path::new("/p/src")), None);
    assert!(all.owns(Path::new("/p/.context-foundry")));
    assert!(!all.owns(Path::new("/p/agents")));
}

#[test]
fn texts_and_what_is_told_elsewhere_are_nobodys_files() {
    for path in [
        // The same once more, as a list, when the agent has ended.
        "/p/agents/1f/ops/raw_output.json",
        "/p/agents/1f/ops/prompts/plan.txt",
        "/p/.context-foundry/scout-report.md",
        "/p/.context-foundry/current-phase.json.tmp",
        "/p/.context-foundry/builder-logs/task-1.log",
        "/p/checkpoints/ralph/shop_1/notes.md",
    ] {
        assert_eq!(spec("/p", path).map(|spec| spec.file), None, "{path}");
    }
}

#[test]
fn an_error_log_is_a_workflows_only_beside_its_state() {
    let spec = spec("/p", "/p/agents/1f/error.log").unwrap();
    assert_eq!(spec.source.format, Format::Text);
    let beside = |source: &Source, file: &str, there: &str| {
        source.is_accompanied(|path| path == Path::new(there), Path::new(file))
    };
    let (log, state) = ("agents/1f/error.log", "agents/1f/adw_state.json");
    assert!(beside(&spec.source, log, state) && !beside(&spec.source, log, "x"));
    let (log, spec) = (
        "agents/1f/adw_plan_iso/execution.log",
        self::spec("/p", "/p/agents/1f/ops/execution.log").unwrap(),
    );
    assert!(beside(&spec.source, log, state) && !beside(&spec.source, log, "adw_state.json"));
}
