//! The state behind the preview, and what happens in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashboard::{ListError, Overview, Past, Source, Unavailable};
use protocol::page::{
    BudgetStatus, BuildFilter, BuildPage, CostFilter, CostPage, DeadLetter, EventPage, Readiness,
    StoredEvent,
};
use protocol::{Build, BuildState, Calls, Host, PhaseState, Timestamp};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;

use crate::invented::Scene;
use crate::{calls, money};

/// Frames kept for a slow reader of a preview.
const FRAMES: usize = 256;

/// Everything, shared.
#[derive(Clone)]
pub(crate) struct World {
    scene: Scene,
    inner: Arc<Mutex<Inner>>,
    pub(crate) frames: broadcast::Sender<String>,
}

struct Inner {
    builds: Vec<Build>,
    hosts: Vec<Host>,
    seq: u64,
}

impl World {
    pub(crate) fn new(scene: Scene) -> Self {
        let now = now();
        let builds = scene.builds(now);
        let seq = builds.len() as u64;
        let inner = Inner {
            builds,
            hosts: scene.hosts(now),
            seq,
        };
        Self {
            scene,
            inner: Arc::new(Mutex::new(inner)),
            frames: broadcast::channel(FRAMES).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first frame of a connection.
    pub(crate) fn snapshot(&self) -> String {
        let inner = self.lock();
        let data = json!({"builds": inner.builds, "hosts": inner.hosts, "alerts": []});
        frame("snapshot", &data, "sync", inner.seq)
    }

    /// For ever: one build after the other goes on.
    pub(crate) async fn play(self) {
        for turn in 0_usize.. {
            tokio::time::sleep(Duration::from_millis(1400)).await;
            for frame in self.step(turn) {
                let _ = self.frames.send(frame);
            }
        }
    }

    fn step(&self, turn: usize) -> Vec<String> {
        let mut inner = self.lock();
        let running: Vec<usize> = (0..inner.builds.len())
            .filter(|i| inner.builds[*i].state == BuildState::Running)
            .collect();
        let Some(at) = running.get(turn % running.len().max(1)).copied() else {
            return Vec::new();
        };
        let before = object(&inner.builds[at]);
        inner.seq += 1;
        let seq = inner.seq;
        let build = &mut inner.builds[at];
        advance(build, turn, seq);
        let after = object(build);
        let mut patch = protocol::merge_patch::diff(&before, &after);
        for key in ["id", "seq", "last_updated"] {
            patch.insert(key.to_owned(), after[key].clone());
        }
        let mut frames = vec![frame("build_update", &Value::Object(patch), "event", seq)];
        if build.has_ended() {
            let mut end = Map::new();
            for key in protocol::frame::COMPLETE_MEMBERS {
                end.insert(key.to_owned(), after[key].clone());
            }
            inner.seq += 1;
            end.insert("seq".to_owned(), json!(inner.seq));
            frames.push(frame(
                "build_complete",
                &Value::Object(end),
                "event",
                inner.seq,
            ));
        }
        frames
    }
}

fn advance(build: &mut Build, turn: usize, seq: u64) {
    let time = now();
    build.seq = seq;
    build.changed_at = Some(time.plus_millis(-3));
    build.observed_at = Some(time.plus_millis(-2));
    build.alive_at = build.changed_at;
    build.last_updated = time;
    build.detail = Some(format!(
        "Step {turn}: compiling and running what was written"
    ));
    build
        .fields
        .insert("progress_detail".to_owned(), json!(build.detail));
    if turn % 9 == 8 {
        build.test_iteration = Some(build.test_iteration.unwrap_or(0) + 1);
        if let Some(last) = build.phases.last_mut() {
            last.iterations = Some(last.iterations.unwrap_or(1) + 1);
        }
    }
    if turn % 40 == 39 {
        build.state = if turn % 80 == 79 {
            BuildState::Failed
        } else {
            BuildState::Completed
        };
        build.ended_at = Some(time);
        if let Some(last) = build.phases.last_mut() {
            last.ended_at = Some(time);
            last.state = if build.state == BuildState::Failed {
                PhaseState::Failed
            } else {
                PhaseState::Completed
            };
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_system_time(std::time::SystemTime::now())
}

fn object(build: &Build) -> Map<String, Value> {
    match serde_json::to_value(build) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn frame(kind: &str, data: &Value, source: &str, seq: u64) -> String {
    json!({"type": kind, "data": data, "timestamp": now(), "source": source, "seq": seq})
        .to_string()
}

impl Source for World {
    async fn overview(&self) -> Result<Overview, Unavailable> {
        let inner = self.lock();
        Ok(Overview {
            builds: inner.builds.clone(),
            hosts: inner.hosts.clone(),
            seq: inner.seq,
            now: now(),
            truncated: false,
        })
    }

    async fn build(&self, id: &str) -> Result<Option<Build>, Unavailable> {
        Ok(self
            .lock()
            .builds
            .iter()
            .find(|build| build.id == id)
            .cloned())
    }

    async fn events(
        &self,
        id: &str,
        after: Option<i64>,
        _limit: u32,
    ) -> Result<EventPage, Unavailable> {
        let build = self.build(id).await?.ok_or(Unavailable)?;
        let time = build.started_at.unwrap_or_default();
        let document = serde_json::value::to_raw_value(&build.fields).ok();
        let events = (after.unwrap_or(0) + 1..=6).map(|id| {
            let at = time.plus_millis(id * 61_000);
            StoredEvent {
                id,
                kind: if id == 4 { "unreadable" } else { "content" }.to_owned(),
                file: Some(".context-foundry/current-phase.json".to_owned()),
                late: id == 5,
                found: id == 1,
                changed_at: at,
                observed_at: at.plus_millis(1),
                broker_at: Some(at.plus_millis(2)),
                committed_at: at.plus_millis(3),
                hash: None,
                size: 412,
                document: if id == 4 { None } else { document.clone() },
                message: (id == 4)
                    .then(|| "no JSON after 3 tries: unexpected character at byte 17".to_owned()),
            }
        });
        Ok(EventPage {
            events: events.collect(),
            next: None,
        })
    }

    async fn builds(&self, filter: &BuildFilter) -> Result<BuildPage, ListError> {
        if self.scene == Scene::Away {
            return Err(ListError::Unavailable);
        }
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        let mut builds = self.lock().builds.clone();
        builds.retain(|b| {
            is(&filter.state, b.state.word())
                && is(&filter.host, &b.host)
                && filter.q.as_deref().is_none_or(|q| b.project.contains(q))
        });
        Ok(BuildPage { builds, next: None })
    }

    async fn build_at(&self, id: &str, _at: Timestamp) -> Result<Past<Build>, ListError> {
        Ok(self.build(id).await?.map_or(Past::Never, Past::Was))
    }

    async fn hosts_at(&self, _at: Timestamp) -> Result<Past<Vec<Host>>, ListError> {
        Ok(Past::Was(self.hosts().await?))
    }

    async fn costs(&self, filter: &CostFilter) -> Result<CostPage, ListError> {
        let by = filter.by.as_deref().unwrap_or("day");
        Ok(money::costs(by, &self.lock().builds))
    }

    async fn budgets(&self) -> Result<Vec<BudgetStatus>, Unavailable> {
        Ok(money::budgets(&self.lock().builds, now()))
    }

    async fn hosts(&self) -> Result<Vec<Host>, Unavailable> {
        Ok(self.lock().hosts.clone())
    }

    async fn host(&self, name: &str) -> Result<Option<Host>, Unavailable> {
        Ok(self
            .lock()
            .hosts
            .iter()
            .find(|host| host.name == name)
            .cloned())
    }

    async fn dead_letters(&self, _limit: u32) -> Result<Vec<DeadLetter>, Unavailable> {
        if self.scene != Scene::Normal {
            return Err(Unavailable);
        }
        Ok(vec![DeadLetter {
            id: 1,
            received_at: now(),
            subject: "phaseline.v1.event.build-03.context-foundry.zzz".to_owned(),
            reason: "the project token is not 16 lower-case hex digits".to_owned(),
            size: 912,
            excerpt: "{\"v\":1,\"host\":\"build-03\",\"<b>\":\"x\"}".to_owned(),
        }])
    }

    async fn readiness(&self) -> Readiness {
        let well = self.scene != Scene::Away;
        let word = if well { "connected" } else { "disconnected" };
        Readiness {
            stale: None,
            servers: Vec::new(),
            ready: well,
            nats: "connected".to_owned(),
            postgres: word.to_owned(),
            leadership: if well { "leader" } else { "none" }.to_owned(),
            consumer_lag: well.then_some(0),
            seq: self.lock().seq,
            dead_letters: well.then_some(1),
            alerts: Vec::new(),
        }
    }

    fn calls(&self) -> Calls {
        calls::sample()
    }
}
