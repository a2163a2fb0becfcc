//! CloudWatch Logs, as far as records are written to it and read from it (AWS JSON 1.1).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::secrets::error;
use crate::{
    http::{Request, Response},
    time::Timestamp,
};

/// The group that is there from the start.
const GROUP: &str = "/lightsout/records";
/// How many events a stream keeps, so that a long run does not fill the memory.
const KEPT: usize = 10_000;
/// How many events one answer holds (API reference, `FilterLogEvents`, `GetLogEvents`).
const PAGE: usize = 10_000;
/// What one event may weigh, and all of one call (API reference, `PutLogEvents`).
const LARGEST: usize = 1 << 20;
/// How far back and ahead an event's time may lie (API reference, `PutLogEvents`).
const OLDEST_MS: i64 = 14 * 24 * 3_600_000;
const NEWEST_MS: i64 = 2 * 3_600_000;

/// Groups of streams of events.
pub(crate) struct Logs {
    groups: BTreeMap<String, BTreeMap<String, Vec<Event>>>,
    region: String,
    account: String,
}

struct Event {
    at: i64,
    taken: i64,
    message: String,
}

impl Logs {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        let groups = BTreeMap::from([(GROUP.to_owned(), BTreeMap::new())]);
        Self { groups, region: region.to_owned(), account: account.to_owned() }
    }

    /// Answers the call that `X-Amz-Target` names.
    pub(crate) fn handle(&mut self, target: &str, request: &Request, now: Timestamp) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error("SerializationException", "the body is not JSON");
        };
        let answer = match target.rsplit('.').next().unwrap_or_default() {
            "CreateLogGroup" => self.create_group(&body),
            "CreateLogStream" => self.create_stream(&body),
            "DescribeLogGroups" => Ok(self.describe_groups(&body)),
            "DescribeLogStreams" => self.describe_streams(&body),
            "PutLogEvents" => self.put(&body, now.0),
            "GetLogEvents" => self.get(&body),
            "FilterLogEvents" => self.filter(&body),
            _ => return error("UnknownOperationException", ""),
        };
        match answer {
            Ok(body) => Response::new(200, "application/x-amz-json-1.1", body.to_string()),
            Err((code, message)) => error(code, &message),
        }
    }

    fn create_group(&mut self, body: &Value) -> Result<Value, Refused> {
        let name = text(body, "logGroupName")?;
        if self.groups.contains_key(name) {
            return Err(exists("group"));
        }
        self.groups.insert(name.to_owned(), BTreeMap::new());
        Ok(json!({}))
    }

    fn create_stream(&mut self, body: &Value) -> Result<Value, Refused> {
        let stream = text(body, "logStreamName")?;
        let streams = self.group(body)?;
        if streams.contains_key(stream) {
            return Err(exists("stream"));
        }
        streams.insert(stream.to_owned(), Vec::new());
        Ok(json!({}))
    }

    fn describe_groups(&self, body: &Value) -> Value {
        let prefix = body["logGroupNamePrefix"].as_str().unwrap_or_default();
        let groups: Vec<Value> = self
            .groups
            .keys()
            .filter(|name| name.starts_with(prefix))
            .map(|name| json!({ "logGroupName": name, "arn": self.arn(name) }))
            .collect();
        json!({ "logGroups": groups })
    }

    fn describe_streams(&mut self, body: &Value) -> Result<Value, Refused> {
        let prefix = body["logStreamNamePrefix"].as_str().unwrap_or_default();
        let streams = self.group(body)?;
        let named = streams.iter().filter(|(name, _)| name.starts_with(prefix));
        let shown: Vec<Value> = named
            .map(|(name, events)| {
                let mut stream = json!({ "logStreamName": name });
                if let (Some(first), Some(last)) = (events.first(), events.last()) {
                    stream["firstEventTimestamp"] = json!(first.at);
                    stream["lastEventTimestamp"] = json!(last.at);
                }
                stream
            })
            .collect();
        Ok(json!({ "logStreams": shown }))
    }

    fn put(&mut self, body: &Value, now: i64) -> Result<Value, Refused> {
        let events = body["logEvents"].as_array().filter(|events| !events.is_empty());
        let events = events.ok_or_else(|| invalid("1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1"))?;
        let stream = text(body, "logStreamName")?;
        let kept = self.group(body)?.get_mut(stream).ok_or_else(|| missing("stream"))?;
        let mut batch = Vec::new();
        let mut size = 0;
        for event in events {
            let (at, message) = (event["timestamp"].as_i64(), event["message"].as_str());
            let (Some(at), Some(message)) = (at, message) else {
                return Err(invalid("an event has a timestamp and a message"));
            };
            // Each weighs 26 bytes more than its text.
            size += message.len() + 26;
            if message.is_empty() || size > LARGEST {
                return Err(invalid("Upload too large, or an event without a text"));
            }
            batch.push(Event { at, taken: now, message: message.to_owned() });
        }
        if !batch.is_sorted_by_key(|event| event.at) {
            return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
        }
        let (too_old, too_new) = (now - OLDEST_MS, now + NEWEST_MS);
        let first_fine = batch.iter().position(|event| event.at >= too_old).unwrap_or(batch.len());
        let first_new = batch.iter().position(|event| event.at > too_new);
        let mut rejected = serde_json::Map::new();
        if first_fine > 0 {
            rejected.insert("tooOldLogEventEndIndex".into(), json!(first_fine));
        }
        if let Some(index) = first_new {
            rejected.insert("tooNewLogEventStartIndex".into(), json!(index));
        }
        kept.extend(batch.into_iter().filter(|event| (too_old..=too_new).contains(&event.at)));
        kept.sort_by_key(|event| event.at);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
        let mut answer = json!({ "nextSequenceToken": "0" });
        if !rejected.is_empty() {
            answer["rejectedLogEventsInfo"] = Value::Object(rejected);
        }
        Ok(answer)
    }

    fn get(&mut self, body: &Value) -> Result<Value, Refused> {
        let stream = text(body, "logStreamName")?;
        let span = Span::of(body);
        let events = self.group(body)?.get(stream).ok_or_else(|| missing("stream"))?;
        let shown: Vec<Value> = events
            .iter()
            .filter(|event| span.holds(event.at))
            .take(PAGE)
            .map(|event| json!({ "timestamp": event.at, "ingestionTime": event.taken, "message": event.message }))
            .collect();
        Ok(json!({ "events": shown, "nextForwardToken": "f/0", "nextBackwardToken": "b/0" }))
    }

    /// All events of a group in the order of their times. A pattern is a text in quotation marks that the message must hold, or several, each behind
    /// a question mark, of which it must hold one.
    fn filter(&mut self, body: &Value) -> Result<Value, Refused> {
        let span = Span::of(body);
        let wanted: Option<Vec<String>> = body["logStreamNames"]
            .as_array()
            .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
        let prefix = body["logStreamNamePrefix"].as_str().unwrap_or_default().to_owned();
        let pattern = body["filterPattern"].as_str().unwrap_or_default().to_owned();
        let any: Vec<&str> = pattern.trim_start_matches('?').split(" ?").map(|text| text.trim_matches('"')).collect();
        let most = body["limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(PAGE).clamp(1, PAGE);
        let from: usize = body["nextToken"].as_str().and_then(|token| token.parse().ok()).unwrap_or(0);
        let streams = self.group(body)?;
        let mut found: Vec<(&String, &Event)> = streams
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix) && wanted.as_ref().is_none_or(|wanted| wanted.contains(name)))
            .flat_map(|(name, events)| events.iter().map(move |event| (name, event)))
            .filter(|(_, event)| span.holds(event.at) && any.iter().any(|text| event.message.contains(text)))
            .collect();
        found.sort_by_key(|(_, event)| event.at);
        let more = found.len() > from + most;
        let shown: Vec<Value> = found
            .into_iter()
            .enumerate()
            .skip(from)
            .take(most)
            .map(|(number, (stream, event))| {
                json!({
                    "logStreamName": stream, "timestamp": event.at, "ingestionTime": event.taken, "message": event.message,
                    "eventId": format!("{number:056}"),
                })
            })
            .collect();
        let mut answer = json!({ "events": shown, "searchedLogStreams": [] });
        if more {
            answer["nextToken"] = json!((from + most).to_string());
        }
        Ok(answer)
    }

    fn group(&mut self, body: &Value) -> Result<&mut BTreeMap<String, Vec<Event>>, Refused> {
        let name = match text(body, "logGroupName") {
            Ok(name) => name,
            // By its ARN, too.
            Err(refused) => {
                let arn = body["logGroupIdentifier"].as_str().ok_or(refused)?;
                arn.trim_end_matches(":*").rsplit(":log-group:").next().unwrap_or(arn)
            }
        };
        self.groups.get_mut(name).ok_or_else(|| missing("group"))
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{name}:*", self.region, self.account)
    }
}

type Refused = (&'static str, String);

/// From one time up to before another, in milliseconds.
struct Span(i64, i64);

impl Span {
    fn of(body: &Value) -> Self {
        Self(body["startTime"].as_i64().unwrap_or(0), body["endTime"].as_i64().unwrap_or(i64::MAX))
    }

    fn holds(&self, at: i64) -> bool {
        (self.0..=self.1).contains(&at)
    }
}

fn text<'a>(body: &'a Value, key: &str) -> Result<&'a str, Refused> {
    body[key].as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
        invalid(&format!(
            "1 validation error detected: Value null at '{key}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

fn invalid(message: &str) -> Refused {
    ("InvalidParameterException", message.to_owned())
}

fn missing(what: &str) -> Refused {
    ("ResourceNotFoundException", format!("The specified log {what} does not exist."))
}

fn exists(what: &str) -> Refused {
    ("ResourceAlreadyExistsException", format!("The specified log {what} already exists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_662_000_000;

    fn ask(logs: &mut Logs, action: &str, body: &Value) -> (u16, Value) {
        let request = Request { body: body.to_string().into(), ..Request::default() };
        let response = logs.handle(&format!("Logs_20140328.{action}"), &request, Timestamp(NOW));
        (response.status, serde_json::from_slice(&response.body).expect("JSON"))
    }

    fn put(stream: &str, events: &[(i64, &str)]) -> Value {
        let events: Vec<Value> = events.iter().map(|(at, text)| json!({ "timestamp": at, "message": text })).collect();
        json!({ "logGroupName": GROUP, "logStreamName": stream, "logEvents": events })
    }

    #[test]
    fn a_stream_must_be_there_before_its_events() {
        let mut logs = Logs::new("eu-central-1", "123456789012");
        let stream = json!({ "logGroupName": GROUP, "logStreamName": "i-1" });
        let (status, body) = ask(&mut logs, "PutLogEvents", &put("i-1", &[(NOW, "a")]));
        assert_eq!((status, &body["__type"]), (400, &json!("ResourceNotFoundException")));
        assert!(body["message"].as_str().is_some_and(|text| text.contains("log stream")), "{body}");
        assert_eq!(ask(&mut logs, "CreateLogStream", &stream).0, 200);
        let (_, body) = ask(&mut logs, "CreateLogStream", &stream);
        assert_eq!(body["__type"], "ResourceAlreadyExistsException");
        assert_eq!(ask(&mut logs, "PutLogEvents", &put("i-1", &[(NOW, "a")])).0, 200);
        let elsewhere = json!({ "logGroupName": "/none", "logStreamName": "i-1" });
        let (_, body) = ask(&mut logs, "CreateLogStream", &elsewhere);
        assert!(body["message"].as_str().is_some_and(|text| text.contains("log group")), "{body}");
    }

    #[test]
    fn events_are_filtered_by_time_stream_and_text_a_page_at_a_time() {
        let mut logs = Logs::new("eu-central-1", "123456789012");
        for stream in ["i-1", "i-2"] {
            ask(&mut logs, "CreateLogStream", &json!({ "logGroupName": GROUP, "logStreamName": stream }));
        }
        ask(&mut logs, "PutLogEvents", &put("i-1", &[(NOW - 2, "one"), (NOW, "three")]));
        ask(&mut logs, "PutLogEvents", &put("i-2", &[(NOW - 1, "two")]));
        let mut messages = |more: Value| {
            let mut body = json!({ "logGroupName": GROUP });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (_, body) = ask(&mut logs, "FilterLogEvents", &body);
            let found =
                body["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned());
            (found.collect::<Vec<_>>(), body["nextToken"].as_str().map(str::to_owned))
        };
        assert_eq!(messages(json!({})), (vec!["one".into(), "two".into(), "three".into()], None));
        assert_eq!(messages(json!({ "startTime": NOW - 1 })).0, ["two", "three"]);
        assert_eq!(messages(json!({ "logStreamNames": ["i-1"] })).0, ["one", "three"]);
        assert_eq!(messages(json!({ "filterPattern": "\"tw\"" })).0, ["two"]);
        assert_eq!(messages(json!({ "filterPattern": "?\"tw\" ?\"on\"" })).0, ["one", "two"]);
        let (first, token) = messages(json!({ "limit": 2 }));
        assert_eq!(first, ["one", "two"]);
        assert_eq!(messages(json!({ "limit": 2, "nextToken": token.unwrap() })), (vec!["three".into()], None));
    }

    #[test]
    fn what_is_too_old_is_told_and_not_kept() {
        let mut logs = Logs::new("eu-central-1", "123456789012");
        ask(&mut logs, "CreateLogStream", &json!({ "logGroupName": GROUP, "logStreamName": "i-1" }));
        let (status, body) = ask(&mut logs, "PutLogEvents", &put("i-1", &[(1, "old"), (NOW, "new")]));
        assert_eq!((status, &body["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"]), (200, &json!(1)));
        let (_, body) = ask(&mut logs, "GetLogEvents", &json!({ "logGroupName": GROUP, "logStreamName": "i-1" }));
        assert_eq!(body["events"].as_array().map(Vec::len), Some(1), "{body}");
        let (_, body) = ask(&mut logs, "PutLogEvents", &put("i-1", &[(NOW, "b"), (NOW - 1, "a")]));
        assert_eq!(body["__type"], "InvalidParameterException");
    }
}
