//! Fleets with a warm pool: instances boot, wait stopped or running outside of the capacity, and serve when they are needed.

use lightsout_localcloud::fleet::JobState;

use crate::rig::{Fleet, http, instance, living};

/// Gives the fleet's group a warm pool that holds one instance.
fn warm(fleet: &Fleet, state: &str) {
    let form = format!(
        "Action=PutWarmPool&Version=2011-01-01&AutoScalingGroupName=lightsout-demo&MinSize=0&MaxGroupPreparedCapacity=1\
         &PoolState={state}"
    );
    let (status, body) =
        http::send("POST", fleet.url(), "application/x-www-form-urlencoded", &form).expect("it answers");
    assert_eq!(status, 200, "{body}");
}

/// What it said before its machine was stopped is nothing that it does when it serves.
fn serves_out_of_the_pool(state: &str, more: &str) {
    let mut fleet = Fleet::up(&format!("--jobs 0 --keep --max 2 {more}"));
    warm(&fleet, state);
    let waits = format!("Warmed:{state}");
    let id = fleet.until("an instance that waits in the pool", |fleet| {
        living(fleet).find(|it| it.state == waits).map(|it| it.id.clone())
    });
    let job = fleet.enqueue(1, 1.0)[0];
    let served = fleet.until_job(job, JobState::Done).instance;
    assert_eq!(served.as_ref(), Some(&id), "the one that waited serves");
    fleet.until_ended(&id);
    let left = instance(&fleet.snapshot(), &id).clone();
    assert_eq!(left.cause.as_deref(), Some("asked to leave, and desired capacity lowered by one"), "{left:?}");
    fleet.until("the pool to be filled again", |fleet| {
        (fleet.groups[0].desired == 0 && living(fleet).any(|it| it.state == waits)).then_some(())
    });
    fleet.ok("down");
    fleet.ended().well();
}

#[test]
fn an_instance_that_waited_stopped_serves_as_if_it_had_just_booted() {
    serves_out_of_the_pool("Stopped", "");
}

#[test]
fn an_instance_that_waited_running_serves_when_it_is_needed() {
    serves_out_of_the_pool("Running", "");
}

/// The hook holds it on its way into the pool, and again on its way into service.
#[test]
fn an_instance_with_a_launch_hook_is_let_into_the_pool_and_out_of_it() {
    serves_out_of_the_pool("Stopped", "--launch-hook");
}
