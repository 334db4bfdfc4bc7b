//! The timeline of a build: a lane for each phase, from when it was first seen
//! to when it was left, in thousandths of the whole.

use protocol::{Build, Phase, PhaseState, Timestamp};

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
    pub(crate) x: i64,
    pub(crate) width: i64,
    pub(crate) duration: String,
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
        let from = starts.chain(build.started_at).min();
        let to = ends.chain([host_now]).max();
        let cells = track::lane_cells(build);
        let lanes = phases
            .iter()
            .zip(cells)
            .map(|(phase, cell)| lane(phase, cell, from, to, host_now))
            .collect();
        Self { lanes, from, to }
    }
}

fn lane(
    phase: &Phase,
    cell: track::Cell,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    host_now: Timestamp,
) -> Lane {
    let end = match (phase.ended_at, phase.state) {
        (Some(end), _) => Some(end),
        (None, PhaseState::Running | PhaseState::Failed) => Some(host_now),
        (None, _) => None,
    };
    let (mut x, mut width, mut duration) = (0, 0, format::UNKNOWN.to_owned());
    if let (Some(from), Some(to), Some(start), Some(end)) = (from, to, phase.started_at, end) {
        let whole = to.millis_since(from).max(1);
        let thousandths = |time: Timestamp| time.millis_since(from).saturating_mul(1000) / whole;
        width = (thousandths(end) - thousandths(start)).clamp(MIN_BAR, 1000);
        x = thousandths(start).clamp(0, 1000 - width);
        duration = format::precise(end.millis_since(start));
    }
    Lane {
        name: text::line(&phase.name, text::NAME_CHARS),
        class: cell.class,
        title: cell.title,
        x,
        width,
        duration,
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
        assert_eq!((timeline.lanes[0].x, timeline.lanes[0].width), (0, MIN_BAR));
        build.phases[0].started_at = Some(Timestamp::from_millis(i64::MAX));
        build.phases[0].ended_at = Some(Timestamp::from_millis(i64::MIN));
        let lane = &Timeline::new(&build, &moment).lanes[0];
        assert!(lane.x >= 0 && lane.x + lane.width <= 1000);
    }

    #[test]
    fn a_phase_that_was_only_told_has_no_bar() {
        let mut build = samples::build(1, "Scout");
        build.phases[0].state = PhaseState::Completed;
        build.phases[0].started_at = None;
        let timeline = Timeline::new(&build, &Moment::new(samples::now(), &[]));
        assert_eq!(timeline.lanes[0].width, 0);
        assert_eq!(timeline.lanes[0].duration, "—");
    }
}
