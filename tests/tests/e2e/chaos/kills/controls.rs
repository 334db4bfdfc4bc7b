//! Negative controls: each mechanism against loss and doubles is switched off
//! once, and the same checker must complain. With it on, nothing is wrong.

use std::sync::Arc;
use std::time::Duration;

use harness::oracle::{STOOD, TruthLog, Verdict, verdict};
use harness::system::{Aggregator, System};
use harness::wait::{check, eventually};
use harness::writer::{Manner, Project};

/// Contents that are written while the way is blocked.
const CONTENTS: u64 = 5;

/// Every event gets another identity than the agent gave it: as good as no key.
const NO_UNIQUE_KEY: &str = "
    CREATE FUNCTION another_boot() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN NEW.boot := gen_random_uuid(); RETURN NEW; END $$;
    CREATE TRIGGER no_unique_key BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION another_boot()";

/// One file whose contents each stand long enough.
async fn write_slowly(truth: &TruthLog, project: &Project, from: u64) {
    for n in from..from + CONTENTS {
        truth.write(project, n, Manner::Atomic);
        tokio::time::sleep(STOOD + Duration::from_millis(100)).await;
    }
}

async fn in_the_stream(system: &System, count: u64) {
    let stream = async_nats::jetstream::new(system.nats.client().await);
    eventually("the stream holds the events", async || {
        let mut info = stream
            .get_stream("PHASELINE")
            .await
            .map_err(|e| e.to_string())?;
        let messages = info.info().await.map_err(|e| e.to_string())?.state.messages;
        check(messages == count, || format!("{messages} of {count}"))
    })
    .await;
}

/// A marker written at last is committed: so is, or is not, all before it.
async fn judged(system: &System, truth: &TruthLog, project: &Project) -> Verdict {
    let marker = system.project("marker");
    truth.write(&marker, 1, Manner::Atomic);
    system.build(&marker, 1, |_| true).await;
    in_the_stream(system, 0).await;
    let newest = truth.newest()[&project.token().to_string()];
    truth.write(project, newest + 1, Manner::Atomic);
    let detail = format!("step {}", newest + 1);
    let shown = |build: &protocol::Build| build.detail.as_deref() == Some(detail.as_str());
    system.build(project, 1, shown).await;
    verdict(truth, &system.database, &[]).await.unwrap()
}

/// Some contents wait in the stream; an aggregator with this fail point takes
/// them and ends; then one without takes over.
async fn killed_at(fail_point: &str, and_before: &str) -> Verdict {
    let mut system = System::start().await;
    let (truth, project) = (Arc::new(TruthLog::default()), system.project("control"));
    truth.write(&project, 1, Manner::Atomic);
    system.build(&project, 1, |_| true).await;
    system.database.execute(and_before).await.unwrap();
    system.aggregators[0].kill();
    write_slowly(&truth, &project, 2).await;
    in_the_stream(&system, CONTENTS).await;
    let aggregator = &mut system.aggregators[0];
    aggregator.restart_with(&[("PHASELINE_FAIL_POINT", fail_point)]);
    let status = aggregator.process.wait().await;
    assert!(!status.success(), "it ends at its fail point: {status}");
    aggregator.restart();
    judged(&system, &truth, &project).await
}

#[tokio::test]
async fn a_kill_between_commit_and_acknowledgement_doubles_nothing() {
    let verdict = killed_at("after_commit:1", "").await;
    verdict.assert_faultless("killed between commit and ack");
}

#[tokio::test]
async fn without_the_unique_key_the_same_kill_doubles_rows() {
    let verdict = killed_at("after_commit:1", NO_UNIQUE_KEY).await;
    eprintln!("control, no unique key: {verdict}");
    assert!(!verdict.duplicate.is_empty(), "{verdict}");
}

#[tokio::test]
async fn acknowledged_before_the_commit_the_same_kill_loses_contents() {
    let verdict = killed_at("ack_first:1", "").await;
    eprintln!("control, acknowledged first: {verdict}");
    assert!(!verdict.lost.is_empty(), "{verdict}");
}

/// The agent is killed while the broker is away; then both come back.
async fn agent_killed_in_an_outage(without_outbox: bool) -> Verdict {
    let mut system = System::start().await;
    let (truth, project) = (Arc::new(TruthLog::default()), system.project("control"));
    truth.write(&project, 1, Manner::Atomic);
    system.build(&project, 1, |_| true).await;
    system.nats.kill().await;
    write_slowly(&truth, &project, 2).await;
    truth.agent_ends();
    system.agents[0].kill();
    if without_outbox {
        for file in std::fs::read_dir(system.agents[0].state_dir()).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().contains("outbox") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    system.nats.up().await;
    system.agents[0].restart();
    system.host_is(harness::system::HOST, "up").await;
    truth.agent_watches();
    judged(&system, &truth, &project).await
}

#[tokio::test]
async fn what_the_agent_saw_in_an_outage_survives_its_kill() {
    let verdict = agent_killed_in_an_outage(false).await;
    verdict.assert_faultless("agent killed in an outage");
}

#[tokio::test]
async fn without_the_outbox_the_same_kill_loses_contents() {
    let verdict = agent_killed_in_an_outage(true).await;
    eprintln!("control, no outbox: {verdict}");
    assert!(!verdict.lost.is_empty(), "{verdict}");
}

#[tokio::test]
async fn an_aggregator_that_stops_in_order_is_asked_for_nothing_twice() {
    let mut system = System::start().await;
    let (truth, project) = (Arc::new(TruthLog::default()), system.project("control"));
    let second = Aggregator::start(&system.nats, &system.database).await;
    system.aggregators.push(second);
    write_slowly(&truth, &project, 1).await;
    let status = system.aggregators[0].process.stop().await;
    assert!(status.success(), "{status}");
    let other = harness::api::Api::new(system.aggregators[1].base());
    in_the_stream(&system, 0).await;
    let repeated = "phaseline_writer_events_total{kind=\"repeated\"}";
    assert!(matches!(other.metric(repeated).await, Err(_) | Ok(0.0)));
    system.aggregators[0].restart();
    judged(&system, &truth, &project)
        .await
        .assert_faultless("stopped in order");
}
