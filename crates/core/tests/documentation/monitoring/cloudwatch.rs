//! CloudWatch's dashboard and alarms of one pool: templates, in which names are to be replaced.

use lightsout_core::metrics::{
    Id, Kind, METRICS, Metric, Program,
    emf::{DIMENSION, NAMESPACE},
    metric,
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
    let heading = |title: &str, y: usize| {
        let text = json!({ "markdown": format!("## {title} of {}", names.pool) });
        json!({ "type": "text", "x": 0, "y": y, "width": WIDTH, "height": 1, "properties": text })
    };
    for panel in panels() {
        widgets.push(heading(panel.title(), y));
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
    widgets.push(heading("Cost", y));
    let places = (0..).map(|place| place * WIDGET.0);
    widgets.extend(cost(names).into_iter().zip(places).map(|(properties, x)| {
        json!({
            "type": "metric", "x": x, "y": y + 1, "width": WIDGET.0, "height": WIDGET.1, "properties": properties,
        })
    }));
    widgets
}

/// What an instance hour costs until somebody says it; what is shown then are instance hours. It is text that the dashboard's variable replaces wherever it
/// stands, so nothing else may look like it.
pub(super) const PRICE: &str = "1.00";

/// The field at the dashboard's head.
pub(super) fn variables() -> Value {
    json!([{
        "type": "pattern", "pattern": PRICE, "inputType": "input", "id": "price", "label": "An instance hour costs", "defaultValue": PRICE, "visible": true,
    }])
}

/// What is seen of the money: what instances cost in an hour, by what they do; and what they cost in the time that is shown, and how much of it was not busy.
fn cost(names: &Names) -> [Value; 2] {
    let time = metric(Id::InstanceTime);
    let states: Vec<_> = (0..time.series()).map(|place| time.labels(place)[0].1).collect();
    // An id begins with a small letter; these differ in the first two.
    let id = |state: &str| state[..2].to_owned();
    let hidden = series(time).zip(&states).enumerate().map(|(place, (name, state))| {
        let mut line = line(names, place, &name);
        line.as_array_mut().expect("a list").push(json!({ "id": id(state), "visible": false }));
        line
    });
    let hidden: Vec<_> = hidden.collect();
    let lines =
        |shown: Vec<Value>| -> Vec<Value> { shown.into_iter().map(|it| json!([it])).chain(hidden.clone()).collect() };
    let each = states
        .iter()
        .map(|state| json!({ "expression": format!("{0}/PERIOD({0})*{PRICE}", id(state)), "label": state }));
    let whole = vec![
        json!({ "expression": format!("SUM(METRICS())/3600*{PRICE}"), "label": "Cost" }),
        json!({ "expression": format!("100-100*{}/SUM(METRICS())", id("busy")), "label": "Not busy, %" }),
    ];
    [
        json!({
            "title": "What instances cost in an hour, by what they do", "region": names.region, "period": 300, "stat": "Sum", "stacked": true,
            "metrics": lines(each.collect()),
        }),
        json!({
            "title": "What they cost in the time that is shown", "region": names.region, "stat": "Sum", "view": "singleValue",
            "setPeriodToTimeRange": true, "metrics": lines(whole),
        }),
    ]
}

/// A metric of a widget; a dot stands for what the one before it has ("Dashboard body structure and syntax", Amazon CloudWatch API Reference).
fn line(names: &Names, place: usize, name: &str) -> Value {
    if place > 0 { json!([".", name, ".", "."]) } else { json!([NAMESPACE, name, DIMENSION, names.dimension(name)]) }
}

pub(super) fn dashboard() -> String {
    serde_json::to_string_pretty(&json!({ "variables": variables(), "widgets": widgets(&TERRAFORM) })).expect("JSON")
        + "\n"
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
