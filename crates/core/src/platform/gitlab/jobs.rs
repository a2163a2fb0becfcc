//! Which of the listed jobs are this pool's.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::GitLabQueueSettings;
use crate::{
    exchange::ExchangeError,
    platform::answer::{Document, Stage},
};

/// The jobs of one page that concern this pool, and how many there are in all. `now`: when it was answered, by GitLab's clock.
pub(super) fn read(
    page: &Document,
    settings: &GitLabQueueSettings,
    now: Option<Timestamp>,
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
        // Not since it was created: that may be long before the stage of its pipeline began (GitLab, Jobs API).
        let waited = || job.optional("queued_duration").ok().flatten()?.seconds();
        let stage = match job.key("status")?.text()? {
            "pending" => matches.then(|| Stage::Waiting {
                since: waited().zip(now).and_then(|(wait, now)| now.checked_sub(wait).ok()),
            }),
            "running" => {
                let on_ours = match settings.runner_id {
                    Some(ours) => match job.key("runner")?.not_null() {
                        Some(runner) => runner.key("id")?.number()? == ours,
                        None => false,
                    },
                    None => matches,
                };
                on_ours.then(|| Stage::Running { waited: waited() })
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
