//! A page whose connection breaks: it says so, never gives up, and is right
//! again by itself, with nothing missing and nothing doubled.

use std::time::Duration;

use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::proxy::{Network, Proxy};
use harness::system::{HOST, System};
use serde_json::json;

use crate::pages::{change, field, open, until_live, until_number, until_state, with_one_build};

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
async fn a_dead_connection_is_noticed_by_the_page_itself_and_it_is_right_again() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    let cable = Proxy::start(&system.aggregators[0].base().replace("http://", "")).await;
    with_browser(&format!("http://{}", cable.address()), async |page| {
        open(page, "/").await;
        until_number(page, &id, "1/7").await;
        // Nobody closes anything and the browser thinks that it is online: only heartbeats are missing.
        cable.set(Network::NoAnswers);
        change(&system, &project, "2/7").await;
        page.until_text("#connection [data-f=connection]", |text| {
            text.starts_with("reconnecting")
        })
        .await;
        assert_eq!(page.text(&field(&id, "number")).await, "1/7");
        cable.set(Network::Up);
        until_live(page).await;
        until_number(page, &id, "2/7").await;
        assert_eq!(page.count("li[data-build]").await, 1, "nothing doubled");
        change(&system, &project, "3/7").await;
        until_number(page, &id, "3/7").await;
    })
    .await;
}

/// Keeps what the element says from now on in `window.said[name]`.
const RECORD: &str = "
    const [name, selector] = arguments;
    const element = document.querySelector(selector);
    window.said ??= {};
    const said = (window.said[name] = [element.textContent]);
    new MutationObserver(() => said.push(element.textContent))
      .observe(element, { childList: true, characterData: true, subtree: true });";

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
        let filter = "return getComputedStyle(document.querySelector('main')).filter";
        assert_eq!(page.js(filter).await, "none");
        for (name, selector) in [
            ("word", "#connection [data-f=connection]"),
            ("banner", "#banner [data-f=banner]"),
        ] {
            page.js_with(RECORD, vec![json!(name), json!(selector)])
                .await;
        }
        cable.set(Network::Cut);
        page.until(
            "it says so",
            "document.documentElement.dataset.connection === 'reconnecting'",
        )
        .await;
        page.until(
            "and when it tries again",
            "window.said.word.some((text) => /^reconnecting in [1-9][0-9]* s$/.test(text))",
        )
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
        let grey = page.js(filter).await;
        assert!(grey.as_str().unwrap().contains("grayscale"), "{grey}");
        let left =
            "window.said.banner.map((text) => Number(/Next try in ([0-9]+) s/.exec(text)?.[1]))";
        page.until(
            "the seconds count down",
            &format!("{left}.some((n, i, all) => i > 0 && n === all[i - 1] - 1)"),
        )
        .await;
        cable.set(Network::Up);
        page.js("document.querySelector('#banner [data-action=retry]').click()")
            .await;
        until_live(page).await;
        until_number(page, &id, "2/7").await;
        assert_eq!(page.js(filter).await, "none");
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

/// What the page's own module gives: for each of these tries the shortest, the
/// middle and the longest wait, and many waits of one try, milliseconds.
const WAITS: &str = "
    const address = document.querySelector('link[rel=modulepreload][href$=\"/backoff.js\"]').href;
    return import(address).then(({ delay }) => ({
      waits: [1, 2, 3, 4, 5, 6, 7, 20, 1e6].map((tries) => [0, 0.5, 1].map((random) => delay(tries, random))),
      many: Array.from({ length: 200 }, () => delay(4)),
    }));";

#[tokio::test]
async fn tries_are_one_second_apart_then_up_to_thirty_spread_and_never_given_up() {
    if !available() {
        return;
    }
    let system = System::start().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        let told = page.js(WAITS).await;
        assert_eq!(
            told["waits"],
            json!([
                [1_000, 1_000, 1_250],
                [1_500, 2_000, 2_500],
                [3_000, 4_000, 5_000],
                [6_000, 8_000, 10_000],
                [12_000, 16_000, 20_000],
                [22_500, 30_000, 30_000],
                [22_500, 30_000, 30_000],
                [22_500, 30_000, 30_000],
                [22_500, 30_000, 30_000],
            ])
        );
        let many: Vec<f64> = serde_json::from_value(told["many"].clone()).unwrap();
        assert!(many.iter().all(|wait| (6_000.0..=10_000.0).contains(wait)));
        let early = many.iter().filter(|wait| **wait < 7_000.0).count();
        let late = many.iter().filter(|wait| **wait > 9_000.0).count();
        assert!(early > 0 && late > 0, "not spread: {many:?}");
    })
    .await;
}
