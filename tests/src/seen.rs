//! What a reader of the stream has received: applies snapshot, whole builds
//! and merge patches by the letter of RFC 7396, keeps every frame, and notes
//! each breach of the stream's promises.

use std::collections::{BTreeMap, BTreeSet};

use protocol::frame::{Frame, FrameType, Source};
use serde_json::{Map, Value};

/// Members that every frame of a build carries, changed or not.
const EVERY_FRAME: [&str; 2] = ["seq", "last_updated"];

/// A build as the stream has told it: members that are null are left out.
pub type Told = Map<String, Value>;

/// Everything a connection, or a chain of resumed ones, has received.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// All frames, oldest first; none where they are not kept.
    pub frames: Vec<Frame<Value>>,
    /// How many frames came.
    pub received: u64,
    /// Per build the `count` of its fields in the order in which it was shown: see [`crate::oracle`].
    pub shown: BTreeMap<String, Vec<u64>>,
    /// How many snapshots came.
    pub snapshots: u64,
    /// Why the server says that its values may be old.
    pub stale: Option<String>,
    /// Frames are not kept: for hours under load.
    pub forgets: bool,
    /// Builds whose end was told.
    pub completed: BTreeSet<String>,
    /// The builds as they stand.
    pub builds: BTreeMap<String, Told>,
    /// The hosts as they stand.
    pub hosts: BTreeMap<String, Value>,
    /// The newest `seq`.
    pub seq: u64,
    /// Promises that were broken, for people.
    pub breaches: Vec<String>,
    /// How the server closed; `None` while open or when it just vanished.
    pub close_code: Option<u16>,
    /// The connection is over.
    pub over: bool,
}

impl Seen {
    /// The frames of a kind.
    pub fn of(&self, kind: FrameType) -> impl Iterator<Item = &Frame<Value>> {
        self.frames.iter().filter(move |frame| frame.kind == kind)
    }

    /// Frames that tell a change of this build.
    #[must_use]
    pub fn changes_of(&self, id: &str) -> usize {
        let kinds = [FrameType::Build, FrameType::BuildUpdate];
        let told = self.frames.iter().filter(|f| kinds.contains(&f.kind));
        told.filter(|f| f.data["id"] == id).count()
    }

    /// Frames but heartbeats.
    #[must_use]
    pub fn busy(&self) -> usize {
        let beat = self.of(FrameType::Heartbeat).count();
        self.frames.len() - beat
    }

    pub(crate) fn breach(&mut self, text: String) {
        self.breaches.push(text);
    }

    /// Takes a frame as it came.
    pub fn take(&mut self, text: &str) {
        let frame: Frame<Value> = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(e) => return self.breach(format!("no frame: {e}: {text}")),
        };
        self.order(&frame);
        match frame.kind {
            FrameType::Snapshot => self.snapshot(&frame.data),
            FrameType::Build => self.whole(&frame),
            FrameType::BuildUpdate => self.patch(&frame),
            FrameType::BuildComplete => self.complete(&frame),
            FrameType::HostUpdate => self.host(&frame.data),
            FrameType::Heartbeat => {
                self.stale = frame.data["stale"]["reason"].as_str().map(str::to_owned);
            }
            FrameType::Alert | FrameType::Log => {}
        }
        self.received += 1;
        if !self.forgets {
            self.frames.push(frame);
        }
    }

    /// Notes which state of a build a person now sees.
    fn show(&mut self, id: &str, build: &Value) {
        let Some(count) = build["fields"]["count"].as_u64() else {
            return;
        };
        let shown = self.shown.entry(id.to_owned()).or_default();
        if shown.last() != Some(&count) {
            shown.push(count);
        }
    }

    /// `seq` grows with every change and never falls, but in a snapshot.
    fn order(&mut self, frame: &Frame<Value>) {
        let Some(seq) = frame.seq else {
            if !matches!(frame.kind, FrameType::Log) && frame.source != Source::Sample {
                self.breach(format!("{:?} without a seq", frame.kind));
            }
            return;
        };
        let repeats = matches!(frame.kind, FrameType::Heartbeat | FrameType::Snapshot);
        if seq < self.seq || (seq == self.seq && !repeats) {
            self.breach(format!("{:?} has seq {seq} after {}", frame.kind, self.seq));
        }
        self.seq = self.seq.max(seq);
    }

    fn snapshot(&mut self, data: &Value) {
        self.snapshots += 1;
        self.builds.clear();
        self.hosts.clear();
        for build in data["builds"].as_array().into_iter().flatten() {
            let told = without_nulls(build);
            let id = build["id"].as_str().unwrap_or_default().to_owned();
            self.show(&id, build);
            self.builds.insert(id, told);
        }
        for host in data["hosts"].as_array().cloned().unwrap_or_default() {
            self.host(&host);
        }
    }

    fn whole(&mut self, frame: &Frame<Value>) {
        let told = without_nulls(&frame.data);
        let id = frame.data["id"].as_str().unwrap_or_default().to_owned();
        self.show(&id, &frame.data);
        if self
            .builds
            .insert(id.clone(), told.clone())
            .is_some_and(|before| same(&before, &told))
        {
            self.breach(format!("build {id} was sent again as it was"));
        }
    }

    fn patch(&mut self, frame: &Frame<Value>) {
        let empty = Map::new();
        let patch = frame.data.as_object().unwrap_or(&empty);
        for member in EVERY_FRAME.into_iter().chain(["id"]) {
            if !patch.contains_key(member) {
                self.breach(format!("a build_update without {member}: {}", frame.data));
            }
        }
        let id = frame.data["id"].as_str().unwrap_or_default().to_owned();
        self.show(&id, &frame.data);
        let new = !self.builds.contains_key(&id);
        if new && !patch.contains_key("started_at") {
            self.breach(format!("a patch of {id}, which was never sent"));
        }
        let told = self.builds.entry(id.clone()).or_default();
        let before = told.clone();
        apply(told, patch);
        if same(&before, told) {
            self.breach(format!(
                "a build_update of {id} that changes nothing: {}",
                frame.data
            ));
        }
    }

    fn complete(&mut self, frame: &Frame<Value>) {
        let id = &frame.data["id"];
        let first = self
            .completed
            .insert(id.as_str().unwrap_or_default().to_owned());
        if !first {
            self.breach(format!("build_complete came twice for {id}"));
        }
        // It says nothing that the frame before it did not say; its `seq` is its own.
        let told = self.builds.get(id.as_str().unwrap_or_default());
        let told = told.cloned().unwrap_or_default();
        for (key, value) in without_nulls(&frame.data) {
            if !EVERY_FRAME.contains(&key.as_str()) && told.get(&key) != Some(&value) {
                self.breach(format!(
                    "build_complete of {id} says {key}: {value}, and the build {:?}",
                    told.get(&key)
                ));
            }
        }
    }

    fn host(&mut self, host: &Value) {
        let name = host["name"].as_str().unwrap_or_default().to_owned();
        let before = self.hosts.insert(name.clone(), host.clone());
        if before.as_ref() == Some(host) {
            self.breach(format!("host {name} was sent again as it was"));
        }
    }
}

/// RFC 7396 by the letter, as a client that has never heard of us applies it.
fn apply(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(inner) => {
                let member = target.entry(key.clone()).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    apply(member, inner);
                }
            }
            value => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A build without its null members, in objects within it too: a merge patch
/// cannot set a member to null, and unknown is null as well as missing. Arrays
/// stay whole.
#[must_use]
pub fn without_nulls(build: &Value) -> Told {
    let members = build.as_object().cloned().unwrap_or_default();
    let known = members.into_iter().filter(|(_, value)| !value.is_null());
    known
        .map(|(key, value)| match value {
            Value::Object(_) => (key, Value::Object(without_nulls(&value))),
            value => (key, value),
        })
        .collect()
}

/// A build as stream and API must tell it alike: without nulls, and without
/// `alive_at`, which moves without a frame.
#[must_use]
pub fn comparable(build: &Value) -> Told {
    let mut told = without_nulls(build);
    told.remove("alive_at");
    told
}

/// What a client was told and what the API says must agree.
///
/// # Errors
/// The members in which they differ.
pub fn agree(told: &Told, api: &Value) -> Result<(), String> {
    let (told, api) = (comparable(&Value::Object(told.clone())), comparable(api));
    let keys = told.keys().chain(api.keys());
    let differ = keys.filter(|key| told.get(*key) != api.get(*key));
    let lines: Vec<String> = differ
        .map(|key| format!("{key}: told {:?}, API {:?}", told.get(key), api.get(key)))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(lines.join("\n"))
    }
}

/// Equal but for the members that every frame carries.
fn same(a: &Told, b: &Told) -> bool {
    let strip = |told: &Told| {
        let mut told = told.clone();
        for key in EVERY_FRAME {
            told.remove(key);
        }
        told
    };
    strip(a) == strip(b)
}
