//! After a commit: frames for everybody who watches, on core NATS, before the
//! acknowledgements, so that no browser waits for those. A frame that is lost
//! costs nothing: its seq is missing, and replicas read Postgres.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use protocol::presence::{Heard, PRESENCE_VERSION};
use protocol::{Frame, FrameType, Host, Source, Timestamp, subject};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::batch::{Change, Plan};
use super::commit::{HostChange, Numbers};
use crate::live::{Incoming, Said};
use crate::nats::Nats;

/// The broker closes a connection that sends a longer protocol line than 4,096 bytes; a host name of
/// hundreds of strange characters would, because it stands in the subject twice and encoded.
pub(super) const MAX_SUBJECT_BYTES: usize = 3_500;
/// For all frames of a commit; only a connection that hangs needs so long.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// A message for core NATS.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
}

/// The frames of a commit, twice: for all replicas on NATS, and for the readers of this one.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) out: Vec<Outgoing>,
    pub(crate) own: Vec<Incoming>,
}

/// The frames of a commit in the order of their seqs; one that cannot be written is left out.
pub(crate) fn frames(
    plan: &Plan<'_>,
    hosts: &[HostChange],
    numbers: &Numbers,
    committed_at: Timestamp,
) -> Frames {
    let mut frames = Frames::default();
    for (change, seqs) in plan.changes.iter().zip(&numbers.builds) {
        let id = change.build.id.clone();
        let subject = subject::live_build(&change.build.host, &id);
        let patch = patch(change, seqs.change, committed_at);
        let update = frame(FrameType::BuildUpdate, patch, seqs.change, committed_at);
        frames.add(&subject, update, |patch| Said::Update { id, patch });
        if let Some(end) = seqs.end {
            let id = change.build.id.clone();
            let data = completion(change, end, committed_at);
            let complete = frame(FrameType::BuildComplete, data, end, committed_at);
            frames.add(&subject, complete, |_| Said::Complete { id });
        }
    }
    for (change, seq) in hosts.iter().zip(&numbers.hosts) {
        let host = as_committed(change, *seq, committed_at);
        let subject = subject::live_host(&host.name);
        let update = frame(FrameType::HostUpdate, host, *seq, committed_at);
        frames.add(&subject, update, |host| Said::Host(Box::new(host)));
    }
    frames
}

impl Frames {
    fn add<T: Serialize>(&mut self, subject: &str, frame: Frame<T>, said: impl FnOnce(T) -> Said) {
        let text = serde_json::to_string(&frame).ok().map(Utf8Bytes::from);
        let (Some(text), Some(seq)) = (text, frame.seq) else {
            return;
        };
        self.out.push(Outgoing {
            subject: subject.to_owned(),
            payload: text.clone().into(),
        });
        self.own.push(Incoming {
            seq,
            at: frame.timestamp,
            said: said(frame.data),
            text,
        });
    }
}

/// A host as its row reads after the commit.
pub(crate) fn as_committed(change: &HostChange, seq: i64, committed_at: Timestamp) -> Host {
    let mut host = change.host.clone();
    host.seq = seq.unsigned_abs();
    host.last_updated = committed_at;
    if change.seen {
        host.last_seen_at = Some(committed_at);
    }
    host
}

fn patch(change: &Change<'_>, seq: i64, committed_at: Timestamp) -> Map<String, Value> {
    let mut patch = change.patch.clone();
    patch.insert("id".to_owned(), json!(change.build.id));
    patch.insert("seq".to_owned(), json!(seq));
    patch.insert("last_updated".to_owned(), json!(committed_at));
    // Presences move it without a frame, so nobody can know which value the readers have.
    patch.insert("alive_at".to_owned(), json!(change.build.alive_at));
    patch
}

fn completion(change: &Change<'_>, seq: i64, committed_at: Timestamp) -> Value {
    let build = &change.build;
    json!({
        "id": build.id,
        "seq": seq,
        "host": build.host,
        "project": build.project,
        "producer": build.producer,
        "run": build.run,
        "state": build.state,
        "state_reason": build.state_reason,
        "started_at": build.started_at,
        "ended_at": build.ended_at,
        "last_updated": committed_at,
    })
}

fn frame<T>(kind: FrameType, data: T, seq: i64, committed_at: Timestamp) -> Frame<T> {
    Frame {
        kind,
        data,
        timestamp: committed_at,
        source: Source::Event,
        seq: Some(seq.unsigned_abs()),
    }
}

/// Publishes in order; answers how many could not be.
pub(crate) async fn publish(nats: &Nats, messages: Vec<Outgoing>) -> u64 {
    let mut left = messages.len() as u64;
    if !nats.is_connected() {
        return left;
    }
    let mut failed = 0;
    let all = async {
        for message in messages {
            let fits = message.subject.len() <= MAX_SUBJECT_BYTES;
            let sent = fits
                && nats
                    .client
                    .publish(message.subject, message.payload)
                    .await
                    .is_ok();
            failed += u64::from(!sent);
            left -= 1;
        }
    };
    if tokio::time::timeout(PUBLISH_TIMEOUT, all).await.is_err() {
        tracing::warn!(
            left,
            "failed to publish changes: the connection to NATS hangs"
        );
    }
    failed + left
}

/// Tells an agent that asks for it which stream its events go to.
pub(crate) async fn answer(nats: &Nats, presence: &Message, stream: Option<&str>) {
    let (Some(reply), Some(stream)) = (&presence.reply, stream) else {
        return;
    };
    let heard = Heard {
        v: PRESENCE_VERSION,
        stream: stream.to_owned(),
    };
    if let Ok(payload) = serde_json::to_vec(&heard) {
        let answer = Outgoing {
            subject: reply.to_string(),
            payload: payload.into(),
        };
        publish(nats, vec![answer]).await;
    }
}

/// Says which change is the newest, so that a replica notices what it missed.
pub(crate) async fn announce(nats: &Nats, seq: i64) {
    let beacon = Outgoing {
        subject: subject::SEQ.to_owned(),
        payload: seq.to_string().into(),
    };
    publish(nats, vec![beacon]).await;
}
