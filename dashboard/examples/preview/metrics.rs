//! Enhanced metrics as Context Foundry's builds have them, for some of the made-up ones.

use serde_json::{Map, Value, json};

/// What the build of this number has in place of what all have.
pub(crate) fn metrics(i: usize) -> Map<String, Value> {
    let whole = match i {
        0 => json!({
            "context": {"used": 168_000, "limit": 200_000}, "todos": null,
            "agents": [
                {"id": "scout-1", "name": "scout", "state": "completed", "success": true, "phase": "Scout", "duration_ms": 312_000, "issues_found": 2, "issues_fixed": 0},
                {"id": "builder-1", "name": "builder", "state": "active", "phase": "Builder", "issues_found": 3, "issues_fixed": 2, "tokens_used": 152_000},
                {"id": "builder-2", "type": "Builder", "state": "failed", "phase": "Builder", "duration_ms": 65_000, "error": "the port 5432 is in use"}],
            "tests": {"passed": null, "iterations": 3, "runs": [
                {"number": 1, "passed": 41, "failed": 9, "skipped": 2, "total": 52, "success": false, "file": "a"},
                {"number": 2, "passed": 50, "failed": 2, "success": false, "file": "b"},
                {"number": 3, "passed": null, "failed": null, "success": null, "file": "c"}]},
            "decisions": {"total": 3, "average_quality": 4.5, "lessons_used": 1, "list": [
                {"kind": "architecture", "phase": "Architect", "text": "Keep idempotency keys in the same transaction as the order, so that neither is ever there alone", "quality": 5, "lessons_used": true},
                {"kind": "issue resolution", "phase": "Test", "text": "The parser took an empty list for none", "quality": null, "lessons_used": false, "severity": "HIGH"},
                {"kind": "pattern", "phase": "Testing", "text": "A small HTTP script shows more than the unit tests", "worked": true}]},
            "tasks": {"parallel": true, "total": 4, "completed": 2, "left_out": 0, "list": [
                {"id": "task-1", "text": "Types and errors of the checkout", "state": "completed", "level": 0, "dependencies": [], "files": 3, "estimate": "2 minutes"},
                {"id": "task-2", "text": "Idempotency keys: table, migration, expiry", "state": "completed", "level": 0, "dependencies": [], "files": 1, "estimate": "5 minutes"},
                {"id": "task-3", "text": "The endpoint itself", "state": "failed", "level": 1, "dependencies": ["task-1", "task-2"], "files": 2, "error_bytes": 1843},
                {"id": "task-4", "text": "Documentation", "state": "pending", "level": 2, "dependencies": ["task-3"], "files": 12}]}
        }),
        1 => {
            json!({"origin": "checkpoint", "context": {"used": 120_000, "limit": 200_000}, "agents": null, "todos": null})
        }
        8 => json!({"origin": "http", "tests": null}),
        _ => json!({}),
    };
    match whole {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
