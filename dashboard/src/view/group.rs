//! Which group of the live list a build stands in, and in what order.

use std::cmp::Reverse;
use std::collections::HashMap;

use protocol::{Build, BuildState};

use super::row::Row;
use super::{Moment, is_dormant};

/// A group of the live list, from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody should look.
    Needs,
    /// Under way.
    Running,
    /// On disk before the agent came, and not a word since: not live.
    Found,
    /// Ended.
    Ended,
}

/// A group with its rows.
pub(crate) struct Group {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// The four groups, also when empty: the script fills them later.
pub(crate) fn groups(builds: &[Build], moment: &Moment) -> Vec<Group> {
    let newest = newest_runs(builds);
    [Kind::Needs, Kind::Running, Kind::Found, Kind::Ended]
        .into_iter()
        .map(|kind| {
            let mut chosen: Vec<&Build> = builds
                .iter()
                .filter(|build| of(build, superseded(build, &newest)) == kind)
                .collect();
            sort(kind, &mut chosen, moment);
            let (key, label, hint) = words(kind);
            Group {
                key,
                label,
                hint,
                rows: chosen.iter().map(|b| Row::new(b, moment)).collect(),
            }
        })
        .collect()
}

/// How many builds need somebody.
pub(crate) fn needs(builds: &[Build]) -> usize {
    let newest = newest_runs(builds);
    let needs = |build: &&Build| of(build, superseded(build, &newest)) == Kind::Needs;
    builds.iter().filter(needs).count()
}

/// `superseded`: a later run of the same project is known, so this one is past.
fn of(build: &Build, superseded: bool) -> Kind {
    match build.state {
        BuildState::Completed | BuildState::Cancelled => Kind::Ended,
        BuildState::Queued | BuildState::Running => Kind::Running,
        BuildState::Waiting => Kind::Needs,
        _ if superseded => Kind::Ended,
        _ if is_dormant(build) => Kind::Found,
        BuildState::Stalled | BuildState::Failed | BuildState::Unknown => Kind::Needs,
    }
}

fn words(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Needs => ("needs", "Needs you", "most urgent first"),
        Kind::Running => ("running", "Running", "updated"),
        Kind::Found => ("found", "Found on disk, not live", "file changed"),
        Kind::Ended => ("ended", "Ended in the last 24 h", "at"),
    }
}

/// All runs of a project share the id up to the last dash.
fn project_of(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(project, _)| project)
}

fn newest_runs(builds: &[Build]) -> HashMap<&str, u32> {
    let mut newest = HashMap::new();
    for build in builds {
        let run = newest.entry(project_of(&build.id)).or_insert(build.run);
        *run = (*run).max(build.run);
    }
    newest
}

fn superseded(build: &Build, newest: &HashMap<&str, u32>) -> bool {
    newest
        .get(project_of(&build.id))
        .is_some_and(|run| *run > build.run)
}

fn sort(kind: Kind, builds: &mut [&Build], moment: &Moment) {
    match kind {
        Kind::Needs => {
            builds.sort_by_key(|b| (urgency(b.state), Reverse(moment.updated(b)), b.id.clone()));
        }
        Kind::Running => builds.sort_by_key(|b| (Reverse(b.started_at), b.id.clone())),
        Kind::Found => builds.sort_by_key(|b| (Reverse(moment.updated(b)), b.id.clone())),
        Kind::Ended => {
            builds.sort_by_key(|b| (Reverse(b.ended_at.unwrap_or(b.last_updated)), b.id.clone()));
        }
    }
}

/// Lower is more urgent: somebody is waited for, work stands still, work is lost, nobody knows.
fn urgency(state: BuildState) -> u8 {
    match state {
        BuildState::Waiting => 0,
        BuildState::Stalled => 1,
        BuildState::Failed => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn keys(builds: &[Build]) -> Vec<(&'static str, Vec<String>)> {
        groups(builds, &Moment::new(samples::now(), &[]))
            .into_iter()
            .map(|g| (g.key, g.rows.into_iter().map(|r| r.id).collect()))
            .collect()
    }

    fn build(project: &str, run: u32, state: BuildState) -> Build {
        Build {
            id: format!("h-{project}-{run}"),
            state,
            ..samples::build(run, "x")
        }
    }

    #[test]
    fn the_most_urgent_is_first_and_ended_builds_are_apart() {
        let found = Build {
            found: true,
            changed_at: Some(samples::now().plus_millis(-9_000_000)),
            ..build("e", 1, BuildState::Unknown)
        };
        let builds = [
            build("a", 1, BuildState::Completed),
            build("b", 1, BuildState::Failed),
            build("c", 1, BuildState::Running),
            build("d", 1, BuildState::Stalled),
            found,
        ];
        let names = |list: &[&str]| list.iter().map(|p| format!("h-{p}-1")).collect::<Vec<_>>();
        assert_eq!(
            keys(&builds),
            [
                ("needs", names(&["d", "b"])),
                ("running", names(&["c"])),
                ("found", names(&["e"])),
                ("ended", names(&["a"])),
            ]
        );
        assert_eq!(needs(&builds), 2);
    }

    #[test]
    fn a_failure_that_a_later_run_followed_needs_nobody() {
        let builds = [
            build("a", 1, BuildState::Failed),
            build("a", 2, BuildState::Running),
        ];
        assert_eq!(needs(&builds), 0);
        assert_eq!(keys(&builds)[3].1, ["h-a-1"]);
    }
}
