//! The agent's settings.

mod imds;
mod keys;
mod salvage;

use std::{path::PathBuf, sync::Arc, time::Duration};

use self::salvage::no_platform;
pub use self::{
    imds::ImdsSettings,
    keys::{AGENT_KEYS, DOCKER_KEYS, IMDS_KEYS},
};

use super::{
    Argv, Fragment, METRICS_KEYS, MetricsSettings, Prices, Problem, Problems, RecordsSettings, RunnerEnvironment, Side,
    keys::names,
    platform,
    reader::{Layer, Report, Section},
    tags,
    tree::{Table, merged},
};
use crate::{
    agent::policy::{AgentPolicy, Protection},
    duration::format_duration,
    platform::RunnerConfig,
    space::{MinimumFree, SpaceNeeds},
};

const DAY: Duration = Duration::from_secs(86_400);

/// Whether the runner gets a systemd unit of its own, so that nothing that happens to the agent touches a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunnerUnit {
    /// Where systemd runs.
    #[default]
    Auto,
    /// Always; without systemd the agent refuses to start.
    Always,
    /// Never: a process group of its own must do.
    Never,
}

/// Who is kept from the instance's metadata service, and with it from the instance's role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataGuard {
    /// Whoever can be, but for a runner that needs it itself and whose jobs are containers.
    #[default]
    Auto,
    /// Containers on a network of their own.
    Containers,
    /// Nobody.
    Off,
}

/// How containers are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSettings {
    /// Whether they are watched at all. Default true.
    pub enabled: bool,
    /// The engine's socket. Default `/var/run/docker.sock`.
    pub socket: PathBuf,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self { enabled: true, socket: "/var/run/docker.sock".into() }
    }
}

/// The agent's settings, validated.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The user's program that stands for the cloud, and its first arguments; empty: one that lightsout knows is found by its metadata.
    pub cloud: Vec<String>,
    /// When and how the instance leaves.
    pub policy: AgentPolicy,
    /// Where the journal and the runner's files live. Default `/var/lib/lightsout`.
    pub state_dir: PathBuf,
    /// Where `lightsout-agent status` and its siblings reach the agent. Default `/run/lightsout/agent.sock`.
    pub socket: PathBuf,
    /// How many jobs the runner may take at once. Default 1.
    pub slots: u32,
    /// Where the runner serves its metrics, as `host:port`. Default `127.0.0.1:9252`; `None` when switched off.
    pub metrics: Option<String>,
    /// The operator's own program for each boot.
    pub before_register: Option<Argv>,
    /// The termination hook's name; `None`: the agent finds it.
    pub hook: Option<String>,
    /// The launch hook that is this agent's to answer; `None`: no launch is held off for it.
    pub launch_hook: Option<String>,
    /// What must be free before another job is taken.
    pub space: SpaceNeeds,
    /// Folders whose file systems count beside those of `state_dir` and the container engine.
    pub disk_paths: Vec<PathBuf>,
    /// The operator's own program that makes room between jobs; `None`: the engine's leavings are removed.
    pub clean: Option<Argv>,
    /// How the instance is switched off, the last rung. Default `systemctl poweroff`.
    pub power_off: Argv,
    /// Whether the runner gets a systemd unit of its own.
    pub runner_unit: RunnerUnit,
    /// As whom the runner runs, and what it finds in its environment.
    pub runner_environment: RunnerEnvironment,
    /// Who is kept from the metadata service.
    pub metadata_guard: MetadataGuard,
    /// How containers are watched.
    pub docker: DockerSettings,
    /// How often the instance's metadata are read.
    pub imds: ImdsSettings,
    /// Where the agent shows its own metrics.
    pub shown: MetricsSettings,
    /// By what it counts what its instance costs; `None`: by nothing.
    pub prices: Option<Prices>,
    /// Where records go beside the log.
    pub records: RecordsSettings,
    /// Which CI platform the runner works for.
    pub platform: Arc<dyn RunnerConfig>,
    /// Why no runner may be started with them; `None`: they can work.
    pub unusable: Option<String>,
    /// What is allowed and yet doubtful; for the log.
    pub warnings: Vec<Problem>,
}

impl AgentSettings {
    /// Merges and validates fragments, later ones over earlier ones.
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse(fragments: &[Fragment]) -> Result<Self, Problems> {
        Self::parse_with(fragments, &[])
    }

    /// The same, with the instance's tags (names and values) over all of them: see [`TAGS`](super::TAGS).
    ///
    /// # Errors
    ///
    /// With all problems at once.
    pub fn parse_with(fragments: &[Fragment], tags: &[(String, String)]) -> Result<Self, Problems> {
        let mut table = merged(fragments).map_err(Problems)?;
        let report = Report::default();
        tags::apply(&mut table, tags, &report);
        let settings = read(&report, &table, fragments);
        let warnings = report.finish()?;
        Ok(Self { warnings, ..settings })
    }

    /// Whether jobs may use the container engine, and so leave images and stopped containers behind: they are containers, or processes of a user that
    /// was let to it (`agent.runner_docker`).
    pub fn jobs_use_engine(&self) -> bool {
        self.platform.uses_engine() || self.runner_environment.engine == Some(true)
    }

    /// Whether the runner's user is kept from the metadata service. It is one with the jobs, unless these are containers.
    pub fn keeps_user_from_metadata(&self) -> bool {
        match self.metadata_guard {
            MetadataGuard::Auto => self.platform.needs_metadata().is_none() || !self.platform.uses_engine(),
            MetadataGuard::Containers | MetadataGuard::Off => false,
        }
    }
}

/// Each value that is right, and the default in place of one that has a problem, which is reported.
fn read(report: &Report, table: &Table, fragments: &[Fragment]) -> AgentSettings {
    let tables = ["agent", "docker", "imds", "metrics", "prices", "records", "platform"];
    let root = Section::new(report, vec![Layer::root(table, fragments)], tables);
    let agent = root.child("agent", names(AGENT_KEYS, Side::Agent));
    let cloud = agent.program("cloud").map(Vec::from).unwrap_or_default();
    let before_register = agent.program("before_register");
    let policy = policy(&agent);
    let state_dir = agent.absolute("state_dir").map_or_else(|| "/var/lib/lightsout".into(), PathBuf::from);
    let socket = agent.absolute("socket").map_or_else(|| "/run/lightsout/agent.sock".into(), PathBuf::from);
    let slots = agent.integer("slots", 1..=1000).unwrap_or(1);
    let metrics = metrics(&agent);
    let hook = agent.text("hook");
    let launch_hook = agent.text("launch_hook");
    let space = space(&agent);
    let disk_paths = disk_paths(&agent);
    let clean = agent.program("clean");
    let power_off = agent.program("power_off").unwrap_or_else(|| Argv::of("systemctl", &["poweroff"]));
    let runner_unit = runner_unit(&agent);
    let runner_environment = RunnerEnvironment::read(&agent);
    let metadata_guard = metadata_guard(&agent);
    let docker = docker(root.child("docker", names(DOCKER_KEYS, Side::Agent)));
    let imds = imds::read(root.child("imds", names(IMDS_KEYS, Side::Agent)));
    let shown = MetricsSettings::read(root.child("metrics", names(METRICS_KEYS, Side::Agent)));
    let prices = Prices::below(report, &root);
    let records = RecordsSettings::read(root.child("records", RecordsSettings::keys()));
    let platform = platform::runner(report, root.children("platform"), policy.jobs_per_instance == Some(1));
    let secrets = platform.as_ref().map(|platform| platform.secrets()).unwrap_or_default();
    let runner_environment = runner_environment.without(&agent, &secrets);
    if let Some(platform) = &platform {
        doubt_guard(&agent, metadata_guard, platform.as_ref());
    }
    agent.finish();
    root.finish();
    AgentSettings {
        cloud,
        policy,
        state_dir,
        socket,
        slots,
        metrics,
        before_register,
        hook,
        launch_hook,
        space,
        disk_paths,
        clean,
        power_off,
        runner_unit,
        runner_environment,
        metadata_guard,
        docker,
        imds,
        shown,
        prices,
        records,
        platform: platform.unwrap_or_else(no_platform),
        unusable: None,
        warnings: Vec::new(),
    }
}

fn metadata_guard(s: &Section<'_>) -> MetadataGuard {
    let words = [("auto", MetadataGuard::Auto), ("containers", MetadataGuard::Containers), ("off", MetadataGuard::Off)];
    s.word("metadata_guard", &words).unwrap_or_default()
}

/// Names the risk of what is left open, and what will not work of what is closed.
fn doubt_guard(s: &Section<'_>, guard: MetadataGuard, platform: &dyn RunnerConfig) {
    let containers = platform.uses_engine();
    match (guard, platform.needs_metadata()) {
        (MetadataGuard::Off, _) => s.doubt(
            "metadata_guard",
            "every job can take the instance's role from the metadata service, and with it end the group's other instances",
            "leave it out, and give jobs roles of their own (OIDC)",
        ),
        (MetadataGuard::Containers, _) if !containers => s.doubt(
            "metadata_guard",
            "jobs run as the runner's user, and can take the instance's role from the metadata service",
            "leave it out, unless the runner cannot do without",
        ),
        (MetadataGuard::Auto, Some(why)) if !containers => s.doubt(
            "metadata_guard",
            format!("the runner is kept from the metadata service, since its jobs are the same user, but {why}"),
            "write \"containers\" if jobs may have the instance's role, else give the runner what it needs in another way",
        ),
        (MetadataGuard::Auto | MetadataGuard::Containers, _) => {}
    }
}

fn policy(s: &Section<'_>) -> AgentPolicy {
    let d = AgentPolicy::default();
    let second = Duration::from_secs(1);
    let policy = AgentPolicy {
        before_register: before_register(s),
        launch_hook: s.has("launch_hook"),
        boot_deadline: s.duration("boot_deadline", second..=DAY).unwrap_or(d.boot_deadline),
        idle_timeout: s.duration_or("idle_timeout", second..=30 * DAY, Some("never")).unwrap_or(d.idle_timeout),
        confirm: s.duration("confirm", Duration::ZERO..=Duration::from_secs(600)).unwrap_or(d.confirm),
        max_age: s.duration_or("max_age", 60 * second..=365 * DAY, Some("never")).unwrap_or(d.max_age),
        jobs_per_instance: s.integer("jobs_per_instance", 1..=1_000_000).or(d.jobs_per_instance),
        abort_margin: s.duration("abort_margin", second..=110 * second).unwrap_or(d.abort_margin),
        unknown_limit: s.duration("unknown_limit", second..=DAY).unwrap_or(d.unknown_limit),
        clean_timeout: s.duration("clean_timeout", second..=DAY).unwrap_or(d.clean_timeout),
        protection: s
            .word("protection", &[("always", Protection::Always), ("while-busy", Protection::WhileBusy)])
            .unwrap_or(d.protection),
        leave_on_runner_expiry: s.flag("leave_on_runner_expiry").unwrap_or(d.leave_on_runner_expiry),
        leave_on_rebalance: s.flag("leave_on_rebalance").unwrap_or(d.leave_on_rebalance),
        rebalance_after: s.duration("rebalance_after", Duration::ZERO..=30 * DAY).unwrap_or(d.rebalance_after),
        floor_retry: s.duration("floor_retry", second..=DAY).unwrap_or(d.floor_retry),
        rung_patience: s.duration("rung_patience", second..=DAY).unwrap_or(d.rung_patience),
    };
    let Some(idle) = policy.idle_timeout else { return policy };
    if idle < Duration::from_secs(30) {
        s.doubt(
            "idle_timeout",
            "shorter than three ticks of the scaler at its usual 10s: instances may leave just before the next job comes",
            "write at least \"30s\" outside of tests",
        );
    }
    if !s.has("confirm") {
        return AgentPolicy { confirm: policy.confirm.min(idle / 2), ..policy };
    }
    if policy.confirm >= idle {
        let what = format!("the confirmation is the last part of the idle time, which is {}", format_duration(idle));
        s.contradiction("confirm", what, "make confirm shorter or idle_timeout longer");
    }
    policy
}

/// What must be free before another job is taken.
fn space(s: &Section<'_>) -> SpaceNeeds {
    let least = |key: &str, sizes: bool, default: Option<MinimumFree>| {
        if !s.has(key) {
            return default;
        }
        let text = s.text(key)?;
        let read = MinimumFree::parse(&text, sizes);
        if read.is_none() && text != "off" {
            let example = if sizes { "\"2GiB\"" } else { "\"10000\"" };
            let what = if sizes {
                "expected a size, a percentage from 1% to 90%, or \"off\""
            } else {
                "expected a number in quotes, a percentage from 1% to 90%, or \"off\""
            };
            s.contradiction(key, what, format!("write for example {key} = {example} or {key} = \"5%\""));
        }
        read
    };
    let d = SpaceNeeds::default();
    SpaceNeeds {
        disk: least("disk_free", true, d.disk),
        inodes: least("inodes_free", false, d.inodes),
        memory: least("memory_free", true, d.memory),
    }
}

fn disk_paths(s: &Section<'_>) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = s.texts("disk_paths").unwrap_or_default().into_iter().map(PathBuf::from).collect();
    if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
        s.contradiction("disk_paths", format!("{} is no absolute path", path.display()), "begin each with a slash");
    }
    paths
}

/// How long the program may take, where there is one.
fn before_register(s: &Section<'_>) -> Option<Duration> {
    let timeout = s.duration("before_register_timeout", Duration::from_secs(1)..=DAY);
    if timeout.is_some() && !s.has("before_register") {
        s.doubt(
            "before_register_timeout",
            "there is no program that it could end",
            "name one in agent.before_register, or leave this out",
        );
    }
    s.has("before_register").then(|| timeout.unwrap_or(Duration::from_secs(300)))
}

fn metrics(s: &Section<'_>) -> Option<String> {
    let Some(address) = s.text("metrics") else { return Some("127.0.0.1:9252".into()) };
    if address == "off" {
        return None;
    }
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        s.contradiction(
            "metrics",
            "expected an address with its port, or \"off\"",
            "write for example metrics = \"127.0.0.1:9252\"",
        );
    }
    Some(address)
}

fn runner_unit(s: &Section<'_>) -> RunnerUnit {
    s.flag_or("runner_unit", "auto").map_or(RunnerUnit::Auto, |flag| {
        flag.map_or(RunnerUnit::Auto, |yes| if yes { RunnerUnit::Always } else { RunnerUnit::Never })
    })
}

fn docker(s: Section<'_>) -> DockerSettings {
    let d = DockerSettings::default();
    let settings = DockerSettings {
        enabled: s.flag("enabled").unwrap_or(d.enabled),
        socket: s.absolute("socket").map_or(d.socket, PathBuf::from),
    };
    s.finish();
    settings
}
