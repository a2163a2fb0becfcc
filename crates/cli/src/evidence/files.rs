//! Evidence from files and from standard input, in whatever it is wrapped.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use lightsout_core::{
    explain::{Evidence, Said, Status},
    record::Record,
};
use serde_json::Value;

use super::Gathered;

/// Under which keys collectors keep a line, or a list of them: journald, CloudWatch Logs, tracing's JSON, container engines, `up --json`.
const WRAPPINGS: [&str; 9] =
    ["MESSAGE", "message", "@message", "log", "line", "decision", "fields", "events", "results"];
/// How deep they wrap at most.
const DEEPEST: u8 = 4;

/// Reads them all.
pub(crate) fn gather(paths: &[PathBuf]) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).context("cannot read standard input")?;
            read(&mut gathered, "standard input", &text, Timestamp::now());
        } else {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            read(&mut gathered, &name(path), &text, written(path));
        }
    }
    Ok(gathered)
}

/// Takes in a text; a status that is in it was true `at` that time.
pub(crate) fn read(gathered: &mut Gathered, source: &str, text: &[u8], at: Timestamp) {
    let text = String::from_utf8_lossy(text);
    // What is one document, over however many lines.
    if let Ok(document) = serde_json::from_str::<Value>(&text)
        && let Some(found) = in_value(&document, source, at, 0)
    {
        gathered.evidence.extend(found);
        return;
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let source = format!("{source}:{}", number + 1);
        match in_line(line, &source, at, 0) {
            Some(found) => gathered.evidence.extend(found),
            None => gathered.others += 1,
        }
    }
}

fn in_line(line: &str, source: &str, at: Timestamp, depth: u8) -> Option<Vec<Evidence>> {
    if let Some(evidence) = Record::find(line).and_then(|record| Evidence::record(record, source)) {
        return Some(vec![evidence]);
    }
    in_value(&serde_json::from_str(line.trim()).ok()?, source, at, depth)
}

fn in_value(value: &Value, source: &str, at: Timestamp, depth: u8) -> Option<Vec<Evidence>> {
    if depth > DEEPEST {
        return None;
    }
    match value {
        Value::String(line) => in_line(line, source, at, depth + 1),
        Value::Array(values) => {
            let found: Vec<_> =
                values.iter().filter_map(|value| in_value(value, source, at, depth + 1)).flatten().collect();
            (!found.is_empty()).then_some(found)
        }
        Value::Object(object) => {
            if object.contains_key("schema") {
                let record = Record::find(&value.to_string())?;
                return Some(vec![Evidence::record(record, source)?]);
            }
            if let Some(activities) = lightsout_cloud::history_in(value) {
                let evidence = |(time, activity)| Evidence {
                    time,
                    source: source.to_owned(),
                    said: Said::Activity(Box::new(activity)),
                };
                return Some(activities.into_iter().map(evidence).collect());
            }
            if let Ok(status) = serde_json::from_value::<Status>(value.clone()) {
                return Some(vec![Evidence {
                    time: at,
                    source: source.to_owned(),
                    said: Said::Status(Box::new(status)),
                }]);
            }
            WRAPPINGS.iter().find_map(|key| in_value(object.get(*key)?, source, at, depth + 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// When a file was written last.
fn written(path: &Path) -> Timestamp {
    let modified = fs::metadata(path).and_then(|found| found.modified()).unwrap_or_else(|_| SystemTime::now());
    Timestamp::try_from(modified).unwrap_or_else(|_| Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCIDENT: &str = "{\"schema\":1,\"kind\":\"incident\",\"time\":\"2026-11-26T03:00:00.250Z\",\"instance\":\"i-1\",\
                            \"platform\":\"gitlab\",\"what\":\"ready\",\"detail\":\"for jobs\"}";

    fn gathered(text: &str) -> Gathered {
        let mut gathered = Gathered::default();
        read(&mut gathered, "a.log", text.as_bytes(), Timestamp::UNIX_EPOCH);
        gathered
    }

    #[test]
    fn a_record_is_found_in_whatever_wraps_it() {
        let quoted = Value::from(INCIDENT).to_string();
        let marked = Value::from(format!("LIGHTSOUT_RECORD {INCIDENT}")).to_string();
        for text in [
            INCIDENT.to_owned(),
            format!("Nov 26 03:00:00 host lightsout-agent[8]: LIGHTSOUT_RECORD {INCIDENT}"),
            format!("{{\"MESSAGE\":{marked},\"_PID\":\"8\"}}"),
            format!("{{\"timestamp\":1,\"message\":{quoted}}}"),
            format!("{{\"events\":[{{\"message\":{quoted}}}]}}"),
            format!("{{\n  \"events\": [\n    {{\"message\": {marked}}}\n  ]\n}}"),
            format!("{{\"level\":\"INFO\",\"fields\":{{\"message\":{marked}}}}}"),
        ] {
            let gathered = gathered(&text);
            assert_eq!((gathered.evidence.len(), gathered.others), (1, 0), "{text}");
            assert_eq!(gathered.evidence[0].said.instance(), Some("i-1"), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_counted_and_lines_have_their_numbers() {
        let gathered = gathered(&format!("now idle\n\n{{\"level\":\"INFO\"}}\n{INCIDENT}\n[1,2]\n"));
        assert_eq!(gathered.others, 3);
        assert_eq!(gathered.evidence[0].source, "a.log:4");
    }

    #[test]
    fn a_status_and_a_groups_history_are_evidence_as_well() {
        let status = gathered(
            "{\"instance\":\"i-1\",\"phase\":\"idle\",\"jobs\":[],\"held\":true,\"version\":\"1\",\"since_ms\":1}",
        );
        assert!(matches!(&status.evidence[0].said, Said::Status(status) if status.held));
        let history = gathered(
            "{\"Activities\":[{\"AutoScalingGroupName\":\"g\",\"Description\":\"Terminating EC2 instance: i-1\",\"StartTime\":\
             \"2026-11-26T03:00:00Z\",\"StatusCode\":\"Successful\",\"Cause\":\"... in response to an instance refresh.\"}]}",
        );
        assert_eq!(history.evidence[0].said.kind(), "activity");
    }
}
