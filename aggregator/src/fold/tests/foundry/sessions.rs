//! A session that is called otherwise than its directory: its checkpoints and the
//! project's live file are one build, whichever is seen first.

use protocol::build::Origin;
use protocol::{Build, BuildState, Event, EventKind, ProjectToken, Timestamp};
use serde_json::{Value, json};

use super::super::play::Play;
use crate::fold::{Fact, Outcome, TimerFact, TimerKind, Track, live_session, session_of};

const STATE: &str = "checkpoints/ralph/shop_1/state.json";
const PROGRESS: &str = "checkpoints/ralph/shop_1/progress.json";
const SESSION: &str = "logs/ralph_shop_1/session.jsonl";
const LIVE: &str = ".context-foundry/current-phase.json";
const PLAN: &str = ".context-foundry/build-tasks.json";
const OF_SESSION: ProjectToken = ProjectToken(2);

/// What the leader does with the two tracks of one directory.
struct Directory {
    play: Play,
    project: Track,
    session: Track,
    ended: usize,
}

fn track(token: ProjectToken) -> Track {
    Track::new("build-01", "context-foundry", token)
}

impl Directory {
    fn new() -> Self {
        Self {
            play: Play::of("context-foundry", ""),
            project: track(ProjectToken(1)),
            session: track(OF_SESSION),
            ended: 0,
        }
    }

    fn event(&mut self, file: &str, document: &Value, at_ms: i64) -> Event {
        let mut event = self.play.content(file, document);
        event.changed_at = Timestamp::from_millis(at_ms);
        if session_of(file).is_some() {
            event.project_token = OF_SESSION;
        }
        event
    }

    fn file(&mut self, file: &str, document: &Value, at_ms: i64) -> Outcome {
        let event = self.event(file, document, at_ms);
        self.take(event)
    }

    fn take(&mut self, event: Event) -> Outcome {
        let of_session = session_of(&event.file).map(str::to_owned);
        let named = |track: &Track| track.current().and_then(|build| build.session_id.clone());
        let is_one = self.project.has_live_file()
            && of_session.is_some()
            && named(&self.project) == of_session;
        let met = live_session(&event).is_some_and(|session| {
            named(&self.session).as_ref() == Some(&session) && !self.project.knows_live(&session)
        });
        let met = met && self.session.is_of_session() && self.session.takes_live(&event);
        if met || is_one && self.project.wants_session(&self.session) {
            self.join();
        }
        let track = match of_session.is_some() && !is_one {
            true => &mut self.session,
            false => &mut self.project,
        };
        let outcome = track.fold(&Fact::Observed(event));
        self.ended += outcome.ended.len();
        outcome
    }

    fn join(&mut self) {
        let build = self.project.id_of_session(&self.session);
        let session = Box::new(self.session.clone());
        let joins = TimerKind::JoinsSession { session };
        // As it is stored and read again.
        let text = serde_json::to_string(&joins).unwrap();
        let again: TimerKind = serde_json::from_str(&text).unwrap();
        assert_eq!(again, joins);
        let at = Timestamp::from_millis(self.play.now_ms);
        let outcome = self
            .project
            .fold(&Fact::Timer(TimerFact { kind: again, at }));
        self.ended += outcome.ended.len();
        let Some(build) = build else { return };
        assert_eq!(self.project.current().unwrap().id, build);
        let joined = TimerKind::Joined { build };
        let outcome = self
            .session
            .fold(&Fact::Timer(TimerFact { kind: joined, at }));
        assert!(outcome.ended.is_empty(), "nothing has ended");
    }

    /// What lists show: the newest build of each track that goes on as no other.
    fn shown(&self) -> Vec<&Build> {
        let newest = [&self.project, &self.session]
            .into_iter()
            .filter_map(Track::current);
        newest.filter(|build| build.same_as.is_none()).collect()
    }

    fn only(&self) -> &Build {
        let shown = self.shown();
        assert_eq!(shown.len(), 1, "{shown:#?}");
        shown[0]
    }
}

fn state(phase: &str, loops: u64) -> Value {
    json!({"project_name":"shop","task_description":"Build a shop","session_id":"shop_1","start_time":"2025-10-01T22:00:00.5",
        "iterations":loops,"completed_tasks":[],"current_phase":phase})
}

fn live(phase: &str, number: &str, status: &str) -> Value {
    json!({"session_id":"shop_1","current_phase":phase,"phase_number":number,"status":status})
}

/// What is the same whichever file came first.
fn essence(build: &Build) -> Value {
    let mut phases: Vec<&str> = build
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    phases.sort_unstable();
    json!({"origin": build.origin, "state": build.state, "phase": build.phase, "number": build.phase_number, "session": build.session_id,
        "tasks": build.tasks, "tokens": build.tokens, "started": build.started_at, "phases": phases, "run": build.run,
        "loops": build.facts.iter().find(|fact| fact.key == "iterations").map(|fact| &fact.text),
        "task": build.facts.iter().find(|fact| fact.key == "task_description").map(|fact| &fact.text)})
}

fn orders(of: usize) -> Vec<Vec<usize>> {
    if of == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(of - 1);
    let places = |order: &Vec<usize>| {
        let order = order.clone();
        (0..of).map(move |place| {
            let mut order = order.clone();
            order.insert(place, of - 1);
            order
        })
    };
    shorter.iter().flat_map(places).collect()
}

#[test]
fn a_session_and_its_projects_live_file_are_one_build_in_every_order_of_arrival() {
    let told = json!({"digest":"foundry-session","v":1,"tokens":{"input":7,"output":2},"context_percent":41.5,"model":"m","lines":3});
    let progress = json!({"completed":["a"],"remaining":["b"]});
    // (live at, checkpoint at) and who is the newer.
    for (live_at, checkpoint_at, origin) in [
        (700_000, 500_000, Origin::Live),
        (500_000, 500_900, Origin::Live),
        (500_000, 700_000, Origin::Checkpoint),
    ] {
        let files = [
            (LIVE, live("Builder", "3/7", "building"), live_at),
            (STATE, state("architect", 2), checkpoint_at),
            (PROGRESS, progress.clone(), 800_000),
            (SESSION, told.clone(), 800_000),
        ];
        let mut outcomes = Vec::new();
        for order in orders(files.len()) {
            let mut directory = Directory::new();
            for place in &order {
                let (file, document, at) = &files[*place];
                directory.file(file, document, *at);
            }
            let build = directory.only();
            assert_eq!(build.origin, origin, "{order:?} {live_at} {checkpoint_at}");
            assert_eq!(build.tokens.unwrap().input, Some(7), "{order:?}");
            assert!(build.tasks.is_some(), "{order:?}");
            assert!(
                build.id.starts_with("build-01-0000000000000001-"),
                "the project's: {}",
                build.id
            );
            let mut essence = essence(build);
            // Whether the second of two phases was seen at all is the order's.
            essence["phases"] = Value::Null;
            essence["number"] = Value::Null;
            essence["started"] = Value::Null;
            outcomes.push((essence, order));
        }
        for (essence, order) in &outcomes {
            assert_eq!(essence, &outcomes[0].0, "{order:?} and {:?}", outcomes[0].1);
        }
    }
}

#[test]
fn what_comes_after_they_met_is_of_the_one_build_and_the_newest_wins() {
    for live_first in [true, false] {
        let mut directory = Directory::new();
        if live_first {
            directory.file(LIVE, &live("Scout", "1/7", "researching"), 100_000);
            directory.file(STATE, &state("scout", 1), 100_500);
        } else {
            directory.file(STATE, &state("scout", 1), 100_500);
            directory.file(LIVE, &live("Scout", "1/7", "researching"), 100_000);
        }
        assert_eq!(directory.only().origin, Origin::Live, "of the same age");
        directory.file(STATE, &state("architect", 2), 400_000);
        assert_eq!(directory.only().origin, Origin::Checkpoint);
        directory.file(
            PLAN,
            &json!({"parallel_mode":false,"total_tasks":1,"tasks":[{"id":"t","description":"d"}]}),
            450_000,
        );
        directory.file(LIVE, &live("Builder", "3/7", "building"), 500_000);
        let build = directory.only();
        assert_eq!(
            (build.origin, build.phase.as_deref(), build.run),
            (Origin::Live, Some("Builder"), 1)
        );
        assert!(build.tasks.is_some());
        directory.file(
            "checkpoints/ralph/shop_1/COMPLETE",
            &json!({"bytes":0}),
            600_000,
        );
        let build = directory.only();
        assert_eq!(
            (build.state, build.run),
            (BuildState::Completed, 1),
            "{live_first}"
        );
        assert_eq!(directory.ended, 1, "it ended once");
    }
}

#[test]
fn a_live_file_that_was_made_anew_begins_no_second_build_of_a_checkpoints() {
    let mut directory = Directory::new();
    directory.file(STATE, &state("scout", 1), 100_000);
    let mut event = directory.event(LIVE, &live("Scout", "1/7", "researching"), 200_000);
    event.recreated = true;
    directory.take(event);
    assert_eq!(
        (directory.only().run, directory.only().origin),
        (1, Origin::Live)
    );
    // The next one is another build, as ever.
    let mut event = directory.event(LIVE, &live("Scout", "1/7", "starting"), 300_000);
    event.recreated = true;
    directory.take(event);
    assert_eq!(directory.only().run, 2);
}

#[test]
fn a_file_that_could_not_be_read_first_and_a_session_that_was_told_later_are_the_one_build_too() {
    let mut directory = Directory::new();
    let mut half = directory.play.event(LIVE, EventKind::Unreadable);
    half.unreadable = Some(protocol::event::Unreadable {
        reason: protocol::event::UnreadableReason::Unparsable,
        message: "it is empty".into(),
    });
    directory.take(half);
    directory.file(STATE, &state("scout", 1), 1_100_000);
    assert_eq!(
        directory.shown().len(),
        2,
        "nothing says yet that they are one"
    );
    directory.file(LIVE, &live("Scout", "1/7", "researching"), 1_200_000);
    let build = directory.only();
    assert_eq!(
        (
            build.run,
            build.phase.as_deref(),
            build.state_reason.as_deref()
        ),
        (1, Some("Scout"), None)
    );
}

#[test]
fn a_session_of_another_name_and_one_that_is_over_keep_their_builds() {
    let mut directory = Directory::new();
    directory.file(STATE, &state("scout", 1), 100_000);
    let mut other = live("Scout", "1/7", "researching");
    other["session_id"] = json!("other");
    directory.file(LIVE, &other, 200_000);
    assert_eq!(directory.shown().len(), 2);
    let mut directory = Directory::new();
    directory.file(STATE, &state("complete", 5), 100_000);
    directory.file(
        LIVE,
        &live("Scout", "1/7", "researching"),
        100_000 + 3_600_000,
    );
    assert_eq!(
        directory.shown().len(),
        2,
        "an hour after its end it is another build"
    );
    let states: Vec<BuildState> = directory.shown().iter().map(|build| build.state).collect();
    assert_eq!(states, [BuildState::Running, BuildState::Completed]);
}

#[test]
fn events_of_two_tokens_do_not_outdate_each_other() {
    let mut directory = Directory::new();
    directory.file(LIVE, &live("Scout", "1/7", "researching"), 100_000);
    // The live file's next event is under way when a later one of the session comes.
    let delayed = directory.event(LIVE, &live("Builder", "3/7", "building"), 200_000);
    let earlier = directory.event(STATE, &state("scout", 1), 150_000);
    let later = directory.event(STATE, &state("architect", 2), 160_000);
    directory.take(later);
    directory.take(delayed);
    assert_eq!(directory.only().phase.as_deref(), Some("Builder"));
    let outcome = directory.take(earlier);
    assert_eq!(
        outcome.effect,
        crate::fold::Effect::Late,
        "of one token the order counts"
    );
}

#[test]
fn a_sessions_files_are_known_by_their_place() {
    for (file, session) in [
        (STATE, Some("shop_1")),
        (SESSION, Some("shop_1")),
        ("logs/events/shop_1/events.jsonl", Some("shop_1")),
        (LIVE, None),
        ("checkpoints/ralph/state.json", None),
        ("logs/ralph_/session.jsonl", None),
        ("a/checkpoints/ralph/shop_1/state.json", None),
    ] {
        assert_eq!(session_of(file), session, "{file}");
    }
}
