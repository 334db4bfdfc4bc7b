//! The phase track of a row: one cell for each phase seen, and empty ones for
//! those that the producer's own number says are to come.

use protocol::{Build, BuildState, Phase, PhaseState};

use crate::{format, text};

/// Cells of phases at most; earlier ones are counted in one cell, so that a
/// track of any length fits a row.
const MAX_CELLS: usize = 12;
/// Empty cells at most, whatever number a producer writes.
const MAX_PENDING: usize = 8;

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// `d` done, `c` current, `w` current and in trouble, `f` failed, `u` left
    /// without a word, `n` a number of earlier ones, empty for one to come.
    pub(crate) class: &'static str,
    /// Name and visits.
    pub(crate) text: String,
    /// The same in words, with its duration.
    pub(crate) title: String,
}

/// The cells of a build.
pub(crate) fn cells(build: &Build) -> Vec<Cell> {
    let earlier = build.phases.len().saturating_sub(MAX_CELLS);
    let mut cells = Vec::new();
    if earlier > 0 {
        cells.push(Cell {
            class: "n",
            text: format!("+{earlier}"),
            title: format!("{earlier} earlier phases"),
        });
    }
    cells.extend(
        build.phases[earlier..]
            .iter()
            .map(|phase| cell(phase, build.state)),
    );
    if cells.is_empty() {
        cells.extend(build.phase.as_deref().map(|name| named(name, build.state)));
    }
    let pending = pending(build);
    cells.extend((0..pending).map(|_| Cell {
        class: "",
        text: String::new(),
        title: "to come, by the producer's numbers".to_owned(),
    }));
    cells
}

/// A cell for each phase, none left out.
pub(crate) fn lane_cells(build: &Build) -> impl Iterator<Item = Cell> {
    build.phases.iter().map(|phase| cell(phase, build.state))
}

/// The track in words, for those who do not see it.
pub(crate) fn spoken(cells: &[Cell]) -> String {
    let named: Vec<&str> = cells
        .iter()
        .filter(|cell| !cell.class.is_empty())
        .map(|cell| cell.title.as_str())
        .collect();
    match named.len() {
        0 => "no phase seen yet".to_owned(),
        _ => text::attribute(&named.join(", ")),
    }
}

fn cell(phase: &Phase, state: BuildState) -> Cell {
    let class = match phase.state {
        PhaseState::Completed => "d",
        PhaseState::Failed => "f",
        PhaseState::Unknown => "u",
        PhaseState::Running => current_class(state),
    };
    let name = text::line(&phase.name, text::NAME_CHARS);
    let mut label = name.clone();
    let mut title = format!("{name} {}", word(class));
    if let Some(visits) = phase.iterations.filter(|visits| *visits > 1) {
        label.push_str(&format!(" ×{visits}"));
        title.push_str(&format!(", visit {visits}"));
    }
    if class == "f" {
        label.push_str(" failed");
    }
    if let (Some(start), Some(end)) = (phase.started_at, phase.ended_at) {
        title.push_str(&format!(", {}", format::precise(end.millis_since(start))));
    }
    Cell {
        class,
        text: label,
        title: text::attribute(&title),
    }
}

fn named(name: &str, state: BuildState) -> Cell {
    let class = current_class(state);
    let name = text::line(name, text::NAME_CHARS);
    Cell {
        class,
        title: text::attribute(&format!("{name} {}", word(class))),
        text: name,
    }
}

/// How the phase that a build is in looks.
fn current_class(state: BuildState) -> &'static str {
    match state {
        BuildState::Stalled | BuildState::Unknown | BuildState::Waiting => "w",
        BuildState::Failed => "f",
        BuildState::Completed => "d",
        BuildState::Cancelled => "u",
        BuildState::Queued | BuildState::Running => "c",
    }
}

fn word(class: &str) -> &'static str {
    match class {
        "d" => "done",
        "c" => "now",
        "w" => "now, in doubt",
        "f" => "failed",
        _ => "left without a word",
    }
}

/// Phases to come by the producer's number: 3 for `4/7`, none when it ended
/// well or the number does not tell.
fn pending(build: &Build) -> usize {
    if matches!(build.state, BuildState::Completed | BuildState::Cancelled) {
        return 0;
    }
    let Some((at, of)) = build
        .phase_number
        .as_deref()
        .and_then(|n| n.split_once('/'))
    else {
        return 0;
    };
    let (Ok(at), Ok(of)) = (at.trim().parse::<f64>(), of.trim().parse::<f64>()) else {
        return 0;
    };
    (1..=MAX_PENDING)
        .take_while(|n| at + f64::from(u32::try_from(*n).unwrap_or(u32::MAX)) <= of)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn empty_cells_follow_the_producers_number() {
        let mut build = samples::build(1, "Test");
        for (number, expected) in [
            ("4/7", 3),
            ("4.5/8", 3),
            ("?/7", 0),
            ("9/7", 0),
            ("1/1e9", MAX_PENDING),
            ("NaN/inf", 0),
            ("7/7", 0),
        ] {
            build.phase_number = Some(number.to_owned());
            assert_eq!(cells(&build).len() - 1, expected, "{number}");
        }
    }

    #[test]
    fn the_current_phase_says_visits_and_trouble() {
        let mut build = samples::build(1, "Test");
        assert_eq!(cells(&build)[0].text, "Test ×3");
        assert_eq!(cells(&build)[0].class, "c");
        build.state = BuildState::Stalled;
        assert_eq!(cells(&build)[0].class, "w");
        build.phases[0].state = PhaseState::Failed;
        assert_eq!(cells(&build)[0].text, "Test ×3 failed");
    }

    #[test]
    fn a_track_of_any_length_fits() {
        let mut build = samples::build(1, "Test");
        build.phases = vec![build.phases[0].clone(); 500];
        assert_eq!(cells(&build)[0].text, "+488");
        assert_eq!(cells(&build).len(), MAX_CELLS + 1);
    }
}
