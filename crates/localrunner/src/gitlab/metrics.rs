//! The metrics page: the part of GitLab Runner's that tells how many jobs run.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};

use super::config::Config;
use crate::page;

/// Serves the page at `address` for as long as the runner lives.
pub async fn serve(address: &str, config: Config, running: Arc<AtomicUsize>) -> Result<()> {
    let show = move || page(&config, running.load(Ordering::SeqCst));
    page::serve(address, "/metrics", "text/plain; version=0.0.4", show)
        .await
        .with_context(|| format!("cannot serve metrics at listen_address = \"{address}\""))
}

/// The page itself. As with the genuine runner, the family of jobs is absent when none runs.
fn page(config: &Config, running: usize) -> String {
    let mut page = format!(
        "# HELP gitlab_runner_concurrent The current value of concurrent setting\n\
         # TYPE gitlab_runner_concurrent gauge\n\
         gitlab_runner_concurrent {}\n",
        config.concurrent
    );
    if running > 0 {
        let executor = if config.docker.is_some() { "docker_run" } else { "shell_run" };
        let _ = write!(
            page,
            "# HELP gitlab_runner_jobs The current number of running builds.\n\
             # TYPE gitlab_runner_jobs gauge\n\
             gitlab_runner_jobs{{executor_stage=\"{executor}\",runner=\"{}\",runner_name=\"{}\",\
             stage=\"step_script\",state=\"running\",system_id=\"{}\"}} {running}\n",
            config.short_token(),
            config.name.replace(['\\', '"', '\n'], "_"),
            config.system_id,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config() -> Config {
        Config {
            concurrent: 2,
            check_interval: Duration::from_secs(1),
            listen_address: None,
            url: String::new(),
            token: "glrt-secretsecret".into(),
            name: "de\"mo".into(),
            system_id: "r_1".into(),
            docker: None,
        }
    }

    #[test]
    fn no_job_means_no_family() {
        assert!(!page(&config(), 0).contains("gitlab_runner_jobs"));
        assert!(page(&config(), 0).contains("\ngitlab_runner_concurrent 2\n"));
    }

    #[test]
    fn running_jobs_are_one_sample_without_the_token() {
        let page = page(&config(), 2);
        let sample = page.lines().find(|line| line.starts_with("gitlab_runner_jobs{")).unwrap();
        assert!(sample.ends_with("} 2") && sample.contains("runner_name=\"de_mo\""), "{sample}");
        assert!(!page.contains("secretsecret"));
    }
}
