//! The commands that talk to the running fleet.

mod logs;

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::Subcommand;
use lightsout_io::command_line::duration_within;
use serde_json::{Value, json};

use crate::{
    duration::{self, DAY},
    fleet_client::{FleetClient, resolve},
    fleet_dir::FleetDir,
    group::{self, logs::Source},
};

/// What can be asked of a running fleet.
#[derive(Subcommand)]
pub(crate) enum FleetCommand {
    /// Put jobs into the queue
    #[command(after_help = "\
Examples:
  lightsout enqueue --count 10 --job-duration 20s
  lightsout enqueue -- sh -c 'echo hello; sleep 5'
  lightsout enqueue --image debian:12 -- cat /etc/os-release")]
    Enqueue {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        count: u32,
        /// The container image; without it the demo's own
        #[arg(long, value_name = "IMAGE")]
        image: Option<String>,
        /// How long a job without a command sleeps
        #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = duration_within(Duration::ZERO, DAY), conflicts_with = "argv")]
        job_duration: Duration,
        /// What --job-duration was
        #[arg(long, hide = true, value_name = "SECONDS", value_parser = duration::seconds, conflicts_with_all = ["argv", "job_duration"])]
        seconds: Option<Duration>,
        /// The tags that a runner must have
        #[arg(long, value_name = "A,B", value_delimiter = ',')]
        tags: Vec<String>,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        /// The command that each job runs
        #[arg(last = true, value_name = "CMD")]
        argv: Vec<String>,
    },
    /// Give an instance a spot interruption notice
    #[command(after_help = "Example:\n  lightsout interrupt i-0a1 --in 30s")]
    Interrupt {
        #[command(flatten)]
        instance: InstanceArgs,
        /// How long until the cloud ends it [default: 120s on AWS, 30s on Azure]
        #[arg(long = "in", value_name = "DURATION", value_parser = duration::parse_duration)]
        within: Option<Duration>,
    },
    /// Recommend an instance to rebalance: a spot interruption is likely
    Rebalance(InstanceArgs),
    /// Kill an instance's agent with SIGKILL
    Crash(InstanceArgs),
    /// Lower the group's desired capacity, as an operator might
    ScaleIn {
        /// By how many instances
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        by: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start an instance refresh of the group
    Refresh(OutputArgs),
    /// Print what an instance's agent has written (also `scaler` or `up`)
    #[command(after_help = "\
With --group or --region the journal of an instance of the cloud, read by Run Command; with --log-group its records.

Examples:
  lightsout logs i-0a1 --follow
  lightsout logs i-0a1 --group ci-linux -n 200
  lightsout logs i-0a1b2c3d4e5f60718 --log-group /lightsout/records --follow")]
    Logs {
        /// An instance id or an unambiguous start of one, or `scaler`, or `up`
        #[arg(value_name = "ID")]
        id: String,
        /// Go on as the log grows
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        source: Source,
        /// Print each line as a JSON object
        #[arg(long)]
        json: bool,
    },
    /// End the fleet
    Down(OutputArgs),
}

/// One instance.
#[derive(clap::Args)]
pub(crate) struct InstanceArgs {
    /// An instance id or an unambiguous start of one
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the answer is printed.
#[derive(clap::Args)]
pub(crate) struct OutputArgs {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked and says so.
pub(crate) async fn run(command: FleetCommand, fleet_dir: &FleetDir) -> Result<ExitCode> {
    match command {
        FleetCommand::Enqueue { count, image, job_duration, seconds, tags, json, argv } => {
            let seconds = seconds.unwrap_or(job_duration).as_secs_f64();
            let body = json!({ "count": count, "image": image, "argv": argv, "seconds": seconds, "tags": tags });
            let answer = FleetClient::find(fleet_dir)?.post("jobs", &body).await?;
            let ids: Vec<u64> = answer["ids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            print_answer(
                json,
                &answer,
                &match ids[..] {
                    [] => "no job was queued".to_owned(),
                    [id] => format!("job {id} waits"),
                    [first, .., last] => format!("{} jobs wait, {first} to {last}", ids.len()),
                },
            );
        }
        FleetCommand::Interrupt { instance, within } => {
            let body = within.map_or_else(|| json!({}), |within| json!({ "in_s": within.as_millis().div_ceil(1000) }));
            let text = |id: &str| match within {
                Some(within) => format!("{id} has a spot notice: it ends in {}", duration::short(within)),
                None => format!("{id} has a spot notice"),
            };
            on_instance(fleet_dir, &instance, "interrupt", &body, text).await?;
        }
        FleetCommand::Rebalance(instance) => {
            on_instance(fleet_dir, &instance, "rebalance", &json!({}), |id| {
                format!("{id} is recommended to rebalance")
            })
            .await?;
        }
        FleetCommand::Crash(instance) => {
            on_instance(fleet_dir, &instance, "crash", &json!({}), |id| format!("the agent of {id} is killed")).await?;
        }
        FleetCommand::ScaleIn { by, output } => {
            let client = FleetClient::find(fleet_dir)?;
            let group = client.group().await?;
            let answer = client.post(&format!("groups/{group}/scale-in"), &json!({ "by": by })).await?;
            print_answer(output.json, &answer, &format!("desired capacity of {group} is lowered by {by}"));
        }
        FleetCommand::Refresh(output) => {
            let client = FleetClient::find(fleet_dir)?;
            let group = client.group().await?;
            let answer = client.post(&format!("groups/{group}/refresh"), &json!({})).await?;
            print_answer(output.json, &answer, &format!("an instance refresh of {group} has begun"));
        }
        FleetCommand::Logs { id, follow, source, json } if source.is_elsewhere() => {
            group::logs::print(&source, &id, follow, json, fleet_dir).await?;
        }
        FleetCommand::Logs { id, follow, json, .. } => logs::print(fleet_dir, &id, follow, json).await?,
        FleetCommand::Down(output) => down(fleet_dir, &output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn on_instance(
    fleet_dir: &FleetDir,
    instance: &InstanceArgs,
    what: &str,
    body: &Value,
    text: impl Fn(&str) -> String,
) -> Result<()> {
    let client = FleetClient::find(fleet_dir)?;
    let id = resolve(&client.snapshot().await?, &instance.id)?;
    let answer = client.post(&format!("instances/{id}/{what}"), body).await?;
    print_answer(instance.output.json, &answer, &text(&id));
    Ok(())
}

async fn down(fleet_dir: &FleetDir, output: &OutputArgs) -> Result<()> {
    let client = FleetClient::find(fleet_dir)?;
    let answer = client.post("down", &json!({})).await?;
    let started = tokio::time::Instant::now();
    while fleet_dir.running().is_ok() {
        ensure!(
            started.elapsed() < Duration::from_secs(60),
            "the fleet was told to end, and has not after a minute; see `lightsout logs up`"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    print_answer(output.json, &answer, "the fleet is down");
    Ok(())
}

fn print_answer(json: bool, answer: &Value, text: &str) {
    if json {
        crate::print(&format!("{answer}\n"));
    } else {
        crate::print(&format!("{text}\n"));
    }
}
