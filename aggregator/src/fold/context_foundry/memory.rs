//! What must be remembered of a run of Context Foundry beside its build.

use protocol::Timestamp;
use protocol::build::Origin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A live file and a checkpoint of one step are written within this time,
/// milliseconds: of such an age they are the same, and the live file counts.
const SAME_AGE_MS: i64 = 1_000;
/// Tasks and decisions that are remembered from calls: as many as are shown.
pub(super) const MAX_TOLD: usize = 200;

/// The same in one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::fold) struct Memory {
    /// The newest state of each origin.
    live_at: Option<Timestamp>,
    checkpoint_at: Option<Timestamp>,
    http_at: Option<Timestamp>,
    /// The project's own file was among what told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) met_live_file: bool,
    /// It was past its first phase when it was seen: parts found with it may be of it.
    #[serde(default)]
    pub(super) is_under_way: bool,
    /// A summary that is of the build before: so are parts that are older.
    pub(super) older_summary_at: Option<Timestamp>,
    /// Of the checkpoint: another start is another run, and so are fewer loops.
    pub(super) loop_started: Option<String>,
    pub(super) loops: Option<u64>,
    /// When the context was told last, by a broadcast.
    pub(in crate::fold) context_at: Option<Timestamp>,
    /// Tasks that were broadcast as completed.
    #[serde(default)]
    pub(super) tasks_done: Vec<String>,
    /// Decisions that were told by calls.
    #[serde(default)]
    pub(super) decisions: Vec<Value>,
}

impl Memory {
    /// For tracks of other producers, which are stored without it.
    pub(in crate::fold) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a state of this origin counts: the newest does, and of the same
    /// age rather what is live.
    pub(in crate::fold) fn believes(&self, origin: Origin, at: Timestamp) -> bool {
        match origin {
            Origin::Checkpoint => {
                let live = self.live_at.max(self.http_at);
                live.is_none_or(|live| at.millis_since(live) > SAME_AGE_MS)
            }
            Origin::Live | Origin::Http => {
                let checkpoint = self.checkpoint_at;
                checkpoint.is_none_or(|checkpoint| checkpoint.millis_since(at) <= SAME_AGE_MS)
            }
        }
    }

    /// The project's live file told where the build stands.
    pub(in crate::fold) fn was_live(&self) -> bool {
        self.met_live_file
    }

    /// A checkpoint told of the run, and no live file did.
    pub(super) fn is_of_checkpoint(&self) -> bool {
        self.checkpoint_at.is_some() && !self.met_live_file
    }

    /// Takes over what another track knows of the same run.
    pub(in crate::fold) fn learn(&mut self, other: Self) {
        self.live_at = self.live_at.max(other.live_at);
        self.checkpoint_at = self.checkpoint_at.max(other.checkpoint_at);
        self.http_at = self.http_at.max(other.http_at);
        self.context_at = self.context_at.max(other.context_at);
        self.met_live_file |= other.met_live_file;
        self.is_under_way |= other.is_under_way;
        self.loop_started = self.loop_started.take().or(other.loop_started);
        self.loops = self.loops.or(other.loops);
        for task in other.tasks_done {
            self.task_done(task);
        }
        for decision in other.decisions {
            self.decided(decision);
        }
    }

    /// A state of this origin counts. Answers where the build's data comes
    /// from now: a call repeats what a file says, so that the file is named.
    pub(in crate::fold) fn tells(&mut self, origin: Origin, at: Timestamp) -> Origin {
        let newest = match origin {
            Origin::Live => &mut self.live_at,
            Origin::Checkpoint => &mut self.checkpoint_at,
            Origin::Http => &mut self.http_at,
        };
        *newest = (*newest).max(Some(at));
        match origin {
            Origin::Http if self.live_at.is_some() => Origin::Live,
            origin => origin,
        }
    }

    /// A task was broadcast as completed.
    pub(in crate::fold) fn task_done(&mut self, task: String) {
        if self.tasks_done.len() < MAX_TOLD && !self.tasks_done.contains(&task) {
            self.tasks_done.push(task);
        }
    }

    /// A decision was told by a call.
    pub(in crate::fold) fn decided(&mut self, decision: Value) {
        let is_told = decision["text"].is_string();
        if is_told && self.decisions.len() < MAX_TOLD && !self.decisions.contains(&decision) {
            self.decisions.push(decision);
        }
    }
}
