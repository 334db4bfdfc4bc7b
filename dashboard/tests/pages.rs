//! The pages as a browser gets them: first paint, hostile content, ways onward.

mod support;

use protocol::{BuildState, Timestamp};
use support::{Fake, build, get, host};

/// Everything that could become markup, an attribute, or a mess.
const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)' style='color:red",
    "</title></textarea></template><svg onload=alert(1)>",
    "\u{202e}\u{2066}rtl\u{0}\u{1b}[31m",
    "{{ 7 }}{% if true %}",
    "javascript:alert(1)",
];

#[tokio::test]
async fn no_text_of_a_producer_becomes_markup_on_any_page() {
    let mut fake = Fake::default();
    for (run, word) in (1..).zip(HOSTILE) {
        fake.builds.push(build(run, word));
        fake.hosts.push(host(word));
    }
    let pages = [
        "/",
        "/history",
        "/hosts",
        "/system",
        "/nothing",
        "/history?q=%3Cscript%3E%22%27&state=%3Cb%3E",
        "/history?at=2026-11-20T10:08&branch=%3Cb%3E%22&cost_min=%22%3E&from=%3Cb%3E",
        "/history?at=%3Cscript%3E",
        "/hosts?at=2026-11-20T10:08",
        "/costs?by=project&project=%3Cb%3E%22&from=%22",
        "/costs?by=%3Cscript%3E",
    ];
    let mut paths: Vec<String> = pages.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(
        fake.builds
            .iter()
            .map(|build| format!("/builds/{}", build.id)),
    );
    paths.extend(
        fake.builds
            .iter()
            .map(|build| format!("/builds/{}?at=2026-11-20T10:08", build.id)),
    );
    for path in paths {
        let answer = get(&fake, &path).await;
        support::assert_safe(&path, &answer.body);
    }
}

#[tokio::test]
async fn texts_of_10_kb_are_cut_and_not_repeated_everywhere() {
    let mut fake = Fake::default();
    fake.builds.push(build(1, &"x".repeat(10_000)));
    let answer = get(&fake, "/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < 80_000, "{}", answer.body.len());
}

#[tokio::test]
async fn the_first_paint_has_the_groups_in_order_and_says_how_many_need_somebody() {
    let mut fake = Fake::default();
    for (run, state) in (1..).zip([
        BuildState::Completed,
        BuildState::Running,
        BuildState::Stalled,
        BuildState::Failed,
    ]) {
        let mut build = build(run, "x");
        build.id = format!("h-{run:016}-1");
        build.run = 1;
        build.state = state;
        if state == BuildState::Completed {
            build.ended_at = Some(build.last_updated);
        }
        fake.builds.push(build);
    }
    let page = get(&fake, "/").await.body;
    let order: Vec<usize> = [
        "h-0000000000000003-1",
        "h-0000000000000004-1",
        "h-0000000000000002-1",
        "h-0000000000000001-1",
    ]
    .iter()
    .map(|id| {
        page.find(&format!("data-build=\"{id}\""))
            .expect("every build has a row")
    })
    .collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(page.contains("<title>(2) Phaseline</title>"));
    assert!(page.contains("data-seq=\"42\""));
}

#[tokio::test]
async fn ages_are_coloured_and_what_ended_is_final() {
    let mut fake = Fake::default();
    for (run, seconds, ended) in [
        (1, 2, false),
        (2, 12, false),
        (3, 300, false),
        (4, 300, true),
    ] {
        let mut build = build(run, "x");
        let time = Timestamp::from_millis(support::now().as_millis() - seconds * 1000);
        build.id = format!("h-{run:016}-1");
        build.run = 1;
        build.changed_at = Some(time);
        build.observed_at = Some(time);
        build.last_updated = time;
        if ended {
            build.state = BuildState::Completed;
            build.ended_at = Some(time);
        }
        fake.builds.push(build);
    }
    let page = get(&fake, "/").await.body;
    for (run, class) in [(1, "fresh"), (2, "aging"), (3, "old"), (4, "final")] {
        let row = page
            .split(&format!("data-build=\"h-{run:016}-1\""))
            .nth(1)
            .expect("a row");
        let row = row.split("</li>").next().expect("its end");
        assert!(
            row.contains(&format!("class=\"num age {class}\"")),
            "{run} {row}"
        );
    }
}

#[tokio::test]
async fn a_build_has_its_own_page_with_its_events() {
    let mut fake = Fake::default();
    fake.builds.push(build(3, "checkout"));
    let answer = get(&fake, "/builds/h-0011223344556677-3").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("data-panel=\"h-0011223344556677-3\""));
    assert!(answer.body.contains("data-event=\"1\""));
    assert!(answer.body.contains("<title>checkout · Phaseline</title>"));
}

#[tokio::test]
async fn what_does_not_exist_is_404_with_a_way_onward() {
    for path in ["/builds/nobody-1", "/hosts/nobody", "/no/such/page"] {
        let answer = get(&Fake::default(), path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("class=\"button\" href=\"/"), "{path}");
    }
}

#[tokio::test]
async fn without_the_database_a_page_says_so_in_plain_words() {
    let fake = Fake {
        away: true,
        ..Fake::default()
    };
    for path in ["/", "/history", "/hosts"] {
        let answer = get(&fake, path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.contains("Nothing is lost"), "{path}");
    }
    assert_eq!(get(&fake, "/system").await.status, 200);
}

#[tokio::test]
async fn an_empty_page_says_what_is_watched_and_what_to_do() {
    let mut fake = Fake::default();
    let page = get(&fake, "/").await.body;
    assert!(page.contains("data-kind=\"no-hosts\"") && page.contains("phaseline-agent"));
    fake.hosts.push(host("build-01"));
    let page = get(&fake, "/").await.body;
    assert!(page.contains("data-kind=\"no-builds\""));
    assert!(page.contains("/srv/build-01") && page.contains("make demo"));
    // The example is a file as Context Foundry writes it.
    let example = page.split("&lt;&lt;'END'\n").nth(1).expect("an example");
    let example = example.split("\nEND").next().unwrap_or_default();
    let example: serde_json::Value = serde_json::from_str(example).expect("JSON");
    for key in [
        "session_id",
        "current_phase",
        "phase_number",
        "status",
        "progress_detail",
    ] {
        assert!(example[key].is_string(), "{key} of {example}");
    }
    // No address is known under which an agent elsewhere would reach the broker.
    assert!(!page.contains("nats://") && page.contains("A second host"));
}

#[tokio::test]
async fn the_system_page_says_everything_works_only_where_nothing_is_wrong() {
    let mut fake = Fake::default();
    fake.hosts.push(host("build-01"));
    let page = get(&fake, "/system").await.body;
    assert!(page.contains(">Everything works<") && page.contains(">1 up<"));
    let mut alert = protocol::page::Alert {
        began_at: support::now(),
        ended_at: None,
        text: "the disk is full".to_owned(),
        remedy: String::new(),
    };
    fake.alerts.push(alert.clone());
    let page = get(&fake, "/system").await.body;
    assert!(page.contains("data-verdict=\"warn\">The servers work, but an alert goes on<"));
    fake.hosts[0].state = protocol::HostState::Gone;
    let page = get(&fake, "/system").await.body;
    assert!(page.contains("but an alert goes on and a host is gone<") && page.contains(">1 gone<"));
    // What is over is told below, and is nothing wrong now.
    alert.ended_at = Some(support::now());
    fake.alerts = vec![alert];
    fake.hosts[0].state = protocol::HostState::Stopped;
    assert!(
        get(&fake, "/system")
            .await
            .body
            .contains(">Everything works<")
    );
    fake.away = true;
    let page = get(&fake, "/system").await.body;
    assert!(page.contains("data-verdict=\"bad\">Something is not working<"));
}

#[tokio::test]
async fn a_host_that_is_away_watches_nothing_and_one_that_is_up_says_when_it_was_heard() {
    let mut fake = Fake::default();
    fake.hosts.push(host("build-01"));
    let up = get(&fake, "/hosts").await.body;
    assert!(up.contains(">less than 22 s ago<") && up.contains(">degraded<"));
    for state in [protocol::HostState::Gone, protocol::HostState::Stopped] {
        fake.hosts[0].state = state;
        for path in ["/hosts", "/"] {
            let page = get(&fake, path).await.body;
            assert!(page.contains(">was degraded<"), "{path}");
            assert!(!page.contains(">degraded<"), "{path}");
        }
        let page = get(&fake, "/hosts").await.body;
        assert!(page.contains("data-f=\"host-heard\" hidden"));
    }
}

#[tokio::test]
async fn a_page_of_the_past_says_of_when_it_is_and_leads_on_in_that_moment() {
    let mut fake = Fake::default();
    fake.builds.push(build(3, "checkout"));
    fake.hosts.push(host("checkout"));
    for path in [
        "/history?q=x&at=2026-11-20T10:08",
        "/builds/h-0011223344556677-3?at=2026-11-20T10:08",
        "/hosts/checkout?at=2026-11-20T10:08",
        "/hosts?at=2026-11-20T10:08",
    ] {
        let page = get(&fake, path).await.body;
        assert!(page.contains("data-past"), "{path}");
        assert!(
            page.contains("As it was at") && page.contains("Back to now"),
            "{path}"
        );
        assert!(page.contains("value=\"2026-11-20T10:08:00\""), "{path}");
        assert!(
            page.contains("?at=2026-11-20T10%3A08%3A00.000Z\""),
            "{path}"
        );
        assert!(!page.contains("data-tick=\"a"), "{path}");
    }
    let back = get(&fake, "/history?q=x&at=2026-11-20T10:08").await.body;
    assert!(back.contains("href=\"/history?q=x\">Back to now"));
    let elsewhere = get(&fake, "/?at=2026-11-20T10:08").await;
    assert_eq!(elsewhere.status, 303);
    let bad = get(&fake, "/hosts?at=noon").await;
    assert!(bad.status == 400 && bad.body.contains("The moment is not a time"));
}

#[tokio::test]
async fn costs_have_bars_an_unknown_row_and_budgets_and_are_told_when_empty() {
    let mut fake = Fake::default();
    let page = get(&fake, "/costs").await.body;
    assert!(page.contains("No build has been seen yet"));
    fake.builds.push(build(3, "checkout"));
    let page = get(&fake, "/costs?by=project").await.body;
    assert!(page.contains("title=\"$2.00000000000000004\">$2.00<"));
    assert!(page.contains("class=\"bar-sum\" x=\"0\" y=\"0\" width=\"1000\""));
    assert!(page.contains("href=\"/history?project=checkout\""));
    assert!(page.contains("data-budget=\"over\"") && page.contains("aria-current=\"page\">Costs"));
}

#[tokio::test]
async fn a_host_is_found_by_the_address_we_make_and_by_its_name() {
    let mut fake = Fake::default();
    fake.hosts.push(host("my_host"));
    fake.hosts.push(host(".."));
    for path in ["/hosts/my_5fhost", "/hosts/my_host", "/hosts/_2e_2e"] {
        assert_eq!(get(&fake, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn static_files_are_kept_for_ever_under_their_hash_and_only_there() {
    let fake = Fake::default();
    let page = get(&fake, "/").await.body;
    let script = page
        .split("src=\"")
        .nth(2)
        .and_then(|rest| rest.split('"').next())
        .expect("a script");
    let answer = get(&fake, script).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("immutable") && answer.head.contains("text/javascript"));
    let other = get(&fake, "/assets/0000000000000000/main.js").await;
    assert!(other.head.contains("no-store"));
    assert_eq!(
        get(&fake, "/assets/0000000000000000/secret").await.status,
        404
    );
}
