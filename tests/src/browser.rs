//! Chromium without a window, driven through chromedriver. Whatever the page
//! complains about (content security policy, uncaught errors) fails the test.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use thirtyfour::{
    ChromeCapabilities, ChromiumLikeCapabilities as _, LoggingPrefsLogLevel, WebDriver,
};
use tokio::sync::OnceCell;

use crate::process::Process;
use crate::{ports, scratch, spawner, wait};

/// Arguments of every Chromium: no window, no sandbox (root), no calls home. The
/// pipe makes it end with chromedriver, however that ends.
const ARGUMENTS: [&str; 8] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
];

static DRIVER: OnceCell<(Process, String)> = OnceCell::const_new();

async fn driver_url() -> String {
    let started = DRIVER.get_or_init(|| async {
        let port = ports::free();
        let mut command: Command = spawner::command("chromedriver");
        command.arg(format!("--port={port}"));
        command.env("TMPDIR", scratch::directory("chromium"));
        let mut process = Process::start("chromedriver", command);
        wait::eventually("chromedriver takes connections", async || {
            if let Some(status) = process.ended() {
                panic!("chromedriver ended with {status}: {}", process.tail());
            }
            let tried = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            tried.map(drop).map_err(|e| e.to_string())
        })
        .await;
        (process, format!("http://127.0.0.1:{port}"))
    });
    started.await.1.clone()
}

/// Whether there is a browser. Without one a person's run skips with a reason; CI fails.
///
/// # Panics
/// In CI without a browser.
#[must_use]
pub fn available() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let available = there("chromedriver") && (there("chromium") || there("google-chrome"));
    assert!(
        available || std::env::var_os("CI").is_none(),
        "chromium and chromedriver are missing, and CI is set"
    );
    if !available {
        eprintln!("skipped: no chromium and chromedriver on PATH (Debian: chromium-driver)");
    }
    available
}

/// Runs `test` with a browser whose pages are at `base`; afterwards nothing
/// may have been complained about.
///
/// # Panics
/// When the test fails or a page complained.
pub async fn with_browser(base: &str, test: impl AsyncFnOnce(&Page)) {
    let page = Page::open(base).await;
    let driver = page.driver.clone();
    let outcome = driver
        .run_and_quit(|_| async {
            test(&page).await;
            Ok::<_, String>(page.complaints().await)
        })
        .await;
    let complaints = outcome.expect("the browser ends in order");
    assert!(
        complaints.is_empty(),
        "the pages complained:\n{}",
        complaints.join("\n")
    );
}

/// A browser with its current tab.
#[derive(Debug)]
pub struct Page {
    /// For what is not covered here.
    pub driver: WebDriver,
    base: String,
}

impl Page {
    async fn open(base: &str) -> Self {
        let mut capabilities = ChromeCapabilities::new();
        for argument in ARGUMENTS {
            capabilities.add_arg(argument).expect("an argument");
        }
        capabilities
            .set_browser_log_level(LoggingPrefsLogLevel::All)
            .expect("a log level");
        let driver = WebDriver::builder(driver_url().await, capabilities)
            .connect()
            .await
            .expect("chromedriver opens a browser");
        Self {
            driver,
            base: base.to_owned(),
        }
    }

    /// Opens a page; `path` begins with `/`.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.driver
            .goto(&url)
            .await
            .unwrap_or_else(|e| panic!("failed to open {url}: {e}"));
    }

    /// Runs a script's body and gives what it returns.
    ///
    /// # Panics
    /// When it throws.
    pub async fn js(&self, script: &str) -> Value {
        self.js_with(script, Vec::new()).await
    }

    /// The same with `arguments`.
    ///
    /// # Panics
    /// When it throws.
    pub async fn js_with(&self, script: &str, arguments: Vec<Value>) -> Value {
        let ran = self.driver.execute(script, arguments).await;
        ran.unwrap_or_else(|e| panic!("script failed: {e}\n{script}"))
            .json()
            .clone()
    }

    /// Waits until an expression gives something truthy, and gives that.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until(&self, what: &str, expression: &str) -> Value {
        let script = format!("return ({expression})");
        wait::eventually(what, async || {
            let value = self.js(&script).await;
            let truthy = !matches!(value, Value::Null | Value::Bool(false))
                && value != json!("")
                && value != json!(0);
            if truthy {
                Ok(value)
            } else {
                Err(self.body().await)
            }
        })
        .await
    }

    /// The text of the first element, without surrounding blanks; null when there is none.
    pub async fn text(&self, selector: &str) -> Value {
        self.js_with(
            "const e = document.querySelector(arguments[0]); return e && e.textContent.trim()",
            vec![json!(selector)],
        )
        .await
    }

    /// Waits until the first element's text satisfies `probe`.
    ///
    /// # Panics
    /// When it never does.
    pub async fn until_text(&self, selector: &str, probe: impl Fn(&str) -> bool) -> String {
        wait::eventually(&format!("the text of {selector}"), async || {
            let text = self.text(selector).await;
            match text.as_str() {
                Some(text) if probe(text) => Ok(text.to_owned()),
                _ => Err(format!("{text}, on the page: {}", self.body().await)),
            }
        })
        .await
    }

    /// How many elements there are.
    ///
    /// # Panics
    /// When the selector is none.
    pub async fn count(&self, selector: &str) -> u64 {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let count = self.js_with(script, vec![json!(selector)]).await;
        count.as_u64().expect("a number")
    }

    /// What a person reads on the page.
    pub async fn body(&self) -> String {
        let body = self
            .js("return document.body ? document.body.innerText : ''")
            .await;
        body.as_str().unwrap_or_default().to_owned()
    }

    /// A command of the DevTools protocol.
    ///
    /// # Panics
    /// When it fails.
    pub async fn cdp(&self, method: &str, parameters: Value) -> Value {
        let sent = self.driver.cdp().send_raw(method, parameters).await;
        sent.unwrap_or_else(|e| panic!("{method} failed: {e}"))
    }

    /// Takes the page's network away, or gives it back.
    pub async fn offline(&self, offline: bool) {
        self.cdp("Network.enable", json!({})).await;
        let conditions = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1
        });
        self.cdp("Network.emulateNetworkConditions", conditions)
            .await;
    }

    /// A picture of the page, for a look at a failure.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn picture(&self, file: &Path) {
        self.driver.screenshot(file).await.expect("a picture");
    }

    /// What the pages complained about so far. A server that cannot be reached
    /// is no complaint: tests cut connections on purpose.
    ///
    /// # Panics
    /// When the browser does not tell.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the browser's log");
        let network = ["network", "rendering"];
        log.into_iter()
            .filter(|entry| entry.level == "SEVERE")
            .filter(|entry| {
                !entry
                    .source
                    .as_deref()
                    .is_some_and(|source| network.contains(&source))
            })
            .filter(|entry| !entry.message.contains("WebSocket connection to"))
            .map(|entry| entry.message)
            .collect()
    }
}
