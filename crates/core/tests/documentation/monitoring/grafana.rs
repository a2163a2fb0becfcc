//! Grafana's dashboard.

use lightsout_core::metrics::{Id, Kind, METRICS, Metric, Program, Unit, metric, prometheus};
use serde_json::{Value, json};

use super::panels;

/// The width of a dashboard, in Grafana's unit, and the size of a panel.
const WIDTH: usize = 24;
const PANEL: (usize, usize) = (8, 7);

pub(super) fn file() -> String {
    let (mut all, mut y) = (Vec::new(), 0);
    for panel in panels() {
        all.push(row(all.len() + 1, panel.title(), y));
        y += 1;
        let metrics: Vec<_> = METRICS.iter().filter(|metric| metric.panel == panel).collect();
        for (place, metric) in metrics.iter().enumerate() {
            let across = WIDTH / PANEL.0;
            let at =
                json!({ "h": PANEL.1, "w": PANEL.0, "x": place % across * PANEL.0, "y": y + place / across * PANEL.1 });
            all.push(graph(all.len() + 1, metric, &at));
        }
        y += metrics.len().div_ceil(WIDTH / PANEL.0) * PANEL.1;
    }
    all.push(row(all.len() + 1, "Cost", y));
    for (place, (title, help, query, legend, kind, unit)) in cost().into_iter().enumerate() {
        let at = json!({ "h": PANEL.1, "w": PANEL.0, "x": place * PANEL.0, "y": y + 1 });
        let targets = json!([{ "refId": "A", "expr": query, "legendFormat": legend, "datasource": { "type": "prometheus", "uid": "${datasource}" } }]);
        all.push(drawn(all.len() + 1, kind, title, help, unit, &at, &targets));
    }
    // Whoever has not said what an instance costs sees instance hours.
    let price = json!({
        "name": "price", "label": "An instance hour costs", "type": "textbox", "query": "1", "current": { "text": "1", "value": "1" },
        "options": [{ "text": "1", "value": "1", "selected": true }],
    });
    let source = json!({ "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" });
    let pool = json!({
        "name": "pool", "label": "Pool", "type": "query", "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "query": { "query": "label_values(pool)", "refId": "pool" }, "refresh": 2, "multi": true, "includeAll": true, "allValue": ".*",
        "current": { "text": "All", "value": "$__all" }, "sort": 1,
    });
    let dashboard = json!({
        "uid": "lightsout", "title": "lightsout", "tags": ["ci", "lightsout"], "editable": true, "schemaVersion": 39, "version": 1,
        "time": { "from": "now-6h", "to": "now" }, "refresh": "1m", "timezone": "browser",
        "templating": { "list": [source, pool, price] }, "annotations": { "list": [] }, "panels": all,
    });
    serde_json::to_string_pretty(&dashboard).expect("JSON") + "\n"
}

fn row(id: usize, title: &str, y: usize) -> Value {
    json!({
        "id": id, "type": "row", "title": title, "collapsed": false, "panels": [], "gridPos": { "h": 1, "w": WIDTH, "x": 0, "y": y },
    })
}

/// What is seen of the money: title, meaning, question, what each answer is called, panel and unit. All of it is instances' time, at the price that
/// whoever looks at it has written into the dashboard.
fn cost() -> [(&'static str, &'static str, String, &'static str, &'static str, &'static str); 3] {
    let name = prometheus::name(metric(Id::InstanceTime));
    let of =
        |labels: &str, function: &str, span: &str| format!("{function}({name}{{pool=~\"$pool\"{labels}}}[{span}])");
    [
        (
            "Cost an hour",
            "What instances cost now, by what they do, at $price an instance hour.",
            format!("sum by (pool, state) ({}) * $price", of("", "rate", "$__rate_interval")),
            "{{pool}} {{state}}",
            "timeseries",
            "short",
        ),
        (
            "Cost",
            "What instances cost in the time that is shown, by what they did, at $price an instance hour.",
            format!("sum by (pool, state) ({}) / 3600 * $price", of("", "increase", "$__range")),
            "{{pool}} {{state}}",
            "stat",
            "short",
        ),
        (
            "Not busy",
            "The part of it that is not busy: booting, idle or draining. A draining instance may still have its last jobs.",
            format!(
                "1 - sum by (pool) ({}) / sum by (pool) ({})",
                of(",state=\"busy\"", "increase", "$__range"),
                of("", "increase", "$__range")
            ),
            "{{pool}}",
            "stat",
            "percentunit",
        ),
    ]
}

fn graph(id: usize, metric: &Metric, at: &Value) -> Value {
    let targets: Vec<_> = queries(metric)
        .into_iter()
        .enumerate()
        .map(|(place, (query, legend))| {
            let letter = char::from(b'A' + u8::try_from(place).expect("few"));
            json!({ "refId": letter.to_string(), "expr": query, "legendFormat": legend, "datasource": { "type": "prometheus", "uid": "${datasource}" } })
        })
        .collect();
    let unit = match (metric.unit, metric.kind) {
        (Unit::Seconds, Kind::Gauge | Kind::Histogram(_)) => "s",
        (Unit::Ratio, _) => "percentunit",
        // Seconds a second are how many instances.
        (Unit::Seconds | Unit::Money | Unit::Of(_), _) => "short",
    };
    drawn(id, "timeseries", metric.name, &format!("{}.", metric.help), unit, at, &json!(targets))
}

fn drawn(id: usize, kind: &str, title: &str, help: &str, unit: &str, at: &Value, targets: &Value) -> Value {
    let options = match kind {
        "stat" => json!({ "reduceOptions": { "calcs": ["lastNotNull"] } }),
        _ => {
            json!({ "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } })
        }
    };
    json!({
        "id": id, "type": kind, "title": title, "description": help, "gridPos": at,
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
        "options": options, "targets": targets,
    })
}

/// The questions, and what each answer is called.
fn queries(metric: &Metric) -> Vec<(String, String)> {
    let name = prometheus::name(metric);
    let labels: Vec<_> = metric.dimensions.iter().map(|dimension| dimension.label.as_str()).collect();
    let by = std::iter::once("pool").chain(labels.iter().copied()).collect::<Vec<_>>().join(", ");
    let legend =
        std::iter::once("pool").chain(labels).map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
    let series = |suffix: &str| format!("{name}{suffix}{{pool=~\"$pool\"}}");
    match metric.kind {
        Kind::Counter => vec![(format!("sum by ({by}) (rate({}[$__rate_interval]))", series("")), legend)],
        // Each agent tells of itself; two scalers tell of the same.
        Kind::Gauge if metric.program == Program::Agent && metric.unit != Unit::Ratio => {
            vec![(format!("sum by ({by}) ({})", series("")), legend)]
        }
        Kind::Gauge => vec![(format!("max by ({by}) ({})", series("")), legend)],
        Kind::Histogram(_) => ["0.5", "0.95"]
            .map(|share| {
                let query = format!(
                    "histogram_quantile({share}, sum by (le, {by}) (rate({}[$__rate_interval])))",
                    series("_bucket")
                );
                (query, format!("{share} {legend}"))
            })
            .into(),
    }
}
