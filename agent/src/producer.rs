//! What the producers write and where: a table of file patterns relative to a
//! project's directory. `built_in` holds the producers the agent knows without
//! being told; a new one is a few rows there, and nothing else in the agent.
//! `custom` reads those that the configuration names.

mod built_in;
mod custom;
mod logs;
mod pattern;
pub(crate) mod reading;
mod transcripts;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::ProjectToken;
use protocol::mapping::Mapping;

pub use custom::Custom;
pub(crate) use pattern::Pattern;
pub(crate) use transcripts::Transcripts;

use crate::stream_json::Kind;

/// One kind of file that a producer writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// As in `Event::producer`.
    pub(crate) producer: Arc<str>,
    /// Where, relative to the project's directory.
    pub(crate) pattern: Pattern,
    /// How it is read.
    pub(crate) format: Format,
    /// What it is for.
    pub(crate) role: Role,
    /// What tells one build from another.
    pub(crate) identity: Identity,
    /// Top-level keys that the producer changes without meaning anything by it.
    pub(crate) volatile: Vec<String>,
    /// What its members mean, where the configuration says so; shipped beside the document.
    pub(crate) mapping: Option<Arc<Mapping>>,
    /// A file that must be beside it (or beside its directory: `../name`), where its own name is anybody's.
    pub(crate) beside: Option<String>,
    /// So many leading components of the pattern are a working tree of its own
    /// inside the project (`trees/{id}`), whose branch is the build's.
    pub(crate) tree: usize,
}

/// How a file is read, and what of it leaves the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON value, shipped whole.
    Json,
    /// One line after another: read on as it grows, shipped as a digest of its figures.
    Lines(Kind),
    /// Text, which stays on the host: its size alone is shipped, as `{"bytes":n}`.
    Text,
    /// The same of a log that its writer holds open for as long as it runs, so that its closing tells of the writer's
    /// end: `{"bytes":n,"held":true}`, without `held` while nobody knows.
    Held,
    /// JSON lines of which the last whole one is the state.
    LastLine,
    /// JSON lines of a workflow's phases: shipped as a digest of its figures.
    PhaseLog,
    /// Text with a number in it: shipped as `{"bytes":n,"count":n}`.
    Count,
    /// What a test run reported, which stays on the host: its figures are shipped.
    Report,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Rewritten all the time: where the build stands.
    Phase,
    /// Written once at the end of a run. Two runs may end with equal bytes.
    Summary,
    /// Its being there is what it says, so that two runs write equal bytes too.
    Mark,
    /// Anything else.
    Part,
}

/// What tells one build from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The project's absolute path.
    Project,
    /// The producer's own id, `{id}` in the pattern: the same build wherever its files lie.
    Id,
    /// Its name and the project's path, and `{id}` where the pattern has it: a
    /// producer that the agent was told of may share the project with another.
    Named,
    /// The producer's session, `{id}` in the pattern, in this project. One that
    /// is called as the project's directory is the project's own build.
    Session,
}

/// Every kind of file that is watched for.
#[derive(Debug, Clone)]
pub(crate) struct Producers {
    /// Those that say where builds stand.
    states: Arc<[Arc<Source>]>,
    /// Those whose lines are shipped.
    logs: Arc<[Arc<Source>]>,
}

/// A producer's file, recognised by its path.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Which kind it is.
    pub(crate) source: Arc<Source>,
    /// The producer's own id, where the path holds one.
    id: Option<String>,
    /// The project's directory, absolute.
    pub(crate) project: PathBuf,
    /// The file relative to it.
    pub(crate) file: PathBuf,
}

impl Producers {
    /// Those the agent knows without being told.
    pub(crate) fn built_in() -> Self {
        Self::new(built_in::sources())
    }

    /// Those, and the ones that the configuration names.
    pub(crate) fn with(custom: &Custom) -> Self {
        let mut sources = built_in::sources();
        sources.extend(custom.sources().iter().cloned());
        Self::new(sources)
    }

    /// A table of one's own. Of two patterns that fit, the longer says more
    /// about where the project is; equal ones keep their order.
    pub(crate) fn new(mut sources: Vec<Source>) -> Self {
        sort(&mut sources);
        Self {
            states: sources.into_iter().map(Arc::new).collect(),
            logs: Arc::default(),
        }
    }

    /// The same, and the logs that are known without being told, and those that are configured:
    /// producer (may be empty) and pattern of each.
    pub(crate) fn with_logs(self, configured: &[(String, Pattern)]) -> Self {
        let configured = configured.iter().cloned();
        let mut sources: Vec<_> = configured
            .map(|(producer, pattern)| logs::configured(&producer, pattern))
            .chain(logs::built_in())
            .collect();
        sort(&mut sources);
        Self {
            logs: sources.into_iter().map(Arc::new).collect(),
            ..self
        }
    }

    /// The same, and the transcripts of Claude Code at these places.
    pub(crate) fn with_transcripts(self, patterns: &[Pattern]) -> Self {
        let transcripts = patterns.iter().cloned().map(logs::transcript);
        let states = self.states.iter().map(|source| Source::clone(source));
        let mut states: Vec<_> = states.chain(transcripts).collect();
        sort(&mut states);
        Self {
            states: states.into_iter().map(Arc::new).collect(),
            ..self
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.states.iter().chain(self.logs.iter())
    }

    /// Whether the file at this path says where a build stands, by its name alone.
    pub(crate) fn is_state(&self, path: &Path) -> bool {
        let fits = |source: &Arc<Source>| source.pattern.matches(path).is_some();
        self.states.iter().any(fits)
    }

    /// Whether the file at this path is some producer's, by its name alone.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.all()
            .any(|source| source.pattern.matches(path).is_some())
    }

    /// The same for an entry of a directory.
    pub(crate) fn knows_in(&self, dir: &Path, name: &OsStr) -> bool {
        self.all()
            .any(|source| source.pattern.matches_in(dir, name).is_some())
    }

    /// The producer's file at this path beneath a root; none when it is nobody's.
    /// A project outside of the root is a last resort (the root is inside of it).
    pub(crate) fn spec(&self, root: &Path, path: &Path) -> Option<Spec> {
        Self::find(&self.states, root, path)
    }

    /// The same of a log whose lines are shipped.
    pub(crate) fn log(&self, root: &Path, path: &Path) -> Option<Spec> {
        Self::find(&self.logs, root, path)
    }

    fn find(sources: &[Arc<Source>], root: &Path, path: &Path) -> Option<Spec> {
        let fitting = || {
            sources.iter().filter_map(|source| {
                let found = source.pattern.matches(path)?;
                let project = path.ancestors().nth(source.pattern.len())?;
                Some((source, found, project))
            })
        };
        let inside = fitting().find(|(_, _, project)| project.starts_with(root));
        let (source, found, project) = inside.or_else(|| fitting().next_back())?;
        Some(Spec {
            source: Arc::clone(source),
            id: found.id,
            project: project.to_owned(),
            file: path.strip_prefix(project).unwrap_or(path).to_owned(),
        })
    }

    /// How many of the last components of a directory's path lead to some
    /// producer's files; none when it is any directory.
    pub(crate) fn leads(&self, dir: &Path) -> Option<usize> {
        let leading = |source: &Arc<Source>| source.pattern.leads(dir);
        self.all().filter_map(leading).max()
    }

    /// Whether a directory is a producer's own: hidden, so that nobody else's
    /// files are expected in it. It is never left out, and nothing in it is
    /// walked that leads to none of the producer's files.
    pub(crate) fn owns(&self, dir: &Path) -> bool {
        self.all().any(|source| source.pattern.owns(dir))
    }

    /// The order in which files of one directory are best read: as in the
    /// table, so that the one that names the build comes first.
    pub(crate) fn rank(&self, path: &Path) -> usize {
        let place = self
            .states
            .iter()
            .position(|source| source.pattern.matches(path).is_some());
        place.unwrap_or(usize::MAX)
    }

    /// Files of this role with a fixed place in the same project, absolute.
    pub(crate) fn of_role(&self, spec: &Spec, role: Role) -> Vec<PathBuf> {
        let same =
            |source: &&Arc<Source>| source.role == role && source.producer == spec.source.producer;
        let fixed = |source: &Arc<Source>| source.pattern.fixed();
        let files = self.states.iter().filter(same).filter_map(fixed);
        files.map(|file| spec.project.join(file)).collect()
    }
}

fn sort(sources: &mut [Source]) {
    sources.sort_by_key(|source| std::cmp::Reverse(source.pattern.len()));
}

impl Spec {
    /// As in `Event::project_token`.
    pub(crate) fn token(&self) -> ProjectToken {
        match (self.source.identity, &self.id) {
            (Identity::Id, Some(id)) => ProjectToken::of_id(&self.source.producer, id),
            (Identity::Named, id) => {
                let project = self.project.to_string_lossy();
                let whole = match id {
                    Some(id) => format!("{project}\n{id}"),
                    None => project.into_owned(),
                };
                ProjectToken::of_id(&self.source.producer, &whole)
            }
            (Identity::Session, Some(id)) if self.project.file_name() != Some(OsStr::new(id)) => {
                ProjectToken::of(&self.project.join(format!("session:{id}")))
            }
            _ => ProjectToken::of(&self.project),
        }
    }

    /// Whether its path says of which build it is.
    pub(crate) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// The working tree that the file is in, absolute.
    pub(crate) fn tree(&self) -> PathBuf {
        let within: PathBuf = self.file.components().take(self.source.tree).collect();
        match within.as_os_str().is_empty() {
            // Not `join("")`, which would end in a slash.
            true => self.project.clone(),
            false => self.project.join(within),
        }
    }
}

#[cfg(test)]
mod tests;
