//! What producers that send have sent: to this server, and to the agents that
//! take calls.

use protocol::{Calls, Host, HostState, RouteStatus, RunnerStatus, Timestamp};

use super::link;
use super::stamp::Stamp;
use crate::{format, text};

/// Whoever takes calls.
pub(crate) struct Listener {
    /// `this server`, or the host's name.
    pub(crate) name: String,
    /// The host's page; empty for this server.
    pub(crate) href: String,
    /// What was told last, before the agent went; empty while it is there.
    pub(crate) note: &'static str,
    pub(crate) routes: Vec<Route>,
    pub(crate) runners: Vec<Runner>,
}

/// One of its routes.
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) received: String,
    pub(crate) last_received: Option<Stamp>,
    pub(crate) refused: String,
    pub(crate) last_refused: Option<Stamp>,
    pub(crate) why: Option<String>,
}

/// A runner that is or was connected.
pub(crate) struct Runner {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) state: String,
    pub(crate) version: String,
    pub(crate) machine: String,
    pub(crate) last_seen: Option<Stamp>,
}

/// This server first, then the hosts whose agents take calls.
pub(crate) fn listeners(server: &Calls, hosts: &[Host]) -> Vec<Listener> {
    let own = listener("this server".to_owned(), String::new(), "", server);
    let agents = hosts.iter().filter_map(|host| {
        let calls = host.calls.as_ref()?;
        let note = match host.state {
            HostState::Up => "",
            HostState::Gone | HostState::Stopped => "as told before its agent went",
        };
        let name = text::line(&host.name, text::NAME_CHARS);
        Some(listener(name, link::host(&host.name), note, calls))
    });
    std::iter::once(own).chain(agents).collect()
}

fn listener(name: String, href: String, note: &'static str, calls: &Calls) -> Listener {
    Listener {
        name,
        href,
        note,
        routes: calls.routes.iter().map(route).collect(),
        runners: calls.runners.iter().map(runner).collect(),
    }
}

fn stamp(at: Option<Timestamp>) -> Option<Stamp> {
    at.map(|at| Stamp::exact(Some(at)))
}

fn route(status: &RouteStatus) -> Route {
    let ignored = match status.ignored {
        0 => String::new(),
        n => format!(", {} ignored", format::count(n)),
    };
    Route {
        path: text::line(&status.route, text::TITLE_CHARS),
        received: format!("{}{ignored}", format::count(status.received)),
        last_received: stamp(status.last_received_at),
        refused: format::count(status.refused),
        last_refused: stamp(status.last_refused_at),
        why: status
            .last_refusal
            .as_deref()
            .map(|why| text::block(why, text::VALUE_CHARS)),
    }
}

fn runner(status: &RunnerStatus) -> Runner {
    let or_unknown = |told: &Option<String>| {
        told.as_deref().map_or_else(
            || format::UNKNOWN.to_owned(),
            |told| text::line(told, text::NAME_CHARS),
        )
    };
    Runner {
        name: text::line(&status.runner, text::NAME_CHARS),
        class: if status.connected { "ok" } else { "idle" },
        state: match status.connected {
            true => or_unknown(&status.status),
            false => "not connected".to_owned(),
        },
        version: or_unknown(&status.version),
        machine: or_unknown(&status.hostname),
        last_seen: stamp(status.last_seen_at),
    }
}
