//! Alert rules of Azure Monitor: what each asks of the records, which the function app of Azure has in Application Insights, and machines hand in to a table.

use lightsout_core::metrics::Program;
use serde_json::json;

use super::alarms::{ALARMS, Alarm};

/// The scaler's records, of the pool that the function has: the host keeps each line that the handler writes as a trace.
const DECISIONS: &str = "traces\n| where message startswith \"{\"\n| extend r = parse_json(message)\n| where r.kind == \"decision\"\n| extend pool = tostring(r.pool)\n| ";

/// The agents' records, in the table to which `records.log_analytics` leads.
const DEPARTURES: &str = "${table}\n| extend r = Record\n| where r.kind == \"departure\"\n| ";

/// Whether jobs may have what they need: neither the pool's maximum nor raises that were in vain stand against that.
const UNLIMITED: &str = "toint(r.why.need) <= toint(r.why.max) and coalesce(toint(r.why.outlook.unmet), 0) == 0";

/// The whole query.
pub(super) fn query(alarm: &Alarm) -> String {
    let records = match alarm.records {
        Program::Scaler | Program::Both => DECISIONS,
        Program::Agent => DEPARTURES,
    };
    format!("{records}{}", alarm.kusto.replace("UNLIMITED", &format!("({UNLIMITED})")))
}

/// What is wrong and what to do, where records are in Azure.
pub(super) fn description(alarm: &Alarm) -> String {
    let explain = "`lightsout explain ${pool} --records FILE`, with the records of this rule's query in FILE";
    let look = "`az functionapp show --resource-group ${group} --name ${app}`, and look at its log: it is empty where the timer does not come";
    let (what, next) = alarm.says("${pool}", explain, look);
    format!("{what}. {next}.")
}

/// A list of objects, of which terraform/azure makes `azurerm_monitor_scheduled_query_rules_alert_v2`.
pub(super) fn alerts() -> String {
    let alerts: Vec<_> = ALARMS
        .iter()
        .map(|alarm| {
            let source = match alarm.records {
                Program::Scaler | Program::Both => "scaler",
                Program::Agent => "agents",
            };
            json!({
                "name": alarm.name, "description": description(alarm), "severity": if alarm.severity == "critical" { 1 } else { 2 },
                "source": source, "query": query(alarm), "minutes": alarm.window,
            })
        })
        .collect();
    serde_json::to_string_pretty(&alerts).expect("JSON") + "\n"
}
