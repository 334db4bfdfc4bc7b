//! Calls that name only a session, and transcripts of sessions that work in
//! another producer's project: which track they belong to is asked of the
//! database, after everything before them is committed.

use std::collections::VecDeque;

use protocol::{Event, ProjectToken};

use super::batch::Draft;
use super::leader::{Leader, Lost};
use crate::fold::Fact;

/// The session that a draft names in place of a project.
fn session(draft: &Draft) -> Option<&str> {
    match &draft.fact {
        Fact::Observed(Event { session, .. }) => session.as_deref(),
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
    session(draft).is_some() || near(draft).is_some()
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
    /// it on that host; without one, under the newest that had it; else it begins a track of its own.
    /// A transcript goes to the newest active build of another producer in its project; without one it is a build of its own.
    pub(super) async fn place(&self, drafts: &mut [Draft]) -> Result<(), Lost> {
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
            let Some(session) = session(draft) else {
                continue;
            };
            let found = self
                .db
                .track_of_session(&draft.key.host, &draft.key.producer, session)
                .await?;
            if let Some(key) = found {
                draft.key = key;
            }
        }
        Ok(())
    }
}
