//! A report for people: one line for each thing, whatever the file holds.

use std::fmt::Write as _;

use protocol::text::cut;
use serde_json::Value;

use super::Report;

/// Characters of a value that are shown.
const MAX_CHARS: usize = 100;

/// The report as lines.
pub(super) fn text(report: &Report) -> String {
    let mut out = format!("{}\n", shown(&report.file));
    let mut row = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<10} {}", shown(text));
    };
    if let (Some(producer), Some(pattern)) = (&report.producer, &report.pattern) {
        let format = report.format.unwrap_or_default();
        row(
            "producer",
            &format!("{producer}, by its place {pattern} ({format})"),
        );
    }
    if let (None, Some(pattern)) = (&report.producer, &report.pattern) {
        row("place", &format!("{pattern}, of any producer"));
    }
    if let Some(project) = &report.project {
        row("project", project);
    }
    if let Some(build) = &report.build {
        row("build", &format!("{build}, where N counts its runs"));
    }
    if report.log {
        let whose = match report.build {
            Some(_) => "the build",
            None => "the newest build of its project",
        };
        row(
            "log",
            &format!("its lines become the log of {whose}, secrets masked"),
        );
    }
    match (&report.state, &report.reason) {
        (Some(state), Some(reason)) => row("state", &format!("{state}: {reason}")),
        (None, Some(reason)) => row("state", &format!("not told by this file alone: {reason}")),
        _ => {}
    }
    for line in &report.fields {
        let _ = writeln!(
            out,
            "    {:<18} {:<40} {}",
            shown(&line.name),
            value(&line.value),
            shown(&line.at)
        );
    }
    if let Some(digest) = &report.digest {
        let _ = writeln!(out, "  told       {}", shown(&digest.to_string()));
    }
    if !report.kept.is_empty() {
        let _ = writeln!(out, "  kept raw   {}", shown(&report.kept.join(", ")));
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "warning: {}", shown(warning));
    }
    if report.warnings.is_empty() {
        out.push_str("nothing to warn about\n");
    }
    out
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => cut(&shown(text), MAX_CHARS),
        other => cut(&shown(&other.to_string()), MAX_CHARS),
    }
}

/// On one line, and without what a terminal would obey.
fn shown(text: &str) -> String {
    let plain = |c: char| {
        if c.is_control() || is_direction(c) {
            '\u{FFFD}'
        } else {
            c
        }
    };
    text.chars().map(plain).collect()
}

/// Characters that turn the direction of writing.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}
