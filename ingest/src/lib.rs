//! Producers that send instead of writing files: their calls, unmodified, as
//! one router. A call becomes what a file would have become, an observation
//! with a document; what it means is the fold's. Where it is kept is the
//! [`Sink`]'s: the agent's outbox, or the stream.
//!
//! A call is answered with success only when what it said is safe. The answers
//! are those that the original callers expect.

mod admit;
mod answer;
mod call;
mod described;
mod event;
mod handshake;
mod lines;
mod masked;
mod producers;
mod router;
mod runner;
mod serve;
mod status;
#[cfg(test)]
mod tests;

pub use admit::Admission;
pub use call::{Call, Place};
pub use described::{Described, Member, PARAMETERS, described};
pub use handshake::{switching, websocket_key};
pub use lines::{Carried, Carrier, Lines, Paid};
pub use router::{Ingest, router};
pub use serve::serve;
pub use status::Status;

/// Largest body of a call, bytes: the largest document.
pub const MAX_BODY: usize = 1024 * 1024;

/// Why a call was not kept; the caller may try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotKept(pub String);

/// Where calls are kept.
pub trait Sink: Send + Sync + 'static {
    /// Keeps a call; returns when it is safe.
    ///
    /// # Errors
    /// When it is not: the caller is told to try again.
    fn keep(&self, call: Call) -> impl Future<Output = Result<(), NotKept>> + Send;
}
