//! In which of its two formats `/metrics` answers: Prometheus text to anyone,
//! OpenMetrics to those who ask for it, as Prometheus itself does.

use std::collections::HashSet;

use axum::http::{HeaderMap, header};

/// Prometheus' text format.
pub(super) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The format that grew out of it.
pub(super) const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the request would rather have OpenMetrics: it names it, and text no sooner.
pub(super) fn wants_open(headers: &HeaderMap) -> bool {
    let open = weight(headers, "application/openmetrics-text");
    open > 0.0 && open >= weight(headers, "text/plain")
}

/// The greatest `q` that `Accept` gives to this very type; 0 where it does not name it.
fn weight(headers: &HeaderMap, kind: &str) -> f32 {
    let accept = headers.get_all(header::ACCEPT).iter();
    let ranges = accept.filter_map(|value| value.to_str().ok());
    let weights = ranges.flat_map(|value| value.split(',')).map(|range| {
        let mut parts = range.split(';').map(str::trim);
        if !parts
            .next()
            .is_some_and(|named| named.eq_ignore_ascii_case(kind))
        {
            return 0.0;
        }
        let q = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        q.map_or(1.0, |q| q.parse().unwrap_or(0.0))
    });
    weights.fold(0.0, f32::max)
}

/// The same figures as Prometheus text, where a counter's name is that of its
/// sample and there are neither units nor an end mark.
pub(super) fn plain(open: &str) -> String {
    let counters: HashSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let of_counter = ["# HELP ", "# TYPE "].into_iter().find_map(|mark| {
            let (name, rest) = line.strip_prefix(mark)?.split_once(' ')?;
            counters.contains(name).then_some((mark, name, rest))
        });
        match of_counter {
            Some((mark, name, rest)) => {
                text.extend([mark, name, "_total ", rest]);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        wants_open(&headers)
    }

    #[test]
    fn open_metrics_is_for_those_who_name_it_no_later_than_text() {
        // As Prometheus 2 and 3 ask.
        assert!(asks(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        ));
        assert!(asks("Application/OpenMetrics-Text; version=1.0.0"));
        // One that was told to have text first.
        assert!(!asks(
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"
        ));
        for other in [
            "*/*",
            "text/html,*/*;q=0.8",
            "application/json",
            "",
            "application/openmetrics-text;q=0",
        ] {
            assert!(!asks(other), "{other}");
        }
        assert!(!wants_open(&HeaderMap::new()));
    }

    #[test]
    fn a_counter_is_called_in_text_as_its_samples_are() {
        let open = "# HELP a_changes Changes counter.\n# TYPE a_changes counter\na_changes_total{kind=\"x\"} 2\n\
                    # HELP a_commit_seconds How long.\n# TYPE a_commit_seconds histogram\n# UNIT a_commit_seconds seconds\n\
                    a_commit_seconds_sum 0.5\na_commit_seconds_count 1\na_commit_seconds_bucket{le=\"+Inf\"} 1\n\
                    # HELP a_leader 1 while it leads.\n# TYPE a_leader gauge\na_leader 1\n# EOF\n";
        let text = "# HELP a_changes_total Changes counter.\n# TYPE a_changes_total counter\na_changes_total{kind=\"x\"} 2\n\
                    # HELP a_commit_seconds How long.\n# TYPE a_commit_seconds histogram\n\
                    a_commit_seconds_sum 0.5\na_commit_seconds_count 1\na_commit_seconds_bucket{le=\"+Inf\"} 1\n\
                    # HELP a_leader 1 while it leads.\n# TYPE a_leader gauge\na_leader 1\n";
        assert_eq!(plain(open), text);
    }
}
