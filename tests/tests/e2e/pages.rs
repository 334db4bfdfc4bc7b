//! How the browser tests find things on a page, and what most of them look at.

use harness::browser::Page;
use harness::fixtures;
use harness::system::System;
use harness::writer::Project;

/// The connection is up and the page shows what it knows.
pub(crate) const LIVE: &str = "document.documentElement.dataset.connection === 'live' && document.documentElement.dataset.seq !== ''";

/// Waits until the page is connected.
pub(crate) async fn until_live(page: &Page) {
    page.until("the page is live", LIVE).await;
}

/// Opens a page and waits until it is connected.
pub(crate) async fn open(page: &Page, path: &str) {
    page.goto(path).await;
    until_live(page).await;
}

/// A field of a build's row.
pub(crate) fn field(build: &str, name: &str) -> String {
    format!("li[data-build=\"{build}\"] [data-f=\"{name}\"]")
}

/// Waits until a build's row is in a state.
pub(crate) async fn until_state(page: &Page, build: &str, state: &str) {
    let expression = format!(
        "document.querySelector('li[data-build=\"{build}\"]')?.dataset.state === '{state}'"
    );
    page.until(&format!("{build} is {state} on the page"), &expression)
        .await;
}

/// Waits until a build's phase number on the page is this one.
pub(crate) async fn until_number(page: &Page, build: &str, number: &str) {
    page.until_text(&field(build, "number"), |text| text == number)
        .await;
}

/// A system with one build, and that build's id.
pub(crate) async fn with_one_build() -> (System, Project, String) {
    let system = System::start().await;
    let project = system.project("shop");
    project.phase(&fixtures::phase("shop", "Scout", "1/7", "researching"));
    let id = system.build(&project, 1, |_| true).await.id;
    (system, project, id)
}

/// Writes a phase and waits until the API has it, whatever the page knows.
pub(crate) async fn change(system: &System, project: &Project, number: &str) {
    project.phase(&fixtures::phase("shop", "Builder", number, "building"));
    system
        .build(project, 1, |build| {
            build.phase_number.as_deref() == Some(number)
        })
        .await;
}
