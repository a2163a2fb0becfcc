//! Evidence from the fleet in this directory: its records, and, while it runs, what its agents, its platform and its cloud say.

use std::{fs, time::Duration};

use anyhow::{Result, bail};
use hyper::Method;
use jiff::Timestamp;
use lightsout_core::explain::{Evidence, Job, JobState, Said};
use lightsout_localcloud::{
    Snapshot,
    fleet::{self, InstanceView, JobView},
};
use serde_json::Value;

use super::{Gathered, files};
use crate::{fleet_client::FleetClient, fleet_dir::FleetDir};

/// Gathers them all.
pub(super) async fn gather(fleet_dir: &FleetDir) -> Result<Gathered> {
    let running = FleetClient::find(fleet_dir);
    let mut gathered = written(fleet_dir);
    let client = match running {
        Ok(client) => client,
        Err(_) if !gathered.evidence.is_empty() => return Ok(gathered),
        Err(error) => bail!("{error}; or hand in records with --records, or read them with --log-group"),
    };
    let snapshot = client.snapshot().await?;
    let at = Timestamp::from_millisecond(snapshot.at_ms)?;
    gathered.evidence.extend(statuses(&snapshot, at));
    gathered.evidence.extend(snapshot.jobs.iter().map(|view| job(view, at)));
    let history = client.request(Method::GET, "activities", &Value::Null).await?;
    let activities = lightsout_cloud::history_in(&history).unwrap_or_default();
    gathered.evidence.extend(activities.into_iter().map(|(time, activity)| Evidence {
        time,
        source: "the embedded cloud".into(),
        said: Said::Activity(Box::new(activity)),
    }));
    Ok(gathered)
}

/// What its programs wrote down.
pub(crate) fn written(fleet_dir: &FleetDir) -> Gathered {
    let mut gathered = Gathered::default();
    let path = fleet_dir.records();
    for path in [path.with_extension("jsonl.1"), path] {
        let Ok(text) = fs::read(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files::read(&mut gathered, &name, &text, Timestamp::now());
    }
    gathered
}

/// What the agents of the instances say that have not ended.
fn statuses(snapshot: &Snapshot, at: Timestamp) -> impl Iterator<Item = Evidence> {
    let living = snapshot.instances.iter().filter(|instance| instance.ended_ms.is_none());
    living.filter_map(move |instance: &InstanceView| {
        let status = serde_json::from_value(instance.agent.as_ref()?.0.clone()).ok()?;
        Some(Evidence { time: at, source: "its agent".into(), said: Said::Status(Box::new(status)) })
    })
}

fn job(view: &JobView, at: Timestamp) -> Evidence {
    let state = match view.state {
        fleet::JobState::Waiting => JobState::Waiting,
        fleet::JobState::Running => JobState::Running,
        fleet::JobState::Done => JobState::Done,
        fleet::JobState::Failed => JobState::Failed,
        fleet::JobState::Interrupted => JobState::Interrupted,
        fleet::JobState::Lost => JobState::Lost,
    };
    let waited = Duration::try_from_secs_f64(view.waited_s).unwrap_or_default();
    let job = Job {
        id: view.id.to_string(),
        state,
        instance: view.instance.clone(),
        tags: view.tags.clone(),
        failure: view.failure.clone(),
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
    };
    Evidence { time: at, source: "the embedded platform".into(), said: Said::Job(Box::new(job)) }
}
