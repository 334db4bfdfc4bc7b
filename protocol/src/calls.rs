//! What producers that send have sent to a server or an agent, for the people
//! who wonder why nothing shows.

use serde::{Deserialize, Serialize};

use crate::{HostState, Timestamp};

/// Routes that one listener tells of: twice as many as there are.
pub const MAX_ROUTES: usize = 64;
/// Runners that one listener tells of: as many as may be connected at a time, and as many that were.
pub const MAX_RUNNERS: usize = 128;
/// Characters of a refusal's reason, and of what a runner says of itself.
pub const MAX_SAID: usize = 300;

/// What came in on one route of producers that send, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteStatus {
    /// Its path.
    pub route: String,
    /// Calls that were kept.
    pub received: u64,
    /// When the last one was.
    pub last_received_at: Option<Timestamp>,
    /// Calls that were refused or could not be kept.
    pub refused: u64,
    /// When the last one was.
    pub last_refused_at: Option<Timestamp>,
    /// Why, for people.
    pub last_refusal: Option<String>,
    /// Messages of kinds that say nothing of a build; they are not kept.
    #[serde(default)]
    pub ignored: u64,
}

/// A runner of OpenBuilder, as it told of itself on its WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerStatus {
    /// The name it connected with.
    pub runner: String,
    /// It is connected now.
    pub connected: bool,
    /// When it was last heard.
    pub last_seen_at: Option<Timestamp>,
    /// Its own word for how it is; null before its first status.
    pub status: Option<String>,
    /// Its version; null before its first status.
    pub version: Option<String>,
    /// What it calls its machine; null before its first status.
    pub hostname: Option<String>,
}

/// What came in at one listener since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calls {
    /// Routes that were called, by path.
    pub routes: Vec<RouteStatus>,
    /// Runners that are or were connected, by name.
    pub runners: Vec<RunnerStatus>,
}

/// What came in at this server, and at the agents that take calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallPage {
    /// At the server that answers; others have their own.
    pub server: Calls,
    /// At the agents that take calls, by host.
    pub hosts: Vec<HostCalls>,
}

/// What came in at an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostCalls {
    /// Its host.
    pub host: String,
    /// Whether the agent is there; where not, `calls` is what it told last.
    pub state: HostState,
    /// What came in since it started.
    pub calls: Calls,
}

impl Calls {
    /// Bounds what another program told, and takes out what cannot be stored.
    pub fn tame(&mut self) {
        self.routes.truncate(MAX_ROUTES);
        self.runners.truncate(MAX_RUNNERS);
        let tame =
            |text: &mut String| *text = crate::text::cut(&text.replace('\0', "\u{fffd}"), MAX_SAID);
        for route in &mut self.routes {
            tame(&mut route.route);
            route.last_refusal.iter_mut().for_each(tame);
        }
        for runner in &mut self.runners {
            tame(&mut runner.runner);
            for text in [
                &mut runner.status,
                &mut runner.version,
                &mut runner.hostname,
            ] {
                text.iter_mut().for_each(tame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_program_tells_is_bounded() {
        let route = RouteStatus {
            last_refusal: Some("x\0".repeat(1_000)),
            ..RouteStatus::default()
        };
        let mut calls = Calls {
            routes: vec![route; 1_000],
            runners: Vec::new(),
        };
        calls.tame();
        assert_eq!(calls.routes.len(), MAX_ROUTES);
        let told = calls.routes[0].last_refusal.as_deref().unwrap();
        assert!(told.chars().count() == MAX_SAID + 1 && !told.contains('\0'));
    }
}
