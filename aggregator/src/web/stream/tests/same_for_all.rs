//! Random changes, losses, slow readers and broken connections: every reader
//! ends with the same builds, and sees no change twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use protocol::merge_patch;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::super::Wishes;
use super::super::talk::Talk;
use crate::live::testing::{Leader, hub};
use crate::live::{Hub, OutFrame};

/// A browser: what it holds, and what must not happen to it.
#[derive(Default)]
struct Browser {
    talk: Option<Talk>,
    wants_less: bool,
    builds: BTreeMap<String, Map<String, Value>>,
    since: Option<u64>,
    first_seq: Option<u64>,
    snapshots: u32,
    completed: BTreeSet<(String, u64)>,
}

impl Browser {
    fn connect(&mut self, hub: &Arc<Hub>, cut: usize) {
        let wishes = Wishes {
            since: self.since,
            ..Wishes::default()
        };
        let joined = hub.join(self.since, &wishes.filter).unwrap();
        let (mut talk, frames) = Talk::begin(Arc::clone(hub), wishes, joined, Instant::now());
        if self.wants_less {
            // The least: everything after the first change waits for a flush.
            talk.set_rate(0.1);
        }
        self.talk = Some(talk);
        self.receive(&frames, cut);
    }

    /// Takes what has come; the connection may break after `cut` frames.
    fn read(&mut self, cut: usize) {
        let Some(talk) = &mut self.talk else { return };
        let news = match talk.news.try_recv() {
            Ok(news) => Ok(news),
            Err(TryRecvError::Lagged(count)) => Err(RecvError::Lagged(count)),
            Err(_) => return,
        };
        let frames = talk.take(news);
        self.receive(&frames, cut);
    }

    fn flush(&mut self, cut: usize) {
        if let Some(talk) = &mut self.talk {
            let frames = talk.flush();
            self.receive(&frames, cut);
        }
    }

    fn beat(&mut self) {
        if let Some(talk) = &self.talk {
            let heartbeat = talk.heartbeat();
            self.receive(&[heartbeat], usize::MAX);
        }
    }

    fn receive(&mut self, frames: &[OutFrame], cut: usize) {
        for frame in frames.iter().take(cut) {
            let text: Value = serde_json::from_str(&frame.text).unwrap();
            self.apply(&text);
        }
        if frames.len() > cut {
            self.talk = None;
        }
    }

    fn apply(&mut self, frame: &Value) {
        let seq = frame["seq"].as_u64().unwrap();
        let data = frame["data"].as_object().unwrap();
        let kind = frame["type"].as_str().unwrap();
        if kind == "snapshot" {
            self.snapshots += 1;
            self.first_seq.get_or_insert(seq);
            let builds = data["builds"].as_array().unwrap();
            let build = |build: &Value| {
                (
                    build["id"].as_str().unwrap().to_owned(),
                    build.as_object().unwrap().clone(),
                )
            };
            self.builds = builds.iter().map(build).collect();
            self.since = Some(seq);
            return;
        }
        let last = self.since.unwrap();
        assert!(
            seq > last || (kind == "heartbeat" && seq == last),
            "{kind} {seq} came after {last}"
        );
        self.since = Some(seq);
        if kind == "heartbeat" {
            return;
        }
        let id = data["id"].as_str().unwrap().to_owned();
        if kind == "build_complete" {
            assert!(self.completed.insert((id, seq)), "a completion came twice");
            return;
        }
        let known = self.builds.get(&id).and_then(|build| build["seq"].as_u64());
        assert!(known < data["seq"].as_u64(), "a change came twice");
        match kind {
            "build" => {
                self.builds.insert(id, data.clone());
            }
            "build_update" => {
                let held = known.is_some() || data.contains_key("run");
                assert!(held, "a patch of a build that this reader does not hold");
                merge_patch::apply(self.builds.entry(id).or_default(), data);
            }
            other => panic!("{other}"),
        }
    }

    /// Nothing that is null was sent for a new build, so nulls are not compared.
    fn assert_holds(&self, leader: &Leader) {
        let plain = |map: &Map<String, Value>| -> Map<String, Value> {
            map.clone()
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect()
        };
        assert_eq!(self.builds.len(), leader.builds().count());
        for (id, build) in leader.builds() {
            assert_eq!(plain(&self.builds[id]), plain(build));
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A build changes; its frame may be lost between leader and hub.
    Change {
        build: usize,
        member: &'static str,
        lost: bool,
    },
    End {
        build: usize,
        lost: bool,
    },
    CatchUp,
    Read {
        reader: usize,
        cut: usize,
    },
    Flush {
        reader: usize,
        cut: usize,
    },
    Heartbeat {
        reader: usize,
    },
    Reconnect {
        reader: usize,
        cut: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let member = prop::sample::select(vec!["detail", "branch", "issue", "model"]);
    let lost = proptest::bool::weighted(0.05);
    let cut = || prop_oneof![4 => Just(usize::MAX), 1 => 0..4_usize];
    let reader = || 0..3_usize;
    prop_oneof![
        20 => (0..30_usize, member, lost).prop_map(|(build, member, lost)| Step::Change { build, member, lost }),
        1 => (0..30_usize, lost).prop_map(|(build, lost)| Step::End { build, lost }),
        1 => Just(Step::CatchUp),
        12 => (reader(), cut()).prop_map(|(reader, cut)| Step::Read { reader, cut }),
        2 => (reader(), cut()).prop_map(|(reader, cut)| Step::Flush { reader, cut }),
        2 => reader().prop_map(|reader| Step::Heartbeat { reader }),
        1 => (reader(), cut()).prop_map(|(reader, cut)| Step::Reconnect { reader, cut }),
    ]
}

fn play(steps: Vec<Step>) {
    // A ring of 16: readers are often too slow.
    let (hub, mut leader) = (hub(16), Leader::default());
    leader.load(&hub);
    let mut readers: [Browser; 3] = Default::default();
    readers[1].wants_less = true;
    readers[2].wants_less = true;
    let mut turn = 0;
    for step in steps {
        turn += 1;
        let frames = match step {
            Step::Change {
                build,
                member,
                lost,
            } => (
                vec![leader.set(build, member, json!(turn.to_string()))],
                lost,
            ),
            Step::End { build, lost } => (leader.end(build).into(), lost),
            Step::CatchUp => {
                leader.catch_up(&hub);
                continue;
            }
            Step::Read { reader, cut } => {
                readers[reader].read(cut);
                continue;
            }
            Step::Flush { reader, cut } => {
                readers[reader].flush(cut);
                continue;
            }
            Step::Heartbeat { reader } => {
                readers[reader].beat();
                continue;
            }
            Step::Reconnect { reader, cut } => {
                readers[reader].connect(&hub, cut);
                continue;
            }
        };
        let (frames, lost) = frames;
        for frame in frames.into_iter().filter(|_| !lost) {
            leader.deliver(frame, &hub);
        }
    }
    leader.catch_up(&hub);
    for reader in &mut readers {
        if reader.talk.is_none() {
            reader.connect(&hub, usize::MAX);
        }
        // Each call takes up to 64; the ring holds 16.
        reader.read(usize::MAX);
        reader.read(usize::MAX);
        reader.flush(usize::MAX);
        reader.assert_holds(&leader);
        let last = reader.talk.as_ref().map(|talk| talk.heartbeat().seq);
        assert_eq!(last, Some(leader.seq));
        for (id, seq) in leader.completions() {
            if reader.snapshots == 1 && reader.first_seq < Some(seq) {
                assert!(
                    reader.completed.contains(&(id, seq)),
                    "a completion was lost"
                );
            }
        }
    }
}

proptest! {
    // A case takes 40 ms unoptimised.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_reader_ends_with_the_same_builds_and_sees_nothing_twice(steps in proptest::collection::vec(step(), 0..400)) {
        play(steps);
    }
}
