//! `doctor`: what must hold on an instance, in a machine image and in the account around them, as one table, and what facts say about each row
//! of it.
//!
//! The shell gathers [`Facts`]; [`examine`] judges them and asks nobody. A row without its fact does not apply: this cloud, this platform or
//! this machine has no such thing. A fact that could not be had is a finding, too: [`Verdict::Unknown`] on an instance, and on a workstation a warning,
//! since there nothing but the credentials of whoever asks stands in the way.

mod account;
mod cloud;
pub mod facts;
mod group;
mod hooks;
mod image;
mod key;
mod machine;
mod platform;
mod program;
mod quota;
mod scale_set;
mod software;
mod template;

use std::fmt;

use serde::Serialize;

pub use facts::{Fact, Facts};

use crate::cloud::Membership;

/// From where somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// From an instance.
    #[default]
    Instance,
    /// From a machine image while it is built: nothing runs, and the rest comes when it boots.
    Image,
    /// From a workstation: at the account, with the credentials of whoever asks. Of no instance anything is known.
    Workstation,
}

/// Where a row is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On an instance.
    Instance,
    /// In a machine image, while it is built.
    Image,
    /// On an instance and in an image.
    Both,
    /// On a workstation.
    Workstation,
    /// On an instance and on a workstation: it is about what all instances of a group have in common.
    Group,
}

impl Scope {
    /// Whether a row of this scope is looked at from there.
    pub const fn has(self, place: Place) -> bool {
        match self {
            Self::Instance => matches!(place, Place::Instance),
            Self::Image => matches!(place, Place::Image),
            Self::Both => matches!(place, Place::Instance | Place::Image),
            Self::Workstation => matches!(place, Place::Workstation),
            Self::Group => matches!(place, Place::Instance | Place::Workstation),
        }
    }
}

/// What to do on a workstation where something cannot be told.
const LOOK_AGAIN: &str = "look with credentials that may (`lightsout iam --workstation` prints the policy, with the log of a function by `--log-group /aws/lambda/NAME`; \
     on Azure it is the role Reader of the subscription), or look at it by hand";

/// One thing that must hold.
#[derive(Debug)]
pub struct Row {
    /// Its name, which stays: others search and alarm by it.
    pub id: &'static str,
    /// Where it is looked at.
    pub scope: Scope,
    /// What must hold, as a sentence without its stop.
    pub meaning: &'static str,
    /// What to do when it does not hold. `{group}`, `{instance}` and `{region}` stand for the names of this instance.
    pub remedy: &'static str,
    /// What these facts say; `None`: it does not apply here.
    judge: fn(&Facts) -> Option<Judgement>,
}

/// All rows, in the order in which they are shown.
const TABLE: [&[Row]; 13] = [
    software::ROWS,
    machine::ROWS,
    image::ROWS,
    cloud::ROWS,
    group::ROWS,
    hooks::ROWS,
    template::ROWS,
    key::ROWS,
    quota::ROWS,
    scale_set::ROWS,
    program::ROWS,
    account::ROWS,
    platform::ROWS,
];

/// How it stands with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It holds.
    Ok,
    /// It works, and may hurt.
    Warning,
    /// Jobs may die, or the instance can not do its work or not leave.
    Wrong,
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// How much it counts beside others about the same thing.
    fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Warning => 2,
            Self::Wrong => 3,
        }
    }

    /// The word before a finding.
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "WRONG",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found about one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The row's name.
    pub id: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen, or why nothing could be.
    pub seen: String,
    /// What to do; `None` when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<26} {}", self.verdict.word(), self.id, self.seen.replace('\n', "\n           "))?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "\n           do: {remedy}"))
    }
}

/// What facts say about a row.
struct Judgement {
    verdict: Verdict,
    seen: String,
    /// Goes before the row's own.
    remedy: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "as a judge answers; it is silent where its row does not apply")]
impl Judgement {
    fn new(verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { verdict, seen: seen.into(), remedy: None }
    }

    fn ok(seen: impl Into<String>) -> Option<Self> {
        Some(Self::new(Verdict::Ok, seen))
    }

    fn warning(seen: impl Into<String>) -> Option<Self> {
        Some(Self::new(Verdict::Warning, seen))
    }

    fn wrong(seen: impl Into<String>) -> Option<Self> {
        Some(Self::new(Verdict::Wrong, seen))
    }

    fn unknown(why: impl Into<String>) -> Option<Self> {
        Some(Self::new(Verdict::Unknown, why))
    }
}

/// The place of the instance in its group; `outside`: what is seen where it has none.
fn of_member(membership: Membership, outside: &'static str) -> Option<Judgement> {
    match membership {
        Membership::Outside => Judgement::warning(outside),
        Membership::InService { .. } => Judgement::ok("in service"),
        Membership::Pending { .. } => Judgement::ok("on its way into service"),
        Membership::Warming { .. } | Membership::Warm => Judgement::ok("in a warm pool"),
        Membership::Standby => Judgement::ok("in standby"),
        Membership::Terminating { .. } => Judgement::ok("on its way out"),
    }
}

/// Judges a fact that may not be known.
fn of<T>(fact: Option<&Fact<T>>, judge: impl FnOnce(&T) -> Option<Judgement>) -> Option<Judgement> {
    match fact? {
        Ok(fact) => judge(fact),
        Err(why) => Judgement::unknown(why.clone()),
    }
}

/// Judges each of several alike: the worst of it counts, and what was seen of those, each once.
fn of_each<T>(all: &[T], judge: impl Fn(&T) -> Option<Judgement>) -> Option<Judgement> {
    let judged: Vec<Judgement> = all.iter().filter_map(judge).collect();
    let worst = judged.iter().map(|it| it.verdict).max_by_key(|verdict| verdict.weight())?;
    let mut seen: Vec<String> = judged.into_iter().filter(|it| it.verdict == worst).map(|it| it.seen).collect();
    seen.dedup();
    Some(Judgement::new(worst, seen.join("\n")))
}

/// What these facts say, row by row.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let rows = TABLE.into_iter().flatten().filter(|row| row.scope.has(facts.place));
    rows.filter_map(|row| {
        let Judgement { verdict, seen, remedy } = (row.judge)(facts)?;
        let (verdict, remedy) = match verdict {
            Verdict::Unknown if facts.place == Place::Workstation => (Verdict::Warning, Some(LOOK_AGAIN.to_owned())),
            Verdict::Unknown | Verdict::Ok | Verdict::Warning | Verdict::Wrong => (verdict, remedy),
        };
        let remedy = (verdict != Verdict::Ok).then(|| facts.names.filled(remedy.as_deref().unwrap_or(row.remedy)));
        Some(Finding { id: row.id, verdict, seen, remedy })
    })
    .collect()
}

/// How many findings there are of each kind, in a sentence.
pub fn summary(findings: &[Finding]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let named = |verdict, word: &str| {
        let ids: Vec<_> = findings.iter().filter(|finding| finding.verdict == verdict).map(|found| found.id).collect();
        (!ids.is_empty()).then(|| format!("{} {word}: {}", ids.len(), ids.join(", ")))
    };
    let parts = [
        Some(format!("{} ok", count(Verdict::Ok))),
        named(Verdict::Unknown, "cannot be told"),
        named(Verdict::Warning, if count(Verdict::Warning) == 1 { "warning" } else { "warnings" }),
        named(Verdict::Wrong, "wrong"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Every row, in the order in which they are shown.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.into_iter().flatten()
}
