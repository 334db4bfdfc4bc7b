//! `/`: all builds of all hosts, grouped, most urgent first.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use protocol::{Build, BuildState, HostState};

use super::past::{self, At};
use super::{Shell, error, page};
use crate::format::DAY_MS;
use crate::source::{Overview, Source};
use crate::view::Moment;
use crate::view::blank::Blank;
use crate::view::group::{self, Group};
use crate::view::host::{HostView, Notice, RootView};
use crate::view::panel::Panel;

/// Notices shown above the list; the rest are on the page of the hosts.
const MAX_NOTICES: usize = 4;

/// The live page, with the panel of a build or without.
#[derive(Template)]
#[template(path = "live.html")]
pub(crate) struct LivePage {
    shell: Shell,
    stats: Stats,
    hosts: Vec<HostView>,
    roots: Vec<RootView>,
    groups: Vec<Group>,
    notices: Vec<Notice>,
    more_notices: usize,
    truncated: bool,
    empty: &'static str,
    panel: Option<Panel>,
    blank: Blank,
}

/// The strip of figures.
struct Stats {
    needs: usize,
    running: usize,
    failed: usize,
    hosts_up: usize,
    hosts: usize,
}

pub(crate) async fn show<S: Source>(
    State(source): State<S>,
    at: Result<Query<At>, QueryRejection>,
) -> Response {
    match at.map(|Query(at)| at).unwrap_or_default().read() {
        Ok(None) => {}
        // The list of a moment is that of the history.
        Ok(Some(at)) => return past::to_now(&past::href("/history", at)),
        Err(page) => return page,
    }
    let Ok(overview) = source.overview().await else {
        return error::unavailable();
    };
    page(StatusCode::OK, &LivePage::new(&overview, None))
}

impl LivePage {
    pub(crate) fn new(overview: &Overview, panel: Option<Panel>) -> Self {
        let moment = Moment::new(overview.now, &overview.hosts);
        let stats = stats(overview);
        let title = match (&panel, stats.needs) {
            (Some(panel), _) => format!("{} · Phaseline", crate::text::attribute(&panel.project)),
            (None, 0) => "Phaseline".to_owned(),
            (None, needs) => format!("({needs}) Phaseline"),
        };
        let mut hosts: Vec<HostView> = overview
            .hosts
            .iter()
            .map(|host| HostView::new(host, &overview.builds, overview.now))
            .collect();
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        let mut notices: Vec<Notice> = hosts.iter().flat_map(|h| h.notices.clone()).collect();
        notices.sort_by_key(|notice| notice.class);
        let more_notices = notices.len().saturating_sub(MAX_NOTICES);
        notices.truncate(MAX_NOTICES);
        let mut shell = Shell::new(title, "live", overview.now);
        shell.seq = overview.seq;
        Self {
            shell,
            stats,
            roots: hosts.iter().flat_map(HostView::named_roots).collect(),
            hosts,
            groups: group::groups(&overview.builds, &moment),
            notices,
            more_notices,
            truncated: overview.truncated,
            empty: empty(overview),
            panel,
            blank: Blank::new(),
        }
    }
}

/// Why there is nothing to see: `no-hosts`, `no-builds`, or empty when there is something.
fn empty(overview: &Overview) -> &'static str {
    match (overview.hosts.is_empty(), overview.builds.is_empty()) {
        (_, false) => "",
        (true, true) => "no-hosts",
        (false, true) => "no-builds",
    }
}

fn stats(overview: &Overview) -> Stats {
    let lately = |build: &&Build| {
        let ended = build.ended_at.unwrap_or(build.last_updated);
        build.state == BuildState::Failed && overview.now.millis_since(ended) < DAY_MS
    };
    let up = |host: &&protocol::Host| host.state == HostState::Up;
    let running = |build: &&Build| build.state == BuildState::Running;
    Stats {
        needs: group::needs(&overview.builds),
        running: overview.builds.iter().filter(running).count(),
        failed: overview.builds.iter().filter(lately).count(),
        hosts_up: overview.hosts.iter().filter(up).count(),
        hosts: overview.hosts.len(),
    }
}
