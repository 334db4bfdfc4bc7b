//! Hosts: in the list at the left, on their pages, and what is wrong with
//! them as notices with a reason and a remedy.

use protocol::presence::GONE_AFTER_MS;
use protocol::{Build, Host, HostState, RootState, RootStatus, Timestamp};

use super::link;
use super::stamp::Stamp;
use crate::pages::past;
use crate::{format, text};

/// What helps when an agent is not heard.
const GONE_REMEDY: &str = "check that phaseline-agent runs there and reaches NATS";
/// Clock offsets below this are within what a message takes, milliseconds.
const OFFSET_NOISE_MS: i64 = 1_000;

/// A host.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostView {
    pub(crate) name: String,
    /// Its name as in addresses: what the script finds it by.
    pub(crate) key: String,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    /// Beside the name: builds under way, or since when it is away.
    pub(crate) note: String,
    pub(crate) since: Option<Stamp>,
    pub(crate) reason: String,
    pub(crate) agent: String,
    pub(crate) version: String,
    pub(crate) started: Stamp,
    pub(crate) last_seen: Stamp,
    /// How long ago at most it was heard; empty where it is not heard, and `last_seen` tells.
    pub(crate) heard: String,
    pub(crate) offset: String,
    pub(crate) outbox: String,
    pub(crate) roots: Vec<RootView>,
    pub(crate) notices: Vec<Notice>,
}

/// A watched root.
#[derive(Debug, Clone, Default)]
pub(crate) struct RootView {
    /// Where several hosts' roots stand together.
    pub(crate) host: String,
    pub(crate) label: String,
    pub(crate) path: String,
    /// As in `protocol::RootState`, or `away` where nobody watches it now.
    pub(crate) state: &'static str,
    /// The state in words.
    pub(crate) word: String,
    pub(crate) watches: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
}

/// Something wrong that somebody can put right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notice {
    /// `bad` or `warn`.
    pub(crate) class: &'static str,
    pub(crate) host: String,
    pub(crate) href: String,
    pub(crate) text: String,
    pub(crate) remedy: String,
}

impl HostView {
    pub(crate) fn new(host: &Host, builds: &[Build], now: Timestamp) -> Self {
        let open = builds
            .iter()
            .filter(|build| build.host == host.name && !build.has_ended())
            .count();
        let away = host.state != HostState::Up;
        Self {
            name: text::line(&host.name, text::NAME_CHARS),
            key: link::host_segment(&host.name),
            href: link::host(&host.name),
            state: host.state.word(),
            note: note(host.state, open),
            since: away
                .then(|| host.last_seen_at.map(|time| since(time, now)))
                .flatten(),
            reason: opt(host.state_reason.as_deref()),
            agent: or_unknown(host.agent.as_deref()),
            version: or_unknown(host.version.as_deref()),
            started: Stamp::exact(host.started_at),
            last_seen: Stamp::exact(host.last_seen_at),
            heard: if away { String::new() } else { heard("ago") },
            offset: offset(host.clock_offset_ms),
            outbox: outbox(host),
            roots: host.roots.iter().map(|of| root(of, away)).collect(),
            notices: notices(host),
        }
    }
}

impl HostView {
    /// The host of a moment: it leads to itself as it was then.
    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.href = past::href(&self.href, at);
        self.since = self.since.map(Stamp::still);
        if !self.heard.is_empty() {
            self.heard = heard("before");
        }
        self
    }

    /// Its roots, each with the host's name.
    pub(crate) fn named_roots(&self) -> impl Iterator<Item = RootView> {
        self.roots.iter().map(|root| RootView {
            host: self.name.clone(),
            ..root.clone()
        })
    }
}

fn note(state: HostState, open: usize) -> String {
    match (state, open) {
        (HostState::Up, 0) => String::new(),
        (HostState::Up, 1) => "1 build".to_owned(),
        (HostState::Up, n) => format!("{n} builds"),
        (state, _) => state.word().to_owned(),
    }
}

/// Its presences move no frame, so that a time on the page would grow old; this is so as long as it is up.
fn heard(than: &str) -> String {
    format!("less than {} s {than}", GONE_AFTER_MS / 1_000)
}

fn since(time: Timestamp, now: Timestamp) -> Stamp {
    Stamp::elapsed(time, now)
}

fn opt(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| text::line(value, text::TITLE_CHARS))
}

fn or_unknown(value: Option<&str>) -> String {
    value.map_or_else(
        || format::UNKNOWN.to_owned(),
        |value| text::line(value, text::NAME_CHARS),
    )
}

fn offset(offset_ms: Option<i64>) -> String {
    match offset_ms {
        None => format::UNKNOWN.to_owned(),
        Some(ms) if ms.abs() < OFFSET_NOISE_MS => format!("{ms} ms"),
        Some(ms) if ms > 0 => format!("{} ahead of ours", format::precise(ms)),
        Some(ms) => format!("{} behind ours", format::precise(-ms)),
    }
}

fn outbox(host: &Host) -> String {
    let Some(outbox) = host.outbox else {
        return format::UNKNOWN.to_owned();
    };
    if outbox.events == 0 {
        return "empty".to_owned();
    }
    format!(
        "{} waiting, {} of {}",
        events(outbox.events),
        format::bytes(outbox.bytes),
        format::bytes(outbox.max_bytes)
    )
}

fn events(n: u64) -> String {
    let word = if n == 1 { "event" } else { "events" };
    format!("{} {word}", format::count(n))
}

/// `away`: its host is not heard, so that it says how it was.
fn root(root: &RootStatus, away: bool) -> RootView {
    let word = root_word(root.state);
    RootView {
        host: String::new(),
        label: text::line(&root.label, text::NAME_CHARS),
        path: text::line(&root.path, text::TITLE_CHARS),
        state: if away { "away" } else { word },
        word: if away {
            format!("was {word}")
        } else {
            word.to_owned()
        },
        watches: directories(root.watches),
        reason: opt(root.reason.as_deref()),
        remedy: opt(root.remedy.as_deref()),
    }
}

fn directories(n: u64) -> String {
    let word = if n == 1 { "directory" } else { "directories" };
    format!("{} {word}", format::count(n))
}

fn root_word(state: RootState) -> &'static str {
    match state {
        RootState::Starting => "starting",
        RootState::Watching => "watching",
        RootState::Missing => "missing",
        RootState::Degraded => "degraded",
    }
}

/// What is wrong with a host. A stopped agent was stopped on purpose, and the
/// watching of a host that is away says nothing any more.
fn notices(host: &Host) -> Vec<Notice> {
    let notice = |class, text: String, remedy: &str| Notice {
        class,
        host: text::line(&host.name, text::NAME_CHARS),
        href: link::host(&host.name),
        text,
        remedy: text::line(remedy, text::TITLE_CHARS),
    };
    match host.state {
        HostState::Stopped => return Vec::new(),
        HostState::Gone => {
            let reason = host
                .state_reason
                .as_deref()
                .unwrap_or("its agent is not heard");
            let text = format!("gone: {}", text::line(reason, text::TITLE_CHARS));
            return vec![notice("bad", text, GONE_REMEDY)];
        }
        HostState::Up => {}
    }
    let mut found: Vec<Notice> = Vec::new();
    if let Some(reason) = &host.state_reason {
        found.push(notice("warn", text::line(reason, text::TITLE_CHARS), ""));
    }
    for root in &host.roots {
        if matches!(root.state, RootState::Missing | RootState::Degraded) {
            let reason = root.reason.as_deref().unwrap_or("no reason was given");
            let text = format!("{} is {}: {reason}", root.path, root_word(root.state));
            let text = text::line(&text, text::TITLE_CHARS);
            found.push(notice("warn", text, root.remedy.as_deref().unwrap_or("")));
        }
    }
    if let Some(outbox) = host
        .outbox
        .filter(|outbox| outbox.events > 0 || outbox.overflowed)
    {
        let (class, text) = if outbox.overflowed {
            (
                "bad",
                "the outbox was full: only the newest state of each file was kept".to_owned(),
            )
        } else {
            (
                "warn",
                format!(
                    "{} in the outbox, waiting for the broker",
                    events(outbox.events)
                ),
            )
        };
        let remedy = "check the way from there to NATS";
        found.push(notice(class, text, remedy));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use serde_json::json;

    fn host(state: &str, root_state: &str) -> Host {
        serde_json::from_value(json!({
            "name": "h", "state": state, "state_reason": null, "agent": null, "version": null,
            "started_at": null, "last_seen_at": null, "last_updated": samples::now(),
            "clock_offset_ms": null, "outbox": null, "seq": 1,
            "roots": [{"label": "r", "path": "/r", "state": root_state, "watches": 1,
                       "reason": "the watch limit is 8192", "remedy": "sysctl fs.inotify.max_user_watches=1048576"}]
        }))
        .unwrap()
    }

    #[test]
    fn a_degraded_root_is_a_notice_with_its_remedy() {
        let found = notices(&host("up", "degraded"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "/r is degraded: the watch limit is 8192");
        assert!(found[0].remedy.starts_with("sysctl"));
        assert!(notices(&host("up", "watching")).is_empty());
    }

    #[test]
    fn a_gone_host_is_one_notice_and_a_stopped_one_none() {
        assert_eq!(notices(&host("gone", "degraded")).len(), 1);
        assert!(notices(&host("stopped", "degraded")).is_empty());
    }

    #[test]
    fn of_a_host_that_is_away_a_root_says_how_it_was() {
        let view = |state| HostView::new(&host(state, "watching"), &[], samples::now());
        let told = |state| {
            let root = view(state).roots.remove(0);
            (root.state, root.word)
        };
        assert_eq!(told("up"), ("watching", "watching".to_owned()));
        for state in ["gone", "stopped"] {
            assert_eq!(told(state), ("away", "was watching".to_owned()));
            assert_eq!(view(state).heard, "");
        }
        let heard = view("up").heard;
        assert_eq!(heard, "less than 22 s ago");
        assert!(include_str!("../../static/hosts.js").contains(&format!("\"{heard}\"")));
    }

    #[test]
    fn what_is_unknown_of_a_host_is_a_dash() {
        let view = HostView::new(&host("up", "watching"), &[], samples::now());
        assert_eq!([&view.outbox, &view.offset, &view.version], ["—"; 3]);
    }
}
