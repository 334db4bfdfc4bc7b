//! The way of the lines: one batch at a time, in order, again until the broker
//! has it. Nothing here knows NATS.

use std::time::{Duration, Instant};

use protocol::{LogBatch, subject};

use super::Lines;
use super::waiting::Next;

/// Pauses after a failure to send.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Told to stop, what waits has this long to be taken: it is nowhere else.
const LAST: Duration = Duration::from_secs(2);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// The broker has it.
    Stored,
    /// No broker like this one takes it; why.
    Never(String),
    /// To be sent again; why.
    Again(String),
}

/// Brings messages to the stream of log lines.
pub trait Carrier: Send + Sync {
    /// Sends a message and waits until it is stored. `id`: the same for the same message sent again.
    fn carry(
        &self,
        subject: String,
        id: String,
        payload: Vec<u8>,
    ) -> impl Future<Output = Carried> + Send;
}

impl Lines {
    /// Sends what comes until `ended`, and then what is left, within 2 s.
    pub async fn ship<C: Carrier>(&self, carrier: &C, ended: impl Future<Output = ()> + Send) {
        let mut shipper = Shipper {
            lines: self,
            carrier,
            held: None,
            failures: 0,
        };
        tokio::select! {
            () = ended => {}
            () = shipper.go_on() => {}
        }
        if tokio::time::timeout(LAST, shipper.rest()).await.is_err() {
            tracing::warn!("some log lines of runners are lost: the broker did not take them");
        }
    }
}

struct Shipper<'a, C> {
    lines: &'a Lines,
    carrier: &'a C,
    /// On its way: kept here, so that it is not lost when the sending is given up.
    held: Option<Box<LogBatch>>,
    failures: u32,
}

impl<C: Carrier> Shipper<'_, C> {
    async fn go_on(&mut self) {
        loop {
            self.send().await;
            let next = self.lines.lock().next(Instant::now(), false);
            match next {
                Next::Batch(batch) => self.held = Some(batch),
                Next::Later(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.lines.news.notified() => {}
                },
                Next::Nothing => self.lines.news.notified().await,
            }
        }
    }

    async fn rest(&mut self) {
        loop {
            self.send().await;
            let next = self.lines.lock().next(Instant::now(), true);
            match next {
                Next::Batch(batch) => self.held = Some(batch),
                Next::Later(_) | Next::Nothing => return,
            }
        }
    }

    /// Sends what is held, as often as it takes.
    async fn send(&mut self) {
        while let Some(batch) = &self.held {
            let Ok(payload) = serde_json::to_vec(batch) else {
                self.held = None;
                return;
            };
            let subject = subject::log(&batch.host, batch.project_token);
            match self
                .carrier
                .carry(subject, batch.message_id(), payload)
                .await
            {
                Carried::Stored => {
                    if std::mem::take(&mut self.failures) > 0 {
                        tracing::info!("log lines of runners are shipped again");
                    }
                    self.held = None;
                }
                Carried::Never(reason) => {
                    tracing::warn!(reason, "some log lines of a runner are left out");
                    self.held = None;
                }
                Carried::Again(reason) => {
                    if self.failures == 0 {
                        tracing::warn!(
                            reason,
                            "failed to ship log lines of a runner; they are sent again"
                        );
                    }
                    self.failures = self.failures.saturating_add(1);
                    let pause = PAUSE_MIN * 2_u32.pow(self.failures.min(8) - 1);
                    tokio::time::sleep(pause.min(PAUSE_MAX)).await;
                }
            }
        }
    }
}
