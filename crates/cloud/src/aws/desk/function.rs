//! How a function that is the scaler is set up, what invokes it, and what failed of late.

use std::time::Duration;

use jiff::Timestamp;
use lightsout_core::doctor::facts::{FunctionFacts, Schedule};
use serde_json::Value;

use crate::{
    LookedFunction, RoleName,
    aws::{
        Aws, AwsError, AwsErrorKind, read_logs,
        request::{Call, encoded},
    },
};

/// How far back failures are looked for.
const LATELY: Duration = Duration::from_secs(3600);
/// An account has a million schedules at most; a hundred to a page, and so many pages are read.
const MOST_PAGES: usize = 50;

/// What can be told of it, and its role.
pub(in crate::aws) async fn function(aws: &Aws, name: &str) -> LookedFunction {
    let path = format!("/2015-03-31/functions/{}/configuration", encoded(name).replace('/', "%2F"));
    let found = match get(aws, "lambda:GetFunctionConfiguration", "lambda", path).await {
        Ok(found) => found,
        Err(error) if error.kind == AwsErrorKind::NotFound => return (Ok(None), None),
        Err(error) => return (Err(error.to_string()), None),
    };
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let group = found["LoggingConfig"]["LogGroup"].as_str().map(str::to_owned);
    let group = group.unwrap_or_else(|| format!("/aws/lambda/{}", text("FunctionName")));
    let facts = FunctionFacts {
        name: text("FunctionName"),
        inactive: inactive(&found),
        timeout: Duration::from_secs(found["Timeout"].as_u64().unwrap_or_default()),
        deadline: Duration::ZERO,
        errors: Some(errors(aws, &group).await.map_err(|error| error.to_string())),
        schedules: Some(schedules(aws, &text("FunctionArn")).await.map_err(|error| error.to_string())),
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

/// What the function said at the level of an error, each with its time. A group that was not made yet has none.
async fn errors(aws: &Aws, group: &str) -> Result<Vec<String>, AwsError> {
    let now = Timestamp::now().as_millisecond();
    let from = now - i64::try_from(LATELY.as_millis()).unwrap_or_default();
    let lines = match read_logs(aws, group, (from, now), Some("\"ERROR\"")).await {
        Ok(lines) => lines,
        Err(error) if error.kind == AwsErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let said = |line: &String| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_error = line["level"] == "ERROR";
        let message = line["fields"]["message"].as_str().or_else(|| line["message"].as_str());
        is_error.then(|| message.unwrap_or_default().to_owned())
    };
    Ok(lines.iter().filter_map(said).collect())
}

/// The schedules whose target is this function, or an alias or version of it.
async fn schedules(aws: &Aws, function: &str) -> Result<Vec<Schedule>, AwsError> {
    let mut next: Option<String> = None;
    let mut found = Vec::new();
    for _ in 0..MOST_PAGES {
        let token =
            next.take().map_or(String::new(), |token| format!("&NextToken={}", encoded(&token).replace('/', "%2F")));
        let page =
            get(aws, "scheduler:ListSchedules", "scheduler", format!("/schedules?MaxResults=100{token}")).await?;
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
            let whole = get(aws, "scheduler:GetSchedule", "scheduler", path).await?;
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

async fn get(aws: &Aws, action: &'static str, service: &'static str, path: String) -> Result<Value, AwsError> {
    let call = Call { action, service, method: "GET", path, bucket: None, headers: Vec::new(), body: Vec::new() };
    let answer = call.send(aws).await?;
    serde_json::from_slice(&answer)
        .map_err(|error| AwsError::without_code(AwsErrorKind::Other, action, error.to_string()))
}
