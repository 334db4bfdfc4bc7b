//! The routes of producers that send, as they describe themselves.

use ingest::{Described, MAX_BODY, Member, PARAMETERS};
use serde_json::{Map, Value, json};

const TAG: &str = "producers";
/// The token of `PHASELINE_INGEST_TOKEN_FILE`.
const TOKEN: &str = "producer_token";
const REFUSED: &str = "RefusedCall";

/// Why a call is refused, and with which status; the body says which.
const REFUSALS: [(u16, &str); 8] = [
    (
        400,
        "A required member is missing, or the header `Phaseline-Host` is, or names no host",
    ),
    (401, "The bearer token is missing or another one"),
    (
        403,
        "The call comes from another machine and no token is configured, or from a page in a browser",
    ),
    (408, "The body did not come within 10 s"),
    (413, "The body is larger than 1 MiB"),
    (415, "The Content-Type is not JSON"),
    (422, "The body is no JSON object, or cannot be meant"),
    (503, "It cannot be kept now: send it again"),
];
/// Those of routes that read no body.
const WITHOUT_BODY: [u16; 3] = [400, 401, 403];
const _: () = assert!(MAX_BODY == 1024 * 1024, "the description names the limit");

/// Adds them to a description.
pub(super) fn add(document: &mut Value) {
    for route in ingest::described() {
        document["paths"][route.path][route.method] = operation(route);
    }
    document["components"]["schemas"][REFUSED] = refused();
    document["components"]["securitySchemes"][TOKEN] = json!({
        "type": "http", "scheme": "bearer",
        "description": "The token of PHASELINE_INGEST_TOKEN_FILE. Without one, calls are taken from this machine only.",
    });
    if let Value::Array(tags) = &mut document["tags"] {
        tags.push(json!({ "name": TAG, "description": "Calls of producers that send, as they send them" }));
    }
}

fn operation(route: &Described) -> Value {
    let mut operation = json!({
        "tags": [TAG],
        "operationId": operation_id(route),
        "summary": route.about,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if !route.example.is_empty() {
        operation["requestBody"] = json!({
            "required": true,
            "description": "At most 1 MiB. Members that are not named here may be there, too.",
            "content": { "application/json": {
                "schema": schema(route.members), "example": read(route.example),
            } },
        });
    }
    // One of them: whichever is configured.
    operation["security"] = json!([{ TOKEN: [] }, {}]);
    operation
}

fn operation_id(route: &Described) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}_{}", route.method, words.join("_"))
}

fn parameters(route: &Described) -> Vec<Value> {
    let in_path = PARAMETERS
        .iter()
        .filter(|(name, _)| route.path.contains(&format!("{{{name}}}")))
        .map(|(name, about)| {
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
        });
    let host = json!({
        "name": "Phaseline-Host", "in": "header", "required": false, "schema": { "type": "string" },
        "description": "The caller's host; required from another machine",
    });
    in_path.chain([host]).collect()
}

fn is_websocket(route: &Described) -> bool {
    route.path.starts_with("/ws/")
}

fn responses(route: &Described) -> Value {
    if is_websocket(route) {
        return json!({
            "101": { "description": "The connection is a WebSocket" },
            "403": answer("A page in a browser asks", None),
            "426": answer("No WebSocket request", None),
            "503": answer("Too many runners are connected", None),
        });
    }
    let has_body = !route.example.is_empty();
    let kept = match has_body {
        false => "The answer",
        true => "What it says is safe, or it says nothing of a build",
    };
    let (status, good) = match route.answer {
        "" => ("204", json!({ "description": "There was none" })),
        example => ("200", answer(kept, Some(read(example)))),
    };
    let mut responses = Map::from_iter([(status.to_owned(), good)]);
    for (status, why) in REFUSALS {
        if has_body || WITHOUT_BODY.contains(&status) {
            responses.insert(status.to_string(), answer(why, None));
        }
    }
    Value::Object(responses)
}

/// With an example of success, or the body of a refusal.
fn answer(description: &str, example: Option<Value>) -> Value {
    let content = match example {
        Some(example) => json!({ "schema": { "type": "object" }, "example": example }),
        None => json!({ "schema": { "$ref": format!("#/components/schemas/{REFUSED}") } }),
    };
    json!({ "description": description, "content": { "application/json": content } })
}

fn schema(members: &[Member]) -> Value {
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| {
            (
                member.name.to_owned(),
                json!({ "description": member.about }),
            )
        })
        .collect();
    let required: Vec<&str> = members
        .iter()
        .filter(|member| member.is_required)
        .map(|member| member.name)
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn refused() -> Value {
    json!({
        "type": "object",
        "required": ["error", "detail"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": { "type": "string", "description": "For programs; stays the same", "example": "missing_key" },
                    "message": { "type": "string", "description": "For people" },
                },
            },
            "detail": { "type": "string", "description": "The message again, where producers look for it" },
        },
    })
}

/// An example; a test reads each.
fn read(example: &str) -> Value {
    serde_json::from_str(example).unwrap_or_default()
}
