//! Calls that name only a session, and transcripts of sessions that work in
//! another producer's project: which track they belong to, after everything
//! before them is committed; and which builds that such calls made
//! turn out to be builds of files. The leader is the only writer, so that what
//! it once asked of the database it need not ask again until a build with that
//! session begins or ends. All of it is dropped with the lead.

use std::collections::{BTreeMap, HashMap, VecDeque};

use protocol::{Event, ProjectToken};

use super::batch::{Change, Draft};
use super::beside;
use super::leader::{Leader, Lost, clock};
use crate::fold::joining::{self, OfCalls};
use crate::fold::{Fact, Track};
use crate::store::{SessionTrack, TrackKey};

/// Sessions that are remembered; some 200 bytes each. Beyond it all are asked anew.
const MAX_SESSIONS: usize = 10_000;

/// What changes of a build when it begins, ends, or is called otherwise.
const NEWS: [&str; 5] = ["run", "session_id", "project", "ended_at", "same_as"];

/// A producer's session on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Session {
    host: String,
    producer: String,
    name: String,
}

/// What is known of sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Where calls with a session go; none: no build ever had it.
    places: HashMap<Session, Option<SessionTrack>>,
    /// Open builds that only calls told of, by track.
    by_calls: BTreeMap<TrackKey, OfCalls>,
    /// Tracks of files with those of calls that are one with them.
    found: Vec<(TrackKey, TrackKey)>,
}

impl Sessions {
    /// Takes over what a commit changed: who begins, ends or is called otherwise may be the newest
    /// active build of a session, or no longer be it.
    pub(super) fn changed(&mut self, change: &Change<'_>) {
        let is_news = NEWS.iter().any(|key| change.patch.contains_key(*key));
        if !is_news || self.places.is_empty() {
            return;
        }
        let build = &change.build;
        let names = [build.session_id.as_ref(), Some(&build.project)];
        for name in names.into_iter().flatten() {
            self.places.remove(&Session {
                host: build.host.clone(),
                producer: build.producer.clone(),
                name: name.clone(),
            });
        }
        // It may have been called otherwise before.
        let is_its = |place: &SessionTrack| place.build_id == build.id;
        self.places
            .retain(|_, place| !place.as_ref().is_some_and(is_its));
    }

    /// Takes over how a track stands now.
    pub(super) fn watch(&mut self, key: &TrackKey, track: &Track) {
        let Some(build) = track.current() else { return };
        if let Some(of_calls) = OfCalls::of(build) {
            self.by_calls.insert(key.clone(), of_calls);
            return;
        }
        if self.by_calls.is_empty() {
            return;
        }
        self.by_calls.remove(key);
        let of_host = TrackKey {
            host: key.host.clone(),
            producer: key.producer.clone(),
            project: ProjectToken(0),
        };
        let one = self
            .by_calls
            .range(of_host..)
            .take_while(|(other, _)| (&other.host, &other.producer) == (&key.host, &key.producer))
            .find(|(_, calls)| calls.is_one_with(build));
        if let Some((calls, _)) = one {
            self.found.push((key.clone(), calls.clone()));
        }
    }

    /// There are builds that may turn out to be builds of files.
    pub(super) fn has_builds_of_calls(&self) -> bool {
        !self.by_calls.is_empty()
    }
}

/// The event of a draft that names a session in place of a project.
fn call(draft: &Draft) -> Option<(&Event, &str)> {
    match &draft.fact {
        Fact::Observed(event) => Some((event, event.session.as_deref()?)),
        Fact::Timer(_) => None,
    }
}

/// The project in which the session works that a draft tells of.
fn near(draft: &Draft) -> Option<ProjectToken> {
    match &draft.fact {
        Fact::Observed(Event { near, .. }) => *near,
        Fact::Timer(_) => None,
    }
}

/// It must be asked which track this one belongs to.
fn is_to_be_placed(draft: &Draft) -> bool {
    call(draft).is_some() || near(draft).is_some() || beside::of_session(draft).is_some()
}

/// Splits drafts where those that are to be placed begin and end.
pub(super) fn segments(drafts: Vec<Draft>) -> VecDeque<Vec<Draft>> {
    let mut segments: VecDeque<Vec<Draft>> = VecDeque::new();
    for draft in drafts {
        let named = is_to_be_placed(&draft);
        match segments.back_mut() {
            Some(last)
                if last
                    .last()
                    .is_some_and(|last| is_to_be_placed(last) == named) =>
            {
                last.push(draft);
            }
            _ => segments.push_back(vec![draft]),
        }
    }
    segments
}

impl Leader {
    /// Files each draft that names a session under the newest active build with
    /// it on that host; without one, under the newest that had it where the
    /// call is its tail; else it is of a track of its own. A transcript goes to
    /// the newest active build of another producer in its project; without one
    /// it is a build of its own.
    pub(super) async fn place(&mut self, drafts: &mut [Draft]) -> Result<(), Lost> {
        self.place_sessions(drafts).await?;
        for draft in drafts {
            if let Some(project) = near(draft) {
                let key = &draft.key;
                let found = self
                    .db
                    .track_near(&key.host, project, &key.producer)
                    .await?;
                draft.key = found.unwrap_or_else(|| draft.key.clone());
                continue;
            }
            let Some((_, name)) = call(draft) else {
                continue;
            };
            let session = Session {
                host: draft.key.host.clone(),
                producer: draft.key.producer.clone(),
                name: name.to_owned(),
            };
            let Some(place) = self.place_of(session).await? else {
                continue;
            };
            if !place.open {
                self.load(std::iter::once(&place.key)).await?;
                let track = self.tracks.get(&place.key).and_then(Result::ok);
                let is_tail = call(draft)
                    .is_some_and(|(event, _)| track.is_some_and(|track| track.takes_call(event)));
                if !is_tail {
                    continue;
                }
            }
            draft.key = place.key;
        }
        Ok(())
    }

    async fn place_of(&mut self, session: Session) -> Result<Option<SessionTrack>, Lost> {
        if let Some(known) = self.sessions.places.get(&session) {
            return Ok(known.clone());
        }
        let Session {
            host,
            producer,
            name,
        } = &session;
        let found = self.db.track_of_session(host, producer, name).await?;
        if self.sessions.places.len() >= MAX_SESSIONS {
            self.sessions.places.clear();
        }
        self.sessions.places.insert(session, found.clone());
        Ok(found)
    }

    /// Makes those builds one that were found to be.
    pub(super) async fn join_found(&mut self) -> Result<(), Lost> {
        while let Some((files, calls)) = self.sessions.found.pop() {
            self.load([&files, &calls].into_iter()).await?;
            let build = |key| {
                self.tracks
                    .get(key)
                    .and_then(Result::ok)
                    .and_then(Track::current)
            };
            let (Some(mine), Some(theirs)) = (build(&files), build(&calls)) else {
                continue;
            };
            if !OfCalls::of(theirs).is_some_and(|calls| calls.is_one_with(mine)) {
                continue;
            }
            let (joins, joined) = joining::facts(mine, theirs);
            let now = clock();
            let drafts = vec![
                Draft::timer(files, joins, now),
                Draft::timer(calls, joined, now),
            ];
            for refused in self.settle_placed(drafts, Vec::new()).await? {
                tracing::error!(reason = refused.reason, "failed to make two builds one");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
