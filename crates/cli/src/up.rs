//! `lightsout up`: a whole fleet on this machine.

pub mod agent_report;
mod environment;
mod fleet;
mod leftovers;
mod live_view;
mod machine;
mod output;
mod platform;
mod scaler;
mod summary;
mod timeline;

use std::{env, fs, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use lightsout_core::record::Record;
use lightsout_localcloud::{CloudOptions, FleetEvent, LocalCloud, LocalCloudOptions, NewJobs, PlatformKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{broadcast, mpsc};

pub use self::machine::{MACHINE_OFF, machine_off};
use self::{
    machine::{FleetConfig, ProcessMachines},
    output::Output,
    platform::Platform,
    summary::Summary,
    timeline::Timeline,
};
use crate::{
    containers, duration,
    fleet_dir::{FleetDir, LockedFleetDir},
    image,
    processes::{self, ProcessScope},
};

/// How often the fleet is looked at and drawn.
const REFRESH: Duration = Duration::from_millis(100);

/// Run a whole fleet on this machine: it grows, works, and turns its own lights off
#[derive(clap::Args)]
#[command(
    help_template = "\
{about}

An embedded cloud (EC2 Auto Scaling, instance metadata, a CI platform) listens on loopback. The real scaler
raises its group while jobs wait. Each instance is the real agent with a runner of that platform: it takes jobs,
idles out, and ends itself. Jobs run in Docker containers when an engine answers and the platform's runner does
so, else as plain processes. Nothing outside of this machine is asked for anything.

{usage-heading} {usage}

{all-args}{after-help}",
    after_help = "\
Examples:
  lightsout up                       20 jobs on up to 5 instances, until the fleet is at zero again
  lightsout up --jobs 0 --keep       an empty fleet that waits for `lightsout enqueue`
  lightsout up --max 10 --slots 2    a bigger one, two jobs to an instance
  lightsout up --platform github     the same with GitHub Actions instead of GitLab
  lightsout up --json | tail -1      only the summary, for scripts

While it runs, from a second terminal:
  lightsout ps, enqueue, crash ID, interrupt ID, rebalance ID, scale-in N, refresh, logs ID, down

Exit status: 0 when no job was lost, 1 otherwise, 2 for bad arguments, 130 after Ctrl-C."
)]
pub struct Args {
    /// How many jobs to start with; 0 waits for `lightsout enqueue`
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "Work", value_parser = clap::value_parser!(u32).range(..=100_000))]
    jobs: u32,
    /// How long a job takes; each takes between half and one and a half of it
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0, help_heading = "Work")]
    job_seconds: f64,
    /// Where chance starts: the same seed in the same place gives the same jobs and instance ids
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Work")]
    seed: u64,

    /// The CI platform: gitlab, stackguardian, spacelift, circleci, github or buildkite
    #[arg(long, value_name = "NAME", default_value_t = PlatformKind::GitLab, help_heading = "Fleet")]
    platform: PlatformKind,
    /// The group's smallest size
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Fleet")]
    min: u32,
    /// The group's largest size
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Fleet")]
    max: u32,
    /// Jobs that an instance takes at once
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Fleet", value_parser = clap::value_parser!(u32).range(1..=100))]
    slots: u32,
    /// From launch to in service
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, help_heading = "Fleet")]
    boot_seconds: f64,
    /// How long an instance stays without a job
    #[arg(long, value_name = "SPAN", default_value = "8s", value_parser = duration::parse, help_heading = "Fleet")]
    idle_timeout: Duration,
    /// The pause between two looks of the scaler at the queue; quick for the demo, 10s is the default in production
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = duration::parse, help_heading = "Fleet")]
    tick: Duration,
    /// Have the platform post its webhook to the scaler, which then looks at once (gitlab, github, buildkite)
    #[arg(long, help_heading = "Fleet")]
    webhook: bool,
    /// Use a genuine gitlab-runner instead of the small built-in one (with --platform gitlab)
    #[arg(long, value_name = "PATH", help_heading = "Fleet")]
    runner: Option<PathBuf>,
    /// Run jobs as plain processes even when a Docker engine answers
    #[arg(long, help_heading = "Fleet")]
    no_docker: bool,

    /// End when all jobs have ended and the fleet is back at its smallest size (the default)
    #[arg(long, conflicts_with = "keep", help_heading = "Run")]
    once: bool,
    /// Keep running until Ctrl-C or `lightsout down`
    #[arg(long, help_heading = "Run")]
    keep: bool,
    /// The embedded cloud's port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0, help_heading = "Run")]
    port: u16,
    /// Print one JSON object a line; the last is the summary
    #[arg(long, help_heading = "Run")]
    json: bool,

    /// Start this agent instead of the one in this program
    #[arg(long, value_name = "PATH", hide = true)]
    agent_bin: Option<PathBuf>,
    /// Start this scaler instead of the one in this program
    #[arg(long, value_name = "PATH", hide = true)]
    scaler_bin: Option<PathBuf>,
}

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
pub async fn run(args: Args, fleet_dir: FleetDir) -> Result<ExitCode> {
    let platform = Platform::new(args.platform);
    let fine = args
        .check()
        .and_then(|()| platform.check(args.slots, args.runner.as_deref(), fleet_dir.path()))
        .and_then(|()| {
            let unsupported = args.webhook && platform.webhook().is_none();
            ensure!(
                !unsupported,
                "--webhook: {} has no webhook that tells of waiting jobs; leave it out",
                platform.title()
            );
            Ok(())
        });
    if let Err(error) = fine {
        eprintln!("error: {error}");
        return Ok(ExitCode::from(2));
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen to signals")?;
    let locked = fleet_dir.lock()?;
    let mut output = Output::new(args.json, jiff::Timestamp::now().as_millisecond());
    let config = prepare(&args, platform, &locked, &mut output).await?;
    let result = run_fleet(&args, &locked, &config, &mut signals, &mut output).await;
    output.close();
    clean_up(&config).await;
    locked.retract();
    let (end, summary) = result?;
    output.summary(&summary);
    Ok(match (end, summary.is_success()) {
        (RunEnd::Interrupted, _) => ExitCode::from(130),
        (RunEnd::Done | RunEnd::Down, true) => ExitCode::SUCCESS,
        (RunEnd::Done | RunEnd::Down, false) => ExitCode::FAILURE,
    })
}

/// The fleet's life.
async fn run_fleet(
    args: &Args,
    locked: &LockedFleetDir,
    config: &Arc<FleetConfig>,
    signals: &mut Signals,
    output: &mut Output,
) -> Result<(RunEnd, Summary)> {
    log_to(locked)?;
    let webhook = args.webhook.then(machine::free_port).transpose().context("no port is free for the webhook")?;
    let webhook = webhook.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let cloud = start_cloud(args, config, webhook).await?;
    locked.announce(&cloud.url())?;
    let mut run = Run {
        args,
        cloud: &cloud,
        events: cloud.events(),
        decisions: start_fleet(args, &cloud, config, webhook).await?,
        timeline: Timeline::default(),
    };
    let title = config.platform.title();
    output.note(&format!("embedded cloud at {}, with {title}, files in {}", cloud.url(), locked.dir.path().display()));
    output.open(&format!("{} for {title} on {}", fleet::GROUP, cloud.url()), args.max)?;
    let end = run.until_end(signals, output).await;
    output.close();

    let summary = Summary::of(&cloud.snapshot(), args.slots, run.timeline.scaler);
    drop(run);
    if end == RunEnd::Interrupted {
        eprintln!("ending the fleet; Ctrl-C again ends it at once");
    }
    tokio::select! {
        () = cloud.down() => Ok((end, summary)),
        _ = signals.next() => Ok((RunEnd::Interrupted, summary)),
    }
}

/// Ends what still runs of the fleet.
async fn clean_up(config: &FleetConfig) {
    let fleet = config.fleet_dir.fleet_name();
    processes::end(&ProcessScope::Fleet(fleet.clone()), Duration::from_millis(200)).await;
    if let Some((docker, _)) = &config.docker
        && let Err(error) = containers::remove(docker, containers::FLEET_LABEL, &fleet).await
    {
        eprintln!("containers may be left, the next `lightsout up` removes them: {error}");
    }
}

impl Args {
    /// What the single flags cannot say about themselves.
    fn check(&self) -> Result<()> {
        ensure!(self.max >= 1, "--max 0 leaves no room for an instance; use 1 or more");
        ensure!(self.min <= self.max, "--min {} is above --max {}", self.min, self.max);
        ensure!((0.0..=86_400.0).contains(&self.job_seconds), "--job-seconds is between 0 and 86400");
        ensure!((0.0..=3_600.0).contains(&self.boot_seconds), "--boot-seconds is between 0 and 3600");
        ensure!(self.idle_timeout >= Duration::from_secs(1), "--idle-timeout is at least 1s");
        ensure!(self.tick >= Duration::from_secs(1), "--tick is at least 1s");
        Ok(())
    }

    /// The first jobs, each with its own length.
    fn first_jobs(&self) -> impl Iterator<Item = NewJobs> {
        let mut chance = SplitMix64(self.seed);
        let seconds = self.job_seconds;
        (0..self.jobs).map(move |_| NewJobs {
            seconds: (seconds * (0.5 + chance.next()) * 10.0).round() / 10.0,
            ..NewJobs::default()
        })
    }
}

/// Cleans up after an earlier run, and finds out how jobs are run here. Says both.
async fn prepare(
    args: &Args,
    platform: Platform,
    locked: &LockedFleetDir,
    output: &mut Output,
) -> Result<Arc<FleetConfig>> {
    let engine = image::engine().await;
    let left = leftovers::clear(locked, engine.as_ref().ok().map(|engine| &engine.docker)).await?;
    if left.any() {
        output.note(&left.to_string());
    }
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
    let runner = if let Some(path) = &args.runner {
        let found =
            fs::canonicalize(path).with_context(|| format!("--runner {}: there is no such program", path.display()))?;
        output.note(&format!("the runner is {}", found.display()));
        found
    } else {
        platform.place_runner(&program, &locked.dir.path().join("bin"))?
    };
    let (idle_timeout, slots) = (args.idle_timeout, args.slots);
    let (agent, scaler) = (args.agent_bin.clone(), args.scaler_bin.clone());
    let fleet_dir = locked.dir.clone();
    Ok(Arc::new(FleetConfig { fleet_dir, platform, program, agent, scaler, runner, docker, idle_timeout, slots }))
}

async fn start_cloud(args: &Args, config: &Arc<FleetConfig>, webhook: Option<SocketAddr>) -> Result<LocalCloud> {
    let options = LocalCloudOptions {
        cloud: CloudOptions {
            region: fleet::REGION.to_owned(),
            seed: args.seed ^ config.fleet_dir.seed(),
            boot: Duration::from_secs_f64(args.boot_seconds),
            ..CloudOptions::default()
        },
        port: args.port,
        webhook: webhook.map(scaler::webhook),
        ..config.platform.embedded()
    };
    LocalCloud::start(options, Arc::new(ProcessMachines(Arc::clone(config)))).await.with_context(|| match args.port {
        0 => "the embedded cloud cannot listen on 127.0.0.1".to_owned(),
        port => format!("the embedded cloud cannot listen on 127.0.0.1:{port}; choose another --port, or leave it out"),
    })
}

/// Creates the group, starts the scaler and queues the first jobs.
async fn start_fleet(
    args: &Args,
    cloud: &LocalCloud,
    config: &Arc<FleetConfig>,
    webhook: Option<SocketAddr>,
) -> Result<mpsc::UnboundedReceiver<Record>> {
    fleet::create(&cloud.url(), args.min, args.max).await?;
    args.first_jobs().for_each(|job| drop(cloud.enqueue(job)));
    let options = scaler::ScalerOptions { url: cloud.url(), tick: args.tick, webhook_listen: webhook };
    scaler::start(config, &options)
}

/// A run while it is watched.
struct Run<'a> {
    args: &'a Args,
    cloud: &'a LocalCloud,
    events: broadcast::Receiver<FleetEvent>,
    decisions: mpsc::UnboundedReceiver<Record>,
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

    fn on_decision(&mut self, record: &Record, output: &mut Output) {
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

/// Numbers between 0 and 1 that look random (SplitMix64).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(format!("up {line}").split_whitespace()).unwrap().args
    }

    #[test]
    fn jobs_spread_around_their_length_and_repeat_with_the_seed() {
        let seconds = |line: &str| args(line).first_jobs().map(|job| job.seconds).collect::<Vec<_>>();
        let jobs = seconds("--jobs 200 --job-seconds 4");
        assert_eq!(jobs.len(), 200);
        assert!(jobs.iter().all(|seconds| (2.0..=6.0).contains(seconds)));
        let mean = jobs.iter().sum::<f64>() / 200.0;
        assert!((3.5..4.5).contains(&mean), "{mean}");
        assert_eq!(jobs, seconds("--jobs 200"));
        assert_ne!(jobs, seconds("--jobs 200 --seed 2"));
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_starts() {
        for line in ["--max 0", "--min 6", "--job-seconds 1e9", "--boot-seconds NaN", "--idle-timeout 10ms", "--tick 0"]
        {
            assert!(args(line).check().is_err(), "{line}");
        }
        assert!(args("").check().is_ok());
        assert!(args("--jobs 0 --keep --min 2 --max 2").check().is_ok());
    }
}
