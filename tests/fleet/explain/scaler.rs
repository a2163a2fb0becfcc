//! Why the scaler does not raise, or nothing comes of it.

use serde_json::json;

use super::{POOL, Scaler, TOKEN, aws, end, until_named};
use crate::rig::Fleet;

#[test]
fn a_dry_run_a_step_a_missing_right_and_suspended_launches_are_told_apart() {
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

    aws(&fleet, &format!("SuspendProcesses&AutoScalingGroupName={POOL}&ScalingProcesses.member.1=Launch"));
    let scaler = Scaler::watch(&fleet, "", TOKEN);
    let not = ["right-missing", "dry-run", "max-step", "no-capacity", "futile-demand"];
    let text = until_named(&mut fleet, &scaler.pool(), "launches-suspended", &not);
    assert!(text.contains("process Launch"), "{text}");
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
