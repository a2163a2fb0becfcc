//! The settings of a machine's agent and runner, as the machine image of a real fleet would hold them.

use std::path::{Path, PathBuf};

use super::power_switch::MACHINE_OFF;
use crate::{
    containers::{FLEET_LABEL, MACHINE_LABEL},
    duration::format_duration,
    processes::ProcessScope,
    up::{fleet_config::FleetConfig, platform::Machine, toml::quoted_path},
};

/// The agent's settings, as the machine image of a real fleet would hold them.
pub(super) fn agent(config: &FleetConfig, machine: &Machine<'_>) -> String {
    let dir = machine.dir;
    let engine = config.platform.needs_own_engine().then(|| format!("socket = {}\n", quoted_path(&engine_socket(dir))));
    format!(
        "[agent]\n\
         state_dir = {state}\n\
         socket = {socket}\n\
         slots = {slots}\n\
         idle_timeout = \"{idle}\"\n\
         metrics = \"{metrics}\"\n\
         runner_unit = false\n\
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
        metrics = config.platform.metrics(machine.port),
        program = quoted_path(&config.program),
        shown = quoted_path(dir),
        docker = machine.image.is_some(),
        engine = engine.unwrap_or_default(),
        platform = config.platform.agent_settings(machine),
    )
}

/// What the configuration of GitLab's runner says about containers, so that they are known as this machine's.
pub(super) fn docker_lines(fleet: &str, id: &str) -> String {
    let machine = ProcessScope::machine(fleet, id).value();
    format!(
        "[docker]\npull_policy = \"if-not-present\"\n\
         [docker.container_labels]\n\"{FLEET_LABEL}\" = \"{fleet}\"\n\"{MACHINE_LABEL}\" = \"{machine}\"\n"
    )
}

/// Where the machine's own view of the engine answers.
pub(super) fn engine_socket(dir: &Path) -> PathBuf {
    dir.join("engine")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lightsout_core::settings::{AgentSettings, Fragment, RunnerPlatform};
    use lightsout_localcloud::PlatformKind;

    use super::*;
    use crate::{fleet_dir::FleetDir, up::platform::Platform};

    fn settings(kind: PlatformKind, image: Option<&str>) -> (PathBuf, AgentSettings) {
        let config = FleetConfig {
            fleet_dir: FleetDir::new(Some("/run/fleet \"a\"".into())).unwrap(),
            platform: Platform::new(kind),
            program: "/opt/lightsout".into(),
            agent: None,
            scaler: None,
            runner: "/run/fleet/bin/gitlab-runner".into(),
            docker: None,
            idle_timeout: Duration::from_millis(8_500),
            slots: 3,
        };
        let dir = config.fleet_dir.instances().join("i-1");
        let machine = Machine {
            url: "http://127.0.0.1:2",
            dir: &dir,
            runner: &config.runner,
            port: 9_252,
            slots: config.slots,
            image,
            docker_lines: &docker_lines("f", "i-1"),
        };
        let text = agent(&config, &machine);
        (dir.clone(), AgentSettings::parse(&[Fragment::new("agent.toml", text)]).unwrap())
    }

    #[test]
    fn the_agent_takes_its_settings() {
        let (dir, settings) = settings(PlatformKind::GitLab, None);
        assert_eq!(settings.state_dir, dir.join("state"));
        assert_eq!(settings.slots, 3);
        assert_eq!(settings.policy.idle_timeout, Some(Duration::from_millis(8_500)));
        assert_eq!(settings.metrics.as_deref(), Some("127.0.0.1:9252"));
        assert_eq!(settings.power_off, ["/opt/lightsout", "machine-off", dir.to_str().unwrap()]);
        assert!(!settings.docker.enabled);
        let RunnerPlatform::GitLab { settings: gitlab, .. } = settings.platform else { panic!("not GitLab") };
        assert_eq!((gitlab.url.as_str(), gitlab.executor.as_str()), ("http://127.0.0.1:2", "shell"));
    }

    #[test]
    fn whoever_takes_every_container_for_a_job_sees_its_own_only() {
        let (dir, spacelift) = settings(PlatformKind::Spacelift, Some("img:1"));
        assert!(spacelift.docker.enabled);
        assert_eq!(spacelift.docker.socket, dir.join("engine"));
        let (_, gitlab) = settings(PlatformKind::GitLab, Some("img:1"));
        assert_eq!(gitlab.docker.socket, PathBuf::from("/var/run/docker.sock"));
        let RunnerPlatform::GitLab { settings: gitlab, .. } = gitlab.platform else { panic!("not GitLab") };
        assert!(gitlab.extra.unwrap().contains("\"lightsout.machine\" = \"f/i-1\""));
    }
}
