//! The metrics page: the part of GitLab Runner's that tells how many jobs run and are asked for.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context, Result};

use super::{Counts, config::Config};
use crate::page;

/// Serves the page at `address` for as long as the runner lives.
pub(super) async fn serve(address: &str, config: Config, counts: Arc<Counts>) -> Result<()> {
    let show = move || page(&config, &counts);
    page::serve(address, "/metrics", "text/plain; version=0.0.4", show)
        .await
        .with_context(|| format!("cannot serve metrics at listen_address = \"{address}\""))
}

/// The page itself. As with the genuine runner, the family of jobs is absent when none runs.
fn page(config: &Config, counts: &Counts) -> String {
    let (running, asking) = (counts.running.load(Ordering::SeqCst), counts.asking.load(Ordering::SeqCst));
    let loads = counts.loads.load(Ordering::SeqCst);
    let mut page = format!(
        "# HELP gitlab_runner_concurrent The current value of concurrent setting\n\
         # TYPE gitlab_runner_concurrent gauge\n\
         gitlab_runner_concurrent {}\n\
         # HELP gitlab_runner_configuration_loaded_total Total number of times the configuration file was loaded by Runner process\n\
         # TYPE gitlab_runner_configuration_loaded_total counter\n\
         gitlab_runner_configuration_loaded_total {loads}\n\
         # HELP gitlab_runner_request_concurrency The current number of concurrent requests for a new job\n\
         # TYPE gitlab_runner_request_concurrency gauge\n\
         gitlab_runner_request_concurrency{{runner=\"{}\"}} {asking}\n",
        config.concurrent,
        config.short_token(),
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
    use std::{sync::atomic::AtomicUsize, time::Duration};

    use super::*;

    fn counts(running: usize, asking: usize) -> Counts {
        let count = AtomicUsize::new;
        Counts { running: count(running), asking: count(asking), loads: count(2) }
    }

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
        assert!(!page(&config(), &counts(0, 0)).contains("gitlab_runner_jobs"));
        assert!(page(&config(), &counts(0, 0)).contains("\ngitlab_runner_concurrent 2\n"));
    }

    #[test]
    fn running_jobs_are_one_sample_without_the_token() {
        let page = page(&config(), &counts(2, 1));
        assert!(page.contains("\ngitlab_runner_configuration_loaded_total 2\n"), "{page}");
        assert!(page.contains("\ngitlab_runner_request_concurrency{runner=\"secretsec\"} 1\n"), "{page}");
        let sample = page.lines().find(|line| line.starts_with("gitlab_runner_jobs{")).unwrap();
        assert!(sample.ends_with("} 2") && sample.contains("runner_name=\"de_mo\""), "{sample}");
        assert!(!page.contains("secretsecret"));
    }
}
