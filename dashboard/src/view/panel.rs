//! A build in full: the panel at the right of the live page, and the page
//! `/builds/{id}`, which is the live page with that panel.

use protocol::{Build, BuildState, Timestamp};

use super::event::EventList;
use super::facts::{self, Fact, Member};
use super::metrics::{self, Metrics};
use super::stamp::Stamp;
use super::step::{self, Step};
use super::timeline::{Lane, Timeline};
use super::{Moment, is_dormant, link, row};
use crate::pages::past;
use crate::{format, text};

/// The panel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panel {
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) project: String,
    pub(crate) project_title: String,
    pub(crate) run: String,
    pub(crate) host: String,
    pub(crate) host_href: String,
    pub(crate) branch: String,
    pub(crate) pr_href: String,
    pub(crate) pr_text: String,
    pub(crate) found: bool,
    pub(crate) reason: String,
    pub(crate) error: String,
    pub(crate) origin: &'static str,
    /// It is of a moment: without what a script would read.
    pub(crate) is_past: bool,
    pub(crate) data_age: Stamp,
    pub(crate) updated: Stamp,
    pub(crate) elapsed: Stamp,
    pub(crate) from: Stamp,
    pub(crate) to: Stamp,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) times: Vec<Moments>,
    pub(crate) hops: [String; 3],
    pub(crate) todos: Vec<Step>,
    pub(crate) todos_done: String,
    pub(crate) calls: Vec<facts::Member>,
    pub(crate) call_count: usize,
    pub(crate) agents: Vec<Step>,
    pub(crate) details: Vec<Member>,
    pub(crate) metrics: Metrics,
    pub(crate) summary: Vec<Member>,
    pub(crate) fields: Vec<Member>,
    pub(crate) events: EventList,
}

/// A labelled time.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) stamp: Stamp,
}

impl Panel {
    pub(crate) fn new(build: &Build, moment: &Moment, events: EventList) -> Self {
        let timeline = Timeline::new(build, moment);
        let pr = build.pr_url.as_deref().and_then(link::web);
        Self {
            id: build.id.clone(),
            state: build.state.word(),
            project: text::line(&build.project, text::NAME_CHARS),
            project_title: text::attribute(&format!("{} · {}", build.project, build.id)),
            run: format!("run {}", build.run),
            host: text::line(&build.host, text::NAME_CHARS),
            host_href: link::host(&build.host),
            branch: row::opt(build.branch.as_deref()),
            pr_href: pr.unwrap_or_default().to_owned(),
            pr_text: pr.map_or_else(String::new, pr_text),
            found: build.found,
            reason: build
                .state_reason
                .as_deref()
                .map_or_else(String::new, |r| text::block(r, text::VALUE_CHARS)),
            error: build
                .error
                .as_deref()
                .map_or_else(String::new, |e| text::block(e, text::VALUE_CHARS)),
            origin: metrics::origin(build),
            is_past: false,
            data_age: data_age(build, moment),
            updated: updated(build, moment),
            elapsed: row::elapsed(build, moment),
            from: timeline.from.map_or_else(Stamp::default, Stamp::clock),
            to: timeline.to.map_or_else(Stamp::default, Stamp::clock),
            lanes: timeline.lanes,
            facts: facts::facts(build),
            times: times(build),
            hops: hops(build, moment),
            todos: step::todos(build),
            todos_done: step::done(build),
            calls: facts::calls(build.calls.as_ref()),
            call_count: facts::call_count(build.calls.as_ref()),
            agents: step::agents(build),
            details: facts::told(&build.facts),
            metrics: Metrics::new(build),
            summary: build.summary.as_ref().map_or_else(Vec::new, facts::members),
            fields: facts::object(&build.fields),
            events,
        }
    }

    /// The panel of a moment: it leads to the host as it was then.
    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.host_href = past::href(&self.host_href, at);
        self.updated = self.updated.still();
        self.data_age = self.data_age.still();
        self.is_past = true;
        self.elapsed = self.elapsed.still();
        self
    }

    /// The panel that the script clones: labels without data.
    pub(crate) fn blank() -> Self {
        let nothing: Option<Timestamp> = None;
        Self {
            state: "unknown",
            facts: facts::blank(),
            times: TIMES
                .iter()
                .map(|(key, label)| Moments {
                    key,
                    label,
                    stamp: Stamp::exact(nothing),
                })
                .collect(),
            hops: [format::UNKNOWN, format::UNKNOWN, format::UNKNOWN].map(str::to_owned),
            ..Self::default()
        }
    }
}

const TIMES: [(&str, &str); 6] = [
    ("started", "Started"),
    ("changed", "File changed"),
    ("observed", "Agent saw it"),
    ("committed", "Committed"),
    ("alive", "Last sign of life"),
    ("ended", "Ended"),
];

fn times(build: &Build) -> Vec<Moments> {
    let values = [
        build.started_at,
        build.changed_at,
        build.observed_at,
        Some(build.last_updated),
        build.alive_at,
        build.ended_at,
    ];
    TIMES
        .iter()
        .zip(values)
        .map(|((key, label), time)| Moments {
            key,
            label,
            stamp: Stamp::exact(time),
        })
        .collect()
}

fn updated(build: &Build, moment: &Moment) -> Stamp {
    let stamp = match build.ended_at {
        Some(ended) => {
            let stamp = Stamp::ended(moment.ours(&build.host, ended), moment.now);
            let text = format!("ended {}", stamp.text);
            Stamp { text, ..stamp }
        }
        None if is_dormant(build) => row::age(build, moment),
        None => Stamp::ago(moment.updated(build), moment.now),
    };
    Stamp {
        title: row::times(build),
        ..stamp
    }
}

/// How old what is shown of it is, by its file; of one that ended or lies still, since when.
fn data_age(build: &Build, moment: &Moment) -> Stamp {
    let Some(changed) = build.changed_at else {
        return Stamp::unknown();
    };
    let changed = moment.ours(&build.host, changed);
    if build.has_ended() || is_dormant(build) {
        return Stamp::ended(changed, moment.now);
    }
    Stamp::ago(changed, moment.now)
}

/// File to agent (one clock), agent to commit (two clocks, offset known or not);
/// the third, to the screen, only the browser can measure.
fn hops(build: &Build, moment: &Moment) -> [String; 3] {
    let unknown = || format::UNKNOWN.to_owned();
    let (Some(changed), Some(observed)) = (build.changed_at, build.observed_at) else {
        return [unknown(), unknown(), unknown()];
    };
    let seen_ms = observed.millis_since(changed);
    if matches!(build.state, BuildState::Stalled | BuildState::Unknown) {
        // Its last commit was of silence, not of this change.
        return [format::precise(seen_ms), unknown(), unknown()];
    }
    let committed_ms = build
        .last_updated
        .millis_since(moment.ours(&build.host, observed));
    [
        format::precise(seen_ms),
        format::precise(committed_ms),
        unknown(),
    ]
}

/// `PR #214`, or the address without its scheme.
fn pr_text(address: &str) -> String {
    let number = address
        .rsplit_once("/pull/")
        .or_else(|| address.rsplit_once("/merge_requests/"))
        .map(|(_, number)| number.trim_end_matches('/'))
        .filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(number) => format!("PR #{number}"),
        None => text::line(
            address.split_once("://").map_or(address, |(_, rest)| rest),
            60,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_request_is_named_by_its_number() {
        assert_eq!(pr_text("https://github.com/a/b/pull/214"), "PR #214");
        assert_eq!(pr_text("https://example.com/x"), "example.com/x");
    }
}
