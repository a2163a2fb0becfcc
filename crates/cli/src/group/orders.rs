//! Orders: to each agent by Run Command, or else by the tag; which of both it was is said.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use jiff::Timestamp;
use lightsout_cloud::{Operator, operator::Member};
use lightsout_core::cloud::StandingOrder;
use lightsout_io::command_line::duration_within;
use serde_json::{Value, json};

use super::{Place, command, find};
use crate::{
    duration::{self, SECOND, YEAR},
    fleet_dir::FleetDir,
};

/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_secs(2);

/// The instances, and how they are reached.
#[derive(clap::Args)]
pub(crate) struct Targets {
    /// Instance ids or unambiguous starts of them (with --region alone, whole ids); none: all members of the group
    #[arg(value_name = "ID", required_unless_present = "group")]
    ids: Vec<String>,
    #[command(flatten)]
    place: Place,
    /// How their agents are reached [default: by Run Command, and by the tag where that is not to be had]
    #[arg(long, value_name = "WAY")]
    by: Option<Way>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// A hold.
#[derive(clap::Args)]
pub(crate) struct Hold {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration_within(SECOND, YEAR))]
    pub(super) span: Duration,
}

/// How an agent is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// Run Command of Systems Manager
    Command,
    /// The tag lightsout:order of the instance
    Tag,
}

/// What is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Drain,
    Undrain,
    Hold(Duration),
    Release,
}

impl Order {
    /// What says it to the agent on its instance.
    fn script(self) -> String {
        match self {
            Self::Drain => "lightsout-agent drain".to_owned(),
            Self::Undrain => "lightsout-agent undrain".to_owned(),
            Self::Hold(span) => format!("lightsout-agent hold {}s", span.as_secs().max(1)),
            Self::Release => "lightsout-agent hold 0s".to_owned(),
        }
    }

    /// What stands on the instance then; `None`: nothing.
    fn standing(self, now: Timestamp) -> Option<StandingOrder> {
        match self {
            Self::Drain => Some(StandingOrder::Drain),
            Self::Hold(span) => Some(StandingOrder::Hold { until: now + span }),
            Self::Undrain | Self::Release => None,
        }
    }

    /// Whether this takes back what stands on the instance.
    fn takes_back(self, standing: &str) -> bool {
        match (self, standing.parse()) {
            (Self::Drain | Self::Hold(_), _)
            | (Self::Undrain, Ok(StandingOrder::Hold { .. }))
            | (Self::Release, Ok(StandingOrder::Drain)) => false,
            (Self::Undrain | Self::Release, _) => true,
        }
    }
}

/// What came of an order on one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    id: String,
    way: Way,
    answer: Result<String, String>,
    /// Why it was not the other way.
    instead: Option<String>,
}

/// Gives an order, says what came of it, and waits until the instances have ended where that is asked for.
pub(super) async fn give(
    targets: &Targets,
    order: Order,
    wait: Option<Duration>,
    fleet_dir: &FleetDir,
) -> Result<ExitCode> {
    let found = find(&targets.place, &targets.ids, fleet_dir).await?;
    if let Some(group) =
        found.group.as_ref().filter(|group| order == Order::Drain && targets.ids.is_empty() && group.min > 0)
    {
        eprintln!(
            "warning: the group {} keeps {} at least, so that those who leave last are replaced: set its minimum to 0, and stop its scaler",
            group.name, group.min
        );
    }
    let given = tell(&*found.operator, &found.instances, order, targets.by, Timestamp::now()).await;
    crate::print(&if targets.json { as_json(&given) } else { as_text(&given) });
    if given.iter().any(|it| it.answer.is_err()) {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(span) = wait {
        let ids: Vec<String> = given.into_iter().map(|it| it.id).collect();
        until_ended(&*found.operator, ids, span).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells each agent.
async fn tell(
    operator: &dyn Operator,
    instances: &[Member],
    order: Order,
    by: Option<Way>,
    now: Timestamp,
) -> Vec<Given> {
    let ids = |of: &[&Member]| of.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    // What stands there goes first: an agent that has not seen it yet would follow it after it was told otherwise.
    let standing: Vec<&Member> =
        instances.iter().filter(|it| it.order.as_deref().is_some_and(|text| order.takes_back(text))).collect();
    let wiped = if standing.is_empty() {
        Ok(())
    } else {
        operator.order(&ids(&standing), None).await.map_err(|error| error.to_string())
    };
    let all: Vec<&Member> = instances.iter().collect();
    let mut came = match by {
        Some(Way::Tag) => BTreeMap::new(),
        Some(Way::Command) | None => command::run(operator, &ids(&all), &order.script(), command::PATIENCE).await,
    };
    let mut given = Vec::new();
    let mut by_tag: Vec<(&Member, Option<String>)> = Vec::new();
    for member in instances {
        let stood = standing.iter().any(|it| it.id == member.id);
        let by_command = |answer| Given { id: member.id.clone(), way: Way::Command, answer, instead: None };
        match (came.remove(&member.id), &wiped) {
            (_, Err(why)) if stood => given.push(by_tag_given(member, Err(why.clone()), None)),
            (Some(Ok(ended)), _) => {
                let said = said(&ended);
                given.push(by_command(match (ended.code, stood) {
                    (0, _) => Ok(said),
                    // It has followed the tag's going already, or is past it.
                    (_, true) => Ok(format!("the tag lightsout:order is removed; its agent says: {said}")),
                    (_, false) => Err(said),
                }));
            }
            (Some(Err(why)), _) if by == Some(Way::Command) => given.push(by_command(Err(why))),
            (Some(Err(why)), _) => by_tag.push((member, Some(why))),
            (None, _) => by_tag.push((member, None)),
        }
    }
    given.extend(write(operator, by_tag, order, now).await);
    given.sort_by_key(|it| instances.iter().position(|member| member.id == it.id));
    given
}

/// Writes the order where the instances themselves tell it.
async fn write(
    operator: &dyn Operator,
    members: Vec<(&Member, Option<String>)>,
    order: Order,
    now: Timestamp,
) -> Vec<Given> {
    let standing = order.standing(now);
    // There is one tag: a hold in its place would take the drain back, which its agent follows.
    let drains = |member: &Member| {
        matches!(order, Order::Hold(_))
            && member.order.as_deref().is_some_and(|text| text.parse() == Ok(StandingOrder::Drain))
    };
    let able = |member: &Member| member.sees_orders && standing.is_some() && !drains(member);
    let ids: Vec<String> = members.iter().filter(|(it, _)| able(it)).map(|(it, _)| it.id.clone()).collect();
    let written = match (ids.is_empty(), standing) {
        (false, Some(_)) => operator.order(&ids, standing).await.map_err(|error| error.to_string()),
        (true, _) | (_, None) => Ok(()),
    };
    let answer = |member: &Member| match standing {
        Some(_) if !member.sees_orders => {
            Err("its metadata show no tags, so that its agent would not see one: enable \
                                               InstanceMetadataTags in the launch template"
                .to_owned())
        }
        Some(_) if drains(member) => {
            Err("the tag lightsout:order says `drain`, which a hold would take back: `lightsout undrain` it first, if \
                 it is to stay"
                .to_owned())
        }
        Some(order) => written
            .clone()
            .map(|()| format!("the tag lightsout:order says `{order}`; its agent follows within seconds")),
        None if member.order.as_deref().is_some_and(|text| order.takes_back(text)) => {
            Ok("the tag lightsout:order is removed; its agent follows within seconds".to_owned())
        }
        None => Err("no tag orders this, and its agent is not reached otherwise".to_owned()),
    };
    members.into_iter().map(|(member, why)| by_tag_given(member, answer(member), why)).collect()
}

fn by_tag_given(member: &Member, answer: Result<String, String>, instead: Option<String>) -> Given {
    Given { id: member.id.clone(), way: Way::Tag, answer, instead }
}

/// What the agent said.
fn said(ended: &command::Ended) -> String {
    let text = if ended.code == 0 { &ended.out } else { &ended.err };
    let text = text.trim();
    if text.is_empty() { format!("exit code {}", ended.code) } else { text.to_owned() }
}

fn as_text(given: &[Given]) -> String {
    let line = |it: &Given| {
        let way = match it.way {
            Way::Command => "by Run Command",
            Way::Tag => "by the tag",
        };
        let instead = it.instead.as_ref().map_or(String::new(), |why| format!("; not by Run Command: {why}"));
        match &it.answer {
            Ok(answer) => format!("{}: {answer} ({way}{instead})\n", it.id),
            Err(why) => format!("{}: FAILED: {why} ({way}{instead})\n", it.id),
        }
    };
    if given.is_empty() { "no instances\n".to_owned() } else { given.iter().map(line).collect() }
}

fn as_json(given: &[Given]) -> String {
    let one = |it: &Given| -> Value {
        let way = match it.way {
            Way::Command => "command",
            Way::Tag => "tag",
        };
        let (answer, error) = (it.answer.as_ref().ok(), it.answer.as_ref().err());
        json!({ "id": it.id, "way": way, "answer": answer, "error": error, "not_by_command": it.instead })
    };
    format!("{}\n", json!({ "instances": given.iter().map(one).collect::<Vec<_>>() }))
}

/// Waits until none of these is left.
async fn until_ended(operator: &dyn Operator, ids: Vec<String>, span: Duration) -> Result<()> {
    let begun = tokio::time::Instant::now();
    let mut left = ids;
    loop {
        let mut still = Vec::new();
        for id in left {
            match operator.instances(std::slice::from_ref(&id)).await {
                Ok(found) if found.iter().all(|it| it.ended) => {}
                // Its end is an hour old.
                Err(error) if error.kind == lightsout_core::cloud::CloudErrorKind::NotFound => {}
                Err(error) if begun.elapsed() >= span => return Err(error.into()),
                Ok(_) | Err(_) => still.push(id),
            }
        }
        left = still;
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= span {
            bail!("after {} there are still {}", duration::short(span), left.join(", "));
        }
        tokio::time::sleep(LOOK).await;
    }
}
