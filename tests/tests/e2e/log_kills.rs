//! A log that grows while everything is killed: every complete line is there
//! once and in order.

use harness::adw::{Tree, Workflow, planned};
use harness::system::{HOST, System};
use protocol::LogPage;

use crate::log_lines::{append, execution_log, log};

/// Lines in one step; between steps something is killed.
const STEP: u32 = 150;
const STEPS: u32 = 8;

fn lines(from: u32) -> String {
    (from..from + STEP).map(|n| format!("line {n}\n")).collect()
}

#[tokio::test]
async fn every_complete_line_comes_once_through_kills_and_a_rotation() {
    let mut system = System::start().await;
    let workflow = Workflow::begin(&system.watch.join("shop"), "3af4a34d");
    workflow.state(Tree::Main, &planned("83", "feature-issue-83"));
    let id = workflow.build_id(HOST, 1);
    system.build_by_id(&id, |_| true).await;
    let path = execution_log(&workflow);
    let api = system.api();
    let mut written = 0;
    for step in 0..STEPS {
        let next = lines(written + 1);
        // Half a line is there when the program dies.
        let (before, after) = next.split_at(next.len() / 2 + 3);
        append(&path, before);
        match step {
            1 | 5 => system.agents[0].restart(),
            2 | 6 => system.aggregators[0].restart(),
            3 => {
                system.agents[0].restart();
                system.aggregators[0].restart();
            }
            4 => {
                let end = written;
                log(&api, &id, "?last=1", |page| last(page) >= end).await;
                std::fs::rename(&path, path.with_extension("log.1")).unwrap();
            }
            _ => {}
        }
        match step {
            // The writer goes on in its new file after the line that it was in.
            4 => {
                let (rest, new) = after.split_at(after.find('\n').unwrap() + 1);
                append(&path.with_extension("log.1"), rest);
                append(&path, new);
            }
            _ => append(&path, after),
        }
        written += STEP;
        if step % 2 == 1 {
            let end = written;
            log(&api, &id, "?last=1", |page| last(page) >= end).await;
        }
    }
    let all = i64::from(written);
    let page = log(&api, &id, "?last=1", |page| last(page) >= written).await;
    let newest = page.lines.last().unwrap().number;
    let mut texts = Vec::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = api
            .log(&id, &format!("?after={from}&limit=1000"))
            .await
            .unwrap();
        texts.extend(page.lines.into_iter().map(|line| line.text));
        after = page.next;
    }
    let expected: Vec<String> = (1..=written).map(|n| format!("line {n}")).collect();
    assert_eq!(texts, expected);
    assert_eq!((newest, page.dropped, page.skipped_bytes), (all, 0, 0));
}

/// Number in the newest line's text.
fn last(page: &LogPage) -> u32 {
    let text = page.lines.last().map(|line| line.text.as_str());
    let number = text.and_then(|text| text.strip_prefix("line "));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
