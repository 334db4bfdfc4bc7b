//! Calls of producers in the outbox. The caller is told that it is safe, so
//! that a call never gives way to a newer one: without room it is refused.

use protocol::Event;

use super::inner::Work;
use super::{Outbox, OutboxError};

impl Outbox {
    /// Gives a call of a producer its identity and writes it.
    ///
    /// # Errors
    /// See [`OutboxError`]; then nothing was written.
    pub(crate) fn record_call(&self, event: &mut Event) -> Result<(), OutboxError> {
        // In its turn, if that is possible.
        let _ = self.write();
        self.with(Work::Record, |inner| {
            event.agent = self.agent;
            event.boot = inner.boot;
            event.seq = inner.next_seq;
            inner.record_call(event)?;
            inner.next_seq += 1;
            Ok(())
        })?;
        self.syncer.written();
        self.added.notify_one();
        Ok(())
    }
}
