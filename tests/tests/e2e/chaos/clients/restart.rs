//! Everybody comes back after a restart, spread out, and Postgres hardly notices.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::scale::scale;
use harness::scratch;
use harness::system::{Agent, System};
use harness::wait::{check, eventually, eventually_within};
use harness::writer::Project;
use tokio::task::JoinSet;

use super::crowd::{Shared, lock, missing, open, percentile_ms, read, step};

/// Connections to Postgres of one aggregator: its pool, its writer, and one to spare at a change of leader.
const MAX_CONNECTIONS: i64 = 16;

/// A browser: reads, and comes back as the page does (`static/backoff.js`). Notes when it was back.
async fn browse(base: String, noted: Shared, back: tokio::sync::mpsc::Sender<Instant>) {
    let mut tries = 0_i32;
    loop {
        if let Ok(mut socket) = open(&base, &noted).await {
            tries = 0;
            let _ = back.send(Instant::now()).await;
            read(&mut socket, &noted, |_| false).await;
        }
        let middle = Duration::from_secs(1) * 2_u32.pow(u32::try_from(tries.min(5)).unwrap_or(0));
        tokio::time::sleep(middle.mul_f64(rand::random_range(0.75..1.25))).await;
        tries += 1;
    }
}

fn agents(system: &System, count: usize) -> Vec<(Agent, Project)> {
    let one = |n: usize| {
        let watch = scratch::directory("host");
        let project = Project::create(watch.join("one"));
        let agent = Agent::start(&format!("crowd-{n}"), &watch, &system.nats);
        (agent, project)
    };
    (0..count).map(one).collect()
}

/// Writes a step on each host; answers with what each build must show.
fn write_all(agents: &[(Agent, Project)], n: u64) -> HashMap<String, u64> {
    let hosts = agents.iter().enumerate();
    hosts
        .map(|(host, (_, project))| {
            project.phase(&step(n, 0));
            (project.build_id(&format!("crowd-{host}"), 1), n)
        })
        .collect()
}

async fn all_have(readers: &[Shared], last: &HashMap<String, u64>) {
    eventually_within(
        Duration::from_secs(90),
        "every browser has every host's last step",
        async || {
            let missing = missing(readers, last);
            check(missing == 0, || {
                format!("{missing} of {} browsers miss one", readers.len())
            })
        },
    )
    .await;
}

async fn connections(system: &System) -> i64 {
    let query = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    system.database.number(query).await.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_and_agents_are_back_after_a_restart_spread_out_with_few_connections_to_postgres()
{
    let (browsers, hosts) = scale((150, 6), (2_000, 100));
    let mut system = System::start().await;
    let agents = agents(&system, hosts);
    let base = system.aggregators[0].base();
    let (back, mut arrivals) = tokio::sync::mpsc::channel(browsers);
    let readers: Vec<Shared> = (0..browsers).map(|_| Shared::default()).collect();
    let mut tasks = JoinSet::new();
    for noted in &readers {
        tasks.spawn(browse(base.clone(), Shared::clone(noted), back.clone()));
    }
    eventually("the hosts are up", async || {
        let hosts: protocol::page::HostPage = system.api().read("/api/v1/hosts").await?;
        let up = hosts
            .hosts
            .iter()
            .filter(|host| host.state.word() == "up")
            .count();
        check(up == agents.len() + 1, || format!("{up} are up"))
    })
    .await;
    let last = write_all(&agents, 1);
    all_have(&readers, &last).await;
    while arrivals.try_recv().is_ok() {}

    system.aggregators[0].kill();
    system.nats.kill().await;
    let last = write_all(&agents, 2);
    system.nats.up().await;
    system.aggregators[0].restart();
    let began = Instant::now();
    let mut took = Vec::new();
    let mut most = 0;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while took.len() < browsers {
        tokio::select! {
            Some(at) = arrivals.recv() => took.push(u64::try_from((at - began).as_micros()).unwrap()),
            _ = look.tick() => most = most.max(connections(&system).await),
        }
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{} of {browsers} came back",
            took.len()
        );
    }
    let all_back = began.elapsed();
    all_have(&readers, &last).await;
    most = most.max(connections(&system).await);
    let lost = missing(&readers, &last);
    let out_of_order: usize = readers.iter().map(|noted| lock(noted).out_of_order).sum();
    eprintln!(
        "restart: {browsers} browsers were back after {} ms (first {} ms, half {} ms), what {hosts} hosts wrote meanwhile \
         was everywhere after {} ms; lost {lost} / duplicate or out of order {out_of_order}; at most {most} connections to Postgres",
        all_back.as_millis(),
        percentile_ms(took.clone(), 0),
        percentile_ms(took, 50),
        began.elapsed().as_millis()
    );
    assert_eq!((lost, out_of_order), (0, 0));
    assert!(most <= MAX_CONNECTIONS, "{most} connections to Postgres");
}
