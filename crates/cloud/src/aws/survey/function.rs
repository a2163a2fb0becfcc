//! How a function that is the scaler is set up, what invokes it, and what failed of late.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::{
    doctor::facts::{Fact, FunctionFacts, Schedule},
    duration::not_within,
    settings::{OBJECT_VARIABLE, PARAMETER_VARIABLE, STARTED, VERSION_VARIABLE},
};
use serde_json::Value;

use crate::{
    LookedFunction, RoleName,
    aws::{
        Aws, AwsError, AwsErrorKind, read_logs,
        request::{Call, Service, encoded},
    },
};

/// How far back failures are looked for.
const LOG_WINDOW: Duration = Duration::from_secs(3600);
/// How far back its last start is looked for: an environment is ended after some hours, however busy (Lambda Developer Guide, "Understanding the
/// Lambda execution environment lifecycle").
const STARTS: Duration = Duration::from_secs(86_400);
/// So long the version is looked for in a log that may be long: what else is known of the function must not wait for it.
const VERSION_WITHIN: Duration = Duration::from_secs(15);
/// An account has a million schedules at most; a hundred to a page, and so many pages are read.
const MOST_PAGES: usize = 50;

/// What can be told of it, and its role.
pub(in crate::aws) async fn function(aws: &Aws, name: &str) -> LookedFunction {
    let path = format!("/2015-03-31/functions/{}/configuration", encoded(name));
    let found = match get(aws, "lambda:GetFunctionConfiguration", Service::LAMBDA, path).await {
        Ok(found) => found,
        Err(error) if error.kind == AwsErrorKind::NotFound => return (Ok(None), None),
        Err(error) => return (Err(error.to_string()), None),
    };
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let group = found["LoggingConfig"]["LogGroup"].as_str().map(str::to_owned);
    let group = group.unwrap_or_else(|| format!("/aws/lambda/{}", text("FunctionName")));
    // Who may not decrypt them is not told them ("GetFunctionConfiguration", Lambda API Reference).
    let variable = |name: &str| found["Environment"]["Variables"][name].as_str().map(str::to_owned);
    let expected = variable(VERSION_VARIABLE);
    let version = async {
        match &expected {
            Some(_) => Some(version(aws, &group).await),
            None => None,
        }
    };
    let (errors, version) = tokio::join!(errors(aws, &group), version);
    let facts = FunctionFacts {
        name: text("FunctionName"),
        inactive: inactive(&found),
        timeout: Some(Ok(Duration::from_secs(found["Timeout"].as_u64().unwrap_or_default()))),
        deadline: Duration::ZERO,
        errors: Some(errors),
        schedules: Some(schedules(aws, &text("FunctionArn")).await.map_err(|error| error.to_string())),
        log_group: Some(group),
        settings_object: variable(OBJECT_VARIABLE),
        settings_parameter: variable(PARAMETER_VARIABLE),
        version,
        expected,
    };
    (Ok(Some(facts)), found["Role"].as_str().map(|role| RoleName::Address(role.to_owned())))
}

/// `Inactive` is one that was idle for long: the next invocation wakes it (Lambda Developer Guide, "Lambda function states").
fn inactive(found: &Value) -> Option<String> {
    let failed = |state: &str, why: &str| {
        let why = found[why].as_str().unwrap_or_default();
        (found[state].as_str() == Some("Failed")).then(|| format!("{state} is Failed: {why}"))
    };
    failed("State", "StateReason").or_else(|| failed("LastUpdateStatus", "LastUpdateStatusReason"))
}

/// Each line of the function's log that says that something failed, oldest first.
async fn errors(aws: &Aws, group: &str) -> Fact<Vec<String>> {
    let lines = log(aws, group, LOG_WINDOW, MARKS).await?;
    Ok(lines.iter().filter_map(|line| failure(line)).collect())
}

/// The version that the function said at its last start; `None`: it has not started of late.
async fn version(aws: &Aws, group: &str) -> Fact<Option<String>> {
    let pattern = format!("\"{STARTED}\"");
    let lines = tokio::time::timeout(VERSION_WITHIN, log(aws, group, STARTS, &pattern));
    let late = |_| {
        let what = format!("the function's last start was not found in the log {group}");
        Err(not_within(what, VERSION_WITHIN, "the log is long: look there for the last line with \"version\""))
    };
    let lines = lines.await.unwrap_or_else(late)?;
    Ok(lines.iter().rev().find_map(|line| started(line)))
}

/// The version in a line of a start. With JSON's log format Lambda leaves a line alone that is JSON already.
fn started(line: &str) -> Option<String> {
    let said: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| said["fields"][key].as_str().or_else(|| said[key].as_str());
    text("version").filter(|_| text("message") == Some(STARTED)).map(str::to_owned)
}

/// What matches of what the function logged so far back, oldest first.
async fn log(aws: &Aws, group: &str, back: Duration, pattern: &str) -> Fact<Vec<String>> {
    let now = Timestamp::now().as_millisecond();
    let from = now - i64::try_from(back.as_millis()).unwrap_or_default();
    read_logs(aws, group, (from, now), Some(pattern)).await.map_err(|error| {
        // Lambda makes it with the function's first line, if the function's role may.
        if error.kind == AwsErrorKind::NotFound {
            format!("there is no log group {group}: the function was never invoked, or its role may not write its log")
        } else {
            error.to_string()
        }
    })
}

/// Words of which a line of a failure has one (CloudWatch Logs User Guide, "Filter pattern syntax": a question mark makes a term one of several).
const MARKS: &str = r#"?"ERROR" ?"Task timed out" ?"Runtime exited" ?"INIT_REPORT" ?"panicked at" ?"platform.initReport" ?"platform.report""#;

/// What a line says that failed; `None`: nothing. What the function did not survive to say, Lambda does: as text, or with JSON's log format as events
/// of the platform (Lambda Developer Guide, "Troubleshoot execution issues", "Lambda Telemetry API event schema reference").
fn failure(line: &str) -> Option<String> {
    let Ok(said @ Value::Object(_)) = serde_json::from_str(line) else {
        let is_init = line.starts_with("INIT_REPORT") && line.contains("Status:");
        let is_failure = ["Task timed out", "Runtime exited", "panicked at"].iter().any(|mark| line.contains(mark));
        // Fields are parted by tabs, and what is behind a line break repeats it.
        let first = || line.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        return (is_init || is_failure).then(first);
    };
    let status = said["record"]["status"].as_str();
    match said["type"].as_str() {
        Some(kind @ "platform.initReport") => status.filter(|status| *status != "success").map(|it| (kind, it)),
        // One that the function itself calls an error it has told the reason of.
        Some(kind @ "platform.report") => {
            status.filter(|status| matches!(*status, "timeout" | "failure")).map(|it| (kind, it))
        }
        _ => {
            let text = |key: &str| said["fields"][key].as_str().or_else(|| said[key].as_str());
            let parts: Vec<_> = [text("message"), text("error")].into_iter().flatten().collect();
            return (said["level"] == "ERROR").then(|| parts.join(": "));
        }
    }
    .map(|(kind, status)| format!("{kind}: {status} {}", said["record"]["errorType"].as_str().unwrap_or_default()))
    .map(|text| text.trim_end().to_owned())
}

/// The schedules whose target is this function, or an alias or version of it.
async fn schedules(aws: &Aws, function: &str) -> Result<Vec<Schedule>, AwsError> {
    let mut next: Option<String> = None;
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let token = next.take().map_or(String::new(), |token| format!("&NextToken={}", encoded(&token)));
        let page = get(aws, "scheduler:ListSchedules", Service::SCHEDULER, format!("/schedules?MaxResults=100{token}"))
            .await?;
        let is_ours = |schedule: &&Value| {
            let target = schedule["Target"]["Arn"].as_str().unwrap_or_default();
            target == function || target.strip_prefix(function).is_some_and(|rest| rest.starts_with(':'))
        };
        for schedule in page["Schedules"].as_array().into_iter().flatten().filter(is_ours) {
            let (name, group) = (schedule["Name"].as_str(), schedule["GroupName"].as_str());
            let path = format!(
                "/schedules/{}?groupName={}",
                encoded(name.unwrap_or_default()),
                encoded(group.unwrap_or("default"))
            );
            let whole = get(aws, "scheduler:GetSchedule", Service::SCHEDULER, path).await?;
            let when = whole["ScheduleExpression"].as_str().unwrap_or_default().to_owned();
            found.push(Schedule {
                name: name.unwrap_or_default().to_owned(),
                enabled: whole["State"].as_str() != Some("DISABLED"),
                every: every(&when),
                when,
            });
        }
        next = page["NextToken"].as_str().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(found)
}

/// `rate(1 minute)` (EventBridge Scheduler User Guide, "Schedule types"); other expressions have no pace that can be told.
fn every(when: &str) -> Option<Duration> {
    let (count, unit) = when.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok()?.checked_mul(seconds)?))
}

async fn get(aws: &Aws, action: &'static str, service: Service, path: String) -> Result<Value, AwsError> {
    let call = Call { action, service, method: "GET", path, bucket: None, headers: Vec::new(), body: Vec::new() };
    let answer = call.send(aws).await?;
    serde_json::from_slice(&answer)
        .map_err(|error| AwsError::without_code(AwsErrorKind::Other, action, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they stand in the log group of a function, in either format.
    #[test]
    fn whatever_way_an_invocation_fails_its_line_is_a_failure_with_the_reason() {
        for (line, wanted) in [
            (
                r#"{"timestamp":"2026-11-27T02:00:00Z","level":"ERROR","message":"the invocation failed","error":"ci: 401"}"#,
                "the invocation failed: ci: 401",
            ),
            (
                r#"{"level":"ERROR","fields":{"message":"the invocation failed","error":"ci: 401"}}"#,
                "the invocation failed: ci: 401",
            ),
            (
                "2026-11-27T02:00:00.000Z 1-2 Task timed out after 60.00 seconds\n\n",
                "2026-11-27T02:00:00.000Z 1-2 Task timed out after 60.00 seconds",
            ),
            (
                "RequestId: 1-2 Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n",
                "RequestId: 1-2 Error: Runtime exited with error: signal: killed",
            ),
            (
                "INIT_REPORT Init Duration: 1.40 ms\tPhase: init\tStatus: error\tError Type: Runtime.InvalidEntrypoint\n",
                "INIT_REPORT Init Duration: 1.40 ms Phase: init Status: error Error Type: Runtime.InvalidEntrypoint",
            ),
            ("thread 'main' panicked at src/main.rs:1:1:", "thread 'main' panicked at src/main.rs:1:1:"),
            (r#"{"type":"platform.report","record":{"status":"timeout"}}"#, "platform.report: timeout"),
            (
                r#"{"type":"platform.initReport","record":{"status":"error","errorType":"Runtime.ExitError"}}"#,
                "platform.initReport: error Runtime.ExitError",
            ),
        ] {
            assert_eq!(failure(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn a_start_says_the_version_and_a_line_that_only_speaks_of_it_none() {
        for (line, wanted) in [
            (r#"{"level":"INFO","message":"started as a function","version":"0.1.0"}"#, Some("0.1.0")),
            (r#"{"level":"INFO","fields":{"message":"started as a function","version":"0.1.0"}}"#, Some("0.1.0")),
            (r#"{"level":"INFO","message":"it was started as a function","version":"0.1.0"}"#, None),
            ("started as a function version=0.1.0", None),
        ] {
            assert_eq!(started(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn what_goes_well_is_no_failure() {
        for line in [
            r#"{"level":"INFO","message":"the platform says ERROR"}"#,
            r#"{"type":"platform.report","record":{"status":"success"}}"#,
            r#"{"schema":1,"kind":"decision","result":"failed","error":"Task timed out"}"#,
            "INIT_REPORT Init Duration: 9.40 ms",
            "REPORT RequestId: 1-2\tDuration: 3.00 ms",
            "ERROR is a word",
        ] {
            assert_eq!(failure(line), None, "{line}");
        }
    }
}
