//! Why instances are still there, and why so many.

use lightsout_localcloud::fleet::JobState;
use serde_json::{Value, json};

use super::{POOL, Scaler, TOKEN, aws, end, until_named};
use crate::rig::{Fleet, living, phase};

fn group(fleet: &Fleet, call: &str) {
    aws(fleet, &format!("UpdateAutoScalingGroup&AutoScalingGroupName={POOL}&{call}"));
}

/// The only living instance that is none of these.
fn other(fleet: &mut Fleet, than: &[&str]) -> String {
    fleet.until("another instance that is idle", |fleet| {
        let other = living(fleet).find(|it| !than.contains(&it.id.as_str()))?;
        (phase(other) == "idle").then(|| other.id.clone())
    })
}

fn fails(fleet: &Fleet, action: &str, effect: &Value) {
    fleet.post("faults", &json!({ "target": "aws", "action": action, "effect": effect }));
}

#[test]
fn what_keeps_an_instance_and_so_many_of_them_is_told_apart() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 4 --idle-timeout 1h --no-docker");
    // Nobody says that it is in service.
    fails(&fleet, "DescribeAutoScalingInstances", &json!({ "status": { "code": 500 } }));
    let job = fleet.enqueue(1, 0.5)[0];
    let first = fleet.until("an instance", |fleet| living(fleet).next().map(|it| it.id.clone()));
    until_named(&mut fleet, &first, "booting", &["not-registered", "idle", "busy"]);
    until_named(&mut fleet, &job.to_string(), "waiting", &["running", "ended"]);
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    fleet.until_job(job, JobState::Done);
    until_named(&mut fleet, &job.to_string(), "ended", &["waiting", "cut"]);
    until_named(&mut fleet, &first, "idle", &["at-floor", "held", "busy", "booting"]);

    group(&fleet, "MinSize=1");
    until_named(&mut fleet, POOL, "at-least", &["surplus", "spare", "at-most"]);
    aws(&fleet, &format!("SetDesiredCapacity&AutoScalingGroupName={POOL}&DesiredCapacity=2"));
    until_named(&mut fleet, POOL, "surplus", &["spare", "at-most"]);
    let scaler = Scaler::watch(&fleet, "spare = 1", TOKEN);
    let text = until_named(&mut fleet, &scaler.pool(), "spare", &["at-most", "raised"]);
    assert!(text.contains("pool.spare"), "{text}");
    drop(scaler);

    // The next one is idle for long enough after a second, but the group may not shrink.
    let second = other(&mut fleet, &[&first]);
    aws(
        &fleet,
        &format!(
            "CreateOrUpdateTags&Tags.member.1.ResourceId={POOL}&Tags.member.1.ResourceType=auto-scaling-group\
             &Tags.member.1.PropagateAtLaunch=true&Tags.member.1.Key=lightsout:idle_timeout&Tags.member.1.Value=1s"
        ),
    );
    group(&fleet, "MinSize=3");
    let third = other(&mut fleet, &[&first, &second]);
    until_named(&mut fleet, &third, "at-floor", &["held", "busy", "refused"]);
    until_named(&mut fleet, &first, "idle", &["at-floor", "held", "busy"]);

    aws(&fleet, &format!("SetInstanceHealth&InstanceId={second}&HealthStatus=Unhealthy"));
    fleet.until_ended(&second);
    until_named(&mut fleet, &second, "unhealthy", &["refresh", "scale-in", "spot", "idle-timeout", "operator"]);

    // Now it may, but the instance may not end itself.
    fails(&fleet, "TerminateInstanceInAutoScalingGroup", &json!({ "status": { "code": 403 } }));
    group(&fleet, "MinSize=0");
    until_named(&mut fleet, &third, "refused", &["hook-fails", "spot", "busy"]);
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");

    fails(&fleet, "DescribeAutoScalingInstances", &json!("hang"));
    fleet.ok(&format!("agent drain --socket {}", fleet.socket(&first).display()));
    until_named(&mut fleet, &first, "retiring", &["draining", "idle", "refused"]);
    fleet.request("DELETE", "faults", &Value::Null).expect("they end");
    end(fleet);
}
