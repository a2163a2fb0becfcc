//! One job from its claim to its reported end, on a platform in memory.

use std::sync::{Mutex, atomic::AtomicBool, atomic::Ordering};

use anyhow::anyhow;

use super::*;
use crate::process::{ProcessGroup, command};

/// A platform that remembers what it is told.
#[derive(Default)]
struct Platform {
    output: Mutex<Vec<u8>>,
    ends: Mutex<Vec<Outcome>>,
    /// It does not want the job.
    canceled: bool,
    /// How many of the next requests fail.
    failures: Mutex<u32>,
    refuses: bool,
}

impl Platform {
    fn fails_now(&self) -> bool {
        let mut failures = self.failures.lock().unwrap();
        let fails_now = *failures > 0;
        *failures = failures.saturating_sub(1);
        fails_now
    }

    fn output(&self) -> String {
        String::from_utf8(self.output.lock().unwrap().clone()).unwrap()
    }
}

impl JobSource for Platform {
    type Job = Job;

    async fn claim(&self, _: &Faults) -> Claim<Job> {
        Claim::Over("the one job is gone".to_owned())
    }

    async fn append(&self, _: &Job, sent: usize, piece: &Bytes) -> Result<bool> {
        anyhow::ensure!(!self.fails_now(), "not now");
        let mut output = self.output.lock().unwrap();
        assert_eq!(output.len(), sent);
        output.extend_from_slice(piece);
        Ok(!self.canceled)
    }

    async fn finish(&self, _: &Job, outcome: &Outcome) -> Finish {
        if self.fails_now() {
            return Finish::Failed(anyhow!("not now"));
        }
        self.ends.lock().unwrap().push(outcome.clone());
        if self.refuses { Finish::Refused(anyhow!("no")) } else { Finish::Taken }
    }
}

/// Runs jobs as processes.
#[derive(Default)]
struct Starter {
    ended: AtomicBool,
}

impl JobStarter<Job> for Starter {
    async fn prepare(&self, job: &Job) -> Result<()> {
        anyhow::ensure!(job.image.is_none(), "no such image");
        Ok(())
    }

    async fn start(&self, job: &Job) -> Result<RunningJob> {
        Ok(RunningJob::Processes(ProcessGroup::spawn(command(&job.argv, job)?)?))
    }

    fn ended(&self, _: &Job) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn script(script: &str) -> Job {
    Job { id: 7, argv: ["sh", "-c", script].map(str::to_owned).into(), ..Job::default() }
}

async fn run_at(platform: Platform, job: Job, aborted: Abort) -> Arc<Platform> {
    let (platform, starter) = (Arc::new(platform), Arc::new(Starter::default()));
    let (_aborting, aborted) = watch::channel(aborted);
    let job = run(job, Arc::clone(&platform), Arc::clone(&starter), aborted);
    tokio::time::timeout(Duration::from_secs(30), job).await.expect("the job ends");
    assert!(starter.ended.load(Ordering::SeqCst));
    platform
}

#[tokio::test]
async fn all_output_and_the_exit_code_reach_the_platform() {
    let platform = run_at(Platform::default(), script("echo one; echo two >&2; exit 3"), Abort::No).await;
    let output = platform.output();
    assert!(output.contains("one\n") && output.contains("two\n"), "{output}");
    assert!(output.ends_with("\njob failed with exit code 3\n"), "{output}");
    assert_eq!(*platform.ends.lock().unwrap(), [Outcome::Failed(3)]);
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again() {
    let platform = Platform { failures: Mutex::new(3), ..Platform::default() };
    let platform = run_at(platform, script("echo one"), Abort::No).await;
    assert!(platform.output().contains("one\n"));
    assert_eq!(*platform.ends.lock().unwrap(), [Outcome::Success]);
}

#[tokio::test]
async fn an_end_that_is_refused_is_not_said_again() {
    let platform = Platform { refuses: true, ..Platform::default() };
    let platform = run_at(platform, script("true"), Abort::No).await;
    assert_eq!(*platform.ends.lock().unwrap(), [Outcome::Success]);
}

#[tokio::test]
async fn a_job_ends_early_for_one_of_three_reasons() {
    let job = || script("exec sleep 600");
    let canceled = run_at(Platform { canceled: true, ..Platform::default() }, job(), Abort::No).await;
    assert_eq!(*canceled.ends.lock().unwrap(), [Outcome::Canceled]);
    let aborted = run_at(Platform::default(), job(), Abort::Quick).await;
    assert_eq!(*aborted.ends.lock().unwrap(), [Outcome::Aborted]);
    let timeout = Some(Duration::from_millis(50));
    let late = run_at(Platform::default(), Job { timeout, ..job() }, Abort::No).await;
    assert_eq!(*late.ends.lock().unwrap(), [Outcome::TimedOut]);
}

#[tokio::test]
async fn a_patient_runner_kills_no_job_and_reports_it_when_it_has_ended() {
    let deaf = || script("trap '' TERM; echo deaf; i=0; while [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done; echo end");
    for (abort, ended) in [(Abort::Quick, false), (Abort::Patient, true)] {
        let platform = Arc::new(Platform::default());
        let (aborting, aborted) = watch::channel(Abort::No);
        let job = tokio::spawn(run(deaf(), Arc::clone(&platform), Arc::new(Starter::default()), aborted));
        while !platform.output().contains("deaf\n") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        aborting.send_replace(abort);
        tokio::time::timeout(Duration::from_secs(30), job).await.expect("the job ends").unwrap();
        assert_eq!(platform.output().contains("end\n\njob"), ended, "{abort:?}: {}", platform.output());
        assert_eq!(*platform.ends.lock().unwrap(), [Outcome::Aborted]);
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_reported() {
    let image = run_at(Platform::default(), Job { image: Some("nowhere".into()), ..script("true") }, Abort::No).await;
    assert_eq!(*image.ends.lock().unwrap(), [Outcome::NoImage("no such image".into())]);
    let nothing = run_at(Platform::default(), Job { argv: Vec::new(), ..script("") }, Abort::No).await;
    assert_eq!(*nothing.ends.lock().unwrap(), [Outcome::SystemFailure("the job has no command".into())]);
}

#[tokio::test]
async fn a_worker_ends_when_the_platform_has_no_more_jobs() {
    let options = WorkerOptions { slots: 1, single: false, interval: PAUSE, on_signal: |_, _| Stop::Finish };
    let ended = tokio::time::timeout(
        Duration::from_secs(30),
        work(Platform::default(), Starter::default(), Faults::at("http://127.0.0.1:1"), options),
    );
    assert!(ended.await.unwrap().unwrap_err().to_string().contains("the one job is gone"));
}
