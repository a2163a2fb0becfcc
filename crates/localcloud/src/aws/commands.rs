//! Systems Manager's Run Command (AWS JSON 1.1): what is sent to an instance really runs on it.
//!
//! This is the book that is kept; the machines run what [`Commands::take_runs`] gives out. Every machine that is on takes commands, as one does
//! on which the vendor's agent runs and whose role may use it.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::secrets::{error, seconds};
use crate::{
    http::{Request, Response},
    machine::Ran,
    time::Timestamp,
};

/// The one document that is here.
const DOCUMENT: &str = "AWS-RunShellScript";
/// How many instances one command may name (API reference, `SendCommand`).
const MOST_INSTANCES: usize = 50;
/// Of what a command wrote so much is told, in characters (API reference, `GetCommandInvocation`).
const OUTPUT: usize = 24_000;
const ERROR_OUTPUT: usize = 8_000;
/// Of so many commands it is known what became of them.
const KEPT: usize = 1_000;

/// What was sent, and what came of it.
#[derive(Default)]
pub(crate) struct Commands {
    sent: BTreeMap<u64, Sent>,
    next: u64,
    runs: VecDeque<Run>,
}

/// A machine that takes commands, with its tags.
pub(crate) type Online = BTreeMap<String, BTreeMap<String, String>>;

/// Something that a machine is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub command: u64,
    pub instance: String,
    pub script: String,
}

struct Sent {
    comment: String,
    invocations: BTreeMap<String, Invocation>,
}

struct Invocation {
    began: Timestamp,
    ended: Option<(Timestamp, Result<Ran, String>)>,
}

type Refused = (&'static str, String);

impl Commands {
    /// Whether this is one of its calls.
    pub(crate) fn is_for(target: &str) -> bool {
        matches!(
            target,
            "AmazonSSM.SendCommand" | "AmazonSSM.GetCommandInvocation" | "AmazonSSM.DescribeInstanceInformation"
        )
    }

    /// Answers the call that `X-Amz-Target` names.
    pub(crate) fn handle(&mut self, target: &str, request: &Request, online: &Online, now: Timestamp) -> Response {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return error("SerializationException", "the body is not JSON");
        };
        let answer = match target {
            "AmazonSSM.SendCommand" => self.send(&body, online, now),
            "AmazonSSM.GetCommandInvocation" => self.invocation(&body),
            _ => describe(&body, online, now),
        };
        match answer {
            Ok(body) => Response::new(200, "application/x-amz-json-1.1", body.to_string()),
            Err((code, message)) => error(code, &message),
        }
    }

    /// What the machines are to run; each is given out once.
    pub(crate) fn take_runs(&mut self) -> Vec<Run> {
        self.runs.drain(..).collect()
    }

    /// A machine has run something, or could not.
    pub(crate) fn ended(&mut self, run: &Run, came_of_it: Result<Ran, String>, now: Timestamp) {
        let sent = self.sent.get_mut(&run.command);
        if let Some(invocation) = sent.and_then(|sent| sent.invocations.get_mut(&run.instance)) {
            invocation.ended = Some((now, came_of_it));
        }
    }

    fn send(&mut self, body: &Value, online: &Online, now: Timestamp) -> Result<Value, Refused> {
        let document = body["DocumentName"].as_str().unwrap_or_default();
        if document != DOCUMENT {
            return Err(("InvalidDocument", format!("The document {document} does not exist: {DOCUMENT} does.")));
        }
        let lines = texts(&body["Parameters"]["commands"]);
        if lines.is_empty() {
            return Err(("InvalidParameters", "Missing parameter: commands".into()));
        }
        let instances = chosen(body, online)?;
        let strangers: Vec<&str> =
            instances.iter().filter(|id| !online.contains_key(*id)).map(String::as_str).collect();
        if !strangers.is_empty() {
            let list = strangers.join(", ");
            return Err(("InvalidInstanceId", format!("Instances [[{list}]] not in a valid state for account")));
        }
        self.next += 1;
        let command = self.next;
        let script = lines.join("\n");
        let new = |id: &String| (id.clone(), Invocation { began: now, ended: None });
        let comment = body["Comment"].as_str().unwrap_or_default().to_owned();
        self.sent.insert(command, Sent { comment, invocations: instances.iter().map(new).collect() });
        while self.sent.len() > KEPT {
            self.sent.pop_first();
        }
        let run = |instance: &String| Run { command, instance: instance.clone(), script: script.clone() };
        self.runs.extend(instances.iter().map(run));
        Ok(json!({ "Command": {
            "CommandId": id_text(command),
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "Comment": body["Comment"].as_str().unwrap_or_default(),
            "Parameters": body["Parameters"],
            "InstanceIds": instances,
            "Targets": body["Targets"].as_array().cloned().unwrap_or_default(),
            "RequestedDateTime": seconds(now),
            "Status": "Pending",
            "StatusDetails": "Pending",
            "TargetCount": instances.len(),
            "CompletedCount": 0,
            "ErrorCount": 0,
            "TimeoutSeconds": body["TimeoutSeconds"].as_u64().unwrap_or(3_600),
        }}))
    }

    fn invocation(&self, body: &Value) -> Result<Value, Refused> {
        let (command, instance) = (body["CommandId"].as_str(), body["InstanceId"].as_str().unwrap_or_default());
        let sent = command.and_then(number).and_then(|command| self.sent.get(&command));
        let found = sent.and_then(|sent| Some((sent, sent.invocations.get(instance)?)));
        let (sent, invocation) = found.ok_or(("InvocationDoesNotExist", String::new()))?;
        let (status, code, out, err) = match &invocation.ended {
            None => ("InProgress", -1, String::new(), String::new()),
            Some((_, Ok(ran))) => {
                let status = if ran.code == 0 { "Success" } else { "Failed" };
                (status, ran.code, head(&ran.out, OUTPUT), head(&ran.err, ERROR_OUTPUT))
            }
            Some((_, Err(why))) => ("Failed", -1, String::new(), head(why, ERROR_OUTPUT)),
        };
        let ended = invocation.ended.as_ref().map_or(String::new(), |(at, _)| at.to_string());
        Ok(json!({
            "CommandId": command,
            "InstanceId": instance,
            "Comment": sent.comment,
            "DocumentName": DOCUMENT,
            "DocumentVersion": "$DEFAULT",
            "PluginName": "aws:runShellScript",
            "ResponseCode": code,
            "ExecutionStartDateTime": invocation.began.to_string(),
            "ExecutionEndDateTime": ended,
            "Status": status,
            "StatusDetails": status,
            "StandardOutputContent": out,
            "StandardOutputUrl": "",
            "StandardErrorContent": err,
            "StandardErrorUrl": "",
        }))
    }
}

/// The instances of a command, by id or by a tag.
fn chosen(body: &Value, online: &Online) -> Result<Vec<String>, Refused> {
    let mut instances = texts(&body["InstanceIds"]);
    for target in body["Targets"].as_array().into_iter().flatten() {
        let (key, values) = (target["Key"].as_str().unwrap_or_default(), texts(&target["Values"]));
        match key.strip_prefix("tag:") {
            Some(name) => {
                let tagged = |tags: &BTreeMap<String, String>| tags.get(name).is_some_and(|tag| values.contains(tag));
                instances.extend(online.iter().filter(|(_, tags)| tagged(tags)).map(|(id, _)| id.clone()));
            }
            None if key == "InstanceIds" => instances.extend(values),
            None => return Err(("InvalidTarget", format!("The target {key} is none."))),
        }
    }
    if instances.is_empty() || instances.len() > MOST_INSTANCES {
        return Err(("ValidationException", format!("A command goes to 1 to {MOST_INSTANCES} instances.")));
    }
    Ok(instances)
}

fn describe(body: &Value, online: &Online, now: Timestamp) -> Result<Value, Refused> {
    let mut wanted: Option<Vec<String>> = None;
    let filters = [("Filters", "Key", "Values"), ("InstanceInformationFilterList", "key", "valueSet")];
    for (list, key, values) in filters {
        for filter in body[list].as_array().into_iter().flatten() {
            match filter[key].as_str().unwrap_or_default() {
                "InstanceIds" => wanted = Some(texts(&filter[values])),
                "PingStatus" if texts(&filter[values]) == ["Online"] => {}
                other => return Err(("InvalidFilterKey", format!("The filter {other} is not known here."))),
            }
        }
    }
    let asked = |id: &&String| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
    let shown: Vec<Value> = online
        .keys()
        .filter(asked)
        .map(|id| {
            json!({
                "InstanceId": id,
                "PingStatus": "Online",
                "LastPingDateTime": seconds(now),
                "AgentVersion": "3.3.0.0",
                "PlatformType": "Linux",
                "ResourceType": "EC2Instance",
            })
        })
        .collect();
    Ok(json!({ "InstanceInformationList": shown }))
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A command's id as the service writes them.
fn id_text(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("00000000-0000-4000-8000-")?, 16).ok()
}

/// The first characters of a text.
fn head(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn online() -> Online {
        let tags = |pool: &str| BTreeMap::from([("pool".to_owned(), pool.to_owned())]);
        BTreeMap::from([("i-1".to_owned(), tags("a")), ("i-2".to_owned(), tags("b"))])
    }

    fn ask(commands: &mut Commands, call: &str, body: &Value) -> (u16, Value) {
        let request = Request { body: body.to_string().into(), ..Request::default() };
        let response = commands.handle(&format!("AmazonSSM.{call}"), &request, &online(), NOW);
        (response.status, serde_json::from_slice(&response.body).expect("JSON"))
    }

    fn to(instances: &[&str]) -> Value {
        json!({ "DocumentName": DOCUMENT, "InstanceIds": instances, "Parameters": { "commands": ["a", "b"] } })
    }

    #[test]
    fn a_command_is_under_way_until_its_machine_has_run_it() {
        let mut commands = Commands::default();
        let (status, body) = ask(&mut commands, "SendCommand", &to(&["i-1", "i-2"]));
        assert_eq!(status, 200, "{body}");
        let runs = commands.take_runs();
        assert_eq!((runs.len(), runs[0].script.as_str(), commands.take_runs().len()), (2, "a\nb", 0));
        let id = &body["Command"]["CommandId"];
        let look = |commands: &mut Commands, instance: &str| {
            ask(commands, "GetCommandInvocation", &json!({ "CommandId": id, "InstanceId": instance })).1
        };
        assert_eq!(look(&mut commands, "i-1")["Status"], "InProgress");
        commands.ended(&runs[0], Ok(Ran { code: 3, out: "x".repeat(30_000), err: "why".into() }), NOW);
        commands.ended(&runs[1], Ok(Ran { code: 0, ..Ran::default() }), NOW);
        let failed = look(&mut commands, "i-1");
        assert_eq!((&failed["Status"], &failed["ResponseCode"]), (&json!("Failed"), &json!(3)));
        assert_eq!(failed["StandardOutputContent"].as_str().map(str::len), Some(OUTPUT), "no more is told");
        assert_eq!(look(&mut commands, "i-2")["Status"], "Success");
        assert_eq!(look(&mut commands, "i-3")["__type"], "InvocationDoesNotExist");
    }

    #[test]
    fn targets_may_be_tags() {
        let mut commands = Commands::default();
        let mut body = to(&[]);
        body["Targets"] = json!([{ "Key": "tag:pool", "Values": ["b"] }]);
        ask(&mut commands, "SendCommand", &body);
        assert_eq!(commands.take_runs().iter().map(|run| run.instance.as_str()).collect::<Vec<_>>(), ["i-2"]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_not_run() {
        let mut commands = Commands::default();
        let many: Vec<String> = (0..51).map(|number| format!("i-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut other = to(&["i-1"]);
        other["DocumentName"] = json!("AWS-RunPowerShellScript");
        let mut empty = to(&["i-1"]);
        empty["Parameters"] = json!({});
        for (body, code) in [
            (to(&["i-1", "i-9"]), "InvalidInstanceId"),
            (to(&[]), "ValidationException"),
            (to(&many), "ValidationException"),
            (other, "InvalidDocument"),
            (empty, "InvalidParameters"),
        ] {
            let (status, answer) = ask(&mut commands, "SendCommand", &body);
            assert_eq!((status, &answer["__type"]), (400, &json!(code)), "{body}");
        }
        assert_eq!(commands.take_runs(), []);
    }

    #[test]
    fn those_that_take_commands_are_listed() {
        let mut commands = Commands::default();
        let (_, all) = ask(&mut commands, "DescribeInstanceInformation", &json!({}));
        assert_eq!(all["InstanceInformationList"].as_array().map(Vec::len), Some(2));
        let filter = json!({ "Filters": [{ "Key": "InstanceIds", "Values": ["i-2", "i-9"] }] });
        let (_, one) = ask(&mut commands, "DescribeInstanceInformation", &filter);
        assert_eq!(one["InstanceInformationList"][0]["InstanceId"], "i-2");
        assert_eq!(one["InstanceInformationList"].as_array().map(Vec::len), Some(1));
    }
}
