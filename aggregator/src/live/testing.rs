//! A leader and its database in memory, for tests: it changes builds, writes
//! the frames that the real one publishes, and answers what changed since.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Build, Frame, FrameType, Host, Source, merge_patch};
use serde_json::{Map, Value, json};

use super::hub::{Hub, Taken, now};
use super::incoming::Incoming;
use super::state::{BuildRow, RowSet};
use crate::metrics::Metrics;

/// A hub whose readers are behind after `ring` changes.
pub(crate) fn hub(ring: usize) -> Arc<Hub> {
    Arc::new(Hub::with_ring(Arc::new(Metrics::new()), ring))
}

/// What was committed.
#[derive(Debug, Default)]
pub(crate) struct Leader {
    pub(crate) seq: u64,
    builds: BTreeMap<String, (Map<String, Value>, Option<u64>)>,
    hosts: BTreeMap<String, Host>,
}

impl Leader {
    /// Id of the build of this number, on one of two hosts.
    pub(crate) fn id(number: usize) -> String {
        format!("h{}-{number:016x}-1", number % 2)
    }

    /// All builds as committed.
    pub(crate) fn builds(&self) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
        self.builds.iter().map(|(id, (map, _))| (id, map))
    }

    /// Builds that ended, with the `seq` of that.
    pub(crate) fn completions(&self) -> impl Iterator<Item = (String, u64)> {
        self.builds
            .iter()
            .filter_map(|(id, (_, completed))| Some((id.clone(), (*completed)?)))
    }

    /// Sets a member of a build, which begins with its first change; answers with the frame.
    pub(crate) fn set(&mut self, number: usize, member: &str, value: Value) -> Bytes {
        let id = Self::id(number);
        self.seq += 1;
        let before = self.builds.get(&id).cloned();
        let (mut after, completed) = before.clone().unwrap_or_else(|| (new_build(&id), None));
        after.insert(member.to_owned(), value);
        after.insert("seq".to_owned(), json!(self.seq));
        after.insert("last_updated".to_owned(), json!(now()));
        let mut data = match before {
            Some((before, _)) => merge_patch::diff(&before, &after),
            None => after
                .clone()
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        };
        for key in ["id", "seq", "last_updated"] {
            data.insert(key.to_owned(), after[key].clone());
        }
        self.builds.insert(id, (after, completed));
        frame(FrameType::BuildUpdate, &data, self.seq)
    }

    /// Ends a build; answers with both frames.
    pub(crate) fn end(&mut self, number: usize) -> [Bytes; 2] {
        let id = Self::id(number);
        let update = self.set(number, "ended_at", json!(now()));
        self.seq += 1;
        if let Some((_, completed)) = self.builds.get_mut(&id) {
            *completed = Some(self.seq);
        }
        [
            update,
            frame(
                FrameType::BuildComplete,
                &json!({"id": id, "seq": self.seq}),
                self.seq,
            ),
        ]
    }

    /// A build that begins with having ended in 2020, as one found on an old disk; answers with the frame.
    pub(crate) fn set_ended_in_2020(&mut self, number: usize) -> Bytes {
        self.set(number, "ended_at", json!("2020-01-01T00:00:00.000Z"))
    }

    /// A host came or changed; answers with the frame.
    pub(crate) fn host(&mut self, number: usize, state: &str) -> Bytes {
        self.seq += 1;
        let host: Host = serde_json::from_value(json!({
            "name": format!("h{number}"), "state": state, "last_updated": now(), "roots": [], "seq": self.seq,
        }))
        .unwrap();
        let frame = frame(FrameType::HostUpdate, &host, self.seq);
        self.hosts.insert(host.name.clone(), host);
        frame
    }

    /// Hands a frame to the hub, and what it misses when it misses something.
    pub(crate) fn deliver(&self, frame: Bytes, hub: &Hub) {
        if hub.take(Incoming::read(frame).unwrap()) == Taken::Gap {
            self.catch_up(hub);
        }
    }

    /// The hub reads the database.
    pub(crate) fn catch_up(&self, hub: &Hub) {
        assert!(hub.catch_up(self.rows(hub.seq())));
    }

    /// The hub reads everything anew.
    pub(crate) fn load(&self, hub: &Hub) {
        hub.load(self.rows(0), 0, false);
    }

    pub(super) fn rows(&self, since: u64) -> RowSet {
        let changed = |(map, completed): &&(Map<String, Value>, Option<u64>)| {
            map["seq"].as_u64() > Some(since) || completed.is_some_and(|seq| seq > since)
        };
        let row = |(map, completed_seq): &(Map<String, Value>, Option<u64>)| BuildRow {
            map: map.clone(),
            completed_seq: *completed_seq,
        };
        RowSet {
            seq: self.seq,
            builds: self.builds.values().filter(changed).map(row).collect(),
            hosts: self
                .hosts
                .values()
                .filter(|host| host.seq > since)
                .cloned()
                .collect(),
        }
    }
}

fn new_build(id: &str) -> Map<String, Value> {
    let build: Build = serde_json::from_value(json!({
        "id": id, "host": &id[..2], "producer": "p", "project": "x", "root": "r", "path": ".", "run": 1,
        "origin": "live", "found": false, "state": "running", "phases": [], "last_updated": now(), "seq": 0,
        "fields": {},
    }))
    .unwrap();
    match serde_json::to_value(build).unwrap() {
        Value::Object(map) => map,
        _ => unreachable!("a build is an object"),
    }
}

fn frame<T: serde::Serialize>(kind: FrameType, data: &T, seq: u64) -> Bytes {
    let frame = Frame {
        kind,
        data,
        timestamp: now(),
        source: Source::Event,
        seq: Some(seq),
    };
    serde_json::to_vec(&frame).unwrap().into()
}
