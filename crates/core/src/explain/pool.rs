//! Why nothing starts in a pool, or why so much: what the scaler's newest record says, and beside it what became of the pool's instances.

mod demand;
pub(super) mod launches;
mod members;
mod reading;
mod size;

use std::time::Duration;

use jiff::Timestamp;

use super::{Answer, Basis, Cause, Evidence, Facts, Said, cloud_cli::CloudCli};
use crate::{
    duration::format_about,
    record::{Decision, Outcome},
    scaling::Explanation,
};

/// How old the newest record may be and still say what holds now. The scaler ticks every ten seconds unless set otherwise.
const FRESH: Duration = Duration::from_secs(180);

/// One record of the scaler about the pool.
#[derive(Clone, Copy)]
struct Tick<'a> {
    evidence: &'a Evidence,
    decision: &'a Decision,
}

impl<'a> Tick<'a> {
    fn of(evidence: &'a Evidence, pool: &str) -> Option<Self> {
        match &evidence.said {
            Said::Decision(decision) if decision.pool == pool || decision.group == pool => {
                Some(Self { evidence, decision })
            }
            Said::Decision(_)
            | Said::Departure(_)
            | Said::Incident(_)
            | Said::Status(_)
            | Said::Job(_)
            | Said::Activity(_) => None,
        }
    }

    fn basis(self) -> Basis {
        Basis::on(self.evidence)
    }
}

/// Explains the pool as its newest record shows it.
pub(super) fn explain(pool: &str, facts: &Facts<'_>, now: Timestamp) -> Answer {
    let mut answer = Answer::default();
    let mut ticks = facts.all().filter_map(|evidence| Tick::of(evidence, pool));
    let Some(last) = ticks.next_back() else {
        answer.miss(
            format!("what the scaler made of {pool}"),
            "no record of a decision about it is among what was read",
            "hand in what lightsout-scaler wrote to its standard output with --log-format json",
        );
        return answer;
    };
    match last.decision.result {
        Outcome::Failed => reading::failed(&mut answer, last),
        Outcome::Standby => reading::standby(&mut answer, last),
        Outcome::Queued => waits_for_turn(&mut answer, last),
        Outcome::WouldRaise => dry_run(&mut answer, last),
        Outcome::Held | Outcome::Raised => {}
    }
    let cli = CloudCli::of_group(&last.decision.group, facts);
    launches::failing(&mut answer, last, facts, &cli);
    if let Some(plan) = &last.decision.why {
        demand::bounds(&mut answer, last, plan, &cli);
        demand::doubts(&mut answer, last, plan);
        size::explain(&mut answer, last, plan, facts);
        members::explain(&mut answer, last, plan, facts, &cli);
    }
    if let Some(missing) = &last.decision.missing {
        reading::partial(&mut answer, last, missing);
    }
    // Whoever asks looks for what is wrong.
    answer.known.sort_by_key(|finding| is_in_order(finding.cause));
    let age = Duration::try_from(now.duration_since(last.evidence.time)).unwrap_or_default();
    if age > FRESH {
        answer.miss(
            format!("how it stands with {pool} since {:.0}", last.evidence.time),
            format!("the newest record about it is {} old", format_about(age)),
            "hand in later records; if there are none, the scaler is silent: systemctl status lightsout-scaler-watch",
        );
    }
    answer
}

/// Whether a pool is as it should be, as far as this tells.
fn is_in_order(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Raised | Cause::Enough | Cause::NothingWaits | Cause::AtLeast | Cause::Spare | Cause::Surplus
    )
}

fn waits_for_turn(answer: &mut Answer, last: Tick<'_>) {
    let to = last.decision.to.map(|to| format!(" to {to}")).unwrap_or_default();
    answer.find(
        Cause::WaitsForTurn,
        last.basis(),
        format!("{} is to be raised{to}, and the raises of other pools of its region go first", last.decision.pool),
        "nothing: each tick of waiting makes it more urgent. If it lasts, raise `deadline`, or split the pools over two scalers",
    );
}

fn dry_run(answer: &mut Answer, last: Tick<'_>) {
    let to = last.decision.to.map(|to| format!(" to {to}")).unwrap_or_default();
    answer.find(
        Cause::DryRun,
        last.basis(),
        format!("{} would be raised{to}, but the scaler runs with --dry-run and changes nothing", last.decision.pool),
        "start lightsout-scaler without --dry-run",
    );
}

/// What is asked for, as the beginning of a sentence.
fn jobs(plan: &Explanation) -> String {
    match plan.running {
        Some(running) => format!("{} waiting and {running} running jobs", plan.queued),
        None => format!("{} waiting jobs (those that run are not known)", plan.queued),
    }
}
