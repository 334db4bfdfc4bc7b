//! A session of Context Foundry's older loop and its project's live file: files
//! of one directory that have a track each, because the session is called
//! otherwise than the directory. Once the live file names the session they are
//! one build. What came first decides the way: the session's files are filed
//! under the project from then on, and a build that they made before goes on there.

use protocol::Event;

use super::batch::Draft;
use super::leader::{Leader, Lost, Refused, clock};
use crate::fold::{Fact, TimerKind, Track, live_session, session_of};
use crate::store::{Beside, TrackKey};

/// The event of a session's file, with the session that its directory is called after.
pub(super) fn of_session(draft: &Draft) -> Option<(&Event, &str)> {
    match &draft.fact {
        Fact::Observed(event) if !event.is_call() => Some((event, session_of(&event.file)?)),
        _ => None,
    }
}

fn beside<'a>(key: &'a TrackKey, event: &'a Event, session: String) -> Beside<'a> {
    Beside {
        key,
        session,
        root: &event.root,
        path: &event.path,
    }
}

impl Leader {
    /// Files a session's events under its project, where the live file names the session.
    pub(super) async fn place_sessions(&mut self, drafts: &mut [Draft]) -> Result<(), Lost> {
        let of_sessions = drafts.iter().enumerate();
        let (places, wanted): (Vec<usize>, Vec<Beside<'_>>) = of_sessions
            .filter_map(|(place, draft)| {
                let (event, session) = of_session(draft)?;
                Some((place, beside(&draft.key, event, session.to_owned())))
            })
            .unzip();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = self.db.tracks_beside(&wanted).await?;
        for (place, project) in found {
            let draft = &mut drafts[places[place]];
            self.load([&project, &draft.key].into_iter()).await?;
            if !self.track(&project).is_some_and(Track::has_live_file) {
                continue;
            }
            let is_to_join = match (self.track(&project), self.track(&draft.key)) {
                (Some(mine), Some(theirs)) => mine.wants_session(theirs),
                _ => false,
            };
            if is_to_join {
                self.join_session(&project, &draft.key).await?;
            }
            draft.key = project;
        }
        Ok(())
    }

    /// Where a live file names a session that has a build of its own, that build is
    /// taken over by the project before the file is folded. Answers what was refused of
    /// the drafts before it, and those that are left.
    pub(super) async fn meet_sessions(
        &mut self,
        mut drafts: Vec<Draft>,
    ) -> Result<(Vec<Refused>, Vec<Draft>), Lost> {
        let mut refused = Vec::new();
        let mut settled = 0;
        for (place, session) in self.sessions_met(&drafts).await? {
            let rest = drafts.split_off(place - settled);
            let before = std::mem::replace(&mut drafts, rest);
            settled = place;
            refused.extend(self.settle_placed(before, Vec::new()).await?);
            let Some((key, event, name)) = drafts.first().and_then(of_live_file) else {
                continue;
            };
            self.load([key, &session].into_iter()).await?;
            let is_new = |track: &Track| !track.knows_live(&name);
            let takes = |track: &Track| track.is_of_session() && track.takes_live(event);
            if self.track(key).is_some_and(is_new) && self.track(&session).is_some_and(takes) {
                let key = key.clone();
                self.join_session(&key, &session).await?;
            }
        }
        Ok((refused, drafts))
    }

    /// The places of live files that name a session with a track of its own, and that track.
    async fn sessions_met(&mut self, drafts: &[Draft]) -> Result<Vec<(usize, TrackKey)>, Lost> {
        let named = drafts.iter().enumerate();
        let named: Vec<_> = named
            .filter_map(|(place, draft)| Some((place, of_live_file(draft)?)))
            .collect();
        if named.is_empty() {
            return Ok(Vec::new());
        }
        self.load(named.iter().map(|(_, (key, ..))| *key)).await?;
        let is_new = |key: &TrackKey, session: &str| {
            self.track(key)
                .is_some_and(|track| !track.knows_live(session))
        };
        let (places, wanted): (Vec<usize>, Vec<Beside<'_>>) = named
            .into_iter()
            .filter(|(_, (key, _, session))| is_new(key, session))
            .map(|(place, (key, event, session))| (place, beside(key, event, session)))
            .unzip();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.db.tracks_beside(&wanted).await?;
        Ok(found
            .into_iter()
            .map(|(place, key)| (places[place], key))
            .collect())
    }

    /// Says in both tracks that they are of one build.
    async fn join_session(&mut self, project: &TrackKey, session: &TrackKey) -> Result<(), Lost> {
        let (Some(mine), Some(theirs)) = (self.track(project), self.track(session)) else {
            return Ok(());
        };
        let joined = mine
            .id_of_session(theirs)
            .map(|build| TimerKind::Joined { build });
        let joins = TimerKind::JoinsSession {
            session: Box::new(theirs.clone()),
        };
        let now = clock();
        let mut drafts = vec![Draft::timer(project.clone(), joins, now)];
        drafts.extend(joined.map(|joined| Draft::timer(session.clone(), joined, now)));
        for refused in self.settle_placed(drafts, Vec::new()).await? {
            tracing::error!(
                reason = refused.reason,
                "failed to make a session and its project one"
            );
        }
        Ok(())
    }

    fn track(&self, key: &TrackKey) -> Option<&Track> {
        self.tracks.get(key).and_then(Result::ok)
    }
}

/// The event of a project's live file that names a session, if that may have a track of its own.
fn of_live_file(draft: &Draft) -> Option<(&TrackKey, &Event, String)> {
    match &draft.fact {
        Fact::Observed(event) => Some((&draft.key, event, live_session(event)?)),
        Fact::Timer(_) => None,
    }
}
