//! Puts the agent together: who this instance is, what an earlier agent left behind, and every source and sink around
//! the loop.

mod programs;
mod unusable;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lightsout_cloud::{
    Archive, Host, HostSettings, INSTANCE_PROVIDERS, Identity, NoticeIntervals, Notices, Secrets, find_cloud,
};
use lightsout_core::{
    agent::{Agent, event::Event, host::ToldToDrain, jitter::Jitter, recorder::InstanceFacts, unusable::may_end},
    duration::format_duration,
    platform::HostContext,
    settings::{AgentSettings, MetricsSettings, RecordsSettings, RunnerUnit, SecretSource},
};
use lightsout_io::command_line::Failure;
use tokio::sync::{mpsc, watch};

use crate::{
    boot::{self, Boot},
    clock::{Clock, SuspendDetector},
    control,
    docker::Engine,
    effects::{self, Effects},
    event_loop::EventLoop,
    image,
    input::{Input, Inputs},
    journal::Journal,
    life_sign::LifeSign,
    lock::{self, Lock},
    metadata_guard::Guard,
    meter::Exporters,
    notices,
    orders::{self, Orders},
    platform_access::PlatformAccess,
    records::Records,
    runner_process::{RunnerProcess, systemd_runs},
    sampler, settings, signals,
    space::Space,
    state_dir,
    status::StatusPublisher,
};

/// How long the tags are waited for at least.
const TAGS: Duration = Duration::from_secs(10);

/// Where the kernel lists this machine's processes.
const PROCESSES: &str = "/proc";

/// What governs how long the cloud is asked who this instance is.
const LATE: &str = "this agent cannot begin, and asks for as long as agent.boot_deadline says";

/// The cloud on which this instance runs.
pub(crate) struct Cloud {
    pub identity: Identity,
    pub host: Arc<dyn Host>,
    pub notices: Arc<dyn Notices>,
    pub secrets: Box<dyn Secrets>,
    pub archives: fn(&Identity, &RecordsSettings) -> Vec<Box<dyn Archive>>,
}

impl Cloud {
    /// Finds out on which instance this runs. Metadata may need a moment after boot.
    pub(crate) async fn find(settings: &AgentSettings) -> Result<Self, Failure> {
        let late = |error| Failure::Failed(format!("{LATE}: {error}"));
        let begun = Instant::now();
        let (place, notices) = find_cloud(&settings.cloud, settings.policy.boot_deadline).await.map_err(late)?;
        let (provider, notices) = (INSTANCE_PROVIDERS[place], Arc::<dyn Notices>::from(notices));
        let left = settings.policy.boot_deadline.saturating_sub(begun.elapsed()).max(TAGS);
        let identity = notices.identity(left).await.map_err(late)?;
        Ok(Self {
            host: Arc::from((provider.host)(&identity, HostSettings::of(settings))),
            secrets: (provider.provider.secrets)(Some(identity.location.clone())),
            archives: provider.archives,
            notices,
            identity,
        })
    }
}

/// Runs until the instance is gone, or the second TERM.
///
/// # Errors
/// When the agent cannot begin.
pub(crate) async fn run(settings: AgentSettings, config: &[PathBuf], shown: MetricsSettings) -> Result<(), Failure> {
    if settings.platform.secrets().iter().any(|secret| matches!(secret, SecretSource::Inline(_))) {
        warn_of_readable(config);
    }
    if let Some(why) = &settings.unusable {
        tracing::error!("without this instance's tags, the settings cannot work:\n{why}");
    }
    let mut boot = Boot::start();
    let earlier = tokio::spawn(boot::earlier());
    // Without it the instance leaves at the boot deadline, as one whose disk takes nothing.
    let _ = fs::DirBuilder::new().recursive(true).mode(0o755).create(&settings.state_dir);
    let _lock = Lock::take(&settings.state_dir).map_err(Failure::Failed)?;
    lock::nobody_answers(&settings.socket).await.map_err(Failure::Failed)?;
    let begun = Instant::now();
    let cloud = Cloud::find(&settings).await?;
    boot.now("metadata");
    boot.began_with(earlier.await.unwrap_or_default());
    let left = settings.policy.boot_deadline.saturating_sub(begun.elapsed()).max(TAGS);
    let tags = settings::tags(&*cloud.notices, left).await.map_err(Failure::Failed)?;
    let mut settings = settings::with_the_tags(settings, config, &tags).map_err(Failure::Refused)?;
    if settings.unusable.is_some() {
        tracing::error!(
            "no runner starts with these settings; unless they are put right in {} (agent.boot_deadline), the instance leaves as broken",
            format_duration(settings.policy.boot_deadline)
        );
    }
    settings.shown =
        MetricsSettings { listen: shown.listen.or(settings.shown.listen), emf: shown.emf || settings.shown.emf };
    boot.now("tags");
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if !tags.is_empty() {
        tracing::info!(?tags, "this instance's tags go before the files");
    }
    let (inputs, incoming) = mpsc::channel(64);
    signals::listen(inputs.clone(), config.to_owned(), Arc::clone(&cloud.notices))
        .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let unusable = settings.unusable.is_some();
    let running = run_on(settings, cloud, orders::among(&tags), boot, PROCESSES, inputs, incoming);
    tokio::select! {
        done = running => done,
        // The next agent begins with them. It finds in the journal whether this one was leaving.
        () = settings::until_they_work(config, &tags), if unusable => Err(Failure::Failed("the settings can work now: starting again".into())),
    }
}

/// The same on this cloud, with these sources beside its own, where this is written on the instance as an order and the machine's processes are
/// listed there.
///
/// # Errors
/// When the agent cannot begin.
pub(crate) async fn run_on(
    settings: AgentSettings,
    cloud: Cloud,
    written: Option<String>,
    mut boot: Boot,
    processes: impl AsRef<Path>,
    inputs: Inputs,
    incoming: mpsc::Receiver<Input>,
) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    let Cloud { identity, host, notices, secrets, archives } = cloud;
    let archives = archives(&identity, &settings.records);
    let served: Vec<_> = archives.iter().map(|archive| archive.key()).collect();
    for key in settings.records.unserved(&served) {
        tracing::warn!(
            "records.{key} is set, and this instance's cloud has no such place: no record goes there; remove it, or name a place of this cloud \
             (docs/records.md)"
        );
    }
    let Identity { instance, location, group, machine, .. } = identity;
    tracing::info!(instance, location, group, version = env!("CARGO_PKG_VERSION"), "lightsout-agent starts");
    let clock = Clock::start();

    let runner_environment = &settings.runner_environment;
    // What keeps a runner from starting keeps no agent from ending the instance: at the boot deadline, unless there is a runner.
    let mut refused = settings.unusable.clone();
    let in_unit = runs_in_unit(settings.runner_unit).unwrap_or_else(|why| {
        refused.get_or_insert(why);
        false
    });
    let runner = RunnerProcess::new(&settings.state_dir, in_unit);
    // Not known is no reason to stay away: it is asked again before anything is done about a runner.
    let looked = runner.find().await;
    if let Err(why) = &looked {
        tracing::error!(why, "whether a runner runs already cannot be told");
    }
    let found = looked.as_ref().ok().and_then(Option::clone);
    let may_use_engine = runner_environment.engine.unwrap_or_else(|| settings.platform.uses_engine());
    let socket = may_use_engine.then(|| settings.docker.socket.clone());
    let guard = Arc::new(Guard::new(Arc::clone(&settings)));
    let runner = Arc::new(runner.with_environment(runner_environment.clone(), socket));
    // Without them no runner starts, and the instance leaves at the boot deadline, which takes no disk. Before each start they are looked for again.
    let folders = runner.make_folders();
    if settings.unusable.is_none() {
        let folders = folders.and_then(|()| runner.note_folder()).map_err(|error| error.to_string());
        let user = runner.user().map(drop);
        for why in [folders, user, refused.clone().map_or(Ok(()), Err)].into_iter().filter_map(Result::err) {
            tracing::error!("no other runner can be started: {why}");
        }
    }
    if settings.unusable.is_some() {
        // Where it is may stand in the file that cannot be read. This agent may register nothing, and so notes none: where it refuses, there will be no
        // journal in it, which the next one would take for a lost one.
        let registered = state_dir::may_have_registered(&settings.state_dir, &instance);
        let found = unusable::look(&settings, looked, processes.as_ref(), registered).await;
        may_end(&found).map_err(Failure::Refused)?;
    }
    let (journal, entry, first) = Journal::open(&settings.state_dir, &instance, clock);
    if let Some(process) = &found {
        tracing::info!(pid = process.pid(), saved = ?entry.saved, "found the runner of an earlier agent");
    }

    let shown = Exporters::start(&settings, (&instance, group.as_deref(), &machine), clock).await;
    // Where settings cannot work, whether there is an engine was not said.
    let watched = settings.docker.enabled && (settings.unusable.is_none() || settings.docker.socket.exists());
    let engine = watched.then(|| Arc::new(Engine::new(&settings.docker.socket)));
    let context = HostContext {
        instance_id: instance.clone(),
        group,
        runner_dir: runner.folder().to_owned(),
        slots: settings.slots,
        metrics: settings.metrics.clone(),
    };
    let before_register = programs::before_register(&settings, &context, in_unit)?;
    let cleaner = programs::cleaner(&settings, &context, in_unit);
    let platform =
        Arc::new(PlatformAccess::new(Arc::clone(&settings), context, secrets, engine.clone(), Arc::clone(&runner)));
    let space = Arc::new(Space::new(&settings, cleaner, engine.clone()));
    let (entries, entries_end) = mpsc::unbounded_channel();
    tokio::spawn(effects::write_journal(journal, entries_end, inputs.clone()));
    let rules = settings.platform.drain_rules();
    let told = found.as_ref().map_or(ToldToDrain::No, |process| runner.told(process));
    let life_sign = LifeSign::spawn(rules, told);
    let effects = Effects {
        host: Arc::clone(&host),
        platform: Arc::clone(&platform),
        runner,
        refused: refused.map(Arc::from),
        guard,
        space: Arc::clone(&space),
        life_sign: life_sign.clone(),
        before_register,
        power_off: settings.power_off.clone(),
        inputs: inputs.clone(),
        journal: entries,
        launch: Arc::default(),
        jobs: Arc::default(),
        watched: Arc::new(Mutex::new(None)),
        reason: Arc::default(),
    };
    let runner_alive = found.is_some();
    if runner_alive {
        boot.none();
    }
    if let Some(process) = found {
        effects.watch_exit(process);
    }

    let wished = settings.policy.protection;
    if wished.on(host.capabilities()) != wished {
        tracing::warn!(
            "agent.protection = \"while-busy\" is taken for \"always\": this cloud holds no ending off for as long as a job may take"
        );
    }
    let mut agent = Agent::new(
        settings.policy.clone(),
        rules,
        host.capabilities(),
        entry,
        runner_alive,
        Jitter::of(&instance),
        clock.now(),
    );
    if let Some(expires) = image::runner_expires(&settings) {
        let at = clock.tick_of(expires.as_millisecond());
        agent.handle(Event::RunnerExpires { at }, clock.now());
    }
    let (sample_interval, interval) = watch::channel(agent.sample_interval());
    // An agent that did not begin would leave an instance that nobody ends.
    if let Err(error) = control::server::listen(&settings.socket, inputs.clone()) {
        let socket = settings.socket.display();
        tracing::error!(
            "cannot listen at agent.socket {socket}: {error}; this agent works, and takes no commands until it is started again"
        );
    }
    let every = &settings.imds;
    let orders = Orders::open(&settings.state_dir, &instance, first, written.as_deref());
    tokio::spawn(notices::pass_on(
        notices.watch(NoticeIntervals {
            interruption: every.spot,
            target: every.target,
            rebalance: every.rebalance,
            maintenance: every.maintenance,
            order: every.rebalance,
        }),
        orders,
        clock,
        inputs.clone(),
    ));
    space.watch(inputs.clone());
    sampler::spawn(&platform, engine, &inputs, interval);
    let (termination_hook, platform) = (host.capabilities().termination_hook, settings.platform.platform().into());
    let facts = InstanceFacts { instance: instance.clone(), machine, platform, rules, termination_hook, first };
    let records = Records::start(facts, (entry, runner_alive), Arc::clone(&host), clock, archives);
    let publisher = StatusPublisher::spawn(&settings.state_dir, instance, host, boot, clock, shown.address());
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);

    let platform = settings.platform.platform();
    let (waiting, stillness) = (BTreeMap::new(), SuspendDetector::default());
    let meter = shown.meter();
    EventLoop {
        agent,
        effects,
        publisher,
        records,
        meter,
        life_sign,
        platform,
        sample_interval,
        clock,
        stillness,
        waiting,
    }
    .run(incoming)
    .await;

    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    shown.finish().await;
    let _ = fs::remove_file(&settings.socket);
    tracing::info!("lightsout-agent exits");
    Ok(())
}

/// A secret in the settings is everybody's whose mode is everybody's.
fn warn_of_readable(config: &[PathBuf]) {
    for path in settings::places(config) {
        if fs::metadata(&path).is_ok_and(|found| found.is_file() && found.mode() & 0o004 != 0) {
            tracing::warn!(path = %path.display(), "the settings hold a secret, and jobs can read them: chmod 600");
        }
    }
}

fn runs_in_unit(wanted: RunnerUnit) -> Result<bool, String> {
    match wanted {
        RunnerUnit::Always if !systemd_runs() => {
            Err("agent.runner_unit asks for a systemd unit, but systemd does not run here: write \"auto\" or false"
                .into())
        }
        RunnerUnit::Always => Ok(true),
        RunnerUnit::Auto => Ok(systemd_runs()),
        RunnerUnit::Never => Ok(false),
    }
}

#[cfg(test)]
mod tests;
