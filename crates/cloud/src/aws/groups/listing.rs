//! The instances of groups, as these list them: one call for up to a hundred groups, apart from the reading that a raise waits for, which asks for none.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::{Client, types};
use lightsout_core::cloud::Listed;

use super::GROUPS_PER_CALL;
use crate::aws::{AwsError, membership};

/// Each of these groups with its instances; one that does not exist has none.
pub(super) async fn read(client: &Client, names: &BTreeSet<String>) -> Result<BTreeMap<String, Vec<Listed>>, AwsError> {
    const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
    let mut listed: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    let names: Vec<String> = names.iter().cloned().collect();
    for names in names.chunks(GROUPS_PER_CALL) {
        let mut pages = client
            .describe_auto_scaling_groups()
            .set_auto_scaling_group_names(Some(names.to_vec()))
            .max_records(100)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::from_sdk(ACTION, &error))?;
            for group in page.auto_scaling_groups.unwrap_or_default() {
                let instances = group.instances.unwrap_or_default().into_iter().filter_map(one);
                listed.entry(group.auto_scaling_group_name.unwrap_or_default()).or_default().extend(instances);
            }
        }
    }
    Ok(listed)
}

fn one(instance: types::Instance) -> Option<Listed> {
    let state = instance.lifecycle_state.as_ref().map(types::LifecycleState::as_str);
    let membership = membership(state, instance.protected_from_scale_in.unwrap_or(false));
    Some(Listed::new(instance.instance_id?, membership))
}

#[cfg(test)]
mod tests {
    use lightsout_core::cloud::Membership;
    use lightsout_io::testing::{Answer, Server};

    use crate::{Groups, aws::groups::AwsGroups, aws::tests::towards};

    use super::*;

    #[tokio::test]
    async fn each_instance_is_listed_with_its_place_and_a_missing_group_has_none() {
        let server = Server::start(|request, _| {
            if request.has("Action=DescribeInstances") {
                return Answer::ok(
                    "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-3</instanceId>\
                     <launchTime>2026-11-26T03:00:00.000Z</launchTime><tagSet><item><key>lightsout:why</key><value>spot: a notice</value></item>\
                     <item><key>lightsout:ready</key><value>2026-11-26T03:01:00Z</value></item></tagSet></item></instancesSet></item>\
                     </reservationSet></DescribeInstancesResponse>",
                );
            }
            let instance = |id: &str, state: &str| {
                format!(
                    "<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState>\
                     <ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>"
                )
            };
            let states = [("i-1", "InService"), ("i-2", "Pending:Wait"), ("i-3", "Terminating:Wait")];
            let instances: String = states.iter().map(|(id, state)| instance(id, state)).collect();
            Answer::ok(format!(
                "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
                 <AutoScalingGroupName>g</AutoScalingGroupName><Instances>{instances}</Instances></member></AutoScalingGroups>\
                 </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
            ))
        })
        .await;
        let names = BTreeSet::from(["g".to_owned(), "none".to_owned()]);
        let listed = AwsGroups::with(towards(&server.url).await).listing(&names).await.unwrap();
        let one = Listed::new;
        assert_eq!(
            *listed["g"].as_ref().unwrap(),
            [
                one("i-1", Membership::InService { protected: true }),
                one("i-2", Membership::Pending { waiting: true }),
                Listed {
                    ready: "2026-11-26T03:01:00Z".parse().ok(),
                    why: Some("spot: a notice".to_owned()),
                    ..one("i-3", Membership::Terminating { waiting: true })
                },
            ]
        );
        assert_eq!((listed["none"].as_ref().unwrap().len(), server.seen().len()), (0, 2));
        let asked = &server.seen()[1];
        assert!(
            asked.has("Filter.1.Value.1=i-3") && !asked.body.contains("i-1"),
            "of those that leave alone: {}",
            asked.body
        );
        assert!(!server.seen()[0].body.contains("IncludeInstances=false"), "{}", server.seen()[0].body);
    }
}
