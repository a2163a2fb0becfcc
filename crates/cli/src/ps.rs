//! `lightsout ps`: the instances and the jobs of the running fleet as a table.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use lightsout_io::command_line::Failure;
use lightsout_localcloud::fleet::{InstanceView, JobState, JobView, Snapshot};

use crate::{
    agent_report::{leaving, phase},
    duration::short,
    fleet_client::FleetClient,
    fleet_dir::FleetDir,
    group::{Place, show},
};

/// Show the instances and the jobs of the running fleet, or the members of a group
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show jobs that have ended as well, and the last 200 instances that have
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    place: Place,
    /// Ask the agents of the group's members, by Run Command, what they are doing
    #[arg(long, requires = "group")]
    agents: bool,
    /// Print the whole state as one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the tables.
pub(crate) async fn run(args: &Args, fleet_dir: &FleetDir) -> Result<ExitCode> {
    if let Some(name) = &args.place.group {
        return show(&args.place, name, args.agents, args.json).await;
    }
    ensure!(args.place.region.is_none(), Failure::refused("--region needs --group: which group is to be shown?"));
    let snapshot = FleetClient::find(fleet_dir)?.snapshot().await?;
    if args.json {
        crate::print(&format!("{}\n", serde_json::to_string(&snapshot)?));
    } else {
        crate::print(&text(&snapshot, args.all));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(snapshot: &Snapshot, all: bool) -> String {
    let mut text = String::new();
    for group in &snapshot.groups {
        let _ = writeln!(
            text,
            "group {}: desired {}, in service {}, min {}, max {}",
            group.name, group.desired, group.in_service, group.min, group.max
        );
    }
    let queue = &snapshot.queue;
    let _ = writeln!(
        text,
        "jobs: {} waiting, {} running, {} done, {} failed, {} interrupted, {} lost\n",
        queue.waiting, queue.running, queue.done, queue.failed, queue.interrupted, queue.lost
    );
    let instances: Vec<_> = snapshot.instances.iter().filter(|instance| all || instance.ended_ms.is_none()).collect();
    if instances.is_empty() {
        text.push_str("no instances\n");
    } else {
        let rows = instances.iter().map(|instance| instance_row(instance, snapshot.at_ms));
        text.push_str(&table(["INSTANCE", "STATE", "AGENT", "AGE", "PROTECTED", "JOBS", "LEAVES BECAUSE"], rows));
    }
    let jobs: Vec<_> = snapshot.jobs.iter().filter(|job| all || is_open(job.state)).collect();
    if !jobs.is_empty() {
        text.push('\n');
        text.push_str(&table(
            ["JOB", "STATE", "INSTANCE", "WAITED", "RAN", "FAILURE"],
            jobs.iter().map(|job| job_row(job)),
        ));
    }
    text
}

fn is_open(state: JobState) -> bool {
    match state {
        JobState::Waiting | JobState::Running => true,
        JobState::Done | JobState::Failed | JobState::Interrupted | JobState::Lost => false,
    }
}

fn instance_row(instance: &InstanceView, now_ms: i64) -> [String; 7] {
    let age = instance.ended_ms.unwrap_or(now_ms) - instance.launched_ms;
    let jobs: Vec<String> = instance.jobs.iter().map(u64::to_string).collect();
    [
        instance.id.clone(),
        instance.state.clone(),
        phase(instance).unwrap_or_else(dash),
        short(Duration::from_millis(u64::try_from(age).unwrap_or(0))),
        if instance.protected { "yes" } else { "no" }.to_owned(),
        if jobs.is_empty() { dash() } else { jobs.join(",") },
        leaving(instance).unwrap_or_else(dash),
    ]
}

fn job_row(job: &JobView) -> [String; 6] {
    let span = |seconds: f64| short(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    [
        job.id.to_string(),
        job.state.as_str().to_owned(),
        job.instance.clone().unwrap_or_else(dash),
        span(job.waited_s),
        job.ran_s.map_or_else(dash, span),
        job.failure.clone().unwrap_or_else(dash),
    ]
}

fn dash() -> String {
    "-".to_owned()
}

/// Columns as wide as their widest cell, three spaces apart.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = write!(line, "{cell:width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use lightsout_localcloud::fleet::{GroupView, QueueView};

    use super::*;

    #[test]
    fn the_tables_hold_what_is_open_and_with_all_everything() {
        let instance = |id: &str, ended_ms| InstanceView {
            id: id.to_owned(),
            state: "InService".to_owned(),
            protected: true,
            launched_ms: 0,
            ended_ms,
            jobs: vec![7],
            ..InstanceView::default()
        };
        let job = |id, state| JobView {
            id,
            state,
            instance: Some("i-1".to_owned()),
            waited_s: 2.0,
            ran_s: Some(61.0),
            tags: Vec::new(),
            failure: None,
        };
        let snapshot = Snapshot {
            at_ms: 9_000,
            groups: vec![GroupView { name: "g".to_owned(), max: 5, desired: 1, ..GroupView::default() }],
            instances: vec![instance("i-1", None), instance("i-2", Some(4_000))],
            jobs: vec![job(6, JobState::Done), job(7, JobState::Running)],
            queue: QueueView { running: 1, done: 1, ..QueueView::default() },
            ..Snapshot::default()
        };
        let open = text(&snapshot, false);
        assert!(open.contains("group g: desired 1, in service 0, min 0, max 5\n"), "{open}");
        assert!(open.contains("i-1        InService   -       9.0s   yes         7      -\n"), "{open}");
        assert!(open.contains("7     running   i-1        2.0s     1m01s   -\n"), "{open}");
        assert!(!open.contains("i-2") && !open.contains("done  "), "{open}");
        let all = text(&snapshot, true);
        assert!(all.contains("i-2        InService   -       4.0s"), "{all}");
        assert!(all.contains("6     done"), "{all}");
    }

    #[test]
    fn an_empty_fleet_says_so() {
        assert!(text(&Snapshot::default(), true).ends_with("no instances\n"));
    }
}
