//! What somebody types next at the command line of a cloud: the one place that knows it.
//!
//! Which cloud it is, the scaler's records say, the group's name where it is a resource id, or an id that only one cloud gives. Where that is not told,
//! or the cloud has no such command, there is none: advice without a command is still advice, and one of another cloud misleads.

use super::{Facts, Said};
use crate::settings::{CloudName, ScaleSetId};

/// The commands about one group and its instances.
pub(super) struct CloudCli {
    cloud: Cloud,
}

enum Cloud {
    /// AWS, and the group's name as far as known.
    Aws {
        group: Option<String>,
    },
    Azure(ScaleSetId),
    /// Not told, or one that a program of the user's stands for.
    Other,
}

impl CloudCli {
    /// About this group.
    pub(super) fn of_group(group: &str, facts: &Facts<'_>) -> Self {
        let recorded = facts.of_group(group).rev().find_map(|it| match &it.said {
            Said::Decision(decision) => decision.cloud,
            // No other cloud's history is read.
            Said::Activity(_) => Some(CloudName::Aws),
            Said::Departure(_) | Said::Incident(_) | Said::Status(_) | Said::Job(_) => None,
        });
        let has_instance_of_ec2 = || facts.of_group(group).filter_map(|it| it.said.instance()).any(is_of_ec2);
        let cloud = match (recorded, group.parse()) {
            (None | Some(CloudName::Azure), Ok(set)) => Cloud::Azure(set),
            (Some(CloudName::Aws), _) => Cloud::Aws { group: Some(group.to_owned()) },
            (None, Err(_)) if has_instance_of_ec2() => Cloud::Aws { group: Some(group.to_owned()) },
            (None | Some(CloudName::Azure | CloudName::Program), _) => Cloud::Other,
        };
        Self { cloud }
    }

    /// About this instance, and its group as far as that is known.
    pub(super) fn of_instance(id: &str, facts: &Facts<'_>) -> Self {
        let named = |group: &&str| {
            let set: Result<ScaleSetId, _> = group.parse();
            set.is_ok_and(|set| number_in(&set, id).is_some())
        };
        let own = facts.of_instance(id).rev().find_map(|it| it.said.group());
        match own.or_else(|| facts.all().filter_map(|it| it.said.group()).find(named)) {
            Some(group) => Self::of_group(group, facts),
            None if is_of_ec2(id) => Self { cloud: Cloud::Aws { group: None } },
            None => Self { cloud: Cloud::Other },
        }
    }

    /// What its console shows.
    pub(super) fn console(&self, id: &str) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => Some(format!("aws ec2 get-console-output --latest --instance-id {id}")),
            Cloud::Azure(set) => {
                machine(set, id).map(|machine| format!("az vm boot-diagnostics get-boot-log {machine}"))
            }
            Cloud::Other => None,
        }
    }

    /// What the cloud thinks of its health.
    pub(super) fn health(&self, id: &str) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => Some(format!("aws ec2 describe-instance-status --instance-ids {id}")),
            Cloud::Azure(set) => machine(set, id).map(|machine| format!("az vm get-instance-view {machine}")),
            Cloud::Other => None,
        }
    }

    /// What became of the group, and by whose wish, as the cloud wrote it down.
    pub(super) fn history(&self) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => self.of_auto_scaling("describe-scaling-activities"),
            Cloud::Azure(set) => Some(activity_log(set)),
            Cloud::Other => None,
        }
    }

    /// The same, for a file that is handed in as evidence.
    pub(super) fn history_as_evidence(&self) -> Option<String> {
        let command = self.of_auto_scaling("describe-scaling-activities")?;
        Some(format!("{command} > history.json, and hand that in as well: --records history.json"))
    }

    /// Who lowered the capacity of a group.
    pub(super) fn who_lowered(&self) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => Some(
                "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=SetDesiredCapacity"
                    .to_owned(),
            ),
            Cloud::Azure(set) => Some(activity_log(set)),
            Cloud::Other => None,
        }
    }

    /// Lets the group grow to so many; a scale set has no maximum of its own.
    pub(super) fn raise_maximum(&self, to: u32) -> Option<String> {
        Some(format!("{} --max-size {to}", self.of_auto_scaling("update-auto-scaling-group")?))
    }

    /// Lets the group launch again.
    pub(super) fn resume_launches(&self) -> Option<String> {
        Some(format!("{} --scaling-processes Launch", self.of_auto_scaling("resume-processes")?))
    }

    /// What holds its launches off.
    pub(super) fn hooks(&self) -> Option<String> {
        self.of_auto_scaling("describe-lifecycle-hooks")
    }

    /// Ends the replacement of all instances that is under way.
    pub(super) fn stop_refresh(&self) -> Option<String> {
        self.of_auto_scaling("cancel-instance-refresh")
    }

    /// Has instances of a newer image. Those that are protected are waited for for ever without the preference.
    pub(super) fn use_image(&self) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => {
                let refresh = self.of_auto_scaling("start-instance-refresh")?;
                Some(format!("{refresh} --preferences ScaleInProtectedInstances=Refresh"))
            }
            Cloud::Azure(set) => Some(format!(
                "az vmss update --ids {set} --set virtualMachineProfile.storageProfile.imageReference.id=IMAGE, and on each instance \
                 lightsout-agent drain"
            )),
            Cloud::Other => None,
        }
    }

    /// A hook that waits longer.
    pub(super) fn longer_hook(&self) -> String {
        let change = self.of_auto_scaling("put-lifecycle-hook");
        // EC2 Auto Scaling API Reference, `RecordLifecycleActionHeartbeat`.
        let bound = change.as_ref().map_or("", |_| ", which is extended to 100 times that, and to 48 h at most");
        let change = change.map(|command| format!("{command} --lifecycle-hook-name NAME --heartbeat-timeout SECONDS"));
        with(format!("set a longer time-out for the hook{bound}"), change)
    }

    /// How much may run at a time.
    pub(super) fn quotas(&self) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { .. } => Some("aws service-quotas list-service-quotas --service-code ec2".to_owned()),
            Cloud::Azure(set) => Some(format!(
                "az vm list-usage --subscription {} --location \"$(az vmss show --ids {set} --query location --output tsv)\"",
                set.subscription
            )),
            Cloud::Other => None,
        }
    }

    /// How whoever launches may use the key of the disks.
    pub(super) fn allow_key(&self) -> &'static str {
        match &self.cloud {
            Cloud::Aws { .. } => {
                "let the role AWSServiceRoleForAutoScaling use the key: in the key's policy, or by aws kms create-grant \
                 --grantee-principal with the role's ARN"
            }
            Cloud::Azure(_) => "let the identity of the disk encryption set use the key: in the vault that has the key",
            Cloud::Other => "let whoever launches the instances use the key",
        }
    }

    /// A command of EC2 Auto Scaling about the group.
    fn of_auto_scaling(&self, command: &str) -> Option<String> {
        match &self.cloud {
            Cloud::Aws { group } => {
                let group = group.as_deref().unwrap_or("GROUP");
                Some(format!("aws autoscaling {command} --auto-scaling-group-name {group}"))
            }
            Cloud::Azure(_) | Cloud::Other => None,
        }
    }
}

/// What to do, and the command with which to do it or see more, where there is one.
pub(super) fn with(advice: impl Into<String>, command: Option<String>) -> String {
    let advice = advice.into();
    match command {
        Some(command) => format!("{advice}: {command}"),
        None => advice,
    }
}

/// Whether it is an id as EC2 gives them: 17 hexadecimal digits, and 8 before 2016 (EC2 User Guide, "Resource IDs").
fn is_of_ec2(id: &str) -> bool {
    id.strip_prefix("i-").is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn activity_log(set: &ScaleSetId) -> String {
    format!("az monitor activity-log list --resource-id {set} --offset 1d")
}

/// What tells a machine from the others of its scale set, behind that one's name (Azure, "Orchestration modes": instance names).
fn number_in<'a>(set: &ScaleSetId, id: &'a str) -> Option<&'a str> {
    id.strip_prefix(&set.name)?.strip_prefix('_')
}

/// A machine as `az vm` finds it; `None`: it is a part of a Uniform scale set, which `az vm` does not know. Its number comes again, so that our records
/// write more behind it, after a hyphen.
fn machine(set: &ScaleSetId, id: &str) -> Option<String> {
    let ScaleSetId { subscription, resource_group, .. } = set;
    let flexible = !number_in(set, id)?.contains('-');
    flexible.then(|| format!("--subscription {subscription} --resource-group {resource_group} --name {id}"))
}
