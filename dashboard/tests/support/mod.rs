//! A source of values, a plain HTTP client, and a reader of tags.

#[path = "../../examples/preview/calls.rs"]
mod calls;

use dashboard::{ListError, Overview, Past, Source, Unavailable};
use protocol::page::{
    Alert, BudgetStatus, BuildFilter, BuildPage, CostFilter, CostPage, CostRow, DeadLetter,
    EventPage, Readiness, StoredEvent,
};
use protocol::{Build, Calls, Host, Timestamp};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What every test takes for granted.
const SANE: &str = "tests run on a machine with a loopback and valid sample data";

/// What the pages show.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) builds: Vec<Build>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) away: bool,
    pub(crate) alerts: Vec<Alert>,
}

/// An answer to a request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_system_time(std::time::SystemTime::now())
}

/// Serves one request to the pages over a real socket.
pub(crate) async fn get(fake: &Fake, path: &str) -> Answer {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect(SANE);
    let address = listener.local_addr().expect(SANE);
    let request = async {
        let mut socket = tokio::net::TcpStream::connect(address).await.expect(SANE);
        let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        socket.write_all(text.as_bytes()).await.expect(SANE);
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect(SANE);
        String::from_utf8(answer).expect(SANE)
    };
    let server = axum::serve(listener, dashboard::router(fake.clone()));
    let text = tokio::select! {
        text = request => text,
        ended = server.into_future() => panic!("the server ended: {ended:?}"),
    };
    let (head, body) = text.split_once("\r\n\r\n").expect(SANE);
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .expect(SANE);
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Tags that the templates use; anything else came from data.
const TAGS: &str = "html head meta title link script body a svg defs pattern line symbol circle path rect use header nav \
                    form input kbd div button span noscript p i section h1 h2 h3 ul ol li main b bdi time progress aside \
                    article dl dt dd details summary pre code template dialog label select option table thead tbody tr th td";

/// Fails when a tag, a handler, a style or an inline script is on the page that no template wrote.
pub(crate) fn assert_safe(path: &str, html: &str) {
    let html = html.strip_prefix("<!doctype html>").unwrap_or(html);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (tag, after) = tag(rest);
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap_or("");
        assert!(
            TAGS.split_whitespace().any(|known| known == name),
            "{path}: <{tag}>"
        );
        for attribute in attributes(tag) {
            assert!(
                attribute != "style" && !attribute.starts_with("on"),
                "{path}: <{tag}>"
            );
        }
        if name == "script" && !tag.starts_with('/') {
            assert!(
                tag.contains("src=\"/assets/") && after.starts_with("</script>"),
                "{path}: <{tag}>"
            );
        }
        assert!(!tag.contains("href=\"javascript"), "{path}: <{tag}>");
        rest = after;
    }
    assert!(
        !html.contains('\u{0}') && !html.contains('\u{1b}'),
        "{path}: control characters"
    );
}

/// A tag up to its end, which no quoted value can fake, and what follows.
fn tag(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

/// Names of a tag's attributes: what stands outside of quotes.
fn attributes(tag: &str) -> Vec<String> {
    let outside: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let names = outside.split_whitespace().skip(1);
    names
        .map(|name| name.trim_end_matches(['=', '/']).to_owned())
        .collect()
}

/// A running build whose every text is `word`.
pub(crate) fn build(run: u32, word: &str) -> Build {
    let time = now();
    let mut whole = json!({
        "id": format!("h-0011223344556677-{run}"), "host": word, "producer": word, "project": word,
        "root": word, "path": word, "session_id": word, "run": run, "origin": "live", "found": false,
        "state": "running", "state_reason": word, "status": word, "phase": word, "phase_number": word,
        "phases": [{"name": word, "state": "running", "started_at": time, "ended_at": null, "iterations": 3}]
    });
    let rest = json!({
        "progress": 0.4, "detail": word, "test_iteration": 2, "started_at": time, "ended_at": null,
        "changed_at": time, "observed_at": time, "last_updated": time, "alive_at": time, "seq": 7,
        "branch": word, "issue": word, "pr_url": word, "commit": word, "coding_agent": word, "model": word,
        "cost_usd": null, "cost_estimated": null, "tokens": null, "context": null, "todos": null,
        "agents": [{"name": word, "state": word, "phase": word, "error": word}],
        "tests": {word: word, "runs": [{"file": word}]},
        "decisions": {"list": [{"text": word, "kind": word, "phase": word, "severity": word}]},
        "tasks": {"list": [{"id": word, "text": word, "dependencies": [word], "estimate": word, "state": word}]},
        "summary": [word, null, 1], "error": word, "facts": [{"key": word, "label": word, "text": word}],
        "fields": {word: {word: word}, "n": null}
    });
    if let (Value::Object(whole), Value::Object(rest)) = (&mut whole, rest) {
        whole.extend(rest);
    }
    serde_json::from_value(whole).expect(SANE)
}

/// A host whose every text is `word`.
pub(crate) fn host(word: &str) -> Host {
    serde_json::from_value(json!({
        "name": word, "state": "up", "state_reason": word, "agent": word, "version": word, "started_at": now(),
        "last_seen_at": now(), "last_updated": now(), "clock_offset_ms": 0, "seq": 1,
        "outbox": {"events": 3, "bytes": 9, "max_bytes": 99, "overflowed": false},
        "roots": [{"label": word, "path": format!("/srv/{word}"), "state": "degraded", "watches": 1, "reason": word, "remedy": word}]
    }))
    .expect(SANE)
}

impl Fake {
    fn have<T>(&self, value: T) -> Result<T, Unavailable> {
        if self.away {
            Err(Unavailable)
        } else {
            Ok(value)
        }
    }
}

impl Source for Fake {
    async fn overview(&self) -> Result<Overview, Unavailable> {
        self.have(Overview {
            builds: self.builds.clone(),
            hosts: self.hosts.clone(),
            seq: 42,
            now: now(),
            truncated: false,
        })
    }

    async fn build(&self, id: &str) -> Result<Option<Build>, Unavailable> {
        self.have(self.builds.iter().find(|build| build.id == id).cloned())
    }

    async fn events(
        &self,
        _id: &str,
        _after: Option<i64>,
        _limit: u32,
    ) -> Result<EventPage, Unavailable> {
        let word = self
            .builds
            .first()
            .map_or_else(String::new, |build| build.project.clone());
        let document =
            serde_json::value::to_raw_value(&Map::from_iter([(word.clone(), json!(word))])).ok();
        let event = StoredEvent {
            id: 1,
            kind: word.clone(),
            file: Some(word.clone()),
            late: true,
            found: true,
            changed_at: now(),
            observed_at: now(),
            broker_at: None,
            committed_at: now(),
            hash: None,
            size: 1,
            document,
            message: Some(word),
        };
        self.have(EventPage {
            events: vec![event],
            next: Some(1),
        })
    }

    async fn builds(&self, _filter: &BuildFilter) -> Result<BuildPage, ListError> {
        let page = BuildPage {
            builds: self.builds.clone(),
            next: Some("a&b\"".to_owned()),
        };
        Ok(self.have(page)?)
    }

    async fn build_at(&self, id: &str, _at: Timestamp) -> Result<Past<Build>, ListError> {
        let build = self.builds.iter().find(|build| build.id == id).cloned();
        Ok(self.have(build.map_or(Past::Never, Past::Was))?)
    }

    async fn hosts_at(&self, _at: Timestamp) -> Result<Past<Vec<Host>>, ListError> {
        Ok(self.have(Past::Was(self.hosts.clone()))?)
    }

    async fn costs(&self, filter: &CostFilter) -> Result<CostPage, ListError> {
        let row = |key: Option<&str>, usd: &str| CostRow {
            key: key.map(str::to_owned),
            cost_usd: usd.parse().ok(),
            estimated_usd: "0.5".parse().ok(),
            builds: 3,
            unknown_builds: 1,
        };
        let rows = self
            .builds
            .iter()
            .map(|build| row(Some(&build.project), "2.00000000000000004"));
        Ok(self.have(CostPage {
            by: filter.by.clone().unwrap_or_else(|| "day".to_owned()),
            rows: rows.collect(),
            truncated: true,
            total: row(None, ""),
        })?)
    }

    async fn budgets(&self) -> Result<Vec<BudgetStatus>, Unavailable> {
        let budget = |build: &Build| BudgetStatus {
            project: build.project.clone(),
            per: "day".to_owned(),
            limit_usd: "1".parse().unwrap_or_default(),
            spent_usd: "2".parse().ok(),
            unknown_builds: 1,
            since: now(),
            build: Some(build.id.clone()),
            over: true,
        };
        self.have(self.builds.iter().map(budget).collect())
    }

    async fn hosts(&self) -> Result<Vec<Host>, Unavailable> {
        self.have(self.hosts.clone())
    }

    async fn host(&self, name: &str) -> Result<Option<Host>, Unavailable> {
        self.have(self.hosts.iter().find(|host| host.name == name).cloned())
    }

    async fn dead_letters(&self, _limit: u32) -> Result<Vec<DeadLetter>, Unavailable> {
        let letter = |build: &Build| DeadLetter {
            id: 1,
            received_at: now(),
            subject: build.project.clone(),
            reason: build.project.clone(),
            size: 1,
            excerpt: build.project.clone(),
        };
        self.have(self.builds.iter().map(letter).collect())
    }

    async fn readiness(&self) -> Readiness {
        Readiness {
            stale: None,
            servers: Vec::new(),
            ready: !self.away,
            nats: "connected".to_owned(),
            postgres: "disconnected".to_owned(),
            leadership: "leader".to_owned(),
            consumer_lag: None,
            seq: 42,
            dead_letters: None,
            alerts: self.alerts.clone(),
        }
    }

    fn calls(&self) -> Calls {
        calls::sample()
    }
}
