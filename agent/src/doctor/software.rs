//! Facts for `doctor` about what is installed: units, runner, container engine, their versions.

use std::{env, fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use jiff::Timestamp;
use lightsout_core::{
    doctor::facts::{EngineAccess, EngineSettings, Fact, Facts, ImageManifest, RunsAs, SettingsFacts, Software, Unit},
    exchange::Call,
    platform::{RunnerNeeds, RunnerVersion},
    settings::{RunnerEnvironment, RunnerUnit},
};
use lightsout_io::http::{AsRunner, Driver};
use rustix::process::geteuid;
use serde_json::Value;

use super::{
    root::{Root, has_extension},
    units::unit,
};
use crate::{
    docker::EngineInfo,
    image::IMAGE,
    runner_process::systemd_runs,
    runner_user::{self, RunnerUser},
};

/// The container engine's configuration (Docker documentation, "dockerd", Linux).
const ENGINE: &str = "/etc/docker/daemon.json";
/// How long the runner may take to say its version: .NET from a cold disk takes seconds.
const VERSION: Duration = Duration::from_secs(25);

/// What installs or upgrades packages by itself on Debian, Ubuntu and Amazon Linux.
const AUTOMATIC: [&str; 8] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "unattended-upgrades.service",
    "dnf-automatic.timer",
    "dnf-automatic-install.timer",
    "dnf5-automatic.timer",
    "yum-cron.service",
    "snapd.refresh.timer",
];

/// Where Docker's package puts the engine.
const DOCKERD: [&str; 3] = ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"];

/// Looks at all of it.
pub(crate) async fn installed(facts: &Facts, root: &Root, info: &EngineInfo) -> Software {
    let settings = &facts.settings;
    let mut needs = settings.settings.as_ref().map(|settings| settings.platform.needs()).unwrap_or_default();
    let baked = baked(root);
    let runner = program(root, &needs, baked.as_ref());
    let engine_there = DOCKERD.iter().any(|path| root.has(path));
    let mut software = Software {
        runner_user: Some(runs_as(settings, root, facts.in_image())),
        engine_access: engine_access(settings, root, facts.in_image()),
        runner_version: version(facts, root, needs.version.take(), runner.as_ref()).await,
        runner,
        baked,
        engine_settings: (engine_there || engine_needed(settings, root, facts.in_image())).then(|| engine(root, info)),
        ..Software::default()
    };
    if facts.in_image() || under_systemd(settings) {
        software.runner_unit = match needs.unit {
            Some(name) => Some(unit(root, name, facts.in_image()).await).filter(|unit| unit.installed || unit.masked),
            None => None,
        };
        software.agent_unit = Some(unit(root, "lightsout-agent.service", facts.in_image()).await);
        software.dead_man = Some(unit(root, "lightsout-dead-man.timer", facts.in_image()).await);
        software.engine_unit = Some(engine_unit(root, facts.in_image()).await);
        software.automatic_updates = Some(automatic(root, facts.in_image()).await);
        software.restarts_excluded = excluded(root);
    }
    software
}

/// Whether jobs need the container engine: by the settings, and in an image without all of them, when it is there.
pub(crate) fn engine_needed(settings: &SettingsFacts, root: &Root, in_image: bool) -> bool {
    match &settings.settings {
        Some(settings) => settings.docker.enabled && settings.jobs_use_engine(),
        None => in_image && DOCKERD.iter().any(|path| root.has(path)),
    }
}

/// Whether the agent is a unit of systemd's here.
fn under_systemd(facts: &SettingsFacts) -> bool {
    let wanted = facts.settings.as_ref().is_none_or(|settings| settings.runner_unit != RunnerUnit::Never);
    wanted && systemd_runs()
}

fn runner_environment(facts: &SettingsFacts) -> RunnerEnvironment {
    facts.settings.as_ref().map_or_else(RunnerEnvironment::default, |found| found.runner_environment.clone())
}

/// Whether the runner's own user may use the engine: before the engine runs there is no socket, and its group
/// is the one that its package makes.
fn engine_access(facts: &SettingsFacts, root: &Root, in_image: bool) -> Option<EngineAccess> {
    let settings = facts.settings.as_ref()?;
    let own = if in_image { 0 } else { geteuid().as_raw() };
    let user = RunnerUser::on(&root.0, &settings.runner_environment, own).ok()??;
    Some(match settings.runner_environment.engine {
        Some(true) => EngineAccess::ByName,
        None if settings.platform.uses_engine() => EngineAccess::Needed,
        Some(false) | None if user.may_use(&root.at(&settings.docker.socket)) || is_in_group(&user, root) => {
            EngineAccess::InSpite
        }
        Some(false) | None => EngineAccess::No,
    })
}

/// As group(5) says; of the engine's package, "docker" (Docker documentation, "Linux post-installation steps").
fn is_in_group(user: &RunnerUser, root: &Root) -> bool {
    let groups = root.text("/etc/group").ok().flatten().unwrap_or_default();
    let docker = groups.lines().find_map(|line| line.strip_prefix("docker:")?.split(':').nth(1)?.parse().ok());
    docker.is_some_and(|id: u32| id == user.gid || user.groups.contains(&id))
}

fn runs_as(facts: &SettingsFacts, root: &Root, in_image: bool) -> Fact<RunsAs> {
    let runner_environment = runner_environment(facts);
    // Whoever builds the image, an instance's agent is root.
    let own = if in_image { 0 } else { geteuid().as_raw() };
    Ok(match RunnerUser::on(&root.0, &runner_environment, own)? {
        Some(user) => RunsAs::Own(user.name),
        None if own == 0 => RunsAs::Root { by_name: runner_environment.user.is_some() },
        None => RunsAs::Agents,
    })
}

fn baked(root: &Root) -> Option<Fact<ImageManifest>> {
    let read = |text: String| {
        let found: Result<ImageManifest, _> = serde_json::from_str(&text);
        found.map_err(|error| format!("{IMAGE} cannot be understood: {error}"))
    };
    let found = root.text(IMAGE).transpose()?.and_then(read);
    Some(found.map(|baked| ImageManifest { now: Timestamp::now(), ..baked }))
}

/// Where the runner's program is, by the settings, else by what the image says.
fn program(root: &Root, needs: &RunnerNeeds, baked: Option<&Fact<ImageManifest>>) -> Option<Fact<PathBuf>> {
    let of_image = || baked?.as_ref().ok()?.runner.as_ref()?.program.first().cloned();
    let name = needs.program.clone().or_else(of_image)?;
    if name.contains('/') {
        return Some(runnable(root, name.into()));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found =
        env::split_paths(&path).map(|folder| folder.join(&name)).find(|path| runnable(root, path.clone()).is_ok());
    Some(found.ok_or_else(|| format!("there is no program {name} in {}", path.to_string_lossy())))
}

fn runnable(root: &Root, path: PathBuf) -> Fact<PathBuf> {
    match fs::metadata(root.at(&path)) {
        Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => Ok(path),
        Ok(_) => Err(format!("{} is no program that can be run", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

async fn version(
    facts: &Facts,
    root: &Root,
    question: Option<Call<RunnerVersion>>,
    runner: Option<&Fact<PathBuf>>,
) -> Option<Fact<RunnerVersion>> {
    runner?.as_ref().ok()?;
    let mut question = question?;
    let mut driver = Driver::new("");
    // No job has written to an image yet, and who builds one may not be able to become another user.
    if !facts.in_image() {
        let runner_environment = runner_environment(&facts.settings);
        let user = RunnerUser::on(&root.0, &runner_environment, geteuid().as_raw());
        driver = driver.with_runner(AsRunner::new(move |command| {
            runner_user::run_alike(command, user.as_ref().map_err(Clone::clone)?.as_ref(), &runner_environment);
            Ok(())
        }));
    }
    Some(driver.complete(question.as_mut(), VERSION).await.map_err(|error| error.to_string()))
}

/// Started at boot by itself, or by whoever calls its socket.
async fn engine_unit(root: &Root, in_image: bool) -> Unit {
    let service = unit(root, "docker.service", in_image).await;
    let socket = unit(root, "docker.socket", in_image).await;
    Unit { enabled: service.enabled || socket.enabled, ..service }
}

/// By its file, but for what the running engine says, whose command line may say otherwise. How large a log may grow it does not tell.
fn engine(root: &Root, info: &EngineInfo) -> Fact<EngineSettings> {
    let text = root.text(ENGINE)?.unwrap_or_else(|| "{}".into());
    let settings: Value =
        serde_json::from_str(&text).map_err(|error| format!("{ENGINE} cannot be understood: {error}"))?;
    let of_file = || settings.get("log-driver").and_then(Value::as_str).unwrap_or("json-file").to_owned();
    let log_driver = info.log_driver.clone().unwrap_or_else(of_file);
    let largest = settings.get("log-opts").and_then(|options| options.get("max-size"));
    Ok(EngineSettings {
        // `local` rotates by itself; the others do not write files of their own (Docker documentation, "Configure logging drivers").
        log_limit: log_driver != "json-file" || largest.is_some(),
        live_restore: info.live_restore.unwrap_or(settings.get("live-restore") == Some(&Value::Bool(true))),
        cgroup_parent: settings.get("cgroup-parent").and_then(Value::as_str).map(str::to_owned),
        log_driver,
    })
}

async fn automatic(root: &Root, in_image: bool) -> Vec<String> {
    let mut found = Vec::new();
    for name in AUTOMATIC {
        let unit = unit(root, name, in_image).await;
        if !unit.masked && (unit.enabled || unit.active == Some(true)) {
            found.push(unit.name);
        }
    }
    found
}

fn excluded(root: &Root) -> Option<Fact<bool>> {
    const FOLDER: &str = "/etc/needrestart/conf.d";
    if !root.has("/etc/needrestart/needrestart.conf") && !root.has("/usr/sbin/needrestart") {
        return None;
    }
    let excludes = |text: &str| {
        let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        ["lightsout", "docker", "containerd"].iter().all(|what| lines.iter().any(|line| line.contains(what)))
    };
    for path in root.list(FOLDER).into_iter().filter(|path| has_extension(path, "conf")) {
        match root.text(&path) {
            Ok(text) if text.as_deref().is_some_and(excludes) => {
                return Some(Ok(true));
            }
            Ok(_) => {}
            Err(why) => return Some(Err(why)),
        }
    }
    Some(Ok(false))
}
