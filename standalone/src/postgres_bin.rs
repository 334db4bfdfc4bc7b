//! Finding the server binaries of Postgres. Debian keeps them off `PATH`, and
//! several versions may be installed; data can only be opened by its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::version;

/// The oldest major version with all that the schema and the writer use.
const OLDEST_MAJOR: u32 = 14;

/// A directory with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BinDir {
    pub(crate) dir: PathBuf,
    pub(crate) major: u32,
}

/// The first suitable directory: the given one only, or `pg_config --bindir`,
/// the versioned directories of Debian and Red Hat (newest first), `PATH`.
/// `wanted` is the major version of existing data.
pub(crate) async fn find(given: Option<&Path>, wanted: Option<u32>) -> Result<BinDir> {
    let candidates = match given {
        Some(dir) => vec![dir.to_owned()],
        None => candidates().await,
    };
    let mut found = Vec::new();
    for dir in candidates {
        if !dir.join("postgres").is_file() || !dir.join("initdb").is_file() {
            continue;
        }
        let Ok(version) = version::of(&dir.join("postgres")).await else {
            continue;
        };
        found.push(BinDir {
            dir,
            major: version.major,
        });
    }
    choose(found, wanted, given)
}

fn choose(found: Vec<BinDir>, wanted: Option<u32>, given: Option<&Path>) -> Result<BinDir> {
    let seen: Vec<String> = found
        .iter()
        .map(|bin| format!("{} in {}", bin.major, bin.dir.display()))
        .collect();
    let fits = |bin: &BinDir| match wanted {
        Some(major) => bin.major == major,
        None => bin.major >= OLDEST_MAJOR,
    };
    if let Some(bin) = found.into_iter().find(fits) {
        return Ok(bin);
    }
    let seen = match (seen.is_empty(), given) {
        (true, Some(dir)) => format!("none in {}", dir.display()),
        (true, None) => "none".to_owned(),
        (false, _) => seen.join(", "),
    };
    let needed = match wanted {
        Some(major) => format!(
            "Postgres {major}, which the existing data belongs to (found: {seen}). Install that version, or dump the data with it and restore it into a new state directory"
        ),
        None => format!(
            "Postgres {OLDEST_MAJOR} or newer (found: {seen}). On Debian and Ubuntu `apt-get install postgresql` has it; or name its directory with --postgres-bin (PHASELINE_POSTGRES_BIN)"
        ),
    };
    bail!("failed to find the server binaries of {needed}")
}

async fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let config = tokio::process::Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    if let Ok(output) = config
        && output.status.success()
    {
        let text = String::from_utf8_lossy(&output.stdout);
        dirs.push(PathBuf::from(text.trim_end()));
    }
    dirs.extend(versioned(Path::new("/usr/lib/postgresql"), |name| {
        Some(PathBuf::from(name))
    }));
    dirs.extend(versioned(Path::new("/usr"), |name| {
        name.starts_with("pgsql-").then(|| PathBuf::from(name))
    }));
    let path = std::env::var_os("PATH").unwrap_or_default();
    dirs.extend(std::env::split_paths(&path));
    let mut seen = std::collections::HashSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

/// `<base>/<name>/bin` for each accepted name, the highest version first.
fn versioned(base: &Path, accept: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(base) else {
        return Vec::new();
    };
    let mut dirs: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let accepted = accept(&name)?;
            Some((
                version::parse(&name)?.major,
                base.join(accepted).join("bin"),
            ))
        })
        .collect();
    dirs.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    dirs.into_iter().map(|(_, dir)| dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(major: u32) -> BinDir {
        BinDir {
            dir: format!("/pg/{major}/bin").into(),
            major,
        }
    }

    #[test]
    fn data_is_opened_by_its_own_version() {
        let found = || vec![bin(17), bin(15)];
        assert_eq!(choose(found(), None, None).unwrap().major, 17);
        assert_eq!(choose(found(), Some(15), None).unwrap().major, 15);
        let error = choose(found(), Some(16), None).unwrap_err().to_string();
        assert!(
            error.contains("Postgres 16") && error.contains("17 in"),
            "{error}"
        );
        assert!(choose(vec![bin(13)], None, None).is_err());
    }

    #[test]
    fn versioned_directories_are_tried_newest_first() {
        let base = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "17", "notes"] {
            std::fs::create_dir(base.path().join(name)).unwrap();
        }
        let dirs = versioned(base.path(), |name| Some(name.into()));
        let expected: Vec<_> = ["17", "15", "9.6"]
            .iter()
            .map(|name| base.path().join(name).join("bin"))
            .collect();
        assert_eq!(dirs, expected);
    }
}
