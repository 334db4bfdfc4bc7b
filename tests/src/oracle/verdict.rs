//! Joins the truth log with what Postgres keeps and with what browsers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use tokio_postgres::Client;

use super::truth::{Away, Files, TruthLog, Written};
use crate::db::told;
use crate::follower::Follower;
use crate::postgres::Database;

/// Faults of each kind that are printed.
const PRINTED: usize = 8;

/// Of the contents that a test writes at a rate this share must have been promised, percent. Without
/// kills and on an idle machine it is about half: files are rewritten in random order.
const LEAST_PROMISED: usize = 10;

/// A row of a content, in the order of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRow {
    /// Order of commits.
    pub id: i64,
    /// Project token.
    pub project: String,
    /// The `count` of its document.
    pub n: u64,
    /// Content hash.
    pub hash: String,
}

/// The numbers that one browser showed for each project, in order.
pub type Shown = BTreeMap<String, Vec<u64>>;

/// What is wrong, and how much was looked at.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Contents that were written.
    pub written: usize,
    /// Those that must be kept by the word of the promise.
    pub promised: usize,
    /// Rows in Postgres.
    pub rows: usize,
    /// Browsers that recorded.
    pub browsers: usize,
    /// Contents that are absent although they must be there.
    pub lost: Vec<String>,
    /// Projects with contents that have no row, whether that was allowed or not.
    pub unkept: BTreeSet<String>,
    /// Two rows for one written change.
    pub duplicate: Vec<String>,
    /// Committed or shown before something older.
    pub out_of_order: Vec<String>,
    /// Never written, or shown and never committed.
    pub invented: Vec<String>,
    /// How often the machine was too busy for anybody to run, and how long in all.
    pub stalls: (usize, Duration),
    /// From the return of a part until everything written before was committed.
    pub converged: Vec<Duration>,
}

impl Verdict {
    /// Joins the three.
    #[must_use]
    pub fn judge(files: &Files, away: &[Away], rows: &[ContentRow], browsers: &[Shown]) -> Self {
        let mut verdict = Self {
            written: files.values().map(Vec::len).sum(),
            rows: rows.len(),
            browsers: browsers.len(),
            ..Self::default()
        };
        let kept = verdict.rows_are_written_once_in_order(files, rows);
        for (project, file) in files {
            let is_kept = |written: &Written| kept.contains_key(&(project.as_str(), written.n));
            if !file.iter().all(is_kept) {
                verdict.unkept.insert(project.clone());
            }
            for written in file {
                if !written.must_be_kept(away) {
                    continue;
                }
                verdict.promised += 1;
                if !is_kept(written) {
                    let last = file.last().is_some_and(|last| last.n == written.n);
                    let what = if last { "the last content, " } else { "" };
                    let stood = written.replaced_at.map(|at| at - written.at);
                    let n = written.n;
                    let text = format!("{project}: {what}{n}, which stood for {stood:?}");
                    verdict.lost.push(text);
                }
            }
        }
        for (number, shown) in browsers.iter().enumerate() {
            verdict.browser(number, files, &kept, shown);
        }
        verdict
    }

    fn rows_are_written_once_in_order<'a>(
        &mut self,
        files: &Files,
        rows: &'a [ContentRow],
    ) -> HashMap<(&'a str, u64), i64> {
        let wrote: HashMap<(&str, u64), &str> = files
            .iter()
            .flat_map(|(project, file)| file.iter().map(move |w| (project, w)))
            .map(|(project, w)| ((project.as_str(), w.n), w.hash.as_str()))
            .collect();
        let mut kept = HashMap::new();
        let mut newest: HashMap<&str, u64> = HashMap::new();
        for row in rows {
            let (project, n, id) = (row.project.as_str(), row.n, row.id);
            if wrote.get(&(project, n)) != Some(&row.hash.as_str()) {
                self.invented
                    .push(format!("{project}: row {id} with {n} was never written"));
            }
            if let Some(first) = kept.insert((project, n), id) {
                self.duplicate
                    .push(format!("{project}: rows {first} and {id} are both {n}"));
                continue;
            }
            let newest = newest.entry(project).or_default();
            if n < *newest {
                self.out_of_order
                    .push(format!("{project}: row {id} has {n} after {newest}"));
            }
            *newest = n.max(*newest);
        }
        kept
    }

    fn browser(
        &mut self,
        number: usize,
        files: &Files,
        kept: &HashMap<(&str, u64), i64>,
        shown: &Shown,
    ) {
        for (project, file) in files {
            let none = Vec::new();
            let shown = shown.get(project).unwrap_or(&none);
            for pair in shown.windows(2).filter(|pair| pair[1] < pair[0]) {
                let (before, after) = (pair[0], pair[1]);
                let text = format!("{project}: browser {number} showed {after} after {before}");
                self.out_of_order.push(text);
            }
            for n in shown {
                if !kept.contains_key(&(project.as_str(), *n)) {
                    let text = format!("{project}: browser {number} showed {n}: not committed");
                    self.invented.push(text);
                }
            }
            let last = file.last().map(|last| last.n);
            if shown.last().copied() != last {
                let text = format!(
                    "{project}: browser {number} shows {:?} at the end and not {last:?}",
                    shown.last()
                );
                self.lost.push(text);
            }
        }
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn is_faultless(&self) -> bool {
        [
            &self.lost,
            &self.duplicate,
            &self.out_of_order,
            &self.invented,
        ]
        .iter()
        .all(|faults| faults.is_empty())
    }

    /// Prints the line of figures, and demands that nothing is wrong.
    ///
    /// # Panics
    /// When something is.
    pub fn assert_faultless(&self, test: &str) {
        eprintln!("{test}: {self}");
        assert!(self.is_faultless(), "{test}: {self}");
    }

    /// The same for what was written at a rate, and demands that enough of it was promised: where
    /// the agent was away or the machine too busy nearly all the time, nothing was shown.
    ///
    /// # Panics
    /// When something is wrong, or too little was promised.
    pub fn assert_faultless_at_a_rate(&self, test: &str) {
        self.assert_faultless(test);
        assert!(
            self.promised * 100 >= self.written * LEAST_PROMISED,
            "{test} shows nothing: of {} contents only {} were promised, and at least {LEAST_PROMISED} % must be; \
             is the machine too busy? {self}",
            self.written,
            self.promised
        );
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.converged.iter().max().map(Duration::as_secs_f64);
        let slowest = slowest.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        write!(
            f,
            "lost {} / duplicate {} / out of order {} / seconds to converge {slowest} \
             ({} written, {} promised, {} rows, {} browsers; machine too busy {} times, {:.1} s)",
            self.lost.len(),
            self.duplicate.len(),
            self.out_of_order.len(),
            self.written,
            self.promised,
            self.rows,
            self.browsers,
            self.stalls.0,
            self.stalls.1.as_secs_f64(),
        )?;
        for (kind, faults) in [
            ("lost", &self.lost),
            ("duplicate", &self.duplicate),
            ("out of order", &self.out_of_order),
            ("invented", &self.invented),
        ] {
            for fault in faults.iter().take(PRINTED) {
                write!(f, "\n  {kind}: {fault}")?;
            }
        }
        Ok(())
    }
}

impl Database {
    /// All rows of contents with a `count`, in the order of commits, without the documents.
    ///
    /// # Errors
    /// When Postgres or the table is not there.
    pub async fn content_rows(&self) -> Result<Vec<ContentRow>, String> {
        let client = self.connect().await.map_err(told)?;
        let sql = "SELECT id, project_token, (document->>'count')::bigint, hash FROM event \
                   WHERE kind = 'content' AND document ? 'count' ORDER BY id";
        let rows = client.query(sql, &[]).await.map_err(told)?;
        let row = |row: &tokio_postgres::Row| ContentRow {
            id: row.get(0),
            project: row.get(1),
            n: row.get::<_, i64>(2).unsigned_abs(),
            hash: row.get::<_, Option<String>>(3).unwrap_or_default(),
        };
        Ok(rows.iter().map(row).collect())
    }

    /// The `count` that each project's newest build shows. The connection is kept for
    /// the next look: making one costs more than asking.
    ///
    /// # Errors
    /// When Postgres or the table is not there.
    pub async fn shown_counts(
        &self,
        kept: &mut Option<Client>,
    ) -> Result<BTreeMap<String, u64>, String> {
        let client = match kept.take() {
            Some(client) => client,
            None => self.connect().await.map_err(told)?,
        };
        let sql = "SELECT DISTINCT ON (project_token) project_token, \
                   coalesce((body->'fields'->>'count')::bigint, 0) FROM build ORDER BY project_token, run DESC";
        let rows = client.query(sql, &[]).await.map_err(told)?;
        let pair = |row: &tokio_postgres::Row| (row.get(0), row.get::<_, i64>(1).unsigned_abs());
        *kept = Some(client);
        Ok(rows.iter().map(pair).collect())
    }
}

/// What this browser showed, by project, one run after the other: a build's id ends with `<token>-<run>`.
#[must_use]
pub fn shown_by(follower: &Follower) -> Shown {
    let place = |id: &str| {
        let (rest, run) = id.rsplit_once('-')?;
        Some((
            rest.rsplit_once('-')?.1.to_owned(),
            run.parse::<u32>().ok()?,
        ))
    };
    follower.look(|seen| {
        let of_build = |(id, counts): (&String, _)| (place(id).unwrap_or_default(), counts);
        let runs: BTreeMap<(String, u32), &Vec<u64>> = seen.shown.iter().map(of_build).collect();
        let mut shown = Shown::new();
        for ((token, _), counts) in runs {
            shown.entry(token).or_default().extend(counts);
        }
        shown
    })
}

/// The last number of each project that this browser showed.
#[must_use]
pub fn newest_shown(follower: &Follower) -> BTreeMap<String, u64> {
    let shown = shown_by(follower).into_iter();
    let last = |(project, shown): (String, Vec<u64>)| Some((project, *shown.last()?));
    shown.filter_map(last).collect()
}

/// Whether everything up to these numbers is shown; `Err` says what is missing.
///
/// # Errors
/// What is missing.
pub fn reached(goal: &BTreeMap<String, u64>, have: &BTreeMap<String, u64>) -> Result<(), String> {
    let missing = |(project, n): &(&String, &u64)| have.get(*project).is_none_or(|have| have < *n);
    let missing: Vec<_> = goal.iter().filter(missing).take(3).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let have: Vec<_> = missing
        .iter()
        .map(|(project, _)| have.get(*project))
        .collect();
    Err(format!("{missing:?} and more are not there, but {have:?}"))
}

/// Reads Postgres and the browsers, and judges.
///
/// # Errors
/// When Postgres cannot be read.
pub async fn verdict(
    truth: &TruthLog,
    database: &Database,
    followers: &[Follower],
) -> Result<Verdict, String> {
    let rows = database.content_rows().await?;
    let browsers: Vec<Shown> = followers.iter().map(shown_by).collect();
    let verdict = Verdict::judge(&truth.files(), &truth.away(), &rows, &browsers);
    Ok(Verdict {
        stalls: truth.stalls(),
        ..verdict
    })
}
