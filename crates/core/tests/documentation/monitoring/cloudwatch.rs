//! CloudWatch's dashboard and alarms of one pool: templates, in which names are to be replaced.

use lightsout_core::metrics::{
    Kind, METRICS, Metric, Program,
    emf::{DIMENSION, NAMESPACE},
};
use serde_json::{Value, json};

use super::{
    alarms::{ALARMS, Alarm},
    panels, series,
};

/// The width of a dashboard, in CloudWatch's unit, and the size of a widget.
const WIDTH: usize = 24;
const WIDGET: (usize, usize) = (8, 6);

/// What stands in a template for the names that are known when it is applied.
pub(super) struct Names {
    /// The pool's, as the scaler's metrics have it.
    pub(super) pool: &'static str,
    /// The group's, as the agents' metrics have it.
    pub(super) group: &'static str,
    pub(super) region: &'static str,
    /// The log groups with the records.
    pub(super) scaler_log: &'static str,
    pub(super) agents_log: &'static str,
}

/// Those of the files for Terraform's `templatefile`.
pub(super) const TERRAFORM: Names = Names {
    pool: "${pool}",
    group: "${group}",
    region: "${region}",
    scaler_log: "${log_group}",
    agents_log: "${agents_log_group}",
};

impl Names {
    /// The value of the dimension that a metric has.
    pub(super) fn dimension(&self, metric: &str) -> &'static str {
        if whose(metric) == Program::Agent { self.group } else { self.pool }
    }

    /// What is wrong and the command to run next, where the records are in CloudWatch Logs.
    pub(super) fn description(&self, alarm: &Alarm) -> String {
        let log = self.scaler_log;
        // Agents' records say nothing of pools: what one is called, `explain` has from the scaler's.
        let more = if alarm.records == Program::Agent { format!(" {}", self.agents_log) } else { String::new() };
        let explain = format!("`lightsout explain POOL --log-group {log}{more}`");
        let look = format!("`aws logs tail {log} --since 15m`: it is empty where nothing invokes the function");
        let (what, next) = alarm.says(self.pool, &explain, &look);
        format!("{what}. {next}.")
    }
}

/// The program that has the metric of which this is a series.
fn whose(name: &str) -> Program {
    let metric = METRICS.iter().find(|metric| series(metric).any(|series| series == name));
    metric.unwrap_or_else(|| panic!("no metric {name}")).program
}

/// The dashboard's widgets, in their order.
pub(super) fn widgets(names: &Names) -> Vec<Value> {
    let (mut widgets, mut y) = (Vec::new(), 0);
    for panel in panels() {
        let text = json!({ "markdown": format!("## {} of {}", panel.title(), names.pool) });
        widgets.push(json!({ "type": "text", "x": 0, "y": y, "width": WIDTH, "height": 1, "properties": text }));
        y += 1;
        let metrics: Vec<_> = METRICS.iter().filter(|metric| metric.panel == panel).collect();
        for (place, metric) in metrics.iter().enumerate() {
            let across = WIDTH / WIDGET.0;
            let lines: Vec<_> = series(metric).enumerate().map(|(place, name)| line(names, place, &name)).collect();
            let properties = json!({
                "title": metric.help, "region": names.region, "period": 60, "stat": statistic(metric), "metrics": lines,
                "yAxis": { "left": { "min": 0 } },
            });
            widgets.push(json!({
                "type": "metric", "x": place % across * WIDGET.0, "y": y + place / across * WIDGET.1, "width": WIDGET.0, "height": WIDGET.1,
                "properties": properties,
            }));
        }
        y += metrics.len().div_ceil(WIDTH / WIDGET.0) * WIDGET.1;
    }
    widgets
}

/// A metric of a widget; a dot stands for what the one before it has ("Dashboard body structure and syntax", Amazon CloudWatch API Reference).
fn line(names: &Names, place: usize, name: &str) -> Value {
    if place > 0 { json!([".", name, ".", "."]) } else { json!([NAMESPACE, name, DIMENSION, names.dimension(name)]) }
}

pub(super) fn dashboard() -> String {
    serde_json::to_string_pretty(&json!({ "widgets": widgets(&TERRAFORM) })).expect("JSON") + "\n"
}

/// The statistic that says most about a metric.
fn statistic(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "Sum",
        Kind::Gauge => "Maximum",
        Kind::Histogram(_) => "p95",
    }
}

/// A list of objects with the arguments of Terraform's `aws_cloudwatch_metric_alarm`.
pub(super) fn alarms() -> String {
    let alarms: Vec<_> = ALARMS
        .iter()
        .map(|alarm| {
            let (period, times) = alarm.period;
            let mut queries = vec![json!({ "id": "bad", "expression": alarm.math, "label": alarm.name, "return_data": true })];
            queries.extend(alarm.metrics.iter().map(|(id, name, stat)| {
                let metric = json!({
                    "namespace": NAMESPACE, "metric_name": name, "dimensions": { DIMENSION: TERRAFORM.dimension(name) }, "period": period, "stat": stat,
                });
                json!({ "id": id, "metric": metric, "return_data": false })
            }));
            let text = TERRAFORM.description(alarm);
            json!({
                "alarm_name": format!("{}-${{pool}}", alarm.name), "alarm_description": text, "comparison_operator": "GreaterThanOrEqualToThreshold",
                "threshold": 1, "evaluation_periods": times, "datapoints_to_alarm": times, "treat_missing_data": alarm.silence,
                "metric_query": queries,
            })
        })
        .collect();
    serde_json::to_string_pretty(&alarms).expect("JSON") + "\n"
}
