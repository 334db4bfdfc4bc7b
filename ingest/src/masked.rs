//! Texts of calls without secrets, whatever route they come by. What names a
//! build, a call or a session stays as it is, or nobody would find it again.

use protocol::json::Json;
use protocol::mask;

/// Members that name something. A directory may be called `sk-learn-experiments`.
const NAMES: [&str; 18] = [
    "adw_id",
    "agentId",
    "agent_id",
    "buildId",
    "commandId",
    "event_id",
    "issue_number",
    "messageId",
    "parent_agent_id",
    "parent_issue",
    "project",
    "projectId",
    "queue_id",
    "sessionId",
    "session_id",
    "source_app",
    "toolCallId",
    "workflow_id",
];

/// Masks every text in a call's document.
pub(crate) fn masked(value: Json) -> Json {
    inner(value, false)
}

fn inner(value: Json, is_secret: bool) -> Json {
    match value {
        Json::String(text) if is_secret && !text.trim().is_empty() => {
            Json::String(mask::MASKED.to_owned())
        }
        Json::String(text) => Json::String(mask::text(&text)),
        Json::Array(items) => {
            let items = items.into_iter().map(|item| inner(item, is_secret));
            Json::Array(items.collect())
        }
        Json::Object(members) => {
            let members = members.into_iter().map(|(key, value)| {
                let is_name = NAMES.contains(&key.as_str()) && matches!(value, Json::String(_));
                let value = match is_name {
                    true => value,
                    false => inner(value, is_secret || mask::is_secret(&key)),
                };
                (key, value)
            });
            Json::Object(members.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::canonical::write;

    fn told(text: &str) -> String {
        write(&masked(Json::parse(text.as_bytes()).unwrap()))
    }

    #[test]
    fn secrets_are_masked_at_any_depth_and_by_their_key_too() {
        for (text, expected) in [
            (
                r#"{"a":[{"b":"psql postgres://u:hunter2@db"}]}"#,
                r#"{"a":[{"b":"psql postgres://u:[masked]@db"}]}"#,
            ),
            (
                r#"{"env":{"DATABASE_URL":"hunter2","PORT":"80"},"tokens_used":5}"#,
                r#"{"env":{"DATABASE_URL":"[masked]","PORT":"80"},"tokens_used":5}"#,
            ),
            (
                r#"{"credentials":{"user":"u","more":["hunter2",7]},"password":""}"#,
                r#"{"credentials":{"more":["[masked]",7],"user":"[masked]"},"password":""}"#,
            ),
        ] {
            assert_eq!(told(text), expected);
        }
    }

    #[test]
    fn what_names_something_is_not_damaged() {
        let text = r#"{"adw_id":"3af4a34d","session_id":"sk-learn-experiments-2025-11"}"#;
        assert_eq!(told(text), text);
        let hidden = r#"{"session_id":{"password":"hunter2"}}"#;
        assert!(!told(hidden).contains("hunter2"));
    }
}
