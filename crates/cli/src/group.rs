//! The instances of a group, wherever it is: on the cloud of the environment, or the fleet's of this machine. They are looked at by describes,
//! and their agents are reached by Run Command or, where that is not to be had, by a tag.

mod command;
pub(crate) mod logs;
mod members;
mod orders;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use lightsout_cloud::{
    Operator,
    operator::{Member, Members},
};

pub(crate) use self::members::show;
use self::orders::{Hold, Order, Targets};
use crate::{
    fleet_client::{FleetClient, pick},
    fleet_dir::FleetDir,
};

/// Orders to the agents of a group.
#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// Have instances take no more jobs, finish those that run, and leave
    #[command(after_help = "\
With --group or --region it is the cloud of the environment, else the fleet that runs here. Without an ID all members of the group. Agents are
reached by Run Command of Systems Manager; where that is denied, or an instance does not take commands, by the tag lightsout:order.

Examples:
  lightsout drain i-0a1
  lightsout drain i-0a1 i-0b2 --group ci-linux
  lightsout drain --group ci-linux --region eu-central-1 --wait 2h

Exit status: 0 when each instance was told (with --wait: when all have ended), 1 when one was not, 2 for bad arguments.")]
    Drain {
        #[command(flatten)]
        targets: Targets,
        /// Wait for so long at most until they have ended
        #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse_duration)]
        wait: Option<std::time::Duration>,
    },
    /// Take a drain back, as long as the instance has not retired
    Undrain {
        #[command(flatten)]
        targets: Targets,
    },
    /// Keep instances from leaving for idleness or age
    #[command(after_help = "Example:\n  lightsout hold i-0a1 --group ci-linux --for 2h")]
    Hold(Hold),
    /// End a hold
    Release {
        #[command(flatten)]
        targets: Targets,
    },
}

/// Which group is meant, and where.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Place {
    /// The Auto Scaling group, with the credentials of the environment
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Its region [default: the environment's]
    #[arg(long)]
    pub(crate) region: Option<String>,
}

impl Place {
    /// Whether it is a cloud's, and not the fleet of this machine.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.group.is_some() || self.region.is_some()
    }

    pub(crate) fn operator(&self) -> Box<dyn Operator> {
        lightsout_cloud::operator(self.region.clone())
    }
}

/// Gives an order.
pub(crate) async fn run(command: GroupCommand, fleet_dir: &FleetDir) -> Result<ExitCode> {
    match command {
        GroupCommand::Drain { targets, wait } => orders::give(&targets, Order::Drain, wait, fleet_dir).await,
        GroupCommand::Undrain { targets } => orders::give(&targets, Order::Undrain, None, fleet_dir).await,
        GroupCommand::Hold(Hold { targets, span }) => orders::give(&targets, Order::Hold(span), None, fleet_dir).await,
        GroupCommand::Release { targets } => orders::give(&targets, Order::Release, None, fleet_dir).await,
    }
}

/// The instances that are meant, how they are reached, and their group where it was named.
pub(crate) struct Found {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) instances: Vec<Member>,
    pub(crate) group: Option<Members>,
}

/// Finds the instances of these ids, or unambiguous starts of ids; without any, all members of the group.
///
/// # Errors
/// When one is not there, or has ended.
pub(crate) async fn find(place: &Place, ids: &[String], fleet_dir: &FleetDir) -> Result<Found> {
    let (operator, group, ids) = match (&place.group, place.is_elsewhere()) {
        (Some(name), _) => {
            let operator = place.operator();
            let group = operator.group(name).await?;
            let known = || group.members.iter().map(|member| (member.id.as_str(), member.ended));
            let list = format!("lightsout ps --group {name}");
            let chosen = ids.iter().map(|id| pick(&known(), id, &list)).collect::<Result<Vec<_>>>()?;
            let all = || known().filter(|(_, ended)| !ended).map(|(id, _)| id.to_owned()).collect();
            let chosen = if ids.is_empty() { all() } else { chosen };
            (operator, Some(group), chosen)
        }
        (None, true) => (place.operator(), None, ids.to_vec()),
        (None, false) => {
            let client = FleetClient::find(fleet_dir)?;
            let snapshot = client.snapshot().await?;
            let known =
                || snapshot.instances.iter().map(|instance| (instance.id.as_str(), instance.ended_ms.is_some()));
            let chosen = ids.iter().map(|id| pick(&known(), id, "lightsout ps")).collect::<Result<Vec<_>>>()?;
            (client.operator().await, None, chosen)
        }
    };
    let mut instances = Vec::new();
    match &group {
        Some(group) => {
            for id in &ids {
                instances
                    .push(group.members.iter().find(|it| it.id == *id).cloned().context("it was picked from these")?);
            }
        }
        None if ids.is_empty() => {}
        None => instances = operator.instances(&ids).await?,
    }
    for instance in &instances {
        ensure!(!instance.ended, "{} has ended already", instance.id);
    }
    Ok(Found { operator, instances, group })
}
