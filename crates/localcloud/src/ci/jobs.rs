//! Jobs, the same for every CI platform: what waits, what runs where, and what became of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::{
    fleet::{JobState, JobView, NewJobs},
    time::Timestamp,
};

/// All jobs of the run, and what happened to them.
#[derive(Default)]
pub(crate) struct Jobs {
    all: BTreeMap<u64, Job>,
    events: VecDeque<JobEvent>,
}

pub(crate) struct Job {
    pub id: u64,
    /// The first job of those that were queued together: one workflow run, pipeline or build.
    pub batch: u64,
    /// The first job that this one repeats; its own number when it repeats none.
    pub first: u64,
    pub tags: Vec<String>,
    pub image: Option<String>,
    /// The command; when empty the job sleeps.
    pub argv: Vec<String>,
    pub seconds: f64,
    /// What its environment has beside what the platform itself puts there.
    pub variables: BTreeMap<String, String>,
    pub status: Status,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When the runner last said anything about it.
    pub updated_at: Timestamp,
    /// In the platform's words.
    pub failure_reason: Option<String>,
    pub exit_code: Option<i64>,
    /// The platform's number for the runner that has it or had it.
    pub runner: Option<u64>,
    /// What the machine that has it goes by at the platform.
    pub machine: Option<String>,
    pub trace: Vec<u8>,
    /// What became of it when its machine failed it, whatever the platform still believes.
    pub loss: Option<(JobLoss, Timestamp)>,
}

/// A job's status, as the platform believes it to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Running,
    Success,
    Failed,
    Canceled,
}

/// How a machine or its runner failed a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobLoss {
    /// Without warning, or without a word to the platform.
    Lost,
    /// Its runner told the platform, after a spot notice.
    Interrupted,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    Success,
    Failed {
        /// In the platform's words.
        reason: String,
        cause: Cause,
    },
    Canceled(Cause),
}

/// Whose doing a bad end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The job's own, or that of somebody who wanted it so.
    Job,
    /// The runner's, which told the platform itself.
    Runner,
    /// The machine's or its runner's, which vanished: the platform had to find out.
    Machine,
}

/// Something that happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobEvent {
    pub at: Timestamp,
    pub job: u64,
    pub machine: Option<String>,
    pub kind: JobEventKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JobEventKind {
    Queued,
    Picked,
    Ended(JobOutcome),
}

/// The longest trace that is kept of a job, in bytes.
pub(crate) const TRACE_CAP: usize = 4 << 20;

const FIRST_ID: u64 = 1001;

impl Jobs {
    /// Puts jobs into the queue.
    pub(crate) fn enqueue(&mut self, new: &NewJobs, now: Timestamp) -> Vec<u64> {
        let batch = self.next_id();
        let ids: Vec<u64> = (batch..batch + u64::from(new.count)).collect();
        for id in &ids {
            self.all.insert(*id, Job::new(*id, batch, new, now));
            self.emit(*id, JobEventKind::Queued, now);
        }
        ids
    }

    /// Queues a job again that has ended, beside it and of the same batch; the new one's number.
    pub(crate) fn repeat(&mut self, id: u64, now: Timestamp) -> Option<u64> {
        let old = self.all.get(&id).filter(|job| job.status.is_over())?;
        let (batch, first, again) = (old.batch, old.first, old.again());
        let next = self.next_id();
        self.all.insert(next, Job { first, ..Job::new(next, batch, &again, now) });
        self.emit(next, JobEventKind::Queued, now);
        Some(next)
    }

    /// Queues the jobs of a batch again, as one of their own; its number.
    pub(crate) fn repeat_batch(&mut self, batch: u64, now: Timestamp) -> Option<u64> {
        let of_it = self.all.values().filter(|job| job.batch == batch && job.first == job.id);
        let again: Vec<NewJobs> = of_it.map(Job::again).collect();
        let next = self.next_id();
        for (id, job) in (next..).zip(&again) {
            self.all.insert(id, Job::new(id, next, job, now));
            self.emit(id, JobEventKind::Queued, now);
        }
        (!again.is_empty()).then_some(next)
    }

    fn next_id(&self) -> u64 {
        self.all.last_key_value().map_or(FIRST_ID, |(last, _)| last + 1)
    }

    /// The jobs of a batch without those that another one repeats, oldest first.
    pub(crate) fn batch(&self, batch: u64) -> Vec<&Job> {
        self.iter().filter(|job| job.batch == batch && !self.is_repeated(job)).collect()
    }

    /// The numbers of all batches, the newest first.
    pub(crate) fn batches(&self) -> Vec<u64> {
        let all: BTreeSet<u64> = self.iter().map(|job| job.batch).collect();
        all.into_iter().rev().collect()
    }

    /// Whether a later job repeats this one.
    pub(crate) fn is_repeated(&self, job: &Job) -> bool {
        self.all.range(job.id + 1..).any(|(_, later)| later.first == job.first)
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Job> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Job> {
        self.all.get_mut(&id)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.all.values()
    }

    /// Those that wait, oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Job> {
        self.all.values().filter(|job| job.status == Status::Pending)
    }

    /// Those that run as far as the platform knows, oldest first.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Job> {
        self.all.values().filter(|job| job.status == Status::Running)
    }

    /// Those that this runner has, oldest first.
    pub(crate) fn held_by(&self, runner: u64) -> impl Iterator<Item = &Job> {
        self.running().filter(move |job| job.runner == Some(runner))
    }

    /// Gives a waiting job to a runner.
    pub(crate) fn hand_out(&mut self, id: u64, runner: u64, machine: Option<&str>, now: Timestamp) {
        let Some(job) = self.all.get_mut(&id) else { return };
        job.status = Status::Running;
        job.started_at = Some(now);
        job.updated_at = now;
        job.runner = Some(runner);
        job.machine = machine.map(str::to_owned);
        self.emit(id, JobEventKind::Picked, now);
    }

    /// Ends a job that waits or runs; one that has ended stays as it is.
    pub(crate) fn finish(&mut self, id: u64, end: JobOutcome, now: Timestamp) {
        let Some(job) = self.all.get_mut(&id).filter(|job| !job.status.is_over()) else { return };
        let (status, reason) = match &end {
            JobOutcome::Success => (Status::Success, None),
            JobOutcome::Failed { reason, .. } => (Status::Failed, Some(reason.clone())),
            JobOutcome::Canceled(_) => (Status::Canceled, None),
        };
        job.status = status;
        job.finished_at = Some(now);
        job.updated_at = now;
        job.failure_reason = reason;
        self.emit(id, JobEventKind::Ended(end), now);
    }

    /// The machine that goes by one of these names is gone, and its running jobs with it.
    pub(crate) fn machine_gone(&mut self, names: &[&str], now: Timestamp) -> Vec<u64> {
        let here = |job: &&mut Job| {
            job.status == Status::Running && job.machine.as_deref().is_some_and(|machine| names.contains(&machine))
        };
        let gone = self.all.values_mut().filter(here).filter(|job| job.loss.is_none());
        gone.map(|job| {
            job.loss = Some((JobLoss::Lost, now));
            job.id
        })
        .collect()
    }

    /// What became of a job that its machine failed.
    pub(crate) fn set_loss(&mut self, id: u64, loss: JobLoss, now: Timestamp) {
        if let Some(job) = self.all.get_mut(&id) {
            job.loss.get_or_insert((loss, now));
        }
    }

    /// The next thing that happened to a job.
    pub(crate) fn poll_event(&mut self) -> Option<JobEvent> {
        self.events.pop_front()
    }

    fn emit(&mut self, job: u64, kind: JobEventKind, at: Timestamp) {
        let machine = self.all.get(&job).and_then(|job| job.machine.clone());
        self.events.push_back(JobEvent { at, job, machine, kind });
    }
}

impl Job {
    fn new(id: u64, batch: u64, new: &NewJobs, now: Timestamp) -> Self {
        Self {
            id,
            batch,
            first: id,
            tags: new.tags.clone(),
            image: new.image.clone(),
            argv: new.argv.clone(),
            seconds: new.seconds,
            variables: new.variables.clone(),
            status: Status::Pending,
            queued_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
            failure_reason: None,
            exit_code: None,
            runner: None,
            machine: None,
            trace: Vec::new(),
            loss: None,
        }
    }

    /// The same once more.
    fn again(&self) -> NewJobs {
        let Self { tags, image, argv, seconds, variables, .. } = self;
        let (tags, image, argv, variables) = (tags.clone(), image.clone(), argv.clone(), variables.clone());
        NewJobs { count: 1, tags, image, argv, seconds: *seconds, variables }
    }

    pub(crate) fn name(&self) -> String {
        format!("job-{}", self.first)
    }

    /// The command as arguments.
    pub(crate) fn command(&self) -> Vec<String> {
        if self.argv.is_empty() { vec!["sleep".to_owned(), self.seconds.to_string()] } else { self.argv.clone() }
    }

    /// The command as one line for a POSIX shell.
    pub(crate) fn script(&self) -> String {
        quoted(&self.command())
    }

    /// How it stands for whoever waits for it.
    pub(crate) fn state(&self) -> JobState {
        match (self.loss, self.status) {
            (Some((JobLoss::Lost, _)), _) => JobState::Lost,
            (Some((JobLoss::Interrupted, _)), _) => JobState::Interrupted,
            (None, Status::Pending) => JobState::Waiting,
            (None, Status::Running) => JobState::Running,
            (None, Status::Success) => JobState::Done,
            (None, Status::Failed | Status::Canceled) => JobState::Failed,
        }
    }

    /// The job for people; `instance` is the one that its runner was matched to.
    pub(crate) fn view(&self, instance: Option<String>, now: Timestamp) -> JobView {
        let ended = self.loss.map(|(_, at)| at).or(self.finished_at);
        JobView {
            id: self.id,
            state: self.state(),
            instance,
            waited_s: seconds(self.queued_at, self.started_at.or(ended).unwrap_or(now)),
            ran_s: self.started_at.map(|started| seconds(started, ended.unwrap_or(now))),
            tags: self.tags.clone(),
            failure: self.failure_reason.clone(),
        }
    }
}

impl Status {
    /// Whether it stays as it is.
    pub(crate) fn is_over(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Success | Self::Failed | Self::Canceled => true,
        }
    }
}

/// Seconds between two stamps, to the millisecond; never negative.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    std::time::Duration::from_millis(u64::try_from(to.0 - from.0).unwrap_or(0)).as_secs_f64()
}

/// The value of a variable, from JSON: a text, or what is as good as one.
pub(crate) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The arguments as one line for a POSIX shell.
fn quoted(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let words = argv.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_the_shell_as_they_are() {
        let argv = ["echo", "it's", "", "a b", "$HOME", "--x=1"].map(String::from);
        assert_eq!(quoted(&argv), r"echo 'it'\''s' '' 'a b' '$HOME' --x=1");
    }

    #[test]
    fn an_end_is_final() {
        let mut jobs = Jobs::default();
        jobs.enqueue(&NewJobs::default(), Timestamp(0));
        jobs.hand_out(FIRST_ID, 1, Some("i-1"), Timestamp(5000));
        jobs.finish(FIRST_ID, JobOutcome::Success, Timestamp(9000));
        jobs.finish(FIRST_ID, JobOutcome::Canceled(Cause::Machine), Timestamp(10_000));
        let view = jobs.get(FIRST_ID).expect("the job").view(None, Timestamp(99_000));
        assert_eq!((view.state, view.waited_s, view.ran_s), (JobState::Done, 5.0, Some(4.0)));
        let job_event: Vec<JobEventKind> =
            std::iter::from_fn(|| jobs.poll_event()).map(|job_event| job_event.kind).collect();
        assert_eq!(job_event, [JobEventKind::Queued, JobEventKind::Picked, JobEventKind::Ended(JobOutcome::Success)]);
    }

    #[test]
    fn a_job_is_lost_the_moment_its_machine_is_gone() {
        let mut jobs = Jobs::default();
        jobs.enqueue(&NewJobs { count: 2, ..NewJobs::default() }, Timestamp(0));
        jobs.hand_out(FIRST_ID, 1, Some("i-1"), Timestamp(0));
        assert_eq!(jobs.machine_gone(&["i-2", "r_2"], Timestamp(3000)), [0; 0]);
        assert_eq!(jobs.machine_gone(&["i-1", "r_1"], Timestamp(3000)), [FIRST_ID]);
        let states: Vec<JobState> = jobs.iter().map(Job::state).collect();
        assert_eq!(states, [JobState::Lost, JobState::Waiting]);
        // The platform itself does not know yet.
        assert_eq!(jobs.running().count(), 1);
    }
}
