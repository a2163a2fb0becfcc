//! What is printed to be typed: commands of the cloud that has the pool or the instance, and of no other.

use std::collections::BTreeSet;

use lightsout_core::{
    agent::phase::LeaveReason,
    explain::{Activity, Evidence, Question, Said, explain},
    settings::CloudName,
};

use crate::{
    made::{at, gone, held, plan},
    scenarios,
};

const SET: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/runners";

/// Where the scenarios take place.
#[derive(Clone, Copy)]
struct Place {
    cloud: Option<CloudName>,
    group: &'static str,
    /// Before the number that a scenario gives an instance.
    instances: &'static str,
}

const AWS: Place = Place { cloud: Some(CloudName::Aws), group: "ci-linux", instances: "i-0123456789abcdef" };
const AZURE: Place = Place { cloud: Some(CloudName::Azure), group: SET, instances: "runners_0a1b2c3" };
const PROGRAM: Place = Place { cloud: Some(CloudName::Program), group: "ci-linux", instances: "rack-" };

impl Place {
    fn instance(self, id: &str) -> String {
        id.replace("i-", self.instances)
    }

    /// The same at this place; `None`: no such thing is read there.
    fn of(self, evidence: &Evidence) -> Option<Evidence> {
        let group = self.group.to_owned();
        let mut said = evidence.said.clone();
        match &mut said {
            Said::Decision(decision) => (decision.group, decision.cloud) = (group, self.cloud),
            Said::Departure(departure) => {
                (departure.group, departure.instance) = (Some(group), self.instance(&departure.instance));
            }
            Said::Incident(incident) => {
                (incident.group, incident.instance) = (Some(group), self.instance(&incident.instance));
            }
            Said::Status(status) => (status.group, status.instance) = (Some(group), self.instance(&status.instance)),
            Said::Job(job) => job.instance = job.instance.as_ref().map(|id| self.instance(id)),
            Said::Activity(activity) => {
                let Activity { instance, kind, text, .. } = &**activity;
                let instance = instance.as_ref().map(|id| self.instance(id));
                **activity = Activity { group, instance, kind: *kind, text: text.clone() };
                return (self.group == AWS.group && self.instances == AWS.instances)
                    .then(|| Evidence { said, ..evidence.clone() });
            }
        }
        Some(Evidence { said, ..evidence.clone() })
    }

    /// All that is said to be done in any scenario at this place.
    fn remedies(self) -> BTreeSet<String> {
        let mut remedies = BTreeSet::new();
        for scenario in scenarios::all() {
            let evidence: Vec<Evidence> = scenario.evidence.iter().filter_map(|it| self.of(it)).collect();
            let question = match scenario.question {
                Question::Instance(id) => Question::Instance(self.instance(&id)),
                other @ (Question::Pool(_) | Question::Job(_)) => other,
            };
            let answer = explain(&question, &evidence, at(10_000));
            remedies.extend(answer.known.into_iter().map(|it| it.remedy));
            remedies.extend(answer.not_known.into_iter().map(|it| it.remedy));
        }
        remedies
    }

    /// Those of them with a command of a cloud.
    fn commands(self) -> Vec<String> {
        let typed = |it: &String| it.contains("aws ") || it.contains("az ");
        self.remedies().into_iter().filter(typed).collect()
    }
}

#[test]
fn on_aws_each_is_one_of_its_own() {
    let history = "aws autoscaling describe-scaling-activities --auto-scaling-group-name ci-linux";
    assert_eq!(
        AWS.commands(),
        [
            "ask for more: aws service-quotas list-service-quotas --service-code ec2; or use smaller or other instance types, or lower pool.max",
            "build a new machine image with a newer runner (packer/pin), then have the group's instances replaced by ones of it: aws autoscaling \
             start-instance-refresh --auto-scaling-group-name ci-linux --preferences ScaleInProtectedInstances=Refresh",
            "if nobody answered it, its time was over: set a longer time-out for the hook, which is extended to 100 times that, and to 48 h at most: \
             aws autoscaling put-lifecycle-hook --auto-scaling-group-name ci-linux --lifecycle-hook-name NAME --heartbeat-timeout SECONDS",
            "let it launch again: aws autoscaling resume-processes --auto-scaling-group-name ci-linux --scaling-processes Launch",
            "let the role AWSServiceRoleForAutoScaling use the key: in the key's policy, or by aws kms create-grant --grantee-principal with the \
             role's ARN",
            &format!(
                "look at what its cloud wrote down of the group: {history} > history.json, and hand that in as well: --records history.json"
            ),
            "mend what kept it from being extended, and set a longer time-out for the hook, which is extended to 100 times that, and to 48 h at \
             most: aws autoscaling put-lifecycle-hook --auto-scaling-group-name ci-linux --lifecycle-hook-name NAME --heartbeat-timeout SECONDS",
            &format!("mend what the message names; see what its cloud wrote down of the group: {history}"),
            "nothing: its jobs have as long as its termination hook waits. To end the refresh: aws autoscaling cancel-instance-refresh \
             --auto-scaling-group-name ci-linux",
            "raise the lower of the group's maximum and pool.max of linux: aws autoscaling update-auto-scaling-group --auto-scaling-group-name \
             ci-linux --max-size 5",
            "see its console and its status checks: aws ec2 get-console-output --latest --instance-id i-0123456789abcdef1; aws ec2 \
             describe-instance-status --instance-ids i-0123456789abcdef1",
            "see what is to answer it: aws autoscaling describe-lifecycle-hooks --auto-scaling-group-name ci-linux; on the instance: journalctl \
             -u lightsout-agent",
            &format!(
                "the group tries again by itself. Give it more instance types and zones, or on-demand beside Spot, and see what its cloud wrote \
                 down of it: {history}"
            ),
        ]
    );
}

#[test]
fn on_azure_each_is_one_of_its_own() {
    let found: Vec<_> = AZURE.commands().iter().map(|it| it.replace(SET, "SET")).collect();
    let log = "az monitor activity-log list --resource-id SET --offset 1d";
    assert_eq!(
        found,
        [
            "ask for more: az vm list-usage --subscription 0b1f6471-1bf0-4dda-aec3-111122223333 --location \"$(az vmss show --ids SET --query \
             location --output tsv)\"; or use smaller or other instance types, or lower pool.max",
            "build a new machine image with a newer runner (packer/pin), then have the group's instances replaced by ones of it: az vmss update \
             --ids SET --set virtualMachineProfile.storageProfile.imageReference.id=IMAGE, and on each instance lightsout-agent drain",
            &format!("look at what its cloud wrote down of the group: {log}"),
            &format!("mend what the message names; see what its cloud wrote down of the group: {log}"),
            &format!(
                "the group tries again by itself. Give it more instance types and zones, or on-demand beside Spot, and see what its cloud wrote \
                 down of it: {log}"
            ),
        ]
    );
}

#[test]
fn where_no_command_is_known_there_is_none_and_no_cloud_is_named() {
    assert_eq!(PROGRAM.commands(), [""; 0]);
    for remedy in PROGRAM.remedies().into_iter().chain(AZURE.remedies()) {
        for word in ["AWS", "EC2", "Auto Scaling", "MaxSize", "MinSize", "instance refresh", "autoscaling"] {
            assert!(!remedy.contains(word), "{word}: {remedy}");
        }
    }
}

/// An older scaler did not write down whose group it is, and agents do not say it.
#[test]
fn the_cloud_is_told_by_ids_where_no_record_names_it() {
    let older = |place: Place| Place { cloud: None, ..place };
    assert_eq!(older(AZURE).commands(), AZURE.commands());
    assert_eq!(older(PROGRAM).commands(), [""; 0]);
    let asked = |place: Place, evidence: Evidence| {
        let evidence = [place.of(&evidence).unwrap()];
        explain(&Question::Instance(place.instance("i-1")), &evidence, at(200)).not_known[0].remedy.clone()
    };
    let chosen = || gone(100, "i-1", LeaveReason::ScaleIn, "chosen");
    assert!(
        asked(AWS, chosen())
            .contains(": aws autoscaling describe-scaling-activities --auto-scaling-group-name ci-linux >")
    );
    assert_eq!(asked(PROGRAM, chosen()), "look at what its cloud wrote down of the group");
    // Of whom nothing is known but its group.
    let console = "hand in its log (journalctl -u lightsout-agent), or look at its console";
    let nothing = || held(100, plan(0, 0, 1));
    assert_eq!(
        asked(AWS, nothing()),
        format!("{console}: aws ec2 get-console-output --latest --instance-id i-0123456789abcdef1")
    );
    let machine = "--subscription 0b1f6471-1bf0-4dda-aec3-111122223333 --resource-group ci --name runners_0a1b2c31";
    assert_eq!(asked(AZURE, nothing()), format!("{console}: az vm boot-diagnostics get-boot-log {machine}"));
    let uniform = Place { instances: "runners_3-0a1b2c3", ..AZURE };
    assert_eq!(asked(uniform, nothing()), console);
    assert_eq!(asked(PROGRAM, nothing()), console);
}
