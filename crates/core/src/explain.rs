//! Why nothing starts, why so much, why an instance is still there or has gone, why a job waits: answered from records, and from what agents,
//! the platform and the cloud say when they are asked.
//!
//! [`explain`] is given a [`Question`] and all [`Evidence`] that could be had, and answers with an [`Answer`]: findings, each of which rests on
//! the evidence that it names, and what is not known. A finding without evidence cannot be made ([`Basis`]). What a record does not say is not
//! guessed: its absence is a [`NotKnown`].

mod answer;
mod cause;
mod cloud_cli;
mod evidence;
mod instance;
mod job;
mod pool;

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

pub use self::{
    answer::{Answer, Basis, Finding, NotKnown, Reference},
    cause::Cause,
    evidence::{Activity, ActivityKind, Evidence, Job, JobState, Said, Status},
};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Why nothing starts in this pool, or why so much.
    Pool(String),
    /// Why this instance is still there, or why it has gone.
    Instance(String),
    /// Why this job waits, or what became of it.
    Job(String),
}

/// A name that cannot be asked about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// Nothing has this name.
    #[error("nothing here is called `{name}`: {} were read{}", pieces(*.read), listed(.known))]
    Nowhere {
        name: String,
        /// How many pieces of evidence there are.
        read: usize,
        /// Pools that are known, at most five.
        known: Vec<String>,
    },
    /// Several instances begin like this.
    #[error("`{name}` could be {}; write more of it", .found.join(" or "))]
    Ambiguous {
        name: String,
        /// The first few.
        found: Vec<String>,
    },
}

impl Question {
    /// What is meant by a name: a pool or its group, a job, or an instance, also by an unambiguous beginning of its id.
    ///
    /// # Errors
    ///
    /// When nothing is called so, or several instances begin so.
    pub fn about(name: &str, evidence: &[Evidence]) -> Result<Self, UnknownName> {
        let decisions = evidence.iter().filter_map(|it| match &it.said {
            Said::Decision(decision) => Some(decision),
            Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
        });
        if decisions.clone().any(|decision| decision.pool == name || decision.group == name) {
            return Ok(Self::Pool(name.to_owned()));
        }
        let begins = |id: &str| id.starts_with(name) || id.strip_prefix("i-").is_some_and(|id| id.starts_with(name));
        let mut instances: Vec<&str> =
            evidence.iter().filter_map(|it| it.said.instance()).filter(|id| begins(id)).collect();
        instances.sort_unstable();
        instances.dedup();
        if evidence.iter().any(|it| job::names(&it.said, name)) {
            return Ok(Self::Job(name.to_owned()));
        }
        match instances[..] {
            [id] => Ok(Self::Instance(id.to_owned())),
            [_, ..] if !name.is_empty() => {
                let found = instances.iter().take(4).map(|id| (*id).to_owned()).collect();
                Err(UnknownName::Ambiguous { name: name.to_owned(), found })
            }
            [] | [_, ..] => {
                let mut known: Vec<String> = decisions.map(|decision| decision.pool.clone()).collect();
                known.sort_unstable();
                known.dedup();
                known.truncate(5);
                Err(UnknownName::Nowhere { name: name.to_owned(), read: evidence.len(), known })
            }
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(name) => write!(f, "pool {name}"),
            Self::Instance(id) => write!(f, "instance {id}"),
            Self::Job(id) => write!(f, "job {id}"),
        }
    }
}

/// Answers a question from this evidence, in whatever order it comes. What is younger than `now` does not count.
pub fn explain(question: &Question, evidence: &[Evidence], now: Timestamp) -> Answer {
    let facts = Facts::new(evidence, now);
    match question {
        Question::Pool(pool) => pool::explain(pool, &facts, now),
        Question::Instance(id) => instance::explain(id, &facts, now),
        Question::Job(id) => job::explain(id, &facts, now),
    }
}

/// All evidence, oldest first.
struct Facts<'a> {
    sorted: Vec<&'a Evidence>,
}

impl<'a> Facts<'a> {
    fn new(evidence: &'a [Evidence], now: Timestamp) -> Self {
        let mut sorted: Vec<&Evidence> = evidence.iter().filter(|it| it.time <= now).collect();
        sorted.sort_by_key(|it| it.time);
        let stayed: Vec<(&str, Timestamp)> = sorted.iter().filter_map(|it| Some((it.said.stays()?, it.time))).collect();
        sorted.retain(|it| {
            let Said::Departure(departure) = &it.said else { return true };
            !stayed.iter().any(|(id, time)| *id == departure.instance && *time >= it.time)
        });
        Self { sorted }
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &'a Evidence> {
        self.sorted.iter().copied()
    }

    /// What is about this instance.
    fn of_instance(&self, id: &str) -> impl DoubleEndedIterator<Item = &'a Evidence> {
        self.all().filter(move |it| it.said.instance() == Some(id))
    }

    /// What is about this group or its instances.
    fn of_group(&self, group: &str) -> impl DoubleEndedIterator<Item = &'a Evidence> {
        self.all().filter(move |it| it.said.group() == Some(group))
    }
}

fn pieces(count: usize) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(", of the pools {}", known.join(", ")) }
}
