//! `[[budget]]` tables: what a project is meant to spend. There is no default,
//! and no flag: a table is for a file.

use protocol::Money;
use serde::Deserialize;

use crate::budgets::{Budget, Per};

/// Budgets that can be set: each is looked at whenever a cost changes.
const MAX_BUDGETS: usize = 100;
/// Longest name of a project, characters: as long as the fold keeps.
const MAX_PROJECT_CHARS: usize = 512;

/// What a table is meant to look like; completes "expected ...".
pub(super) const EXPECTED: &str =
    "[[budget]] with project = \"name\", usd = \"25.00\" and per = \"day\", \"month\" or \"build\"";

/// A table as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetTable {
    project: String,
    usd: toml::Value,
    per: String,
}

/// Reads the tables.
///
/// # Errors
/// The first that cannot be used: which, and why.
pub(super) fn check(tables: &[BudgetTable]) -> Result<Vec<Budget>, String> {
    if tables.len() > MAX_BUDGETS {
        return Err(format!("there are more than {MAX_BUDGETS} budgets"));
    }
    let read = |(index, table): (usize, &BudgetTable)| {
        one(table).map_err(|problem| format!("budget {}: {problem}", index + 1))
    };
    tables.iter().enumerate().map(read).collect()
}

fn one(table: &BudgetTable) -> Result<Budget, String> {
    let project = table.project.trim();
    let fits = (1..=MAX_PROJECT_CHARS).contains(&project.chars().count())
        && !project.chars().any(char::is_control);
    if !fits {
        return Err(format!("project {:?} is no name of one", table.project));
    }
    let per = match table.per.as_str() {
        "day" => Per::Day,
        "month" => Per::Month,
        "build" => Per::Build,
        other => return Err(format!("per {other:?} cannot be used")),
    };
    // A float would not be the amount that was written.
    let usd = match &table.usd {
        toml::Value::String(text) => text.trim().parse::<Money>().ok(),
        toml::Value::Integer(whole) => whole.to_string().parse().ok(),
        _ => None,
    };
    match usd {
        Some(usd) if usd > Money::ZERO => Ok(Budget {
            project: project.to_owned(),
            usd,
            per,
        }),
        _ => Err(format!("usd {} cannot be used", table.usd)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        budget: Vec<BudgetTable>,
    }

    fn read(text: &str) -> Result<Vec<Budget>, String> {
        check(&toml::from_str::<File>(text).unwrap().budget)
    }

    #[test]
    fn a_budget_is_a_project_an_amount_and_a_span() {
        let text = "[[budget]]\nproject = \"shop\"\nusd = \"25.10\"\nper = \"day\"\n\
                    [[budget]]\nproject = \"docs\"\nusd = 3\nper = \"build\"\n";
        let budgets = read(text).unwrap();
        assert_eq!(budgets.len(), 2);
        assert_eq!(
            (budgets[0].usd.to_string().as_str(), budgets[0].per),
            ("25.1", Per::Day)
        );
        assert_eq!(
            (budgets[1].project.as_str(), budgets[1].per),
            ("docs", Per::Build)
        );
    }

    #[test]
    fn a_budget_that_cannot_be_meant_is_named() {
        for (line, told) in [
            (
                "project = \"\"\nusd = \"1\"\nper = \"day\"",
                "budget 1: project",
            ),
            (
                "project = \"a\"\nusd = \"1\"\nper = \"week\"",
                "per \"week\"",
            ),
            ("project = \"a\"\nusd = \"0\"\nper = \"day\"", "usd \"0\""),
            ("project = \"a\"\nusd = \"-1\"\nper = \"day\"", "usd \"-1\""),
            ("project = \"a\"\nusd = 2.5\nper = \"day\"", "usd 2.5"),
            (
                "project = \"a\"\nusd = \"lots\"\nper = \"day\"",
                "usd \"lots\"",
            ),
        ] {
            let refusal = read(&format!("[[budget]]\n{line}\n")).unwrap_err();
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}
