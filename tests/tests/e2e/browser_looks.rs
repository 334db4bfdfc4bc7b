//! Hostile content is text, the keyboard suffices, a phone suffices, light and
//! dark differ, an empty system says what to do, and the harness itself notices
//! when a page breaks its policy.

use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{HOST, System};
use harness::wait::{check, eventually};
use serde_json::json;

use crate::hostile::nasty;
use crate::pages::{field, open, until_number};

/// How a text reads on a page: control characters visible, a line's end as it may be, not longer than so many characters.
fn readable(text: &str, most: usize, line_end: char) -> String {
    let clean = |c: char| match c {
        '\n' => line_end,
        '\r' if line_end == ' ' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    let mut shown: String = text.chars().take(most).map(clean).collect();
    if text.chars().count() > most {
        shown.push('…');
    }
    shown
}

#[tokio::test]
async fn hostile_content_is_shown_as_text() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "<blink>host</blink>").await;
    with_browser(&system.aggregators[0].base(), async |page| {
        page.cdp(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": "window.alert = () => { window.alerted = true; };"}),
        )
        .await;
        open(page, "/").await;
        let elements = page
            .js("return document.querySelectorAll('script, img, iframe, object').length")
            .await;
        for (number, text) in nasty().into_iter().enumerate() {
            let name = format!("p{number}");
            let mut file = fixtures::phase(&text, &text, &text, &text);
            file["progress_detail"] = json!(text);
            file["phases_completed"] = json!([text, "Scout"]);
            file[&text] = json!(text);
            publisher.tell(&name, &file).await;
            let id = publisher.build_id(&name, 1);
            page.until_text(&field(&id, "project"), |shown| shown == name)
                .await;
            let shown = page.text(&field(&id, "number")).await;
            assert_eq!(shown, readable(&text, 160, ' ').trim(), "in the list");
        }
        assert_eq!(
            page.js("return document.querySelectorAll('script, img, iframe, object').length")
                .await,
            elements
        );
        // Each build's own page, drawn by the server first.
        for (number, text) in nasty().into_iter().enumerate() {
            let id = publisher.build_id(&format!("p{number}"), 1);
            open(page, &format!("/builds/{id}")).await;
            page.until_text("[data-panel] [data-f=project]", |text| {
                text == format!("p{number}")
            })
            .await;
            let shown = page.text("[data-panel] [data-f=detail]").await;
            let expected = match readable(&text, 4_000, '\n').trim() {
                "" => "—".to_owned(),
                text => text.to_owned(),
            };
            assert_eq!(shown, expected, "on its page");
            assert_eq!(
                page.count("[data-panel] script, [data-panel] img, [data-panel] blink")
                    .await,
                0
            );
            assert_eq!(page.count("a[href^='javascript:']").await, 0);
        }
        assert_eq!(page.js("return window.alerted ?? false").await, false);
        // The page is still alive.
        publisher
            .tell(
                "after",
                &fixtures::phase("after", "Scout", "1/7", "researching"),
            )
            .await;
        page.goto("/").await;
        until_number(page, &publisher.build_id("after", 1), "1/7").await;
    })
    .await;
}

#[tokio::test]
async fn the_keyboard_moves_opens_closes_searches_and_explains_itself() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "keys").await;
    for name in ["alpha", "beta", "gamma"] {
        publisher
            .tell(name, &fixtures::phase(name, "Scout", "1/7", "researching"))
            .await;
    }
    system
        .build_by_id(&publisher.build_id("gamma", 1), |_| true)
        .await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        page.until("three rows", "document.querySelectorAll('li[data-build]').length === 3").await;
        let press = async |key: &str| {
            for kind in ["keyDown", "keyUp"] {
                let text = if key.chars().count() == 1 && kind == "keyDown" { json!(key) } else { json!("") };
                let text = if key == "Enter" && kind == "keyDown" { json!("\r") } else { text };
                let code = match key {
                    "Enter" => 13,
                    "Escape" => 27,
                    _ => 0,
                };
                page.cdp("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code})).await;
            }
        };
        let focused = "document.activeElement?.closest('li[data-build]')?.dataset.build";
        press("j").await;
        let first = page.until("a row has the focus", focused).await;
        press("j").await;
        page.until("the next row has it", &format!("{focused} && {focused} !== {first}")).await;
        press("k").await;
        page.until("the first again", &format!("{focused} === {first}")).await;
        press("Enter").await;
        page.until("its panel is open", &format!("document.querySelector('[data-panel]')?.dataset.panel === {first}")).await;
        page.until("and its address", &format!("location.pathname === '/builds/' + {first}")).await;
        press("Escape").await;
        page.until("back at the list", "location.pathname === '/'").await;
        press("/").await;
        page.until("the search has the focus", "document.activeElement?.id === 'search'").await;
        for letter in ["b", "e", "t"] {
            press(letter).await;
        }
        let shown = "[...document.querySelectorAll('li[data-build]')].filter((el) => el.checkVisibility()).length";
        page.until("only one row matches", &format!("{shown} === 1")).await;
        press("Escape").await;
        page.until("all rows again", &format!("{shown} === 3")).await;
        press("?").await;
        page.until("the help is open", "document.getElementById('help').open").await;
        press("Escape").await;
        page.until("the help is closed", "!document.getElementById('help').open").await;
    })
    .await;
}

#[tokio::test]
async fn a_phone_shows_all_without_scrolling_sideways() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher =
        Publisher::connect(&system.nats, "a-host-with-a-rather-long-name.example.org").await;
    let long = "a-project-with-a-name-that-is-longer-than-any-phone-is-wide-and-then-some";
    publisher
        .tell(
            long,
            &fixtures::phase(long, "GitHub Integration", "4.5/8", "testing"),
        )
        .await;
    let id = publisher.build_id(long, 1);
    system.build_by_id(&id, |_| true).await;
    with_browser(&system.aggregators[0].base(), async |page| {
        page.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": 375, "height": 740, "deviceScaleFactor": 2, "mobile": true}),
        )
        .await;
        for path in [
            "/".to_owned(),
            format!("/builds/{id}"),
            "/history".to_owned(),
            "/hosts".to_owned(),
            "/system".to_owned(),
        ] {
            open(page, &path).await;
            let wide = page
                .js("return document.scrollingElement.scrollWidth")
                .await
                .as_u64()
                .unwrap();
            assert!(wide <= 375, "{path} is {wide} px wide on a phone");
        }
        open(page, "/").await;
        for name in ["project", "number", "age"] {
            let selector = field(&id, name);
            let visible = page
                .js_with(
                    "return document.querySelector(arguments[0]).checkVisibility()",
                    vec![json!(selector)],
                )
                .await;
            assert_eq!(visible, true, "{name} on a phone");
        }
    })
    .await;
}

#[tokio::test]
async fn light_and_dark_differ_and_motion_is_reduced_on_request() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    system.build(&project, 1, |_| true).await;
    with_browser(&system.aggregators[0].base(), async |page| {
        let mut colours = Vec::new();
        for scheme in ["light", "dark"] {
            let features = json!({"features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"}
            ]});
            page.cdp("Emulation.setEmulatedMedia", features).await;
            open(page, "/").await;
            page.until("the row", "document.querySelector('li[data-build]')").await;
            colours.push(page.js("return getComputedStyle(document.body).backgroundColor").await);
            let moving = page.js("return document.getAnimations().filter((a) => a.playState === 'running').length").await;
            assert_eq!(moving, 0, "animations run in spite of reduced motion");
        }
        assert_ne!(colours[0], colours[1]);
    })
    .await;
}

#[tokio::test]
async fn an_empty_system_says_what_is_watched_and_what_to_do_next() {
    if !available() {
        return;
    }
    let system = System::start().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        page.until(
            "the watched directory",
            &format!(
                "document.getElementById('empty').innerText.includes('{}')",
                system.watch.display()
            ),
        )
        .await;
        assert!(page.body().await.contains("make demo"));
        // It makes room for the first build.
        let project = system.project("first");
        project.phase(&fixtures::phase("first", "Scout", "1/7", "researching"));
        until_number(page, &project.build_id(HOST, 1), "1/7").await;
        assert_eq!(
            page.js("return document.getElementById('empty').hidden")
                .await,
            true
        );
    })
    .await;
}

#[tokio::test]
async fn set_aside_messages_and_a_gone_host_show_on_their_pages() {
    if !available() {
        return;
    }
    let mut system = System::start().await;
    let publisher = Publisher::connect(&system.nats, "page").await;
    let subject = "phaseline.v1.event.page.context-foundry.00000000000000aa";
    publisher.raw(subject, "<script>alert(1)</script>").await;
    let api = system.api();
    eventually("the message is set aside", async || {
        let ready: protocol::page::Readiness = api.read("/readyz").await?;
        check(ready.dead_letters == Some(1), || format!("{ready:?}"))
    })
    .await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/system").await;
        assert_eq!(page.count("[data-letter]").await, 1);
        assert!(
            page.body().await.contains("<script>alert(1)</script>"),
            "its bytes are shown as text"
        );
        open(page, "/hosts").await;
        page.until(
            "the host is up",
            &format!(
                "document.querySelector('[data-host-card=\"{HOST}\"]')?.dataset.state === 'up'"
            ),
        )
        .await;
        page.until_text("[data-f=root-state]", |text| text == "watching").await;
        page.until_text("[data-f=host-heard]", |text| text == "less than 22 s ago").await;
        system.agents[0].process.stop().await;
        page.until(
            "it has stopped",
            &format!(
                "document.querySelector('[data-host-card=\"{HOST}\"]')?.dataset.state === 'stopped'"
            ),
        )
        .await;
        // Nobody watches now, and the time at which it was heard stands still.
        page.until_text("[data-f=root-state]", |text| text == "was watching").await;
        page.until("its time is shown", "document.querySelector('[data-f=host-heard]').hidden && document.querySelector('[data-f=host-seen]').dateTime").await;
    })
    .await;
}

#[tokio::test]
async fn a_page_that_breaks_its_policy_fails_a_test() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let base = system.aggregators[0].base();
    let broken = with_browser(&base, async |page| {
        open(page, "/").await;
        // What an unescaped value would do.
        page.js("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)").await;
        assert_eq!(
            page.js("return window.ran ?? 0").await,
            0,
            "the policy stops an inline script"
        );
    });
    let outcome = AssertUnwindSafe(broken).catch_unwind().await;
    assert!(outcome.is_err(), "the harness did not notice");
}
