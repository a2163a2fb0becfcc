//! Jobs as they came: when, and for how long each ran.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// When it began to wait, since the trace's beginning.
    pub arrives: Duration,
    /// How long it runs once an instance takes it.
    pub runs: Duration,
}

/// Jobs in the order in which they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    begins: Timestamp,
    jobs: Vec<Job>,
}

impl Trace {
    /// These jobs, in whatever order, whose arrivals count from this instant. The first one that comes is the trace's beginning.
    pub fn since(origin: Timestamp, mut jobs: Vec<Job>) -> Self {
        jobs.sort_by_key(|job| job.arrives);
        let first = jobs.first().map(|job| job.arrives).unwrap_or_default();
        for job in &mut jobs {
            job.arrives -= first;
        }
        // What lies beyond the calendar has no hours of the day.
        let begins = SignedDuration::try_from(first).ok().and_then(|first| origin.checked_add(first).ok());
        Self { begins: begins.unwrap_or(origin), jobs }
    }

    /// The same where the hour of the day matters to nobody: arrivals count from 1970.
    pub fn new(jobs: Vec<Job>) -> Self {
        Self::since(Timestamp::UNIX_EPOCH, jobs)
    }

    /// When the first job comes. Schedules go by it, and nothing else.
    pub fn begins(&self) -> Timestamp {
        self.begins
    }

    /// The jobs, the first one first.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// From the first job's arrival to the last one's.
    pub fn span(&self) -> Duration {
        self.jobs.last().map(|job| job.arrives).unwrap_or_default()
    }

    /// How long all jobs run, one after the other.
    pub fn work(&self) -> Duration {
        self.jobs.iter().map(|job| job.runs).sum()
    }

    /// The most jobs that would run at the same time if none had to wait.
    pub fn peak(&self) -> usize {
        let mut changes: Vec<(Duration, bool)> =
            self.jobs.iter().flat_map(|job| [(job.arrives, true), (job.arrives + job.runs, false)]).collect();
        changes.sort_unstable();
        let (mut now, mut most) = (0_usize, 0);
        for (_, begins) in changes {
            now = if begins { now + 1 } else { now.saturating_sub(1) };
            most = most.max(now);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_begins_with_its_first_job_and_knows_its_peak() {
        let job = |arrives, runs| Job { arrives: Duration::from_secs(arrives), runs: Duration::from_secs(runs) };
        let trace = Trace::new(vec![job(130, 10), job(100, 20), job(110, 30), job(120, 5)]);
        assert_eq!(trace.jobs()[0], job(0, 20));
        assert_eq!((trace.span().as_secs(), trace.work().as_secs()), (30, 65));
        assert_eq!(trace.begins(), Timestamp::from_second(100).unwrap());
        // The first one ends as the third one comes.
        assert_eq!(trace.peak(), 2);
        assert_eq!((Trace::default().span(), Trace::default().peak()), (Duration::ZERO, 0));
    }
}
