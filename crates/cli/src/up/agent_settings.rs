//! The settings of a machine's agent, as the machine image of a real fleet would hold them.

use std::collections::BTreeSet;

use lightsout_localcloud::ci::demo::DemoMachine;

use super::{fleet::LAUNCH_HOOK, fleet_config::FleetConfig};
use crate::{duration::format_duration, processes::MACHINE_ENV, up::toml::quoted};

/// What machines of one kind say beside what all of them say, as lines of TOML.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnSettings {
    /// In `[agent]`.
    pub(crate) agent: String,
    /// In `[docker]`.
    pub(crate) docker: String,
}

/// The agent's settings. The built-in runner needs these variables of the agent.
pub(crate) fn agent<'a>(
    config: &FleetConfig,
    url: &str,
    machine: &DemoMachine<'_>,
    own: &OwnSettings,
    variables: impl Iterator<Item = &'a str>,
) -> String {
    format!(
        "[agent]\n\
         slots = {slots}\n\
         idle_timeout = \"{idle}\"\n\
         rebalance_after = \"0s\"\n\
         disk_free = \"off\"\n\
         inodes_free = \"off\"\n\
         metrics = \"{metrics}\"\n\
         runner_env = [{variables}]\n\
         {launch_hook}\
         {own_agent}\
         \n\
         [docker]\n\
         enabled = {docker}\n\
         {own_docker}\
         \n\
         {platform}",
        slots = machine.slots,
        idle = format_duration(config.idle_timeout),
        metrics = config.platform.metrics(machine),
        variables = handed_on(variables),
        launch_hook = if config.launch_hook { format!("launch_hook = \"{LAUNCH_HOOK}\"\n") } else { String::new() },
        own_agent = own.agent,
        docker = machine.image.is_some(),
        own_docker = own.docker,
        platform = config.cloud.secrets(
            &config.platform.agent_settings(url, machine),
            url,
            config.platform.demo().secrets().iter().map(|(name, _)| *name),
        ),
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

#[cfg(test)]
mod tests {
    use std::{any::Any, path::PathBuf, time::Duration};

    use lightsout_core::{
        platform::{Config, RunnerConfig, gitlab::GitLabRunnerSettings},
        settings::{AgentSettings, Fragment},
    };

    use super::*;
    use crate::{
        fleet_dir::FleetDir,
        up::{machine, platform::Platform},
    };

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
            booted: None,
            agent_settings: Vec::new(),
            idle_timeout: Duration::from_millis(8_500),
            slots: 3,
            cloud: crate::up::cloud::CloudKind::Aws,
            launch_hook: true,
        };
        let dir = config.fleet_dir.instances().join("i-1");
        let described = DemoMachine {
            dir: &dir,
            runner: &config.runner,
            port: 9_252,
            slots: config.slots,
            image,
            labels: &[("lightsout.machine", "f/i-1")],
        };
        let own = machine::own_settings(&config, &dir);
        let text = agent(&config, "http://127.0.0.1:2", &described, &own, ["LIGHTSOUT_SLOTS"].into_iter());
        (dir.clone(), AgentSettings::parse(&[Fragment::new("agent.toml", text)]).unwrap())
    }

    #[test]
    fn the_agent_takes_its_settings() {
        let (dir, settings) = settings("gitlab", None);
        assert_eq!(settings.state_dir, dir.join("state"));
        assert_eq!((settings.slots, settings.launch_hook.as_deref()), (3, Some(LAUNCH_HOOK)));
        assert_eq!(settings.policy.idle_timeout, Some(Duration::from_millis(8_500)));
        assert_eq!(settings.metrics.as_deref(), Some("127.0.0.1:9252"));
        assert_eq!(settings.power_off[..], ["/opt/lightsout", "machine-off", dir.to_str().unwrap()]);
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
        let extra = "[docker]\npull_policy = \"if-not-present\"\n[docker.container_labels]\n\"lightsout.machine\" = \"f/i-1\"\n";
        assert!(gitlab.extra == extra.parse().unwrap());
    }
}
