//! Plays a row of writes into a track.

use protocol::event::EVENT_VERSION;
use protocol::{AgentId, Build, Document, Event, EventKind, ProjectToken, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fold::{Fact, Outcome, TimerFact, TimerKind, Track};

/// Plays writes into a track, one second apart.
pub(super) struct Play {
    pub(super) track: Track,
    producer: &'static str,
    directory: &'static str,
    pub(super) seq: u64,
    pub(super) now_ms: i64,
}

impl Play {
    pub(super) fn new() -> Self {
        Self::of("context-foundry", ".context-foundry/")
    }

    /// A play of another producer, with the directory in which its files lie.
    pub(super) fn of(producer: &'static str, directory: &'static str) -> Self {
        Self {
            track: Track::new("build-01", producer, ProjectToken(1)),
            producer,
            directory,
            seq: 0,
            now_ms: 1_000_000,
        }
    }

    pub(super) fn event(&mut self, file: &str, kind: EventKind) -> Event {
        self.seq += 1;
        self.now_ms += 1_000;
        let now = Timestamp::from_millis(self.now_ms);
        Event {
            v: EVENT_VERSION,
            agent: AgentId(7),
            boot: Uuid::from_u128(1),
            seq: self.seq,
            host: "build-01".into(),
            producer: self.producer.into(),
            project_token: ProjectToken(1),
            project: "weather".into(),
            root: "src".into(),
            path: "weather".into(),
            file: format!("{}{file}", self.directory),
            kind,
            found: false,
            recreated: false,
            gap: false,
            changed_at: now,
            observed_at: now,
            hash: None,
            size: 0,
            document: None,
            session: None,
            near: None,
            unreadable: None,
            git: None,
        }
    }

    pub(super) fn content(&mut self, file: &str, document: &Value) -> Event {
        let read = Document::parse(document.to_string().as_bytes(), &["last_updated"]).unwrap();
        let mut event = self.event(file, EventKind::Content);
        event.hash = Some(read.hash);
        event.document = Some(serde_json::value::RawValue::from_string(read.text).unwrap());
        event
    }

    pub(super) fn fold(&mut self, event: Event) -> Outcome {
        self.track.fold(&Fact::Observed(event))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "rows of writes read better without &"
    )]
    pub(super) fn state(&mut self, document: Value) -> Outcome {
        let event = self.content("current-phase.json", &document);
        self.fold(event)
    }

    pub(super) fn phase(&mut self, phase: &str, number: &str, status: &str) -> Outcome {
        self.state(json!({"session_id":"weather","current_phase":phase,"phase_number":number,"status":status,"test_iteration":0}))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "rows of writes read better without &"
    )]
    pub(super) fn summary(&mut self, document: Value) -> Outcome {
        let event = self.content("session-summary.json", &document);
        self.fold(event)
    }

    pub(super) fn timer(&mut self, kind: TimerKind) -> Outcome {
        let at = Timestamp::from_millis(self.now_ms);
        self.track.fold(&Fact::Timer(TimerFact { kind, at }))
    }

    pub(super) fn build(&self) -> &Build {
        self.track.current().unwrap()
    }
}
