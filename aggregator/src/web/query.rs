//! Query strings, read strictly: a parameter that is unknown, doubled or out
//! of range is refused, as ignoring it would give a wrong answer. An empty
//! one is the same as none.

use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use protocol::Timestamp;

use super::error::ApiError;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query; `known` are the names that the route understands.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| bad("The query is not of the form name=value&name=value.".to_owned()))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let listed = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                return Err(ApiError::bad_request(
                    "unknown_parameter",
                    format!("{name:?} is not a parameter of this address, which knows: {listed}."),
                ));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(bad(format!("{name} is given twice.")));
            }
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let pair = self
            .0
            .iter()
            .find(|(key, value)| key == name && !value.is_empty());
        pair.map(|(_, value)| value.clone())
    }

    /// A number within its range.
    pub(crate) fn number<T>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, ApiError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(bad(format!(
                "{name} must be a whole number from {} to {}.",
                range.start(),
                range.end()
            ))),
        }
    }

    /// A point in time.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match Timestamp::read(&text) {
            Ok(at) => Ok(Some(at)),
            Err(_) => Err(bad(format!(
                "{name} must be an RFC 3339 time such as 2026-11-20T10:08:17.042Z."
            ))),
        }
    }

    /// `1` or `true`, `0` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.text(name).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(bad(format!("{name} must be 1 or 0."))),
        }
    }
}

fn bad(message: String) -> ApiError {
    ApiError::bad_request("bad_parameter", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Params, ApiError> {
        Params::read(
            &format!("/x?{query}").parse().unwrap(),
            &["limit", "q", "full"],
        )
    }

    #[test]
    fn values_are_decoded_and_empty_ones_are_none() {
        let params = read("q=a%20b%26&limit=").unwrap();
        assert_eq!(params.text("q").as_deref(), Some("a b&"));
        assert_eq!(params.number("limit", 1..=200_u32), Ok(None));
        assert_eq!(read("full=1").unwrap().flag("full"), Ok(true));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert_eq!(read("limits=3").unwrap_err().code, "unknown_parameter");
        assert_eq!(read("q=a&q=b").unwrap_err().code, "bad_parameter");
        assert_eq!(
            read("full=yes").unwrap().flag("full").unwrap_err().code,
            "bad_parameter"
        );
        for bad in ["0", "201", "abc", "-1", "1.5", "99999999999999999999"] {
            let params = read(&format!("limit={bad}")).unwrap();
            let error = params.number("limit", 1..=200_u32).unwrap_err();
            assert_eq!(
                error.message, "limit must be a whole number from 1 to 200.",
                "{bad}"
            );
        }
    }
}
