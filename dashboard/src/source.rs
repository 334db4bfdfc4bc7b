//! What the pages need from whoever mounts them. The aggregator implements
//! `Source` over its hub and Postgres; the tests and the preview over values.

use std::fmt;
use std::future::Future;

use protocol::page::{
    BudgetStatus, BuildFilter, BuildPage, CostFilter, CostPage, DeadLetter, EventPage, Readiness,
};
use protocol::{Build, Calls, Host, Timestamp};

/// What the live page shows.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The builds of a snapshot: open, ended within 24 h, failed and not acknowledged.
    pub builds: Vec<Build>,
    /// All hosts.
    pub hosts: Vec<Host>,
    /// Everything up to this position is in it.
    pub seq: u64,
    /// When it was read (server clock).
    pub now: Timestamp,
    /// There are more builds than a snapshot holds.
    pub truncated: bool,
}

/// The data cannot be had now: Postgres is away, or nothing was loaded yet.
/// The page says so in plain words; whoever returns this has logged the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read builds: the database cannot be reached")
    }
}

impl std::error::Error for Unavailable {}

/// Why a listing could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListError {
    /// The filter makes no sense; a plain sentence for the reader.
    BadFilter(String),
    /// The data cannot be had now.
    Unavailable,
}

impl From<Unavailable> for ListError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Something as it was at a moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Past<T> {
    /// As it was.
    Was(T),
    /// That moment is now, as near as clocks agree.
    Now,
    /// It was not there yet.
    NotYet,
    /// There never was such a thing.
    Never,
}

/// Where the pages get their data from. Nothing here writes.
pub trait Source: Clone + Send + Sync + 'static {
    /// What the live page shows first.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn overview(&self) -> impl Future<Output = Result<Overview, Unavailable>> + Send;

    /// One build, past ones too; none when there never was such an id.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn build(&self, id: &str) -> impl Future<Output = Result<Option<Build>, Unavailable>> + Send;

    /// A page of a build's events, oldest first, beginning after event `after`.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn events(
        &self,
        id: &str,
        after: Option<i64>,
        limit: u32,
    ) -> impl Future<Output = Result<EventPage, Unavailable>> + Send;

    /// A page of builds, newest first.
    ///
    /// # Errors
    /// When the filter makes no sense, or nothing can be read now.
    fn builds(
        &self,
        filter: &BuildFilter,
    ) -> impl Future<Output = Result<BuildPage, ListError>> + Send;

    /// One build as it was.
    ///
    /// # Errors
    /// When the events that tell are past retention, or nothing can be read now.
    fn build_at(
        &self,
        id: &str,
        at: Timestamp,
    ) -> impl Future<Output = Result<Past<Build>, ListError>> + Send;

    /// All hosts as they were, by name.
    ///
    /// # Errors
    /// When that is past retention, or nothing can be read now.
    fn hosts_at(
        &self,
        at: Timestamp,
    ) -> impl Future<Output = Result<Past<Vec<Host>>, ListError>> + Send;

    /// What builds cost, added up.
    ///
    /// # Errors
    /// When the filter makes no sense, or nothing can be read now.
    fn costs(
        &self,
        filter: &CostFilter,
    ) -> impl Future<Output = Result<CostPage, ListError>> + Send;

    /// How the budgets stand; empty when none is set.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn budgets(&self) -> impl Future<Output = Result<Vec<BudgetStatus>, Unavailable>> + Send;

    /// All hosts, by name.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn hosts(&self) -> impl Future<Output = Result<Vec<Host>, Unavailable>> + Send;

    /// One host; none when it was never heard of.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn host(&self, name: &str) -> impl Future<Output = Result<Option<Host>, Unavailable>> + Send;

    /// The newest messages that were set aside.
    ///
    /// # Errors
    /// When nothing can be read now.
    fn dead_letters(
        &self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, Unavailable>> + Send;

    /// Whether the parts do their work; answers also when they do not.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;

    /// What producers that send have sent to this server.
    fn calls(&self) -> Calls;
}
