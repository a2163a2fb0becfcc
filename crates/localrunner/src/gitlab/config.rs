//! The part of GitLab Runner's `config.toml` that the built-in runner obeys.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The configuration, validated.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// Jobs at once.
    pub concurrent: usize,
    /// The pause after an answer without a job.
    pub check_interval: Duration,
    /// Where the metrics are served, as `host:port`.
    pub listen_address: Option<String>,
    /// GitLab's address without `/api`.
    pub url: String,
    /// The runner authentication token.
    pub token: String,
    /// The runner's name.
    pub name: String,
    /// The name of this runner manager, from `.runner_system_id` beside the file.
    pub system_id: String,
    /// Set when jobs run in containers; otherwise they are plain processes.
    pub docker: Option<DockerConfig>,
}

/// `[runners.docker]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DockerConfig {
    /// For jobs that name no image.
    pub image: String,
    /// The engine's socket, when it is not the usual one.
    pub host: Option<String>,
    /// The network that jobs join.
    pub network_mode: Option<String>,
    /// Labels for each container, beside those that GitLab Runner always gives.
    pub container_labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default = "one")]
    concurrent: usize,
    #[serde(default)]
    check_interval: u64,
    listen_address: Option<String>,
    #[serde(default)]
    runners: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    url: String,
    token: String,
    executor: String,
    docker: Option<DockerConfig>,
}

impl Config {
    /// Reads the file and the system id beside it.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let beside = path.with_file_name(".runner_system_id");
        let system_id = fs::read_to_string(&beside).with_context(|| format!("cannot read {}", beside.display()))?;
        Self::parse(&text, system_id.trim()).with_context(|| format!("in {shown}"))
    }

    /// Whether the file has an entry whose jobs it takes; one that cannot be read changes nothing.
    pub(super) fn takes_jobs(path: &Path) -> bool {
        let read = fs::read_to_string(path).ok().and_then(|text| toml::from_str::<ConfigFile>(&text).ok());
        read.is_none_or(|file| !file.runners.is_empty())
    }

    fn parse(text: &str, system_id: &str) -> Result<Self> {
        let file: ConfigFile = toml::from_str(text)?;
        let Some(entry) = file.runners.into_iter().next() else { bail!("there is no [[runners]] entry; add one") };
        ensure!(file.concurrent > 0, "`concurrent` is 0, so no job could ever run; set it to 1 or more");
        let docker = match (entry.executor.as_str(), entry.docker) {
            ("docker", Some(docker)) => Some(docker),
            ("docker", None) => Some(DockerConfig::default()),
            ("shell", _) => None,
            (other, _) => bail!("the built-in runner has no executor `{other}`; use `docker` or `shell`"),
        };
        Ok(Self {
            concurrent: file.concurrent,
            check_interval: Duration::from_secs(if file.check_interval == 0 { 3 } else { file.check_interval }),
            listen_address: file.listen_address.filter(|address| !address.is_empty()),
            url: entry.url.trim_end_matches('/').to_owned(),
            token: entry.token,
            name: entry.name,
            system_id: system_id.to_owned(),
            docker,
        })
    }

    /// The start of the token, which may be shown and names the runner in container names and metrics.
    pub(super) fn short_token(&self) -> String {
        self.token.strip_prefix("glrt-").unwrap_or(&self.token).chars().take(9).collect()
    }
}

fn one() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        concurrent = 2
        check_interval = 1
        listen_address = "127.0.0.1:9252"
        [[runners]]
        name = "demo"
        url = "http://127.0.0.1:8080/"
        token = "glrt-abcdefghijklmnop"
        executor = "docker"
        environment = ["A=B"]
        [runners.docker]
        image = "busybox"
        privileged = false
        [runners.docker.container_labels]
        team = "blue"
    "#;

    #[test]
    fn a_genuine_file_is_understood() {
        let config = Config::parse(FILE, "r_0123456789ab").unwrap();
        assert_eq!(config.concurrent, 2);
        assert_eq!(config.check_interval, Duration::from_secs(1));
        assert_eq!(config.listen_address.as_deref(), Some("127.0.0.1:9252"));
        assert_eq!(config.url, "http://127.0.0.1:8080");
        assert_eq!(config.short_token(), "abcdefghi");
        let docker = config.docker.unwrap();
        assert_eq!((docker.image.as_str(), docker.container_labels["team"].as_str()), ("busybox", "blue"));
        assert_eq!(config.system_id, "r_0123456789ab");
    }

    #[test]
    fn no_interval_means_the_default_of_three_seconds() {
        let config = Config::parse(&FILE.replace("check_interval = 1", "check_interval = 0"), "r").unwrap();
        assert_eq!(config.check_interval, Duration::from_secs(3));
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        let refused = |text: &str| format!("{:#}", Config::parse(text, "r").unwrap_err());
        assert!(refused(&FILE.replace("\"docker\"", "\"kubernetes\"")).contains("kubernetes"));
        assert!(refused(&FILE.replace("concurrent = 2", "concurrent = 0")).contains("`concurrent`"));
        assert!(refused("concurrent = 1").contains("[[runners]]"));
    }
}
