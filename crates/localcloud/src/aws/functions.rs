//! Lambda functions and the schedules of EventBridge Scheduler, as far as one looks how they are set up (AWS REST JSON). Nothing here is ever
//! invoked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::http::{Request, Response};

const FUNCTIONS: &str = "/2015-03-31/functions";
const SCHEDULES: &str = "/schedules";

/// What there is of both.
pub(crate) struct Functions {
    /// Their configurations, by name.
    configured: BTreeMap<String, Value>,
    /// By name, in the default group.
    schedules: BTreeMap<String, Value>,
    region: String,
    account: String,
}

/// Whether a request is for one of the two services.
pub(crate) fn is_for(request: &Request) -> bool {
    request.header("authorization").is_some_and(|signature| {
        (request.path.starts_with(FUNCTIONS) && signature.contains("/lambda/aws4_request"))
            || (request.path.starts_with(SCHEDULES) && signature.contains("/scheduler/aws4_request"))
    })
}

/// The name of what a request asks for, such as `CreateFunction`.
pub(crate) fn action(request: &Request) -> &'static str {
    match (request.method.as_str(), request.path.starts_with(FUNCTIONS), name(request).is_some()) {
        ("POST", true, false) => "CreateFunction",
        ("GET", true, true) => "GetFunctionConfiguration",
        ("PUT", true, true) => "UpdateFunctionConfiguration",
        ("DELETE", true, true) => "DeleteFunction",
        ("POST", false, true) => "CreateSchedule",
        ("PUT", false, true) => "UpdateSchedule",
        ("GET", false, true) => "GetSchedule",
        ("GET", false, false) => "ListSchedules",
        ("DELETE", false, true) => "DeleteSchedule",
        _ => "UnknownOperation",
    }
}

/// The function's or the schedule's name in the path; a function may be named by its ARN.
fn name(request: &Request) -> Option<String> {
    let path = request.path.strip_prefix(FUNCTIONS).or_else(|| request.path.strip_prefix(SCHEDULES))?;
    let name = path.trim_start_matches('/').split('/').next().filter(|name| !name.is_empty())?;
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    Some(name.rsplit(':').next().unwrap_or_default().to_owned())
}

type Refused = (u16, &'static str, String);

impl Functions {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        let (region, account) = (region.to_owned(), account.to_owned());
        Self { configured: BTreeMap::new(), schedules: BTreeMap::new(), region, account }
    }

    pub(crate) fn handle(&mut self, request: &Request) -> Response {
        let body = if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
        let Ok(body) = body else {
            return refuse(400, "SerializationException", "the body is not JSON");
        };
        let name = name(request).unwrap_or_default();
        let answer = match action(request) {
            "CreateFunction" => self.create(&body),
            "GetFunctionConfiguration" => self.function(&name).cloned(),
            "UpdateFunctionConfiguration" => self.update(&name, &body),
            "DeleteFunction" => self.function(&name).map(drop).map(|()| {
                self.configured.remove(&name);
                json!({})
            }),
            "CreateSchedule" => self.schedule(&name, body, false),
            "UpdateSchedule" => self.schedule(&name, body, true),
            "GetSchedule" => self.schedules.get(&name).cloned().ok_or_else(|| no_schedule(&name)),
            "ListSchedules" => Ok(self.list()),
            "DeleteSchedule" => self.schedules.remove(&name).map(|_| json!({})).ok_or_else(|| no_schedule(&name)),
            other => Err((404, "UnknownOperationException", format!("there is no {other} here"))),
        };
        match answer {
            Ok(body) => Response::new(200, "application/json", body.to_string()),
            Err((status, code, message)) => refuse(status, code, &message),
        }
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, self.account)
    }

    fn function(&self, name: &str) -> Result<&Value, Refused> {
        let missing = || (404, "ResourceNotFoundException", format!("Function not found: {}", self.arn(name)));
        self.configured.get(name).ok_or_else(missing)
    }

    fn create(&mut self, body: &Value) -> Result<Value, Refused> {
        let name = body["FunctionName"].as_str().unwrap_or_default();
        if name.is_empty() || !body["Role"].is_string() {
            let message = "1 validation error detected: Value null at 'role' failed to satisfy constraint: Member must not be null";
            return Err((400, "ValidationException", message.into()));
        }
        if self.configured.contains_key(name) {
            return Err((409, "ResourceConflictException", format!("Function already exist: {name}")));
        }
        let mut configuration = json!({
            "FunctionName": name,
            "FunctionArn": self.arn(name),
            "Role": body["Role"],
            "Runtime": body["Runtime"],
            "Handler": body["Handler"],
            "Timeout": timeout(body)?.unwrap_or(3),
            "MemorySize": 128,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": format!("/aws/lambda/{name}")},
        });
        set_variables(&mut configuration, body);
        self.configured.insert(name.to_owned(), configuration.clone());
        Ok(configuration)
    }

    fn update(&mut self, name: &str, body: &Value) -> Result<Value, Refused> {
        let timeout = timeout(body)?;
        let mut configuration = self.function(name)?.clone();
        if let Some(timeout) = timeout {
            configuration["Timeout"] = json!(timeout);
        }
        if body["Role"].is_string() {
            configuration["Role"] = body["Role"].clone();
        }
        set_variables(&mut configuration, body);
        self.configured.insert(name.to_owned(), configuration.clone());
        Ok(configuration)
    }

    fn schedule(&mut self, name: &str, mut body: Value, there: bool) -> Result<Value, Refused> {
        match (self.schedules.contains_key(name), there) {
            (false, true) => return Err(no_schedule(name)),
            (true, false) => return Err((409, "ConflictException", format!("Schedule {name} already exists."))),
            (true, true) | (false, false) => {}
        }
        if !body["ScheduleExpression"].is_string() || !body["Target"]["Arn"].is_string() {
            return Err((400, "ValidationException", "ScheduleExpression and Target must not be null".into()));
        }
        let arn = format!("arn:aws:scheduler:{}:{}:schedule/default/{name}", self.region, self.account);
        body["Name"] = json!(name);
        body["GroupName"] = json!("default");
        body["Arn"] = json!(arn);
        if !body["State"].is_string() {
            body["State"] = json!("ENABLED");
        }
        self.schedules.insert(name.to_owned(), body);
        Ok(json!({ "ScheduleArn": arn }))
    }

    /// The expression is not among what a list tells (EventBridge Scheduler API reference, `ScheduleSummary`).
    fn list(&self) -> Value {
        let short = |(name, it): (&String, &Value)| json!({ "Name": name, "GroupName": "default", "Arn": it["Arn"], "State": it["State"], "Target": {"Arn": it["Target"]["Arn"]} });
        json!({ "Schedules": self.schedules.iter().map(short).collect::<Vec<_>>() })
    }
}

/// All of them at once: those that are not named are gone (Lambda API reference, `UpdateFunctionConfiguration`).
fn set_variables(configuration: &mut Value, body: &Value) {
    if body["Environment"]["Variables"].is_object() {
        configuration["Environment"] = json!({ "Variables": body["Environment"]["Variables"] });
    }
}

/// Lambda allows fifteen minutes (Lambda API reference, `CreateFunction`).
fn timeout(body: &Value) -> Result<Option<u64>, Refused> {
    match body["Timeout"].as_u64() {
        None | Some(1..=900) => Ok(body["Timeout"].as_u64()),
        Some(other) => {
            let message = format!(
                "1 validation error detected: Value '{other}' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"
            );
            Err((400, "ValidationException", message))
        }
    }
}

fn no_schedule(name: &str) -> Refused {
    (404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
}

/// An error as these services send it: its name is in a header alone.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "Message": message, "message": message });
    Response::new(status, "application/json", body.to_string()).header("x-amzn-errortype", code)
}
