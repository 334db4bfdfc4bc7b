//! How soon a page is right again once its connection can be had.

use std::time::Duration;

use harness::browser::{available, with_browser};
use harness::fixtures;
use harness::proxy::{Network, Proxy};
use harness::system::System;
use serde_json::{Value, json};

use crate::report::{Report, Spans};

const ROUNDS: u64 = 5;
const OFFLINE: Duration = Duration::from_secs(10);

/// Runs in the page: from `online` to the newest text on it, milliseconds.
const WATCH: &str = "
    window.recovered = null;
    const wanted = arguments[0];
    const began = performance.now();
    const look = () => {
        const shown = document.querySelector('[data-build] [data-f=iteration]')?.textContent ?? '';
        if (shown.includes(wanted)) window.recovered = performance.now() - began;
        else requestAnimationFrame(look);
    };
    look();";

pub(crate) async fn run(report: &mut Report) {
    if !available() {
        return;
    }
    let system = System::start().await;
    let project = system.project("recovery");
    let write = |iteration: u64| {
        let mut file = fixtures::phase("recovery", "Test", "4/7", "testing");
        file["test_iteration"] = json!(iteration);
        project.phase(&file);
    };
    write(100);
    system.build(&project, 1, |_| true).await;
    let mut spans = Spans::new();
    let cable = Proxy::start(&system.aggregators[0].base().replace("http://", "")).await;
    with_browser(&format!("http://{}", cable.address()), async |page| {
        page.goto("/").await;
        page.until(
            "live",
            "document.documentElement.dataset.connection === 'live'",
        )
        .await;
        for round in 1..=ROUNDS {
            page.offline(true).await;
            cable.set(Network::Cut);
            tokio::time::sleep(OFFLINE / 2).await;
            write(100 + round);
            tokio::time::sleep(OFFLINE / 2).await;
            page.js_with(WATCH, vec![json!((100 + round).to_string())])
                .await;
            assert_eq!(
                page.js("return window.recovered").await,
                Value::Null,
                "it was offline"
            );
            cable.set(Network::Up);
            page.offline(false).await;
            let took = page.until("the newest state", "window.recovered").await;
            spans.add(Duration::from_secs_f64(
                took.as_f64().unwrap_or(f64::MAX).min(60_000.0) / 1_000.0,
            ));
        }
    })
    .await;
    spans.line("offline 10 s, then right again");
    report.at_most(
        "page right again after being offline, max",
        spans.ms(1.0),
        500.0,
        "ms",
    );
}
