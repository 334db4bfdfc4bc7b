//! One transaction for what one turn of the watching thread writes. While it
//! is open the disk is waited for once and not once for each of many files,
//! and nothing in it is given out: a process killed meanwhile never wrote it.

use super::{Store, StoreError};

impl Store {
    /// What is written from now on is committed by [`Self::commit`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        if self.is_open() {
            return Ok(());
        }
        Ok(self.db.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// A transaction is open.
    pub(crate) fn is_open(&self) -> bool {
        !self.db.is_autocommit()
    }

    /// Commits what is open. `Ok(false)`: nothing was.
    ///
    /// # Errors
    /// See [`StoreError`]; then everything in it is undone, as it also is
    /// after some errors of a statement in it.
    pub(crate) fn commit(&mut self) -> Result<bool, StoreError> {
        let wrote = self.committed < i64::MAX;
        self.committed = i64::MAX;
        if !self.is_open() {
            return if wrote {
                Err(self.undone()?)
            } else {
                Ok(false)
            };
        }
        if let Err(error) = self.db.execute_batch("COMMIT") {
            if self.is_open() {
                self.db.execute_batch("ROLLBACK")?;
            }
            self.undone()?;
            return Err(error.into());
        }
        Ok(wrote)
    }

    /// What was counted is read anew.
    fn undone(&mut self) -> Result<StoreError, StoreError> {
        self.fresh.forget();
        self.count()?;
        Ok(StoreError::Undone)
    }

    #[cfg(test)]
    pub(crate) fn give_up_the_turn(&self) {
        self.db.execute_batch("ROLLBACK").unwrap();
    }
}
