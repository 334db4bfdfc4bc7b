//! What `/metrics` shows, in the OpenMetrics format. One registry per running
//! aggregator and no globals, so that two of them in one test do not mix.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Hops and commits take from 0.1 ms to a minute after an outage: each bucket is twice the one before.
const SECONDS: [f64; 20] = [
    0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.006_4, 0.012_8, 0.025_6, 0.051_2,
    0.102_4, 0.204_8, 0.409_6, 0.819_2, 1.638_4, 3.276_8, 6.553_6, 13.107_2, 26.214_4, 52.428_8,
];
/// Events per commit, up to the largest batch.
const SIZES: [f64; 7] = [1.0, 2.0, 5.0, 20.0, 50.0, 200.0, 500.0];
/// Browsers that received one change.
const RECEIVERS: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 50.0, 200.0, 1000.0, 5000.0];

/// One label called `kind`: what sort of the counted thing it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// The sort, from a fixed list (never text from outside).
    pub kind: &'static str,
}

/// A histogram of seconds.
#[derive(Debug, Clone)]
pub struct Seconds(pub Histogram);

impl Default for Seconds {
    fn default() -> Self {
        Self(Histogram::new(SECONDS))
    }
}

impl Seconds {
    /// Notes a span of milliseconds; a negative one (clocks apart) counts as 0.
    pub fn observe_ms(&self, millis: i64) {
        let millis = u32::try_from(millis.max(0)).unwrap_or(u32::MAX);
        self.0.observe(f64::from(millis) / 1000.0);
    }

    /// Notes a measured span.
    pub fn observe(&self, span: std::time::Duration) {
        self.0.observe(span.as_secs_f64());
    }
}

/// What the leader's writer counts.
#[derive(Debug, Clone, Default)]
pub struct WriterMetrics {
    /// Messages taken from the stream, redelivered ones too.
    pub messages: Counter,
    /// Events by effect: `folded`, `late`, `repeated`.
    pub events: Family<Kind, Counter>,
    /// Log lines taken from their stream, redelivered ones too.
    pub log_lines: Counter,
    /// Facts of the timer by kind: `silent`, `alive`, `host_gone`, `host_back`, `root_missing`, `root_back`, `joins`, `joins_session`, `joined`.
    pub timer_facts: Family<Kind, Counter>,
    /// Messages set aside, by kind: `undecodable`, `wrong_subject`, `refused`.
    pub dead_letters: Family<Kind, Counter>,
    /// Commits that failed and were tried again.
    pub commit_failures: Counter,
    /// Length of a commit: first statement to committed.
    pub commit: Seconds,
    /// Changes given a seq.
    pub changes: Counter,
    /// Live frames that could not be published (replicas catch up from Postgres).
    pub publish_failures: Counter,
    /// Presences read.
    pub presences: Counter,
    /// Presences that could not be read.
    pub bad_presences: Counter,
    /// Events deleted by age.
    pub retired: Counter,
    /// 1 while this replica leads.
    pub leader: Gauge,
    /// Times it became the leader.
    pub takeovers: Counter,
    /// Events in the stream that are not committed, as last told by the broker.
    pub consumer_lag: Gauge,
    /// 1 while the stream's settings differ from ours.
    pub stream_drift: Gauge,
    /// File changed to read by the agent (host clock).
    pub hop_file_to_agent: Seconds,
    /// Read by the agent to taken by the broker (two clocks).
    pub hop_agent_to_broker: Seconds,
    /// Taken by the broker to committed (two clocks).
    pub hop_broker_to_commit: Seconds,
}

/// What the hub and the browsers' streams count.
#[derive(Debug, Clone, Default)]
pub struct LiveMetrics {
    /// Browsers connected now.
    pub clients: Gauge,
    /// Connections by outcome: `accepted`, `refused_full`, `refused_origin`, `not_ready`.
    pub connections: Family<Kind, Counter>,
    /// Connections ended, by kind: `left`, `slow`, `silent`, `bad_message`, `stopping`, `failed`.
    pub closed: Family<Kind, Counter>,
    /// Frames sent, by type.
    pub frames: Family<Kind, Counter>,
    /// Bytes of text in them.
    pub bytes: Counter,
    /// Snapshots sent.
    pub snapshots: Counter,
    /// Snapshots encoded; less than sent, as readers share them.
    pub snapshots_encoded: Counter,
    /// Connections resumed by `since`.
    pub resumes: Counter,
    /// Times a slow reader was given the newest states instead of each change.
    pub lagged: Counter,
    /// Changes that a later one of the same build replaced before they were sent to a reader.
    pub conflated: Counter,
    /// Changes that the hub took in.
    pub changes: Counter,
    /// Of these, changes that this replica's own writer handed over.
    pub own_changes: Counter,
    /// Times the hub read Postgres because frames were missing.
    pub catch_ups: Counter,
    /// Live messages that could not be read.
    pub bad_frames: Counter,
    /// Newest seq.
    pub seq: Gauge,
    /// Builds in memory.
    pub builds: Gauge,
    /// Changes in the ring that the slowest reader has not taken.
    pub queue: Gauge,
    /// Frame made after the commit to taken in by this hub (two clocks).
    pub hop_commit_to_hub: Seconds,
}

/// All metrics of one aggregator.
#[derive(Debug)]
pub struct Metrics {
    /// The writer's.
    pub writer: WriterMetrics,
    /// Events per commit.
    pub batch_size: Histogram,
    /// The hub's and the streams'.
    pub live: LiveMetrics,
    /// How many browsers received each change.
    pub receivers: Histogram,
    /// HTTP answers by class: `2xx`, `3xx`, `4xx`, `5xx`.
    pub http: Family<Kind, Counter>,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("phaseline");
        let writer = WriterMetrics::default();
        let live = LiveMetrics::default();
        let batch_size = Histogram::new(SIZES);
        let receivers = Histogram::new(RECEIVERS);
        let http = Family::default();
        register_writer(registry.sub_registry_with_prefix("writer"), &writer);
        register_hops(registry.sub_registry_with_prefix("hop"), &writer, &live);
        register_live(registry.sub_registry_with_prefix("live"), &live);
        registry.register("writer_batch_size", "Events per commit", batch_size.clone());
        registry.register(
            "live_receivers",
            "Browsers that received one change",
            receivers.clone(),
        );
        registry.register(
            "http_answers",
            "HTTP answers by class",
            Family::clone(&http),
        );
        Self {
            writer,
            batch_size,
            live,
            receivers,
            http,
            registry,
        }
    }

    /// All of them as OpenMetrics text.
    ///
    /// # Errors
    /// When a metric cannot be written as text, which none of ours should.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

fn register_writer(to: &mut Registry, m: &WriterMetrics) {
    to.register(
        "messages",
        "Messages taken from the stream",
        m.messages.clone(),
    );
    to.register("events", "Events by effect", m.events.clone());
    to.register(
        "timer_facts",
        "Facts found by the timer",
        m.timer_facts.clone(),
    );
    to.register(
        "log_lines",
        "Log lines taken from their stream",
        m.log_lines.clone(),
    );
    to.register("dead_letters", "Messages set aside", m.dead_letters.clone());
    to.register(
        "commit_failures",
        "Commits that were tried again",
        m.commit_failures.clone(),
    );
    to.register_with_unit(
        "commit",
        "Length of a commit",
        Unit::Seconds,
        m.commit.0.clone(),
    );
    to.register("changes", "Changes given a seq", m.changes.clone());
    to.register(
        "publish_failures",
        "Live frames not published",
        m.publish_failures.clone(),
    );
    to.register("presences", "Presences read", m.presences.clone());
    to.register(
        "bad_presences",
        "Presences that could not be read",
        m.bad_presences.clone(),
    );
    to.register("retired", "Events deleted by age", m.retired.clone());
    to.register("leader", "1 while this replica leads", m.leader.clone());
    to.register(
        "takeovers",
        "Times it became the leader",
        m.takeovers.clone(),
    );
    to.register(
        "consumer_lag",
        "Events in the stream that are not committed",
        m.consumer_lag.clone(),
    );
    to.register(
        "stream_drift",
        "1 while the stream's settings differ from ours",
        m.stream_drift.clone(),
    );
}

fn register_hops(to: &mut Registry, writer: &WriterMetrics, live: &LiveMetrics) {
    let hops = [
        (
            "file_to_agent",
            "File changed to read by the agent",
            &writer.hop_file_to_agent,
        ),
        (
            "agent_to_broker",
            "Read by the agent to taken by the broker",
            &writer.hop_agent_to_broker,
        ),
        (
            "broker_to_commit",
            "Taken by the broker to committed",
            &writer.hop_broker_to_commit,
        ),
        (
            "commit_to_hub",
            "Committed to taken in by this replica's hub",
            &live.hop_commit_to_hub,
        ),
    ];
    for (name, help, hop) in hops {
        to.register_with_unit(name, help, Unit::Seconds, hop.0.clone());
    }
}

fn register_live(to: &mut Registry, m: &LiveMetrics) {
    to.register("clients", "Browsers connected now", m.clients.clone());
    to.register(
        "connections",
        "Connections by outcome",
        m.connections.clone(),
    );
    to.register("closed", "Connections ended, by reason", m.closed.clone());
    to.register("frames", "Frames sent, by type", m.frames.clone());
    to.register_with_unit("sent", "Bytes of text sent", Unit::Bytes, m.bytes.clone());
    to.register("snapshots", "Snapshots sent", m.snapshots.clone());
    to.register(
        "snapshots_encoded",
        "Snapshots encoded",
        m.snapshots_encoded.clone(),
    );
    to.register("resumes", "Connections resumed by since", m.resumes.clone());
    to.register(
        "lagged",
        "Slow readers given the newest states",
        m.lagged.clone(),
    );
    to.register(
        "conflated",
        "Changes replaced by newer ones before sending",
        m.conflated.clone(),
    );
    to.register("changes", "Changes taken in by the hub", m.changes.clone());
    to.register(
        "own_changes",
        "Changes that the own writer handed to the hub",
        m.own_changes.clone(),
    );
    to.register(
        "catch_ups",
        "Times the hub read Postgres for missing frames",
        m.catch_ups.clone(),
    );
    to.register(
        "bad_frames",
        "Live messages that could not be read",
        m.bad_frames.clone(),
    );
    to.register("seq", "Newest seq", m.seq.clone());
    to.register("builds", "Builds in memory", m.builds.clone());
    to.register(
        "queue",
        "Changes that the slowest reader has not taken",
        m.queue.clone(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_written_under_our_prefix() {
        let metrics = Metrics::new();
        metrics
            .live
            .frames
            .get_or_create(&Kind { kind: "heartbeat" })
            .inc();
        metrics.writer.hop_file_to_agent.observe_ms(-5);
        metrics.receivers.observe(3.0);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains("phaseline_live_frames_total{kind=\"heartbeat\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("phaseline_hop_file_to_agent_seconds_count 1"),
            "{text}"
        );
        assert!(text.contains("phaseline_live_receivers_count 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
