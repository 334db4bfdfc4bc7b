//! What crosses a wire in Phaseline, and the rules that both ends share: the
//! event an agent publishes, the build and host that the API serves, the
//! frames of the stream, the subjects, the content hash. No I/O, no clock.

pub mod build;
pub mod calls;
pub mod canonical;
pub mod event;
pub mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod host;
pub mod json;
pub mod log;
pub mod mapping;
pub mod mask;
pub mod merge_patch;
pub mod money;
pub mod page;
pub mod presence;
mod storable;
pub mod subject;
pub mod text;
pub mod timestamp;
pub mod units;

pub use build::{Build, BuildState, Phase, PhaseState};
pub use calls::{CallPage, Calls, HostCalls, RouteStatus, RunnerStatus};
pub use canonical::{ContentHash, Document};
pub use event::{AgentId, Event, EventKind, Git, ProjectToken, Unreadable, UnreadableReason};
pub use frame::{Frame, FrameType, Source};
pub use host::{CalledHost, Host, HostAnswer, HostState};
pub use log::{LogBatch, LogLine, LogNews, LogPage};
pub use money::Money;
pub use presence::{Presence, RootState, RootStatus};
pub use timestamp::Timestamp;
