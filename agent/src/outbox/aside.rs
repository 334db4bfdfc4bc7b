//! A database that cannot be believed is renamed, so that a person can look at
//! it, and that is an alarm: what was not sent yet is in it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::now_ms;
use super::store::StoreError;
use crate::board::Board;

/// Those that are kept, the newest ones: each may be as large as the outbox itself.
const KEPT: usize = 3;
/// What begins the name of each.
const MARK: &str = "outbox.corrupt-";

/// Renames the database with its two companions.
pub(super) fn set_aside(path: &Path, cause: &StoreError, board: &Board) {
    let name = format!("{MARK}{}", now_ms());
    let aside = path.with_file_name(&name);
    for ending in ["", "-wal", "-shm"] {
        if let Err(error) = fs::rename(with(path, ending), with(&aside, ending))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(path = %path.display(), %error, "failed to set the damaged outbox aside");
        }
    }
    tracing::error!(path = %aside.display(), error = %cause, "outbox was damaged and is set aside; events that were not sent are in it");
    board.alarm(format!(
        "the outbox was damaged and is set aside as {name}; every file was read again, older states that were not sent are lost"
    ));
    if let Err(error) = drop_oldest(path) {
        tracing::warn!(path = %path.display(), %error, "failed to remove older damaged outboxes");
    }
}

/// There should be one, and there is none.
pub(super) fn missed(path: &Path, board: &Board) {
    tracing::error!(path = %path.display(), "the outbox is gone or empty, and is begun anew");
    board.alarm(
        "the outbox was gone and is begun anew; every file was read again, older states that were not sent are lost"
            .to_owned(),
    );
}

/// What was written last is missing from it.
pub(super) fn shortened(path: &Path, reason: &str, board: &Board) {
    tracing::error!(path = %path.display(), reason, "the newest part of the outbox was damaged");
    board.alarm(
        "the newest part of the outbox was damaged; every file was read again, older states that were not sent are lost"
            .to_owned(),
    );
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn drop_oldest(path: &Path) -> io::Result<()> {
    let mut found: Vec<OsString> = fs::read_dir(path.parent().unwrap_or(path))?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|name| {
            let name = name.to_string_lossy();
            let number = name.strip_prefix(MARK);
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    // Milliseconds of equal length: by name is by age.
    found.sort_unstable();
    let old = found.len().saturating_sub(KEPT);
    for name in &found[..old] {
        for ending in ["", "-wal", "-shm"] {
            match fs::remove_file(with(&path.with_file_name(name), ending)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
