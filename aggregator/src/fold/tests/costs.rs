//! The parts of a cost: to which phase and model it belongs, and that they add up.

use protocol::{Build, Money};
use serde_json::{Value, json};

use super::play::Play;
use crate::fold::costs::{Part, parts};

fn build(producer: &'static str, cost: Option<&str>, agents: Value) -> Build {
    let mut play = Play::of(producer, "");
    play.state(json!({"current_phase": "Plan"}));
    let mut build = play.build().clone();
    build.cost_usd = cost.map(|usd| usd.parse().unwrap());
    build.cost_estimated = cost.map(|_| false);
    build.agents = Some(agents);
    build
}

fn told(build: &Build) -> Vec<String> {
    let part = |part: &Part| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        let guess = if part.estimated { " ~" } else { "" };
        format!(
            "{} {} {}{guess}",
            name(&part.phase),
            name(&part.model),
            part.usd
        )
    };
    parts(build).unwrap().iter().map(part).collect()
}

#[test]
fn a_cost_belongs_to_the_phases_and_models_that_its_agents_tell() {
    let model = |usd: &str| json!({"cost_usd": usd, "cost_estimated": false});
    // What a result line says: the whole is a double's sum of its models, one digit off.
    let planner = json!({"name": "sdlc_planner", "cost_usd": "0.24176750000000002", "cost_estimated": false,
        "models": {"opus": model("0.2386425"), "haiku": model("0.0031249999999999997")}});
    for (what, producer, cost, agents, expected) in [
        (
            "an agent's name tells its phase, and noise goes to the dearest model",
            "adw",
            "0.24176750000000002",
            json!([planner]),
            vec![
                "Plan haiku 0.0031249999999999997",
                "Plan opus 0.2386425000000000203",
            ],
        ),
        (
            "the name of no phase is of no phase",
            "adw",
            "2",
            json!([{"name": "ops", "cost_usd": "2", "model": "opus"}]),
            vec!["? opus 2"],
        ),
        (
            "another producer's agents have no phases unless they say so",
            "claude-code",
            "3",
            json!([{"name": "sdlc_planner", "cost_usd": "1"}, {"name": "x", "phase": "Test", "cost_usd": "2"}]),
            vec!["? ? 1", "Test ? 2"],
        ),
        (
            "what the agents do not tell is of no phase and no model",
            "adw",
            "5.5",
            json!([{"name": "tester", "cost_usd": "2", "models": {"opus": model("1.5")}}, {"name": "silent"}]),
            vec!["? ? 3.5", "Test ? 0.5", "Test opus 1.5"],
        ),
        (
            "models that cost more than their agent are not believed",
            "adw",
            "2",
            json!([{"name": "reviewer", "cost_usd": "2", "models": {"a": model("1.5"), "b": model("1")}}]),
            vec!["Review ? 2"],
        ),
        (
            "agents that cost more than their build are not believed",
            "adw",
            "2",
            json!([{"name": "reviewer", "cost_usd": "3", "model": "opus"}]),
            vec!["? ? 2"],
        ),
        (
            "a guess stays one",
            "adw",
            "3",
            json!([{"name": "test", "cost_usd": "1", "cost_estimated": true}, {"name": "test_2", "cost_usd": "2"}]),
            vec!["Test ? 2", "Test ? 1 ~"],
        ),
        (
            "nonsense tells nothing",
            "adw",
            "1",
            json!([7, null, {"cost_usd": "x"}, {"models": 3}]),
            vec!["? ? 1"],
        ),
    ] {
        assert_eq!(
            told(&build(producer, Some(cost), agents)),
            expected,
            "{what}"
        );
    }
}

#[test]
fn an_unknown_cost_has_no_parts_and_a_lone_model_has_all() {
    assert_eq!(parts(&build("adw", None, json!([{"cost_usd": "1"}]))), None);
    let mut lone = build("http", Some("1.25"), Value::Null);
    lone.model = Some("opus".to_owned());
    lone.cost_estimated = Some(true);
    assert_eq!(told(&lone), ["? opus 1.25 ~"]);
}

#[test]
fn parts_add_up_to_the_cost_however_many_there_are() {
    let agent = |n: u32| json!({"name": "x", "phase": format!("phase {n}"), "cost_usd": format!("0.{n:09}")});
    let agents: Vec<Value> = (1..=300).map(agent).collect();
    let build = build("http", Some("1"), Value::Array(agents));
    let parts = parts(&build).unwrap();
    assert_eq!(parts.len(), 65);
    let sum: Money = parts
        .iter()
        .map(|part| part.usd.parse::<Money>().unwrap())
        .sum();
    assert_eq!(Some(sum), build.cost_usd);
}
