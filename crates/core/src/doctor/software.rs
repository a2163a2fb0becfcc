//! Rows about the settings and about what is installed.

use jiff::tz::TimeZone;

use super::{
    Judgement, Row, Scope, Verdict,
    facts::{CONTAINERS, EngineAccess, GuardFacts, RunsAs, Unit},
    of,
};

/// How many days before its end an image is called old: a rebuild takes days where people must agree to it.
const WARN_BEFORE: i64 = 10;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "settings",
        scope: Scope::Both,
        meaning: "the settings can be read and nothing in them is wrong; in an image, what is missing may come with the user data",
        remedy: "correct the settings: each problem names its file, line, key and value",
        judge: |facts| {
            let settings = &facts.settings;
            let (wrong, missing) = (&settings.problems, &settings.missing);
            if !wrong.is_empty() || (!facts.in_image() && !missing.is_empty()) {
                return Judgement::wrong(wrong.iter().chain(missing).cloned().collect::<Vec<_>>().join("\n"));
            }
            if missing.is_empty() {
                return Judgement::ok(settings.files.join(", "));
            }
            Some(Judgement {
                verdict: Verdict::Warning,
                seen: missing.join("\n"),
                remedy: Some("have the user data write it into /etc/lightsout/agent.d".into()),
            })
        },
    },
    Row {
        id: "settings.doubts",
        scope: Scope::Both,
        meaning: "nothing in the settings is doubtful",
        remedy: "each doubt says what to write instead",
        judge: |facts| match facts.settings.doubts.as_slice() {
            [] => facts.settings.settings.is_some().then(|| Judgement::new(Verdict::Ok, "none")),
            doubts => Judgement::warning(doubts.join("\n")),
        },
    },
    Row {
        id: "settings.readable",
        scope: Scope::Both,
        meaning: "settings that hold a secret are not everybody's to read",
        remedy: "chmod 600 these files, or keep the secret elsewhere: every job can read it",
        judge: |facts| match facts.settings.readable.as_slice() {
            [] => facts.settings.inline_secret.then(|| Judgement::new(Verdict::Ok, "only their owner may")),
            files => Judgement::wrong(format!("everybody may read {}", files.join(", "))),
        },
    },
    Row {
        id: "settings.broad-secret",
        scope: Scope::Both,
        meaning: "the instance holds no secret that can do more than one instance needs, where there is a narrower one",
        remedy: "use the narrower way that is named",
        judge: |facts| match &facts.settings.broad_secret {
            Some(why) => Judgement::warning(why.clone()),
            None => facts.settings.settings.is_some().then(|| Judgement::new(Verdict::Ok, "none")),
        },
    },
    Row {
        id: "runner.user",
        scope: Scope::Both,
        meaning: "the runner and its jobs have a user of their own",
        remedy: "make the user that the packages make (`systemd-sysusers`), or name one in `agent.runner_user`; \"root\" if that is meant",
        judge: |facts| match facts.software.runner_user.as_ref()? {
            Err(why) => Judgement::wrong(why.clone()),
            Ok(RunsAs::Own(name)) => Judgement::ok(name.clone()),
            Ok(RunsAs::Root { by_name: true }) => {
                Judgement::ok("root, as agent.runner_user says: jobs can do anything here")
            }
            Ok(RunsAs::Agents) => Judgement::ok("the agent's own, which is not root: jobs can read what the agent can"),
            Ok(RunsAs::Root { by_name: false }) => Judgement::warning(
                "root: jobs can read the agent's settings, secrets and journal, and reach the metadata service",
            ),
        },
    },
    Row {
        id: "runner.engine",
        scope: Scope::Both,
        meaning: "the runner's user may use the Docker engine only where that is meant: with it jobs are as good as root",
        remedy: "take the user out of the group of the engine's socket (`gpasswd --delete USER docker`), or write `agent.runner_docker = true` if that is meant",
        judge: |facts| match facts.software.engine_access? {
            EngineAccess::No => Judgement::ok("no"),
            EngineAccess::ByName => Judgement::ok("yes, as agent.runner_docker says: jobs are as good as root"),
            EngineAccess::Needed => {
                Judgement::ok("yes, since the platform's jobs are containers: jobs are as good as root")
            }
            EngineAccess::InSpite => Judgement::warning(
                "yes, although agent.runner_docker does not let it: jobs are as good as root, and read the agent's secrets",
            ),
        },
    },
    Row {
        id: "runner.program",
        scope: Scope::Both,
        meaning: "the runner's program is there and can be run",
        remedy: "install the platform's runner in the image, or correct `program` in the settings",
        judge: |facts| match facts.software.runner.as_ref()? {
            Ok(path) => Judgement::ok(path.display().to_string()),
            Err(why) => Judgement::wrong(why.clone()),
        },
    },
    Row {
        id: "runner.version",
        scope: Scope::Both,
        meaning: "the runner starts, and its version is one that the platform takes and the settings are written for",
        remedy: "build the image with a runner of a version that is named",
        judge: |facts| match facts.software.runner_version.as_ref()? {
            Err(why) => Judgement::wrong(why.clone()),
            Ok(version) => match (&version.refused, &version.doubt) {
                (Some(why), _) => Judgement::wrong(why.clone()),
                (None, Some(why)) => Judgement::warning(why.clone()),
                (None, None) => Judgement::ok(version.said.clone()),
            },
        },
    },
    Row {
        id: "runner.expiry",
        scope: Scope::Both,
        meaning: "the runner in the image is not older than its platform takes: from ten days before the end on it is a warning",
        remedy: "build the image anew with the runner's current version (packer/README.md), and have new instances start from it",
        judge: |facts| {
            // One that cannot be read is what `image.says` is about.
            let baked = facts.software.baked.as_ref()?.as_ref().ok()?;
            let runner = baked.runner.as_ref()?;
            let expires = runner.expires?;
            let version = runner.version.as_deref().unwrap_or("of an unknown version");
            let left = baked.now.to_zoned(TimeZone::UTC).date().duration_until(expires).as_hours() / 24;
            let seen = format!("the runner {version} may be refused from {expires} on");
            match left {
                ..=0 => Judgement::wrong(format!("{seen}, which is past")),
                1..=WARN_BEFORE => Judgement::warning(format!("{seen}, in {left} days")),
                _ => Judgement::ok(seen),
            }
        },
    },
    Row {
        id: "runner.second",
        scope: Scope::Both,
        meaning: "nothing but the agent starts the runner: jobs of another one would be nobody's",
        remedy: "systemctl disable --now its unit, as named",
        judge: |facts| {
            let unit = facts.software.runner_unit.as_ref()?;
            if unit.masked || !(unit.enabled || unit.active == Some(true)) {
                return Judgement::ok(format!("{} is not started", unit.name));
            }
            let how = if unit.enabled { "is started at boot" } else { "runs" };
            Some(Judgement {
                verdict: Verdict::Wrong,
                seen: format!("{} {how}: it takes jobs that the agent does not know of", unit.name),
                remedy: Some(format!("systemctl disable --now {}", unit.name)),
            })
        },
    },
    Row {
        id: "units.agent",
        scope: Scope::Both,
        meaning: "the agent's unit is there, is started at boot, and runs",
        remedy: "systemctl unmask lightsout-agent.service; systemctl enable --now lightsout-agent.service",
        judge: |facts| started(facts.software.agent_unit.as_ref()?),
    },
    Row {
        id: "units.dead-man",
        scope: Scope::Both,
        meaning: "the dead-man's switch is armed: an instance whose agent cannot begin is ended all the same",
        remedy: "systemctl unmask lightsout-dead-man.timer; systemctl enable --now lightsout-dead-man.timer",
        judge: |facts| started(facts.software.dead_man.as_ref()?),
    },
    Row {
        id: "docker.unit",
        scope: Scope::Both,
        meaning: "the Docker engine is started at boot, where jobs need it",
        remedy: "install Docker, and systemctl enable --now docker.service",
        judge: |facts| facts.machine.engine_needed.then(|| started(facts.software.engine_unit.as_ref()?)).flatten(),
    },
    Row {
        id: "docker.log-limit",
        scope: Scope::Both,
        meaning: "what containers write to their logs cannot fill the disk",
        remedy: "write {\"log-driver\": \"local\"} into /etc/docker/daemon.json, or json-file with \"log-opts\": {\"max-size\": \"10m\"}",
        judge: |facts| {
            of(facts.software.engine_settings.as_ref(), |engine| {
                let driver = &engine.log_driver;
                if engine.log_limit {
                    Judgement::ok(format!("log driver {driver}"))
                } else {
                    Judgement::warning(format!("log driver {driver} without a largest size"))
                }
            })
        },
    },
    Row {
        id: "docker.live-restore",
        scope: Scope::Both,
        meaning: "jobs outlive a restart of the Docker engine",
        remedy: "write {\"live-restore\": true} into /etc/docker/daemon.json, and systemctl reload docker",
        judge: |facts| {
            of(facts.software.engine_settings.as_ref(), |engine| {
                if engine.live_restore {
                    Judgement::ok("live-restore is on")
                } else {
                    Judgement::warning(
                        "live-restore is off: a restart of the engine, say for an update, kills every job's container",
                    )
                }
            })
        },
    },
    Row {
        id: "docker.cgroup-parent",
        scope: Scope::Both,
        meaning: "containers are where the rules that keep them from the metadata service look for those on the host's network, root's among them",
        remedy: "write {\"cgroup-parent\": \"docker.slice\"} into /etc/docker/daemon.json, and systemctl restart docker where no job runs",
        judge: |facts| {
            // Without version 2 of control groups no rule can tell them.
            let told = match facts.machine.guard.as_ref()?.as_ref().ok()? {
                GuardFacts::Off => false,
                GuardFacts::Up { groups, .. } => !groups.is_empty(),
                GuardFacts::Ready | GuardFacts::Open(_) => true,
            };
            told.then(|| {
                of(facts.software.engine_settings.as_ref(), |engine| match engine.cgroup_parent.as_deref() {
                    Some(CONTAINERS) => Judgement::ok(format!("containers are below {CONTAINERS}")),
                    Some(parent) => Judgement::warning(format!(
                        "containers are below {parent}: those on the host's network may reach the metadata service"
                    )),
                    None => Judgement::warning("containers on the host's network may reach the metadata service"),
                })
            })
            .flatten()
        },
    },
    Row {
        id: "packages.automatic",
        scope: Scope::Both,
        meaning: "no package is installed or upgraded by itself: an upgrade restarts engines and services under running jobs",
        remedy: "systemctl mask these units; new versions come with a new image",
        judge: |facts| match facts.software.automatic_updates.as_ref()?.as_slice() {
            [] => Judgement::ok("nothing does so"),
            units => Judgement::wrong(format!("started by itself: {}", units.join(", "))),
        },
    },
    Row {
        id: "packages.needrestart",
        scope: Scope::Both,
        meaning: "needrestart leaves agent, runner and engine alone: to the agent a restart is the order to drain and leave",
        remedy: "install /etc/needrestart/conf.d/lightsout-agent.conf, which the package brings, or remove needrestart",
        judge: |facts| match facts.software.restarts_excluded.as_ref()? {
            Ok(true) => Judgement::ok("they are excluded"),
            Ok(false) => Judgement::wrong("needrestart is installed and may restart them"),
            Err(why) => Judgement::unknown(why.clone()),
        },
    },
];

/// A unit that must be started at boot, and run.
fn started(unit: &Unit) -> Option<Judgement> {
    let name = &unit.name;
    if unit.masked {
        Judgement::wrong(format!("{name} is masked"))
    } else if !unit.installed {
        Judgement::wrong(format!("there is no {name}"))
    } else if !unit.enabled {
        Judgement::wrong(format!("{name} is not started at boot"))
    } else if unit.active == Some(false) {
        Judgement::wrong(format!("{name} does not run"))
    } else {
        Judgement::ok(format!("{name} is enabled{}", if unit.active.is_some() { " and runs" } else { "" }))
    }
}
