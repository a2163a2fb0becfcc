//! The whole agent in one process: a cloud in memory, a runner that is a shell script, no network.

mod unusable_settings;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use lightsout_cloud::{
    Archive, CloudFuture, Entry, Identity,
    fake::{FakeHost, FakeNotices, FakeSecrets, Fault, HostCall},
};
use lightsout_core::{
    cloud::{CloudError, CloudErrorKind, Ending, Leave, Machine, Membership, Notice, TargetState},
    settings::{AgentSettings, Fragment},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle};

use super::*;
use crate::control::Request;

/// Takes a job when the file `job` appears beside it, ends it when the file goes, and leaves when it is told to.
const RUNNER: &str = r#"cd "$0"; exec >/dev/null 2>&1; echo start >>log
trap 'echo told >>log; told=1' TERM
while { [ -z "$told" ] || [ -e job ]; }; do sleep 0.05; done; echo exit >>log"#;
const BUSY: &str = r#"cd "$0"; if [ -e job ]; then echo job-1; exit 10; fi"#;

/// So many looks, ten milliseconds apart: what never comes fails a test, and what comes late on a busy machine does not.
const PATIENCE: usize = 6_000;

/// Whatever users this machine has.
fn own_user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("root")
}

/// Has a job that heeds no signal, waits for it, and reports how it ended.
const PATIENT: &str = r#"cd "$0"; exec >/dev/null 2>&1; trap 'echo told >>log' TERM
sh -c 'trap "" TERM; touch job; while :; do sleep 0.1; done' & job=$!
while kill -0 $job; do wait $job; done; rm job; echo reported >>log"#;

/// An archive that never answers, and one that refuses.
enum Useless {
    Hangs,
    Refuses,
}

thread_local! {
    /// When the one that hangs was last asked: a test and its agent share a thread.
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl Archive for Useless {
    fn key(&self) -> &'static str {
        "log_group"
    }

    fn place(&self) -> String {
        "nowhere".into()
    }

    fn takes_all(&self) -> bool {
        true
    }

    fn put<'a>(&'a self, _: &'a Entry) -> CloudFuture<'a, ()> {
        match self {
            Self::Hangs => {
                ASKED.set(Some(Instant::now()));
                Box::pin(std::future::pending())
            }
            Self::Refuses => Box::pin(async { Err(CloudError::new(CloudErrorKind::Denied, "no")) }),
        }
    }
}

fn archives(_: &Identity, settings: &RecordsSettings) -> Vec<Box<dyn Archive>> {
    match settings.log_group.as_deref() {
        Some("hangs") => vec![Box::new(Useless::Hangs), Box::new(Useless::Refuses)],
        Some(_) => vec![Box::new(Useless::Refuses)],
        None => Vec::new(),
    }
}

struct Shell {
    folder: TempDir,
    host: FakeHost,
    notices: FakeNotices,
    inputs: Inputs,
    task: JoinHandle<Result<(), Failure>>,
}

impl Shell {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), FakeHost::default())
    }

    /// With a job, which is there before its runner: one that came later would have to hurry before the instance leaves as idle.
    async fn start_busy() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job"), "").unwrap();
        let shell = Self::start_in(folder, FakeHost::default());
        shell.until("it serves", |shell| shell.log() == "start\n").await;
        shell.until_phase("busy").await;
        shell
    }

    fn start_in(folder: TempDir, host: FakeHost) -> Self {
        Self::start_as(folder, host, own_user())
    }

    fn start_as(folder: TempDir, host: FakeHost, user: Option<&str>) -> Self {
        let place = folder.path().to_owned();
        let platform = format!(
            "run = [\"/bin/sh\", \"-c\", {RUNNER:?}, {place:?}]\nbusy = [\"/bin/sh\", \"-c\", {BUSY:?}, {place:?}]\n"
        );
        Self::start_with(folder, host, &platform, "10m", user)
    }

    /// With records that go to this log group, too.
    fn start_recording(log_group: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let more = format!(
            "run = [\"/bin/sh\", \"-c\", {RUNNER:?}, {place:?}]\nbusy = [\"/bin/sh\", \"-c\", {BUSY:?}, {place:?}]\n\
             [records]\nlog_group = {log_group:?}\n"
        );
        Self::start_with(folder, FakeHost::default(), &more, "10m", own_user())
    }

    fn start_with(folder: TempDir, host: FakeHost, platform: &str, boot_deadline: &str, user: Option<&str>) -> Self {
        Self::start_written(folder, host, platform, boot_deadline, user, None)
    }

    fn start_written(
        folder: TempDir,
        host: FakeHost,
        platform: &str,
        boot_deadline: &str,
        user: Option<&str>,
        written: Option<&str>,
    ) -> Self {
        let fragment = Self::fragment(&folder, platform, boot_deadline, user);
        let settings = AgentSettings::parse(&[fragment]).unwrap_or_else(|problems| panic!("{problems}"));
        Self::start_by(folder, host, settings, written)
    }

    /// An agent whose settings cannot work: one file of them is no TOML.
    fn start_unusable(folder: TempDir, host: FakeHost, boot_deadline: &str) -> Self {
        Self::start_unusable_with(folder, host, boot_deadline, "")
    }

    /// The same with these settings besides.
    fn start_unusable_with(folder: TempDir, host: FakeHost, boot_deadline: &str, more: &str) -> Self {
        let fragments = [
            Self::fragment(&folder, "run = [\"/bin/sleep\", \"100\"]\nbusy = [\"true\"]\n", boot_deadline, own_user()),
            Fragment::new("agent.d/05-more.toml", more),
            Fragment::new("agent.d/10-mine.toml", "idle_timeout = "),
        ];
        let problems = AgentSettings::parse(&fragments).unwrap_err().to_string();
        Self::start_by(folder, host, AgentSettings::salvaged(&fragments, &problems), None)
    }

    fn fragment(folder: &TempDir, platform: &str, boot_deadline: &str, user: Option<&str>) -> Fragment {
        let (state, socket) = (folder.path().join("state"), folder.path().join("agent.sock"));
        let own = user.map_or_else(String::new, |user| format!("runner_user = {user:?}\n"));
        let text = format!(
            "[agent]\n{own}boot_deadline = \"{boot_deadline}\"\nstate_dir = {state:?}\nsocket = {socket:?}\nrunner_unit = false\nidle_timeout = \"1s\"\n\
             confirm = \"200ms\"\nfloor_retry = \"1s\"\nrung_patience = \"3s\"\n[docker]\nenabled = false\n\
             [platform.command]\ndrain_signal = \"TERM\"\nchildren = false\n{platform}"
        );
        Fragment { path: "agent.toml".into(), text }
    }

    fn start_by(folder: TempDir, host: FakeHost, settings: AgentSettings, written: Option<&str>) -> Self {
        let identity = Identity {
            instance: "i-1".into(),
            location: "here".into(),
            group: Some("g".into()),
            machine: Machine::default(),
            capabilities: None,
        };
        let notices = FakeNotices::new(identity.clone());
        let cloud = Cloud {
            identity,
            host: Arc::new(host.clone()),
            notices: Arc::new(notices.clone()),
            secrets: Box::new(FakeSecrets),
            archives,
        };
        let (inputs, incoming) = mpsc::channel(64);
        let (written, processes) = (written.map(str::to_owned), folder.path().join("processes"));
        fs::create_dir_all(&processes).unwrap();
        let task = tokio::spawn(run_on(settings, cloud, written, Boot::start(), processes, inputs.clone(), incoming));
        Self { folder, host, notices, inputs, task }
    }

    /// Another agent after a crash of this one.
    async fn restart(self) -> Self {
        let (folder, host) = self.crash().await;
        Self::start_in(folder, host)
    }

    async fn crash(mut self) -> (TempDir, FakeHost) {
        self.task.abort();
        let _ = (&mut self.task).await;
        (std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()), self.host.clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..PATIENCE {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let status = self.request(Request::Status).await;
        panic!("not within a minute: {what}; calls {:?}, log {:?}, {status:?}", self.host.calls(), self.log());
    }

    async fn request(&self, request: Request) -> Result<Value, String> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inputs.send(Input::Request(request, answer)).await.unwrap();
        answered.await.unwrap()
    }

    async fn phase(&self) -> String {
        self.request(Request::Status).await.unwrap()["phase"].as_str().unwrap().to_owned()
    }

    async fn until_phase(&self, phase: &str) {
        for _ in 0..PATIENCE {
            if self.phase().await == phase {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {phase} within a minute: {:?}", self.request(Request::Status).await);
    }

    fn end_job(&self) {
        fs::remove_file(self.path("job")).unwrap();
    }

    fn leaves(&self) -> usize {
        self.host.calls().iter().filter(|call| **call == HostCall::Leave(Leave::Decrement)).count()
    }
}

/// The runner is nobody's child any more: what a failed test leaves behind ends here.
impl Drop for Shell {
    fn drop(&mut self) {
        self.task.abort();
        let record = fs::read_to_string(self.path("state/runner.pid")).unwrap_or_default();
        let pid = record.split(' ').next().and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.filter(|pid| *pid > 0).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[tokio::test]
async fn an_idle_instance_leaves_with_decrement_once_its_runner_is_gone() {
    let shell = Shell::start();
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    assert_eq!(shell.log(), "start\ntold\nexit\n", "the exit is the proof");
    shell
        .until("the reason is recorded", |shell| {
            shell.host.state().reason.is_some_and(|reason| reason.starts_with("idle: no job for "))
        })
        .await;
}

/// What an earlier agent began goes on without it; a job must not begin beside it.
#[tokio::test]
async fn no_runner_is_registered_while_room_is_still_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let lock = fs::File::create(folder.path().join("clean.lock")).unwrap();
    lock.lock().unwrap();
    let shell = Shell::start_in(folder, FakeHost::default());
    let status = |shell: &Shell| fs::read_to_string(shell.path("state/status.json")).unwrap_or_default();
    shell.until("it says what it waits for", |shell| status(shell).contains("room for jobs is still being made")).await;
    assert_eq!(shell.log(), "");
    drop(lock);
    shell.until("the runner starts", |shell| shell.log().starts_with("start\n")).await;
}

/// Nothing but its runner's end lets an instance go, not even a runner that nothing on the instance would recognise.
#[tokio::test]
async fn a_runner_that_rewrites_its_environment_is_told_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let run = format!("run = [\"env\", \"-i\", \"/bin/sh\", \"-c\", {RUNNER:?}, {place:?}]\nbusy = [\"true\"]\n");
    fs::write(place.join("job"), "").unwrap();
    let shell = Shell::start_with(folder, FakeHost::default(), &run, "10m", own_user());
    shell.until("it is told", |shell| shell.log() == "start\ntold\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((shell.leaves(), &*shell.log()), (0, "start\ntold\n"));
    shell.end_job();
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    assert_eq!(shell.log(), "start\ntold\nexit\n");
}

#[tokio::test]
async fn a_job_keeps_it_and_the_hook_while_the_group_wants_it_gone() {
    let shell = Shell::start_busy().await;
    shell.host.change(|state| state.membership = Membership::Terminating { waiting: true });
    shell.notices.send(Notice::Target(TargetState::Terminated)).await;
    shell
        .until("it is told and the hook is extended", |shell| {
            shell.log() == "start\ntold\n" && shell.host.calls().contains(&HostCall::ExtendHook)
        })
        .await;
    assert_eq!(shell.phase().await, "draining");
    assert!(!shell.host.calls().contains(&HostCall::CompleteHook));
    shell.end_job();
    shell.until("the hook is completed", |shell| shell.host.calls().contains(&HostCall::CompleteHook)).await;
    assert_eq!(shell.leaves(), 0, "the group had chosen it: nothing is lowered");
}

/// As on the platforms that a fleet tries (`before_a_spot_deadline_each_platform_hears_of_a_deaf_job`).
#[tokio::test]
async fn before_a_spot_deadline_your_own_runner_reports_a_deaf_job() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let platform = format!(
        "run = [\"/bin/sh\", \"-c\", {PATIENT:?}, {place:?}]\nbusy = [\"/bin/sh\", \"-c\", {BUSY:?}, {place:?}]\n"
    );
    let shell = Shell::start_with(folder, FakeHost::default(), &platform, "10m", own_user());
    shell.until_phase("busy").await;
    shell.until("it watches", |shell| shell.notices.watched()).await;
    let at = jiff::Timestamp::now() + Duration::from_secs(20);
    shell.notices.send(Notice::Ending { by: Ending::Interruption, at: Some(at) }).await;
    shell.until("the runner reports", |shell| shell.log().ends_with("reported\n")).await;
    assert!(jiff::Timestamp::now() < at, "in time");
    assert!(shell.log().starts_with("told\n"), "it was asked to before its job was ended: {:?}", shell.log());
}

#[tokio::test]
async fn a_lost_answer_is_followed_by_a_look_and_no_second_decrement() {
    let host = FakeHost::default();
    host.inject(HostCall::Leave(Leave::Decrement), Fault::Lost { applied: true });
    let shell = Shell::start_in(tempfile::tempdir().unwrap(), host);
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    let looks = |shell: &Shell| shell.host.calls().iter().filter(|call| **call == HostCall::Membership).count();
    let before = looks(&shell);
    shell.until("it looks", |shell| looks(shell) > before + 1).await;
    assert_eq!(shell.leaves(), 1);
}

#[tokio::test]
async fn an_order_is_acknowledged_once_it_is_on_the_disk_and_can_be_taken_back() {
    let shell = Shell::start_busy().await;
    let said = shell.request(Request::Drain).await.unwrap();
    assert!(said.as_str().unwrap().starts_with("draining"), "{said}");
    let journal = fs::read_to_string(shell.path("state/journal.json")).unwrap();
    assert!(journal.contains(r#""state":"leaving","why":"operator""#), "{journal}");
    shell.until("the runner is told", |shell| shell.log().ends_with("told\n")).await;
    assert_eq!(shell.request(Request::Undrain).await.unwrap(), "serving again");
    shell.end_job();
    shell.until("a new runner starts", |shell| shell.log() == "start\ntold\nexit\nstart\n").await;
    let refused = shell.request(Request::Undrain).await.unwrap_err();
    assert!(refused.contains("cannot undrain"), "{refused}");
}

#[tokio::test]
async fn a_cloud_that_refuses_everything_is_climbed_to_power_off() {
    let host = FakeHost::default();
    for call in [
        HostCall::Leave(Leave::Decrement),
        HostCall::Leave(Leave::Replace),
        HostCall::ReportUnhealthy,
        HostCall::Terminate,
    ] {
        host.inject(call, Fault::Refused(CloudError::new(CloudErrorKind::Denied, "a right is missing")));
    }
    let shell = Shell::start_in(tempfile::tempdir().unwrap(), host);
    shell.until("the blunter ways are tried", |shell| shell.host.calls().contains(&HostCall::Terminate)).await;
}

#[tokio::test]
async fn a_runner_of_an_earlier_agent_is_found_and_not_started_again() {
    let shell = Shell::start_busy().await;
    let shell = shell.restart().await;
    shell.until_phase("busy").await;
    shell.end_job();
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    assert_eq!(shell.log(), "start\ntold\nexit\n");
}

#[tokio::test]
async fn a_runner_is_looked_after_by_an_agent_that_could_start_none() {
    let shell = Shell::start_busy().await;
    let (folder, host) = shell.crash().await;
    // The user is gone, or was never made.
    let shell = Shell::start_as(folder, host, Some("nobody-has-this-name"));
    shell.until_phase("busy").await;
    shell.end_job();
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    assert_eq!(shell.log(), "start\ntold\nexit\n");
}

#[tokio::test]
async fn the_status_file_follows() {
    let shell = Shell::start();
    let phase = |path: &Path| {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Value>(&text).ok().and_then(|status| Some(status["phase"].as_str()?.to_owned()))
    };
    shell.until("idle", |shell| phase(&shell.path("state/status.json")).as_deref() == Some("idle")).await;
}

#[tokio::test]
async fn an_instance_whose_disk_takes_nothing_leaves_as_broken() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    // Where the runner's folder would be: nothing, and nothing can be made.
    std::os::unix::fs::symlink(folder.path().join("no/room"), folder.path().join("state/runner")).unwrap();
    let run = "run = [\"/bin/sleep\", \"100\"]\nbusy = [\"true\"]\n";
    let shell = Shell::start_with(folder, FakeHost::default(), run, "2s", own_user());
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    shell
        .until("the reason is recorded", |shell| {
            shell.host.state().reason.is_some_and(|reason| reason.starts_with("broken: "))
        })
        .await;
}

#[tokio::test]
async fn an_agent_that_can_make_no_socket_serves_and_ends_its_instance() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("agent.sock")).unwrap();
    let shell = Shell::start_in(folder, FakeHost::default());
    shell.until("it serves", |shell| shell.log().starts_with("start\n")).await;
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
}

#[tokio::test]
async fn an_instance_without_its_runners_user_leaves_as_broken() {
    let run = "run = [\"/bin/sleep\", \"100\"]\nbusy = [\"true\"]\n";
    let user = Some("nobody-has-this-name");
    let shell = Shell::start_with(tempfile::tempdir().unwrap(), FakeHost::default(), run, "2s", user);
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    shell
        .until("the reason is recorded", |shell| {
            shell.host.state().reason.is_some_and(|reason| reason.contains("nobody-has-this-name"))
        })
        .await;
}

/// As with a volume that user data mounts, and a disk that becomes writable.
#[tokio::test]
async fn a_state_folder_that_can_be_made_later_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "in its place").unwrap();
    let shell = Shell::start_in(folder, FakeHost::default());
    shell
        .until("it says what is missing", |shell| {
            fs::read_to_string(shell.path("state")).is_ok_and(|text| text == "in its place") && shell.notices.watched()
        })
        .await;
    fs::remove_file(shell.path("state")).unwrap();
    shell.until("the runner starts", |shell| shell.log().starts_with("start\n")).await;
}

/// The certificate is handed in beside the ending, which waits for it for a moment. How long at most is a matter of `records::sinks` and the core's.
#[tokio::test]
async fn an_ending_waits_for_an_archive_for_a_moment() {
    let shell = Shell::start_recording("hangs");
    shell.until("it leaves", |shell| shell.leaves() > 0).await;
    let asked = ASKED.get().expect("it was handed in before");
    assert!(asked.elapsed() > Duration::from_millis(1_500), "it waits for the answer: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_drain_that_a_group_gives_to_every_new_instance_drains_none() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let platform = format!(
        "run = [\"/bin/sh\", \"-c\", {RUNNER:?}, {place:?}]\nbusy = [\"/bin/sh\", \"-c\", {BUSY:?}, {place:?}]\n"
    );
    fs::write(place.join("job"), "").unwrap();
    let shell = Shell::start_written(folder, FakeHost::default(), &platform, "10m", own_user(), Some("drain"));
    shell.until("it watches", |shell| shell.notices.watched()).await;
    shell.until_phase("busy").await;
    shell.notices.send(Notice::Order(Some("drain".into()))).await;
    // Each answer is a turn of the loop, and the first of them is behind the notice's way there.
    for _ in 0..10 {
        assert_eq!(shell.phase().await, "busy");
    }
    shell.notices.send(Notice::Order(Some("drain for i-1".into()))).await;
    shell.until_phase("draining").await;
    shell.notices.send(Notice::Order(None)).await;
    shell.until_phase("busy").await;
    shell.end_job();
}
