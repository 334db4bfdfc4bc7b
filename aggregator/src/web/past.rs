//! Listings at a moment, for the API and the pages alike.

use protocol::Timestamp;
use protocol::page::{BuildFilter, BuildPage};

use super::App;
use super::error::ApiError;
use crate::history;
use crate::live;
use crate::store::Filter;

/// Clocks of two machines may be apart by this, milliseconds: a moment no further ahead of ours is now.
const CLOCKS_APART_MS: i64 = 60_000;

/// Refuses a moment that has not come: nobody knows how it will be.
///
/// # Errors
/// When it is ahead of our clock by more than clocks are apart.
pub(super) fn has_come(at: Timestamp) -> Result<(), ApiError> {
    let now = live::now();
    match at.millis_since(now) > CLOCKS_APART_MS {
        true => Err(ApiError::to_come(now)),
        false => Ok(()),
    }
}

impl App {
    /// The moment to show; none for now.
    ///
    /// # Errors
    /// When it is past retention, or has not come.
    pub(super) fn past(&self, at: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
        at.map_or(Ok(()), has_come)?;
        let now = live::now();
        let retention_ms = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let oldest = Timestamp::from_millis(now.as_millis().saturating_sub(retention_ms));
        match at {
            Some(at) if at < oldest => Err(ApiError::before_retention(oldest)),
            Some(at) if at < now => Ok(Some(at)),
            _ => Ok(None),
        }
    }

    /// A page of builds, as they are or as they were.
    pub(super) async fn builds(&self, filter: &BuildFilter) -> Result<BuildPage, ApiError> {
        let filter = Filter::check(filter)?;
        match self.past(filter.at)? {
            Some(at) => self.ask(history::builds_at(&self.store, &filter, at)).await,
            None => self.ask(self.store.builds(&filter)).await,
        }
    }
}
