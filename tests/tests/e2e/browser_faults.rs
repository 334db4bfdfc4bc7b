//! A page whose connection breaks: it says so, never gives up, and is right
//! again by itself, with nothing missing and nothing doubled.

use std::time::Duration;

use harness::browser::{Page, available, with_browser};
use harness::fixtures;
use harness::proxy::{Network, Proxy};
use harness::system::{HOST, System};
use harness::writer::Project;
use serde_json::json;

use crate::pages::{field, open, until_live, until_number, until_state};

/// A system with one build, and that build's id.
async fn with_one_build() -> (System, Project, String) {
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let id = system.build(&project, 1, |_| true).await.id;
    (system, project, id)
}

/// Writes a phase and waits until the API has it, whatever the page knows.
async fn change(system: &System, project: &Project, number: &str) {
    project.phase(&fixtures::phase("shop", "Builder", number, "building"));
    system
        .build(project, 1, |build| {
            build.phase_number.as_deref() == Some(number)
        })
        .await;
}

/// Ten seconds without a network, whose old connection then comes back or not.
async fn offline_for_ten_seconds(network: Network) {
    let (system, project, id) = with_one_build().await;
    let cable = Proxy::start(&system.aggregators[0].base().replace("http://", "")).await;
    with_browser(&format!("http://{}", cable.address()), async |page| {
        open(page, "/").await;
        until_number(page, &id, "1/7").await;
        // The emulation tells the page that it is offline, but leaves its WebSocket alone.
        page.offline(true).await;
        cable.set(network);
        // What happens meanwhile: a change, another, a new build that ends.
        change(&system, &project, "2/7").await;
        let other = system.project("other");
        other.phase(&fixtures::phase("other", "Test", "4/7", "failed"));
        system
            .build(&other, 1, |build| build.ended_at.is_some())
            .await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        change(&system, &project, "3/7").await;
        let shown = page.text(&field(&id, "number")).await;
        assert_eq!(
            shown, "1/7",
            "the network was away, or this test proves nothing"
        );
        cable.set(Network::Up);
        page.offline(false).await;
        until_number(page, &id, "3/7").await;
        until_live(page).await;
        until_state(page, &other.build_id(HOST, 1), "failed").await;
        assert_eq!(page.count("li[data-build]").await, 2, "nothing doubled");
        change(&system, &project, "4/7").await;
        until_number(page, &id, "4/7").await;
    })
    .await;
}

#[tokio::test]
async fn ten_seconds_behind_a_pulled_cable_and_the_page_is_right_again() {
    if available() {
        offline_for_ten_seconds(Network::Stalled).await;
    }
}

#[tokio::test]
async fn ten_seconds_after_a_lost_connection_and_the_page_is_right_again() {
    if available() {
        offline_for_ten_seconds(Network::Cut).await;
    }
}

#[tokio::test]
async fn a_frozen_tab_is_right_again_when_it_wakes() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        until_number(page, &id, "1/7").await;
        page.cdp("Page.setWebLifecycleState", json!({"state": "frozen"}))
            .await;
        change(&system, &project, "2/7").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        change(&system, &project, "3/7").await;
        let shown = page.text(&field(&id, "number")).await;
        assert_eq!(
            shown, "1/7",
            "the tab was frozen, or this test proves nothing"
        );
        page.cdp("Page.setWebLifecycleState", json!({"state": "active"}))
            .await;
        until_live(page).await;
        until_number(page, &id, "3/7").await;
        assert_eq!(page.count("li[data-build]").await, 1);
        change(&system, &project, "4/7").await;
        until_number(page, &id, "4/7").await;
    })
    .await;
}

#[tokio::test]
async fn a_cut_connection_is_said_to_be_reconnecting_then_lost_and_retry_brings_it_back() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    let cable = Proxy::start(&system.aggregators[0].base().replace("http://", "")).await;
    with_browser(&format!("http://{}", cable.address()), async |page| {
        open(page, "/").await;
        until_number(page, &id, "1/7").await;
        assert_eq!(
            page.js("return document.getElementById('banner').hidden")
                .await,
            true
        );
        cable.set(Network::Cut);
        page.until(
            "it says so",
            "document.documentElement.dataset.connection === 'reconnecting'",
        )
        .await;
        page.until_text("#connection [data-f=connection]", |text| {
            text.contains("reconnecting")
        })
        .await;
        change(&system, &project, "2/7").await;
        page.until(
            "it is lost",
            "document.documentElement.dataset.connection === 'lost'",
        )
        .await;
        page.until_text("#banner [data-f=banner]", |text| text.contains("as of"))
            .await;
        assert_eq!(
            page.js("return document.getElementById('banner').hidden")
                .await,
            false
        );
        // The old values stay, greyed.
        until_number(page, &id, "1/7").await;
        cable.set(Network::Up);
        page.js("document.querySelector('#banner [data-action=retry]').click()")
            .await;
        until_live(page).await;
        until_number(page, &id, "2/7").await;
        assert_eq!(
            page.js("return document.getElementById('banner').hidden")
                .await,
            true
        );
    })
    .await;
}

#[tokio::test]
async fn a_restarted_aggregator_is_found_again_without_a_hand() {
    if !available() {
        return;
    }
    let (mut system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        system.aggregators[0].kill();
        page.until(
            "it says so",
            "document.documentElement.dataset.connection !== 'live'",
        )
        .await;
        project.phase(&fixtures::phase("shop", "Architect", "2/7", "designing"));
        system.aggregators[0].restart();
        until_live(page).await;
        until_number(page, &id, "2/7").await;
        assert_eq!(page.count("li[data-build]").await, 1);
    })
    .await;
}

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
      if (!String(all[0]).includes('/api/v1/')) return real(...all);
      window.requests += 1;
      window.most = Math.max(window.most, ++window.underWay);
      try { return await real(...all); } finally { window.underWay -= 1; }
    };";

#[tokio::test]
async fn without_a_websocket_the_page_reads_by_http_one_request_at_a_time() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page: &Page| {
        page.cdp(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": WITHOUT_WEBSOCKET}),
        )
        .await;
        page.goto("/").await;
        page.until(
            "it reads by HTTP",
            "document.documentElement.dataset.fallback === 'ok'",
        )
        .await;
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
        // Not more often than every 5 s: two rounds of two requests by now, hardly more.
        let requests = page.js("return window.requests").await.as_u64().unwrap();
        let seconds = page
            .js("return performance.now() / 1000")
            .await
            .as_f64()
            .unwrap();
        let rounds = f64::from(u32::try_from(requests).unwrap()) / 2.0;
        assert!(
            rounds <= seconds / 5.0 + 2.0,
            "{requests} requests in {seconds} s"
        );
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
