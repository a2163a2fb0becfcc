//! The platform of a fleet as `up` embeds it: settings for agent and scaler, secrets, and the built-in runner. What
//! differs between the platforms is their [`Demo`]'s to say.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lightsout_io::command_line::Failure;
use lightsout_localcloud::{
    LocalCloudOptions, PlatformKind, PlatformOptions,
    ci::{
        KINDS,
        demo::{Demo, DemoMachine, JobContainers},
    },
};
use lightsout_localrunner::{Host, Runner, runner_of};

use super::{Args, toml::quoted};

/// The platform of a fleet, and what the embedded one holds.
#[derive(Clone, Debug)]
pub(super) struct Platform {
    pub kind: PlatformKind,
    options: PlatformOptions,
}

impl Platform {
    /// A platform as `up` embeds it.
    pub(super) fn new(kind: PlatformKind) -> Self {
        Self { kind, options: kind.options() }
    }

    /// What the vendor says about a fleet on it.
    pub(super) fn demo(&self) -> &dyn Demo {
        self.options.demo()
    }

    /// What the embedded cloud starts with: the platform, and the secrets that agents and scaler read from its parameters.
    pub(super) fn embedded(&self) -> LocalCloudOptions {
        let secrets = self.demo().secrets().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        LocalCloudOptions { platform: self.options.clone(), secrets, ..LocalCloudOptions::default() }
    }

    /// The word for the platform's webhook in the scaler's settings, if it has one that tells of waiting jobs.
    pub(super) fn webhook(&self) -> Option<&'static str> {
        self.demo().has_webhook().then(|| self.kind.as_str())
    }

    /// Why the platform's runner runs jobs as plain processes even where there is an engine.
    pub(super) fn always_processes(&self) -> Option<&'static str> {
        match self.demo().containers() {
            JobContainers::Never(why) => Some(why),
            JobContainers::Named | JobContainers::Unnamed => None,
        }
    }

    /// Whether the agent needs a view of the engine that shows nothing but its machine's containers.
    pub(super) fn needs_own_engine(&self) -> bool {
        self.demo().containers() == JobContainers::Unnamed
    }

    /// Refuses what cannot work on this platform.
    pub(super) fn check(&self, args: &Args, dir: &Path) -> Result<(), Failure> {
        let (demo, title, slots) = (self.demo(), self.kind.title(), args.slots);
        let why = if slots > 1 && demo.one_job_at_a_time() {
            format!("--slots {slots}: a runner of {title} takes one job at a time; leave --slots out")
        } else if args.runner.is_some() && !demo.takes_genuine_runner() {
            format!(
                "--runner is for --platform {}: how runners of {title} talk to it is not public, so only the built-in one can \
                 take jobs here",
                takes_genuine_runner()
            )
        } else if args.webhook && !demo.has_webhook() {
            format!("--webhook: {title} has no webhook that tells of waiting jobs; leave it out")
        } else {
            return demo.check_dir(dir).map_err(Failure::Refused);
        };
        Err(Failure::Refused(why))
    }

    /// Puts the built-in runner where agents find it, below its vendor's name. Returns the program to start.
    pub(super) fn place_runner(&self, program: &Path, bin: &Path) -> Result<PathBuf> {
        let placed = self.runner().install(program, bin);
        placed.with_context(|| format!("cannot place the built-in runner in {}", bin.display()))
    }

    /// What the agent finds in its environment, and hands on to the runner.
    pub(super) fn environment(&self, machine: &DemoMachine<'_>) -> Vec<(&'static str, OsString)> {
        let DemoMachine { dir, runner, port, slots, image, .. } = *machine;
        self.runner().environment(&Host { dir, runner, port, slots, image })
    }

    fn runner(&self) -> &'static Runner {
        runner_of(self.kind.as_str()).expect("each platform has a built-in runner")
    }

    /// Where the runner serves its metrics, for `[agent]`; `off` where the agent asks for none.
    pub(super) fn metrics(&self, machine: &DemoMachine<'_>) -> String {
        if self.demo().serves_metrics() { machine.address() } else { "off".to_owned() }
    }

    /// The agent's `[platform.NAME]`.
    pub(super) fn agent_settings(&self, url: &str, machine: &DemoMachine<'_>) -> String {
        format!("[platform.{}]\nurl = {}\n{}", self.kind, quoted(url), self.demo().agent_settings(machine))
    }

    /// The scaler's `[pool.platform.NAME]`.
    pub(super) fn scaler_settings(&self, url: &str) -> String {
        format!("[pool.platform.{}]\nurl = {}\n{}", self.kind, quoted(url), self.demo().queue_settings())
    }
}

/// The platforms that can have the vendor's own runner.
fn takes_genuine_runner() -> String {
    let kinds = KINDS.iter().copied().filter(|kind| kind.options().demo().takes_genuine_runner());
    kinds.map(PlatformKind::as_str).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use lightsout_core::settings::{AgentSettings, Fragment, ScalerSettings};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn agent_and_scaler_take_the_settings_of_each_platform() {
        for &kind in KINDS {
            let platform = Platform::new(kind);
            let secrets = platform.embedded().secrets;
            for image in [None, Some("img:1")] {
                let machine = DemoMachine {
                    dir: Path::new("/run/fleet/instances/i-1"),
                    runner: Path::new("/run/fleet/bin/run.sh"),
                    port: 9252,
                    slots: 1,
                    image,
                    labels: &[],
                };
                let agent = platform.agent_settings("http://127.0.0.1:2", &machine);
                let settings = AgentSettings::parse(&[Fragment::new("agent.toml", agent.clone())]).unwrap();
                assert_eq!(settings.platform.platform(), kind.as_str());
                assert!(named(&agent).all(|name| secrets.contains_key(name)), "{agent}");
            }
            let pool = format!("[[pool]]\ngroup = \"g\"\n{}", platform.scaler_settings("http://127.0.0.1:2"));
            let settings = ScalerSettings::parse(&[Fragment::new("scaler.toml", pool.clone())]).unwrap();
            assert_eq!(settings.pools[0].platform.platform(), kind.as_str());
            assert!(named(&pool).all(|name| secrets.contains_key(name)), "{pool}");
        }
    }

    fn named(settings: &str) -> impl Iterator<Item = &str> {
        settings.split("ssm = \"").skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn what_a_platform_cannot_do_is_refused() {
        let check = |line: &str, dir: &str| {
            let line = Line::try_parse_from(format!("up --platform {line}").split_whitespace()).unwrap();
            let checked = Platform::new(line.args.platform).check(&line.args, Path::new(dir));
            checked.map_err(|error| error.to_string())
        };
        assert!(check("gitlab --slots 4 --runner /bin/x --webhook", "/a b").is_ok());
        assert!(check("github --slots 2", "/a").unwrap_err().contains("--slots 2"));
        let refused = check("github --runner /bin/x", "/a").unwrap_err();
        assert!(refused.contains("--platform gitlab or buildkite"), "{refused}");
        assert!(check("buildkite --runner /bin/x", "/a").is_ok());
        assert!(check("buildkite --slots 3", "/a b").unwrap_err().contains("--dir"));
        assert!(check("buildkite --slots 3", "/a").is_ok());
        assert!(check("stackguardian --slots 3", "/a b").is_ok());
        assert!(check("stackguardian --webhook", "/a").unwrap_err().contains("no webhook"));
    }
}
