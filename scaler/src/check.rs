//! `check`: looks at everything and changes nothing.

use std::{collections::BTreeMap, fmt, rc::Rc, time::Instant};

use futures_util::{StreamExt, future::join, stream::FuturesUnordered};
use jiff::Timestamp;
use lightsout_cloud::GroupView;
use lightsout_core::{
    platform::{Demand, JobFilter, Reading},
    settings::PoolSettings,
};
use lightsout_io::command_line::Failure;
use serde::Serialize;

use crate::{
    pool::{Pool, RELEASE, ReadError, TickContext, groups_of, view},
    regions::PendingDescribe,
    trouble::summarize,
};

/// How many other pools a warning names.
const NAMED: usize = 3;

/// What was found about one pool.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) pool: String,
    pub(crate) group: String,
    /// What does not work.
    pub(crate) errors: Vec<String>,
    /// What works and may hurt.
    pub(crate) warnings: Vec<String>,
    /// What was seen, in one sentence.
    pub(crate) seen: Vec<String>,
}

impl Finding {
    /// As one line of JSON.
    #[expect(clippy::expect_used, reason = "its keys are texts, and it holds nothing that cannot be written")]
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a finding has only text keys")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.errors.is_empty(), self.warnings.is_empty()) {
            (false, _) => "FAILED",
            (true, false) => "doubtful",
            (true, true) => "ok",
        };
        write!(f, "{}: {word}", self.pool)?;
        if !self.seen.is_empty() {
            write!(f, " ({})", self.seen.join("; "))?;
        }
        self.errors.iter().try_for_each(|error| write!(f, "\n  error: {error}"))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\n  warning: {warning}"))
    }
}

/// Checks every pool; fails when any has an error.
pub(crate) async fn check(
    context: &Rc<TickContext>,
    pools: Vec<Pool>,
    mut done: impl FnMut(&Finding),
) -> Result<(), Failure> {
    let count = pools.len();
    let mut shared = shared(&pools);
    let describing = context.regions.describe(groups_of(&pools));
    let mut checks: FuturesUnordered<_> = pools
        .into_iter()
        .map(|pool| {
            let describing = describing[&pool.settings.location()].clone();
            let shared = shared.remove(&pool.settings.name);
            Box::pin(check_pool(Rc::clone(context), pool, describing, shared))
        })
        .collect();
    let mut failed = Vec::new();
    while let Some(finding) = checks.next().await {
        done(&finding);
        if !finding.errors.is_empty() {
            failed.push((finding.pool, finding.errors.join("; and ")));
        }
    }
    failed.sort();
    summarize(count, &failed)
}

async fn check_pool(
    context: Rc<TickContext>,
    mut pool: Pool,
    describing: PendingDescribe,
    shared: Option<String>,
) -> Finding {
    let started = Instant::now();
    let until = started + context.deadline;
    let settings = pool.settings.clone();
    let (group, reading) =
        join(view(&context, &settings, describing, until), pool.read(&context, started, until)).await;
    pool.release(&context, RELEASE).await;
    let mut finding = Finding { pool: settings.name.clone(), group: settings.group.clone(), ..Finding::default() };
    match group {
        Ok(view) => {
            let GroupView { min, max, desired, .. } = view.group;
            finding.seen.push(format!("group {} from {min} to {max}, desired {desired}", settings.group));
            finding.warnings = doubts(&settings, &view.group);
        }
        Err(error) => finding.errors.push(error.message),
    }
    match reading {
        Ok(Reading { demand: Demand { queued, running, .. }, missing }) => {
            let running = running.map_or("running not known".into(), |running| format!("{running} running"));
            finding.seen.push(format!("{}: {queued} waiting, {running}", settings.platform.platform()));
            finding.seen.extend(pool.left_out.map(str::to_owned));
            finding.errors.extend(missing.map(|missing| format!("the queue was read in part: {missing}")));
        }
        Err(ReadError::Elsewhere(why)) => finding.warnings.push(format!("the queue was not tried: this scaler {why}")),
        Err(ReadError::Failed(error)) => finding.errors.push(error.message),
    }
    if !settings.schedule.is_empty() {
        finding.seen.push(settings.schedule.describe(Timestamp::now(), settings.policy.spare));
    }
    finding.warnings.extend(shared);
    finding
}

/// What is to be said of the pools that count the same jobs as others, by name.
fn shared(pools: &[Pool]) -> BTreeMap<String, String> {
    let settings = pools.iter().map(|pool| pool.settings.as_ref());
    let pools: Vec<(&PoolSettings, JobFilter)> =
        settings.filter_map(|pool| Some((pool, pool.platform.job_filter()?))).collect();
    let twins = |(pool, filter): &(&PoolSettings, JobFilter)| {
        let of_one_platform = |other: &PoolSettings| {
            other.platform.platform() == pool.platform.platform() && other.platform.address() == pool.platform.address()
        };
        let others = pools.iter().filter(|(other, _)| other.name != pool.name && of_one_platform(other));
        let mut others = others.filter_map(|(other, theirs)| Some((other.name.as_str(), filter.shared(theirs)?)));
        let (first, job) = others.next()?;
        let names: Vec<_> = [first].into_iter().chain(others.map(|(name, _)| name)).collect();
        let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
        let names = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let text = format!(
            "{job} is counted by this pool and by {names}{more}: each of them is raised for it. Let jobs ask for what one pool alone has, \
             or let one pool take them all"
        );
        Some((pool.name.clone(), text))
    };
    pools.iter().filter_map(twins).collect()
}

/// What may hurt, with what could happen and what to do.
fn doubts(settings: &PoolSettings, group: &GroupView) -> Vec<String> {
    let mut doubts: Vec<String> = group.doubts.iter().map(|doubt| doubt.text.clone()).collect();
    if group.max == 0 {
        doubts.push("the group's maximum is 0: nothing can ever start; raise it".into());
    }
    let policy = &settings.policy;
    if let Some(min) = policy.min.filter(|min| *min > group.max) {
        doubts.push(format!("min = {min} is above the group's maximum of {}, which wins; lower min", group.max));
    }
    if let Some(max) = policy.max.filter(|max| *max < group.min) {
        doubts.push(format!(
            "max = {max} is below the group's minimum of {}: nothing is ever raised; raise max",
            group.min
        ));
    }
    let spare = policy.spare.max(settings.schedule.most());
    if spare > 0 && spare >= group.max {
        doubts.push(format!(
            "spare = {spare} takes all of the group's maximum of {}: jobs have no room beside it",
            group.max
        ));
    }
    doubts
}
