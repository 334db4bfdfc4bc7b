//! One session, two tracks. A session of Context Foundry's older loop that is
//! called otherwise than its directory is a build of its own, until the
//! project's live file names it too. The leader finds that and says so in a fact
//! for each track: the project's takes over all that is known of the session, as if
//! the session's files had been folded here from the beginning, and goes on with them.

use protocol::{Build, BuildState, Event, Timestamp};
use serde_json::Value;

use super::Track;
use crate::fold::context_foundry;
use crate::fold::run::{EndedBy, Run};

impl Track {
    /// Whether the current run's live file named this session already.
    #[must_use]
    pub fn knows_live(&self, session: &str) -> bool {
        self.run.as_ref().is_some_and(|run| {
            run.foundry.was_live() && run.build.session_id.as_deref() == Some(session)
        })
    }

    /// Whether there is a build, and it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current().is_some_and(|build| !build.has_ended())
    }

    /// Whether the project's live file was folded here.
    #[must_use]
    pub fn has_live_file(&self) -> bool {
        self.files
            .keys()
            .any(|file| context_foundry::is_live_file(file))
    }

    /// Whether a session's files were folded here from the beginning, and their build has not gone on as another.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        let goes_on = |build: &Build| build.same_as.is_none();
        !self.has_live_file()
            && self.current().is_some_and(goes_on)
            && self
                .files
                .keys()
                .any(|file| context_foundry::session_of(file).is_some())
    }

    /// Whether a live file is of the session's current build and not of the next.
    #[must_use]
    pub fn takes_live(&self, event: &Event) -> bool {
        let Some(run) = &self.run else { return false };
        let text = event.document.as_ref().map_or("null", |raw| raw.get());
        match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(document)) => {
                !run.build.has_ended() || !context_foundry::begins_next_run(run, event, &document)
            }
            _ => false,
        }
    }

    /// Whether something of the session is to be taken over before its next event is folded
    /// here: its build is under way, or files of it were seen before there was one.
    #[must_use]
    pub fn wants_session(&self, session: &Self) -> bool {
        let is_known = |file: &String| self.files.contains_key(file);
        let waits = session.run.is_none() && !session.files.keys().all(is_known);
        waits || (session.is_of_session() && session.is_open())
    }

    /// The id under which a session goes on here; none where it was no build.
    #[must_use]
    pub fn id_of_session(&self, session: &Self) -> Option<String> {
        let theirs = session.run.as_ref()?;
        let number = self.current().map_or(self.runs_before, |build| build.run);
        let goes_on = self.run.as_ref().is_some_and(|mine| are_one(mine, theirs));
        Some(self.id_of(if goes_on { number } else { number + 1 }))
    }

    /// Takes such a fact over. Returns a run that was superseded.
    pub(super) fn join_session(&mut self, session: &Self, at: Timestamp) -> Option<Build> {
        let id = self.id_of_session(session);
        let number = self.current().map_or(self.runs_before, |build| build.run);
        self.follow(session.project, &session.seen);
        for (file, standing) in &session.files {
            let known = self.files.entry(file.clone());
            known.or_insert_with(|| standing.clone());
        }
        let (Some(theirs), Some(id)) = (session.run.clone(), id) else {
            self.parts.take_over(&session.parts, None, number);
            context_foundry::apply(self);
            return None;
        };
        let mine = self.run.take();
        let from = Some(theirs.build.run);
        let (run, superseded) = match mine {
            Some(mine) if are_one(&mine, &theirs) => (mine.with_session(theirs), None),
            mine => {
                let mut run = theirs;
                run.build.id = id;
                run.build.run = number + 1;
                run.build.host.clone_from(&self.host);
                self.silences.abandon();
                self.parts.claim(&run);
                (run, mine.map(|mine| superseded_by(mine, number + 1, at)))
            }
        };
        self.parts.take_over(&session.parts, from, run.build.run);
        self.run = Some(run);
        context_foundry::apply(self);
        if let Some(run) = &mut self.run {
            run.settle();
        }
        superseded
    }
}

fn superseded_by(mut run: Run, number: u32, at: Timestamp) -> Build {
    if !run.build.has_ended() {
        let reason = format!("run {number} began before this one reported its end");
        run.end(BuildState::Unknown, reason, at, EndedBy::State);
    }
    run.build
}

/// The project's run is the session's: it said so, or said nothing of a session yet.
fn are_one(mine: &Run, theirs: &Run) -> bool {
    let named = &mine.build.session_id;
    let over_before = match (mine.build.ended_at, theirs.build.started_at) {
        (Some(ended), Some(started)) => ended < started,
        (Some(_), None) => true,
        (None, _) => false,
    };
    !over_before && (named.is_none() || *named == theirs.build.session_id)
}

impl Run {
    /// This run and what its session's own files told of it. Where the live file
    /// told nothing yet, the session's word is the newest.
    fn with_session(self, theirs: Self) -> Self {
        let (mut run, other) = match self.foundry.was_live() || self.build.has_ended() {
            true => (self, theirs),
            false => {
                let mut run = theirs;
                run.build.id.clone_from(&self.build.id);
                run.build.run = self.build.run;
                run.build.host.clone_from(&self.build.host);
                run.conditions
                    .unreadable
                    .extend(self.conditions.unreadable.clone());
                (run, self)
            }
        };
        let build = &mut run.build;
        build.started_at = match (build.started_at, other.build.started_at) {
            (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        build.found |= other.build.found;
        build.context = build.context.or(other.build.context);
        build.tokens = build.tokens.or(other.build.tokens);
        build.session_id = build.session_id.take().or(other.build.session_id);
        build.detail = build.detail.take().or(other.build.detail);
        build.agents = build.agents.take().or(other.build.agents);
        build.summary = build.summary.take().or(other.build.summary);
        build.error = build.error.take().or(other.build.error);
        crate::fold::phases::told_before(&mut build.phases, other.build.phases);
        for (key, value) in other.build.fields {
            build.fields.entry(key).or_insert(value);
        }
        run.foundry.learn(other.foundry);
        run
    }
}
