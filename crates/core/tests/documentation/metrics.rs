//! The table of metrics in docs/metrics.md.

use lightsout_core::metrics::{Kind, METRICS, Program, Unit, prometheus};

/// All of them as a Markdown table.
pub(super) fn table() -> String {
    let mut table = String::from(
        "| Name | Prometheus | Kind | Unit | Labels beside `pool` | Of | Meaning |\n|---|---|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let unit = match metric.unit {
            Unit::Seconds => "seconds",
            Unit::Ratio => "0 to 1",
            Unit::Money => "currency",
            Unit::Of(what) => what,
        };
        let labels: Vec<_> = metric
            .dimensions
            .iter()
            .map(|dimension| format!("`{}`: {}", dimension.label.as_str(), dimension.values.join(", ")))
            .collect();
        let of = match metric.program {
            Program::Scaler => "scaler",
            Program::Agent => "agent",
            Program::Both => "both",
        };
        let labels = labels.join("; ");
        let prometheus = prometheus::name(metric);
        table +=
            &format!("| `{}` | `{prometheus}` | {kind} | {unit} | {labels} | {of} | {} |\n", metric.name, metric.help);
    }
    table.replace("|  |", "| |")
}
