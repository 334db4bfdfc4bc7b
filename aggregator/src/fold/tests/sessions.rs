//! Hooks of Claude Code's sessions that are of no workflow: alone, and beside a transcript.

use protocol::build::Origin;
use protocol::{BuildState, Event};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::TimerKind;

const TRANSCRIPT: &str = "-srv-shop/5f3c.jsonl";

fn play() -> Play {
    Play::of("claude-code", "")
}

fn event(play: &mut Play, document: &Value) -> Event {
    let mut event = play.content("http/hook", document);
    event.session = Some("5f3c".into());
    event.project = "app".into();
    event.root = "http".into();
    event
}

fn hook(play: &mut Play, kind: &str, tool: Option<&str>) {
    let id = play.seq;
    let hook = json!({"event_id":id,"event_type":kind,"session_id":"5f3c","tool_name":tool,"reason":"logout"});
    let event = event(play, &hook);
    play.fold(event);
}

fn transcript(play: &mut Play, input: u64) {
    let attempt = json!({"session_id":"5f3c","merged":null,"model":"claude-sonnet-4-5-20250929","state":"running",
        "num_turns":null,"duration_ms":null,"total_cost_usd":null,
        "models":{"claude-sonnet-4-5-20250929":{"input":input}},
        "tokens":{"input":input,"output":null,"cache_read":null,"cache_write":null},
        "context":{"used":input,"limit":null},"estimated":true});
    let digest = json!({"digest":"stream-json","v":1,"transcript":true,"attempts":[attempt],"todos":null,
        "tools":{"calls":1,"errors":0,"last":null},"lines":input,"bad_lines":0});
    let event = play.content(TRANSCRIPT, &digest);
    play.fold(event);
}

fn tokens(play: &Play) -> Option<u64> {
    play.build().tokens.and_then(|tokens| tokens.input)
}

#[test]
fn hooks_alone_tell_how_their_session_stands() {
    let mut play = play();
    for (kind, tool, state) in [
        ("SessionStart", None, BuildState::Running),
        ("UserPromptSubmit", None, BuildState::Running),
        ("PreToolUse", Some("Bash"), BuildState::Running),
        ("Notification", None, BuildState::Waiting),
        ("PostToolUse", Some("Bash"), BuildState::Running),
        ("SubagentStop", None, BuildState::Running),
        ("Stop", None, BuildState::Waiting),
        ("never heard of", None, BuildState::Running),
        ("", None, BuildState::Running),
        ("SessionEnd", None, BuildState::Completed),
        // It was under way.
        ("PostToolUse", Some("Bash"), BuildState::Completed),
    ] {
        hook(&mut play, kind, tool);
        let build = play.build();
        assert_eq!((build.run, build.state), (1, state), "{kind}");
        assert!(build.state_reason.is_some(), "{kind}");
        if !build.has_ended() {
            assert_eq!(build.detail.as_deref(), tool, "{kind}");
        }
    }
    let build = play.build();
    assert_eq!(
        build.state_reason.as_deref(),
        Some("its session has ended (hook SessionEnd, logout)")
    );
    assert_eq!(build.session_id.as_deref(), Some("5f3c"));
    assert_eq!(build.coding_agent.as_deref(), Some("claude-code"));
    assert_eq!(
        (build.origin, build.project.as_str()),
        (Origin::Http, "app")
    );
    assert_eq!((build.cost_usd, build.tokens), (None, None), "nobody told");
    for kind in ["SessionStart", "UserPromptSubmit", "PreToolUse"] {
        let run = play.build().run;
        hook(&mut play, kind, None);
        assert_eq!(play.build().run, run + 1, "{kind}");
        hook(&mut play, "SessionEnd", None);
    }
}

#[test]
fn beside_a_transcript_hooks_are_signs_of_life_and_harm_nothing_that_it_tells() {
    let mut play = play();
    transcript(&mut play, 7);
    let told = play.build().clone();
    for kind in ["PreToolUse", "Notification", "Stop", "SessionEnd", "new"] {
        hook(&mut play, kind, Some("Bash"));
        let mut build = play.build().clone();
        assert!(build.alive_at > told.alive_at, "{kind}");
        build.alive_at = told.alive_at;
        build.changed_at = told.changed_at;
        build.observed_at = told.observed_at;
        assert_eq!(build, told, "{kind}");
    }
    play.timer(TimerKind::Silent {
        since: play.build().alive_at.unwrap(),
        limit_ms: 1,
        evidence: "a test".into(),
    });
    assert_eq!(play.build().state, BuildState::Stalled);
    hook(&mut play, "PreToolUse", None);
    assert_eq!(play.build().state, BuildState::Running);
    transcript(&mut play, 9);
    assert_eq!((play.build().run, tokens(&play)), (1, Some(9)));
}

#[test]
fn a_transcript_that_is_found_after_its_hooks_is_of_the_same_build() {
    let mut play = play();
    hook(&mut play, "PreToolUse", Some("Bash"));
    hook(&mut play, "Stop", None);
    transcript(&mut play, 7);
    let build = play.build();
    assert_eq!((build.run, build.origin), (1, Origin::Live));
    assert_eq!(
        (build.project.as_str(), build.path.as_str()),
        ("weather", "weather")
    );
    assert_eq!((build.state, tokens(&play)), (BuildState::Running, Some(7)));
    assert_eq!((&build.status, &build.detail), (&None, &None));
}

#[test]
fn a_transcripts_last_lines_are_of_the_build_that_a_hook_ended() {
    let mut play = play();
    hook(&mut play, "PreToolUse", Some("Bash"));
    hook(&mut play, "SessionEnd", None);
    let ended = play.build().ended_at;
    transcript(&mut play, 7);
    transcript(&mut play, 8);
    let build = play.build();
    assert_eq!((build.run, build.state), (1, BuildState::Completed));
    assert_eq!((build.ended_at, tokens(&play)), (ended, Some(8)));
    // A session that was taken up again.
    play.now_ms += 3_600_000;
    transcript(&mut play, 9);
    assert_eq!(
        (play.build().run, play.build().state),
        (2, BuildState::Running)
    );
}

#[test]
fn a_session_that_is_taken_up_again_costs_what_it_spent_since() {
    let told = |play: &Play| {
        let usd = play.build().cost_usd.map(|usd| usd.to_string());
        (play.build().run, tokens(play), usd)
    };
    // Hours later, with or without a hook that says so; the transcript goes on where it was.
    for again in [Some("SessionStart"), None] {
        let mut play = play();
        for kind in ["SessionStart", "PreToolUse", "SessionEnd"] {
            hook(&mut play, kind, None);
        }
        transcript(&mut play, 1_500_000);
        assert_eq!(told(&play), (1, Some(1_500_000), Some("4.5".to_owned())));
        play.now_ms += 3_600_000;
        if let Some(kind) = again {
            hook(&mut play, kind, None);
            assert_eq!(told(&play), (2, None, None), "nothing is spent yet");
        }
        let text = serde_json::to_string(&play.track).unwrap();
        play.track = serde_json::from_str(&text).unwrap();
        transcript(&mut play, 2_000_000);
        assert_eq!(told(&play), (2, Some(500_000), Some("1.5".to_owned())));
        transcript(&mut play, 2_500_000);
        assert_eq!(told(&play), (2, Some(1_000_000), Some("3".to_owned())));
        assert_eq!(play.build().cost_estimated, Some(true));
        let models = &play.build().agents.as_ref().unwrap()[0]["models"];
        assert_eq!(models["claude-sonnet-4-5-20250929"]["cost_usd"], "3");
    }
}

#[test]
fn members_of_a_hook_may_be_missing_null_or_of_other_types() {
    for document in [
        json!({}),
        json!({"event_type":null,"tool_name":7,"reason":[1]}),
        json!({"event_type":{"a":1},"tool_name":"x".repeat(100_000)}),
    ] {
        let mut play = play();
        let event = event(&mut play, &document);
        play.fold(event);
        let build = play.build();
        assert_eq!(build.state, BuildState::Running, "{build:?}");
        assert_eq!(build.session_id.as_deref(), Some("5f3c"));
        assert!(build.detail.as_ref().is_none_or(|text| text.len() < 1_000));
    }
}
