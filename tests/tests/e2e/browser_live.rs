//! The page in a real browser: changes appear by themselves, and however one
//! comes to a page, it is right and nothing is doubled.

use harness::browser::{Page, available, with_browser};
use harness::fixtures;
use harness::publisher::Publisher;
use harness::system::{HOST, System};
use serde_json::json;

use crate::pages::{change, field, open, until_live, until_number, until_state, with_one_build};

#[tokio::test]
async fn a_written_file_appears_and_changes_on_an_open_page() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    let id = project.build_id(HOST, 1);
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        assert_eq!(page.count("li[data-build]").await, 0);
        project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
        until_number(page, &id, "1/7").await;
        until_state(page, &id, "running").await;
        assert_eq!(page.text(&field(&id, "project")).await, "shop");
        assert_eq!(page.text(&field(&id, "host")).await, HOST);
        // No reload in between: what a reload would wipe is still there.
        page.js("window.mark = 1").await;
        project.phase(&fixtures::phase("shop", "Architect", "2/7", "designing"));
        until_number(page, &id, "2/7").await;
        project.summary(&fixtures::summary("shop"));
        until_state(page, &id, "completed").await;
        assert_eq!(page.js("return window.mark").await, 1);
        assert_eq!(page.count("li[data-build]").await, 1);
    })
    .await;
}

#[tokio::test]
async fn refresh_and_navigation_away_and_back_show_the_newest_state_once() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let id = system.build(&project, 1, |_| true).await.id;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        until_number(page, &id, "1/7").await;
        page.driver.refresh().await.unwrap();
        until_live(page).await;
        until_number(page, &id, "1/7").await;

        // Away, a change meanwhile, and back: from the cache of the browser too.
        for (place, number) in [("/history", "2/7"), ("/hosts", "3/7"), ("/healthz", "4/7")] {
            page.goto(place).await;
            project.phase(&fixtures::phase("shop", "Builder", number, "building"));
            system
                .build(&project, 1, |build| {
                    build.phase_number.as_deref() == Some(number)
                })
                .await;
            page.driver.back().await.unwrap();
            until_live(page).await;
            until_number(page, &id, number).await;
            assert_eq!(page.count("li[data-build]").await, 1);
        }
        // And still live.
        project.phase(&fixtures::phase("shop", "Deploy", "6/7", "deploying"));
        until_number(page, &id, "6/7").await;
    })
    .await;
}

#[tokio::test]
async fn a_build_has_its_own_address_with_timeline_fields_and_events() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    let files = fixtures::whole_build("shop");
    for file in &files[..6] {
        project.phase(file);
        let (number, status) = (file["phase_number"].as_str(), file["status"].as_str());
        system
            .build(&project, 1, |build| {
                build.phase_number.as_deref() == number && build.status.as_deref() == status
            })
            .await;
    }
    let id = project.build_id(HOST, 1);
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, &format!("/builds/{id}")).await;
        let panel = |name: &str| format!("[data-panel=\"{id}\"] [data-f=\"{name}\"]");
        page.until_text(&panel("project"), |text| text == "shop")
            .await;
        assert_eq!(
            page.count("[data-panel] .lane").await,
            3,
            "Scout, Architect, Builder"
        );
        assert_eq!(page.count("[data-panel] [data-event]").await, 6);
        let raw = page.text(&panel("fields")).await;
        assert!(raw.as_str().unwrap().contains("phases_completed"), "{raw}");
        // It is live as well: the next change, its event, its end.
        project.phase(&fixtures::phase("shop", "Test", "4/7", "failed"));
        page.until(
            "the failure",
            &format!("document.querySelector('[data-panel=\"{id}\"]')?.dataset.state === 'failed'"),
        )
        .await;
        page.until(
            "its event",
            "document.querySelectorAll('[data-panel] [data-event]').length === 7",
        )
        .await;
        assert_eq!(page.count("[data-panel] .lane").await, 4);
        let url = page.driver.current_url().await.unwrap();
        assert_eq!(url.path(), format!("/builds/{id}"));
    })
    .await;
}

#[tokio::test]
async fn ten_tabs_each_show_each_change() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let id = system.build(&project, 1, |_| true).await.id;
    with_browser(&system.aggregators[0].base(), async |page| {
        let mut tabs = vec![page.driver.window().await.unwrap()];
        open(page, "/").await;
        for _ in 1..10 {
            tabs.push(page.driver.new_tab().await.unwrap());
            page.driver
                .switch_to_window(tabs[tabs.len() - 1].clone())
                .await
                .unwrap();
            open(page, "/").await;
        }
        let connected = system.api().metric("phaseline_live_clients").await.unwrap();
        assert!((connected - 10.0).abs() < 0.1, "{connected} connections");
        project.phase(&fixtures::phase("shop", "Architect", "2/7", "designing"));
        for tab in tabs {
            page.driver.switch_to_window(tab).await.unwrap();
            until_number(page, &id, "2/7").await;
            assert_eq!(page.count("li[data-build]").await, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn ages_tick_and_change_colour_and_a_finished_build_is_final() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let open_one = system.project("open");
    let ended = system.project("ended");
    let (open_id, ended_id) = (open_one.build_id(HOST, 1), ended.build_id(HOST, 1));
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        ended.phase(&fixtures::phase("ended", "Test", "4/7", "failed"));
        open_one.phase(&fixtures::phase("open", "Builder", "3/7", "building"));
        let age_is = async |class: &str| {
            let selector = field(&open_id, "age");
            let expression =
                format!("document.querySelector('{selector}')?.classList.contains('{class}')");
            page.until(&format!("the age is {class}"), &expression)
                .await;
        };
        age_is("fresh").await;
        let young = page.text(&field(&open_id, "age")).await;
        age_is("aging").await;
        let older = page.text(&field(&open_id, "age")).await;
        assert_ne!(young, older, "it ticks");
        let of_ended = page
            .js_with(
                "return document.querySelector(arguments[0]).className",
                vec![json!(field(&ended_id, "age"))],
            )
            .await;
        for colour in ["fresh", "aging", "old"] {
            assert!(
                !of_ended
                    .as_str()
                    .unwrap()
                    .split(' ')
                    .any(|class| class == colour),
                "{of_ended}"
            );
        }
        // The exact time on hover.
        let title = page
            .js_with(
                "return document.querySelector(arguments[0]).title",
                vec![json!(field(&open_id, "age"))],
            )
            .await;
        assert!(title.as_str().unwrap().contains(':'), "{title}");
        // A change makes it young again.
        open_one.phase(&fixtures::phase("open", "Test", "4/7", "testing"));
        age_is("fresh").await;
    })
    .await;
}

#[tokio::test]
async fn what_was_seen_half_a_minute_ago_becomes_old_while_one_looks() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "quiet-host").await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/").await;
        let mut event = publisher.event("quiet", &fixtures::numbered("quiet", 1));
        event.observed_at = event.observed_at.plus_millis(-26_000);
        event.changed_at = event.observed_at;
        publisher.send(&event).await;
        let quiet = field(&publisher.build_id("quiet", 1), "age");
        let seen = page.until_text(&quiet, |text| text.ends_with(" s")).await;
        page.until(
            "its age is old",
            &format!("document.querySelector('{quiet}').classList.contains('old')"),
        )
        .await;
        let at_old = page.text(&quiet).await;
        let seconds = |text: &str| text.trim_end_matches(" s").parse::<u32>().unwrap_or(60);
        assert!(seconds(&seen) >= 26, "{seen}");
        assert!(seconds(at_old.as_str().unwrap()) >= 30, "{at_old}");
        let colour = format!("return getComputedStyle(document.querySelector('{quiet}')).color");
        let red = page.js(&colour).await;
        // A change makes it young again, and green.
        publisher
            .tell("quiet", &fixtures::numbered("quiet", 2))
            .await;
        page.until(
            "its age is fresh",
            &format!("document.querySelector('{quiet}').classList.contains('fresh')"),
        )
        .await;
        assert_ne!(page.js(&colour).await, red);
    })
    .await;
}

/// Runs before the page's own scripts: the browser's clock is an hour ahead, but
/// not what tells when the page was loaded, so that only asking the server helps.
const HOUR_AHEAD: &str = "
    const Real = Date;
    const AHEAD = 3_600_000;
    window.Date = class extends Real {
      constructor(...all) { if (all.length) super(...all); else super(Real.now() + AHEAD); }
      static now() { return Real.now() + AHEAD; }
    };";

#[tokio::test]
async fn ages_are_right_in_a_browser_whose_clock_is_an_hour_ahead() {
    if !available() {
        return;
    }
    let (system, project, id) = with_one_build().await;
    with_browser(&system.aggregators[0].base(), async |page| {
        let script = json!({"source": HOUR_AHEAD});
        page.cdp("Page.addScriptToEvaluateOnNewDocument", script)
            .await;
        open(page, "/").await;
        let ahead = page
            .js("return Date.now() - new Date(performance.timeOrigin + performance.now())")
            .await;
        assert!(ahead.as_f64().unwrap() > 3_590_000.0, "{ahead}");
        change(&system, &project, "2/7").await;
        until_number(page, &id, "2/7").await;
        page.until_text(&field(&id, "age"), |text| text.ends_with(" s"))
            .await;
        page.until_text("[data-build] [data-f=elapsed]", |text| text.ends_with(" s"))
            .await;
    })
    .await;
}

#[tokio::test]
async fn hundreds_of_builds_are_each_shown_once_and_in_their_newest_state() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "many").await;
    let base = system.aggregators[0].base();
    with_browser(&base, async |page: &Page| {
        open(page, "/").await;
        for round in 1..=3 {
            for number in 0..150 {
                let name = format!("p{number}");
                let file = fixtures::phase(&name, "Builder", &format!("{round}/7"), "building");
                publisher.tell(&name, &file).await;
            }
        }
        let expression = "document.querySelectorAll('li[data-build]').length === 150 && \
             [...document.querySelectorAll('li[data-build] [data-f=number]')].every((el) => el.textContent === '3/7')";
        page.until("150 rows in their newest state", expression).await;
    })
    .await;
}

#[tokio::test]
async fn the_history_finds_past_builds_page_by_page() {
    if !available() {
        return;
    }
    let system = System::start().await;
    let mut publisher = Publisher::connect(&system.nats, "past").await;
    for number in 0..60 {
        let name = format!("shop-{number}");
        let status = if number == 7 { "failed" } else { "completed" };
        let file = fixtures::phase(&name, "Feedback", "7/7", status);
        publisher.tell(&name, &file).await;
    }
    let last = publisher.build_id("shop-59", 1);
    system.build_by_id(&last, |_| true).await;
    with_browser(&system.aggregators[0].base(), async |page| {
        open(page, "/history").await;
        let first = page.count("li[data-build]").await;
        assert!(first > 0 && first < 60, "{first} on the first page");
        assert_eq!(
            page.count(&format!("li[data-build=\"{last}\"]")).await,
            1,
            "newest first"
        );
        page.js("document.querySelector('a[rel=next]').click()")
            .await;
        page.until("the older ones", "location.search.includes('cursor=')")
            .await;
        page.until(
            "the rest",
            &format!(
                "document.querySelectorAll('li[data-build]').length === {}",
                60 - first
            ),
        )
        .await;
        open(page, "/history?state=failed").await;
        assert_eq!(page.count("li[data-build]").await, 1);
        open(page, "/history?q=shop-42").await;
        assert_eq!(page.count("li[data-build]").await, 1);
        open(page, "/history?q=nothing-like-it").await;
        assert!(page.body().await.contains("No build matches"));
    })
    .await;
}
