//! How a run begins.

use std::collections::BTreeMap;

use protocol::{Build, BuildState, Event};

use super::Track;
use crate::fold::run::{EndedBy, Run, moment};
use crate::fold::stream_json::Streams;

impl Track {
    pub(super) fn ensure_run(&mut self, event: &Event) {
        if self.run.is_none() {
            self.begin(event);
        }
    }

    /// Begins the next run. One that was still open is closed as unknown and returned.
    pub(in crate::fold) fn begin(&mut self, event: &Event) -> Option<Build> {
        let before = self.current().map_or(self.runs_before, |build| build.run);
        let number = before + 1;
        let mut unreadable = BTreeMap::new();
        let mut streams = Streams::default();
        let superseded = self.run.take().map(|mut run| {
            streams = run.streams.for_next_run();
            unreadable.append(&mut run.conditions.unreadable);
            if !run.build.has_ended() {
                let reason = format!("run {number} began before this one reported its end");
                run.end(BuildState::Unknown, reason, moment(event), EndedBy::State);
            }
            run.build
        });
        self.silences.abandon();
        let mut run = Run::new(event, self.id_of(number), number);
        // Not the event's own word: two agents may call themselves alike.
        run.build.host.clone_from(&self.host);
        run.conditions.unreadable = unreadable;
        run.streams = streams;
        self.parts.claim(&run);
        self.run = Some(run);
        superseded
    }
}
