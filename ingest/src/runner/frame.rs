//! What a frame of the runner says. Those about builds become what the HTTP
//! routes would have made of the same.

use serde_json::{Map, Value};

use crate::answer::Refused;
use crate::call::Call;
use crate::lines::Output;
use crate::producers::{Body, openbuilder};

/// Events in one `build-stream` frame; real ones have one.
const MAX_EVENTS: usize = 256;

/// What a frame says.
#[derive(Debug)]
pub(super) enum Said {
    /// Something of builds: what is to be kept, and how much of it says nothing.
    Builds { calls: Vec<Call>, ignored: usize },
    /// How the runner is.
    Runner {
        status: Option<String>,
        version: Option<String>,
        hostname: Option<String>,
    },
    /// What a program of a project printed.
    Output(Output),
    /// Of a kind that says nothing of a build, or is not known.
    Nothing,
}

/// Reads a frame.
pub(super) fn read(text: &str) -> Result<Said, Refused> {
    let body = Body::read(text.as_bytes())?;
    if let Some(output) = openbuilder::output(&body) {
        return Ok(Said::Output(output));
    }
    match body.required("type")?.as_str() {
        "build-stream" => stream(&body),
        "runner-status" => Ok(status(&body)),
        // The same events come to `/api/runner/events` too.
        _ => Ok(match openbuilder::runner_event(&body, "")?.call {
            Some(call) => Said::Builds {
                calls: vec![call],
                ignored: 0,
            },
            None => Said::Nothing,
        }),
    }
}

/// Lines of server-sent events, each with an event as `/api/build-events` takes it.
fn stream(body: &Body<'_>) -> Result<Said, Refused> {
    let data = body.required("data")?;
    let (mut calls, mut ignored) = (Vec::new(), 0);
    let lines = data.lines().filter_map(|line| line.strip_prefix("data:"));
    for line in lines.map(str::trim) {
        // The end of the stream is no JSON; the build's end is told by a frame of its own.
        if line.is_empty() || line == "[DONE]" {
            continue;
        }
        if calls.len() + ignored >= MAX_EVENTS {
            return Err(Refused::bad_body(format!(
                "A build-stream frame may have {MAX_EVENTS} events."
            )));
        }
        let event = Body::read(line.as_bytes())?.members;
        let mut members = body.members.clone();
        members.remove("data");
        members.insert("event".to_owned(), Value::Object(event));
        let told = Body {
            bytes: &[],
            members,
        };
        match openbuilder::build_event(&told, "")?.call {
            Some(call) => calls.push(call),
            None => ignored += 1,
        }
    }
    Ok(Said::Builds { calls, ignored })
}

fn status(body: &Body<'_>) -> Said {
    let empty = Map::new();
    let payload = match body.members.get("payload") {
        Some(Value::Object(payload)) => payload,
        _ => &empty,
    };
    let text = |key: &str| {
        let text = payload.get(key)?.as_str()?;
        Some(protocol::text::cut(text, protocol::calls::MAX_SAID))
    };
    Said::Runner {
        status: text("status"),
        version: text("version"),
        hostname: text("hostname"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn calls(frame: &Value) -> (Vec<Call>, usize) {
        match read(&frame.to_string()).unwrap() {
            Said::Builds { calls, ignored } => (calls, ignored),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_build_stream_frame_is_what_build_events_would_have_made_of_it() {
        let event = json!({"type":"tool-input-available","toolCallId":"t","toolName":"Read","input":{"file":"/etc/passwd"}});
        let frame = json!({"type":"build-stream","projectId":"p","commandId":"c","timestamp":"x",
                           "data": format!("data: {event}\n\n")});
        let posted = json!({"projectId":"p","commandId":"c","event":event});
        let bytes = posted.to_string();
        let body = Body::read(bytes.as_bytes()).unwrap();
        let by_http = openbuilder::build_event(&body, "").unwrap().call;
        assert_eq!(calls(&frame), (by_http.into_iter().collect(), 0));
    }

    #[test]
    fn done_is_no_json_and_texts_are_not_kept() {
        let frame = json!({"type":"build-stream","projectId":"p","data":
            "data: {\"type\":\"start\",\"messageId\":\"m\"}\n\ndata: {\"type\":\"text-delta\",\"delta\":\"secret\"}\n\ndata: [DONE]\n\n"});
        let (calls, ignored) = calls(&frame);
        assert_eq!((calls.len(), ignored), (1, 1));
        assert!(!calls[0].document.text.contains("secret"));
    }

    #[test]
    fn frames_of_the_other_25_kinds_say_nothing() {
        for kind in ["ack", "port-detected", "tunnel-created", "pong"] {
            let frame = json!({"type":kind,"projectId":"p","data":"DATABASE_URL=x"});
            assert!(
                matches!(read(&frame.to_string()), Ok(Said::Nothing)),
                "{kind}"
            );
        }
    }

    #[test]
    fn output_is_of_a_project_and_known_again_by_its_cursor() {
        let chunk = |frame: Value| match read(&frame.to_string()) {
            Ok(Said::Output(Output::Chunk(chunk))) => Some(chunk),
            _ => None,
        };
        let frame =
            json!({"type":"log-chunk","projectId":"p","stream":"stderr","data":"a\n","cursor":"c"});
        let first = chunk(frame.clone()).unwrap();
        assert_eq!((first.file, first.text.as_str()), ("http/stderr", "a\n"));
        assert_eq!(chunk(frame.clone()).unwrap(), first);
        for (key, other) in [
            ("cursor", json!(7)),
            ("commandId", json!("d")),
            ("data", json!("b")),
        ] {
            let mut frame = frame.clone();
            frame[key] = other;
            assert_ne!(chunk(frame).unwrap().identity, first.identity, "{key}");
        }
        for (key, wrong) in [("projectId", Value::Null), ("data", json!({"x":1}))] {
            let mut frame = frame.clone();
            frame[key] = wrong;
            assert_eq!(chunk(frame), None, "{key}");
        }
        let nameless = json!({"type":"log-chunk","projectId":"p","data":"a"});
        assert_eq!(chunk(nameless).unwrap().identity, None);
        let end = json!({"type":"process-exited","projectId":"p","exitCode":1});
        assert!(matches!(
            read(&end.to_string()),
            Ok(Said::Output(Output::Ended { .. }))
        ));
    }

    #[test]
    fn frames_that_cannot_be_meant_are_refused_with_a_reason() {
        for frame in [
            "nonsense",
            "[]",
            "{}",
            "{\"type\":\"build-stream\",\"projectId\":\"p\"}",
            "{\"type\":\"build-stream\",\"projectId\":\"p\",\"data\":\"data: {half\"}",
            "{\"type\":\"build-stream\",\"data\":\"data: {\\\"type\\\":\\\"start\\\"}\"}",
        ] {
            assert!(read(frame).is_err(), "{frame}");
        }
    }

    #[test]
    fn a_runner_status_is_no_build() {
        let frame = json!({"type":"runner-status","payload":{"status":"idle","version":7,"hostname":"mac"}});
        let said = read(&frame.to_string()).unwrap();
        let Said::Runner {
            status,
            version,
            hostname,
        } = said
        else {
            panic!("{said:?}")
        };
        assert_eq!(status.as_deref(), Some("idle"));
        assert_eq!((version, hostname.as_deref()), (None, Some("mac")));
    }
}
