//! Which of the listed jobs are this pool's.

use std::collections::BTreeSet;

use super::GitLabQueueSettings;
use crate::{
    exchange::ExchangeError,
    platform::answer::{Document, Stage},
};

/// The jobs of one page that concern this pool, and how many there are in all.
pub(super) fn read(
    page: &Document,
    settings: &GitLabQueueSettings,
) -> Result<(Vec<(u64, Stage)>, usize), ExchangeError> {
    let jobs = page.root();
    let jobs = jobs.list()?;
    let (mut ours, all) = (Vec::new(), jobs.len());
    for job in jobs {
        let id = job.key("id")?.number()?;
        let mut asks = BTreeSet::new();
        for tag in job.key("tag_list")?.list()? {
            asks.insert(tag.text()?);
        }
        let matches = takes(settings, &asks);
        let stage = match job.key("status")?.text()? {
            "pending" => matches.then_some(Stage::Waiting),
            "running" => {
                let on_ours = match settings.runner_id {
                    Some(ours) => match job.key("runner")?.not_null() {
                        Some(runner) => runner.key("id")?.number()? == ours,
                        None => false,
                    },
                    None => matches,
                };
                on_ours.then_some(Stage::Running)
            }
            _ => None,
        };
        ours.extend(stage.map(|stage| (id, stage)));
    }
    Ok((ours, all))
}

/// Whether a runner with these settings takes a job that asks for these tags. GitLab compares tags exactly, case
/// included.
fn takes(settings: &GitLabQueueSettings, asks: &BTreeSet<&str>) -> bool {
    if asks.is_empty() { settings.run_untagged } else { asks.iter().all(|tag| settings.tags.contains(*tag)) }
}
