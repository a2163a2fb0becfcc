//! Prometheus' rules.

use super::alarms::{ALARMS, FRESH};

/// For whoever runs the scaler on a machine.
pub(super) const LOOK: &str =
    "`lightsout-scaler check` where the scaler runs, and look at its log: `journalctl -u lightsout-scaler-watch`";

pub(super) fn file() -> String {
    let mut text = String::from(
        "# Made from the table of metrics: UPDATE_DOCS=1 cargo test -p lightsout-core --test documentation\n\
         groups:\n  - name: lightsout\n    rules:\n",
    );
    for alarm in ALARMS {
        // A scaler that is gone leaves nothing that names its pool.
        let pool = "{{ with $labels.pool }}{{ . }}{{ else }}POOL{{ end }}";
        let indented = |text: &str| text.lines().map(|line| format!("          {line}\n")).collect::<String>();
        text += &format!(
            "      - alert: {}\n        expr: |\n{}",
            alarm.name,
            indented(&alarm.expression.replace("FRESH", FRESH))
        );
        if alarm.lasting != "0m" {
            text += &format!("        for: {}\n", alarm.lasting);
        }
        text += &format!("        labels:\n          severity: {}\n        annotations:\n", alarm.severity);
        let (what, next) = alarm.says(pool, "`lightsout explain POOL`", LOOK);
        for (key, value) in [("summary", what), ("description", next)] {
            text += &format!("          {key}: >-\n            {value}.\n");
        }
    }
    text
}
