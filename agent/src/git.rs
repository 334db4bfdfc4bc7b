//! Branch and commit of a project's working tree, read from `.git` without
//! starting git, and only beneath the watched root. Unknown stays unknown: a
//! repository laid out in another way (reftable) gives no commit.

use std::path::{Component, Path, PathBuf};

use protocol::Git;

use crate::beneath::Beneath;

/// `.git` files, HEAD, loose refs and `commondir` hold one line; a path in it has at most 4,096 bytes.
const LINE_MAX: u64 = 4200;
/// Some 60,000 refs; a larger `packed-refs` is not searched.
const PACKED_MAX: u64 = 4 * 1024 * 1024;
/// Longest branch name that is passed on, bytes: a component of a path has at most 255, and names have few.
const BRANCH_MAX: usize = 1024;

/// Where the working tree around `project` stands; none when there is none up
/// to the root. `project` is relative to the root, whose absolute path is `root`.
pub(crate) fn of_project(beneath: &Beneath, root: &Path, project: &Path) -> Option<Git> {
    let (dot_git, is_dir) = project.ancestors().find_map(|dir| {
        let dot_git = dir.join(".git");
        beneath.is_dir(&dot_git).map(|is_dir| (dot_git, is_dir))
    })?;
    if is_dir {
        return read(beneath, root, &dot_git);
    }
    // A worktree or submodule: a file that names the directory.
    let line = line(beneath, &dot_git)?;
    let pointer = line.strip_prefix("gitdir:")?.trim();
    read(beneath, root, &follow(root, dot_git.parent()?, pointer)?)
}

/// Reads HEAD in a git directory (relative to the root) and resolves its ref.
fn read(beneath: &Beneath, root: &Path, git_dir: &Path) -> Option<Git> {
    let head = line(beneath, &git_dir.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return Some(Git {
            branch: None,
            commit: commit(&head),
        });
    };
    let branch = name
        .strip_prefix("refs/heads/")
        .filter(|branch| branch.len() <= BRANCH_MAX && *branch != ".invalid")
        .map(str::to_owned);
    // A worktree keeps its own HEAD, and shares the refs of its repository.
    let common = match line(beneath, &git_dir.join("commondir")) {
        Some(pointer) => follow(root, git_dir, &pointer)?,
        None => git_dir.to_owned(),
    };
    let is_plain = |part: Component| matches!(part, Component::Normal(_));
    if !Path::new(name).components().all(is_plain) {
        return Some(Git {
            branch,
            commit: None,
        });
    }
    let commit = line(beneath, &common.join(name))
        .and_then(|text| commit(&text))
        .or_else(|| packed(beneath, &common, name));
    Some(Git { branch, commit })
}

fn packed(beneath: &Beneath, common: &Path, name: &str) -> Option<String> {
    let file = beneath.read(&common.join("packed-refs"), PACKED_MAX).ok()?;
    let text = String::from_utf8_lossy(&file.bytes);
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, found)| *found == name)
        .and_then(|(id, _)| commit(id))
}

fn line(beneath: &Beneath, path: &Path) -> Option<String> {
    let file = beneath.read(path, LINE_MAX).ok()?;
    let text = std::str::from_utf8(&file.bytes).ok()?;
    let first = text.lines().next()?.trim();
    (!first.contains(char::is_control)).then(|| first.to_owned())
}

fn commit(text: &str) -> Option<String> {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (matches!(text.len(), 40 | 64) && text.bytes().all(hex)).then(|| text.to_owned())
}

/// A path that a file of git names, relative to the root. `..` is resolved by
/// name; none when the path leaves the root.
fn follow(root: &Path, base: &Path, pointer: &str) -> Option<PathBuf> {
    let pointer = Path::new(pointer);
    let path = if pointer.is_absolute() {
        pointer.strip_prefix(root).ok()?.to_owned()
    } else {
        base.join(pointer)
    };
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0c3571f0c3571f0c3571f0c3571f0c3571f00c35";
    const B: &str = "1c3571f0c3571f0c3571f0c3571f0c3571f00c35";

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(root: &Path, project: &str) -> Option<(Option<String>, Option<String>)> {
        let beneath = Beneath::open(root).unwrap();
        of_project(&beneath, root, Path::new(project)).map(|git| (git.branch, git.commit))
    }

    fn on(branch: &str, commit: &str) -> Option<(Option<String>, Option<String>)> {
        Some((Some(branch.to_owned()), Some(commit.to_owned())))
    }

    #[test]
    fn branch_and_commit_come_from_loose_then_packed_refs() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(git(root, "p"), None);
        write(root, "p/.git/HEAD", "ref: refs/heads/feature/x\n");
        assert_eq!(git(root, "p"), Some((Some("feature/x".into()), None)));
        let packed = format!("# pack-refs with: peeled\n{B} refs/heads/feature/x\n^{A}\n");
        write(root, "p/.git/packed-refs", &packed);
        assert_eq!(git(root, "p"), on("feature/x", B));
        write(root, "p/.git/refs/heads/feature/x", &format!("{A}\n"));
        assert_eq!(git(root, "p"), on("feature/x", A));
        assert_eq!(git(root, "p/sub/dir"), on("feature/x", A));
    }

    #[test]
    fn a_detached_head_has_no_branch() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), ".git/HEAD", &format!("{A}\n"));
        assert_eq!(git(dir.path(), ""), Some((None, Some(A.into()))));
    }

    #[test]
    fn a_worktree_is_followed_beneath_the_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let real = root.join("main/.git/worktrees/w");
        write(root, "main/.git/worktrees/w/HEAD", "ref: refs/heads/w\n");
        write(root, "main/.git/worktrees/w/commondir", "../..\n");
        write(root, "main/.git/refs/heads/w", A);
        write(root, "w/.git", &format!("gitdir: {}\n", real.display()));
        assert_eq!(git(root, "w"), on("w", A));
        write(root, "v/.git", "gitdir: ../main/.git/worktrees/w\n");
        assert_eq!(git(root, "v"), on("w", A));
        let narrow = root.join("v");
        assert_eq!(git(&narrow, ""), None, "its repository is outside");
    }

    #[test]
    fn a_ref_cannot_name_a_file_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "p/.git/HEAD", "ref: ../../secret\n");
        write(dir.path(), "secret", A);
        assert_eq!(git(dir.path(), "p"), Some((None, None)));
    }
}
