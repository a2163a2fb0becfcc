//! CloudWatch's embedded metric format: one line of JSON, of which CloudWatch Logs makes metrics ("Specification: Embedded metric format", Amazon
//! CloudWatch User Guide).
//!
//! A line is about one pool, which is its only dimension; the other labels are part of the metrics' names, since a line can have one value for each
//! dimension only. Counters are what they grew by since the last line, so that CloudWatch can add up the lines of many instances.

use serde_json::{Map, Value, json};

use super::{Metric, Registry, Unit, registry::Delta};

/// The namespace in CloudWatch.
pub const NAMESPACE: &str = "lightsout";
/// The only dimension of each metric.
pub const DIMENSION: &str = "pool";
/// The most metrics of one line.
const MOST: usize = 100;

/// What is new of a pool since the last time, as lines. `time`: milliseconds since the Unix epoch.
pub fn lines(registry: &mut Registry, pool: &str, time: i64) -> Vec<String> {
    let mut found = Vec::new();
    for metric in registry.metrics() {
        for (labels, fresh) in registry.fresh(metric, pool) {
            let value = match fresh {
                Delta::Number(number) => json!(number),
                Delta::Values(values) => json!(values),
            };
            found.push((name(metric, &labels), metric, value));
        }
    }
    found.chunks(MOST).map(|metrics| line(metrics, pool, time)).collect()
}

/// The name of a series in CloudWatch.
pub fn name(metric: &Metric, labels: &[&str]) -> String {
    let mut name = metric.name.to_owned();
    for label in labels {
        name += ".";
        name += label;
    }
    name
}

/// CloudWatch's name for the unit.
pub fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        Unit::Seconds => "Seconds",
        Unit::Ratio | Unit::Money => "None",
        Unit::Of(_) => "Count",
    }
}

fn line(metrics: &[(String, &Metric, Value)], pool: &str, time: i64) -> String {
    let definitions: Vec<_> =
        metrics.iter().map(|(name, metric, _)| json!({ "Name": name, "Unit": unit(metric) })).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": definitions });
    let mut root = Map::new();
    root.insert("_aws".into(), json!({ "Timestamp": time, "CloudWatchMetrics": [directive] }));
    root.insert(DIMENSION.into(), pool.into());
    root.extend(metrics.iter().map(|(name, _, value)| (name.clone(), value.clone())));
    Value::Object(root).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Id, Kind, Program};

    #[test]
    fn a_line_has_what_is_new_of_one_pool() {
        let mut registry = Registry::new(Program::Scaler, true);
        registry.add(Id::Errors, "ci", &["queue", "throttled"], 2.0);
        registry.set(Id::Need, "ci", &[], Some(4.0));
        registry.set(Id::Need, "other", &[], Some(9.0));
        registry.observe(Id::JobDuration, "ci", &["pending", "platform"], 12.5);
        let lines = lines(&mut registry, "ci", 1_790_000_000_123);
        assert_eq!(lines.len(), 1);
        let root: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(root["_aws"]["Timestamp"], json!(1_790_000_000_123_i64));
        assert_eq!((&root["pool"], &root["lightsout.pool.need"]), (&json!("ci"), &json!(4.0)));
        assert_eq!(root["cicd.pipeline.run.duration.pending.platform"], json!([12.5]));
        assert_eq!(root["cicd.system.errors.queue.throttled"], json!(2.0));
        let directive = &root["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&directive["Namespace"], &directive["Dimensions"]), (&json!("lightsout"), &json!([["pool"]])));
        let defined = directive["Metrics"].as_array().unwrap();
        assert!(defined.contains(&json!({ "Name": "lightsout.pool.need", "Unit": "Count" })), "{defined:?}");
        assert!(defined.iter().all(|metric| !root[metric["Name"].as_str().unwrap()].is_null()), "each has its value");
    }

    #[test]
    fn no_line_has_more_metrics_than_cloudwatch_takes() {
        let mut registry = Registry::new(Program::Scaler, true);
        for metric in crate::metrics::METRICS.iter().filter(|metric| metric.kind == Kind::Counter) {
            for place in 0..metric.series() {
                let labels: Vec<_> = metric.labels(place).iter().map(|(_, value)| *value).collect();
                registry.add(metric.id, "ci", &labels, 1.0);
            }
        }
        registry.set(Id::Max, "ci", &[], Some(1.0));
        for line in lines(&mut registry, "ci", 0) {
            let root: Value = serde_json::from_str(&line).unwrap();
            assert!(root["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len() <= MOST);
        }
    }
}
