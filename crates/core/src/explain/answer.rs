//! What is answered: findings, each of which rests on evidence, and what is not known.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Cause, Evidence};

/// Where something stands that was found: which record, of whom, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// When it was seen.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// What it is, such as `decision` or `departure`.
    pub kind: &'static str,
    /// The pool, instance, job or group that it is about.
    pub of: String,
    /// Where it was read, such as `records.jsonl:17`.
    pub source: String,
}

impl Reference {
    fn to(evidence: &Evidence) -> Self {
        Self {
            time: evidence.time,
            kind: evidence.said.kind(),
            of: evidence.said.of().to_owned(),
            source: evidence.source.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {} of {} ({})", self.time, self.kind, self.of, self.source)
    }
}

/// What something rests on: at least one piece of evidence. So there is no finding without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    first: Reference,
    more: Vec<Reference>,
}

/// How many references are shown for one finding; the newest ones and the first.
const SHOWN: usize = 4;

impl Basis {
    /// Rests on this.
    pub fn on(evidence: &Evidence) -> Self {
        Self { first: Reference::to(evidence), more: Vec::new() }
    }

    /// Rests on all of these; `None` when there are none.
    pub fn on_all<'a>(evidence: impl IntoIterator<Item = &'a Evidence>) -> Option<Self> {
        let mut all = evidence.into_iter();
        let first = Self::on(all.next()?);
        Some(all.fold(first, Self::and))
    }

    /// And on this.
    #[must_use]
    pub fn and(mut self, evidence: &Evidence) -> Self {
        let reference = Reference::to(evidence);
        if self.references().all(|known| *known != reference) {
            self.more.push(reference);
        }
        self
    }

    /// All that it rests on, one at least.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl Serialize for Basis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.references())
    }
}

/// One thing that is known, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, which stays: others search by it.
    pub cause: Cause,
    pub text: String,
    /// What it rests on.
    #[serde(rename = "evidence")]
    pub basis: Basis,
    /// What would change it: what to do, and what to type where that is enough.
    #[serde(rename = "do")]
    pub remedy: String,
}

/// One thing that is not known, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotKnown {
    /// What is not known, as a clause: `why job 7 waits`.
    pub what: String,
    /// What is missing, as a clause.
    pub because: String,
    /// What would tell.
    #[serde(rename = "do")]
    pub remedy: String,
}

/// The answer to one question: the cause first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What is known, the cause first.
    pub known: Vec<Finding>,
    /// What is not.
    pub not_known: Vec<NotKnown>,
}

impl Answer {
    /// Whether anything is known at all.
    pub fn is_known(&self) -> bool {
        !self.known.is_empty()
    }

    /// Whether this cause is among what is known.
    pub fn names(&self, cause: Cause) -> bool {
        self.known.iter().any(|finding| finding.cause == cause)
    }

    pub(super) fn find(&mut self, cause: Cause, basis: Basis, text: impl Into<String>, remedy: impl Into<String>) {
        self.known.push(Finding { cause, text: text.into(), basis, remedy: remedy.into() });
    }

    pub(super) fn miss(&mut self, what: impl Into<String>, because: impl Into<String>, remedy: impl Into<String>) {
        let missed = NotKnown { what: what.into(), because: because.into(), remedy: remedy.into() };
        self.not_known.push(missed);
    }
}

impl fmt::Display for Answer {
    /// As sentences, each with its evidence and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { text, basis, remedy, .. } in &self.known {
            writeln!(f, "{}", sentence(text))?;
            let all: Vec<_> = basis.references().collect();
            let (first, rest) = all.split_at(all.len().min(1));
            let newest = rest.iter().skip(rest.len().saturating_sub(SHOWN - 1));
            for reference in first.iter().chain(newest) {
                writeln!(f, "    seen  {reference}")?;
            }
            if all.len() > SHOWN {
                writeln!(f, "          and {} more like these", all.len() - SHOWN)?;
            }
            writeln!(f, "    do    {}", indented(remedy))?;
        }
        for NotKnown { what, because, remedy } in &self.not_known {
            writeln!(f, "Not known: {what}, because {because}.")?;
            writeln!(f, "    do    {}", indented(remedy))?;
        }
        Ok(())
    }
}

/// With its stop.
fn sentence(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n          ")
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}
