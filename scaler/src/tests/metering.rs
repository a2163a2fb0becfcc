//! What the loop does comes out as metrics.

use lightsout_io::metrics::part;

use super::*;
use crate::meter::Meter;

/// The whole page.
fn page(meter: &Meter) -> String {
    let metered = meter.metered().expect("somebody counts");
    (0..).map_while(|number| part(&*metered, number)).collect()
}

fn says(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|found| found == *line), "{line} is not in\n{page}");
    }
}

#[tokio::test]
async fn raises_failures_and_throttling_are_counted() {
    let groups = FakeGroups::of(&["a", "b", "c", "d"]);
    groups.change("a", |group| group.desired = 1);
    groups.inject(GroupsCall::Raise { group: "c".into(), to: 3 }, Fault::Refused(throttled()));
    let settings = settings(&[("a", ""), ("b", ""), ("c", ""), ("gone", ""), ("d", "")]);
    let mut context = context(&settings, &groups);
    let meter = Meter::new(&settings.pools, true);
    context.meter = meter.clone();
    let busy = ExchangeError::new(ErrorKind::Throttled(None), "too many requests");
    let queues = vec![waiting(4), failing("broken"), waiting(3), waiting(1), partly(1, busy)];
    let _ = ticked(&mut scheduler(&settings, context, queues)).await;
    let page = page(&meter);
    says(
        &page,
        &[
            "lightsout_raises_total{pool=\"a\",state=\"raised\"} 1",
            "lightsout_launches_total{pool=\"a\"} 3",
            "lightsout_pool_desired{pool=\"a\"} 4",
            "cicd_pipeline_run_active{pool=\"a\",state=\"pending\"} 4",
            "lightsout_raise_wait_seconds_count{pool=\"a\"} 1",
            "lightsout_ticks_total{pool=\"b\",state=\"failed\"} 1",
            "cicd_system_errors_total{pool=\"b\",source=\"queue\",reason=\"server\"} 1",
            "lightsout_raises_total{pool=\"c\",state=\"failed\"} 1",
            "cicd_system_errors_total{pool=\"c\",source=\"raise\",reason=\"throttled\"} 1",
            "cicd_system_errors_total{pool=\"gone\",source=\"group\",reason=\"not_found\"} 1",
            "cicd_system_errors_total{pool=\"d\",source=\"queue\",reason=\"throttled\"} 1",
            "lightsout_readings_partial_total{pool=\"d\"} 1",
        ],
    );
    assert!(!page.contains("lightsout_pool_need{pool=\"b\"}"), "nothing is said of what was not read: {page}");
    let lines = meter.lines("a");
    assert!(lines.len() == 1 && lines[0].contains("\"lightsout.launches\":3.0"), "{lines:?}");
    assert!(meter.lines("a")[0].contains("\"lightsout.launches\":0.0"), "CloudWatch is told once");
}

#[tokio::test]
async fn a_wait_that_the_platform_does_not_tell_is_counted_from_its_first_sight() {
    let groups = FakeGroups::of(&["a"]);
    let settings = settings(&[("a", "")]);
    let mut context = context(&settings, &groups);
    let meter = Meter::new(&settings.pools, false);
    context.meter = meter.clone();
    let mut scheduler = scheduler(&settings, context, vec![waiting(2)]);
    let _ = ticked(&mut scheduler).await;
    scheduler.replace_queues(|_| Box::new(waiting(0)));
    let _ = ticked(&mut scheduler).await;
    let page = page(&meter);
    says(
        &page,
        &[
            "cicd_pipeline_run_duration_seconds_count{pool=\"a\",state=\"pending\",source=\"first_seen\"} 2",
            "lightsout_queue_oldest_seconds{pool=\"a\",source=\"first_seen\"} 0",
        ],
    );
}
