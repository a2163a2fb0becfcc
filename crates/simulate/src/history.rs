//! One's own history: a table of jobs, or the records of a scaler and of agents.

mod records;

use std::time::Duration;

use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::Timestamp;

pub use self::records::{boots, from_records};
use crate::{
    outcome::Waits,
    setup::Boots,
    trace::{Job, Trace},
};

/// What a history holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub trace: Trace,
    /// How long they waited, as far as it is told.
    pub waits: Option<Waits>,
    /// How long instances took from their start until they were ready, as far as it is told.
    pub boots: Option<Boots>,
    /// Rows without a job that ran: cancelled ones, those that run still.
    pub skipped: usize,
    /// The group whose instances ran them, as far as it is told.
    pub group: Option<String>,
}

/// A history that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHistory {
    /// It is no table.
    #[error("{0}")]
    Table(String),
    /// A column is missing.
    #[error("the first line names no column {missing}; it has {}; name the columns there: `queued` and `seconds`, or `queued`, `started` and `finished`", listed(.found))]
    Column {
        missing: &'static str,
        /// What is there.
        found: Vec<String>,
    },
    /// A value cannot be read.
    #[error("line {line}, column {column}: {value:?} is {what}")]
    Value {
        /// Where, from 1.
        line: u64,
        /// In which column.
        column: String,
        /// What is there.
        value: String,
        /// What is wrong with it, and the remedy.
        what: &'static str,
    },
    /// Nothing is left.
    #[error("{0}")]
    Empty(String),
    /// Records of several pools.
    #[error("the records are of the pools {}; choose one with --pool", listed(.0))]
    Pools(Vec<String>),
}

/// What a column is called: the names of this project first, then those of the platforms' interfaces.
const QUEUED: &[&str] = &["queued", "queued_at", "created_at", "runnable_at", "enqueued_at"];
const STARTED: &[&str] = &["started", "started_at"];
const FINISHED: &[&str] = &["finished", "finished_at", "completed_at", "stopped_at"];
const SECONDS: &[&str] = &["seconds", "duration"];
const POOL: &[&str] = &["pool"];

/// The jobs of a table with comma, semicolon or tab between its columns, which its first line names, of this pool where it tells pools apart.
///
/// # Errors
///
/// When a column is missing, a value cannot be read, or no job is left.
pub fn from_csv(text: &[u8], pool: Option<&str>) -> Result<History, BadHistory> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| first.split(|byte| *byte == wanted).count();
    let delimiter = [b';', b'\t'].into_iter().find(|other| count(*other) > count(b',')).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).flexible(true).from_reader(text);
    let names = reader.headers().map_err(|error| BadHistory::Table(error.to_string()))?.clone();
    let columns = Columns::of(&names)?;
    let (mut jobs, mut waits, mut skipped) = (Vec::new(), Vec::new(), 0);
    let mut begins = None;
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|error| BadHistory::Table(error.to_string()))?;
        let line = row.position().map_or(number as u64 + 2, csv::Position::line);
        let row = Row { names: &names, values: &row, line };
        if let (Some(wanted), Some(column)) = (pool, columns.pool)
            && row.text(column) != wanted
        {
            continue;
        }
        let Some((queued, waited, runs)) = row.job(&columns)? else {
            skipped += 1;
            continue;
        };
        // Times of day are large numbers: what matters is how far apart they are.
        let begin = *begins.get_or_insert(queued);
        jobs.push((queued - begin, runs));
        waits.extend(waited.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)));
    }
    let earliest = jobs.iter().map(|(queued, _)| *queued).min().unwrap_or(0);
    let since = |ms: i64| Duration::from_millis(u64::try_from(ms - earliest).unwrap_or(0));
    let jobs: Vec<Job> = jobs.into_iter().map(|(queued, runs)| Job { arrives: since(queued), runs }).collect();
    if jobs.is_empty() {
        let of = pool.map_or(String::new(), |pool| format!(" of pool {pool}"));
        return Err(BadHistory::Empty(format!("no row{of} is a job that ran; {skipped} were skipped")));
    }
    let origin = Timestamp::from_millisecond(begins.unwrap_or(0).saturating_add(earliest)).unwrap_or_default();
    let waits = (waits.len() == jobs.len()).then(|| Waits::of(waits));
    Ok(History { trace: Trace::since(origin, jobs), waits, boots: None, skipped, group: None })
}

/// Where each column is.
struct Columns {
    queued: usize,
    started: Option<usize>,
    finished: Option<usize>,
    seconds: Option<usize>,
    pool: Option<usize>,
}

impl Columns {
    fn of(names: &StringRecord) -> Result<Self, BadHistory> {
        let find = |called: &[&str]| {
            called.iter().find_map(|name| names.iter().position(|found| found.eq_ignore_ascii_case(name)))
        };
        let missing = |missing| BadHistory::Column { missing, found: names.iter().map(str::to_owned).collect() };
        let queued = find(QUEUED).ok_or_else(|| missing("`queued`"))?;
        let columns =
            Self { queued, started: find(STARTED), finished: find(FINISHED), seconds: find(SECONDS), pool: find(POOL) };
        if columns.seconds.is_none() && (columns.started.is_none() || columns.finished.is_none()) {
            return Err(missing("`seconds`, nor `started` and `finished`"));
        }
        Ok(columns)
    }
}

struct Row<'a> {
    names: &'a StringRecord,
    values: &'a StringRecord,
    line: u64,
}

impl Row<'_> {
    fn text(&self, column: usize) -> &str {
        self.values.get(column).unwrap_or_default()
    }

    fn wrong(&self, column: usize, what: &'static str) -> BadHistory {
        let value = self.text(column).to_owned();
        BadHistory::Value {
            line: self.line,
            column: self.names.get(column).unwrap_or_default().to_owned(),
            value,
            what,
        }
    }

    /// When it began to wait, how long it waited, and how long it ran; `None` for one that did not run.
    fn job(&self, columns: &Columns) -> Result<Option<(i64, Option<Duration>, Duration)>, BadHistory> {
        let queued = self.time(columns.queued)?;
        let [started, finished] = [columns.started, columns.finished].map(|column| column.map(|at| self.time(at)));
        let (started, finished) = (started.transpose()?.flatten(), finished.transpose()?.flatten());
        let seconds = columns.seconds.map(|column| self.seconds(column)).transpose()?.flatten();
        let Some(queued) = queued else { return Ok(None) };
        let span = |from: i64, to: i64, column: Option<usize>, what| {
            let column = column.unwrap_or(columns.queued);
            u64::try_from(to - from).map(Duration::from_millis).map_err(|_| self.wrong(column, what))
        };
        let waited = started
            .map(|started| {
                span(queued, started, columns.started, "before the job was queued; correct or remove the line")
            })
            .transpose()?;
        let runs = match (seconds, started, finished) {
            (Some(seconds), ..) => Some(seconds),
            (None, Some(started), Some(finished)) => {
                Some(span(started, finished, columns.finished, "before the job started; correct or remove the line")?)
            }
            (None, ..) => None,
        };
        Ok(runs.map(|runs| (queued, waited, runs)))
    }

    /// Milliseconds since any beginning; `None` for an empty value.
    fn time(&self, column: usize) -> Result<Option<i64>, BadHistory> {
        let text = self.text(column);
        if text.is_empty() || text == "null" {
            return Ok(None);
        }
        if let Ok(seconds) = text.parse::<f64>()
            && seconds.abs() < 1e12
        {
            #[expect(clippy::cast_possible_truncation, reason = "below 10^15")]
            return Ok(Some((seconds * 1000.0).round() as i64));
        }
        let time: Result<Timestamp, _> = text.replacen(' ', "T", 1).parse();
        let what = "no time; write one such as 2026-11-26T03:00:00Z, with its zone, or seconds since 1970";
        time.map(|time| Some(time.as_millisecond())).map_err(|_| self.wrong(column, what))
    }

    fn seconds(&self, column: usize) -> Result<Option<Duration>, BadHistory> {
        let text = self.text(column);
        if text.is_empty() || text == "null" {
            return Ok(None);
        }
        let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds));
        let what = "no number of seconds; write one such as 240 or 12.5";
        seconds.map(|seconds| Some(Duration::from_secs_f64(seconds))).ok_or_else(|| self.wrong(column, what))
    }
}

fn listed(names: &[String]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests;
