//! Listings at a moment, for the API and the pages alike.

use protocol::Timestamp;
use protocol::page::{BuildFilter, BuildPage};

use super::App;
use super::error::ApiError;
use crate::history;
use crate::live;
use crate::store::Filter;

impl App {
    /// The moment to show; none for now, and a time to come is now.
    ///
    /// # Errors
    /// When it is past retention.
    pub(super) fn past(&self, at: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
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
