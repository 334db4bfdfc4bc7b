//! From chunks to what the broker gets, with brokers that take it or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;

/// Remembers what it took; refuses the first so many times.
#[derive(Default)]
struct Memory {
    refusals: AtomicU32,
    taken: Mutex<Vec<(String, LogBatch)>>,
}

impl Carrier for Memory {
    async fn carry(&self, subject: String, id: String, payload: Vec<u8>) -> Carried {
        let batch = LogBatch::decode(&payload).expect("what is sent is a batch");
        assert_eq!(id, batch.message_id());
        let left = self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() {
            return Carried::Again("not now".to_owned());
        }
        self.taken.lock().unwrap().push((subject, batch));
        Carried::Stored
    }
}

fn lines() -> Lines {
    Lines::new(AgentId(7), "here")
}

fn chunk(project: &str, file: &'static str, cursor: Option<&str>, text: &str) -> Output {
    Output::Chunk(Chunk {
        project: project.to_owned(),
        file,
        identity: cursor.map(|cursor| ContentHash::of(cursor.as_bytes())),
        text: text.to_owned(),
    })
}

fn ended(project: &str) -> Output {
    Output::Ended {
        project: project.to_owned(),
    }
}

/// What is sent of what waits.
async fn shipped(lines: &Lines) -> Vec<(String, LogBatch)> {
    let memory = Memory::default();
    lines.ship(&memory, std::future::ready(())).await;
    memory.taken.into_inner().unwrap()
}

fn texts(batches: &[(String, LogBatch)]) -> Vec<(&str, &str)> {
    let all = batches.iter();
    all.flat_map(|(_, batch)| {
        batch
            .lines
            .iter()
            .map(|line| (batch.file.as_str(), line.text.as_str()))
    })
    .collect()
}

const OUT: &str = openbuilder::LOGS[0];
const ERR: &str = openbuilder::LOGS[1];

#[tokio::test]
async fn streams_are_logs_of_their_own_and_the_end_of_a_program_ends_its_lines() {
    let lines = lines();
    assert!(lines.take(None, &chunk("p", OUT, None, "a\nhalf")));
    assert!(lines.take(None, &chunk("p", ERR, None, "oops\n")));
    assert!(lines.take(Some("there"), &chunk("p", OUT, None, "b\n")));
    assert!(lines.take(None, &ended("p")));
    let sent = shipped(&lines).await;
    assert_eq!(
        texts(&sent),
        [(ERR, "oops"), (OUT, "a"), (OUT, "half"), (OUT, "b")]
    );
    let hosts: Vec<&str> = sent.iter().map(|(_, batch)| batch.host.as_str()).collect();
    assert_eq!(hosts, ["here", "here", "there"]);
    let token = ProjectToken::of(Path::new("openbuilder:p"));
    assert_eq!(sent[0].0, protocol::subject::log("here", token));
    assert_eq!(sent[0].1.producer.as_deref(), Some("openbuilder"));
}

#[tokio::test]
async fn a_chunk_that_comes_twice_is_taken_once_and_one_without_a_cursor_each_time() {
    let lines = lines();
    assert!(lines.take(None, &chunk("p", OUT, Some("1"), "a\n")));
    assert!(!lines.take(None, &chunk("p", OUT, Some("1"), "a\n")));
    assert!(
        lines.take(None, &chunk("q", OUT, Some("1"), "a\n")),
        "of another project"
    );
    for _ in 0..2 {
        assert!(lines.take(None, &chunk("p", OUT, None, "b\n")));
    }
    let sent = shipped(&lines).await;
    assert_eq!(
        texts(&sent).iter().filter(|(_, text)| *text == "a").count(),
        2
    );
    assert_eq!(
        texts(&sent).iter().filter(|(_, text)| *text == "b").count(),
        2
    );
}

#[tokio::test]
async fn lines_keep_their_order_and_identity_while_the_broker_refuses() {
    let lines = Arc::new(lines());
    let memory = Arc::new(Memory::default());
    memory.refusals.store(3, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let shipping = {
        let (lines, memory, stop) = (Arc::clone(&lines), Arc::clone(&memory), stop.clone());
        async move { lines.ship(&*memory, stop.cancelled()).await }
    };
    let telling = async {
        for n in 0..2_000 {
            lines.take(None, &chunk("p", OUT, None, &format!("{n}\n")));
            if n % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let count = || {
            memory
                .taken
                .lock()
                .unwrap()
                .iter()
                .map(|(_, batch)| batch.lines.len())
                .sum::<usize>()
        };
        while count() < 2_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(shipping, telling) };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("all are shipped");
    let taken = memory.taken.lock().unwrap();
    let numbers: Vec<String> = taken
        .iter()
        .flat_map(|(_, batch)| batch.lines.iter().map(|line| line.text.clone()))
        .collect();
    assert_eq!(
        numbers,
        (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    let mut at = 0;
    for (_, batch) in taken.iter() {
        assert_eq!((batch.from, batch.skipped), (at, 0));
        at = batch.to;
    }
}

#[tokio::test]
async fn what_nobody_takes_is_bounded_and_the_gap_is_told() {
    let lines = lines();
    let text = format!("{}\n", "x".repeat(999)).repeat(100);
    for _ in 0..60 {
        lines.take(None, &chunk("p", OUT, None, &text));
    }
    lines.take(None, &chunk("q", OUT, None, "other\n"));
    let sent = shipped(&lines).await;
    let of_p: Vec<_> = sent
        .iter()
        .filter(|(_, batch)| batch.lines[0].text != "other")
        .collect();
    let kept: usize = of_p.iter().map(|(_, batch)| batch.lines.len()).sum();
    assert!(
        (1_000..2_500).contains(&kept),
        "2 MiB of 6 are kept: {kept}"
    );
    let first = &of_p[0].1;
    assert!(
        first.skipped > 3_000_000 && first.skipped == first.from,
        "{}",
        first.skipped
    );
    assert_eq!(of_p.last().unwrap().1.to, 6_000_000, "the newest are kept");
    assert_eq!(sent.len(), of_p.len() + 1, "the other log has its room");
}

#[tokio::test]
async fn logs_beyond_the_limit_give_way_to_new_ones() {
    let lines = lines();
    for n in 0..2 * MAX_LOGS {
        lines.take(None, &chunk(&n.to_string(), OUT, None, "a\n"));
    }
    assert_eq!(lines.lock().by_key.len(), MAX_LOGS);
    assert_eq!(shipped(&lines).await.len(), MAX_LOGS);
    assert_eq!(lines.lock().bytes, 0);
}
