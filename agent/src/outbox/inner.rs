//! The outbox behind its lock: the database while there is one, and what makes
//! room in it.

use std::collections::BTreeSet;
use std::path::Path;

use protocol::Event;
use uuid::Uuid;

use super::store::{Store, StoreError};
use crate::change::Known;

/// What is done with it; one may fail while another works, as on a full disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Read,
    Record,
    Other,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// None while it cannot be opened, e.g. because the disk is full.
    pub(super) store: Option<Store>,
    pub(super) boot: Uuid,
    pub(super) next_seq: u64,
    /// The largest id that was given in this boot.
    pub(super) last_id: i64,
    /// The limit was reached in this boot.
    pub(super) overflowed: bool,
    /// Older events have given way since the limit was reached.
    pub(super) coalesced: bool,
    /// The disk had no room for the last event.
    pub(super) disk_full: bool,
    /// What failed when it was tried last, and was said.
    pub(super) failing: BTreeSet<Work>,
    /// An event was refused for want of room.
    pub(super) refused: bool,
    /// Events that the broker has, and that could not be dropped yet.
    pub(super) acknowledged: Vec<i64>,
}

impl Inner {
    /// Nothing is open yet.
    pub(super) fn new() -> Self {
        Self {
            store: None,
            boot: Uuid::now_v7(),
            next_seq: 1,
            last_id: 0,
            overflowed: false,
            coalesced: false,
            disk_full: false,
            failing: BTreeSet::new(),
            refused: false,
            acknowledged: Vec::new(),
        }
    }

    pub(super) fn store(&mut self) -> Result<&mut Store, StoreError> {
        let missing = || StoreError::Damaged("it is not open".to_owned());
        self.store.as_mut().ok_or_else(missing)
    }

    pub(super) fn record(
        &mut self,
        event: &mut Event,
        path: &Path,
        known: &mut Known,
        grown: Option<&str>,
    ) -> Result<(), StoreError> {
        self.drop_acknowledged()?;
        let at_limit = self.store()?.is_at_limit()?;
        if at_limit && !self.coalesced {
            self.make_room()?;
        }
        let coalesce = at_limit || self.disk_full;
        let id = match self.store()?.record(event, path, known, grown, coalesce) {
            // Once more, now that there may be room.
            Err(error) if error.is_full() && !coalesce => {
                self.disk_full = !matches!(error, StoreError::Limit(_));
                self.make_room()?;
                self.store()?.record(event, path, known, grown, true)
            }
            result => result,
        }?;
        self.disk_full = false;
        self.last_id = self.last_id.max(id);
        if self.coalesced && self.store()?.is_half_empty()? {
            self.coalesced = false;
        }
        Ok(())
    }

    /// The same for an event of no file.
    pub(super) fn record_call(&mut self, event: &Event) -> Result<(), StoreError> {
        self.drop_acknowledged()?;
        if self.store()?.is_at_limit()? && !self.coalesced {
            self.make_room()?;
        }
        let id = self.store()?.record_call(event)?;
        self.last_id = self.last_id.max(id);
        Ok(())
    }

    /// Of each file only the newest event stays.
    fn make_room(&mut self) -> Result<(), StoreError> {
        tracing::warn!("the outbox is full: only the newest state of each file is kept");
        self.overflowed = true;
        self.coalesced = true;
        let store = self.store()?;
        store.checkpoint()?;
        store.coalesce_all()?;
        store.checkpoint()
    }

    pub(super) fn drop_acknowledged(&mut self) -> Result<(), StoreError> {
        if !self.acknowledged.is_empty() {
            let ids = std::mem::take(&mut self.acknowledged);
            let dropped = self.store()?.acknowledge(&ids);
            if dropped.is_err() {
                self.acknowledged = ids;
            }
            return dropped;
        }
        Ok(())
    }
}
