//! The timeline of a build: a lane for each phase, from when it was first seen
//! to when it was left, in thousandths of the whole.

use protocol::{Build, BuildState, Phase, PhaseState, Timestamp};

use super::Moment;
use super::track;
use crate::{format, text};

/// Lanes at most; a producer with more phases than this is no producer's.
const MAX_LANES: usize = 40;
/// Narrowest bar, thousandths: a phase of an instant is still seen.
const MIN_BAR: i64 = 6;

/// One phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) title: String,
    /// With signs of life.
    pub(crate) known: Bar,
    /// Since the last of them.
    pub(crate) silent: Bar,
    pub(crate) duration: String,
}

/// A part of a lane, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) x: i64,
    pub(crate) width: i64,
}

/// What all lanes share, in the host's time.
struct Scale {
    from: Option<Timestamp>,
    to: Timestamp,
    now: Timestamp,
    silent_from: Option<Timestamp>,
}

/// The lanes and the times at both ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

impl Timeline {
    pub(crate) fn new(build: &Build, moment: &Moment) -> Self {
        let phases = &build.phases[..build.phases.len().min(MAX_LANES)];
        let host_now = build.ended_at.unwrap_or_else(|| {
            // The lanes are in the host's time, so now must be too.
            let skew_ms = moment
                .now
                .millis_since(moment.ours(&build.host, moment.now));
            moment.now.plus_millis(skew_ms)
        });
        let starts = phases.iter().filter_map(|phase| phase.started_at);
        let ends = phases.iter().filter_map(|phase| phase.ended_at);
        let stalled = build.state == BuildState::Stalled;
        let scale = Scale {
            from: starts.chain(build.started_at).min(),
            to: ends.fold(host_now, Timestamp::max),
            now: host_now,
            silent_from: build.alive_at.or(build.observed_at).filter(|_| stalled),
        };
        let lanes = phases
            .iter()
            .zip(track::lane_cells(build))
            .map(|(phase, cell)| lane(phase, cell, &scale))
            .collect();
        Self {
            lanes,
            from: scale.from,
            to: Some(scale.to),
        }
    }
}

fn lane(phase: &Phase, cell: track::Cell, scale: &Scale) -> Lane {
    let end = match (phase.ended_at, phase.state) {
        (Some(end), _) => Some(end),
        (None, PhaseState::Running | PhaseState::Failed) => Some(scale.now),
        (None, _) => None,
    };
    let mut lane = Lane {
        name: text::line(&phase.name, text::NAME_CHARS),
        class: cell.class,
        title: cell.title,
        duration: format::UNKNOWN.to_owned(),
        ..Lane::default()
    };
    let (Some(from), Some(start), Some(end)) = (scale.from, phase.started_at, end) else {
        return lane;
    };
    lane.duration = format::precise(end.millis_since(start));
    let quiet = scale
        .silent_from
        .filter(|since| lane.class == "w" && *since > start && *since < end);
    lane.known = bar(from, scale.to, start, quiet.unwrap_or(end));
    lane.silent = quiet.map_or_else(Bar::default, |since| bar(from, scale.to, since, end));
    lane
}

fn bar(from: Timestamp, to: Timestamp, start: Timestamp, end: Timestamp) -> Bar {
    let whole = to.millis_since(from).max(1);
    let thousandths = |time: Timestamp| time.millis_since(from).saturating_mul(1000) / whole;
    let width = (thousandths(end) - thousandths(start)).clamp(MIN_BAR, 1000);
    Bar {
        x: thousandths(start).clamp(0, 1000 - width),
        width,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn a_bar_stays_within_its_lane_whatever_the_times() {
        let mut build = samples::build(1, "Test");
        let moment = Moment::new(samples::now(), &[]);
        build.phases[0].ended_at = Some(samples::now().plus_millis(-59_999));
        let timeline = Timeline::new(&build, &moment);
        let bar = Bar {
            x: 0,
            width: MIN_BAR,
        };
        assert_eq!(timeline.lanes[0].known, bar);
        build.phases[0].started_at = Some(Timestamp::from_millis(i64::MAX));
        build.phases[0].ended_at = Some(Timestamp::from_millis(i64::MIN));
        let bar = Timeline::new(&build, &moment).lanes[0].known;
        assert!(bar.x >= 0 && bar.x + bar.width <= 1000);
    }

    #[test]
    fn silence_is_drawn_apart() {
        let mut build = samples::build(1, "Test");
        build.state = BuildState::Stalled;
        build.alive_at = Some(samples::now().plus_millis(-30_000));
        let lane = &Timeline::new(&build, &Moment::new(samples::now(), &[])).lanes[0];
        assert_eq!(
            (lane.known.width, lane.silent.x, lane.silent.width),
            (500, 500, 500)
        );
    }

    #[test]
    fn a_phase_that_was_only_told_has_no_bar() {
        let mut build = samples::build(1, "Scout");
        build.phases[0].state = PhaseState::Completed;
        build.phases[0].started_at = None;
        let timeline = Timeline::new(&build, &Moment::new(samples::now(), &[]));
        assert_eq!(timeline.lanes[0].known.width, 0);
        assert_eq!(timeline.lanes[0].duration, "—");
    }
}
