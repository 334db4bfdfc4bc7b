//! An ADW workflow: writes its files as the orchestrator does, in place and
//! indented, read, changed and written by several programs in turn.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::ProjectToken;
use serde_json::{Value, json};

use crate::writer::{Manner, write};

/// The phases of a whole workflow, in order.
pub const PHASES: [&str; 10] = [
    "Plan", "Validate", "Build", "Lint", "Test", "Review", "Document", "Ship", "Cleanup", "Verify",
];

/// Where a workflow keeps its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// The project's own tree.
    Main,
    /// `trees/<adw_id>`, a worktree in it.
    Work,
}

/// A workflow in a project.
#[derive(Debug)]
pub struct Workflow {
    project: PathBuf,
    id: String,
}

impl Workflow {
    /// Begins one: its directory in the main tree is made.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn begin(project: &Path, id: &str) -> Self {
        let workflow = Self {
            project: project.to_owned(),
            id: id.to_owned(),
        };
        fs::create_dir_all(workflow.dir(Tree::Main)).expect("the workflow's directory");
        workflow
    }

    /// Makes its worktree with a branch of its own, as `git worktree add` does.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn add_tree(&self, branch: &str) {
        let git = self.project.join(".git/worktrees").join(&self.id);
        fs::create_dir_all(&git).expect("the repository");
        fs::write(git.join("HEAD"), format!("ref: refs/heads/{branch}\n")).expect("its HEAD");
        fs::write(git.join("commondir"), "../..\n").expect("its pointer");
        fs::create_dir_all(self.dir(Tree::Work)).expect("the worktree");
        let pointer = format!("gitdir: {}\n", git.display());
        fs::write(self.tree().join(".git"), pointer).expect("the pointer to it");
    }

    /// Removes its worktree, as `git worktree remove` does.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn remove_tree(&self) {
        fs::remove_dir_all(self.tree()).expect("the worktree is removed");
    }

    /// The id of its n-th build on `host`.
    #[must_use]
    pub fn build_id(&self, host: &str, run: u32) -> String {
        protocol::subject::build_id(host, ProjectToken::of_id("adw", &self.id), run)
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self, tree: Tree) -> PathBuf {
        let top = match tree {
            Tree::Main => self.project.clone(),
            Tree::Work => self.tree(),
        };
        top.join("agents").join(&self.id)
    }

    /// Adds members to its state file: read, changed and written in place.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn state(&self, tree: Tree, members: &Value) {
        let file = self.dir(tree).join("adw_state.json");
        let known = fs::read(&file).ok();
        let known = known.and_then(|text| serde_json::from_slice(&text).ok());
        let mut state = known.unwrap_or_else(|| json!({"adw_id": self.id}));
        if let (Some(state), Some(members)) = (state.as_object_mut(), members.as_object()) {
            state.extend(members.clone());
        }
        put(&file, &state);
    }

    /// Writes which phases are completed, and which one runs.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn phases(&self, tree: Tree, completed: &[&str], current: Option<&str>) {
        let list = json!({
            "completed": completed, "current": current, "last_updated": "2025-12-10T10:33:03.064774"
        });
        put(&self.dir(tree).join("completed_phases.json"), &list);
    }

    /// Writes what went wrong.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn error_log(&self, tree: Tree, text: &str) {
        let file = self.dir(tree).join("error.log");
        write(&file, text.as_bytes(), Manner::InPlace).expect("the error log");
    }

    fn tree(&self) -> PathBuf {
        self.project.join("trees").join(&self.id)
    }
}

/// What a new workflow's state file holds beside its id.
#[must_use]
pub fn planned(issue: &str, branch: &str) -> Value {
    json!({
        "issue_number": issue, "issue_class": "/feature", "branch_name": branch,
        "plan_file": format!("specs/issue-{issue}.md"), "backend_port": 9108, "frontend_port": 9208,
        "model_set": "base", "all_adws": ["adw_sdlc_complete_iso"],
        "workflow_template": "adw_sdlc_complete_iso",
        "estimated_cost_total": 0.45, "estimated_cost_breakdown": {"plan": 0.15, "build": 0.3},
        "status": null
    })
}

fn put(file: &Path, document: &Value) {
    let text = serde_json::to_vec_pretty(document).expect("JSON");
    write(file, &text, Manner::InPlace).expect("the workflow's file");
}
