//! One transaction for many events that were queued, so that the disk is
//! waited for once. It never outlives the lock of the outbox.

use super::{Store, StoreError};

impl Store {
    /// What is written from now on is committed by [`Self::commit`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        if !self.is_open() {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
            self.begun_many = true;
        }
        Ok(())
    }

    /// A transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        !self.db.is_autocommit()
    }

    /// Commits what is open, if something is.
    ///
    /// # Errors
    /// See [`StoreError`]; then everything in it is undone, as it also is
    /// after some errors of a statement in it.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.begun_many) {
            return Ok(());
        }
        if !self.is_open() {
            return Err(self.undone()?);
        }
        if let Err(error) = self.db.execute_batch("COMMIT") {
            if self.is_open() {
                self.db.execute_batch("ROLLBACK")?;
            }
            self.undone()?;
            return Err(error.into());
        }
        Ok(())
    }

    /// What was counted is read anew.
    fn undone(&mut self) -> Result<StoreError, StoreError> {
        self.fresh.forget();
        self.count()?;
        Ok(StoreError::Undone)
    }
}
