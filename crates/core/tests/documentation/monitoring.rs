//! Dashboards and alarms are made from the table of metrics, and stand in `monitoring/` for whoever imports them.

mod alarms;
mod azure;
mod cloudformation;
mod cloudwatch;
mod grafana;
mod rules;

use std::{collections::BTreeSet, fs, path::Path};

use lightsout_core::{
    explain::{Evidence, Question},
    metrics::{Id, METRICS, Metric, Panel, emf, prometheus},
    record::Record,
};

use super::check_whole;

const RULES: &str = "monitoring/prometheus/rules.yml";
const GRAFANA: &str = "monitoring/grafana/lightsout.json";
const DASHBOARD: &str = "monitoring/cloudwatch/dashboard.json";
const TEMPLATE: &str = "cloudformation/lightsout.yaml";
const ALARMS: &str = "monitoring/cloudwatch/alarms.json";
const ALERTS: &str = "monitoring/azure/alerts.json";

/// The panels in their order.
fn panels() -> BTreeSet<Panel> {
    METRICS.iter().map(|metric| metric.panel).collect()
}

/// The series of a metric as CloudWatch names them, those that there can be: how long jobs ran is told by agents, how long they waited is not.
fn series(metric: &'static Metric) -> impl Iterator<Item = String> {
    let all = (0..metric.series()).map(|place| metric.labels(place).iter().map(|(_, value)| *value).collect());
    let told =
        |labels: &Vec<&str>| metric.id != Id::JobDuration || (labels[0] == "executing") == (labels[1] == "agent");
    all.filter(told).map(|labels| emf::name(metric, &labels))
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)).expect(file)
}

#[test]
fn dashboards_and_alarms_are_as_the_table_has_them() {
    check_whole(RULES, |_| rules::file());
    check_whole(GRAFANA, |_| grafana::file());
    check_whole(DASHBOARD, |_| cloudwatch::dashboard());
    check_whole(ALARMS, |_| cloudwatch::alarms());
    check_whole(ALERTS, |_| azure::alerts());
    check_whole(TEMPLATE, cloudformation::template);
}

/// The words of a text that could be a metric's name in Prometheus.
fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("lightsout_") || word.starts_with("cicd_"));
    ours.map(str::to_owned).collect()
}

/// A metric's name in Prometheus, without what a histogram adds.
fn stem(word: &str) -> String {
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
    stem.filter(|stem| METRICS.iter().any(|metric| prometheus::name(metric) == **stem)).unwrap_or(word).to_owned()
}

#[test]
fn every_metric_is_on_a_dashboard_and_every_metric_of_a_dashboard_exists() {
    let known: BTreeSet<String> = METRICS.iter().map(prometheus::name).collect();
    let shown: BTreeSet<String> = words(&read(GRAFANA)).iter().map(|word| stem(word)).collect();
    assert_eq!(shown, known, "Grafana");
    let alarmed: BTreeSet<String> = words(&read(RULES)).iter().map(|word| stem(word)).collect();
    assert!(!alarmed.is_empty() && alarmed.is_subset(&known), "Prometheus: {:?}", alarmed.difference(&known));
    let known: BTreeSet<String> = METRICS.iter().flat_map(series).collect();
    let shown = named(&read(DASHBOARD));
    assert_eq!(shown, known, "CloudWatch");
    let alarmed = named(&read(ALARMS));
    assert!(!alarmed.is_empty() && alarmed.is_subset(&known), "CloudWatch: {:?}", alarmed.difference(&known));
}

/// The names of CloudWatch's metrics in a text: whole strings of JSON.
fn named(text: &str) -> BTreeSet<String> {
    let strings = text.split('"').skip(1).step_by(2);
    let ours =
        strings.filter(|text| (text.starts_with("lightsout.") || text.starts_with("cicd.")) && !text.contains(' '));
    ours.map(str::to_owned).collect()
}

/// A metric that an expression does not find, or two of one name, is an error in the place of the graph; and whatever looks like the price is replaced with it.
#[test]
fn what_instances_cost_is_reckoned_from_metrics_that_the_dashboard_has() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let widgets = dashboard["widgets"].as_array().expect("widgets");
    let mut expressions = 0;
    for widget in widgets {
        let lines = widget["properties"]["metrics"].as_array().into_iter().flatten();
        let last: Vec<_> = lines.filter_map(|line| line.as_array()?.last()).collect();
        let ids: Vec<_> = last.iter().filter_map(|it| it["id"].as_str()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        for expression in last.iter().filter_map(|it| it["expression"].as_str()) {
            let words = expression.split(|c: char| !c.is_ascii_lowercase()).filter(|word| !word.is_empty());
            for word in words {
                assert!(ids.contains(&word), "{expression}: {word} is not among {ids:?}");
            }
            expressions += 1;
        }
        let priced = widget.to_string().matches(cloudwatch::PRICE).count();
        assert_eq!(priced, last.iter().filter(|it| it["expression"].to_string().contains(cloudwatch::PRICE)).count());
    }
    assert_eq!((expressions, &dashboard["variables"][0]["pattern"]), (6, &cloudwatch::PRICE.into()));
    // What the template says in fewer letters is the same dashboard.
    let bytes = read(TEMPLATE).len();
    assert!(bytes <= 51_200, "CloudFormation takes no template of {bytes} bytes");
}

/// What `PutMetricAlarm` refuses whole: more than ten metrics, 20 queries, a longer expression or description, or no single answer ("Service quotas",
/// Amazon CloudWatch User Guide, and `PutMetricAlarm` and `MetricDataQuery` in its API Reference).
#[test]
fn no_alarm_is_more_than_cloudwatch_takes() {
    let alarms: Vec<serde_json::Value> = serde_json::from_str(&read(ALARMS)).expect("a list");
    for alarm in alarms {
        let name = &alarm["alarm_name"];
        let queries = alarm["metric_query"].as_array().expect("queries");
        let metrics = queries.iter().filter(|query| query["metric"].is_object()).count();
        assert!(metrics <= 10 && queries.len() <= 20, "{name} has {metrics} metrics in {} queries", queries.len());
        assert_eq!(queries.iter().filter(|query| query["return_data"] == true).count(), 1, "{name}");
        let lengths = queries.iter().filter_map(|query| query["expression"].as_str()).map(str::len);
        assert!(lengths.max() <= Some(2048), "{name}");
        assert!(
            alarm["alarm_description"].as_str().expect("text").len() < 1024 - 255,
            "{name}, with a pool's name in it"
        );
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        let window = number(&queries[1]["metric"]["period"]) * number(&alarm["evaluation_periods"]);
        assert!(window <= 86_400, "{name} looks at {window} s");
    }
}

/// A key that no record has is null in Azure's query language, and no rule would ever say so.
#[test]
fn what_an_alert_of_azure_reads_is_in_a_record() {
    let documented = read("docs/records.md");
    for alarm in alarms::ALARMS {
        let query = azure::query(alarm);
        let keys: BTreeSet<&str> = query
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
            .filter_map(|word| word.strip_prefix("r."))
            .collect();
        assert!(keys.len() > 1, "{query}");
        for key in keys {
            assert!(documented.contains(&format!("\n| `{key}` |")), "{}: no record has {key}", alarm.name);
        }
        assert!(!query.contains("UNLIMITED") && query.matches('(').count() == query.matches(')').count(), "{query}");
        // Azure Monitor looks over these spans alone ("windowSize", Scheduled Query Rules).
        assert!([5, 10, 15, 30, 45, 60].contains(&alarm.window), "{}", alarm.name);
    }
}

/// Prometheus' rule has its five minutes in its expression.
#[test]
fn a_scaler_that_is_silent_rings_after_as_long_as_its_alarm_says() {
    let alarm = alarms::ALARMS.iter().find(|alarm| alarm.name == "LightsoutScalerIsSilent").expect("it is there");
    let (seconds, times) = alarm.period;
    assert!(
        alarm.what.contains(&format!("for {} minutes", seconds * times / 60)),
        "{}: {:?}",
        alarm.what,
        alarm.period
    );
}

#[test]
fn each_alarm_names_the_command_to_run_next() {
    let (rules, alarms) = (read(RULES), read(ALARMS));
    for alarm in alarms::ALARMS {
        let (what, next) = alarm.says("POOL", "`lightsout explain POOL`", rules::LOOK);
        let command = next.split('`').nth(1).expect("a command between backticks");
        assert!(command.contains("lightsout"), "{}", alarm.name);
        assert!(rules.contains(command.split(" POOL").next().expect("a first part")), "{command} of {what}");
        // The records are in CloudWatch Logs, and without the group's name `explain` asks for a fleet on this machine.
        let said = cloudwatch::TERRAFORM.description(alarm);
        let command = said.split('`').nth(1).expect("a command between backticks");
        assert!(command.contains("log_group}"), "{command} of {what}");
        assert!(alarms.contains(command), "{command} of {what}");
    }
    assert_eq!(alarms::ALARMS.len(), 6, "more than six are not read at 3 am");
}

/// A record of a log group, by the group's name in the templates: of the pool `linux` and its group `ci-linux`.
fn logged(group: &str) -> Evidence {
    let line = match group {
        "${log_group}" => {
            r#"{"schema":1,"kind":"decision","time":"2026-11-26T03:00:00Z","pool":"linux","group":"ci-linux","platform":"gitlab","result":"held",
            "ms":{"demand":1,"describe":1,"raise":null,"total":1}}"#
        }
        "${agents_log_group}" => {
            r#"{"schema":1,"kind":"incident","time":"2026-11-26T03:00:00Z","instance":"i-1","group":"ci-linux","platform":"gitlab","what":"idle",
            "detail":"no job"}"#
        }
        _ => panic!("no log group is called {group}"),
    };
    let record = Record::find(&line.replace('\n', "")).unwrap_or_else(|| panic!("no record: {line}"));
    Evidence::record(record, group).expect("a time")
}

#[test]
fn the_log_groups_that_an_alarm_names_have_an_answer_about_its_pool() {
    for alarm in alarms::ALARMS {
        let said = cloudwatch::TERRAFORM.description(alarm).replace("${pool}", "linux");
        let Some(asked) = said.split("`lightsout explain ").nth(1).and_then(|rest| rest.split('`').next()) else {
            continue;
        };
        let (pool, groups) = asked.split_once(" --log-group ").expect("log groups");
        let evidence: Vec<_> = groups.split(' ').map(logged).collect();
        assert_eq!(Question::about(pool, &evidence), Ok(Question::Pool("linux".into())), "{}: {asked}", alarm.name);
    }
}
