//! The loop: every source becomes one event, one event at a time goes to the core, and what the core asks for goes out.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use futures_util::StreamExt;
use lightsout_cloud::{Identity, PROVIDERS, Provider};
use lightsout_core::{
    activity::Activity,
    agent::{
        Agent,
        event::{Event, Order as CoreOrder, Outcome},
        phase::{Phase, Saved},
    },
    platform::{Me, Probe},
    settings::{AgentSettings, RunnerUnit},
    time::Tick,
};
use lightsout_io::{files, http::Driver};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_tokio::Signals;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch as channel},
    time::Instant,
};

use crate::{
    clock::{Clock, unix_ms_now},
    control::{self, Answer, Order},
    docker::{Engine, Selection},
    journal::{Entry, Journal},
    runner::{Runner, systemd_runs},
    status::Publisher,
    watch,
    work::Work,
};

/// How often the probes are asked without an occasion: while nothing runs, and while something does.
const CALM: Duration = Duration::from_secs(5);
const BRISK: Duration = Duration::from_secs(1);

/// How often within its time-out a lifecycle hook is extended.
const HEARTBEATS: u32 = 3;
/// The cloud that this instance is in: no setting names one yet.
const CLOUD: &Provider = PROVIDERS[0];

/// What reaches the loop.
pub enum Input {
    /// For the core.
    Event(Event),
    /// From the control socket.
    Order(Order, oneshot::Sender<Answer>),
    /// The settings are to be read again.
    Reload,
}

/// Reads and checks the settings.
///
/// # Errors
/// With a text for the operator that names every problem.
pub fn load(paths: &[PathBuf]) -> Result<AgentSettings, String> {
    let fragments = files::read(paths, "agent")?;
    AgentSettings::parse(&fragments).map_err(|problems| problems.to_string())
}

/// Runs until the instance is gone, or the second TERM.
///
/// # Errors
/// When the agent cannot begin.
pub async fn run(settings: AgentSettings, config: &[PathBuf]) -> anyhow::Result<()> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let clock = Clock::start();
    let notices = (CLOUD.notices)()?;
    let identity = notices.identity(settings.policy.boot_deadline).await?;
    let host = (CLOUD.host)(&identity, settings.hook.clone());
    let Identity { instance, location, group } = identity;
    tracing::info!(instance, region = location, group, version = env!("CARGO_PKG_VERSION"), "lightsout-agent starts");

    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&settings.state_dir)
        .with_context(|| format!("cannot make agent.state_dir {}", settings.state_dir.display()))?;
    let unit = match settings.runner_unit {
        RunnerUnit::Always if !systemd_runs() => {
            anyhow::bail!(
                "agent.runner_unit asks for a systemd unit, but systemd does not run here: write \"auto\" or false"
            )
        }
        RunnerUnit::Always => true,
        RunnerUnit::Auto => systemd_runs(),
        RunnerUnit::Never => false,
    };
    let runner_dir = settings.state_dir.join("runner");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&runner_dir)?;
    let runner = Arc::new(Runner::new(&runner_dir, unit));
    let found = runner.find().context("whether a runner runs already cannot be told")?;

    let journal = Journal::new(&settings.state_dir);
    let entry = journal.read(&instance).unwrap_or_else(|| Entry {
        instance: instance.clone(),
        saved: Saved::Serving,
        served: 0,
        registered: false,
        born_ms: unix_ms_now(),
    });
    if let Err(error) = journal.write(&entry) {
        // A full disk must not blind the agent: what it must not forget it finds again, or says so when it cannot.
        tracing::error!(%error, "the journal cannot be written; a crash would forget a drain");
    }

    let (inputs, mut incoming) = mpsc::channel(64);
    let (lane, lane_end) = mpsc::unbounded_channel();
    let engine = settings.docker.enabled.then(|| Arc::new(Engine::new(&settings.docker.socket)));
    let work = Arc::new(Work {
        me: Mutex::new(Me {
            instance_id: instance.clone(),
            group,
            runner_dir,
            slots: settings.slots,
            metrics: settings.metrics.clone(),
        }),
        secrets: (CLOUD.secrets)(Some(location)),
        host,
        runner: Arc::clone(&runner),
        engine,
        driver: Arc::new(Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (agent)"))),
        journal: tokio::sync::Mutex::new(journal),
        entry: Mutex::new(entry.clone()),
        inputs: inputs.clone(),
        platform: Mutex::new(None),
        prober: Mutex::new(None),
        dropped: Mutex::new(None),
        watched: Arc::default(),
        lane,
        settings,
    });
    tokio::spawn(Arc::clone(&work).run_lane(lane_end));

    let now = clock.now();
    let born = clock.tick_of(entry.born_ms).min(now);
    let mut agent = Agent::resume(work.settings.policy.clone(), entry.saved, found.is_some(), entry.served, born, now);
    if let Some(process) = found {
        tracing::info!(pid = process.pid(), saved = ?entry.saved, "found the runner of an earlier agent");
        work.watch_exit(process);
    }
    control::listen(&work.settings.socket, inputs.clone())
        .with_context(|| format!("cannot listen at agent.socket {}", work.settings.socket.display()))?;
    signals(inputs.clone())?;
    watch::watch(notices.as_ref(), &work.settings.imds, clock, inputs);
    let (pace, paced) = channel::channel(BRISK);
    look_often(&work, paced);

    let mut publisher = Publisher::new(&work.settings.state_dir, instance, clock);
    let mut shell = Shell { work: Arc::clone(&work), hook_asked: false, tagged: false };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut watchdog = tokio::time::interval(watchdog_pause());
    loop {
        while let Some(action) = agent.poll_action() {
            work.perform(action);
        }
        shell.follow(&agent, &pace);
        publisher.publish(&agent, work.host.group());
        if agent.phase() == Phase::Gone {
            break;
        }
        let timer = agent.poll_timeout();
        tokio::select! {
            biased;
            _ = watchdog.tick() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            }
            input = incoming.recv() => match input {
                Some(Input::Event(event)) => agent.handle(event, clock.now()),
                Some(Input::Order(order, answer)) => {
                    let said = give(&mut agent, &order, clock.now(), &publisher, &work).await;
                    let _ = answer.send(said);
                }
                Some(Input::Reload) => reload(&mut agent, config, clock.now()),
                None => break,
            },
            () = sleep_until(timer, clock) => agent.handle_timeout(clock.now()),
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = fs::remove_file(&work.settings.socket);
    tracing::info!("lightsout-agent exits");
    Ok(())
}

/// What the shell does of its own accord when the core's phase changes.
struct Shell {
    work: Arc<Work>,
    hook_asked: bool,
    tagged: bool,
}

impl Shell {
    fn follow(&mut self, agent: &Agent, pace: &channel::Sender<Duration>) {
        let phase = agent.phase();
        let calm = matches!(phase, Phase::Idle { .. } | Phase::Booting | Phase::Registering);
        pace.send_if_modified(|pace| std::mem::replace(pace, if calm { CALM } else { BRISK }) != *pace);
        if let Ok(mut entry) = self.work.entry.lock() {
            entry.served = agent.served();
        }
        // Once in service: learn the hook's time-out, then let go of the SDK, which is not needed while jobs run.
        if !self.hook_asked && !matches!(phase, Phase::Booting | Phase::Registering) {
            self.hook_asked = true;
            let work = Arc::clone(&self.work);
            tokio::spawn(async move { learn_hook(work).await });
        }
        if let (Phase::Retiring { why }, false) = (phase, self.tagged) {
            self.tagged = true;
            let work = Arc::clone(&self.work);
            tokio::spawn(async move {
                if let Err(error) = work.host.record_reason(why.as_str()).await {
                    tracing::warn!(%error, why = why.as_str(), "the instance could not be tagged");
                }
            });
        }
    }
}

async fn learn_hook(work: Arc<Work>) {
    match work.host.lifecycle_hook().await {
        Ok(Some(hook)) => {
            let _ = work.inputs.send(Input::Event(Event::Hook { heartbeat: hook.timeout / HEARTBEATS })).await;
        }
        Ok(None) => tracing::warn!(
            "the group has no termination hook: when something else than this agent ends the instance, jobs have no time to finish"
        ),
        Err(error) => tracing::warn!(%error, "the group's termination hook cannot be read"),
    }
    work.host.forget();
    work.secrets.forget();
}

/// Carries out an operator's order.
async fn give(agent: &mut Agent, order: &Order, now: Tick, publisher: &Publisher, work: &Work) -> Answer {
    match order {
        Order::Status => {
            let report = publisher.report(agent, work.host.group());
            serde_json::to_value(report).map_err(|error| error.to_string())
        }
        Order::Drain => {
            tracing::info!("an operator orders to drain");
            agent.handle(Event::Order(CoreOrder::Drain), now);
            // The order outlives a crash from the moment at which it is acknowledged.
            if let Outcome::Failed(why) = work.save(agent.saved()).await {
                return Err(format!("draining, but a crash of the agent would forget it: {why}"));
            }
            Ok("draining: no more jobs; the instance ends when those that run have finished".into())
        }
        Order::Undrain => {
            if !agent.can_undrain() {
                let phase = agent.status();
                let why = phase.why.map_or(String::new(), |why| format!(" ({why})"));
                return Err(format!(
                    "cannot undrain: the agent is {}{why}; only an operator's drain can be taken back, before it retires",
                    phase.phase
                ));
            }
            tracing::info!("an operator orders to undrain");
            agent.handle(Event::Order(CoreOrder::Undrain), now);
            Ok("serving again".into())
        }
        Order::Hold { seconds } => {
            tracing::info!(seconds, "an operator orders to hold");
            agent.handle(Event::Order(CoreOrder::Hold { until: now + Duration::from_secs(*seconds) }), now);
            Ok(format!("the instance does not leave for idleness or age for {seconds} s").into())
        }
    }
}

fn reload(agent: &mut Agent, config: &[PathBuf], now: Tick) {
    if let Ok(moment) = sd_notify::NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading, moment]);
    }
    match load(config) {
        Ok(settings) => {
            agent.handle(Event::Policy(settings.policy), now);
            tracing::info!("read the settings again; [agent] policy is in force, everything else at the next start");
        }
        Err(problems) => tracing::error!("the settings are wrong; the old ones stay in force:\n{problems}"),
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// Asks the probes at the given pace, and at once when Docker says that a container began or ended.
fn look_often(work: &Arc<Work>, mut paced: channel::Receiver<Duration>) {
    let hint = Arc::new(Notify::new());
    if let Some(engine) = work.engine.clone() {
        let (hints, mut hinted) = mpsc::channel(16);
        let (follower, teller, hint) = (Arc::clone(work), Arc::clone(work), Arc::clone(&hint));
        tokio::spawn(async move {
            let selection = container_selection(&follower).await;
            engine.follow(&selection, hints).await;
        });
        tokio::spawn(async move {
            while let Some(started) = hinted.recv().await {
                // A start is news at once, and can only err on the busy side; the look that follows is the truth.
                if let Some(job) = started {
                    let busy = Activity::busy(job.0);
                    let _ = teller.inputs.send(Input::Event(Event::Activity(busy))).await;
                }
                hint.notify_one();
            }
        });
    }
    let work = Arc::clone(work);
    tokio::spawn(async move {
        loop {
            let activity = work.snapshot().await;
            if work.inputs.send(Input::Event(Event::Activity(activity))).await.is_err() {
                return;
            }
            let pause = *paced.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = paced.changed() => if changed.is_err() { return },
                () = hint.notified() => {}
            }
        }
    });
}

/// Which containers are jobs; asked for until the platform's token is there.
async fn container_selection(work: &Work) -> Selection {
    loop {
        if let Some(probes) = work.probes().await {
            let mut selections = probes.into_iter().filter_map(|probe| match probe {
                Probe::Containers { labels, except, job_label } => Some(Selection { labels, except, job_label }),
                Probe::Children(_) | Probe::Files { .. } | Probe::Runner(_) | Probe::Ask(_) => None,
            });
            return selections.next().unwrap_or(Selection { labels: Vec::new(), except: Vec::new(), job_label: None });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn signals(inputs: mpsc::Sender<Input>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).context("cannot listen for signals")?;
    tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            let input = match signal {
                SIGHUP => Input::Reload,
                SIGUSR1 => {
                    tracing::info!("SIGUSR1: draining");
                    Input::Event(Event::Order(CoreOrder::Drain))
                }
                _ => {
                    tracing::info!(signal, "told to stop: draining; a second signal exits at once");
                    Input::Event(Event::Stop)
                }
            };
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

async fn sleep_until(tick: Option<Tick>, clock: Clock) {
    match tick {
        Some(tick) => tokio::time::sleep_until(Instant::from_std(clock.instant_of(tick))).await,
        None => std::future::pending().await,
    }
}

/// Half of what systemd allows, or seldom when it does not watch.
fn watchdog_pause() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |allowed| allowed / 2)
}
