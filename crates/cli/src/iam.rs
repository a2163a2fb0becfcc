//! `lightsout iam`: the least policy for given settings, and how those that are attached differ from it. The core knows; here files are read and
//! the answer is printed. Nothing is asked of AWS.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use lightsout_core::{
    iam::{
        Account, Difference, Extras, Finding, Group, MANAGED_POLICY_CHARACTERS, Need, Policy, characters, compare,
        of_agent, of_operator, of_scaler, of_workstation, policy,
    },
    settings::ObjectAddress,
};
use lightsout_io::command_line::Failure;
use serde_json::json;

use crate::settings;

/// Print the least IAM policy for given settings, or how attached policies differ from it
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is asked of AWS. docs/iam.md says why each action is there.

Examples:
  lightsout iam --config scaler.toml --account 123456789012 --region eu-central-1
  lightsout iam --agent agent.toml --group arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:ID:autoScalingGroupName/ci --doctor
  lightsout iam --operator --group ci-linux --account 123456789012 --region eu-central-1 --log-group /lightsout/records
  lightsout iam --config scaler.toml --account 123456789012 --workstation --log-group /aws/lambda/ci-scaler
  aws iam get-role-policy --role-name ci-scaler --policy-name lightsout | lightsout iam --config scaler.toml --account 123456789012 --diff -

Exit status: 0 for a policy, or when nothing that is needed is missing; 1 when something is, and with --strict on any difference; 2 for
arguments, settings or policies that cannot be read.")]
pub(crate) struct Args {
    /// Settings of a scaler, files or folders
    #[arg(short, long, value_name = "PATH", num_args = 1.., required_unless_present_any = ["agent", "operator"], conflicts_with_all = ["agent", "operator"])]
    config: Vec<PathBuf>,
    /// Settings of an agent, files or folders
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "operator")]
    agent: Vec<PathBuf>,
    /// For a person who looks after the groups of --group: `ps`, `drain`, `hold` and `logs`
    #[arg(long, requires = "groups")]
    operator: bool,
    /// The agent's group, or those of an operator; for a scaler the ARN of one of its groups, where a name alone is not narrow enough
    #[arg(long = "group", value_name = "ARN|NAME")]
    groups: Vec<String>,
    /// The account, twelve digits; not needed where ARNs tell it
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// The region of what has none of its own [default: $AWS_REGION, $AWS_DEFAULT_REGION]
    #[arg(long)]
    region: Option<String>,
    /// The ARN of the key with which the secrets are encrypted, where it is one of yours
    #[arg(long = "key", value_name = "ARN")]
    keys: Vec<String>,
    /// The role is for `lightsout-agent doctor`, too
    #[arg(long, conflicts_with_all = ["config", "operator"])]
    doctor: bool,
    /// The policy is for you, who run `lightsout doctor` for these settings
    #[arg(long, alias = "desk", conflicts_with = "agent", conflicts_with = "doctor")]
    workstation: bool,
    /// The log group of the scaler's function, or that an operator reads
    #[arg(long, value_name = "NAME", conflicts_with = "agent")]
    log_group: Option<String>,
    /// Where the scaler's function reads its settings: s3://BUCKET/KEY, or a parameter's name or ARN
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["agent", "operator"])]
    settings: Option<String>,
    /// Compare with the policies that are attached to the role; `-` is standard input
    #[arg(long, value_name = "FILE", num_args = 1..)]
    diff: Vec<PathBuf>,
    /// With --diff: what is too wide, or cannot be judged, counts as well
    #[arg(long, requires = "diff")]
    strict: bool,
    /// Print one JSON object: the policy and the reason of each right, or the difference
    #[arg(long)]
    json: bool,
}

/// Prints the policy, or the difference.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let refused = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
    let needs = needs(args).map_err(refused)?;
    if !args.diff.is_empty() {
        // As of settings: 1 says that they differ.
        let attached = args.diff.iter().map(|path| attached(path)).collect::<Result<Vec<_>>>().map_err(refused)?;
        let difference = compare(&needs, &attached);
        crate::print(&if args.json {
            format!("{}\n", serde_json::to_string(&difference)?)
        } else {
            as_text(&difference)
        });
        let Difference { missing, conditional, too_wide } = &difference;
        let differs = !missing.is_empty() || (args.strict && !(conditional.is_empty() && too_wide.is_empty()));
        return Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let policy = policy(&needs);
    let length = characters(&policy);
    if length > MANAGED_POLICY_CHARACTERS {
        eprintln!(
            "warning: the policy has {length} characters, and a managed policy at most {MANAGED_POLICY_CHARACTERS}: write it into the role \
             itself (10240), or share the pools among scalers"
        );
    }
    let text = if args.json {
        let reason = |need: &Need| {
            let on: Vec<String> = need.resources.iter().map(ToString::to_string).collect();
            json!({ "action": need.action, "who": need.caller.as_str(), "resources": on, "why": need.why })
        };
        json!({ "policy": policy, "rights": needs.iter().map(reason).collect::<Vec<_>>() }).to_string()
    } else {
        serde_json::to_string_pretty(&policy)?
    };
    crate::print(&format!("{text}\n"));
    Ok(ExitCode::SUCCESS)
}

fn needs(args: &Args) -> Result<Vec<Need>> {
    let twelve_digits = |id: &String| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(id) = args.account.as_ref().filter(|id| !twelve_digits(id)) {
        bail!(
            "--account {id:?}: an account has twelve digits, as `aws sts get-caller-identity --query Account` prints them"
        );
    }
    if let Some(key) = args.keys.iter().find(|key| !(key.starts_with("arn:") && key.contains(":kms:"))) {
        bail!("--key {key:?} is no ARN of a key: write arn:aws:kms:REGION:ACCOUNT:key/ID, and not an alias");
    }
    let named = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let region = args.region.clone().or_else(|| named("AWS_REGION")).or_else(|| named("AWS_DEFAULT_REGION"));
    let account = Account { id: args.account.clone(), region };
    let (settings_object, settings_parameter) = match args.settings.as_deref() {
        Some(place) if place.starts_with("s3://") => (Some(ObjectAddress::parse(place).context("--settings")?), None),
        Some(name) => (None, Some(name.to_owned())),
        None => (None, None),
    };
    let extras = Extras {
        groups: args.groups.iter().map(|text| Group::parse(text)).collect::<Result<_, _>>()?,
        keys: args.keys.clone(),
        doctor: args.doctor,
        log_group: args.log_group.clone(),
        settings_object,
        settings_parameter,
    };
    if args.operator {
        return Ok(of_operator(&account, &extras)?);
    }
    Ok(if args.agent.is_empty() {
        let settings = settings::of_scaler(&args.config)?;
        if args.workstation {
            of_workstation(&settings, &account, &extras)?
        } else {
            of_scaler(&settings, &account, &extras)?
        }
    } else {
        of_agent(&settings::of_agent(&args.agent)?, &account, &extras)?
    })
}

fn attached(path: &Path) -> Result<Policy> {
    let shown = path.display();
    let text = if path.as_os_str() == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
    let text = text.with_context(|| format!("--diff {shown} cannot be read"))?;
    Policy::parse(&text).with_context(|| format!("--diff {shown}"))
}

fn as_text(difference: &Difference) -> String {
    let Difference { missing, conditional, too_wide } = difference;
    let lines = |what: &str, found: &[Finding]| -> String {
        found.iter().map(|finding| format!("{what}: {finding}\n")).collect()
    };
    format!(
        "{}{}{}{} missing, {} that cannot be judged, {} too wide\n",
        lines("missing", missing),
        lines("cannot be judged", conditional),
        lines("too wide", too_wide),
        missing.len(),
        conditional.len(),
        too_wide.len()
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::{Cli, Command};

    #[test]
    fn the_flag_for_a_workstation_goes_by_its_old_name_too() {
        for flag in ["--workstation", "--desk"] {
            let cli = Cli::try_parse_from(["lightsout", "iam", "--config", "scaler.toml", flag]).expect(flag);
            assert!(matches!(cli.command, Command::Iam(args) if args.workstation), "{flag}");
        }
    }
}
