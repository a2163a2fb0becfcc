//! Situations: what was recorded in each, what is asked, the cause that must be named first, and all that is true in it.

mod instances;
mod jobs;
mod pools;

use std::collections::BTreeSet;

use lightsout_core::{
    explain::{Cause, Evidence, Question},
    record::{Departure, JobsAtEnd},
    scaling::Outlook,
};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) question: Question,
    pub(crate) evidence: Vec<Evidence>,
    /// What comes first in the answer.
    pub(crate) first: Cause,
    /// All causes that are true in it at one time or another.
    pub(crate) truth: BTreeSet<Cause>,
}

fn scenario(name: &'static str, question: Question, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    let truth = also.iter().copied().chain([first]).collect();
    Scenario { name, question, evidence, first, truth }
}

fn pool(name: &'static str, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    scenario(name, Question::Pool("linux".into()), evidence, first, also)
}

fn instance(name: &'static str, evidence: Vec<Evidence>, first: Cause, also: &[Cause]) -> Scenario {
    scenario(name, Question::Instance("i-1".into()), evidence, first, also)
}

const IN_VAIN: Outlook = Outlook { unmet: 2, in_vain: 3, pause_ms: 60_000, silent: 0, ready: 0 };
const DEAF: Outlook = Outlook { unmet: 0, in_vain: 0, pause_ms: 0, silent: 1, ready: 0 };
const REFUSED: &str =
    "GitLab at https://ci.example.com: cannot register the runner: HTTP 401 (401 Unauthorized); set a new token";
const ABANDONED: &str = "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token 5a23 was abandoned: Heartbeat Timeout";
const EMPTY: &str = "no job for 10m (agent.idle_timeout), and the group has room";

pub(crate) fn all() -> Vec<Scenario> {
    pools::all().into_iter().chain(instances::all()).chain(jobs::all()).collect()
}

trait Cutting {
    fn cutting(self, jobs: JobsAtEnd) -> Self;
}

impl Cutting for Departure {
    fn cutting(self, jobs: JobsAtEnd) -> Self {
        Self { jobs, ..self }
    }
}
