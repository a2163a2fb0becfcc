//! What differs between the CI platforms: the secrets, the settings of agent and scaler, the built-in runner, and where jobs run.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lightsout_localcloud::{GitLabOptions, LocalCloudOptions, PlatformKind, SpaceliftOptions};
use lightsout_localrunner::{Host, Runner, runner_of};

use super::toml::quoted;

/// The parameter that holds the secret with which runners connect.
const RUNNER_TOKEN: &str = "/lightsout/demo/runner-token";
/// The parameter that holds the secret with which the scaler reads the queue.
const READ_TOKEN: &str = "/lightsout/demo/read-token";
/// The parameter that holds the secret with which agents drain, where that is another.
const DRAIN_TOKEN: &str = "/lightsout/demo/drain-token";
/// The parameter that holds the private key of Spacelift's worker pool.
const POOL_KEY: &str = "/lightsout/demo/pool-key";

/// The platform of a fleet, and what the embedded one holds.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Which it is.
    pub kind: PlatformKind,
    options: Box<LocalCloudOptions>,
}

/// What a machine's agent is told about its platform.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Where the embedded cloud answers.
    pub url: &'a str,
    /// The machine's directory.
    pub dir: &'a Path,
    /// The runner.
    pub runner: &'a Path,
    /// A free port, for what the runner serves.
    pub port: u16,
    /// Jobs at once.
    pub slots: u32,
    /// The image for jobs, when they run in containers.
    pub image: Option<&'a str>,
    /// More lines of `[runners.docker]`, for GitLab.
    pub docker_lines: &'a str,
}

impl Platform {
    /// A platform as `up` embeds it.
    pub fn new(kind: PlatformKind) -> Self {
        let options = LocalCloudOptions {
            platform: kind,
            spacelift: SpaceliftOptions {
                // As the genuine ones look: 26 letters and digits, and base64.
                pool: "01HL1GHTS0UT0DEM0W0RKERP00".to_owned(),
                pool_token: "bGlnaHRzb3V0LWxvY2FsLXBvb2wtdG9rZW4=".to_owned(),
                ..SpaceliftOptions::default()
            },
            ..LocalCloudOptions::default()
        };
        Self { kind, options: Box::new(options) }
    }

    /// What the embedded cloud starts with: the platform, and the secrets that agents and scaler read from its parameter store.
    pub fn embedded(&self) -> LocalCloudOptions {
        LocalCloudOptions { secrets: self.secrets(), ..(*self.options).clone() }
    }

    /// The word for the platform's webhook in the scaler's settings, if it has one that tells of waiting jobs.
    pub fn webhook(&self) -> Option<&'static str> {
        match self.kind {
            PlatformKind::GitLab => Some("gitlab"),
            PlatformKind::GitHub => Some("github"),
            PlatformKind::Buildkite => Some("buildkite"),
            PlatformKind::StackGuardian | PlatformKind::Spacelift | PlatformKind::CircleCi => None,
        }
    }

    /// The platform's own name.
    pub fn title(&self) -> &'static str {
        match self.kind {
            PlatformKind::GitLab => "GitLab",
            PlatformKind::StackGuardian => "StackGuardian",
            PlatformKind::Spacelift => "Spacelift",
            PlatformKind::CircleCi => "CircleCI",
            PlatformKind::GitHub => "GitHub Actions",
            PlatformKind::Buildkite => "Buildkite",
        }
    }

    /// Why the platform's runner runs jobs as plain processes even where there is an engine.
    pub fn always_processes(&self) -> Option<&'static str> {
        match self.kind {
            PlatformKind::GitLab | PlatformKind::StackGuardian | PlatformKind::Spacelift => None,
            PlatformKind::CircleCi => Some("CircleCI's machine runner runs tasks so"),
            PlatformKind::GitHub => Some("GitHub's runner runs jobs so"),
            PlatformKind::Buildkite => Some("Buildkite's agent runs jobs so"),
        }
    }

    /// Whether the agent needs a view of the engine that shows nothing but its machine's containers: GitLab's runner labels each with its
    /// own name, the others take the whole machine for theirs.
    pub fn needs_own_engine(&self) -> bool {
        match self.kind {
            PlatformKind::StackGuardian | PlatformKind::Spacelift => true,
            PlatformKind::GitLab | PlatformKind::CircleCi | PlatformKind::GitHub | PlatformKind::Buildkite => false,
        }
    }

    /// Refuses what cannot work on this platform.
    pub fn check(&self, slots: u32, runner: Option<&Path>, dir: &Path) -> Result<()> {
        let title = self.title();
        match self.kind {
            PlatformKind::GitLab => return Ok(()),
            PlatformKind::Spacelift | PlatformKind::CircleCi | PlatformKind::GitHub => {
                ensure!(slots == 1, "--slots {slots}: a runner of {title} takes one job at a time; leave --slots out");
            }
            PlatformKind::StackGuardian => {}
            PlatformKind::Buildkite => {
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+[]".contains(c);
                ensure!(
                    dir.to_string_lossy().chars().all(plain),
                    "{} cannot stand in Buildkite's configuration, which knows no escapes; name a plain directory with --dir",
                    dir.display()
                );
            }
        }
        ensure!(
            runner.is_none(),
            "--runner is for --platform gitlab: how runners of {title} talk to it is not public, so only the built-in one can take jobs here"
        );
        Ok(())
    }

    /// Puts the built-in runner where agents find it, below its vendor's name. Returns the program to start.
    pub fn place_runner(&self, program: &Path, bin: &Path) -> Result<PathBuf> {
        let placed = self.runner().install(program, bin);
        placed.with_context(|| format!("cannot place the built-in runner in {}", bin.display()))
    }

    /// What the agent finds in its environment, and hands on to the runner.
    pub fn environment(&self, machine: &Machine<'_>) -> Vec<(&'static str, OsString)> {
        let Machine { dir, runner, port, slots, image, .. } = *machine;
        self.runner().environment(&Host { dir, runner, port, slots, image })
    }

    fn runner(&self) -> &'static Runner {
        runner_of(self.kind.as_str()).expect("each platform has a built-in runner")
    }

    /// Where the runner serves its metrics, for `[agent]`; `off` where the agent asks for none.
    pub fn metrics(&self, port: u16) -> String {
        match self.kind {
            PlatformKind::GitLab => address(port),
            PlatformKind::StackGuardian
            | PlatformKind::Spacelift
            | PlatformKind::CircleCi
            | PlatformKind::GitHub
            | PlatformKind::Buildkite => "off".to_owned(),
        }
    }

    /// The agent's `[platform.NAME]`.
    pub fn agent_settings(&self, machine: &Machine<'_>) -> String {
        let (url, runner) = (quoted(machine.url), quoted(&machine.runner.to_string_lossy()));
        let head = format!("[platform.{}]\nurl = {url}\n", self.kind);
        let token = format!("token = {{ ssm = \"{RUNNER_TOKEN}\" }}\n");
        let program = format!("program = {runner}\n");
        let o = &self.options;
        let rest = match self.kind {
            PlatformKind::GitLab => {
                let (executor, image) = machine.image.map_or(("shell", "none"), |image| ("docker", image));
                let extra =
                    machine.image.map(|_| format!("extra = {}\n", quoted(machine.docker_lines))).unwrap_or_default();
                format!(
                    "{token}{program}executor = \"{executor}\"\nimage = {}\ncheck_interval = \"1s\"\n{extra}",
                    quoted(image)
                )
            }
            PlatformKind::StackGuardian => format!(
                "{token}{program}api_key = {{ ssm = \"{DRAIN_TOKEN}\" }}\norganization = {}\nrunner_group = {}\n\
                 introspection = \"http://{}\"\nregister_timeout = \"60s\"\n",
                quoted(&o.stackguardian.organization),
                quoted(&o.stackguardian.runner_group),
                address(machine.port),
            ),
            PlatformKind::Spacelift => format!(
                "{token}{program}private_key = {{ ssm = \"{POOL_KEY}\" }}\napi_key_id = {}\n\
                 api_key_secret = {{ ssm = \"{DRAIN_TOKEN}\" }}\nworker_pool = {}\n",
                quoted(&o.spacelift.key_id),
                quoted(&o.spacelift.pool),
            ),
            PlatformKind::CircleCi => format!("{token}{program}"),
            PlatformKind::GitHub => format!(
                "{token}program = [{runner}]\norganization = {}\nrunner_group_id = {}\n",
                quoted(&o.github.organization),
                o.github.runner_group,
            ),
            PlatformKind::Buildkite => format!(
                "{token}{program}queue = {}\nhooks_path = {}\n",
                quoted(&self.queue()),
                quoted(&machine.dir.join("hooks").to_string_lossy()),
            ),
        };
        format!("{head}{rest}")
    }

    /// The scaler's `[pool.platform.NAME]`.
    pub fn scaler_settings(&self, url: &str) -> String {
        let head = format!("[pool.platform.{}]\nurl = {}\n", self.kind, quoted(url));
        let token = format!("token = {{ ssm = \"{READ_TOKEN}\" }}\n");
        let o = &self.options;
        let rest = match self.kind {
            PlatformKind::GitLab => {
                format!("{token}projects = [{}]\nrun_untagged = true\n", quoted(&o.gitlab.project))
            }
            PlatformKind::StackGuardian => format!(
                "api_key = {{ ssm = \"{READ_TOKEN}\" }}\norganization = {}\nrunner_group = {}\n",
                quoted(&o.stackguardian.organization),
                quoted(&o.stackguardian.runner_group),
            ),
            PlatformKind::Spacelift => format!(
                "api_key_id = {}\napi_key_secret = {{ ssm = \"{READ_TOKEN}\" }}\nworker_pool = {}\n",
                quoted(&o.spacelift.key_id),
                quoted(&o.spacelift.pool),
            ),
            PlatformKind::CircleCi => {
                let classes: Vec<String> =
                    o.circleci.resource_classes.iter().map(|class| quoted(&class.name)).collect();
                format!("{token}resource_classes = [{}]\n", classes.join(", "))
            }
            PlatformKind::GitHub => {
                format!(
                    "{token}repositories = [{}]\n",
                    quoted(&format!("{}/{}", o.github.organization, o.github.repository))
                )
            }
            PlatformKind::Buildkite => format!("{token}queue = {}\n", quoted(&self.queue())),
        };
        format!("{head}{rest}")
    }

    fn secrets(&self) -> BTreeMap<String, String> {
        let o = &self.options;
        let class_token = o.circleci.resource_classes.first().map_or("", |class| &class.token);
        let GitLabOptions { runner_token, token, .. } = &o.gitlab;
        let secrets: &[(&str, &str)] = match self.kind {
            PlatformKind::GitLab => &[(RUNNER_TOKEN, runner_token), (READ_TOKEN, token)],
            PlatformKind::StackGuardian => &[
                (RUNNER_TOKEN, &o.stackguardian.token),
                (READ_TOKEN, &o.stackguardian.api_key),
                (DRAIN_TOKEN, &o.stackguardian.api_key),
            ],
            PlatformKind::Spacelift => &[
                (RUNNER_TOKEN, &o.spacelift.pool_token),
                (READ_TOKEN, &o.spacelift.key_secret),
                (DRAIN_TOKEN, &o.spacelift.key_secret),
                // Base64 of "not a key": the embedded pool asks for none.
                (POOL_KEY, "bm90IGEga2V5"),
            ],
            PlatformKind::CircleCi => &[(RUNNER_TOKEN, class_token), (READ_TOKEN, &o.circleci.token)],
            PlatformKind::GitHub => &[(RUNNER_TOKEN, &o.github.token), (READ_TOKEN, &o.github.token)],
            PlatformKind::Buildkite => &[(RUNNER_TOKEN, &o.buildkite.token), (READ_TOKEN, &o.buildkite.token)],
        };
        secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn queue(&self) -> String {
        self.options.buildkite.queues.first().cloned().unwrap_or_else(|| "default".to_owned())
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use lightsout_core::settings::{AgentSettings, Fragment, ScalerSettings};

    use super::*;

    #[test]
    fn agent_and_scaler_take_the_settings_of_each_platform() {
        for kind in PlatformKind::ALL {
            let platform = Platform::new(kind);
            let secrets = platform.secrets();
            for image in [None, Some("img:1")] {
                let machine = Machine {
                    url: "http://127.0.0.1:2",
                    dir: Path::new("/run/fleet/instances/i-1"),
                    runner: Path::new("/run/fleet/bin/run.sh"),
                    port: 9252,
                    slots: 1,
                    image,
                    docker_lines: "[docker]\n",
                };
                let agent = platform.agent_settings(&machine);
                let settings = AgentSettings::parse(&[Fragment::new("agent.toml", agent.clone())]).unwrap();
                assert_eq!(settings.platform.name(), kind.as_str());
                assert!(named(&agent).all(|name| secrets.contains_key(name)), "{agent}");
            }
            let pool = format!("[[pool]]\ngroup = \"g\"\n{}", platform.scaler_settings("http://127.0.0.1:2"));
            let settings = ScalerSettings::parse(&[Fragment::new("scaler.toml", pool.clone())]).unwrap();
            assert_eq!(settings.pools[0].platform.name(), kind.as_str());
            assert!(named(&pool).all(|name| secrets.contains_key(name)), "{pool}");
        }
    }

    fn named(settings: &str) -> impl Iterator<Item = &str> {
        settings.split("ssm = \"").skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn what_a_platform_cannot_do_is_refused() {
        let check = |kind, slots, runner: Option<&str>, dir: &str| {
            Platform::new(kind).check(slots, runner.map(Path::new), Path::new(dir)).map_err(|error| error.to_string())
        };
        assert!(check(PlatformKind::GitLab, 4, Some("/bin/x"), "/a b").is_ok());
        assert!(check(PlatformKind::GitHub, 2, None, "/a").unwrap_err().contains("--slots 2"));
        assert!(check(PlatformKind::CircleCi, 1, Some("/bin/x"), "/a").unwrap_err().contains("--platform gitlab"));
        assert!(check(PlatformKind::Buildkite, 3, None, "/a b").unwrap_err().contains("--dir"));
        assert!(check(PlatformKind::Buildkite, 3, None, "/a").is_ok());
        assert!(check(PlatformKind::StackGuardian, 3, None, "/a b").is_ok());
    }
}
