//! What a call says, before it is an event.

use protocol::Document;
use protocol::json::{Json, JsonError};

use crate::masked::masked;

/// Which build a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It names a session of its producer: the newest active build with it, on that host, or a new one.
    Session(String),
    /// It names the build by an id that the producer made, e.g. `adw:3af4a34d`.
    Own(String),
}

/// One call of a producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The host it named; none when it named none, which is that of the listener.
    pub host: Option<String>,
    /// As in `Event::producer`.
    pub producer: &'static str,
    /// Which build.
    pub place: Place,
    /// What the build is called where nothing better is known.
    pub project: String,
    /// The file whose content it carries, or `http/<name>` for what is in no file.
    pub file: String,
    /// What is kept of its body, its secrets masked.
    pub document: Document,
    /// Size of the body, bytes.
    pub size: u64,
}

impl Call {
    /// A call with this body, whose secrets are masked; `volatile` as in [`Document::parse`].
    ///
    /// # Errors
    /// When the body is no JSON within the limits.
    pub(crate) fn new(
        producer: &'static str,
        place: Place,
        project: &str,
        file: &str,
        body: &[u8],
        volatile: &[&str],
    ) -> Result<Self, JsonError> {
        Ok(Self {
            host: None,
            producer,
            place,
            project: project.to_owned(),
            file: file.to_owned(),
            document: Document::of(masked(Json::parse(body)?), volatile),
            size: body.len() as u64,
        })
    }
}
