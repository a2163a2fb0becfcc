use std::collections::BTreeSet;

use super::*;

#[test]
fn they_are_few_and_each_stands_where_its_name_says() {
    assert!(METRICS.len() <= 30, "{} metrics: nobody reads so many", METRICS.len());
    for (place, metric) in METRICS.iter().enumerate() {
        assert_eq!(metric.id as usize, place, "{}", metric.name);
        assert!(metric.name.starts_with("cicd.") || metric.name.starts_with("lightsout."), "{}", metric.name);
        assert!(!metric.help.ends_with('.') && metric.help.len() > 10, "{}", metric.name);
    }
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
}

/// Whatever happens, a pool has no more series than this, times the buckets of histograms.
#[test]
fn series_are_bounded() {
    let series: usize = METRICS.iter().map(Metric::series).sum();
    assert!(series < 160, "{series} for each pool");
    for metric in METRICS {
        for place in 0..metric.series() {
            let values: Vec<_> = metric.labels(place).iter().map(|(_, value)| *value).collect();
            assert_eq!(metric.place(&values), Some(place), "{} {values:?}", metric.name);
        }
    }
}

#[test]
fn buckets_go_up() {
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(bounds.is_sorted() && bounds[0] > 0.0, "{}", metric.name);
        }
    }
}

#[test]
fn every_reason_to_leave_is_a_label() {
    use crate::agent::phase::LeaveReason;
    let all = [
        LeaveReason::Idle,
        LeaveReason::Limit,
        LeaveReason::Age,
        LeaveReason::RunnerExpired,
        LeaveReason::Operator,
        LeaveReason::Rebalance,
        LeaveReason::Maintenance,
        LeaveReason::ScaleIn,
        LeaveReason::Spot,
        LeaveReason::Broken,
    ];
    assert_eq!(all.map(LeaveReason::as_str), LEAVE_REASON.values);
}
