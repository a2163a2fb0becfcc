//! Situations of a job.

use lightsout_core::{
    agent::phase::LeaveReason,
    explain::{Cause, Job, JobState, Question, Status},
    record::{IncidentKind, JobsAtEnd, Record},
    scaling::{Explanation, Limit},
};

use super::{Cutting, Scenario, scenario};
use crate::made::{
    departed, held, in_phase, incident, of_pool, plan, raised, recorded, running_jobs, status, told_job, waiting_job,
};

pub(super) fn all() -> Vec<Scenario> {
    let job = |name, evidence, first, also: &[Cause]| scenario(name, Question::Job("7".into()), evidence, first, also);
    let at_most = Explanation { max: 2, target: 2, limit: Limit::Max, ..plan(3, 2, 2) };
    let on = |state| Job { instance: Some("i-1".into()), state, ..Job::default() };
    let spot = || vec![incident(90, "i-1", IncidentKind::SpotNotice, "a notice")];
    let seen = || status(100, Status { jobs: vec!["7".into()], ..in_phase("busy") });
    let left = |jobs| recorded(Record::Departure(departed(100, "i-1", LeaveReason::Spot, "a notice").cutting(jobs)));
    let named = || vec!["7".to_owned()];
    let cut = || JobsAtEnd { count: Some(1), cut: true, cut_ids: named(), ..JobsAtEnd::default() };
    let last = JobsAtEnd { count: Some(1), ids: named(), ..JobsAtEnd::default() };
    vec![
        job(
            "a job that waits, at the maximum",
            vec![raised(0, plan(2, 0, 0), 2), held(30, at_most), waiting_job(31, &["linux"], 25)],
            Cause::Waiting,
            &[Cause::AtMost, Cause::Raised],
        ),
        job(
            "a job that waits, and another pool",
            vec![held(30, plan(1, 0, 1)), of_pool("other", held(30, plan(0, 0, 0))), waiting_job(31, &["linux"], 25)],
            Cause::Waiting,
            // Where the record of one of them is lost, the job is taken for the other's.
            &[Cause::Enough, Cause::NothingWaits, Cause::TagMismatch],
        ),
        job("a job that runs", vec![told_job(100, on(JobState::Running))], Cause::Running, &[]),
        job("a job that is seen to run", vec![seen()], Cause::Running, &[]),
        job(
            "a job that ran, as its agent wrote down",
            vec![running_jobs(50, &["6", "7"]), running_jobs(60, &["6"]), incident(70, "i-1", IncidentKind::Idle, "")],
            Cause::Running,
            &[],
        ),
        job("a job that is done", vec![told_job(100, on(JobState::Done))], Cause::Ended, &[]),
        job(
            "a job that was cut, as its platform says",
            [spot(), vec![left(cut()), told_job(101, on(JobState::Interrupted))]].concat(),
            Cause::Cut,
            &[Cause::Spot, Cause::Draining],
        ),
        job("a job that was cut, as its agent says", [spot(), vec![left(cut())]].concat(), Cause::Cut, &[Cause::Spot]),
        job("a job that was the last", vec![seen(), left(last)], Cause::Ended, &[Cause::Running]),
    ]
}
