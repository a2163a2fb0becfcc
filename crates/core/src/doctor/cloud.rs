//! Rows about the cloud: the instance, its metadata and its rights.
//!
//! The remedies are AWS's calls. A row whose fact a cloud does not give is not shown, and a cloud with other words for a remedy brings rows of
//! its own.

use crate::{agent::policy::Protection, cloud::Membership, duration::format_duration};

use super::{Judgement, Row, Scope, Verdict, of, of_member, platform};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "metadata",
        scope: Scope::Instance,
        meaning: "the instance's metadata say who it is",
        remedy: "aws ec2 modify-instance-metadata-options --region {region} --instance-id {instance} --http-endpoint enabled, and in the launch \
                 template; on an IPv6-only subnet also --http-protocol-ipv6 enabled",
        judge: |facts| match facts.cloud.as_ref()?.metadata.identity.as_ref()? {
            Ok(seen) => Judgement::ok(seen.clone()),
            Err(why) => Judgement::wrong(why.clone()),
        },
    },
    Row {
        id: "metadata.tokens",
        scope: Scope::Instance,
        meaning: "metadata is to be had with a session's token only (IMDSv2): else any job that can be made to fetch an address gets the role",
        remedy: "aws ec2 modify-instance-metadata-options --region {region} --instance-id {instance} --http-tokens required, and in the launch \
                 template",
        judge: |facts| {
            of(facts.cloud.as_ref()?.metadata.tokens_required.as_ref(), |required| {
                if *required { Judgement::ok("required") } else { Judgement::wrong("optional") }
            })
        },
    },
    Row {
        id: "metadata.hop-limit",
        scope: Scope::Instance,
        meaning: "an answer of the metadata service ends at this machine (hop limit 1), and does not reach containers on a bridge",
        remedy: "aws ec2 modify-instance-metadata-options --region {region} --instance-id {instance} --http-put-response-hop-limit 1, and in the \
                 launch template; jobs that used the instance's role get one of their own instead (OIDC)",
        judge: |facts| {
            of(facts.cloud.as_ref()?.hop_limit.as_ref(), |limit| match limit {
                0..=1 => Judgement::ok(limit.to_string()),
                _ => Judgement::warning(format!("{limit}: jobs in containers get the instance's role")),
            })
        },
    },
    Row {
        id: "metadata.tags",
        scope: Scope::Instance,
        meaning: "metadata tell the instance's tags: its group, and settings in tags",
        remedy: "aws ec2 modify-instance-metadata-options --region {region} --instance-id {instance} --instance-metadata-tags enabled, and in the \
                 launch template",
        judge: |facts| {
            of(facts.cloud.as_ref()?.metadata.tags.as_ref(), |told| {
                if *told { Judgement::ok("enabled") } else { Judgement::warning("they do not") }
            })
        },
    },
    Row {
        id: "clock.cloud",
        scope: Scope::Instance,
        meaning: "this machine's clock is that of its cloud: above 30 s it is a warning, above 60 s wrong",
        remedy: "see that the time is synchronised: timedatectl; systemctl status chronyd systemd-timesyncd",
        judge: |facts| platform::clock(facts.cloud.as_ref()?.metadata.clock_ahead.as_ref()),
    },
    Row {
        id: "instance.member",
        scope: Scope::Instance,
        meaning: "the instance is in a group",
        remedy: "start it from the group, or end it by hand when it has done its work: it lowers no capacity",
        judge: |facts| {
            of(facts.cloud.as_ref()?.membership.as_ref(), |membership| of_member(*membership, "it is in none"))
        },
    },
    Row {
        id: "instance.protected",
        scope: Scope::Instance,
        meaning: "in service, the instance is protected from scale-in, unless `agent.protection` says when it is busy only",
        remedy: "aws autoscaling set-instance-protection --region {region} --auto-scaling-group-name {group} --instance-ids {instance} \
                 --protected-from-scale-in",
        judge: |facts| {
            let always = facts.settings.settings.as_ref()?.policy.protection == Protection::Always;
            let Ok(Membership::InService { protected }) = facts.cloud.as_ref()?.membership.as_ref()? else {
                return None;
            };
            match (protected, always) {
                (true, _) => Judgement::ok("it is"),
                (false, false) => Judgement::ok("it is not, as agent.protection has it"),
                (false, true) => {
                    Judgement::warning("it is not: whoever lowers the desired capacity may end it while a job runs")
                }
            }
        },
    },
    Row {
        id: "instance.power-off",
        scope: Scope::Instance,
        meaning: "a machine that switches itself off is gone, and billed no more: the last way out of agent and dead-man's switch",
        remedy: "aws ec2 modify-instance-attribute --region {region} --instance-id {instance} --instance-initiated-shutdown-behavior terminate, and \
                 in the launch template",
        judge: |facts| {
            of(facts.cloud.as_ref()?.power_off_ends.as_ref(), |ends| {
                if *ends {
                    Judgement::ok("terminate")
                } else {
                    Judgement::wrong("stop: it would be kept, with its disks, for ever")
                }
            })
        },
    },
    Row {
        id: "rights",
        scope: Scope::Instance,
        meaning: "the role has the rights that can be tried without changing anything; in an instance's first minutes they may still be on their way",
        remedy: "allow these actions in the instance's role (README, \"Rights\")",
        judge: |facts| {
            let rights = &facts.cloud.as_ref()?.rights;
            let named = |wanted: bool| {
                let with = rights.iter().filter(|(_, has)| has.as_ref().is_ok_and(|has| *has == wanted));
                with.map(|(action, _)| *action).collect::<Vec<_>>().join(", ")
            };
            let unknown: Vec<_> = rights.iter().filter_map(|(_, has)| has.as_ref().err().cloned()).collect();
            let missing = named(false);
            if !missing.is_empty() {
                let young = facts
                    .machine
                    .up_for
                    .zip(facts.settings.settings.as_ref())
                    .filter(|(up, settings)| *up < settings.policy.boot_deadline);
                return match young {
                    Some((up, _)) => Judgement::unknown(format!(
                        "{missing} is denied, {} after the start: rights may take minutes to come about",
                        format_duration(up)
                    )),
                    None => Judgement::wrong(format!("denied: {missing}")),
                };
            }
            if !unknown.is_empty() {
                return Judgement::unknown(unknown.join("\n"));
            }
            (!rights.is_empty()).then(|| Judgement::new(Verdict::Ok, named(true)))
        },
    },
];
