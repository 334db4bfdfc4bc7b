//! Which builds a listing shows, checked: a value that cannot be meant is
//! refused with a sentence that names the parameter and what was expected.

use protocol::page::BuildFilter;
use protocol::{Build, BuildState, Money, Timestamp};

use super::ReadError;

/// Builds per page unless told.
const DEFAULT_BUILDS: u32 = 50;
/// Most builds per page.
pub(crate) const MAX_BUILDS: u32 = 200;
/// Longest text to look for, characters: longer than any name on a page.
const MAX_QUERY_CHARS: usize = 200;

/// A filter that can be asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) host: Option<String>,
    pub(crate) producer: Option<String>,
    pub(crate) limit: u32,
    /// opened_seq of the last build of the page before.
    pub(crate) before: Option<i64>,
    /// As they were then.
    pub(crate) at: Option<Timestamp>,
    pub(crate) moving: Moving,
}

/// The part of a filter whose answer may change while a build lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moving {
    pub(crate) state: Option<BuildState>,
    pub(crate) project: Option<String>,
    pub(crate) branch: Option<String>,
    /// Text to look for, as written.
    pub(crate) text: Option<String>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) cost_min: Option<Money>,
    pub(crate) cost_max: Option<Money>,
}

fn bad<T>(text: &str) -> Result<T, ReadError> {
    Err(ReadError::BadFilter(text.to_owned()))
}

impl Filter {
    /// Reads a filter as it was sent.
    ///
    /// # Errors
    /// The first part that cannot be meant.
    pub(crate) fn check(filter: &BuildFilter) -> Result<Self, ReadError> {
        let limit = limit(filter.limit, DEFAULT_BUILDS, MAX_BUILDS)?;
        let before = match filter.cursor.as_deref().map(str::parse::<i64>) {
            None => None,
            Some(Ok(seq)) => Some(seq),
            Some(Err(_)) => return bad("cursor must be the next of an earlier answer"),
        };
        storable([
            &filter.host,
            &filter.producer,
            &filter.project,
            &filter.branch,
            &filter.q,
        ])?;
        Ok(Self {
            host: filter.host.clone(),
            producer: filter.producer.clone(),
            limit,
            before,
            at: time("at", filter.at.as_deref())?,
            moving: Moving::check(filter)?,
        })
    }
}

impl Moving {
    fn check(filter: &BuildFilter) -> Result<Self, ReadError> {
        let state = filter.state.as_deref().map(BuildState::from_word);
        if state == Some(None) {
            let words = BuildState::ALL.map(BuildState::word).join(", ");
            return bad(&format!("state must be one of {words}"));
        }
        let text = filter.q.as_deref().map(str::trim);
        let text = text.filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.chars().count() > MAX_QUERY_CHARS) {
            return bad("q must not exceed 200 characters");
        }
        let (from, to) = span(filter.from.as_deref(), filter.to.as_deref())?;
        let cost_min = money("cost_min", filter.cost_min.as_deref())?;
        let cost_max = money("cost_max", filter.cost_max.as_deref())?;
        if let (Some(min), Some(max)) = (cost_min, cost_max)
            && min > max
        {
            return bad("cost_max must not be less than cost_min");
        }
        Ok(Self {
            state: state.flatten(),
            project: filter.project.clone(),
            branch: filter.branch.clone(),
            text: text.map(str::to_owned),
            from,
            to,
            cost_min,
            cost_max,
        })
    }

    /// Whether a build that was folded is one of them; as the statement compares rows.
    pub(crate) fn shows(&self, build: &Build) -> bool {
        let is = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| have == Some(wanted))
        };
        let began = |limit: Option<Timestamp>, fits: fn(Timestamp, Timestamp) -> bool| {
            limit.is_none_or(|limit| build.started_at.is_some_and(|at| fits(at, limit)))
        };
        let costs = |limit: Option<Money>, fits: fn(Money, Money) -> bool| {
            limit.is_none_or(|limit| build.cost_usd.is_some_and(|usd| fits(usd, limit)))
        };
        build.same_as.is_none()
            && self.state.is_none_or(|state| state == build.state)
            && is(&self.project, Some(&build.project))
            && is(&self.branch, build.branch.as_deref())
            && began(self.from, |at, from| at >= from)
            && began(self.to, |at, to| at < to)
            && costs(self.cost_min, |usd, min| usd >= min)
            && costs(self.cost_max, |usd, max| usd <= max)
            && self.text.as_deref().is_none_or(|text| says(build, text))
    }
}

/// Whether the text is anywhere in what is searched, in any case.
fn says(build: &Build, text: &str) -> bool {
    let text = text.to_lowercase();
    let texts = [
        Some(build.id.as_str()),
        Some(build.project.as_str()),
        Some(build.path.as_str()),
        build.session_id.as_deref(),
        build.branch.as_deref(),
        build.detail.as_deref(),
    ];
    let mut known = texts.into_iter().flatten();
    known.any(|known| known.to_lowercase().contains(&text))
}

/// How many rows a page may have.
pub(super) fn limit(asked: Option<u32>, unless_told: u32, most: u32) -> Result<u32, ReadError> {
    let limit = asked.unwrap_or(unless_told);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    bad(&format!("limit must be a number from 1 to {most}"))
}

/// Postgres' texts hold no NUL.
pub(super) fn storable<const N: usize>(texts: [&Option<String>; N]) -> Result<(), ReadError> {
    match texts.into_iter().flatten().any(|text| text.contains('\0')) {
        true => bad("a filter must not hold a NUL character"),
        false => Ok(()),
    }
}

/// From when until when, if either is told.
pub(super) fn span(
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ReadError> {
    match (time("from", from)?, time("to", to)?) {
        (Some(from), Some(to)) if from >= to => bad("to must be later than from"),
        span => Ok(span),
    }
}

/// A time of a filter.
fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ReadError> {
    let read = text.map(Timestamp::read).transpose();
    read.map_err(|_| {
        ReadError::BadFilter(format!(
            "{name} must be an RFC 3339 time such as 2026-11-20T10:08:17.042Z, or a UTC date such as 2026-11-20"
        ))
    })
}

fn money(name: &str, text: Option<&str>) -> Result<Option<Money>, ReadError> {
    let read = text.map(|text| text.trim().parse()).transpose();
    read.map_err(|_| {
        ReadError::BadFilter(format!(
            "{name} must be an amount of US dollars such as 2.50"
        ))
    })
}

/// The text anywhere; `%`, `_` and `\` mean themselves.
pub(super) fn like_pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(set: impl FnOnce(&mut BuildFilter)) -> BuildFilter {
        let mut filter = BuildFilter::default();
        set(&mut filter);
        filter
    }

    #[test]
    fn a_query_is_looked_for_as_written() {
        assert_eq!(like_pattern(r"50%_\x"), r"%50\%\_\\x%");
    }

    #[test]
    fn a_bad_filter_is_refused_with_a_sentence_that_names_the_parameter() {
        assert!(Filter::check(&BuildFilter::default()).is_ok());
        let some = |text: &str| Some(text.to_owned());
        for (bad, told) in [
            (
                filter(|f| f.state = some("done")),
                "state must be one of queued",
            ),
            (
                filter(|f| f.limit = Some(0)),
                "limit must be a number from 1 to 200",
            ),
            (filter(|f| f.cursor = some("x")), "cursor must be"),
            (filter(|f| f.q = some("a\0")), "NUL"),
            (filter(|f| f.branch = some("a\0")), "NUL"),
            (
                filter(|f| f.at = some("noon")),
                "at must be an RFC 3339 time",
            ),
            (
                filter(|f| f.from = some("noon")),
                "from must be an RFC 3339 time",
            ),
            (
                filter(|f| f.to = some("2026-02-30")),
                "to must be an RFC 3339 time",
            ),
            (
                filter(|f| f.cost_min = some("cheap")),
                "cost_min must be an amount",
            ),
            (
                filter(|f| f.cost_max = some("-1")),
                "cost_max must be an amount",
            ),
            (
                filter(|f| {
                    f.from = some("2026-11-21");
                    f.to = some("2026-11-21");
                }),
                "to must be later than from",
            ),
            (
                filter(|f| {
                    f.cost_min = some("2");
                    f.cost_max = some("1.99");
                }),
                "cost_max must not be less",
            ),
        ] {
            let refusal = Filter::check(&bad).err().unwrap().to_string();
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}
