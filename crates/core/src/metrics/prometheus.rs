//! The text that Prometheus scrapes (exposition format 0.0.4).

use std::fmt::Write;

use super::{Kind, Metric, Registry, Sample, Unit, Value};

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric's name there: with its unit, and `_total` for a counter, as OpenTelemetry's mapping has it.
pub fn name(metric: &Metric) -> String {
    let mut name = metric.name.replace('.', "_");
    // At the end of a gauge's name it would be taken for a part of a histogram.
    if let (Kind::Gauge, Some(stem)) = (metric.kind, name.strip_suffix("_count")) {
        name = format!("{stem}s");
    }
    match metric.unit {
        Unit::Seconds => name += "_seconds",
        Unit::Ratio => name += "_ratio",
        Unit::Money | Unit::Of(_) => {}
    }
    if metric.kind == Kind::Counter {
        name += "_total";
    }
    name
}

/// All samples of a metric, with what it is; empty when there is none.
pub fn family(registry: &Registry, metric: &'static Metric) -> String {
    let mut text = String::new();
    let name = name(metric);
    for sample in registry.samples(metric, None) {
        if text.is_empty() {
            let (kind, _) = kind(metric);
            let _ = writeln!(text, "# HELP {name} {}.\n# TYPE {name} {kind}", metric.help);
        }
        write_sample(&mut text, &name, metric, &sample);
    }
    text
}

fn kind(metric: &Metric) -> (&'static str, &'static [f64]) {
    match metric.kind {
        Kind::Counter => ("counter", &[]),
        Kind::Gauge => ("gauge", &[]),
        Kind::Histogram(bounds) => ("histogram", bounds),
    }
}

fn write_sample(text: &mut String, name: &str, metric: &Metric, sample: &Sample<'_>) {
    let mut labels = format!("pool=\"{}\"", escaped(sample.pool));
    for (dimension, value) in &sample.labels {
        let _ = write!(labels, ",{}=\"{}\"", dimension.label.as_str(), escaped(value));
    }
    let _ = match &sample.value {
        Value::Number(number) => writeln!(text, "{name}{{{labels}}} {number}"),
        Value::Histogram(histogram) => {
            let mut below = 0;
            let (_, bounds) = kind(metric);
            for (place, count) in histogram.counts().iter().enumerate() {
                below += count;
                let bound = bounds.get(place).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
            }
            writeln!(text, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {below}", histogram.sum())
        }
    };
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Id, METRICS, Program, metric};

    #[test]
    fn the_text_is_as_prometheus_reads_it() {
        let mut registry = Registry::new(Program::Scaler, false);
        registry.add(Id::Errors, "a \"b\"\\\n", &["queue", "throttled"], 2.0);
        registry.observe(Id::TickDuration, "ci", &[], 0.02);
        registry.observe(Id::TickDuration, "ci", &[], 99.0);
        assert_eq!(
            family(&registry, metric(Id::Errors)),
            "# HELP cicd_system_errors_total Calls that failed: the scaler's to read a queue, to read a group, to raise it; an agent's to the platform \
             and to the cloud.\n# TYPE cicd_system_errors_total counter\n\
             cicd_system_errors_total{pool=\"a \\\"b\\\"\\\\\\n\",source=\"queue\",reason=\"throttled\"} 2\n"
        );
        let text = family(&registry, metric(Id::TickDuration));
        for line in [
            "lightsout_tick_duration_seconds_bucket{pool=\"ci\",le=\"0.01\"} 0\n",
            "lightsout_tick_duration_seconds_bucket{pool=\"ci\",le=\"0.05\"} 1\n",
            "lightsout_tick_duration_seconds_bucket{pool=\"ci\",le=\"30\"} 1\n",
            "lightsout_tick_duration_seconds_bucket{pool=\"ci\",le=\"+Inf\"} 2\n",
            "lightsout_tick_duration_seconds_sum{pool=\"ci\"} 99.02\n",
            "lightsout_tick_duration_seconds_count{pool=\"ci\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(family(&registry, metric(Id::Need)), "", "nothing is said of what is not known");
    }

    #[test]
    fn names_are_unique_and_plain() {
        let names: std::collections::BTreeSet<_> = METRICS.iter().map(name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(
            names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')),
            "{names:?}"
        );
        assert!(names.contains("cicd_workers") && names.contains("cicd_pipeline_run_duration_seconds"), "{names:?}");
    }
}
