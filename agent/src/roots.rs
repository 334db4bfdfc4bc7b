//! The watched roots: their labels, and which of them a path belongs to. A
//! root inside another is walked on its own, whatever the outer one prunes.
//! By names only, no I/O.

use std::path::{Path, PathBuf};

/// A watched root's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// As in `Build::root`.
    pub(crate) label: String,
}

/// All roots, each once.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    all: Vec<Root>,
}

impl Roots {
    /// Names the roots. The label is the last component of the path, `~` for
    /// the home directory, and the whole path for `/` and where two would be equal.
    pub(crate) fn new(paths: &[PathBuf], home: Option<&Path>) -> Self {
        let mut unique: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path: PathBuf = path.components().collect();
            if !unique.contains(&path) {
                unique.push(path);
            }
        }
        let short = |path: &Path| match path.file_name() {
            _ if home == Some(path) => "~".to_owned(),
            Some(name) => name.to_string_lossy().into_owned(),
            None => path.to_string_lossy().into_owned(),
        };
        let shorts: Vec<String> = unique.iter().map(|path| short(path)).collect();
        let label = |index: usize| {
            let twice = shorts.iter().filter(|other| **other == shorts[index]);
            if twice.count() > 1 {
                unique[index].to_string_lossy().into_owned()
            } else {
                shorts[index].clone()
            }
        };
        let labels: Vec<String> = (0..unique.len()).map(label).collect();
        let all = unique.into_iter().zip(labels);
        Self {
            all: all.map(|(path, label)| Root { path, label }).collect(),
        }
    }

    /// Every root, in the order of the setting.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Root> {
        self.all.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The root of this number.
    pub(crate) fn get(&self, index: usize) -> &Root {
        &self.all[index]
    }

    /// The root that a path belongs to: the innermost around it.
    pub(crate) fn owner(&self, path: &Path) -> Option<usize> {
        let around = self.all.iter().enumerate();
        around
            .filter(|(_, root)| path.starts_with(&root.path))
            .max_by_key(|(_, root)| root.path.as_os_str().len())
            .map(|(index, _)| index)
    }

    /// The number of the root at this very path.
    pub(crate) fn number(&self, path: &Path) -> Option<usize> {
        self.all.iter().position(|root| root.path == path)
    }

    /// Whether this very path is a root.
    pub(crate) fn is_root(&self, path: &Path) -> bool {
        self.number(path).is_some()
    }

    /// Whether a root is at or beneath this path.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        self.all.iter().any(|root| root.path.starts_with(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(paths: &[&str]) -> Vec<String> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let roots = Roots::new(&paths, Some(Path::new("/home/u")));
        roots.iter().map(|root| root.label.clone()).collect()
    }

    #[test]
    fn labels_are_short_and_different() {
        assert_eq!(labels(&["/srv/src/", "/home/u"]), ["src", "~"]);
        assert_eq!(
            labels(&["/srv/src", "/opt/src", "/"]),
            ["/srv/src", "/opt/src", "/"]
        );
        assert_eq!(labels(&["/srv/src", "/srv/src/."]), ["src"]);
    }

    #[test]
    fn a_path_belongs_to_the_innermost_root() {
        let paths = [PathBuf::from("/a"), PathBuf::from("/a/node_modules/b")];
        let roots = Roots::new(&paths, None);
        assert_eq!(roots.owner(Path::new("/a/x/y")), Some(0));
        assert_eq!(roots.owner(Path::new("/a/node_modules/b/y")), Some(1));
        assert_eq!(roots.owner(Path::new("/ab")), None);
        assert!(roots.concerns(Path::new("/a/node_modules")));
        assert!(!roots.concerns(Path::new("/a/x")));
        assert!(roots.is_root(Path::new("/a")) && !roots.is_root(Path::new("/a/x")));
    }
}
