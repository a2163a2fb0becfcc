//! Why the scaler does not raise, or nothing comes of it.

use std::fs;

use serde_json::{Value, json};

use super::{POOL, Scaler, TOKEN, aws, end, until_named};
use crate::rig::Fleet;

#[test]
fn a_dry_run_a_step_a_missing_right_a_turn_and_suspended_launches_are_told_apart() {
    let mut fleet = Fleet::up("--jobs 0 --keep --max 5 --tick 1h --no-docker");
    fleet.until("the fleet's own scaler to have looked", |fleet| (!fleet.counters.platform.is_empty()).then_some(()));
    fleet.enqueue(4, 60.0);
    let scaler = Scaler::start(&fleet, "--dry-run", &Scaler::gitlab(&fleet, "max_step = 1", TOKEN));
    let not = ["right-missing", "launches-suspended", "at-most", "cooldown", "raised"];
    let text = until_named(&mut fleet, &scaler.pool(), "dry-run", &not);
    assert!(text.contains("would be raised to 1") && text.contains("--dry-run"), "{text}");
    let text = until_named(&mut fleet, &scaler.pool(), "max-step", &not);
    assert!(text.contains("need 4 instances, and one tick goes to 1 only"), "{text}");
    drop(scaler);
    assert_eq!(fleet.snapshot().groups[0].desired, 0, "nothing was changed");

    let denied = json!({ "target": "aws", "action": "SetDesiredCapacity", "effect": { "status": { "code": 403 } } });
    fleet.post("faults", &denied);
    let scaler = Scaler::watch(&fleet, "", TOKEN);
    let not = ["token-refused", "tick-failed", "dry-run", "max-step", "launches-suspended"];
    let text = until_named(&mut fleet, &scaler.pool(), "right-missing", &not);
    assert!(text.contains("SetDesiredCapacity") || text.contains("set desired"), "{text}");
    drop(scaler);
    fleet.request("DELETE", "faults", &json!(null)).expect("they end");

    // As many raises as are sent to one region at a time, none of which is answered, and one more.
    fleet.post(
        "faults",
        &json!({ "target": "aws", "action": "SetDesiredCapacity", "effect": { "latency": { "ms": 60_000 } } }),
    );
    let mut settings = "deadline = '5s'\n".to_owned();
    for n in 0..17 {
        let call = "CreateAutoScalingGroup&LaunchTemplate.LaunchTemplateName=lightsout-demo&AvailabilityZones.member.1=eu-central-1a";
        aws(&fleet, &format!("{call}&AutoScalingGroupName=own-{n}&MinSize=0&MaxSize=9"));
        let pool = Scaler::gitlab(&fleet, "", TOKEN).replace(POOL, &format!("own-{n}"));
        settings += &pool.replace("'own'", &format!("'own-{n}'"));
    }
    let scaler = Scaler::start(&fleet, "", &settings);
    let (pool, time) = fleet.wait("a pool to wait for its turn", |_| {
        let records = fs::read_to_string(&scaler.records).ok()?;
        let decisions = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let queued = decisions.into_iter().find(|decision| decision["result"] == "queued")?;
        Some((queued["pool"].as_str()?.to_owned(), queued["time"].as_str()?.to_owned()))
    });
    let asked = format!("{pool} --records {} --at {time}", scaler.records.display());
    let not = ["tick-failed", "right-missing", "at-most", "cooldown", "raised", "standby"];
    let text = until_named(&mut fleet, &asked, "waits-for-turn", &not);
    assert!(text.contains("is to be raised to 4") && text.contains("other pools"), "{text}");
    drop(scaler);
    fleet.request("DELETE", "faults", &json!(null)).expect("they end");

    aws(&fleet, &format!("SuspendProcesses&AutoScalingGroupName={POOL}&ScalingProcesses.member.1=Launch"));
    let scaler = Scaler::watch(&fleet, "", TOKEN);
    let not = ["right-missing", "dry-run", "max-step", "no-capacity", "futile-demand"];
    let text = until_named(&mut fleet, &scaler.pool(), "launches-suspended", &not);
    assert!(text.contains("--scaling-processes Launch"), "{text}");
    drop(scaler);

    // Nothing is launched, so that the group's description is all that changes: it goes on to show what was before the next raise.
    fleet.post("faults", &json!({ "target": "cloud", "effect": { "stale-describes": { "ms": 60_000 } } }));
    fleet.enqueue(1, 60.0);
    let scaler = Scaler::watch(&fleet, "", TOKEN);
    let text = until_named(&mut fleet, &scaler.pool(), "lately", &["at-most", "cooldown", "tick-failed"]);
    assert!(text.contains("may have 5 already"), "{text}");
    drop(scaler);
    fleet.request("DELETE", "faults", &json!(null)).expect("they end");

    fleet.post("faults", &json!({ "target": "gitlab", "effect": { "status": { "code": 502 } } }));
    let scaler = Scaler::watch(&fleet, "", TOKEN);
    let text = until_named(&mut fleet, &scaler.pool(), "tick-failed", &["token-refused", "right-missing", "lately"]);
    assert!(text.contains("502"), "{text}");
    drop(scaler);
    end(fleet);
}

#[test]
fn a_scaler_that_stands_by_says_so_and_the_one_that_scales_does_not() {
    let mut fleet = Fleet::up("--platform github --jobs 0 --keep --max 2 --tick 1h");
    let settings = format!(
        "[[pool]]\nname = 'own'\ngroup = '{POOL}'\n[pool.platform.github]\nurl = '{}'\n\
         token = {{ ssm = '/lightsout/demo/read-token' }}\norganization = 'lightsout'\nscale_set = 'lightsout'\n",
        fleet.url()
    );
    let first = Scaler::start(&fleet, "", &settings);
    until_named(&mut fleet, &first.pool(), "nothing-waits", &["standby"]);
    let second = Scaler::start(&fleet, "", &settings);
    let text = until_named(&mut fleet, &second.pool(), "standby", &["nothing-waits", "tick-failed", "token-refused"]);
    assert!(text.contains("another scaler"), "{text}");
    until_named(&mut fleet, &first.pool(), "nothing-waits", &["standby"]);
    drop((first, second));
    end(fleet);
}
