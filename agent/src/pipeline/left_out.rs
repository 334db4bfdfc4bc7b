//! Places beneath a root that are seen and not watched, on purpose or because
//! the system refuses. Each would be a build that nobody sees, so the host's page
//! says which and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Places that are remembered per root; with so many the rule is clear, and a loop of mounts costs nothing more.
const KEPT: usize = 100;

/// Why a place is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// This directory is watched already, under that name: a mount or a link makes it appear twice.
    SameAs(PathBuf),
    /// A producer's directory that is a symbolic link, which may lead anywhere.
    Link,
    /// Deeper than `PHASELINE_MAX_DEPTH`.
    TooDeep,
    /// The system refused to let it be walked, in these words.
    Refused(String),
}

/// The places of one root.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    places: BTreeMap<PathBuf, Why>,
}

impl LeftOut {
    /// Notes a place. Beyond [`KEPT`] it is not kept.
    pub(super) fn note(&mut self, path: PathBuf, why: Why) {
        if self.places.len() < KEPT || self.places.contains_key(&path) {
            self.places.insert(path, why);
        }
    }

    /// Takes out what was noted at or beneath a path.
    pub(super) fn cut(&mut self, top: &Path) -> BTreeMap<PathBuf, Why> {
        let (cut, kept) = std::mem::take(&mut self.places)
            .into_iter()
            .partition(|(path, _)| path.starts_with(top));
        self.places = kept;
        cut
    }

    /// Whether exactly this is noted at or beneath a path.
    pub(super) fn is_as(&self, top: &Path, before: &BTreeMap<PathBuf, Why>) -> bool {
        let within = self.places.iter().filter(|(path, _)| path.starts_with(top));
        within.eq(before.iter())
    }

    /// Whether this very path is left out.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.places.contains_key(path)
    }

    /// Places that are watched under another name, with that name.
    pub(super) fn doubles(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.places.iter().filter_map(|(path, why)| match why {
            Why::SameAs(other) => Some((path.as_path(), other.as_path())),
            Why::Link | Why::TooDeep | Why::Refused(_) => None,
        })
    }

    /// Reason and remedy, for people; none when nothing is left out.
    pub(super) fn status(&self, max_depth: usize) -> Option<(String, String)> {
        // What nobody may have meant comes first.
        let kinds = [Kind::Refused, Kind::Double, Kind::Link, Kind::Deep];
        let told = kinds.into_iter().filter_map(|kind| {
            let mut of_kind = self.places.iter().filter(|(_, why)| kind.is_of(why));
            let (first, why) = of_kind.next()?;
            let and_more = match of_kind.count() {
                0 => String::new(),
                _ if self.places.len() >= KEPT => " and many more like it".to_owned(),
                more => format!(" and {more} more like it"),
            };
            let first = first.display();
            Some(match why {
                Why::SameAs(other) => (
                    format!("{first} is the same directory as {}, under which it is watched{and_more}", other.display()),
                    "leave one of the two names out, with PHASELINE_WATCH or PHASELINE_PRUNE".to_owned(),
                ),
                Why::Link => (
                    format!("{first} is a symbolic link, which is not followed{and_more}"),
                    "put the directory itself in the place of the link".to_owned(),
                ),
                Why::TooDeep => (
                    format!("{first} is deeper than {max_depth} directories and is not looked at{and_more}"),
                    "raise PHASELINE_MAX_DEPTH, or watch a directory closer to it".to_owned(),
                ),
                Why::Refused(error) => (
                    format!("{first} cannot be looked into: {error}{and_more}"),
                    "let the agent's user read it, or leave its name out with PHASELINE_PRUNE".to_owned(),
                ),
            })
        });
        let (reasons, remedies): (Vec<_>, Vec<_>) = told.unzip();
        let remedy = remedies.into_iter().next()?;
        Some((reasons.join("; "), remedy))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Double,
    Link,
    Deep,
    Refused,
}

impl Kind {
    fn is_of(self, why: &Why) -> bool {
        matches!(
            (self, why),
            (Self::Double, Why::SameAs(_))
                | (Self::Link, Why::Link)
                | (Self::Deep, Why::TooDeep)
                | (Self::Refused, Why::Refused(_))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_with_its_first_place_and_how_many_there_are() {
        let mut left = LeftOut::default();
        assert_eq!(left.status(32), None);
        left.note("/r/b/.context-foundry".into(), Why::Link);
        left.note("/r/a/.context-foundry".into(), Why::Link);
        left.note("/r/c".into(), Why::SameAs("/r/d".into()));
        let (reason, remedy) = left.status(32).unwrap();
        assert_eq!(
            reason,
            "/r/c is the same directory as /r/d, under which it is watched; \
             /r/a/.context-foundry is a symbolic link, which is not followed and 1 more like it"
        );
        assert!(remedy.contains("PHASELINE_PRUNE"), "{remedy}");
        assert_eq!(left.cut(Path::new("/r/c")).len(), 1);
        assert!(left.status(32).unwrap().0.starts_with("/r/a"));
    }

    #[test]
    fn a_directory_that_may_not_be_read_is_told_first_and_counted() {
        let mut left = LeftOut::default();
        left.note("/r/deep".into(), Why::TooDeep);
        for name in ["b", "a", "c"] {
            let path = format!("/r/{name}").into();
            left.note(path, Why::Refused("Permission denied".to_owned()));
        }
        let (reason, remedy) = left.status(3).unwrap();
        assert_eq!(
            reason,
            "/r/a cannot be looked into: Permission denied and 2 more like it; \
             /r/deep is deeper than 3 directories and is not looked at"
        );
        assert!(remedy.contains("let the agent's user read it"), "{remedy}");
        left.cut(Path::new("/r/a"));
        assert!(left.status(3).unwrap().0.starts_with("/r/b cannot"));
    }

    #[test]
    fn a_loop_costs_no_more_than_a_few_places() {
        let mut left = LeftOut::default();
        for i in 0..10 * KEPT {
            left.note(format!("/r/{i}").into(), Why::TooDeep);
        }
        assert_eq!(left.places.len(), KEPT);
        assert!(left.status(7).unwrap().0.contains("deeper than 7"));
        assert!(left.status(7).unwrap().0.contains("many more"));
    }
}
