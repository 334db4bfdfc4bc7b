//! A build as it was at a moment: its track's facts until then, folded again.

use protocol::{Build, Timestamp};

use super::{replay, whole};
use crate::store::{Store, StoreError};

/// A build at a moment.
#[derive(Debug)]
pub(crate) enum Moment {
    /// As it was; `seq` is 0, as a moment has no place in the order of changes.
    Was(Box<Build>),
    /// It had not begun.
    NotYet,
    /// There is no such build.
    NoBuild,
    /// The events that tell are past retention.
    Forgotten,
}

/// Tells how a build was when everything committed by `at` had been folded.
///
/// # Errors
/// When Postgres cannot be asked or holds what this program does not write.
pub(crate) async fn build_at(store: &Store, id: &str, at: Timestamp) -> Result<Moment, StoreError> {
    let Some(key) = store.track_of(id).await? else {
        return Ok(Moment::NoBuild);
    };
    let runs = store.runs(&key).await?;
    let (before, runs) = whole(&runs);
    if !runs.iter().any(|run| run.build.id == id) {
        return Ok(Moment::Forgotten);
    }
    let mut replay = replay(store, &key, before, runs, Some(at)).await?;
    Ok(match replay.builds.remove(id) {
        Some((mut build, changed)) => {
            build.last_updated = changed;
            Moment::Was(Box::new(build))
        }
        None => Moment::NotYet,
    })
}
