//! Controls of the harness itself: the checker must see a loss, a doubled row, a
//! torn and a disordered state, and the reader of the stream each broken promise.

use std::time::{Duration, Instant};

use harness::oracle::{Away, ContentRow, Files, STOOD, Shown, Verdict, Written};
use harness::seen::Seen;
use serde_json::{Value, json};

/// Three contents of one file, each of which stood for a second; the last stands.
fn truth_log(start: Instant) -> Files {
    let second = |n| start + Duration::from_secs(n);
    let written = |n| Written {
        n,
        hash: format!("hash {n}"),
        at: second(n),
        replaced_at: (n < 3).then(|| second(n + 1)),
    };
    Files::from([("p".to_owned(), (1..=3).map(written).collect())])
}

fn row(id: i64, n: u64) -> ContentRow {
    ContentRow {
        id,
        project: "p".to_owned(),
        n,
        hash: format!("hash {n}"),
    }
}

fn judged(rows: &[ContentRow], shown: &[u64]) -> [usize; 4] {
    let shown = Shown::from([("p".to_owned(), shown.to_vec())]);
    let verdict = Verdict::judge(&truth_log(Instant::now()), &[], rows, &[shown]);
    [
        verdict.lost.len(),
        verdict.duplicate.len(),
        verdict.out_of_order.len(),
        verdict.invented.len(),
    ]
}

#[test]
fn the_checker_finds_each_kind_of_fault_and_none_where_there_is_none() {
    let all = [row(1, 1), row(2, 2), row(3, 3)];
    assert_eq!(judged(&all, &[1, 3]), [0, 0, 0, 0], "browsers may skip");
    assert_eq!(judged(&[row(1, 1), row(3, 3)], &[3]), [1, 0, 0, 0]);
    assert_eq!(judged(&all[..2], &[1, 2]), [2, 0, 0, 0], "row and browser");
    assert_eq!(
        judged(&all, &[1, 2]),
        [1, 0, 0, 0],
        "a browser that stands still"
    );
    let doubled = [row(1, 1), row(2, 2), row(3, 3), row(4, 2)];
    assert_eq!(judged(&doubled, &[3]), [0, 1, 0, 0]);
    let disordered = [row(1, 2), row(2, 1), row(3, 3)];
    assert_eq!(judged(&disordered, &[3]), [0, 0, 1, 0]);
    assert_eq!(
        judged(&all, &[2, 1, 3]),
        [0, 0, 1, 0],
        "a browser goes back"
    );
    let mut torn = all.clone();
    torn[1].hash = "hash of something else".to_owned();
    assert_eq!(judged(&torn, &[3]), [0, 0, 0, 1]);
    assert_eq!(
        judged(&all, &[7, 3]),
        [0, 0, 1, 1],
        "shown, never committed"
    );
}

#[test]
#[should_panic(expected = "only 1 were promised")]
fn a_verdict_fails_where_next_to_nothing_was_promised() {
    let start = Instant::now();
    let away = [Away {
        from: start,
        until: None,
    }];
    let contents = 1..=20_u64;
    let written = |n| Written {
        n,
        hash: format!("hash {n}"),
        at: start + Duration::from_secs(n),
        replaced_at: (n < 20).then(|| start + Duration::from_secs(n + 1)),
    };
    let rows: Vec<ContentRow> = contents.clone().map(|n| row(n.cast_signed(), n)).collect();
    let files = Files::from([("p".to_owned(), contents.map(written).collect())]);
    let verdict = Verdict::judge(&files, &away, &rows, &[]);
    assert!(verdict.is_faultless());
    verdict.assert_faultless_at_a_rate("nobody ran");
}

#[test]
fn only_what_stood_while_the_agent_ran_is_promised() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let stood = |from, until: u64| Written {
        n: 1,
        hash: String::new(),
        at: at(from),
        replaced_at: Some(at(until)),
    };
    let away = |from, until: Option<u64>| Away {
        from: at(from),
        until: until.map(at),
    };
    let limit = u64::try_from(STOOD.as_millis()).unwrap();
    assert!(stood(0, limit).must_be_kept(&[]));
    assert!(!stood(0, limit - 1).must_be_kept(&[]));
    assert!(
        stood(1_000, 2_000).must_be_kept(&[away(0, Some(500))]),
        "over before"
    );
    assert!(
        stood(1_000, 2_000).must_be_kept(&[away(3_000, None)]),
        "begins after"
    );
    assert!(!stood(1_000, 2_000).must_be_kept(&[away(1_100, Some(1_900))]));
    assert!(
        stood(1_000, 2_000).must_be_kept(&[away(1_300, Some(1_900))]),
        "long enough before"
    );
    assert!(
        stood(1_000, 2_000).must_be_kept(&[away(900, Some(1_700))]),
        "long enough after"
    );
    assert!(!stood(1_000, 2_000).must_be_kept(&[away(900, None)]));
    let twice = [away(1_200, Some(1_300)), away(1_500, Some(1_900))];
    assert!(
        !stood(1_000, 2_000).must_be_kept(&twice),
        "never long enough"
    );
    let last = Written {
        replaced_at: None,
        ..stood(1_000, 1_001)
    };
    assert!(
        last.must_be_kept(&[away(0, None)]),
        "the last always counts"
    );
}

/// A frame of a build with the members that every one has.
fn frame(kind: &str, seq: u64, more: &Value) -> String {
    let mut data = json!({"id": "b", "seq": seq, "last_updated": "2026-11-20T10:00:00.000Z"});
    for (key, value) in more.as_object().into_iter().flatten() {
        data[key] = value.clone();
    }
    let timestamp = "2026-11-20T10:00:00.000Z";
    json!({"type": kind, "data": data, "timestamp": timestamp, "source": "event", "seq": seq})
        .to_string()
}

#[test]
fn a_reader_of_the_stream_notices_each_broken_promise() {
    let new = frame(
        "build_update",
        1,
        &json!({"started_at": "x", "phase": "Scout"}),
    );
    let next = frame("build_update", 2, &json!({"phase": "Test"}));
    let end = frame("build_complete", 3, &json!({"phase": "Test"}));
    let breaches = |frames: &[&String]| {
        let mut seen = Seen::default();
        for text in frames {
            seen.take(text);
        }
        seen.breaches.join("\n")
    };
    assert_eq!(breaches(&[&new, &next, &end]), "");
    assert!(breaches(&[&new, &next, &next]).contains("has seq 2 after 2"));
    assert!(breaches(&[&next, &new]).contains("has seq 1 after 2"));
    assert!(breaches(&[&next]).contains("never sent"));
    let same = frame("build_update", 3, &json!({"phase": "Test"}));
    assert!(breaches(&[&new, &next, &same]).contains("changes nothing"));
    let again = frame("build_complete", 4, &json!({"phase": "Test"}));
    assert!(breaches(&[&new, &next, &end, &again]).contains("came twice"));
    let wrong = frame("build_complete", 3, &json!({"phase": "Scout"}));
    assert!(breaches(&[&new, &next, &wrong]).contains("says phase"));
    assert!(breaches(&[&"no frame".to_owned()]).contains("no frame"));
    let bare = new.replace("\"last_updated\"", "\"other\"");
    assert!(breaches(&[&bare]).contains("without last_updated"));
}
