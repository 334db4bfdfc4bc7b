//! Tokens and costs: counted while an attempt runs, told when it ends, kept
//! when the file begins anew.

use super::*;

const COST: f64 = 0.241_767_500_000_000_02;

#[test]
fn a_running_attempt_counts_each_message_once() {
    let feed = Feed::lines(&[
        init("s1"),
        says("s1", "m1"),
        says("s1", "m1"),
        uses("s1", "t1", "Bash"),
        says("s1", "m1"),
    ]);
    let attempt = feed.attempt(0);
    assert_eq!(attempt["state"], "running");
    assert_eq!(attempt["estimated"], true);
    assert_eq!(attempt["total_cost_usd"], Value::Null);
    assert_eq!(attempt["model"], "claude-sonnet-4-5-20250929");
    let tokens = json!({"input":6,"output":10,"cache_read":2000,"cache_write":200});
    assert_eq!(attempt["tokens"], tokens);
    assert_eq!(attempt["context"], json!({"used":1103,"limit":null}));
}

#[test]
fn a_message_whose_usage_grows_counts_its_largest() {
    let grown = |output: u64| {
        let mut line = says("s1", "m1");
        line["message"]["usage"]["output_tokens"] = json!(output);
        line
    };
    let feed = Feed::lines(&[init("s1"), grown(1), grown(40), grown(7)]);
    assert_eq!(feed.attempt(0)["tokens"]["output"], 40);
}

#[test]
fn the_result_replaces_what_was_counted_digit_for_digit() {
    let feed = Feed::lines(&[init("s1"), says("s1", "m1"), result("s1", &json!(COST))]);
    let attempt = feed.attempt(0);
    assert_eq!(attempt["state"], "success");
    assert_eq!(attempt["estimated"], false);
    assert_eq!(attempt["total_cost_usd"], "0.24176750000000002");
    let tokens = json!({"input":2,"output":1832,"cache_read":214_365,"cache_write":13_704});
    assert_eq!(attempt["tokens"], tokens);
    let haiku = &attempt["models"]["claude-haiku-4-5-20251001"];
    assert_eq!(haiku["cost_usd"], "0.0031249999999999997");
    assert_eq!(haiku["input"], 2665);
    assert_eq!(
        (&attempt["num_turns"], &attempt["duration_ms"]),
        (&json!(9), &json!(44287))
    );
}

#[test]
fn a_result_without_a_total_costs_what_its_models_cost() {
    let feed = Feed::lines(&[init("s1"), result("s1", &Value::Null)]);
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.2417674999999999997");
}

#[test]
fn a_result_names_no_model_of_its_own_and_each_that_it_lists_has_its_cost() {
    let line = result("s1", &json!(COST));
    assert!(line.get("model").is_none());
    let attempt = Feed::lines(&[init("s1"), line]).attempt(0);
    assert_eq!(attempt["model"], "claude-sonnet-4-5-20250929");
    let models = attempt["models"].as_object().unwrap();
    let costs: Vec<&Value> = models.values().map(|model| &model["cost_usd"]).collect();
    assert_eq!(costs, ["0.0031249999999999997", "0.2386425"]);
}

#[test]
fn costs_as_text_are_read_and_wrong_ones_are_unknown() {
    let cost = |value: Value| {
        let mut line = result("s1", &value);
        line["modelUsage"] = json!([]);
        Feed::lines(&[init("s1"), line]).attempt(0)["total_cost_usd"].clone()
    };
    assert_eq!(cost(json!("0.25")), "0.25");
    assert_eq!(cost(json!(3.2e-7)), "0.00000032");
    for wrong in [json!(-1), json!("free"), json!({}), json!([1]), Value::Null] {
        assert_eq!(cost(wrong.clone()), Value::Null, "{wrong}");
    }
}

#[test]
fn success_with_an_error_is_an_error() {
    // "You've hit your limit" comes as subtype success.
    let mut line = result("s1", &json!(0));
    line["is_error"] = json!(true);
    let attempt = Feed::lines(&[init("s1"), line]).attempt(0);
    assert_eq!(
        (&attempt["state"], &attempt["subtype"]),
        (&json!("error"), &json!("success"))
    );
    assert_eq!(attempt["total_cost_usd"], "0");
}

#[test]
fn an_end_in_an_error_has_a_cost_too() {
    for subtype in ["error_max_turns", "error_during_execution"] {
        let mut line = result("s1", &json!(0.5));
        line["subtype"] = json!(subtype);
        line.as_object_mut().unwrap().remove("result");
        let attempt = Feed::lines(&[init("s1"), line]).attempt(0);
        assert_eq!(
            (&attempt["state"], &attempt["total_cost_usd"]),
            (&json!("error"), &json!("0.5"))
        );
    }
}

#[test]
fn a_file_that_begins_anew_keeps_what_the_first_attempt_cost() {
    let mut feed = Feed::lines(&[init("s1"), result("s1", &json!(0.5))]);
    feed.0.restart();
    feed.add(&[init("s2"), says("s2", "m9")]);
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.5");
    assert_eq!(feed.attempt(1)["state"], "running");
    feed.add(&[result("s2", &json!(0.25))]);
    assert_eq!(feed.attempt(1)["total_cost_usd"], "0.25");
    assert_eq!(feed.digest()["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_file_that_was_copied_over_itself_is_no_second_attempt() {
    let lines = [
        init("s1"),
        uses("s1", "t1", "Bash"),
        result("s1", &json!(0.5)),
    ];
    let mut feed = Feed::lines(&lines);
    let before = feed.digest();
    feed.0.restart();
    feed.add(&lines);
    for member in ["attempts", "tools", "todos"] {
        assert_eq!(feed.digest()[member], before[member], "{member}");
    }
}

#[test]
fn a_session_that_was_resumed_in_a_new_file_is_another_attempt() {
    let mut feed = Feed::lines(&[init("s1"), result("s1", &json!(0.5))]);
    let mut again = init("s1");
    again["uuid"] = json!("another first line");
    feed.0.restart();
    feed.add(&[again, result("s1", &json!(0.75))]);
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.5");
    assert_eq!(feed.attempt(1)["total_cost_usd"], "0.75");
}

#[test]
fn a_conversation_of_many_turns_tells_its_sum_each_time() {
    let mut second = init("s1");
    second["uuid"] = json!("another first line");
    let mut feed = Feed::lines(&[init("s1"), result("s1", &json!(0.5)), second]);
    feed.add(&[result("s1", &json!(0.75))]);
    assert_eq!(feed.digest()["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.75");
    // It cannot become less: that is another process with the same session.
    feed.add(&[result("s1", &json!(0.25))]);
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.75");
    assert_eq!(feed.attempt(1)["total_cost_usd"], "0.25");
}

#[test]
fn attempts_beyond_the_limit_become_one_and_no_cent_is_lost() {
    let mut feed = Feed::default();
    for n in 0..40 {
        let session = format!("s{n}");
        feed.add(&[init(&session), result(&session, &json!(0.1))]);
    }
    let digest = feed.digest();
    let attempts = digest["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 16);
    assert_eq!(attempts[0]["merged"], 25);
    assert_eq!(attempts[0]["total_cost_usd"], "2.5");
    assert_eq!(attempts[0]["tokens"]["output"], 25 * 1832);
    let haiku = &attempts[0]["models"]["claude-haiku-4-5-20251001"];
    assert_eq!(haiku["cost_usd"], "0.0781249999999999925");
    assert_eq!(attempts[15]["session_id"], "s39");
}

#[test]
fn lines_that_are_no_json_are_counted_and_cost_nothing_else() {
    let mut feed = Feed::default();
    feed.text("Warning: something\n\n  \n{\"type\":\"assistant\",\"mess\n[]\n");
    feed.add(&[
        json!({"type":"rate_limit_event","x":1}),
        init("s1"),
        result("s1", &json!(0.5)),
    ]);
    feed.text("{\"type\":\"stream_event\",\"event\":{]}\n");
    let digest = feed.digest();
    assert_eq!(
        (&digest["lines"], &digest["bad_lines"]),
        (&json!(7), &json!(4))
    );
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.5");
}

#[test]
fn members_of_any_other_type_are_absent() {
    for odd in [
        json!(null),
        json!(7),
        json!("x"),
        json!([1]),
        json!({"a":1}),
    ] {
        let lines = [
            json!({"type":odd,"subtype":odd}),
            json!({"type":"system","subtype":"init","session_id":odd,"model":odd,"uuid":odd}),
            json!({"type":"assistant","message":odd,"parent_tool_use_id":odd}),
            json!({"type":"assistant","message":{"id":odd,"model":odd,"content":odd,"usage":odd}}),
            json!({"type":"assistant","message":{"usage":{"input_tokens":odd},"content":[odd, {"type":odd},
                {"type":"tool_use","id":odd,"name":odd,"input":odd},
                {"type":"tool_use","name":"TodoWrite","input":odd},
                {"type":"tool_use","name":"TodoWrite","input":{"todos":[odd, {"content":odd,"status":odd}]}}]}}),
            json!({"type":"user","message":{"content":[odd, {"type":"tool_result","tool_use_id":odd,"is_error":odd}]}}),
            json!({"type":"result","subtype":odd,"is_error":odd,"usage":odd,"modelUsage":odd,"total_cost_usd":odd}),
            json!({"type":"result","modelUsage":{"m":odd,"n":{"costUSD":odd,"inputTokens":odd}}}),
        ];
        let feed = Feed::lines(&lines);
        assert_eq!(feed.digest()["bad_lines"], 0, "{odd}");
        let text = serde_json::to_string(&feed.0.sums).unwrap();
        let back = Sums::restore(Kind::StreamJson, &text).unwrap();
        assert_eq!(back, feed.0.sums, "{odd}");
    }
}

#[test]
fn a_file_without_a_first_line_is_an_attempt_too() {
    let feed = Feed::lines(&[says("s1", "m1"), result("s1", &json!(0.5))]);
    assert_eq!(feed.attempt(0)["session_id"], "s1");
    assert_eq!(feed.attempt(0)["total_cost_usd"], "0.5");
}

#[test]
fn texts_inputs_and_outputs_do_not_leave() {
    let feed = Feed::lines(&[
        init("s1"),
        says("s1", "m1"),
        uses("s1", "t1", "Bash"),
        answer("s1", "t1", true),
        result("s1", &json!(0.5)),
    ]);
    let text = feed.digest().to_string();
    assert!(
        !text.contains("secret") && !text.contains("words") && !text.contains("/w"),
        "{text}"
    );
}
