//! Whoever wonders why nothing shows is told what each route received and
//! refused last, when, and why: of the server and of each agent.

use harness::api::{Api, read};
use harness::system::{Agent, Aggregator, HOST, System};
use harness::{fixtures, ports, scratch, wait};
use protocol::{CallPage, Calls, RouteStatus};
use serde_json::json;

use crate::ingest_runner::runner;

const ROUTE: &str = "/api/phase-update";

async fn call(api: &Api) {
    let good = fixtures::phase("web", "Builder", "3/7", "building");
    for (body, status) in [(good, 200), (json!(["no object"]), 422)] {
        let request = api.request(reqwest::Method::POST, ROUTE).json(&body);
        assert_eq!(read(request).await.unwrap().status, status);
    }
}

fn route<'a>(calls: &'a Calls, path: &str) -> Option<&'a RouteStatus> {
    calls.routes.iter().find(|route| route.route == path)
}

/// What stands on the page for a route of a listener.
fn row<'a>(page: &'a str, listener: &str, route: &str) -> &'a str {
    let of_listener = page.split(&format!("data-listener=\"{listener}\"")).nth(1);
    let of_route =
        of_listener.and_then(|part| part.split(&format!("data-route=\"{route}\"")).nth(1));
    let row = of_route.and_then(|part| part.split("</tr>").next());
    row.unwrap_or_else(|| panic!("no {route} of {listener} in {page}"))
}

#[tokio::test]
async fn each_listener_tells_what_it_received_and_refused_last_and_why() {
    let mut system = System::bare().await;
    let aggregator = Aggregator::start(&system.nats, &system.database).await;
    let server = Api::new(aggregator.base());
    system.aggregators.push(aggregator);
    let nothing: CallPage = server.read("/api/v1/calls").await.unwrap();
    assert_eq!((nothing.server.routes.len(), nothing.hosts.len()), (0, 0));

    let address = format!("127.0.0.1:{}", ports::free());
    let settings = [("PHASELINE_INGEST", address.as_str())];
    let watch = scratch::directory("watched").into_os_string();
    let agent = Agent::start_with(HOST, watch, &system.nats, &settings);
    system.agents.push(agent);
    let agent = Api::new(format!("http://{address}"));
    wait::eventually("the agent takes calls", async || {
        agent.get("/api/runner/process/list").await.map(drop)
    })
    .await;
    call(&server).await;
    call(&agent).await;
    let _runner = runner(agent.base(), None).await.unwrap();

    let told = wait::eventually("the agent's calls are told", async || {
        let page: CallPage = server.read("/api/v1/calls").await?;
        let host = page.hosts.first().ok_or("no host")?;
        let is_told = route(&host.calls, ROUTE).is_some() && !host.calls.runners.is_empty();
        wait::check(is_told, || format!("{page:?}"))?;
        Ok(page)
    })
    .await;
    assert_eq!((told.hosts.len(), told.hosts[0].host.as_str()), (1, HOST));
    let page = server.get("/system").await.unwrap().body;
    let both = [("this server", &told.server), (HOST, &told.hosts[0].calls)];
    for (listener, calls) in both {
        let status = route(calls, ROUTE).unwrap();
        assert_eq!((status.received, status.refused), (1, 1), "{listener}");
        let why = status.last_refusal.as_deref().unwrap();
        assert!(why.contains("must be a JSON object"), "{why}");
        let row = row(&page, listener, ROUTE);
        for at in [status.last_received_at, status.last_refused_at] {
            let at = at.expect("a time").to_string();
            assert!(row.contains(&at), "{at} in {row}");
        }
        assert!(row.contains("must be a JSON object"), "{row}");
    }
    assert!(told.hosts[0].calls.runners[0].connected);
    let of_host = page
        .split(&format!("data-listener=\"{HOST}\""))
        .nth(1)
        .unwrap();
    assert!(of_host.contains("data-runner=\"runner-mac\""), "{page}");
}
