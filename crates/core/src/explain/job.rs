//! Why a job waits, or what became of it.

use jiff::Timestamp;

use super::{Answer, Basis, Cause, Evidence, Facts, Job, JobState, Said, instance, pool};
use crate::{duration::format_about, record::IncidentKind};

/// Whether this is about the job.
pub(super) fn names(said: &Said, id: &str) -> bool {
    let is = |job: &String| job == id;
    match said {
        Said::Job(job) => job.id == id,
        Said::Status(status) => status.jobs.iter().any(is),
        Said::Departure(departure) => {
            let jobs = &departure.jobs;
            [&jobs.ids, &jobs.cut_ids, &jobs.at_stop].into_iter().flatten().any(is)
        }
        Said::Incident(incident) => incident.jobs.iter().any(is),
        Said::Decision(_) | Said::Activity(_) => false,
    }
}

pub(super) fn explain(id: &str, facts: &Facts<'_>, now: Timestamp) -> Answer {
    let mut answer = Answer::default();
    let named: Vec<&Evidence> = facts.all().filter(|it| names(&it.said, id)).collect();
    let said = named.iter().rev().find_map(|evidence| match &evidence.said {
        Said::Job(job) => Some((*evidence, &**job)),
        Said::Decision(_) | Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Activity(_) => None,
    });
    match (said, named.last()) {
        (Some((evidence, job)), _) => by_platform(&mut answer, evidence, job, facts, now),
        (None, Some(evidence)) => by_instance(&mut answer, id, evidence, facts, now),
        (None, None) => answer.miss(
            format!("what became of job {id}"),
            "no record names it: the scaler counts jobs, and an agent names those that it sees",
            "ask the platform which runner has it; if none, ask why nothing starts: lightsout explain POOL",
        ),
    }
    answer
}

/// As the platform tells it.
fn by_platform(answer: &mut Answer, evidence: &Evidence, job: &Job, facts: &Facts<'_>, now: Timestamp) {
    let Job { id, state, instance: on, tags, failure, waited_ms } = job;
    let basis = Basis::on(evidence);
    let waited = format_about(std::time::Duration::from_millis(*waited_ms));
    let asks = if tags.is_empty() { String::new() } else { format!(" (it asks for {})", tags.join(", ")) };
    let on_it = on.as_deref().map(|on| format!(" on {on}")).unwrap_or_default();
    let failure = failure.as_deref().map(|failure| format!(": {failure}")).unwrap_or_default();
    match state {
        JobState::Waiting => {
            answer.find(
                Cause::Waiting,
                basis,
                format!("job {id} has been waiting for {waited}{asks}"),
                "what the next sentences say about its pool",
            );
            waiting(answer, id, facts, now);
        }
        JobState::Running => {
            answer.find(
                Cause::Running,
                basis,
                format!("job {id} runs{on_it}, after it waited for {waited}"),
                "nothing",
            );
        }
        JobState::Done | JobState::Failed => answer.find(
            Cause::Ended,
            basis,
            format!("job {id} has ended by itself{on_it}{failure}, after it waited for {waited}"),
            "nothing that lightsout could do",
        ),
        JobState::Interrupted | JobState::Lost => {
            answer.find(
                Cause::Cut,
                basis,
                format!("job {id} was cut{on_it}{failure}"),
                "run it again; lightsout does not",
            );
            if let Some(on) = on {
                join(answer, instance::explain(on, facts, now));
            }
        }
    }
}

/// Why its pool starts nothing, where there is but one that it can be.
fn waiting(answer: &mut Answer, id: &str, facts: &Facts<'_>, now: Timestamp) {
    let mut pools: Vec<&str> = facts
        .all()
        .filter_map(|it| match &it.said {
            Said::Decision(decision) => Some(decision.pool.as_str()),
            Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => None,
        })
        .collect();
    pools.sort_unstable();
    pools.dedup();
    match pools[..] {
        [only] => join(answer, pool::explain(only, facts, now)),
        [] => answer.miss(
            format!("why job {id} waits"),
            "no record of the scaler is among what was read",
            "hand in what lightsout-scaler wrote to its standard output with --log-format json",
        ),
        [..] => answer.miss(
            format!("which pool job {id} is for"),
            format!("records of {} pools were read, and none names a job", pools.len()),
            format!("ask for the one whose tags it has: lightsout explain {}", pools[0]),
        ),
    }
}

/// As an agent tells it.
fn by_instance(answer: &mut Answer, id: &str, evidence: &Evidence, facts: &Facts<'_>, now: Timestamp) {
    let Some(on) = evidence.said.instance() else { return };
    if let Some(later) = facts.of_instance(on).find(|it| it.time >= evidence.time && tells_of_jobs(&it.said, id)) {
        answer.find(
            Cause::Running,
            Basis::on(evidence).and(later),
            format!("{on}: job {id} was seen running on it, and no longer at {:.0}", later.time),
            format!("lightsout explain {on}"),
        );
        return answer.miss(
            format!("how job {id} ended"),
            "an agent sees that a job runs no longer, and not how it ended",
            "ask the platform; if it failed with its machine, why that went: the line above",
        );
    }
    let (cause, what) = match &evidence.said {
        Said::Departure(departure) if departure.jobs.cut && !departure.jobs.at_stop.iter().any(|job| job == id) => {
            (Cause::Cut, "was on it when jobs were failed for a spot deadline")
        }
        Said::Departure(departure) if !departure.jobs.ids.iter().any(|job| job == id) => {
            answer.miss(
                format!("whether job {id} ended by itself"),
                format!(
                    "it ran on {on} when the service was told to stop, and was gone when that left: a machine that shuts down ends its jobs"
                ),
                "ask the platform how it ended",
            );
            return join(answer, instance::explain(on, facts, now));
        }
        Said::Departure(_) => (Cause::Ended, "was the last that was seen on it when it left"),
        Said::Decision(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => {
            (Cause::Running, "was seen running on it")
        }
    };
    answer.find(cause, Basis::on(evidence), format!("{on}: job {id} {what}"), format!("lightsout explain {on}"));
    if cause == Cause::Cut {
        join(answer, instance::explain(on, facts, now));
    }
}

/// Whether an agent says which jobs run, and that this one does not.
fn tells_of_jobs(said: &Said, id: &str) -> bool {
    match said {
        Said::Incident(incident) => {
            matches!(incident.what, IncidentKind::Busy | IncidentKind::Idle)
                && !incident.jobs.iter().any(|job| job == id)
        }
        Said::Decision(_) | Said::Departure(_) | Said::Status(_) | Said::Job(_) | Said::Activity(_) => false,
    }
}

fn join(answer: &mut Answer, other: Answer) {
    answer.known.extend(other.known);
    answer.not_known.extend(other.not_known);
}
