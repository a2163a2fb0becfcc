//! Evidence as a picture: all that a page draws of a fleet, as numbers and sentences, times in milliseconds since the Unix epoch.
//!
//! What instances did is folded by [`lanes`](crate::lanes), summed up by [`cost`] and put into words by [`explain`](crate::explain);
//! here the three are brought to one scale of time, beside what the scaler read and decided.

mod ending;
mod listing;
mod pool;
mod update;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::{
    listing::Listings,
    pool::{Pool, Reading, Readings, Waits},
    update::{PoolUpdate, Update},
};

use crate::{
    cost::{self, CostRows},
    explain::{Activity, Evidence, Question, Said, explain},
    lanes::{Lane, Span, lanes},
    record::{Incident, IncidentKind, Record},
};

/// Everything that is drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// When it begins.
    pub from: i64,
    /// When it ends: instances that are there still are drawn until then.
    pub to: i64,
    /// The instances, the earliest first.
    pub lanes: Vec<ChartInstance>,
    /// The pools that the scaler decided on, by name.
    pub pools: Vec<Pool>,
    /// What they cost, by pool; see [`cost`](crate::cost::cost).
    pub cost: Vec<Cost>,
    /// What whoever drew it could not see of instances, where that is so, and where it is to be found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChartInstance {
    pub instance: String,
    /// Its pool, or its group where no decision names one.
    pub pool: String,
    /// What it did, without a gap.
    pub spans: Vec<ChartSpan>,
    /// How it ended; absent when nothing tells of an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Ending>,
    /// When it was heard of last, where that is over an hour ago and nothing tells of an end: it works, it has gone without a word, or its records are
    /// elsewhere. Of a scaler's lanes: where its group was not looked at since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<i64>,
    /// What happened to it besides.
    pub marks: Vec<Mark>,
    /// Why it is there or has gone.
    pub sentences: Vec<String>,
}

/// A time in which an instance did the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChartSpan {
    /// What, as in [`State`](crate::lanes::State); of a scaler's lanes its place in the group: `launching`, `in_service`, `aside`, `leaving`.
    pub state: &'static str,
    pub from: i64,
    pub to: i64,
    /// The jobs that ran meanwhile, as far as they have names.
    pub jobs: Vec<String>,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ending {
    pub at: i64,
    /// The word for why: that of its certificate, or `group` where only the group's history tells.
    pub reason: String,
    /// What made it so.
    pub trigger: String,
    /// How it strikes whoever looks.
    pub tone: Tone,
}

/// Something that happened to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub at: i64,
    /// Its word in records.
    pub what: &'static str,
    /// What it means, and in which words it was told.
    pub sentence: String,
    /// How it strikes whoever looks.
    pub tone: Tone,
}

/// How something strikes whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it should be.
    Plain,
    /// Somebody else asks for something.
    Notice,
    Bad,
}

/// A pool's instance time, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    #[serde(flatten)]
    pub row: cost::Row,
    /// What it cost, of all that has a price; `None` when nothing has.
    pub price: Option<f64>,
}

/// For so long nothing need be heard of an instance: agents write a record when something turns, and a job may be long.
const SILENT: SignedDuration = SignedDuration::from_hours(1);

impl Chart {
    /// Of this evidence, in whatever order, as it was at `to`; `per_hour` is as [`cost`](cost::cost) has it.
    pub fn new(evidence: &[Evidence], to: Timestamp, per_hour: impl Fn(&Lane, &str) -> Option<f64>) -> Self {
        let records: Vec<Record> = evidence.iter().filter_map(|it| it.said.record()).collect();
        let mut lanes = lanes(&records, to);
        let by_instance = by_instance(evidence);
        let empty = Vec::new();
        let of = |lane: &Lane| by_instance.get(lane.instance.as_str()).unwrap_or(&empty);
        // Before anything is summed up: what the group ended without a word costs no longer.
        let ended: Vec<Option<Ending>> = lanes.iter_mut().map(|lane| cut_by_group(lane, of(lane))).collect();
        let pools = cost::pools(&records);
        let pool_of = |group: &str| pools.get(group).cloned();
        let from = lanes.iter().map(Lane::from).chain(evidence.iter().map(|it| it.time)).min().unwrap_or(to).min(to);
        let rows = cost::cost(&lanes, from, to, CostRows::Pool, pool_of, per_hour);
        let cost = rows.into_iter().map(|row| Cost { price: row.cost, row });
        let lives = lanes.iter().zip(ended).map(|(lane, ended)| {
            let group = lane.group.as_deref().unwrap_or(cost::NO_GROUP);
            life(lane, pool_of(group).unwrap_or_else(|| group.to_owned()), ended, of(lane), to)
        });
        Self {
            from: from.as_millisecond(),
            to: to.as_millisecond(),
            pools: pool::pools(evidence, to),
            lanes: lives.collect(),
            cost: cost.collect(),
            unseen: Vec::new(),
        }
    }

    /// Of what a scaler decided on its pools and saw of their instances, and of nothing else, as it was at `to`.
    pub fn of_pools<'a>(
        pools: impl IntoIterator<Item = (&'a str, &'a Readings)>,
        listings: &Listings,
        to: Timestamp,
    ) -> Self {
        let pools: Vec<(&str, &Readings)> = pools.into_iter().filter(|(_, readings)| !readings.is_empty()).collect();
        let (lanes, end) = (listings.lives(to), to.as_millisecond());
        let began = lanes.iter().map(|life| life.spans[0].from);
        Self {
            from: pools.iter().filter_map(|(_, readings)| readings.from()).chain(began).min().unwrap_or(end).min(end),
            to: end,
            lanes,
            pools: pool::draw_most(pools.into_iter().map(|(name, readings)| readings.pool(name, to)).collect()),
            cost: Vec::new(),
            unseen: listings.unseen(),
        }
    }
}

/// What was said of each instance: to explain one takes no other's.
fn by_instance(evidence: &[Evidence]) -> BTreeMap<&str, Vec<Evidence>> {
    let mut all: BTreeMap<&str, Vec<Evidence>> = BTreeMap::new();
    for it in evidence {
        if let Some(instance) = it.said.instance() {
            all.entry(instance).or_default().push(it.clone());
        }
    }
    all
}

/// Ends a lane of which no certificate tells the end where the group's history does.
fn cut_by_group(lane: &mut Lane, evidence: &[Evidence]) -> Option<Ending> {
    if lane.end.is_some() {
        return None;
    }
    let told = |it: &Evidence| match &it.said {
        Said::Activity(activity) => Some((it.time, activity.clone())),
        Said::Decision(_) | Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) => None,
    };
    let spoke = |it: &&Evidence| matches!(it.said, Said::Incident(_) | Said::Status(_));
    let (time, activity): (Timestamp, Box<Activity>) =
        evidence.iter().filter_map(told).max_by_key(|(time, _)| *time)?;
    if time > lane.to() || evidence.iter().filter(spoke).any(|it| it.time > time) {
        // It waits behind a hook, or for its jobs.
        return None;
    }
    let from = lane.from();
    let spans: Vec<_> = lane.spans.iter().filter_map(|span| span.within(from, time)).collect();
    if spans.is_empty() {
        return None;
    }
    lane.spans = spans;
    Some(Ending { at: time.as_millisecond(), reason: "group".into(), trigger: activity.text, tone: Tone::Bad })
}

fn life(lane: &Lane, pool: String, ended: Option<Ending>, evidence: &[Evidence], to: Timestamp) -> ChartInstance {
    let certified = lane.end.as_ref().map(|end| Ending {
        at: lane.to().as_millisecond(),
        reason: end.reason.as_str().to_owned(),
        trigger: end.trigger.clone(),
        tone: if end.cut { Tone::Bad } else { ending::tone(end.reason) },
    });
    let answer = explain(&Question::Instance(lane.instance.clone()), evidence, to);
    let known = answer.known.iter().map(|finding| format!("{}.", finding.text.trim_end_matches('.')));
    let not_known = answer.not_known.iter().map(|it| format!("Not known: {}, because {}.", it.what, it.because));
    let end = certified.or(ended);
    let spoke = |it: &&Evidence| matches!(it.said, Said::Incident(_) | Said::Departure(_) | Said::Status(_));
    let heard = evidence.iter().filter(spoke).map(|it| it.time).filter(|time| *time <= to).max();
    let silent = heard.filter(|heard| end.is_none() && to.duration_since(*heard) > SILENT);
    let mut marks: Vec<Mark> = evidence.iter().filter(|it| it.time <= to).filter_map(mark).collect();
    marks.sort_by_key(|mark| mark.at);
    ChartInstance {
        instance: lane.instance.clone(),
        pool,
        spans: lane.spans.iter().map(stretch).collect(),
        end,
        silent: silent.map(Timestamp::as_millisecond),
        marks,
        sentences: known.chain(not_known).collect(),
    }
}

fn stretch(span: &Span) -> ChartSpan {
    let (from, to) = (span.from.as_millisecond(), span.to.as_millisecond());
    ChartSpan { state: span.state.as_str(), from, to, jobs: span.jobs.clone() }
}

fn mark(evidence: &Evidence) -> Option<Mark> {
    let Said::Incident(incident) = &evidence.said else { return None };
    let Incident { what, detail, times, .. } = &**incident;
    let tone = tone(*what)?;
    let often = if *times > 1 { format!(" (for the {times}th time in a row)") } else { String::new() };
    let words = if detail.is_empty() { String::new() } else { format!(" In its words: {detail}") };
    let sentence = format!("{}{often}{words}", what.meaning());
    Some(Mark { at: evidence.time.as_millisecond(), what: what.as_str(), sentence, tone })
}

/// How an incident strikes whoever looks; `None` for one that its lane shows by its spans.
fn tone(what: IncidentKind) -> Option<Tone> {
    match what {
        IncidentKind::Started
        | IncidentKind::Ready
        | IncidentKind::Busy
        | IncidentKind::Idle
        | IncidentKind::Leaving => None,
        IncidentKind::RunnerFound
        | IncidentKind::NotInService
        | IncidentKind::ActivityKnown
        | IncidentKind::NoRoom
        | IncidentKind::Held
        | IncidentKind::HoldEnded
        | IncidentKind::DrainTakenBack => Some(Tone::Plain),
        IncidentKind::DrainOrdered
        | IncidentKind::SpotNotice
        | IncidentKind::RebalanceNotice
        | IncidentKind::MaintenanceNotice
        | IncidentKind::ScaleInNotice => Some(Tone::Notice),
        IncidentKind::BeforeRegisterFailed
        | IncidentKind::RegistrationFailed
        | IncidentKind::RunnerExited
        | IncidentKind::ActivityUnknown
        | IncidentKind::DrainFailed
        | IncidentKind::JobsCut
        | IncidentKind::StuckRunner
        | IncidentKind::HeartbeatRefused
        | IncidentKind::NoHook
        | IncidentKind::DeregistrationFailed
        | IncidentKind::CloudRefused => Some(Tone::Bad),
    }
}

#[cfg(test)]
mod tests;
