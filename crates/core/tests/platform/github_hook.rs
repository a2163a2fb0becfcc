//! The script that GitHub's runner runs before each job, run by real shells with a stand-in for the worker.

use std::{
    env, fs,
    num::NonZeroU64,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lightsout_core::{
    exchange::ExchangeStep,
    platform::{
        HostContext, RunnerPlatform,
        github::{CLOUD, GitHubOwner, GitHubRegistration, GitHubRunner, GitHubRunnerSettings},
        job_pid_file::{JobPidFile, start_of},
    },
};

use crate::exchange::{argv, host, read_as, url};

/// Runs the hook as the worker does, as a child of its own, and then shows itself as the kernel sees it.
const WORKER: &str = "\"$SHELL_OF_HOOK\" -e \"$HOOK\" || echo failed\ncat /proc/$$/stat\n";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the hook from a process of this name; gives the names of the marks, what was printed, and the worker's place in
/// `/proc`.
fn marked(folder: &str, worker: &str, env: &[(&str, &str)], spoil: impl Fn(&Path)) -> (Vec<String>, Output) {
    let folder = Folder(env::temp_dir().join(format!("lightsout-hook-{}-{folder}", std::process::id())));
    fs::create_dir_all(&folder.0).expect("a folder");
    let settings = GitHubRunnerSettings {
        url: url(CLOUD),
        owner: GitHubOwner::Organization(read_as("acme")),
        runner_group_id: NonZeroU64::new(1).unwrap(),
        scale_set: None,
        labels: [].into(),
        work_folder: read_as("_work"),
        program: argv(&["/opt/actions-runner/run.sh"]).try_into().unwrap(),
    };
    let runner = GitHubRunner::new(settings, GitHubRegistration::Jit("eyJ9".into())).expect("settings that can work");
    let host = HostContext { runner_dir: folder.0.clone(), ..host() };
    let ExchangeStep::Done(Ok(launch)) = runner.registration(&host)(None).start() else { panic!("not launched") };
    let hook = &launch.files[0];
    fs::write(&hook.path, hook.contents.expose()).expect("the hook");
    let program = folder.0.join(worker);
    // Not a file that was written here: to run one fails while another test forks with it still open (ETXTBSY).
    symlink("/bin/sh", &program).expect("a worker of this name");
    spoil(&folder.0);
    let mut names = Vec::new();
    let mut output = None;
    for shell in ["sh", "bash"].into_iter().filter(|shell| Path::new("/bin").join(shell).exists()) {
        let mut command = Command::new(&program);
        command.arg("-c").arg(WORKER).env_remove("GITHUB_RUN_ID").env_remove("GITHUB_JOB").envs(env.iter().copied());
        let run = command.env("SHELL_OF_HOOK", shell).env("HOOK", &hook.path).output().expect("the worker runs");
        let jobs = fs::read_dir(folder.0.join("jobs")).into_iter().flatten().flatten();
        names.extend(jobs.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        let _ = fs::remove_dir_all(folder.0.join("jobs"));
        output = Some(run);
    }
    (names, output.expect("there is a shell"))
}

#[test]
fn the_worker_is_marked_with_its_job() {
    for (env, job) in [
        (&[("GITHUB_RUN_ID", "4711"), ("GITHUB_JOB", "unit_test-1")][..], "4711-unit_test-1"),
        (&[], "task-job"),
        (&[("GITHUB_RUN_ID", "../x"), ("GITHUB_JOB", "a b")], "task"),
    ] {
        let (names, output) = marked("worker with 'quotes'", "Runner.Worker", env, |_| {});
        let stat = String::from_utf8(output.stdout).expect("text");
        let (pid, _) = stat.split_once(' ').expect("a stat line");
        let mark = JobPidFile::parse(names.last().expect("a mark")).expect("well-formed");
        assert_eq!((mark.job.as_str(), mark.pid.to_string().as_str()), (job, pid));
        assert_eq!(start_of(&stat).map(|(start, _)| start), Some(mark.start));
        assert!(names.iter().all(|name| JobPidFile::parse(name).is_some_and(|mark| mark.job == job)), "{names:?}");
    }
}

#[test]
fn the_hook_never_fails_the_job() {
    let file_in_the_way = |folder: &Path| fs::write(folder.join("jobs"), "").expect("a file");
    for (name, worker, spoil) in [("other", "Runner.Other", None), ("spoilt", "Runner.Worker", Some(file_in_the_way))] {
        let (names, output) = marked(name, worker, &[], |folder| {
            if let Some(spoil) = spoil {
                spoil(folder);
            }
        });
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(names.is_empty() && !out.contains("failed"), "{names:?} {out}");
        assert!(error.contains("cannot be marked"), "{error}");
    }
}
