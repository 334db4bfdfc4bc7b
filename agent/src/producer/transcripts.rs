//! Where transcripts are, as the configuration names it: a path with `*` in
//! its components and `**` for any few directories. Pure but for the home
//! directory.

use std::path::{Component, Path, PathBuf};

use super::Pattern;

/// Directories that `**` stands for at most; Claude Code uses one, its sub-agents' transcripts lie two deeper.
const MAX_BETWEEN: usize = 3;
/// Components before the first wildcard that a path must have too.
const FIXED: usize = 2;

/// Where transcripts are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transcripts {
    /// The directory that has them all; none when it is not said absolutely.
    pub(crate) root: Option<PathBuf>,
    /// Each way in which they may lie there.
    pub(crate) patterns: Vec<Pattern>,
}

impl Transcripts {
    /// Reads a place such as `~/.claude/projects/**/*.jsonl`.
    ///
    /// # Errors
    /// What is expected of it instead.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let expected = || "a path such as ~/.claude/projects/**/*.jsonl".to_owned();
        let path = match (text.strip_prefix("~/"), crate::settings::home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        };
        let names: Option<Vec<&str>> = path
            .components()
            .filter(|part| *part != Component::RootDir)
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let mut names = names.ok_or_else(expected)?;
        let last = names.pop().ok_or_else(expected)?;
        if last.matches('*').count() != 1 {
            return Err(format!("{}: its file must have one *", expected()));
        }
        let file = last.replace('*', "{id}");
        let wild = names.iter().position(|name| name.contains('*'));
        let wild = wild.unwrap_or(names.len());
        let root: PathBuf = Path::new("/").join(names[..wild].iter().collect::<PathBuf>());
        let begin = match path.is_absolute() {
            true => wild.saturating_sub(FIXED),
            false => 0,
        };
        let between = match names.iter().filter(|name| **name == "**").count() {
            0 => 0..=0,
            1 => 0..=MAX_BETWEEN,
            _ => return Err(format!("{}: ** at most once", expected())),
        };
        let pattern = |many: usize| {
            let each = names[begin..].iter().flat_map(|name| match *name {
                "**" => vec!["*"; many],
                name => vec![name],
            });
            let all: Vec<&str> = each.chain([file.as_str()]).collect();
            Pattern::parse(&all.join("/")).map_err(|error| format!("{}: {error}", expected()))
        };
        Ok(Self {
            root: path.is_absolute().then_some(root),
            patterns: between.map(pattern).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_becomes_a_root_and_patterns() {
        let place = Transcripts::read("/home/u/.claude/projects/**/*.jsonl").unwrap();
        assert_eq!(place.root, Some(PathBuf::from("/home/u/.claude/projects")));
        let fits = |path: &str| {
            let found = place
                .patterns
                .iter()
                .find_map(|p| p.matches(Path::new(path)));
            found.and_then(|found| found.id)
        };
        let session = Some("5f-1".to_owned());
        assert_eq!(
            fits("/home/u/.claude/projects/-srv-shop/5f-1.jsonl"),
            session
        );
        assert_eq!(fits("/home/u/.claude/projects/a/b/c/5f-1.jsonl"), session);
        assert_eq!(fits("/home/u/.claude/projects/a/b/c/d/5f-1.jsonl"), None);
        assert_eq!(fits("/home/u/other/5f-1.jsonl"), None);
        let relative = Transcripts::read("transcripts/*.jsonl").unwrap();
        assert_eq!((relative.root, relative.patterns.len()), (None, 1));
        for bad in [
            "",
            "/",
            "a/../*.jsonl",
            "/a/x.jsonl",
            "/a/**/b/**/*.jsonl",
            "/a/*x*.jsonl",
        ] {
            assert!(Transcripts::read(bad).is_err(), "{bad}");
        }
    }
}
