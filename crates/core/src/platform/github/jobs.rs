//! Which of the listed jobs are this pool's.

use std::time::Duration;

use super::GitHubQueueSettings;
use crate::{
    exchange::ExchangeError,
    platform::answer::{Document, Stage},
};

/// The label that every self-hosted runner has.
pub(super) const SELF_HOSTED: &str = "self-hosted";

/// The workflow runs of one page, and how many there are on it.
pub(super) fn runs(page: &Document) -> Result<(Vec<u64>, usize), ExchangeError> {
    let runs = page.root().key("workflow_runs")?;
    let ids: Vec<u64> = runs.list()?.map(|run| run.key("id")?.number()).collect::<Result<_, _>>()?;
    let all = ids.len();
    Ok((ids, all))
}

/// The jobs of one page that concern this pool, and how many there are on it.
pub(super) fn jobs(
    page: &Document,
    settings: &GitHubQueueSettings,
) -> Result<(Vec<(u64, Stage)>, usize), ExchangeError> {
    let jobs = page.root().key("jobs")?;
    let jobs = jobs.list()?;
    let (mut ours, all) = (Vec::new(), jobs.len());
    for job in jobs {
        let id = job.key("id")?.number()?;
        let labels = job.key("labels")?;
        let labels = labels.list()?.map(|label| label.text()).collect::<Result<Vec<_>, _>>()?;
        let matches = takes(settings, &labels);
        let moment = |key| job.optional(key).ok().flatten()?.moment();
        let waited = moment("created_at").zip(moment("started_at"));
        let waited = waited.and_then(|(from, to)| Duration::try_from(to.duration_since(from)).ok());
        let stage = match job.key("status")?.text()? {
            "queued" => matches.then(|| Stage::Waiting { since: moment("created_at") }),
            "in_progress" => {
                let group = job.optional("runner_group_id")?.map(|group| group.number()).transpose()?;
                let in_group = settings.runner_group_id.is_none_or(|ours| group == Some(ours.get()));
                (matches && in_group).then_some(Stage::Running { waited })
            }
            _ => None,
        };
        ours.extend(stage.map(|stage| (id, stage)));
    }
    Ok((ours, all))
}

/// Whether a runner of this pool takes a job with these labels. GitHub compares labels without regard to case.
fn takes(settings: &GitHubQueueSettings, labels: &[&str]) -> bool {
    if labels.is_empty() {
        return settings.runner_group_id.is_some();
    }
    labels.iter().all(|label| {
        label.eq_ignore_ascii_case(SELF_HOSTED) || settings.labels.iter().any(|ours| ours.eq_ignore_ascii_case(label))
    })
}
