//! Calls that name only a session: which track they belong to is asked of the
//! database, after everything before them is committed.

use std::collections::VecDeque;

use protocol::Event;

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

/// Splits drafts where calls that name a session begin and end.
pub(super) fn segments(drafts: Vec<Draft>) -> VecDeque<Vec<Draft>> {
    let mut segments: VecDeque<Vec<Draft>> = VecDeque::new();
    for draft in drafts {
        let named = session(&draft).is_some();
        match segments.back_mut() {
            Some(last)
                if last
                    .last()
                    .is_some_and(|last| session(last).is_some() == named) =>
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
    pub(super) async fn place(&self, drafts: &mut [Draft]) -> Result<(), Lost> {
        for draft in drafts {
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
