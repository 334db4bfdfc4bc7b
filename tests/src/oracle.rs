//! Holds what was written against what was kept: [`TruthLog`] notes each content
//! and how long it stood, [`Verdict`] judges by the promise: what stood for
//! 250 ms is kept, once, in order, and shown. [`Recorder`] has both for a test,
//! with three browsers.

mod recorder;
mod truth;
mod verdict;

pub use recorder::Recorder;
pub(crate) use truth::Pulse;
pub use truth::{Away, Files, STOOD, TruthLog, Written};
pub use verdict::{ContentRow, Shown, Verdict, newest_shown, reached, shown_by, verdict};
