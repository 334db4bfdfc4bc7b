//! What Postgres refuses only when it commits: the statement itself goes well,
//! and a constraint that is looked at last undoes the whole batch.

use std::collections::BTreeMap;
use std::time::Instant;

use harness::fixtures;
use harness::publisher::Publisher;
use harness::scale::scale;
use harness::system::System;
use harness::wait::{check, eventually};
use serde_json::json;

use super::others::{Noticed, meanwhile};

/// Looked at when the transaction ends. As a constraint it has one of its codes; a trigger that merely raises has another.
const LOOKED_AT_LAST: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        CASE NEW.document->>'refused' WHEN 'as a constraint' THEN
          RAISE EXCEPTION 'refused at the commit' USING ERRCODE = 'check_violation';
        WHEN 'by a trigger' THEN
          RAISE EXCEPTION 'refused at the commit';
        ELSE
          RETURN NULL;
        END CASE;
      END $$;
    CREATE CONSTRAINT TRIGGER looked_at_last AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION refuse()";

/// Messages that the leader takes at once.
const BATCH: u64 = 500;
const PROJECTS: u64 = 50;

/// Publishes batches, each with two messages that the commit refuses when that is wanted; the counts of the
/// others by project.
async fn publish(
    publisher: &mut Publisher,
    batches: u64,
    refused: bool,
) -> BTreeMap<String, Vec<u64>> {
    let mut good: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for batch in 0..batches {
        let mut acks = Vec::new();
        for place in 0..BATCH {
            let (project, count) = (format!("p{}", place % PROJECTS), batch * BATCH + place);
            let mut document = fixtures::numbered(&project, count);
            match place {
                123 if refused => document["refused"] = json!("as a constraint"),
                377 if refused => document["refused"] = json!("by a trigger"),
                _ => good.entry(project.clone()).or_default().push(count),
            }
            let event = publisher.event(&project, &document);
            acks.push(publisher.send_soon(&event).await);
        }
        for ack in acks {
            ack.await.expect("the stream takes it");
        }
    }
    good
}

/// The counts of a host's rows by project, in the order of commits.
async fn kept(system: &System, host: &str) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let client = system.database.connect().await.map_err(|e| e.to_string())?;
    let sql = "SELECT document->>'session_id', (document->>'count')::bigint FROM event \
               WHERE host = $1 AND document ? 'count' ORDER BY id";
    let rows = client.query(sql, &[&host]).await;
    let mut kept: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for row in rows.map_err(|e| e.to_string())? {
        let count: i64 = row.get(1);
        let of_project = kept.entry(row.get(0)).or_default();
        of_project.push(count.unsigned_abs());
    }
    Ok(kept)
}

/// Publishes as this host until every good event is a row, in order; what the others noticed.
async fn play(system: &System, host: &str, batches: u64, refused: bool) -> Noticed {
    let mut publisher = Publisher::connect(&system.nats, host).await;
    let work = async {
        let good = publish(&mut publisher, batches, refused).await;
        eventually("every other event is a row, in order", async || {
            let kept = kept(system, host).await?;
            let count = |of: &BTreeMap<String, Vec<u64>>| of.values().map(Vec::len).sum::<usize>();
            check(kept == good, || {
                format!("{} of {} rows", count(&kept), count(&good))
            })
        })
        .await;
    };
    let began = Instant::now();
    let ((), noticed) = meanwhile(system, work).await;
    eprintln!(
        "{host}: {} messages in {} ms; of {} good events meanwhile the slowest took {} ms",
        batches * BATCH,
        began.elapsed().as_millis(),
        noticed.events,
        noticed.longest.as_millis()
    );
    noticed
}

#[tokio::test]
async fn what_the_commit_refuses_is_set_aside_alone_and_holds_up_nobody() {
    let system = System::start().await;
    let batches = scale(3, 40);
    play(&system, "nothing-is-refused", batches, false).await;
    system.database.execute(LOOKED_AT_LAST).await.unwrap();
    let noticed = play(&system, "two-of-500-are-refused", batches, true).await;
    assert!(noticed.events > 0, "the others were held up");
    let letters = "SELECT count(*) FROM dead_letter WHERE reason LIKE '%refused at the commit%'";
    let refused = i64::try_from(2 * batches).unwrap();
    assert_eq!(system.database.number(letters).await, Ok(refused));
    let all = "SELECT count(*) FROM dead_letter";
    assert_eq!(system.database.number(all).await, Ok(refused));
}
