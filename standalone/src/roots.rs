//! Watched directories that cannot be looked into: said once more after the
//! `ready` line, because what was said before it has scrolled away.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One sentence for each directory that is not there or not to be read, with what to do.
#[must_use]
pub fn in_doubt(watch: &[PathBuf]) -> Vec<String> {
    watch.iter().filter_map(|root| doubt(root)).collect()
}

fn doubt(root: &Path) -> Option<String> {
    let shown = root.display();
    let error = std::fs::read_dir(root).err()?;
    Some(match error.kind() {
        ErrorKind::NotFound => format!(
            "{shown} does not exist, so no build is seen in it yet: make it, which is noticed at once, or name another directory with WATCH=dir (--watch)"
        ),
        ErrorKind::NotADirectory => format!(
            "{shown} is no directory, so no build is seen in it: name the directory that your projects are in with WATCH=dir (--watch)"
        ),
        _ => format!(
            "{shown} cannot be read, so no build is seen in it ({error}): let the user of this program read it, or name another directory with WATCH=dir (--watch)"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_no_directory_is_one_sentence_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, file) = (dir.path().join("missing"), dir.path().join("file"));
        std::fs::write(&file, "").unwrap();
        let said = in_doubt(&[dir.path().to_owned(), missing.clone(), file.clone()]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with(&format!("{} does not exist", missing.display())));
        assert!(said[1].starts_with(&format!("{} is no directory", file.display())));
        assert!(
            said.iter().all(|line| line.contains("WATCH=dir")),
            "{said:?}"
        );
    }
}
