//! Rows about a machine of Azure and the scale set that it is in.
//!
//! What protects jobs there is the machine's own protection, which it asks for and sees before it registers: automatic repairs, upgrades and
//! Autoscale pass protected machines by, so that those are warnings. What deletes or keeps a machine past that protection is wrong.

use std::time::Duration;

use crate::{cloud::Membership, duration::format_duration};

use super::{Fact, Facts, Judgement, Row, Scope, Verdict, account::judge_role, facts::RoleFacts, of, of_member};

/// How many machines a finding names.
const NAMED: usize = 10;

/// What is known of a scale set, and of a machine of it where it is looked at from one. What is `None` was not asked, because something before it failed or does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleSetFacts {
    /// Whether the machine gets a token in the name of its identity; on a workstation, whether new machines have one.
    pub identity: Option<Fact<()>>,
    /// The machine's place in its scale set.
    pub membership: Option<Fact<Membership>>,
    /// Whether the machine was made of, or brought to, the scale set's present model; `Ok(None)`: it is not told.
    pub latest_model: Option<Fact<Option<bool>>>,
    /// How the scale set is set up.
    pub model: Option<Fact<ScaleSetModel>>,
    /// The names of the Autoscale settings that are enabled for the scale set: of those of its resource group (on a workstation: of its subscription).
    pub autoscale: Option<Fact<Vec<String>>>,
    /// Of which model its machines are.
    pub members: Option<Fact<MemberModels>>,
    /// What each of the identities of new machines may do, compared with what the agent needs.
    pub roles: Vec<RoleFacts>,
    /// How many machines more it may be asked for, where a workstation asks.
    pub room: Option<u32>,
}

/// Of which model the machines of a scale set are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberModels {
    /// How many machines there are.
    pub count: usize,
    /// Those that are not of the present model, by name.
    pub others: Vec<String>,
    /// How many of which it is not told.
    pub untold: usize,
}

/// How a scale set is set up, as far as its agents depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleSetModel {
    /// Whether it starts more machines than it is asked for, and deletes what is too many.
    pub overprovisions: bool,
    /// Whether it replaces, reimages or restarts machines that its health check finds unhealthy.
    pub repairs: bool,
    /// Its upgrade policy, such as `Manual`.
    pub upgrade_mode: String,
    /// Whether it gives machines a newer image by itself.
    pub upgrades_images: bool,
    /// What becomes of evicted machines; `None`: none is Spot.
    pub spot: Option<SpotModel>,
    /// How long before its end a machine is told that somebody deletes it; `None`: it is not.
    pub terminate_notice: Option<Duration>,
}

/// What becomes of the Spot machines of a scale set that Azure evicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpotModel {
    /// Whether they are deleted; else they are kept, switched off.
    pub deletes: bool,
    /// Whether the scale set starts others in their place by itself.
    pub restores: bool,
}

/// The longest terminate notification that can be had (Azure, "Terminate notification for Azure Virtual Machine Scale Set instances").
const LONGEST_NOTICE: Duration = Duration::from_secs(15 * 60);

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "scale-set.identity",
        scope: Scope::Group,
        meaning: "on Azure, a machine has a managed identity, and gets its token: without one it can neither protect nor end itself",
        remedy: "give the scale set a managed identity (a Flexible one a user-assigned one) with the roles of docs/clouds.md; of several, name the one \
                 in AZURE_CLIENT_ID in the agent's unit and in that of the dead-man's switch",
        judge: |facts| match scale_set(facts)?.identity.as_ref()? {
            Ok(()) => Judgement::ok("it does"),
            Err(why) => Judgement::wrong(why.clone()),
        },
    },
    Row {
        id: "scale-set.member",
        scope: Scope::Instance,
        meaning: "on Azure, the machine is in a scale set",
        remedy: "start it from the scale set, or delete it by hand when it has done its work: it lowers no capacity",
        judge: |facts| {
            of(scale_set(facts)?.membership.as_ref(), |membership| {
                of_member(*membership, "it is in none, or not any more")
            })
        },
    },
    Row {
        id: "scale-set.protected",
        scope: Scope::Instance,
        meaning: "in service, the machine is protected from scale-in and from scale set actions: its agent asks for both before it registers",
        remedy: "see why the agent did not get it: lightsout-agent status, and `rights` here. Not by `az vmss update --instance-id`, which sends the \
                 whole machine back and takes it off the scale set's model",
        judge: |facts| match scale_set(facts)?.membership.as_ref()? {
            Ok(Membership::InService { protected: true }) => Judgement::ok("it is"),
            Ok(Membership::InService { protected: false }) => {
                Judgement::warning("it is not: until it is, no runner registers here")
            }
            Ok(
                Membership::Outside
                | Membership::Pending { .. }
                | Membership::Warming { .. }
                | Membership::Warm
                | Membership::Standby
                | Membership::Terminating { .. },
            )
            | Err(_) => None,
        },
    },
    Row {
        id: "scale-set.model",
        scope: Scope::Instance,
        meaning: "the machine is of the scale set's present model: image and settings of new machines are its own",
        remedy: "nothing breaks by it: `lightsout-agent drain` replaces the machine between jobs, and `agent.max_age` does so in time. If nobody changed \
                 the model, somebody sent this machine back whole (az vmss update --instance-id)",
        judge: |facts| {
            of(scale_set(facts)?.latest_model.as_ref(), |latest| {
                if (*latest)? {
                    Judgement::ok("it is")
                } else {
                    Judgement::warning("it is of an older one, or differs from it")
                }
            })
        },
    },
    Row {
        id: "scale-set.members",
        scope: Scope::Workstation,
        meaning: "all machines are of the scale set's present model: what was mended in it holds for those alone that start from then on",
        remedy: "nothing breaks by it: `lightsout-agent drain` on each replaces it between jobs, and `agent.max_age` does so in time. Not by `az vmss \
                 update-instances`, which restarts machines under their jobs",
        judge: |facts| of(scale_set(facts)?.members.as_ref(), judge_members),
    },
    Row {
        id: "scale-set.overprovisioning",
        scope: Scope::Group,
        meaning: "the scale set starts no more machines than it is asked for: one too many is deleted, although it may run a job by then",
        remedy: "az vmss update --ids {group} --set overprovision=false",
        judge: |facts| {
            model(facts, |model| {
                if model.overprovisions {
                    Judgement::wrong("overprovisioning is on, as it is unless a Uniform scale set says otherwise")
                } else {
                    Judgement::ok("it does not")
                }
            })
        },
    },
    Row {
        id: "scale-set.autoscale",
        scope: Scope::Group,
        meaning: "no Autoscale setting of its resource group (on a workstation: of its subscription) changes the scale set's capacity: it would lower what the scaler \
                  raises",
        remedy: "az monitor autoscale update --resource-group RG --name NAME --enabled false, for each that is named",
        judge: |facts| {
            of(scale_set(facts)?.autoscale.as_ref(), |found| {
                if found.is_empty() { Judgement::ok("none does") } else { Judgement::warning(found.join(", ")) }
            })
        },
    },
    Row {
        id: "scale-set.repairs",
        scope: Scope::Group,
        meaning: "the scale set repairs no machine by itself: it would delete, reimage or restart those that are not protected yet, and start others \
                  that nobody asked for",
        remedy: "az vmss update --ids {group} --enable-automatic-repairs false",
        judge: |facts| {
            model(facts, |model| {
                if model.repairs {
                    Judgement::warning("automatic repairs are on")
                } else {
                    Judgement::ok("it does not")
                }
            })
        },
    },
    Row {
        id: "scale-set.upgrades",
        scope: Scope::Group,
        meaning: "the scale set gives no running machine another model or image by itself (upgrade policy `Manual`, no automatic OS upgrade): that \
                  restarts those that are not protected yet",
        remedy: "az vmss update --ids {group} --set upgradePolicy.mode=Manual \
                 upgradePolicy.automaticOSUpgradePolicy.enableAutomaticOSUpgrade=false",
        judge: |facts| {
            model(facts, |model| match (model.upgrade_mode.as_str(), model.upgrades_images) {
                ("Manual", false) => Judgement::ok("Manual"),
                (mode, false) => Judgement::warning(mode),
                (mode, true) => Judgement::warning(format!("{mode}, and automatic OS upgrades are on")),
            })
        },
    },
    Row {
        id: "scale-set.eviction",
        scope: Scope::Group,
        meaning: "an evicted Spot machine is deleted, and nothing but the scaler starts another: one that is kept counts as capacity, costs its disks, \
                  and nobody ends it",
        remedy: "make the scale set anew, with evictionPolicy Delete; az vmss update --ids {group} --set \
                 spotRestorePolicy.enabled=false for what is restored",
        judge: |facts| {
            model(facts, |model| match model.spot {
                None => Judgement::ok("none is Spot"),
                Some(SpotModel { deletes: false, .. }) => {
                    Judgement::wrong("evictionPolicy is Deallocate, as it is unless a scale set says otherwise")
                }
                Some(SpotModel { restores: true, .. }) => Judgement::warning(
                    "Delete, and spotRestorePolicy is on: it starts machines again for which there may be no job any more",
                ),
                Some(SpotModel { deletes: true, restores: false }) => Judgement::ok("Delete"),
            })
        },
    },
    Row {
        id: "scale-set.notification",
        scope: Scope::Group,
        meaning: "a machine that somebody deletes is told 15 min before, the most that can be had: that is all that a running job gets (Spot machines \
                  cannot be told)",
        remedy: "az vmss update --ids {group} --enable-terminate-notification true --terminate-notification-time 15; it holds for \
                 machines of the new model",
        judge: |facts| {
            model(facts, |model| match (model.spot, model.terminate_notice) {
                (Some(_), None) => Judgement::ok("Spot: an eviction is told 30 s before, a delete is not"),
                (None, None) => Judgement::wrong("it is not told: a delete leaves a job no time at all"),
                (_, Some(notice)) if notice < LONGEST_NOTICE => Judgement::warning(format_duration(notice)),
                (_, Some(notice)) => Judgement::ok(format_duration(notice)),
            })
        },
    },
    Row {
        id: "scale-set.role",
        scope: Scope::Workstation,
        meaning: "one of the identities of new machines has the rights that the agent needs, on the scale set, and on its resource group where it is a \
                  Flexible one, and on the vaults of the secrets in the agents' settings where those are given",
        remedy: "give the identity a role with these actions there (docs/azure.md has it; terraform/azure gives it): az role assignment create",
        // Of several the agent takes the one that AZURE_CLIENT_ID names.
        judge: |facts| {
            let judged = scale_set(facts)?.roles.iter().filter_map(judge_role);
            judged.min_by_key(|judgement| judgement.verdict.weight())
        },
    },
];

fn judge_members(models: &MemberModels) -> Option<Judgement> {
    let MemberModels { count, others, untold } = models;
    if others.is_empty() {
        let verdict = if *untold == 0 { Verdict::Ok } else { Verdict::Unknown };
        let untold = if *untold == 0 { String::new() } else { format!("; of {untold} it is not told") };
        return Some(Judgement::new(verdict, format!("{count} machines{untold}")));
    }
    let more = others.len().saturating_sub(NAMED);
    let named = others.iter().take(NAMED).cloned().chain((more > 0).then(|| format!("and {more} more")));
    let named = named.collect::<Vec<_>>().join(", ");
    Judgement::warning(format!("{} of {count} are of an older one, or differ from it: {named}", others.len()))
}

fn scale_set(facts: &Facts) -> Option<&ScaleSetFacts> {
    facts.cloud.as_ref()?.scale_set.as_ref()
}

fn model(facts: &Facts, judge: impl FnOnce(&ScaleSetModel) -> Option<Judgement>) -> Option<Judgement> {
    of(scale_set(facts)?.model.as_ref(), judge)
}
