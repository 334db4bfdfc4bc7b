//! `/system`: whether the parts do their work, and what they set aside.

use std::borrow::Cow;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::page::{Alert, DeadLetter, PrivateServer, Readiness};
use protocol::{Host, HostState};

use super::{Shell, now, page};
use crate::source::Source;
use crate::view::senders::{Listener, listeners};
use crate::view::stamp::Stamp;
use crate::{format, text};

/// Dead letters shown, newest first.
const LETTERS: u32 = 100;

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    shell: Shell,
    verdict: Verdict,
    asked: Stamp,
    parts: Vec<Part>,
    listeners: Vec<Listener>,
    alerts: Vec<AlertView>,
    letters: Option<Vec<Letter>>,
}

/// Whether somebody has to look further.
struct Verdict {
    class: &'static str,
    icon: &'static str,
    text: String,
}

/// A part and how it is doing.
struct Part {
    name: &'static str,
    class: &'static str,
    text: String,
    about: Cow<'static, str>,
}

/// Something that is wrong, or was.
struct AlertView {
    class: &'static str,
    text: String,
    remedy: String,
    began: Stamp,
    ended: Option<Stamp>,
}

struct Letter {
    id: i64,
    at: Stamp,
    subject: String,
    reason: String,
    size: String,
    excerpt: String,
}

pub(crate) async fn show<S: Source>(State(source): State<S>) -> Response {
    let readiness = source.readiness().await;
    let letters = source.dead_letters(LETTERS).await.ok();
    // Without them what this server itself has taken is still shown.
    let hosts = source.hosts().await.unwrap_or_default();
    let now = now();
    let template = SystemPage {
        shell: Shell::new("System · Phaseline", "system", now),
        verdict: verdict(&readiness, &hosts),
        asked: Stamp::exact(Some(now)),
        parts: parts(&readiness)
            .into_iter()
            .chain(part_of_hosts(&hosts))
            .collect(),
        listeners: listeners(&source.calls(), &hosts),
        alerts: readiness.alerts.iter().map(alert).collect(),
        letters: letters.map(|all| all.iter().map(letter).collect()),
    };
    page(StatusCode::OK, &template)
}

/// The servers may work while something is wrong all the same: that is said first.
fn verdict(readiness: &Readiness, hosts: &[Host]) -> Verdict {
    let open = readiness
        .alerts
        .iter()
        .filter(|alert| alert.ended_at.is_none())
        .count();
    let gone = count_of(hosts, HostState::Gone);
    let alerts = match open {
        0 => None,
        1 => Some("an alert goes on".to_owned()),
        n => Some(format!("{n} alerts go on")),
    };
    let hosts = match gone {
        0 => None,
        1 => Some("a host is gone".to_owned()),
        n => Some(format!("{n} hosts are gone")),
    };
    let wrong: Vec<String> = alerts.into_iter().chain(hosts).collect();
    let (class, icon, text) = match (readiness.ready, wrong.is_empty()) {
        (false, _) => ("bad", "failed", "Something is not working".to_owned()),
        (true, true) => ("ok", "completed", "Everything works".to_owned()),
        (true, false) => (
            "warn",
            "stalled",
            format!("The servers work, but {}", wrong.join(" and ")),
        ),
    };
    Verdict { class, icon, text }
}

fn count_of(hosts: &[Host], state: HostState) -> usize {
    hosts.iter().filter(|host| host.state == state).count()
}

/// The machines with an agent; none where there is no such machine.
fn part_of_hosts(hosts: &[Host]) -> Option<Part> {
    let states = [HostState::Up, HostState::Gone, HostState::Stopped];
    let counts = states.map(|state| (count_of(hosts, state), state.word()));
    let told = counts.iter().filter(|(n, _)| *n > 0);
    let told: Vec<String> = told.map(|(n, word)| format!("{n} {word}")).collect();
    (!told.is_empty()).then(|| Part {
        name: "Hosts",
        class: if counts[1].0 > 0 { "warn" } else { "ok" },
        text: told.join(", "),
        about: "machines with an agent; gone: not heard of, without a word of stopping".into(),
    })
}

fn parts(readiness: &Readiness) -> Vec<Part> {
    let connected = |word: &str| if word == "connected" { "ok" } else { "bad" };
    let lag = readiness.consumer_lag;
    let dead = readiness.dead_letters;
    let parts = vec![
        Part {
            name: "NATS",
            class: connected(&readiness.nats),
            text: text::line(&readiness.nats, text::NAME_CHARS),
            about: "carries events from the hosts; without it they wait in the agents' outboxes"
                .into(),
        },
        Part {
            name: "Postgres",
            class: connected(&readiness.postgres),
            text: text::line(&readiness.postgres, text::NAME_CHARS),
            about: "the record; without it events wait in NATS and pages show what was known"
                .into(),
        },
        Part {
            name: "Writer",
            class: if readiness.leadership == "none" {
                "bad"
            } else {
                "ok"
            },
            text: leadership(&readiness.leadership),
            about: "exactly one server writes; another takes over when it is gone".into(),
        },
        Part {
            name: "Waiting in the stream",
            class: if lag.is_none() { "idle" } else { "ok" },
            text: lag.map_or_else(|| format::UNKNOWN.to_owned(), |n| plural(n, "event")),
            about: "received from the hosts, not yet committed".into(),
        },
        Part {
            name: "Set aside",
            class: match dead {
                None => "idle",
                Some(0) => "ok",
                Some(_) => "warn",
            },
            text: dead.map_or_else(|| format::UNKNOWN.to_owned(), |n| plural(n, "message")),
            about: "messages that could not become events; listed below".into(),
        },
        Part {
            name: "Newest change",
            class: "ok",
            text: format!("#{}", readiness.seq),
            about: "position in the order of all changes".into(),
        },
    ];
    parts
        .into_iter()
        .chain(readiness.servers.iter().map(private_server))
        .collect()
}

/// A server that `phaseline up` runs.
fn private_server(server: &PrivateServer) -> Part {
    let end = server.last_end.as_deref().unwrap_or("it never ended");
    let at = server
        .last_end_at
        .map(|at| format::exact_ms(&at.as_millis()));
    let at = at.map_or_else(String::new, |at| format!(", at {at}"));
    let again = plural(server.restarts, "restart");
    Part {
        name: match server.name.as_str() {
            "Postgres" => "Private Postgres",
            _ => "Private nats-server",
        },
        class: match (server.running, server.restarts) {
            (false, _) => "bad",
            (true, 0) => "ok",
            (true, _) => "warn",
        },
        text: match server.running {
            true => format!("runs, {again}"),
            false => format!("is started again, {again}"),
        },
        about: format!("kept alive by phaseline up; last end: {end}{at}").into(),
    }
}

fn plural(n: u64, word: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {word}{s}", format::count(n))
}

fn leadership(word: &str) -> String {
    match word {
        "leader" => "this server writes".to_owned(),
        "follower" => "another server writes".to_owned(),
        "none" => "nobody writes".to_owned(),
        other => text::line(other, text::NAME_CHARS),
    }
}

fn alert(alert: &Alert) -> AlertView {
    AlertView {
        class: if alert.ended_at.is_none() {
            "bad"
        } else {
            "idle"
        },
        text: text::block(&alert.text, text::VALUE_CHARS),
        remedy: text::line(&alert.remedy, text::TITLE_CHARS),
        began: Stamp::exact(Some(alert.began_at)),
        ended: alert.ended_at.map(|at| Stamp::exact(Some(at))),
    }
}

fn letter(letter: &DeadLetter) -> Letter {
    Letter {
        id: letter.id,
        at: Stamp::exact(Some(letter.received_at)),
        subject: text::line(&letter.subject, text::TITLE_CHARS),
        reason: text::block(&letter.reason, text::VALUE_CHARS),
        size: format::bytes(letter.size),
        excerpt: text::block(&letter.excerpt, text::VALUE_CHARS),
    }
}
