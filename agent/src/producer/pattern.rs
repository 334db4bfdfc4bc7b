//! A file's place relative to a project: components with `*` for any text and
//! `{id}` for the producer's own id. Matched against the end of a path, so that
//! the project's directory is what stands before it. Pure.

use std::ffi::OsStr;
use std::fmt;
use std::iter;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Stands for the producer's own id; where it stands twice, both are equal.
const ID: &str = "{id}";

/// Such a place: at least one component, the last is the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This very name.
    Name(String),
    /// Some text between a beginning and an end.
    Some {
        before: String,
        after: String,
        /// The text is the producer's own id.
        id: bool,
    },
    /// Texts between several pieces, of which the first begins and the last ends the name.
    Several(Vec<String>),
}

/// A path that fits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The producer's own id, where the pattern has one.
    pub(crate) id: Option<String>,
}

/// Why a text is no pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPattern {
    /// Empty, absolute, or with a component that is empty, `.` or `..`.
    #[error("it must be a relative path of plain names")]
    NotRelative,
    /// A component with `{id}` and another wildcard: it could be cut in several ways.
    #[error("{0:?} has more than one of * and {{id}}")]
    TwoInOne(String),
    /// What other tools read as a pattern and is none here.
    #[error("{0:?} is no name: only * and {{id}} stand for any text, each within one component")]
    OtherPattern(String),
}

impl Pattern {
    /// Reads a pattern such as `agents/{id}/*/raw_output.jsonl`.
    ///
    /// # Errors
    /// See [`BadPattern`].
    pub(crate) fn parse(text: &str) -> Result<Self, BadPattern> {
        let parts: Result<Vec<_>, _> = text.split('/').map(Part::parse).collect();
        Ok(Self(parts?))
    }

    /// How many components it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds the producer's own id.
    pub(crate) fn has_id(&self) -> bool {
        let is_id = |part: &Part| matches!(part, Part::Some { id: true, .. });
        self.0.iter().any(is_id)
    }

    /// Whether the end of this path fits.
    pub(crate) fn matches(&self, path: &Path) -> Option<Found> {
        Self::fits(&self.0, upwards(path))
    }

    /// The same for an entry of a directory.
    pub(crate) fn matches_in(&self, dir: &Path, name: &OsStr) -> Option<Found> {
        Self::fits(&self.0, iter::once(name).chain(upwards(dir)))
    }

    /// How many of the last components of a directory's path are the pattern's first.
    pub(crate) fn leads(&self, dir: &Path) -> Option<usize> {
        let within = |count: &usize| Self::fits(&self.0[..*count], upwards(dir)).is_some();
        (1..self.0.len()).rev().find(within)
    }

    /// Whether this directory is hidden and begins, or is within the beginning of, the pattern.
    pub(crate) fn owns(&self, dir: &Path) -> bool {
        let hidden = matches!(self.0.first(), Some(Part::Name(name)) if name.starts_with('.'));
        hidden && self.leads(dir).is_some()
    }

    /// The place itself, when it has no wildcard.
    pub(crate) fn fixed(&self) -> Option<PathBuf> {
        let name = |part: &Part| match part {
            Part::Name(name) => Some(name.clone()),
            Part::Some { .. } | Part::Several(_) => None,
        };
        self.0.iter().map(name).collect()
    }

    /// The directories on the way to the file, as far as they have no wildcard.
    pub(crate) fn named_dirs(&self) -> Vec<&str> {
        let above = self.0.iter().take(self.0.len().saturating_sub(1));
        above
            .map_while(|part| match part {
                Part::Name(name) => Some(name.as_str()),
                Part::Some { .. } | Part::Several(_) => None,
            })
            .collect()
    }

    /// `names` from the last component upwards.
    fn fits<'a>(parts: &[Part], mut names: impl Iterator<Item = &'a OsStr>) -> Option<Found> {
        let mut id: Option<String> = None;
        for part in parts.iter().rev() {
            let found = part.fits(names.next()?)?;
            match (&id, found) {
                (_, None) => {}
                (None, Some(found)) => id = Some(found.to_owned()),
                (Some(id), Some(found)) if id == found => {}
                (Some(_), Some(_)) => return None,
            }
        }
        Some(Found { id })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            let slash = if place > 0 { "/" } else { "" };
            match part {
                Part::Name(name) => write!(f, "{slash}{name}")?,
                Part::Some { before, after, id } => {
                    let wild = if *id { ID } else { "*" };
                    write!(f, "{slash}{before}{wild}{after}")?;
                }
                Part::Several(pieces) => write!(f, "{slash}{}", pieces.join("*"))?,
            }
        }
        Ok(())
    }
}

/// The names on a path, the last first.
fn upwards(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().rev().map_while(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

impl Part {
    fn parse(text: &str) -> Result<Self, BadPattern> {
        if matches!(text, "" | "." | "..") {
            return Err(BadPattern::NotRelative);
        }
        if text.contains("**") || text.contains(['?', '[', ']']) || text.contains(char::is_control)
        {
            return Err(BadPattern::OtherPattern(text.to_owned()));
        }
        let (id, split) = match text.split_once(ID) {
            Some(split) => (true, Some(split)),
            None => (false, text.split_once('*')),
        };
        let Some((before, after)) = split else {
            return Ok(Self::Name(text.to_owned()));
        };
        let wild = |text: &str| text.contains('*') || text.contains(ID);
        if !id && !wild(before) && after.contains('*') && !after.contains(ID) {
            return Ok(Self::Several(text.split('*').map(str::to_owned).collect()));
        }
        if wild(before) || wild(after) {
            return Err(BadPattern::TwoInOne(text.to_owned()));
        }
        Ok(Self::Some {
            before: before.to_owned(),
            after: after.to_owned(),
            id,
        })
    }

    /// None: it does not fit. The id, where this component has it.
    fn fits<'a>(&self, name: &'a OsStr) -> Option<Option<&'a str>> {
        match self {
            Self::Name(expected) => (name == OsStr::new(expected)).then_some(None),
            Self::Several(pieces) => fits_several(pieces, name.as_bytes()).then_some(None),
            Self::Some { before, after, id } => {
                let rest = name.as_bytes().strip_prefix(before.as_bytes())?;
                let text = rest.strip_suffix(after.as_bytes())?;
                if text.is_empty() || (before.is_empty() && text.starts_with(b".")) {
                    return None;
                }
                match id {
                    true => Some(Some(std::str::from_utf8(text).ok()?)),
                    false => Some(None),
                }
            }
        }
    }
}

/// Whether a name is these pieces with some text between each two.
fn fits_several(pieces: &[String], name: &[u8]) -> bool {
    let [first, middle @ .., last] = pieces else {
        return false;
    };
    if first.is_empty() && name.starts_with(b".") {
        return false;
    }
    let Some(mut rest) = name.strip_prefix(first.as_bytes()) else {
        return false;
    };
    for piece in middle {
        // Some text is at least one byte.
        let found = (1..rest.len()).find(|at| rest[*at..].starts_with(piece.as_bytes()));
        let Some(at) = found else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.len() > last.len() && rest.ends_with(last.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn id(text: &str, path: &str) -> Option<Option<String>> {
        pattern(text).matches(Path::new(path)).map(|found| found.id)
    }

    fn some(id: &str) -> Option<Option<String>> {
        Some(Some(id.to_owned()))
    }

    #[test]
    fn the_end_of_a_path_fits_component_by_component() {
        let state = "agents/{id}/adw_state.json";
        assert_eq!(
            id(state, "/p/agents/3af4a34d/adw_state.json"),
            some("3af4a34d")
        );
        assert_eq!(id(state, "/agents/adw-1/adw_state.json"), some("adw-1"));
        for other in [
            "/p/agents/adw_state.json",
            "/p/agents/x/y/adw_state.json",
            "/p/agents/.hidden/adw_state.json",
            "/p/other/x/adw_state.json",
            "/",
        ] {
            assert_eq!(id(state, other), None, "{other}");
        }
        let log = "logs/structured/workflow_{id}.jsonl";
        assert_eq!(id(log, "/p/logs/structured/workflow_ab.jsonl"), some("ab"));
        assert_eq!(id(log, "/p/logs/structured/workflow_.jsonl"), None);
        assert_eq!(id("a/*/f", "/a/any thing/f"), Some(None));
    }

    #[test]
    fn an_id_that_stands_twice_is_the_same() {
        let tree = "trees/{id}/agents/{id}/f";
        assert_eq!(id(tree, "/p/trees/a/agents/a/f"), some("a"));
        assert_eq!(id(tree, "/p/trees/a/agents/b/f"), None);
    }

    #[test]
    fn a_directory_on_the_way_is_known() {
        let deep = pattern("agents/{id}/*/f");
        let leads = |dir: &str| deep.leads(Path::new(dir));
        assert_eq!(leads("/p/agents"), Some(1));
        assert_eq!(leads("/p/agents/x"), Some(2));
        assert_eq!(leads("/p/agents/x/ops"), Some(3));
        assert_eq!(leads("/p/src"), None);
        let own = pattern(".producer/logs/*");
        assert!(own.owns(Path::new("/p/.producer")) && own.owns(Path::new("/p/.producer/logs")));
        assert!(!own.owns(Path::new("/p/logs")) && !deep.owns(Path::new("/p/agents")));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/abs", "a//b", "../b", "a/./b"] {
            assert_eq!(Pattern::parse(text), Err(BadPattern::NotRelative), "{text}");
        }
        for text in ["{id}*", "{id}{id}", "a*{id}"] {
            assert!(matches!(Pattern::parse(text), Err(BadPattern::TwoInOne(_))));
        }
        for text in ["a/**/b", "b?", "[ab].json"] {
            assert!(matches!(
                Pattern::parse(text),
                Err(BadPattern::OtherPattern(_))
            ));
        }
    }

    #[test]
    fn several_texts_may_stand_in_one_name() {
        let runs = "logs/run-*-of-*.jsonl";
        for fits in ["logs/run-1-of-2.jsonl", "logs/run-a-of-b-of-c.jsonl"] {
            assert_eq!(id(runs, fits), Some(None), "{fits}");
        }
        for other in [
            "run--of-2.jsonl",
            "run-1-of-.jsonl",
            "run-1.jsonl",
            "run-1-of-2.json",
        ] {
            assert_eq!(id(runs, &format!("logs/{other}")), None, "{other}");
        }
        assert_eq!(id("*a*", ".bac"), None);
    }
}
