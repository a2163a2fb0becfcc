//! The commands that talk to the running fleet.

mod logs;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use hyper::Method;
use lightsout_localcloud::Snapshot;
use serde_json::{Value, json};

use lightsout_localrunner::http::Http;

use crate::{
    duration,
    fleet_dir::FleetDir,
    group::{self, logs::Source},
};

/// What can be asked of a running fleet.
#[derive(Subcommand)]
pub(crate) enum FleetCommand {
    /// Put jobs into the queue
    #[command(after_help = "\
Examples:
  lightsout enqueue --count 10 --seconds 20
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
        #[arg(long, value_name = "SECONDS", default_value_t = 4.0, conflicts_with = "argv")]
        seconds: f64,
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
        #[arg(long = "in", value_name = "SPAN", value_parser = duration::parse_duration)]
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

/// A connection to the running fleet.
pub(crate) struct FleetClient {
    http: Http,
    base: String,
}

/// Does what was asked and says so.
pub(crate) async fn run(command: FleetCommand, fleet_dir: &FleetDir) -> Result<ExitCode> {
    match command {
        FleetCommand::Enqueue { count, image, seconds, tags, json, argv } => {
            ensure!((0.0..=86_400.0).contains(&seconds), "--seconds is between 0 and 86400");
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

impl FleetClient {
    /// Finds the fleet that runs in this directory.
    ///
    /// # Errors
    /// When none runs, with what to do about it.
    pub(crate) fn find(fleet_dir: &FleetDir) -> Result<Self> {
        Ok(Self::find_with_url(fleet_dir)?.0)
    }

    /// The same, with the address of its cloud.
    pub(crate) fn find_with_url(fleet_dir: &FleetDir) -> Result<(Self, String)> {
        let url = fleet_dir.running()?.url;
        let client = Self { http: Http::new(Duration::from_secs(10)), base: format!("{url}/_lightsout") };
        Ok((client, url))
    }

    /// The fleet as it is now.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        let answer = self.request(Method::GET, "fleet", &Value::Null).await?;
        serde_json::from_value(answer)
            .context("the fleet answers in a form that this version does not know; was it started by another one?")
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::POST, path, body).await
    }

    /// Asks the control API.
    pub(crate) async fn request(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let reply = self.http.json(method, &format!("{}/{path}", self.base), body).await?;
        let answer = if reply.body.is_empty() { json!({}) } else { reply.value()? };
        if reply.status.is_success() {
            return Ok(answer);
        }
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => bail!("the fleet answers HTTP {}", reply.status),
        }
    }

    async fn group(&self) -> Result<String> {
        let group = self.snapshot().await?.groups.into_iter().next();
        Ok(group.context("the fleet has no group yet; try again in a moment")?.name)
    }
}

/// The one id that begins like this, with or without its `i-`; living instances are preferred.
///
/// # Errors
/// When there is none or more than one, naming what there is.
pub(crate) fn resolve(snapshot: &Snapshot, wanted: &str) -> Result<String> {
    let known = snapshot.instances.iter().map(|instance| (instance.id.as_str(), instance.ended_ms.is_some()));
    pick(&known, wanted, "lightsout ps")
}

/// The same of these ids, each with whether it has ended, which the command `list` shows.
///
/// # Errors
/// As above.
pub(crate) fn pick<'a>(
    known: &(impl Iterator<Item = (&'a str, bool)> + Clone),
    wanted: &str,
    list: &str,
) -> Result<String> {
    let matching = |ended: bool| -> Vec<&str> {
        let ids = known.clone().filter(|(_, over)| *over == ended).map(|(id, _)| id);
        ids.filter(|id| id.starts_with(wanted) || id.strip_prefix("i-").is_some_and(|id| id.starts_with(wanted)))
            .collect()
    };
    let mut found = matching(false);
    if found.is_empty() {
        found = matching(true);
    }
    match found[..] {
        [id] => Ok(id.to_owned()),
        [] if known.clone().next().is_none() => bail!("no instance `{wanted}`: none has been launched yet"),
        [] => bail!("no instance `{wanted}`; `{list}` lists them"),
        [..] if wanted.is_empty() => bail!("which instance? `{list}` lists them"),
        [..] => bail!("`{wanted}` could be {}; write more of it", found.join(" or ")),
    }
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

#[cfg(test)]
mod tests {
    use lightsout_localcloud::fleet::InstanceView;

    use super::*;

    fn fleet(ids: &[(&str, bool)]) -> Snapshot {
        let instances = ids.iter().map(|(id, ended)| InstanceView {
            id: (*id).to_owned(),
            ended_ms: ended.then_some(1),
            ..InstanceView::default()
        });
        Snapshot { instances: instances.collect(), ..Snapshot::default() }
    }

    #[test]
    fn a_unique_start_is_enough() {
        let fleet = fleet(&[("i-0aa1", false), ("i-0ab2", false)]);
        assert_eq!(resolve(&fleet, "i-0aa").unwrap(), "i-0aa1");
        assert_eq!(resolve(&fleet, "0ab").unwrap(), "i-0ab2");
        assert_eq!(resolve(&fleet, "i-0aa1").unwrap(), "i-0aa1");
    }

    #[test]
    fn the_living_come_first() {
        let fleet = fleet(&[("i-0aa1", true), ("i-0aa2", false), ("i-0b", true)]);
        assert_eq!(resolve(&fleet, "i-0a").unwrap(), "i-0aa2");
        assert_eq!(resolve(&fleet, "i-0b").unwrap(), "i-0b");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let two = fleet(&[("i-0aa1", false), ("i-0ab2", false)]);
        assert!(resolve(&two, "i-0a").unwrap_err().to_string().contains("i-0aa1 or i-0ab2"));
        assert!(resolve(&two, "i-0c").unwrap_err().to_string().contains("lightsout ps"));
        assert!(resolve(&two, "").is_err());
        assert!(resolve(&fleet(&[]), "i-0").unwrap_err().to_string().contains("yet"));
    }
}
