//! A page that can have no WebSocket: it reads over plain HTTP, all that it
//! shows, one request at a time, and says of when that is and why it may be old.

use harness::browser::{Page, available, with_browser};
use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use serde_json::json;

use crate::pages::{change, open, until_number, with_one_build};

/// Runs before the page's own scripts: no WebSocket to be had, and requests counted.
const WITHOUT_WEBSOCKET: &str = "
    window.WebSocket = class {
      static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
      readyState = 3;
      constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 0); }
      send() {}
      close() {}
    };
    window.underWay = 0; window.most = 0; window.requests = 0;
    const real = window.fetch;
    window.fetch = async (...all) => {
      if (String(all[0]).includes('/clock')) return real(...all);
      window.requests += 1;
      window.most = Math.max(window.most, ++window.underWay);
      try { return await real(...all); } finally { window.underWay -= 1; }
    };";

/// Opens a page whose WebSocket never opens, and waits until it has read by HTTP.
async fn open_without(page: &Page, path: &str) {
    let script = json!({"source": WITHOUT_WEBSOCKET});
    page.cdp("Page.addScriptToEvaluateOnNewDocument", script)
        .await;
    page.goto(path).await;
    page.until(
        "it reads by HTTP",
        "document.documentElement.dataset.fallback === 'ok'",
    )
    .await;
}

#[tokio::test]
async fn without_a_websocket_the_page_reads_by_http_one_request_at_a_time() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page: &Page| {
        open_without(page, "/").await;
        change(&system, &project, "2/7").await;
        until_number(page, &id, "2/7").await;
        let new = system.project("new");
        new.phase(&fixtures::phase("new", "Scout", "1/7", "researching"));
        until_number(page, &new.build_id(HOST, 1), "1/7").await;
        assert_eq!(
            page.js("return window.most").await,
            1,
            "one request at a time"
        );
        // Not more often than every 5 s: two rounds of three requests by now, hardly more.
        let requests = page.js("return window.requests").await.as_u64().unwrap();
        let seconds = page
            .js("return performance.now() / 1000")
            .await
            .as_f64()
            .unwrap();
        let rounds = f64::from(u32::try_from(requests).unwrap()) / 3.0;
        assert!(
            rounds <= seconds / 5.0 + 2.0,
            "{requests} requests in {seconds} s"
        );
    })
    .await;
}

/// Builds of one page of answers, and of all that are read in a row.
const PAGE: usize = 200;
const READ: usize = 1_000;

#[tokio::test]
async fn without_a_websocket_builds_behind_the_newest_are_read_too() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "many").await;
    let count = READ + 5;
    let mut sent = Vec::new();
    for number in 0..count {
        let name = format!("p{number}");
        let file = fixtures::phase(&name, "Scout", "1/7", "researching");
        let event = publisher.event(&name, &file);
        sent.push(publisher.send_soon(&event).await);
    }
    for ack in sent {
        ack.await.expect("the stream takes it");
    }
    let all = i64::try_from(count).unwrap();
    eventually("all of them are builds", async || {
        let builds = system.database.number("SELECT count(*) FROM build").await?;
        check(builds == all, || format!("{builds} of {all}"))
    })
    .await;
    let oldest = publisher.build_id("p0", 1);
    let second_page = format!("p{}", count - PAGE - 5);
    with_browser(&system.aggregators[0].base(), async |page| {
        open_without(page, &format!("/builds/{oldest}")).await;
        // Behind the first answer, and behind all of them but open in the panel.
        for name in [second_page.as_str(), "p0"] {
            let file = fixtures::phase(name, "Architect", "2/7", "designing");
            publisher.tell(name, &file).await;
        }
        until_number(page, &publisher.build_id(&second_page, 1), "2/7").await;
        page.until_text("[data-panel] [data-f=detail]", |text| {
            text == "Architect: designing"
        })
        .await;
        assert_eq!(
            page.js("return document.getElementById('truncated').hidden")
                .await,
            false,
            "it says that there are more than it reads"
        );
    })
    .await;
}

#[tokio::test]
async fn without_a_websocket_the_page_says_when_the_server_itself_is_stale() {
    if !available() {
        return;
    }
    let (mut system, project, id) = with_one_build().await;
    let base = system.aggregators[0].base();
    with_browser(&base, async |page| {
        open_without(page, "/").await;
        let banner = "#banner [data-f=banner]";
        page.until_text(banner, |text| {
            text.contains("read every 5 s instead, as of")
        })
        .await;
        let filter = "return getComputedStyle(document.querySelector('main')).filter";
        assert_eq!(page.js(filter).await, "none", "what it reads is right");
        system.nats.kill().await;
        let said = page
            .until_text(banner, |text| text.starts_with("Stale: NATS"))
            .await;
        assert!(said.contains("last seen at"), "{said}");
        assert!(!said.contains("as of"), "{said}");
        // It reads on, but that makes nothing newer.
        let requests = page.js("return window.requests").await;
        page.until(
            "another round",
            &format!("window.requests > {requests} + 3"),
        )
        .await;
        let later = page.text(banner).await;
        let until = |said: &str| {
            said.split("last seen at ")
                .nth(1)
                .map(|t| t[..8].to_owned())
        };
        assert_eq!(until(later.as_str().unwrap()), until(&said), "{later}");
        assert_ne!(page.js(filter).await, "none", "its values are greyed");
        system.nats.up().await;
        page.until_text(banner, |text| {
            text.contains("read every 5 s instead, as of")
        })
        .await;
        change(&system, &project, "2/7").await;
        until_number(page, &id, "2/7").await;
    })
    .await;
}

#[tokio::test]
async fn while_the_websocket_is_up_nothing_is_asked_over_http() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        for number in ["2/7", "3/7", "4/7"] {
            change(&system, &project, number).await;
            until_number(page, &id, number).await;
        }
        let asked = page
            .js("return performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/v1/')).map((e) => e.name)")
            .await;
        assert_eq!(asked, json!([]));
    })
    .await;
}
