//! A client of the HTTP API.

use std::time::Duration;

use protocol::{Build, host::Host};
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An answer must come within this time; nothing here takes longer than a query.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one aggregator.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|e| panic!("{e} in a body of status {}: {}", self.status, self.body))
    }

    /// `error.code` of an error's envelope.
    ///
    /// # Panics
    /// When the body is no such envelope.
    #[must_use]
    pub fn error_code(&self) -> String {
        let json = self.json();
        let code = json["error"]["code"].as_str();
        assert!(json["error"]["message"].is_string(), "{json}");
        code.unwrap_or_else(|| panic!("no error.code in {json}"))
            .to_owned()
    }
}

impl Api {
    /// Of the aggregator at `base`, e.g. `http://127.0.0.1:8080`.
    ///
    /// # Panics
    /// When no client can be made.
    #[must_use]
    pub fn new(base: String) -> Self {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Self { base, http }
    }

    /// Its address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request under construction; `path` begins with `/`.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When there is no HTTP answer.
    pub async fn get(&self, path: &str) -> Result<Answer, String> {
        read(self.request(reqwest::Method::GET, path)).await
    }

    /// `GET path`, which must answer 200, decoded.
    ///
    /// # Errors
    /// Without an answer, or with another status.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let answer = self.get(path).await?;
        if answer.status != 200 {
            return Err(format!("{path}: {} {}", answer.status, answer.body));
        }
        serde_json::from_str(&answer.body).map_err(|e| format!("{path}: {e} in {}", answer.body))
    }

    /// What is wrong with the servers, or was.
    ///
    /// # Errors
    /// Without an answer, or with another status than 200.
    pub async fn alerts(&self) -> Result<Vec<protocol::page::Alert>, String> {
        let page: protocol::page::AlertPage = self.read("/api/v1/alerts").await?;
        Ok(page.alerts)
    }

    /// Every build, over all pages, newest first.
    ///
    /// # Errors
    /// Without an answer, or with another status than 200.
    pub async fn builds(&self) -> Result<Vec<Build>, String> {
        let mut all = Vec::new();
        let mut path = "/api/v1/builds?limit=200".to_owned();
        loop {
            let page: protocol::page::BuildPage = self.read(&path).await?;
            all.extend(page.builds);
            match page.next {
                Some(next) => path = format!("/api/v1/builds?limit=200&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// One build.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn build(&self, id: &str) -> Result<Build, String> {
        self.read(&format!("/api/v1/builds/{id}")).await
    }

    /// One build as it is on the wire.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn raw_build(&self, id: &str) -> Result<Value, String> {
        self.read(&format!("/api/v1/builds/{id}")).await
    }

    /// One host.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn host(&self, name: &str) -> Result<Host, String> {
        self.read(&format!("/api/v1/hosts/{name}")).await
    }

    /// A page of the lines of a build's log; `query` is e.g. `?last=1` or empty.
    ///
    /// # Errors
    /// Without an answer, or with another status than 200.
    pub async fn log(&self, id: &str, query: &str) -> Result<protocol::LogPage, String> {
        self.read(&format!("/api/v1/builds/{id}/logs{query}")).await
    }

    /// All events of a build, oldest first.
    ///
    /// # Errors
    /// Without an answer.
    pub async fn events(&self, id: &str) -> Result<Vec<protocol::page::StoredEvent>, String> {
        let mut all = Vec::new();
        let mut path = format!("/api/v1/builds/{id}/events?limit=100");
        loop {
            let page: protocol::page::EventPage = self.read(&path).await?;
            all.extend(page.events);
            match page.next {
                Some(next) => path = format!("/api/v1/builds/{id}/events?limit=100&after={next}"),
                None => return Ok(all),
            }
        }
    }

    /// A sample of `/metrics` whose line begins with `start`, e.g. `phaseline_events_total`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn metric(&self, start: &str) -> Result<f64, String> {
        let answer = self.get("/metrics").await?;
        let line = answer.body.lines().find(|line| line.starts_with(start));
        let line = line.ok_or_else(|| format!("no {start} in\n{}", answer.body))?;
        let value = line.rsplit(' ').next().and_then(|text| text.parse().ok());
        value.ok_or_else(|| format!("no number in {line}"))
    }
}

/// Sends a request and reads its answer.
///
/// # Errors
/// When there is no HTTP answer.
pub async fn read(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|e| format!("{e:?}"))?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await.map_err(|e| format!("{e:?}"))?,
    })
}
