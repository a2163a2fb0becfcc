//! The agent's settings.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    Fragment, Key, Problem, Problems, Side, Surroundings,
    keys::names,
    platform,
    reader::{Layer, Report, Section},
    tree::{Table, merged},
};
use crate::{
    agent::policy::{AgentPolicy, Protection},
    duration::format_duration,
    platform::RunnerConfig,
};

/// The keys below `[agent]`.
pub const AGENT_KEYS: &[Key] = &[
    Key::optional(
        "idle_timeout",
        Side::Agent,
        "duration or `\"never\"`",
        "`\"10m\"`",
        "how long without a job before the instance leaves",
    ),
    Key::optional(
        "confirm",
        Side::Agent,
        "duration",
        "`\"5s\"`, or half of `idle_timeout` if that is shorter",
        "the last part of `idle_timeout`, in which a fresh look at everything must be quiet; shorter than `idle_timeout`, at most 10 min",
    ),
    Key::optional(
        "slots",
        Side::Agent,
        "1 to 1000",
        "`1`",
        "jobs that the runner takes at once; some platforms' runners take one only",
    ),
    Key::optional(
        "jobs_per_instance",
        Side::Agent,
        "number",
        "any",
        "after so many jobs (busy periods, with several slots) the instance leaves",
    ),
    Key::optional(
        "max_age",
        Side::Agent,
        "duration or `\"never\"`",
        "`\"never\"`",
        "after so long in service, or up to a tenth less, it takes no more jobs and leaves",
    ),
    Key::optional(
        "boot_deadline",
        Side::Agent,
        "duration",
        "`\"10m\"`",
        "not ready by then: broken, the instance leaves",
    ),
    Key::optional(
        "abort_margin",
        Side::Agent,
        "1 s to 110 s",
        "`\"25s\"`",
        "how long before a spot deadline jobs that still run are failed visibly",
    ),
    Key::optional(
        "unknown_limit",
        Side::Agent,
        "duration",
        "`\"15m\"`",
        "how long doubt may last: while serving, after the proof, or with a quiet runner after it was told to exit",
    ),
    Key::optional(
        "protection",
        Side::Agent,
        "`\"always\"`, `\"while-busy\"`",
        "`\"always\"`",
        "`while-busy` is for groups that something else shrinks; it needs a termination hook",
    ),
    Key::optional(
        "leave_on_rebalance",
        Side::Agent,
        "true, false",
        "`true`",
        "whether a rebalance recommendation is a reason to leave",
    ),
    Key::optional(
        "rebalance_after",
        Side::Agent,
        "duration",
        "`\"15m\"`",
        "how long it has been in service, at least, before it leaves because of a rebalance recommendation; up to half as long again, so that a pool does not leave at once",
    ),
    Key::optional(
        "floor_retry",
        Side::Agent,
        "duration",
        "`\"60s\"`",
        "how often an idle instance at the group's floor asks again",
    ),
    Key::optional(
        "rung_patience",
        Side::Agent,
        "duration",
        "`\"10m\"`",
        "how long one way to end the instance may take before a blunter one is tried",
    ),
    Key::optional(
        "hook",
        Side::Agent,
        "text",
        "found",
        "the termination hook that is this agent's to answer; without it, the one that waits longest. All of the group's are extended while jobs run",
    ),
    Key::optional(
        "metrics",
        Side::Agent,
        "`host:port` or `\"off\"`",
        "`\"127.0.0.1:9252\"`",
        "where the runner serves its metrics",
    ),
    Key::optional(
        "runner_unit",
        Side::Agent,
        "`\"auto\"`, true, false",
        "`\"auto\"`",
        "whether the runner gets a systemd unit of its own; auto: where systemd runs",
    ),
    Key::optional(
        "runner_user",
        Side::Agent,
        "text",
        "`lightsout-runner` where there is such a user, else the agent's own",
        "as whom the runner and its jobs run; `root` only by name",
    ),
    Key::optional(
        "runner_docker",
        Side::Agent,
        "`\"auto\"`, true, false",
        "`\"auto\"`",
        "whether that user may use the Docker engine, with which jobs are as good as root; auto: where the platform's jobs are containers",
    ),
    Key::optional(
        "runner_env",
        Side::Agent,
        "list of `\"NAME\"` or `\"NAME=value\"`",
        "none",
        "variables for the runner and its jobs: handed on from the agent, or set; besides `PATH`, the language, the time zone, proxies and certificates they get no other",
    ),
    Key::optional(
        "power_off",
        Side::Agent,
        "program",
        "`[\"systemctl\", \"poweroff\"]`",
        "the last way to end the machine",
    ),
    Key::optional("state_dir", Side::Agent, "path", "`/var/lib/lightsout`", "journal, status file, the runner's files"),
    Key::optional(
        "socket",
        Side::Agent,
        "path",
        "`/run/lightsout/agent.sock`",
        "where `status`, `drain`, `hold` reach the agent",
    ),
];

/// The keys below `[docker]`.
pub const DOCKER_KEYS: &[Key] = &[
    Key::optional("enabled", Side::Agent, "true, false", "`true`", "whether containers are watched"),
    Key::optional("socket", Side::Agent, "path", "`/var/run/docker.sock`", "the engine"),
];

/// The keys below `[imds]`.
pub const IMDS_KEYS: &[Key] = &[
    Key::optional(
        "spot",
        Side::Agent,
        "duration",
        "`\"1s\"`",
        "how often the metadata service is asked for a spot notice",
    ),
    Key::optional("target", Side::Agent, "duration", "`\"2s\"`", "the same for the target lifecycle state"),
    Key::optional("rebalance", Side::Agent, "duration", "`\"5s\"`", "the same for a rebalance recommendation"),
    Key::optional("maintenance", Side::Agent, "duration", "`\"60s\"`", "the same for scheduled maintenance"),
];

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

/// The pauses between two looks at the instance's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImdsSettings {
    /// For a spot notice. Default 1 s.
    pub spot: Duration,
    /// For the target lifecycle state. Default 2 s.
    pub target: Duration,
    /// For a rebalance recommendation. Default 5 s.
    pub rebalance: Duration,
    /// For scheduled maintenance. Default 60 s.
    pub maintenance: Duration,
}

impl Default for ImdsSettings {
    fn default() -> Self {
        Self {
            spot: Duration::from_secs(1),
            target: Duration::from_secs(2),
            rebalance: Duration::from_secs(5),
            maintenance: Duration::from_secs(60),
        }
    }
}

/// The agent's settings, validated.
#[derive(Clone, Debug)]
pub struct AgentSettings {
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
    /// The termination hook's name; `None`: the agent finds it.
    pub hook: Option<String>,
    /// How the instance is switched off, the last rung. Default `systemctl poweroff`.
    pub power_off: Vec<String>,
    /// Whether the runner gets a systemd unit of its own.
    pub runner_unit: RunnerUnit,
    /// As whom the runner runs, and what it finds in its environment.
    pub surroundings: Surroundings,
    /// How containers are watched.
    pub docker: DockerSettings,
    /// How often the instance's metadata are read.
    pub imds: ImdsSettings,
    /// Which CI platform the runner works for.
    pub platform: Arc<dyn RunnerConfig>,
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
        let table = merged(fragments).map_err(Problems)?;
        let report = Report::default();
        let parts = read(&report, &table, fragments);
        let warnings = report.finish()?;
        #[expect(clippy::expect_used, reason = "a part that is absent has reported a problem")]
        let settings = parts.expect("settings without a problem are complete");
        Ok(Self { warnings, ..settings })
    }
}

fn read(report: &Report, table: &Table, fragments: &[Fragment]) -> Option<AgentSettings> {
    let root = Section::new(report, vec![Layer::root(table, fragments)], ["agent", "docker", "imds", "platform"]);
    let agent = root.child("agent", names(AGENT_KEYS, Side::Agent));
    let policy = policy(&agent);
    let state_dir = agent.absolute("state_dir").unwrap_or_else(|| "/var/lib/lightsout".into());
    let socket = agent.absolute("socket").unwrap_or_else(|| "/run/lightsout/agent.sock".into());
    let slots = agent.integer("slots", 1..=1000).unwrap_or(1);
    let metrics = metrics(&agent);
    let hook = agent.text("hook");
    let power_off = agent.program("power_off").unwrap_or_else(|| vec!["systemctl".into(), "poweroff".into()]);
    let runner_unit = runner_unit(&agent);
    let surroundings = Surroundings::read(&agent);
    let docker = docker(root.child("docker", names(DOCKER_KEYS, Side::Agent)));
    let imds = imds(root.child("imds", names(IMDS_KEYS, Side::Agent)));
    let platform = platform::runner(report, root.children("platform"), policy.jobs_per_instance == Some(1));
    let secrets = platform.as_ref().map(|platform| platform.secrets()).unwrap_or_default();
    let surroundings = surroundings.without(&agent, &secrets);
    agent.finish();
    root.finish();
    Some(AgentSettings {
        policy,
        state_dir,
        socket,
        slots,
        metrics,
        hook,
        power_off,
        runner_unit,
        surroundings,
        docker,
        imds,
        platform: platform?,
        warnings: Vec::new(),
    })
}

fn policy(s: &Section<'_>) -> AgentPolicy {
    let d = AgentPolicy::default();
    let second = Duration::from_secs(1);
    let policy = AgentPolicy {
        boot_deadline: s.duration("boot_deadline", second..=DAY).unwrap_or(d.boot_deadline),
        idle_timeout: s.duration_or("idle_timeout", second..=30 * DAY, Some("never")).unwrap_or(d.idle_timeout),
        confirm: s.duration("confirm", Duration::ZERO..=Duration::from_secs(600)).unwrap_or(d.confirm),
        max_age: s.duration_or("max_age", 60 * second..=365 * DAY, Some("never")).unwrap_or(d.max_age),
        jobs_per_instance: s.integer("jobs_per_instance", 1..=1_000_000).or(d.jobs_per_instance),
        abort_margin: s.duration("abort_margin", second..=110 * second).unwrap_or(d.abort_margin),
        unknown_limit: s.duration("unknown_limit", second..=DAY).unwrap_or(d.unknown_limit),
        protection: s
            .word("protection", &[("always", Protection::Always), ("while-busy", Protection::WhileBusy)])
            .unwrap_or(d.protection),
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
        socket: s.absolute("socket").unwrap_or(d.socket),
    };
    s.finish();
    settings
}

fn imds(s: Section<'_>) -> ImdsSettings {
    let d = ImdsSettings::default();
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(600));
    // A spot notice comes two minutes ahead; looking more rarely than every 30 s gives most of that away.
    let settings = ImdsSettings {
        spot: s.duration("spot", least..=Duration::from_secs(30)).unwrap_or(d.spot),
        target: s.duration("target", least..=Duration::from_secs(60)).unwrap_or(d.target),
        rebalance: s.duration("rebalance", least..=most).unwrap_or(d.rebalance),
        maintenance: s.duration("maintenance", least..=6 * most).unwrap_or(d.maintenance),
    };
    s.finish();
    settings
}
