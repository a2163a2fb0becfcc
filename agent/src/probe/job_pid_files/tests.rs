use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use lightsout_core::platform::{HostContext, job_pid_file};
use tempfile::TempDir;

use super::*;

/// A machine whose runner is registered: its wrapper is there, and the folder that is watched.
struct Machine {
    dir: TempDir,
    wrapper: std::path::PathBuf,
    jobs: std::path::PathBuf,
}

/// A folder whose name a careless script would trip over.
const NAME: &str = "it's a $HOME";

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runner_dir = dir.path().join(NAME);
        let me = HostContext {
            instance_id: "i-0abc".into(),
            group: None,
            runner_dir: runner_dir.clone(),
            slots: 1,
            metrics: None,
        };
        let secret = runner_dir.join("buildkite-agent.cfg");
        let script = job_pid_file::script(&me, Some("BUILDKITE_JOB_ID"), Some(&secret));
        assert!(script.contents.expose().starts_with("#!/bin/sh\n"));
        fs::create_dir_all(&runner_dir).unwrap();
        fs::write(&secret, "token").unwrap();
        fs::write(&script.path, script.contents.expose()).unwrap();
        Self { dir, wrapper: script.path.clone(), jobs: job_pid_file::folder(&me) }
    }

    fn job(&self, id: &str, program: &str) -> Child {
        // Not executed itself: that fails while another test forks with the file still open for writing (ETXTBSY).
        Command::new("/bin/sh")
            .arg(&self.wrapper)
            .args(["/bin/sh", "-c", program, "job", "two words"])
            .env("BUILDKITE_JOB_ID", id)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// A job that says when it runs and ends when its input does.
    fn started(&self, id: &str) -> Child {
        use std::io::Read;
        let mut job = self.job(id, "echo; read -r _ || exit 7");
        job.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        job
    }

    fn marks(&self) -> Vec<String> {
        let names = fs::read_dir(&self.jobs).into_iter().flatten();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_job_is_busy_from_its_first_moment_to_its_last_and_leaves_nothing() {
    let machine = Machine::new();
    assert_eq!(activity(&machine.jobs), Activity::Quiet, "there has been no job yet");
    let (mut first, mut second) = (machine.started("0190-ab"), machine.started("0190-cd"));
    let both = Activity::busy("0190-ab").and(Activity::busy("0190-cd"));
    assert_eq!(activity(&machine.jobs), both);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.jobs), 0o700);
    drop(first.stdin.take());
    assert_eq!(first.wait().unwrap().code(), Some(7), "the exit code is the job's own");
    assert_eq!(activity(&machine.jobs), Activity::busy("0190-cd"));
    drop(second.stdin.take());
    second.wait().unwrap();
    assert_eq!(activity(&machine.jobs), Activity::Quiet);
    assert_eq!(machine.marks(), Vec::<String>::new());
}

#[test]
fn the_job_gets_its_arguments_its_input_its_umask_and_its_signals() {
    use std::io::Write;
    let machine = Machine::new();
    let mut job = machine.job("", "cat; printf '%s' \"$1\"; umask");
    job.stdin.take().unwrap().write_all(b"input ").unwrap();
    let output = job.wait_with_output().unwrap();
    let umask = Command::new("/bin/sh").args(["-c", "umask"]).output().unwrap().stdout;
    assert_eq!(output.stdout, [b"input two words".as_slice(), &umask].concat());
    assert_eq!(output.stderr, b"");

    let mut job = machine.started("");
    assert_eq!(activity(&machine.jobs), Activity::busy("task"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&job), rustix::process::Signal::TERM).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&job.wait().unwrap()), Some(15));
    assert_eq!(activity(&machine.jobs), Activity::Quiet);
}

#[test]
fn no_job_finds_what_its_runner_was_registered_with() {
    let machine = Machine::new();
    let secret = machine.wrapper.with_file_name("buildkite-agent.cfg");
    assert!(secret.exists(), "the runner is to read it");
    for job in ["first", "second"] {
        let mut running = machine.started(job);
        assert!(!secret.exists(), "{job}");
        drop(running.stdin.take());
        let output = running.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(7), vec![]), "{job}: it ran, and heard of nothing");
    }
}

#[test]
fn a_crash_leaves_nobody_busy_and_nobody_idle() {
    let machine = Machine::new();
    // Whoever started the job is gone; the job is not.
    let mut job = machine.started("orphan");
    assert_eq!(activity(&machine.jobs), Activity::busy("orphan"));
    job.kill().unwrap();
    // Nobody has collected its exit status: it works no more all the same.
    while activity(&machine.jobs) != Activity::Quiet {
        std::thread::yield_now();
    }
    job.wait().unwrap();

    // The number of a dead job now belongs to another process: this one.
    fs::write(machine.jobs.join(format!("old.{}.1", std::process::id())), "").unwrap();
    assert_eq!(activity(&machine.jobs), Activity::Quiet);
    fs::write(machine.jobs.join("old.4194305.1"), "").unwrap();
    assert_eq!(activity(&machine.jobs), Activity::Quiet);
    assert_eq!(machine.marks(), Vec::<String>::new());
}

#[test]
fn what_is_not_understood_is_not_quiet() {
    let machine = Machine::new();
    fs::create_dir_all(machine.jobs.join("a folder")).unwrap();
    assert_eq!(activity(&machine.jobs), Activity::Quiet);
    fs::write(machine.jobs.join("notes"), "").unwrap();
    let Activity::Unknown(why) = activity(&machine.jobs) else { panic!("a strange file looks quiet") };
    assert!(why.contains("notes") && why.contains("remove it"), "{why}");
    let mut job = machine.started("real");
    assert_eq!(activity(&machine.jobs), Activity::busy("real"), "a job wins over a doubt");
    drop(job.stdin.take());
    job.wait().unwrap();
    let file = machine.dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(activity(&file), Activity::Unknown(_)), "a folder that cannot be read");
}

#[test]
fn a_job_that_cannot_be_marked_runs_all_the_same() {
    let machine = Machine::new();
    fs::write(&machine.jobs, "in the way").unwrap();
    let output = machine.job("x", "echo ran; exit 3").wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"ran\n"[..], Some(3)));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot be marked"), "{said}");
    assert!(matches!(activity(&machine.jobs), Activity::Unknown(_)));
}

#[test]
fn a_strange_job_id_leads_nowhere_else() {
    let machine = Machine::new();
    for id in ["../../evil", ".hidden", "a b", "$(id)"] {
        let mut job = machine.started(id);
        assert_eq!(activity(&machine.jobs), Activity::busy("task"), "{id}");
        drop(job.stdin.take());
        job.wait().unwrap();
        assert_eq!(activity(&machine.jobs), Activity::Quiet, "{id}");
    }
}
