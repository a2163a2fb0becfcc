//! Carries out the agent's effects, each in a task of its own, and answers each exactly once. It decides nothing.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lightsout_cloud::Host;
use lightsout_core::{
    agent::{
        action::Rung,
        event::Event,
        host::{
            CloudAnswer, CloudCall, EffectId, HostEffect, HostResult, JournalEntry, PlatformAnswer, Prepared,
            RunnerSeen, ToldToDrain,
        },
    },
    cloud::{CloudError, CloudErrorKind, Leave},
    duration::not_within,
    exchange::{ErrorKind, ExchangeError},
    platform::Launch,
    settings::Argv,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    before_register::BeforeRegister,
    input::{Input, Inputs},
    jobs::Jobs,
    journal::Journal,
    life_sign::LifeSign,
    metadata_guard::Guard,
    platform_access::PlatformAccess,
    process::Process,
    records::Delivery,
    runner_process::{NotStarted, RunnerProcess, unit_of},
    space::Space,
};

/// How long the disk may take for the journal: well within the time that systemd gives the agent.
const DISK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question to the cloud may take; each cloud has shorter limits of its own.
const CLOUD_TIMEOUT: Duration = Duration::from_secs(90);
/// How soon after its start a runner's last words are of interest. One that is a vendor's service waits a minute for what it has started.
const SOON: Duration = Duration::from_secs(90);
/// How long the command that switches the machine off may take.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that effects need. Cheap to clone: each effect's task holds one.
#[derive(Clone)]
pub(crate) struct Effects {
    pub host: Arc<dyn Host>,
    pub platform: Arc<PlatformAccess>,
    pub runner: Arc<RunnerProcess>,
    /// Why this agent may start no runner, although one that runs is looked after.
    pub refused: Option<Arc<str>>,
    pub guard: Arc<Guard>,
    pub space: Arc<Space>,
    pub life_sign: LifeSign,
    /// The operator's own program for each boot, if there is one.
    pub before_register: Option<Arc<BeforeRegister>>,
    pub power_off: Argv,
    pub inputs: Inputs,
    /// Entries on their way to the disk, in order.
    pub journal: mpsc::UnboundedSender<(EffectId, JournalEntry)>,
    /// What the last registration yielded; it holds secrets, so it stays here until the runner starts.
    pub launch: Arc<Mutex<Option<Launch>>>,
    /// What jobs ran in when it was last noted.
    pub jobs: Arc<tokio::sync::Mutex<Jobs>>,
    /// The process whose exit will be told.
    pub watched: Arc<Mutex<Option<u32>>>,
    /// Why the instance leaves, in words, once it does.
    pub reason: Arc<Mutex<String>>,
}

impl Effects {
    /// Takes an effect on, and performs it after what is to come first. Never waits.
    pub(crate) fn perform(&self, id: EffectId, effect: HostEffect, first: Option<Delivery>) {
        if let HostEffect::WriteJournal(entry) = effect {
            // The writer lives as long as the program.
            let _ = self.journal.send((id, entry));
            return;
        }
        let effects = self.clone();
        tokio::spawn(async move {
            if let Some(first) = first {
                first.await;
            }
            let (result, runner) = effects.carry_out(effect).await;
            tracing::trace!(?effect, ?result, "effect");
            let _ = effects.inputs.send(Input::Result(id, result)).await;
            // After the result, so that an exit is told of a runner that the agent has heard of; and told even if it
            // came at once.
            if let Some(runner) = runner {
                effects.watch_exit(runner);
            }
        });
    }

    /// The result, and the runner that was found or started, whose exit is to be told.
    async fn carry_out(&self, effect: HostEffect) -> (HostResult, Option<Process>) {
        let result = match effect {
            HostEffect::WriteJournal(_) => HostResult::Done(Err("the journal has a writer of its own".into())),
            HostEffect::Prepare { within } => HostResult::Prepared(match &self.before_register {
                Some(program) => {
                    let prepared = program.run(within).await;
                    if matches!(prepared, Prepared::Failed(_)) {
                        let _ = self.inputs.send(Input::BeforeRegisterSaid(program.last_words())).await;
                    }
                    prepared
                }
                None => Prepared::Unknown("agent.before_register is new in the settings: start the agent again".into()),
            }),
            HostEffect::FindRunner => match self.runner.find().await {
                Ok(Some(process)) => {
                    let told = self.runner.told(&process);
                    return (HostResult::Runner(Ok(Some(RunnerSeen { told }))), Some(process));
                }
                Ok(None) => HostResult::Runner(Ok(None)),
                Err(why) => HostResult::Runner(Err(why)),
            },
            HostEffect::LookForRoom => HostResult::Room(self.space.look().await),
            HostEffect::LookForCleaning => HostResult::Done(self.space.is_over()),
            HostEffect::MakeRoom { within } => HostResult::Cleaned(self.space.make_room(within).await),
            HostEffect::StartRunner { stop_signal } => {
                let launch = self.launch.lock().ok().and_then(|mut launch| launch.take());
                match self.runner.user() {
                    Ok(user) => self.guard.put_up(user).await,
                    Err(why) => return (HostResult::Done(Err(why)), None),
                }
                match launch {
                    Some(launch) => match self.runner.start(&launch, stop_signal).await {
                        Ok(process) => {
                            self.life_sign.runner_is_told(ToldToDrain::No).await;
                            return (HostResult::Done(Ok(())), Some(process));
                        }
                        Err(NotStarted { why, said }) => {
                            if let Some(said) = said {
                                tracing::info!(said, "the runner ended at once");
                                let _ = self.inputs.send(Input::RunnerSaid(said)).await;
                            }
                            HostResult::Done(Err(why))
                        }
                    },
                    None => HostResult::Done(Err("nothing was registered that could be started".into())),
                }
            }
            HostEffect::NoteTold(told) => {
                self.life_sign.runner_is_told(told).await;
                let runner = Arc::clone(&self.runner);
                HostResult::Done(on_disk(move || runner.note_told(told)).await)
            }
            HostEffect::SignalRunner(signal) => HostResult::Done(self.runner.signal(signal).await),
            HostEffect::QuiesceRunner => HostResult::Done(match self.platform.quiesce() {
                Some(quiesce) => self.runner.quiesce(quiesce).await,
                None => Err("this platform's runner cannot be made to".into()),
            }),
            HostEffect::CountRequests => HostResult::Requests(self.platform.requests().await),
            HostEffect::AwaitExit { within } => HostResult::Exited(self.runner.exited_within(within).await),
            HostEffect::NoteJobs => {
                *self.jobs.lock().await = self.platform.jobs().await;
                HostResult::Done(Ok(()))
            }
            HostEffect::EndJobs => {
                self.jobs.lock().await.end().await;
                HostResult::Done(Ok(()))
            }
            HostEffect::KillRunner => {
                self.runner.kill();
                HostResult::Done(Ok(()))
            }
            HostEffect::Pause(pause) => {
                tokio::time::sleep(pause).await;
                HostResult::Done(Ok(()))
            }
            HostEffect::FindProgram => HostResult::Done(self.runner.find_program(self.platform.program().as_deref())),
            // Every way to a new runner begins with it: no platform hears of one that will not start.
            HostEffect::OpenPlatform => HostResult::Platform(match self.may_start().await {
                Err(why) => Err(ExchangeError::new(ErrorKind::Refused, why)),
                Ok(()) => self.platform.open().await.map(|_| PlatformAnswer::Done),
            }),
            HostEffect::Platform { call, within } => {
                HostResult::Platform(self.platform.call(call, within, &self.launch).await)
            }
            HostEffect::ForgetToken => {
                self.platform.forget_token();
                HostResult::Done(Ok(()))
            }
            HostEffect::Snapshot => {
                let (activity, token_refused) = self.platform.snapshot().await;
                HostResult::Snapshot { activity, token_refused }
            }
            HostEffect::Cloud(call) => {
                let what = format!("the cloud was asked for {} and gave no answer", call.words());
                let silent = not_within(what, CLOUD_TIMEOUT, "check the network");
                let asked = tokio::time::timeout(CLOUD_TIMEOUT, self.cloud(call)).await;
                HostResult::Cloud(asked.unwrap_or_else(|_| Err(CloudError::new(CloudErrorKind::Timeout, silent))))
            }
            HostEffect::ReleaseClients => {
                self.host.forget();
                self.platform.forget_clients();
                HostResult::Done(Ok(()))
            }
        };
        (result, None)
    }

    /// Whether a runner may be started here as things are now: what was missing when the agent began may have been made since.
    async fn may_start(&self) -> Result<(), String> {
        if let Some(why) = &self.refused {
            return Err(why.as_ref().into());
        }
        let runner = Arc::clone(&self.runner);
        on_disk(move || runner.make_folders().and_then(|()| runner.note_folder())).await?;
        self.runner.user().map(drop)
    }

    async fn cloud(&self, call: CloudCall) -> Result<CloudAnswer, CloudError> {
        let host = &self.host;
        match call {
            CloudCall::Membership => return host.membership().await.map(CloudAnswer::Membership),
            CloudCall::GroupSize => return host.group_size().await.map(CloudAnswer::GroupSize),
            CloudCall::FindHook => {
                return host.find_hook().await.map(|hook| CloudAnswer::Hook(hook.map(|hook| hook.timeout)));
            }
            CloudCall::ExtendLaunchHook => {
                return host.extend_launch_hook().await.map(|hook| CloudAnswer::Hook(Some(hook.timeout)));
            }
            CloudCall::CompleteLaunchHook => host.complete_launch_hook().await,
            CloudCall::End(Rung::Abandon) => host.abandon_launch().await,
            CloudCall::Protect(on) => host.protect(on).await,
            CloudCall::ExtendHook => host.extend_hook().await,
            CloudCall::CompleteHook => host.complete_hook().await,
            CloudCall::End(Rung::Decrement) => host.leave(Leave::Decrement).await,
            CloudCall::End(Rung::Replace) => host.leave(Leave::Replace).await,
            CloudCall::End(Rung::Unhealthy) => host.report_unhealthy().await,
            CloudCall::End(Rung::Terminate) => host.terminate().await,
            CloudCall::End(Rung::PowerOff) => self.power_off().await,
            CloudCall::RecordReady => host.record_ready().await,
            CloudCall::RecordReason(why) => {
                let said = self.reason.lock().map(|said| said.clone()).unwrap_or_default();
                host.record_reason(if said.is_empty() { why.as_str() } else { &said }).await
            }
        }
        .map(|()| CloudAnswer::Done)
    }

    async fn power_off(&self) -> Result<(), CloudError> {
        let failed = |why: String| Err(CloudError::new(CloudErrorKind::Other, why));
        tracing::error!(command = ?self.power_off, "switching the machine off: no gentler way worked");
        let program = self.power_off.program();
        let running =
            tokio::process::Command::new(program).args(self.power_off.arguments()).kill_on_drop(true).status();
        match tokio::time::timeout(POWER_OFF_TIMEOUT, running).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => failed(format!("{program}: {status}")),
            Ok(Err(error)) => failed(format!("{program}: {error}")),
            Err(_) => failed(not_within(
                format!("{program} (agent.power_off) did not end"),
                POWER_OFF_TIMEOUT,
                "does it ask somebody, or wait for the machine?",
            )),
        }
    }

    /// Why the instance leaves, in words, for whoever looks at it later.
    pub(crate) fn say_reason(&self, words: String) {
        if let Ok(mut reason) = self.reason.lock() {
            *reason = words;
        }
    }

    /// Has the exit of this runner told, once; at once if it has exited already.
    pub(crate) fn watch_exit(&self, process: Process) {
        if let Ok(mut watched) = self.watched.lock()
            && watched.replace(process.pid()) == Some(process.pid())
        {
            return;
        }
        let (inputs, watched, runner) = (self.inputs.clone(), Arc::clone(&self.watched), Arc::clone(&self.runner));
        tokio::spawn(async move { tell_exit(process, &runner, &watched, &inputs).await });
    }
}

async fn tell_exit(process: Process, runner: &RunnerProcess, watched: &Mutex<Option<u32>>, inputs: &Inputs) {
    let (since, unit) = (Instant::now(), unit_of(process.pid()));
    process.exited().await;
    // As one does that cannot register, or is too old: the record of its exit says what it said.
    let said = if since.elapsed() < SOON { runner.last_words(unit.as_deref()).await } else { None };
    if let Some(said) = said {
        tracing::info!(pid = process.pid(), unit, said, "the runner has exited soon after its start");
        let _ = inputs.send(Input::RunnerSaid(said)).await;
    } else {
        tracing::info!(pid = process.pid(), "the runner has exited");
    }
    // From here on its number may mean another process, whose exit must be told as well.
    if let Ok(mut watched) = watched.lock() {
        watched.take_if(|pid| *pid == process.pid());
    }
    let _ = inputs.send(Input::Event(Event::RunnerExited)).await;
}

/// Does something with the disk that must not keep the loop waiting, nor anyone for longer than [`DISK_TIMEOUT`].
async fn on_disk(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), String> {
    disk_answer(&mut tokio::task::spawn_blocking(work)).await
}

async fn disk_answer(working: &mut JoinHandle<io::Result<()>>) -> Result<(), String> {
    match tokio::time::timeout(DISK_TIMEOUT, working).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(not_within("the disk did not take it", DISK_TIMEOUT, "it is slow or does not answer: see dmesg")),
    }
}

/// Writes entries one after the other, in the order in which they were asked for, for ever. One that the disk is still
/// busy with is not overtaken.
pub(crate) async fn write_journal(
    journal: Journal,
    mut entries: mpsc::UnboundedReceiver<(EffectId, JournalEntry)>,
    inputs: Inputs,
) {
    let mut late: Option<JoinHandle<io::Result<()>>> = None;
    while let Some((id, entry)) = entries.recv().await {
        let mut written = Ok(());
        if let Some(earlier) = &mut late {
            written = disk_answer(earlier).await.map_err(|why| format!("an earlier entry: {why}"));
            if earlier.is_finished() {
                late = None;
            }
        }
        if late.is_none() {
            let file = journal.clone();
            let mut writing = tokio::task::spawn_blocking(move || file.write(entry));
            written = disk_answer(&mut writing).await;
            late = (!writing.is_finished()).then_some(writing);
        }
        let _ = inputs.send(Input::Result(id, HostResult::Done(written))).await;
    }
}
