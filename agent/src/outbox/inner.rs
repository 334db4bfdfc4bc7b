//! The outbox behind its lock: the database while there is one, and what makes
//! room in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use protocol::{AgentId, Event};
use uuid::Uuid;

use super::now_ms;
use super::queue::Item;
use super::refusals::{self, Refusals};
use super::store::{Refused, Store, StoreError};
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
    /// Events in the transaction that is open, each as it is noted when that fails.
    open: Vec<(PathBuf, Refused)>,
    /// States that are not in it.
    pub(super) refusals: Refusals,
    /// What the watching thread takes as written is not.
    pub(super) undone: bool,
}

/// Queued events that share a transaction: the disk is waited for once.
const IN_ONE_TRANSACTION: usize = 64;

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
            open: Vec::new(),
            refusals: Refusals::default(),
            undone: false,
        }
    }

    pub(super) fn store(&mut self) -> Result<&mut Store, StoreError> {
        let missing = || StoreError::Damaged("it is not open".to_owned());
        self.store.as_mut().ok_or_else(missing)
    }

    /// Writes what was queued, as far as it can be.
    pub(super) fn write_all(&mut self, items: Vec<Item>, agent: AgentId) -> Result<(), StoreError> {
        let together = items.len() > 1;
        let mut items = items.into_iter();
        let written = items.try_for_each(|item| self.write(item, agent, together));
        let written = written.and(self.commit());
        for (path, state) in items.filter_map(|item| item.state()) {
            self.refuse(&path, state);
        }
        // The watching thread takes as written what is not, and reads everything again.
        self.undone |= written.is_err();
        written
    }

    /// Writes one thing. `together`: in a transaction that stays open for others.
    pub(super) fn write(
        &mut self,
        item: Item,
        agent: AgentId,
        together: bool,
    ) -> Result<(), StoreError> {
        match item {
            Item::Event {
                mut event,
                path,
                known,
                grown,
            } => {
                event.agent = agent;
                event.boot = self.boot;
                event.seq = self.next_seq;
                self.next_seq += 1;
                let recorded = self.record(&mut event, &path, &known, grown.as_deref(), together);
                if recorded.is_err() && grown.is_none() {
                    self.refuse(&path, refusals::of(&event));
                }
                recorded?;
                tracing::debug!(
                    path = %path.display(),
                    event.kind = ?event.kind,
                    event.id = event.message_id(),
                    "state file changed"
                );
                Ok(())
            }
            Item::Known { path, known } => self.store()?.remember(&path, &known, now_ms()),
            Item::Grown { path, saved } => self.store()?.save_grown(&path, &saved),
        }
    }

    fn record(
        &mut self,
        event: &mut Event,
        path: &Path,
        known: &Known,
        grown: Option<&str>,
        together: bool,
    ) -> Result<(), StoreError> {
        self.drop_acknowledged()?;
        let at_limit = self.store()?.is_at_limit()?;
        let alone = !together || at_limit || self.disk_full || !self.failing.is_empty();
        if alone || self.open.len() >= IN_ONE_TRANSACTION {
            self.commit()?;
        }
        if !alone {
            self.store()?.begin()?;
        }
        if at_limit && !self.coalesced {
            self.make_room()?;
        }
        // Each event of a growing file tells all before it: nothing of it is missing.
        let before = self
            .refusals
            .before(path, event)
            .filter(|_| grown.is_none());
        event.gap |= before == Some(true);
        let settles = before.is_some();
        let coalesce = at_limit || self.disk_full;
        let recorded = self
            .store()?
            .record(event, path, known, grown, coalesce, settles);
        let id = match recorded {
            // Once more, now that there may be room.
            Err(error) if error.is_full() && !coalesce => {
                self.commit()?;
                self.disk_full = !matches!(error, StoreError::Limit(_));
                self.make_room()?;
                self.store()?
                    .record(event, path, known, grown, true, settles)
            }
            result => result,
        }?;
        self.disk_full = false;
        if settles {
            self.refusals.told(path);
        }
        if self.store()?.is_open() {
            self.open.push((path.to_owned(), refusals::of(event)));
        }
        self.last_id = self.last_id.max(id);
        if self.coalesced && self.store()?.is_half_empty()? {
            self.coalesced = false;
        }
        Ok(())
    }

    /// Commits what is open.
    fn commit(&mut self) -> Result<(), StoreError> {
        let open = std::mem::take(&mut self.open);
        let Some(store) = &mut self.store else {
            // It was damaged, and everything is read again.
            return Ok(());
        };
        let committed = store.commit();
        if committed.is_err() {
            for (path, state) in open {
                self.refuse(&path, state);
            }
        }
        committed
    }

    /// Notes that a state is not in it, over a kill too where there is room for that.
    pub(super) fn refuse(&mut self, path: &Path, state: Refused) {
        let Some(now) = self.refusals.note(path, state) else {
            return;
        };
        if let Some(store) = &self.store
            && let Err(error) = store.save_refused(path, now)
        {
            tracing::debug!(path = %path.display(), %error, "failed to keep that a state was refused");
        }
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
        // What the broker has does not give way.
        self.drop_acknowledged()?;
        let store = self.store()?;
        store.checkpoint()?;
        store.coalesce_all()?;
        store.checkpoint()
    }

    pub(super) fn drop_acknowledged(&mut self) -> Result<(), StoreError> {
        // In a transaction that may be undone they would be forgotten.
        if !self.acknowledged.is_empty() && !self.store()?.is_open() {
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
