//! `lightsout up`: a whole fleet on this machine.

mod agent_settings;
mod args;
mod booted;
mod cloud;
mod ended_logs;
mod environment;
mod fleet;
mod fleet_config;
mod leftovers;
mod live_view;
mod machine;
mod machine_image;
mod output;
mod platform;
mod records;
mod scaler;
mod summary;
mod timeline;
mod toml;

use std::{env, fs, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use lightsout_core::record::Decision;
use lightsout_localcloud::{AzureOptions, CloudOptions, FleetEvent, LocalCloud, LocalCloudOptions, Machines, Snapshot};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{broadcast, mpsc};

pub(crate) use self::{
    args::Args,
    machine::{MACHINE_OFF, machine_off},
};
use self::{
    args::{Files, InstanceKind},
    booted::BootedMachines,
    cloud::CloudKind,
    fleet_config::FleetConfig,
    machine::ProcessMachines,
    machine_image::MachineImage,
    output::Output,
    platform::Platform,
    records::Collector,
    summary::Summary,
    timeline::Timeline,
};
use crate::{
    containers,
    cost::{self, Pricing},
    evidence,
    fleet_client::REGION,
    fleet_dir::{FleetDir, LockedFleetDir},
    image,
    processes::{self, ProcessScope},
    web::{Records, Web},
};

/// How often the fleet is looked at and drawn.
const REFRESH: Duration = Duration::from_millis(100);

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunEnd {
    /// The work is done and the fleet is back.
    Done,
    /// Somebody called `lightsout down`.
    Down,
    /// Ctrl-C, `q`, a signal, or nobody reads any more.
    Interrupted,
}

/// Runs the fleet from its start to its end, and leaves nothing behind, however it ends.
pub(crate) async fn run(args: Args, fleet_dir: FleetDir) -> Result<ExitCode> {
    let platform = Platform::new(args.platform);
    args.check()?;
    platform.check(&args, fleet_dir.path())?;
    let pricing = Pricing::of_every_pool(args.price, cost::by_machine(&args.prices)?);
    let files = args.files()?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    let locked = fleet_dir.lock()?;
    let mut output = Output::new(args.json, jiff::Timestamp::now().as_millisecond());
    let config = prepare(&args, files, platform, &locked, &mut output).await?;
    let web = args.web.map(|at| Web::start(at, Records::of_run(locked.dir.clone(), pricing.clone()))).transpose()?;
    let page = web.as_ref().map(Web::link);
    let collector = Collector::start(&locked.dir);
    let result = run_fleet(&args, &locked, &config, page, &mut signals, &mut output).await;
    output.close();
    clean_up(&config).await;
    collector.finish().await;
    locked.retract();
    if let Some(web) = web {
        web.finish().await;
    }
    let Ran { end, snapshot, scaler } = result?;
    // The agents' last words are there now.
    let records = evidence::fleet::written(&locked.dir).records();
    let summary = Summary::of(&snapshot, &records, scaler, &pricing);
    output.summary(&summary);
    Ok(match (end, summary.is_success()) {
        (RunEnd::Interrupted, _) => ExitCode::from(130),
        (RunEnd::Done | RunEnd::Down, true) => ExitCode::SUCCESS,
        (RunEnd::Done | RunEnd::Down, false) => ExitCode::FAILURE,
    })
}

/// A fleet that was run.
struct Ran {
    end: RunEnd,
    /// The fleet as it was when the run was over, before what was left of it was ended.
    snapshot: Snapshot,
    scaler: summary::Scaler,
}

/// The fleet's life.
async fn run_fleet(
    args: &Args,
    locked: &LockedFleetDir,
    config: &Arc<FleetConfig>,
    page: Option<&str>,
    signals: &mut Signals,
    output: &mut Output,
) -> Result<Ran> {
    log_to(locked)?;
    let webhook = args.webhook.then(machine::free_port).transpose().context("no port is free for the webhook")?;
    let webhook = webhook.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let cloud = start_cloud(args, config, webhook).await?;
    for fault in &args.faults {
        cloud.add_fault(fault.clone()).map_err(|why| anyhow::anyhow!("--fault: {why}"))?;
    }
    locked.announce(&cloud.url())?;
    let mut run = Run {
        args,
        cloud: &cloud,
        events: cloud.events(),
        decisions: start_fleet(args, &cloud, config, webhook).await?,
        timeline: Timeline::default(),
    };
    let title = config.platform.kind.title();
    output.note(&format!("embedded cloud at {}, with {title}, files in {}", cloud.url(), locked.dir.path().display()));
    if let Some(page) = page {
        output.note(&format!("live page: {page}"));
    }
    let page = page.map(|page| format!("   {page}")).unwrap_or_default();
    output.open(&format!("{} for {title} on {}{page}", fleet::GROUP, cloud.url()), args.max)?;
    let end = run.until_end(signals, output).await;
    output.close();

    let (snapshot, scaler) = (cloud.snapshot(), run.timeline.scaler);
    drop(run);
    if end == RunEnd::Interrupted {
        eprintln!("ending the fleet; Ctrl-C again ends it at once");
    }
    let end = tokio::select! {
        () = cloud.down() => end,
        _ = signals.next() => RunEnd::Interrupted,
    };
    Ok(Ran { end, snapshot, scaler })
}

/// Ends what still runs of the fleet.
async fn clean_up(config: &FleetConfig) {
    let fleet = config.fleet_dir.fleet_name();
    if let Some(image) = &config.booted
        && let Err(error) = containers::remove(&image.docker, containers::BOOTED_LABEL, &fleet).await
    {
        eprintln!("machines may be left, the next `lightsout up` removes them: {error}");
    }
    processes::end(&ProcessScope::Fleet(fleet.clone()), Duration::from_millis(200)).await;
    if let Some((docker, _)) = &config.docker
        && let Err(error) = containers::remove(docker, containers::FLEET_LABEL, &fleet).await
    {
        eprintln!("containers may be left, the next `lightsout up` removes them: {error}");
    }
}

/// Cleans up after an earlier run, and finds out how jobs are run here. Says both.
async fn prepare(
    args: &Args,
    files: Files,
    platform: Platform,
    locked: &LockedFleetDir,
    output: &mut Output,
) -> Result<Arc<FleetConfig>> {
    let engine = image::engine().await;
    let left = leftovers::clear(locked, engine.as_ref().ok().map(|engine| &engine.docker)).await?;
    if left.any() {
        output.note(&left.to_string());
    }
    let host_engine = engine.as_ref().map(|engine| engine.docker.clone());
    let host_engine = host_engine.map_err(|error| anyhow::anyhow!("--instances machines: {error:#}"));
    let docker = match (engine, platform.always_processes()) {
        (_, Some(why)) => {
            output.note(&format!("jobs run as plain processes: {why}"));
            None
        }
        (Ok(engine), None) if !args.no_docker => {
            let (image, built) = image::job_image(&engine.docker).await?;
            let how = if built { "built just now from this machine's programs" } else { "built by an earlier run" };
            output.note(&format!(
                "jobs run in containers: Docker {} answers; their image is {image}, {how}",
                engine.version
            ));
            Some((engine.docker, image))
        }
        (Ok(_), None) => {
            output.note("jobs run as plain processes: --no-docker");
            None
        }
        (Err(error), None) => {
            output.note(&format!("jobs run as plain processes: {error:#}"));
            None
        }
    };
    let program = env::current_exe().context("this program cannot find itself")?;
    let runner = if let Some(found) = files.runner {
        output.note(&format!("the runner is {}", found.display()));
        found
    } else {
        platform.place_runner(&program, &locked.dir.path().join("bin"))?
    };
    let booted = match args.instances {
        InstanceKind::Processes => None,
        InstanceKind::Machines => {
            let shared = locked.dir.path().join("bin");
            fs::create_dir_all(&shared).with_context(|| format!("cannot make {}", shared.display()))?;
            let job_image = docker.as_ref().map(|(_, image)| image.as_str());
            let image = MachineImage::find(&host_engine?, args.machine_image.as_deref(), &shared, job_image).await?;
            output.note(&format!("each instance is a machine of its own, booted of {}", image.name));
            Some(image)
        }
    };
    let (idle_timeout, slots) = (args.idle_timeout, args.slots);
    let (agent, scaler) = (args.agent_bin.clone(), args.scaler_bin.clone());
    let fleet_dir = locked.dir.clone();
    Ok(Arc::new(FleetConfig {
        fleet_dir,
        platform,
        program,
        agent,
        scaler,
        runner,
        docker,
        booted,
        agent_settings: files.agent_settings,
        idle_timeout,
        slots,
        launch_hook: args.launch_hook,
        cloud: args.cloud,
    }))
}

async fn start_cloud(args: &Args, config: &Arc<FleetConfig>, webhook: Option<SocketAddr>) -> Result<LocalCloud> {
    let options = LocalCloudOptions {
        azure: AzureOptions {
            seed: args.seed ^ config.fleet_dir.seed(),
            boot: args.boot(),
            // A fleet that lives a day in a minute asks as much in a minute.
            limits: false,
            ..AzureOptions::default()
        },
        cloud: CloudOptions {
            region: REGION.to_owned(),
            seed: args.seed ^ config.fleet_dir.seed(),
            boot: args.boot(),
            ..CloudOptions::default()
        },
        port: args.port,
        webhook: webhook.map(scaler::webhook),
        ..config.platform.embedded()
    };
    let machines: Arc<dyn Machines> = match &config.booted {
        None => Arc::new(ProcessMachines::new(Arc::clone(config))),
        Some(image) => Arc::new(BootedMachines::new(Arc::clone(config), image.clone())),
    };
    LocalCloud::start(options, machines).await.with_context(|| match args.port {
        0 => "the embedded cloud cannot listen on 127.0.0.1".to_owned(),
        port => {
            format!("the embedded cloud cannot listen on 127.0.0.1:{port}; choose another --port, or leave it out")
        }
    })
}

/// Creates the group, starts the scaler and queues the first jobs.
async fn start_fleet(
    args: &Args,
    cloud: &LocalCloud,
    config: &Arc<FleetConfig>,
    webhook: Option<SocketAddr>,
) -> Result<mpsc::UnboundedReceiver<Decision>> {
    match args.cloud {
        CloudKind::Aws => fleet::create(&cloud.url(), args.min, args.max, args.launch_hook).await?,
        CloudKind::Azure => fleet::azure::create(&cloud.url(), args.min).await?,
    }
    args.first_jobs().for_each(|job| drop(cloud.enqueue(job)));
    let options = scaler::ScalerOptions {
        url: cloud.url(),
        tick: args.tick,
        webhook_listen: webhook,
        min: args.min,
        max: args.max,
    };
    scaler::start(config, &options)
}

/// A run while it is watched.
struct Run<'a> {
    args: &'a Args,
    cloud: &'a LocalCloud,
    events: broadcast::Receiver<FleetEvent>,
    decisions: mpsc::UnboundedReceiver<Decision>,
    timeline: Timeline,
}

impl Run<'_> {
    async fn until_end(&mut self, signals: &mut Signals, output: &mut Output) -> RunEnd {
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                _ = signals.next() => break RunEnd::Interrupted,
                () = output.quit() => break RunEnd::Interrupted,
                () = self.cloud.ended() => break RunEnd::Down,
                Ok(event) = self.events.recv() => self.on_event(event, output),
                Some(record) = self.decisions.recv() => self.on_decision(&record, output),
                _ = refresh.tick() => {
                    if let Some(end) = self.refresh(output) {
                        break end;
                    }
                }
            }
            if output.is_closed() {
                break RunEnd::Interrupted;
            }
        };
        if let Ok(event) = self.events.try_recv() {
            self.on_event(event, output);
        }
        end
    }

    /// Takes in this event and those that are already there behind it.
    fn on_event(&mut self, first: FleetEvent, output: &mut Output) {
        let mut events = vec![first];
        events.extend(std::iter::from_fn(|| self.events.try_recv().ok()));
        let lines = self.timeline.on_events(&events);
        output.events(&events, &lines);
    }

    fn on_decision(&mut self, record: &Decision, output: &mut Output) {
        let line = self.timeline.on_decision(record, jiff::Timestamp::now().as_millisecond());
        output.decision(record, line.as_ref());
    }

    fn refresh(&mut self, output: &mut Output) -> Option<RunEnd> {
        let snapshot = self.cloud.snapshot();
        for line in self.timeline.on_snapshot(&snapshot) {
            output.agent(&line);
        }
        if let Err(error) = output.draw(&self.timeline, &snapshot) {
            tracing::error!(error = format!("{error:#}"), "the terminal is gone");
            return Some(RunEnd::Interrupted);
        }
        (!self.args.keep && summary::is_over(&snapshot, self.args.min)).then_some(RunEnd::Done)
    }
}

/// What this process itself has to say goes to a file: the terminal belongs to the view.
fn log_to(locked: &LockedFleetDir) -> Result<()> {
    let file = fs::File::create(locked.dir.path().join("up.log")).context("cannot write up.log")?;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter).with_writer(std::sync::Mutex::new(file));
    subscriber.try_init().map_err(|error| anyhow::anyhow!("cannot log: {error}"))
}
