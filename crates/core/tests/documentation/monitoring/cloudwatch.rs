//! CloudWatch's dashboard and alarms of one pool: templates, in which `${pool}` and `${region}` are to be replaced.

use lightsout_core::metrics::{
    Kind, METRICS, Metric,
    emf::{DIMENSION, NAMESPACE},
};
use serde_json::json;

use super::{alarms::ALARMS, panels, series};

/// The width of a dashboard, in CloudWatch's unit, and the size of a widget.
const WIDTH: usize = 24;
const WIDGET: (usize, usize) = (8, 6);

pub(super) fn dashboard() -> String {
    let (mut widgets, mut y) = (Vec::new(), 0);
    for panel in panels() {
        let text = json!({ "markdown": format!("## {} of ${{pool}}", panel.title()) });
        widgets.push(json!({ "type": "text", "x": 0, "y": y, "width": WIDTH, "height": 1, "properties": text }));
        y += 1;
        let metrics: Vec<_> = METRICS.iter().filter(|metric| metric.panel == panel).collect();
        for (place, metric) in metrics.iter().enumerate() {
            let across = WIDTH / WIDGET.0;
            let lines: Vec<_> = series(metric).map(|name| json!([NAMESPACE, name, DIMENSION, "${pool}"])).collect();
            let properties = json!({
                "title": metric.help, "region": "${region}", "view": "timeSeries", "stacked": false, "period": 60, "stat": statistic(metric),
                "metrics": lines, "yAxis": { "left": { "min": 0 } },
            });
            widgets.push(json!({
                "type": "metric", "x": place % across * WIDGET.0, "y": y + place / across * WIDGET.1, "width": WIDGET.0, "height": WIDGET.1,
                "properties": properties,
            }));
        }
        y += metrics.len().div_ceil(WIDTH / WIDGET.0) * WIDGET.1;
    }
    serde_json::to_string_pretty(&json!({ "widgets": widgets })).expect("JSON") + "\n"
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
                    "namespace": NAMESPACE, "metric_name": name, "dimensions": { DIMENSION: "${pool}" }, "period": period, "stat": stat,
                });
                json!({ "id": id, "metric": metric, "return_data": false })
            }));
            let text = format!("{}. {}.", alarm.what, alarm.next).replace("POOL", "${pool}");
            json!({
                "alarm_name": format!("{}-${{pool}}", alarm.name), "alarm_description": text, "comparison_operator": "GreaterThanOrEqualToThreshold",
                "threshold": 1, "evaluation_periods": times, "datapoints_to_alarm": times, "treat_missing_data": alarm.silence,
                "metric_query": queries,
            })
        })
        .collect();
    serde_json::to_string_pretty(&alarms).expect("JSON") + "\n"
}
