//! `lightsout doctor`: everything that must be right in the account for the pools of a scaler, seen with the credentials of whoever asks. It looks
//! and changes nothing; what the facts mean, the core says ([`lightsout_core::doctor`]).

mod look;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use lightsout_core::{
    doctor::{Facts, Finding, Verdict, examine, summary},
    settings::{AgentSettings, CloudName, PoolSettings, ScalerSettings},
};
use lightsout_io::{command_line::Failure, http::Driver};
use serde::Serialize;

use crate::settings;

/// How many pools are looked at at a time: each makes some twenty calls, and AWS limits them for the whole account.
const AT_ONCE: usize = 3;

/// Look at all that must be right in the account for a scaler's pools
#[derive(clap::Args)]
#[command(after_help = "\
It asks AWS, Azure and the platforms with your own credentials, and changes nothing. What they may not see is a warning that names the right:
`lightsout iam --workstation --log-group /aws/lambda/NAME` prints the policy, docs/doctor.md says what is looked at. On an instance `lightsout-agent doctor` sees the rest.

Examples:
  lightsout doctor --config scaler.toml
  lightsout doctor --config scaler.toml --agent agent.toml --group ci-linux --function ci-scaler --json

Exit status: 0 when nothing is wrong, though there may be warnings; 1 when something is; 2 for arguments or settings that cannot work.")]
pub(crate) struct Args {
    /// Settings of the scaler, files or folders
    #[arg(short, long, value_name = "PATH", num_args = 1.., required = true)]
    config: Vec<PathBuf>,
    /// Settings of the pools' agents: with them hooks, protection and all rights of the instances' role can be judged
    #[arg(long, value_name = "PATH", num_args = 1..)]
    agent: Vec<PathBuf>,
    /// Look at the pools of these groups only
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// The scaler's function, where it is one: looks at its state, time-out, schedule, errors and role, too. On Azure the function app's resource id
    #[arg(long, value_name = "NAME|ARN|ID")]
    function: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A finding, and of what it is.
#[derive(Serialize)]
struct Line<'a> {
    /// The pool; `None`: the scaler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Looks, and prints what was found.
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let (settings, agent) = read(args)?;
    let driver = Driver::new(concat!("lightsout/", env!("CARGO_PKG_VERSION"), " (doctor)"));
    let wanted: Vec<&PoolSettings> =
        settings.pools.iter().filter(|pool| args.groups.is_empty() || args.groups.contains(&pool.group)).collect();
    let looks = wanted.iter().map(|pool| Box::pin(look::at_pool(pool, agent.as_ref(), &driver)));
    let mut looking = stream::iter(looks).buffered(AT_ONCE);
    let (mut all, mut addresses, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(facts) = looking.next().await {
        let pool = wanted[at];
        at += 1;
        addresses.extend(look::address(&facts).map(str::to_owned));
        // Elsewhere the group's own name says it.
        let place = match pool.cloud {
            CloudName::Aws => {
                format!(" in {}", facts.names.location.as_deref().unwrap_or("the region of the environment"))
            }
            CloudName::Azure | CloudName::Program => String::new(),
        };
        let title = format!("pool {}: group {}{place}", pool.name, pool.group);
        all.extend(show(args.json, &title, Some(&pool.name), &facts));
    }
    if let Some(name) = &args.function {
        let facts = look::at_function(name, &settings, &addresses).await;
        all.extend(show(args.json, &format!("scaler: function {name}"), None, &facts));
    }
    if !args.json {
        crate::print(&format!("{}\n", summary(&all)));
    }
    let wrong = all.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(args: &Args) -> Result<(ScalerSettings, Option<AgentSettings>), Failure> {
    let settings = settings::of_scaler(&args.config)?;
    settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let known: BTreeSet<&str> = settings.pools.iter().map(|pool| pool.group.as_str()).collect();
    if let Some(unknown) = args.groups.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::Refused(format!("--group {unknown}: no pool has this group; the settings have {known}")));
    }
    let agent = if args.agent.is_empty() { None } else { Some(settings::of_agent(&args.agent)?) };
    Ok((settings, agent))
}

fn show(json: bool, title: &str, pool: Option<&str>, facts: &Facts) -> Vec<Finding> {
    let findings = examine(facts);
    let mut text = if json { String::new() } else { format!("{title}\n") };
    for finding in &findings {
        text += &if json {
            serde_json::to_string(&Line { pool, finding }).unwrap_or_default()
        } else {
            finding.to_string()
        };
        text.push('\n');
    }
    if !json {
        text.push('\n');
    }
    crate::print(&text);
    findings
}
