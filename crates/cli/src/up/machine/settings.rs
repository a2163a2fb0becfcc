//! The settings of a machine's agent, as the machine image of a real fleet would hold them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use lightsout_localcloud::ci::demo::DemoMachine;
use rustix::process::geteuid;

use super::power_switch::MACHINE_OFF;
use crate::{
    duration::format_duration,
    processes::MACHINE_ENV,
    up::{
        fleet_config::FleetConfig,
        toml::{quoted, quoted_path},
    },
};

/// The agent's settings, as the machine image of a real fleet would hold them. The built-in runner needs these variables of the agent.
pub(super) fn agent<'a>(
    config: &FleetConfig,
    url: &str,
    machine: &DemoMachine<'_>,
    variables: impl Iterator<Item = &'a str>,
) -> String {
    let dir = machine.dir;
    let engine = config.platform.needs_own_engine().then(|| format!("socket = {}\n", quoted_path(&engine_socket(dir))));
    format!(
        "[agent]\n\
         state_dir = {state}\n\
         socket = {socket}\n\
         slots = {slots}\n\
         idle_timeout = \"{idle}\"\n\
         rebalance_after = \"0s\"\n\
         metrics = \"{metrics}\"\n\
         runner_unit = false\n\
         {user}runner_env = [{variables}]\n\
         power_off = [{program}, \"{MACHINE_OFF}\", {shown}]\n\
         \n\
         [docker]\n\
         enabled = {docker}\n\
         {engine}\
         \n\
         {platform}",
        state = quoted_path(&dir.join("state")),
        socket = quoted_path(&dir.join("agent.sock")),
        slots = machine.slots,
        idle = format_duration(config.idle_timeout),
        metrics = config.platform.metrics(machine),
        program = quoted_path(&config.program),
        shown = quoted_path(dir),
        // Of the caller's own user: what is the caller's would be out of the reach of another one.
        user = if geteuid().is_root() { "runner_user = \"root\"\n" } else { "" },
        variables = handed_on(variables),
        docker = machine.image.is_some(),
        engine = engine.unwrap_or_default(),
        platform = config.platform.agent_settings(url, machine),
    )
}

/// The variables that lead the built-in runner to its fleet, as a list.
fn handed_on<'a>(variables: impl Iterator<Item = &'a str>) -> String {
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = ours.filter(|name| name.starts_with("LIGHTSOUT_") || name.starts_with("RUST_"));
    let fixed = [MACHINE_ENV, "AWS_ENDPOINT_URL", "AWS_REGION", "DOCKER_HOST"].map(str::to_owned);
    let names: BTreeSet<String> = variables.map(str::to_owned).chain(ours).chain(fixed).collect();
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// Where the machine's own view of the engine answers.
pub(super) fn engine_socket(dir: &Path) -> PathBuf {
    dir.join("engine")
}

#[cfg(test)]
mod tests {
    use std::{any::Any, time::Duration};

    use lightsout_core::{
        platform::{Config, RunnerConfig, gitlab::GitLabRunnerSettings},
        settings::{AgentSettings, Fragment},
    };

    use super::*;
    use crate::{fleet_dir::FleetDir, up::platform::Platform};

    fn gitlab_of(platform: &dyn RunnerConfig) -> &GitLabRunnerSettings {
        &(platform as &dyn Any).downcast_ref::<Config<GitLabRunnerSettings>>().expect("GitLab").settings
    }

    fn settings(kind: &str, image: Option<&str>) -> (PathBuf, AgentSettings) {
        let config = FleetConfig {
            fleet_dir: FleetDir::new(Some("/run/fleet \"a\"".into())).unwrap(),
            platform: Platform::new(kind.parse().unwrap()),
            program: "/opt/lightsout".into(),
            agent: None,
            scaler: None,
            runner: "/run/fleet/bin/gitlab-runner".into(),
            docker: None,
            idle_timeout: Duration::from_millis(8_500),
            slots: 3,
        };
        let dir = config.fleet_dir.instances().join("i-1");
        let machine = DemoMachine {
            dir: &dir,
            runner: &config.runner,
            port: 9_252,
            slots: config.slots,
            image,
            labels: &[("lightsout.machine", "f/i-1")],
        };
        let text = agent(&config, "http://127.0.0.1:2", &machine, ["LIGHTSOUT_SLOTS"].into_iter());
        (dir.clone(), AgentSettings::parse(&[Fragment::new("agent.toml", text)]).unwrap())
    }

    #[test]
    fn the_agent_takes_its_settings() {
        let (dir, settings) = settings("gitlab", None);
        assert_eq!(settings.state_dir, dir.join("state"));
        assert_eq!(settings.slots, 3);
        assert_eq!(settings.policy.idle_timeout, Some(Duration::from_millis(8_500)));
        assert_eq!(settings.metrics.as_deref(), Some("127.0.0.1:9252"));
        assert_eq!(settings.power_off, ["/opt/lightsout", "machine-off", dir.to_str().unwrap()]);
        assert!(!settings.docker.enabled);
        let gitlab = gitlab_of(&*settings.platform);
        assert_eq!((gitlab.url.as_str(), gitlab.executor.as_str()), ("http://127.0.0.1:2", "shell"));
    }

    #[test]
    fn whoever_takes_every_container_for_a_job_sees_its_own_only() {
        let (dir, spacelift) = settings("spacelift", Some("img:1"));
        assert!(spacelift.docker.enabled);
        assert_eq!(spacelift.docker.socket, dir.join("engine"));
        let (_, gitlab) = settings("gitlab", Some("img:1"));
        assert_eq!(gitlab.docker.socket, PathBuf::from("/var/run/docker.sock"));
        let gitlab = gitlab_of(&*gitlab.platform);
        assert!(gitlab.extra.as_ref().unwrap().contains("\"lightsout.machine\" = \"f/i-1\""));
    }
}
