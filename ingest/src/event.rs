//! A call as an event: what a file would have become. Its identity is given
//! by whoever keeps it.

use std::path::Path;

use protocol::event::EVENT_VERSION;
use protocol::text::{MAX_NAME, cut};
use protocol::{AgentId, Event, EventKind, ProjectToken, Timestamp};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::call::{Call, Place};
use crate::producers::claude_code;

/// Root of builds that are not known from files.
const ROOT: &str = "http";

impl Call {
    /// The event of this call, which came to a listener on `host` at `now`.
    /// Agent, boot and seq are still to be given.
    ///
    /// # Errors
    /// When the document is no JSON, which no reader of calls lets through.
    pub fn into_event(self, host: &str, now: Timestamp) -> Result<Event, serde_json::Error> {
        let (token, session) = match self.place {
            Place::Own(id) => (id, None),
            Place::Session(session) => {
                let root = match self.producer {
                    // Its transcript's own: whichever comes first, both are one build.
                    claude_code::PRODUCER => "",
                    _ => "http:",
                };
                let token = format!("{root}{}:{session}", self.producer);
                (token, Some(named(&session)))
            }
        };
        Ok(Event {
            v: EVENT_VERSION,
            agent: AgentId(0),
            boot: Uuid::nil(),
            seq: 0,
            host: self.host.unwrap_or_else(|| host.to_owned()),
            producer: self.producer.to_owned(),
            project_token: ProjectToken::of(Path::new(&token)),
            project: named(&self.project),
            root: ROOT.to_owned(),
            path: ".".to_owned(),
            file: self.file,
            session,
            near: None,
            kind: EventKind::Content,
            found: false,
            recreated: false,
            gap: false,
            changed_at: now,
            observed_at: now,
            hash: Some(self.document.hash),
            size: self.size,
            document: Some(RawValue::from_string(self.document.text)?),
            unreadable: None,
            git: None,
        })
    }
}

/// A name is never empty, holds no NUL and is cut as the fold cuts it, so that
/// a session is found again by the name that its build has.
fn named(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    if text.trim().is_empty() {
        return "(unnamed)".to_owned();
    }
    cut(&text, MAX_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_an_event_whatever_was_sent() {
        let session = "\0ä".repeat(4_000);
        let place = Place::Session(session);
        let call = Call::new("context-foundry", place, " ", "http/x", b"{}", &[]).unwrap();
        let event = call.into_event("h", Timestamp::from_millis(5)).unwrap();
        assert_eq!(event.project, "(unnamed)");
        let bytes = serde_json::to_vec(&event).unwrap();
        let read = Event::decode(&bytes).unwrap();
        assert_eq!(read.session.unwrap().chars().count(), MAX_NAME + 1);
    }
}
