//! An agent without files: publishes events straight to the stream, for tests
//! of what comes after an agent, and messages that no agent would send.

use std::path::{Path, PathBuf};

use async_nats::jetstream::{self, Context, context::PublishAckFuture, message::PublishMessage};
use protocol::{AgentId, Document, Event, EventKind, ProjectToken, Timestamp, subject};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::nats::Nats;
use crate::writer::{DIRECTORY, PHASE};

/// Publishes as one agent in one boot.
#[derive(Debug)]
pub struct Publisher {
    stream: Context,
    agent: AgentId,
    boot: Uuid,
    seq: u64,
    host: String,
}

impl Publisher {
    /// As an agent of `host`, with an agent's rights.
    pub async fn connect(nats: &Nats, host: &str) -> Self {
        Self {
            stream: jetstream::new(nats.agent_client().await),
            agent: AgentId(rand::random()),
            boot: Uuid::now_v7(),
            seq: 0,
            host: host.to_owned(),
        }
    }

    /// The next event of a project's phase file; its place in the file system is made up.
    ///
    /// # Panics
    /// When the document is none of a producer's.
    pub fn event(&mut self, project: &str, document: &Value) -> Event {
        let text = document.to_string();
        let parsed = Document::parse(text.as_bytes(), &["last_updated"]).expect("JSON");
        let dir = directory(project);
        let now = Timestamp::from_system_time(std::time::SystemTime::now());
        self.seq += 1;
        Event {
            v: protocol::event::EVENT_VERSION,
            agent: self.agent,
            boot: self.boot,
            seq: self.seq,
            host: self.host.clone(),
            producer: "context-foundry".to_owned(),
            project_token: ProjectToken::of(&dir),
            project: project.to_owned(),
            root: "made-up".to_owned(),
            path: project.to_owned(),
            file: format!("{DIRECTORY}/{PHASE}"),
            kind: EventKind::Content,
            found: false,
            recreated: false,
            gap: false,
            changed_at: now,
            observed_at: now,
            hash: Some(parsed.hash),
            size: u64::try_from(text.len()).unwrap_or(u64::MAX),
            document: Some(RawValue::from_string(parsed.text).expect("canonical JSON")),
            session: None,
            near: None,
            unreadable: None,
            git: None,
        }
    }

    /// The id of the n-th build of a made-up project.
    #[must_use]
    pub fn build_id(&self, project: &str, run: u32) -> String {
        subject::build_id(&self.host, ProjectToken::of(&directory(project)), run)
    }

    /// Publishes the next event of a project and waits until the stream has it.
    ///
    /// # Panics
    /// When the stream refuses.
    pub async fn tell(&mut self, project: &str, document: &Value) {
        let event = self.event(project, document);
        self.send(&event).await;
    }

    /// Publishes an event and waits until the stream has it.
    ///
    /// # Panics
    /// When the stream refuses.
    pub async fn send(&self, event: &Event) {
        self.send_soon(event)
            .await
            .await
            .expect("the stream takes the event");
    }

    /// Publishes an event; the answer of the stream can be awaited later.
    ///
    /// # Panics
    /// When the connection is closed.
    pub async fn send_soon(&self, event: &Event) -> PublishAckFuture {
        let payload = serde_json::to_vec(event).expect("an event is JSON");
        let message = PublishMessage::build()
            .payload(payload.into())
            .message_id(event.message_id());
        let sent = self
            .stream
            .send_publish(subject::event(event), message)
            .await;
        sent.expect("the connection is open")
    }

    /// Publishes any bytes on any subject and waits until the stream has them.
    ///
    /// # Panics
    /// When the stream refuses.
    pub async fn raw(&self, subject: &str, payload: impl Into<bytes::Bytes>) {
        self.raw_soon(subject, payload)
            .await
            .await
            .expect("the stream takes the message");
    }

    /// Publishes any bytes on any subject; the answer of the stream can be awaited later.
    ///
    /// # Panics
    /// When the connection is closed.
    pub async fn raw_soon(
        &self,
        subject: &str,
        payload: impl Into<bytes::Bytes>,
    ) -> PublishAckFuture {
        let sent = self
            .stream
            .publish(subject.to_owned(), payload.into())
            .await;
        sent.expect("the connection is open")
    }
}

fn directory(project: &str) -> PathBuf {
    Path::new("/made-up").join(project)
}
