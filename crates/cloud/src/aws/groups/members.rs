//! What stands on instances: the sign that an agent was ready, and its word for why it leaves. A group tells who its members are, EC2 when they were
//! started and what stands on them: a few of its answer's fields, for which its client would be linked into the scaler.

use aws_sdk_autoscaling::{Client, types};
use lightsout_core::cloud::{Listed, Member};

use crate::{
    REASON_TAG,
    aws::{
        Aws, AwsError, READY_TAG,
        request::{Call, Service, element},
    },
};

const ACTION: &str = "ec2:DescribeInstances";
const VERSION: &str = "2016-11-15";
/// How many instances are asked about at once: an answer tells some 10 kB of each.
const INSTANCES_PER_CALL: usize = 100;
/// The longest answer that is read, in bytes.
const LONGEST: usize = 4 << 20;

/// Those that count towards the capacity. One that is gone by the second call is left out.
pub(super) async fn read(aws: &Aws, group: &str) -> Result<Vec<Member>, AwsError> {
    let ids = ids(aws, group).await?;
    let mut members = Vec::new();
    describe(aws, &ids, |told| members.extend(member(told))).await?;
    Ok(members)
}

/// Adds to these what their agents wrote on them.
pub(super) async fn add_signs(aws: &Aws, mut listed: Vec<&mut Listed>) -> Result<(), AwsError> {
    let ids: Vec<String> = listed.iter().map(|it| it.instance.clone()).collect();
    describe(aws, &ids, |told| {
        let id = told.split('<').next();
        if let Some(it) = listed.iter_mut().find(|it| Some(it.instance.as_str()) == id) {
            it.why = tag(told, REASON_TAG);
            it.ready = tag(told, READY_TAG).and_then(|sign| sign.parse().ok());
        }
    })
    .await
}

/// Gives what EC2 tells of each of these, from its id on.
async fn describe(aws: &Aws, ids: &[String], mut each: impl FnMut(&str)) -> Result<(), AwsError> {
    for ids in ids.chunks(INSTANCES_PER_CALL) {
        let names = (1..).zip(ids).map(|(n, id)| (format!("Filter.1.Value.{n}"), id.as_str()));
        let fields = [("Filter.1.Name".to_owned(), "instance-id")].into_iter().chain(names);
        let answer = Call::query(ACTION, Service::EC2, VERSION, fields).ask(aws, LONGEST).await?;
        let answer = String::from_utf8_lossy(&answer);
        answer.split("<instanceId>").skip(1).for_each(&mut each);
    }
    Ok(())
}

async fn ids(aws: &Aws, group: &str) -> Result<Vec<String>, AwsError> {
    const ACTION: &str = "autoscaling:DescribeAutoScalingGroups";
    let groups = Client::new(&aws.config().await)
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(group)
        .send()
        .await
        .map_err(|error| AwsError::from_sdk(ACTION, &error))?;
    let instances = groups.auto_scaling_groups().iter().flat_map(types::AutoScalingGroup::instances);
    let counts = |state: &types::LifecycleState| state.as_str() == "InService" || state.as_str().starts_with("Pending");
    let ids = instances.filter(|instance| instance.lifecycle_state().is_some_and(counts));
    Ok(ids.filter_map(|instance| instance.instance_id().map(str::to_owned)).collect())
}

/// What is told of one instance, from its id on.
fn member(told: &str) -> Option<Member> {
    let started = element(told, "launchTime")?.parse().ok()?;
    Some(Member { started, ready: tag(told, READY_TAG).and_then(|sign| sign.parse().ok()) })
}

fn tag(told: &str, key: &str) -> Option<String> {
    let (tags, _) = told.split_once("<tagSet>")?.1.split_once("</tagSet>")?;
    let tag = tags.split("<item>").find(|tag| element(tag, "key").as_deref() == Some(key))?;
    element(tag, "value").map(|value| unescaped(&value))
}

/// The text that stands so in XML (Extensible Markup Language 1.0, "Predefined Entities").
fn unescaped(xml: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#34;", "\""),
        ("&amp;", "&"),
    ];
    entities.iter().fold(xml.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use lightsout_io::testing::{Answer, Server};

    use super::*;
    use crate::{Groups, aws::groups::AwsGroups, aws::tests::towards};

    #[tokio::test]
    async fn each_member_that_counts_is_told_with_its_start_and_its_agents_sign() {
        let server = Server::start(|request, _| {
            if request.has("Action=DescribeAutoScalingGroups") {
                let instance = |id: &str, state: &str| {
                    format!("<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState></member>")
                };
                let states = [("i-1", "InService"), ("i-2", "Pending:Wait"), ("i-3", "Terminating"), ("i-4", "Warmed:Running")];
                let instances: String = states.iter().map(|(id, state)| instance(id, state)).collect();
                return Answer::ok(format!(
                    "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
                     <AutoScalingGroupName>g</AutoScalingGroupName><Instances>{instances}</Instances></member></AutoScalingGroups>\
                     </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
                ));
            }
            let item = |id: &str, tags: &str| {
                format!(
                    "<item><reservationId>r</reservationId><instancesSet><item><instanceId>{id}</instanceId><instanceState><name>running</name>\
                     </instanceState><launchTime>2026-11-26T03:00:00.000Z</launchTime>{tags}<networkInterfaceSet/></item></instancesSet></item>"
                )
            };
            let signed = "<tagSet><item><key>aws:autoscaling:groupName</key><value>g</value></item><item><key>lightsout:ready</key>\
                          <value>2026-11-26T03:01:00Z</value></item></tagSet>";
            Answer::ok(format!(
                "<DescribeInstancesResponse><reservationSet>{}{}</reservationSet></DescribeInstancesResponse>",
                item("i-1", signed),
                item("i-2", "<tagSet><item><key>lightsout:ready</key><value>soon</value></item></tagSet>")
            ))
        })
        .await;
        let members = AwsGroups::with(towards(&server.url).await).members("g").await.unwrap().unwrap();
        let at = |text: &str| text.parse().unwrap();
        let started = at("2026-11-26T03:00:00Z");
        assert_eq!(
            members,
            [Member { started, ready: Some(at("2026-11-26T03:01:00Z")) }, Member { started, ready: None }]
        );
        let asked = &server.seen()[1];
        for field in
            ["Action=DescribeInstances", "Filter.1.Name=instance-id", "Filter.1.Value.1=i-1", "Filter.1.Value.2=i-2"]
        {
            assert!(asked.has(field), "{field} in {}", asked.body);
        }
        assert!(!asked.body.contains("i-3") && !asked.body.contains("i-4"), "{}", asked.body);
    }
}
