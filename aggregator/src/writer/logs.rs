//! Log lines: a task of the leader beside its loop, with a stream, a consumer
//! and transactions of its own, so that no flood of lines holds up an event.
//! Two of them for a moment (a change of the leader) do no harm: what is
//! stored of a file is known by its offset, under a lock of its row.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use futures::StreamExt as _;
use protocol::{Frame, FrameType, LogBatch, Source, subject};

use crate::alerts::Alerts;
use crate::live::now;
use crate::metrics::{Kind, Metrics};
use crate::nats::{MAX_LOG_BATCHES, Nats, log_messages};
use crate::store::{BuildLines, LogLimits, Store, answered};

/// After a failure it begins anew in this time.
const RETRY: Duration = Duration::from_secs(1);
/// Acknowledging, and telling browsers.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// Said when the stream that lines were taken from is no more.
const STREAM_GONE: &str = "the stream PHASELINE_LOGS was gone and is made anew: lines that it held and that were not written yet are lost, and counted as skipped";

/// What the task needs.
pub(super) struct LogWriter {
    pub(super) store: Store,
    pub(super) nats: Nats,
    pub(super) metrics: Arc<Metrics>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) limits: LogLimits,
}

impl LogWriter {
    /// Takes lines for as long as this replica leads.
    pub(super) async fn run(self) {
        let (mut told, mut had_stream) = (false, false);
        loop {
            let mut connected = self.nats.connected.clone();
            if connected.wait_for(|connected| *connected).await.is_err() {
                return;
            }
            let mut worked = false;
            let Err(reason) = self.take(&mut worked, &mut had_stream).await;
            if worked {
                told = false;
            }
            // Said once for an outage. Events have alerts of their own.
            if std::mem::replace(&mut told, true) {
                tracing::debug!(reason, "still no log lines");
            } else {
                tracing::warn!(reason, "no log lines for now: beginning anew");
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn take(
        &self,
        worked: &mut bool,
        had_stream: &mut bool,
    ) -> Result<std::convert::Infallible, String> {
        let mut losses = self.nats.losses.clone();
        losses.mark_unchanged();
        let taken = log_messages(&self.nats.jetstream()).await?;
        // Before it had one there was nothing to lose.
        if std::mem::replace(had_stream, true) && taken.created {
            tracing::warn!(
                stream = subject::LOG_STREAM,
                "created the stream: there was none"
            );
            self.alerts
                .note(STREAM_GONE.to_owned(), super::STREAM_GONE_REMEDY);
        }
        let mut messages = taken.messages.ready_chunks(MAX_LOG_BATCHES);
        loop {
            let chunk = tokio::select! {
                biased;
                _ = losses.changed() => return Err("the connection to NATS was lost".to_owned()),
                chunk = messages.next() => chunk.ok_or("the consumer ended")?,
            };
            let mut taken = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for item in chunk {
                match item {
                    Ok(message) => taken.push(message),
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            self.store(&taken).await?;
            *worked |= !taken.is_empty();
            if let Some(reason) = failed {
                return Err(reason);
            }
        }
    }

    /// Commits, tells, acknowledges.
    async fn store(&self, messages: &[Message]) -> Result<(), String> {
        let batches: Vec<LogBatch> = messages.iter().filter_map(|m| self.decode(m)).collect();
        let stored = answered(self.store.store_logs(&batches, self.limits));
        let told = stored.await.map_err(|error| error.to_string())?;
        let lines: usize = batches.iter().map(|batch| batch.lines.len()).sum();
        self.metrics.writer.log_lines.inc_by(lines as u64);
        let rest = async {
            for lines in &told {
                self.tell(lines).await;
            }
            for message in messages {
                message.ack().await.map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        match tokio::time::timeout(SEND_TIMEOUT, rest).await {
            Ok(done) => done,
            // They are committed: they come again and change nothing.
            Err(_) => Err("the connection to NATS hangs".to_owned()),
        }
    }

    /// What cannot be stored is counted and dropped: it is no event.
    fn decode(&self, message: &Message) -> Option<LogBatch> {
        let refused = match LogBatch::decode(&message.payload) {
            Ok(batch) => {
                let expected = subject::log(&batch.host, batch.project_token);
                if expected == *message.subject {
                    return Some(batch);
                }
                format!("the lines belong on {expected}")
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(subject = %message.subject, reason = refused, "a message holds no log lines: it is dropped");
        let kind = "log";
        let letters = &self.metrics.writer.dead_letters;
        letters.get_or_create(&Kind { kind }).inc();
        None
    }

    /// A frame that is lost is seen in the numbers of the next; the API has the lines.
    async fn tell(&self, lines: &BuildLines) {
        let frame = Frame {
            kind: FrameType::Log,
            data: &lines.news,
            timestamp: now(),
            source: Source::Event,
            seq: None,
        };
        let Ok(payload) = serde_json::to_vec(&frame) else {
            return;
        };
        let subject = subject::live_log(&lines.host, &lines.news.id);
        if subject.len() > super::publish::MAX_SUBJECT_BYTES {
            return;
        }
        let sent = self.nats.client.publish(subject, payload.into()).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "failed to tell of log lines");
        }
    }
}
