//! Logs: this thread only says which of them may have grown, so that reading
//! them is never in the way of a state.

use std::path::Path;

use super::Pipeline;
use super::event::text;
use crate::logs::Place;

impl Pipeline {
    /// Says that a file may have grown, if it is a log. False: it says nothing else, so that it need
    /// not be looked at here. `found`: it was there before the agent first looked.
    pub(super) fn is_more_than_a_log(&self, path: &Path, found: bool) -> bool {
        let logs = &self.setup.logs;
        if !logs.is_on() {
            return true;
        }
        let roots = &self.setup.roots;
        let Some(root) = roots.owner(path).map(|index| roots.get(index)) else {
            return true;
        };
        let producers = &self.setup.producers;
        let Some(spec) = producers.log(&root.path, path) else {
            return true;
        };
        logs.touch(path, || Place {
            root: root.path.clone(),
            relative: path.strip_prefix(&root.path).unwrap_or(path).to_owned(),
            producer: Some(spec.source.producer.clone()).filter(|name| !name.is_empty()),
            token: spec.token(),
            file: text(&spec.file),
            beside: spec.source.beside.clone(),
            found,
        });
        producers.is_state(path)
    }
}
