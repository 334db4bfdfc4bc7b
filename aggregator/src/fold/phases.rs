//! The phases of a build from what was seen: named as current, or told as
//! completed. Not a fixed seven; producers add, skip and revisit.

use protocol::{Phase, PhaseState, Timestamp};

use super::limits::{MAX_PHASES, MAX_TOLD};

/// One phase under several names: Context Foundry lists `Deployer` and
/// `GitHub` for what it calls `Deploy` and `GitHub Integration` while they run,
/// and its first version wrote lower case.
fn key(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    match lower.as_str() {
        "deployer" => "deploy".to_owned(),
        "github" => "github integration".to_owned(),
        "tester" | "test loop" => "test".to_owned(),
        "doc" => "document".to_owned(), // ADW's server and pages call it so
        _ => lower,
    }
}

/// Two names mean one phase.
pub(super) fn same(a: &str, b: &str) -> bool {
    key(a) == key(b)
}

fn find<'a>(phases: &'a mut [Phase], name: &str) -> Option<&'a mut Phase> {
    phases.iter_mut().find(|phase| same(&phase.name, name))
}

/// Whether the build was in this phase.
pub(super) fn knows(phases: &[Phase], name: &str) -> bool {
    phases.iter().any(|phase| same(&phase.name, name))
}

/// Enters a phase at its place, unless the build has too many already.
fn insert(phases: &mut Vec<Phase>, place: usize, phase: Phase) {
    if phases.len() < MAX_PHASES {
        phases.insert(place.min(phases.len()), phase);
    }
}

/// A list of completed phases was told. Those never seen are entered without times.
pub(super) fn told_completed(
    phases: &mut Vec<Phase>,
    names: &[String],
    current: Option<&str>,
    at: Timestamp,
) {
    for (place, name) in names.iter().enumerate() {
        let room = phases.len() < MAX_TOLD;
        if current.is_some_and(|current| same(current, name)) {
            continue; // its own status says more
        }
        match find(phases, name) {
            Some(phase) => complete(phase, at),
            None if !room => {}
            None => insert(
                phases,
                place,
                Phase {
                    name: name.clone(),
                    state: PhaseState::Completed,
                    started_at: None,
                    ended_at: None,
                    iterations: None,
                },
            ),
        }
    }
}

fn complete(phase: &mut Phase, at: Timestamp) {
    if phase.state == PhaseState::Running {
        phase.state = PhaseState::Completed;
        phase.ended_at = Some(at);
    }
}

/// The producer is in this phase now. Any other that ran has been left.
pub(super) fn enter(phases: &mut Vec<Phase>, name: &str, at: Timestamp) {
    for phase in phases.iter_mut().filter(|phase| !same(&phase.name, name)) {
        complete(phase, at);
    }
    match find(phases, name) {
        Some(phase) if phase.state == PhaseState::Running => {}
        Some(phase) => {
            phase.state = PhaseState::Running;
            phase.started_at.get_or_insert(at);
            phase.ended_at = None;
            phase.iterations = Some(phase.iterations.unwrap_or(0) + 1);
        }
        None => insert(
            phases,
            usize::MAX,
            Phase {
                name: name.to_owned(),
                state: PhaseState::Running,
                started_at: Some(at),
                ended_at: None,
                iterations: Some(1),
            },
        ),
    }
}

/// The phase was reported as completed: it need not have been seen running.
pub(super) fn finish(phases: &mut Vec<Phase>, name: &str, at: Timestamp) {
    let already = find(phases, name).is_some_and(|phase| phase.state == PhaseState::Completed);
    if !already {
        enter(phases, name, at);
    }
    if let Some(phase) = find(phases, name) {
        complete(phase, at);
    }
}

/// The producer counts test runs; a test phase shows as many iterations.
pub(super) fn count_iterations(phases: &mut [Phase], name: &str, test_iteration: Option<u64>) {
    let Some(told) = test_iteration.and_then(|n| u32::try_from(n).ok()) else {
        return;
    };
    if let Some(phase) = find(phases, name).filter(|phase| key(&phase.name).contains("test")) {
        phase.iterations = phase.iterations.max(Some(told)).filter(|n| *n > 0);
    }
}

/// Phases that another file told of the same build, which came before those that are known.
pub(super) fn told_before(phases: &mut Vec<Phase>, others: Vec<Phase>) {
    let mut place = 0;
    for mut other in others {
        if find(phases, &other.name).is_some() || phases.len() >= MAX_PHASES {
            continue;
        }
        if other.state == PhaseState::Running {
            other.state = PhaseState::Completed; // the build is somewhere else now
        }
        insert(phases, place, other);
        place += 1;
    }
}

/// The build has ended: what still ran gets its last word.
pub(super) fn close(phases: &mut [Phase], state: PhaseState, at: Timestamp) {
    for phase in phases
        .iter_mut()
        .filter(|phase| phase.state == PhaseState::Running)
    {
        phase.state = state;
        phase.ended_at = Some(at);
    }
}
