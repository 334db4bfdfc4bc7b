//! A build as a row of a list.

use protocol::{Build, Timestamp};

use super::stamp::Stamp;
use super::track::{self, Cell};
use super::{Moment, is_dormant, link};
use crate::pages::past;
use crate::{format, text};

/// A row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) href: String,
    pub(crate) state: &'static str,
    pub(crate) project: String,
    pub(crate) project_title: String,
    pub(crate) host: String,
    pub(crate) branch: String,
    pub(crate) found: bool,
    pub(crate) cells: Vec<Cell>,
    pub(crate) spoken: String,
    pub(crate) why: String,
    pub(crate) why_title: String,
    pub(crate) number: String,
    pub(crate) iteration: String,
    pub(crate) elapsed: Stamp,
    pub(crate) progress: String,
    pub(crate) progress_title: String,
    pub(crate) cost: String,
    pub(crate) age: Stamp,
}

impl Row {
    pub(crate) fn new(build: &Build, moment: &Moment) -> Self {
        let cells = track::cells(build);
        Self {
            id: build.id.clone(),
            href: link::build(&build.id),
            state: build.state.word(),
            project: text::line(&build.project, text::NAME_CHARS),
            project_title: text::attribute(&format!(
                "{} · {} · run {}",
                build.project, build.id, build.run
            )),
            host: text::line(&build.host, text::NAME_CHARS),
            branch: opt(build.branch.as_deref()),
            found: build.found,
            spoken: track::spoken(&cells),
            cells,
            why: why(build).map_or_else(String::new, |why| text::line(why, text::NAME_CHARS)),
            why_title: why(build).map_or_else(String::new, text::attribute),
            number: opt(build.phase_number.as_deref()),
            iteration: iteration(build),
            elapsed: elapsed(build, moment),
            progress: progress(build),
            progress_title: progress_title(build),
            cost: cost(build),
            age: age(build, moment),
        }
    }

    /// The row of a moment: it leads to the build as it was then.
    pub(crate) fn at(mut self, at: Timestamp) -> Self {
        self.href = past::href(&self.href, at);
        self.elapsed = self.elapsed.still();
        self.age = self.age.still();
        self
    }

    /// The row that the script clones: no data at all.
    pub(crate) fn blank() -> Self {
        Self {
            state: "unknown",
            ..Self::default()
        }
    }
}

/// What a row says beyond its state: why an open build is in doubt, e.g. that its file cannot be read.
fn why(build: &Build) -> Option<&str> {
    let open = build.ended_at.is_none();
    build.state_reason.as_deref().filter(|_| open)
}

pub(crate) fn opt(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| text::line(value, text::NAME_CHARS))
}

pub(crate) fn iteration(build: &Build) -> String {
    build
        .test_iteration
        .filter(|n| *n > 0)
        .map_or_else(String::new, |n| format!("it {n}"))
}

pub(crate) fn progress(build: &Build) -> String {
    match build.progress {
        Some(progress) if build.ended_at.is_none() => format!("{:.3}", progress.clamp(0.0, 1.0)),
        _ => String::new(),
    }
}

fn progress_title(build: &Build) -> String {
    build.progress.map_or_else(String::new, |progress| {
        let percent = progress.clamp(0.0, 1.0) * 100.0;
        format!("{percent:.0} %, by the producer's numbers")
    })
}

pub(crate) fn cost(build: &Build) -> String {
    build.cost_usd.map_or_else(
        || format::UNKNOWN.to_owned(),
        |usd| format::money(usd, build.cost_estimated == Some(true)),
    )
}

pub(crate) fn elapsed(build: &Build, moment: &Moment) -> Stamp {
    let (Some(started), Some(elapsed_ms)) = (build.started_at, moment.elapsed_ms(build)) else {
        return Stamp::unknown();
    };
    let title = match build.ended_at {
        Some(ended) => format!(
            "from {} to {}",
            format::exact(started),
            format::exact(ended)
        ),
        None => format!("since {}", format::exact(started)),
    };
    let since = moment.ours(&build.host, started);
    let stamp = Stamp::elapsed(since, moment.now);
    if build.ended_at.is_none() && !is_dormant(build) {
        return Stamp { title, ..stamp };
    }
    Stamp {
        title,
        tick: "",
        text: format::short(elapsed_ms),
        ..stamp
    }
}

pub(crate) fn age(build: &Build, moment: &Moment) -> Stamp {
    let stamp = match build.ended_at {
        Some(ended) => Stamp::ended(moment.ours(&build.host, ended), moment.now),
        None if is_dormant(build) => Stamp::ended(moment.updated(build), moment.now),
        None => Stamp::age(moment.updated(build), moment.now),
    };
    Stamp {
        title: times(build),
        ..stamp
    }
}

/// The exact times of the last change, each on its own clock.
pub(crate) fn times(build: &Build) -> String {
    let mut lines = Vec::new();
    for (what, time) in [
        ("file changed", build.changed_at),
        ("seen by the agent", build.observed_at),
        ("committed", Some(build.last_updated)),
        ("ended", build.ended_at),
    ] {
        if let Some(time) = time {
            lines.push(format!("{what} {}", format::exact(time)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn an_open_build_in_doubt_says_why_in_its_row() {
        let moment = Moment::new(samples::now(), &[]);
        let mut build = samples::build(1, "Test");
        let reason = "current-phase.json cannot be read: unexpected character at byte 7";
        build.state_reason = Some(reason.to_owned());
        assert_eq!(Row::new(&build, &moment).why, reason);
        build.ended_at = Some(samples::now());
        assert_eq!(Row::new(&build, &moment).why, "");
        build.ended_at = None;
        build.state_reason = None;
        assert_eq!(Row::new(&build, &moment).why, "");
    }
}
