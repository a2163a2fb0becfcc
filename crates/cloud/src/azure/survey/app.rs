//! A function app that is the scaler: whether it runs, what begins its invocations and how long they may take, what its log says that failed, and whether
//! its identity may do what these pools need.

use std::time::Duration;

use lightsout_core::{
    cloud::{CloudError, CloudErrorKind},
    doctor::facts::{Fact, FunctionFacts, RoleFacts, Schedule},
    exchange::{Method, Request},
};
use serde_json::{Value, json};

use super::{
    other,
    roles::{self, GrantedBy, Need},
    starting::ImageId,
};
use crate::{
    FunctionSeen, WantedFunction,
    azure::{
        call::{self, Call},
        client::Azure,
        error, reply,
    },
};

/// The versions of the APIs that are spoken: "Web Apps - Get", and "Query - Execute" of Application Insights.
const APPS: &str = "2024-04-01";
const LOGS: &str = "v1";

/// The function that the timer begins, as the package has it.
const TIMER: &str = "scale";
/// How long an invocation lasts at most: the scaler ends it by then (docs/azure.md), unless the host does so earlier.
const LONGEST: Duration = Duration::from_secs(58);
/// The setting by which somebody gives the host another time-out than the package's.
const TIME_OUT: &str = "AzureFunctionsJobHost__functionTimeout";
/// The most lines of the log that are read.
const LINES: usize = 200;

/// What the log of the last hour has of failures: lines of the scaler that are errors (`own`), what the host itself says, and what stands in no line of
/// either: a handler that exits or cannot be started, and invocations that fail. What the host answers to a webhook that it refuses is none. Of each minute
/// the scaler's own words come first, since they say why (Application Insights, "Telemetry data model").
fn failures() -> String {
    let of = |table: &str, which: &str, message: &str, own: &str| {
        format!("({table} | where timestamp > ago(1h) | {which} | project timestamp, message = {message}, own = {own})")
    };
    let lines = of(
        "traces",
        "extend r = parse_json(message) | where r.level == 'ERROR' or (severityLevel >= 3 and isnull(r.level))",
        "message",
        "iff(r.level == 'ERROR', 1, 0)",
    );
    let thrown = of("exceptions", "where true", "iff(isempty(innermostMessage), outerMessage, innermostMessage)", "0");
    let failed = of(
        "requests",
        "where tostring(success) =~ 'false' and not(tostring(resultCode) startswith '4')",
        "strcat('an invocation of ', name, ' failed: ', resultCode)",
        "0",
    );
    format!(
        "union {lines}, {thrown}, {failed} | top {LINES} by timestamp desc \
         | order by bin(timestamp, 1m) desc, own desc, timestamp desc | project message"
    )
}

/// What can be told of it, and its roles.
pub(in crate::azure) async fn look(azure: &Azure, wanted: &WantedFunction) -> FunctionSeen {
    let id = wanted.name.trim_end_matches('/');
    let app = match get(azure, "Microsoft.Web/sites/read", id).await {
        Ok(app) => app,
        Err(error) if error.kind == CloudErrorKind::NotFound => return (Ok(None), Vec::new()),
        Err(error) => return (Err(error.to_string()), Vec::new()),
    };
    let (settings, functions) = tokio::join!(Box::pin(settings(azure, id)), Box::pin(functions(azure, id)));
    let (errors, roles) =
        tokio::join!(Box::pin(errors(azure, &settings)), Box::pin(its_roles(azure, &app, &settings, wanted)));
    let facts = FunctionFacts {
        name: app["name"].as_str().unwrap_or(id).to_owned(),
        inactive: inactive(&app, &functions),
        timeout: Some(time_out(&settings)),
        errors: Some(errors),
        schedules: Some(schedules(&functions, &settings)),
        ..FunctionFacts::default()
    };
    (Ok(Some(facts)), roles)
}

async fn get(azure: &Azure, right: &'static str, path: &str) -> Result<Value, CloudError> {
    reply::parse(&azure.call(call::look(&azure.manager(), right, path, APPS)).await?).map_err(other)
}

/// Its application settings. Who may only read may not read them, since many are secrets.
async fn settings(azure: &Azure, id: &str) -> Fact<Value> {
    let right = "Microsoft.Web/sites/config/list/action";
    let call = call::look(&azure.manager(), right, &format!("{id}/config/appsettings/list"), APPS);
    let listed = azure.call(Call { request: Request { method: Method::Post, ..call.request }, ..call }).await;
    let listed: Result<Value, CloudError> = listed.and_then(|reply| reply::parse(&reply).map_err(other));
    listed.map(|listed| listed["properties"].clone()).map_err(|error| error.to_string())
}

/// The functions that the host found in the package.
async fn functions(azure: &Azure, id: &str) -> Fact<Vec<Value>> {
    let call = call::look(&azure.manager(), "Microsoft.Web/sites/functions/read", &format!("{id}/functions"), APPS);
    azure.list(call).await.map_err(|error| error.to_string())
}

/// Why nothing is invoked.
fn inactive(app: &Value, functions: &Fact<Vec<Value>>) -> Option<String> {
    let state = app["properties"]["state"].as_str().unwrap_or("Running");
    if state != "Running" {
        return Some(format!("its state is {state}"));
    }
    let empty = functions.as_ref().is_ok_and(|functions| timer(functions).is_none());
    empty.then(|| format!("it has no function {TIMER}: was its package deployed (docs/azure.md)?"))
}

fn timer(functions: &[Value]) -> Option<&Value> {
    // Listed as APP/FUNCTION.
    functions.iter().find(|function| {
        function["name"].as_str().is_some_and(|name| name.rsplit('/').next().is_some_and(|name| name == TIMER))
    })
}

fn schedules(functions: &Fact<Vec<Value>>, settings: &Fact<Value>) -> Fact<Vec<Schedule>> {
    let Some(function) = timer(functions.as_ref().map_err(Clone::clone)?) else { return Ok(Vec::new()) };
    let bindings = function["properties"]["config"]["bindings"].as_array();
    let timers = bindings.into_iter().flatten().filter(|binding| binding["type"] == "timerTrigger");
    let off = format!("AzureWebJobs.{TIMER}.Disabled");
    let switched = settings.as_ref().ok().and_then(|settings| settings[&off].as_str());
    let enabled = function["properties"]["isDisabled"] != true
        && !switched.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"));
    let schedule = |binding: &Value| {
        let when = binding["schedule"].as_str().unwrap_or_default().to_owned();
        Schedule { name: TIMER.into(), every: every(&when), when, enabled }
    };
    Ok(timers.map(schedule).collect())
}

/// `0 * * * * *`, `0 */5 * * * *`, and the same of hours (Azure Functions, "NCRONTAB expressions"); other expressions have no pace that can be told.
fn every(when: &str) -> Option<Duration> {
    let parts: Vec<&str> = when.split_whitespace().collect();
    let [seconds, minutes, hours, "*", "*", "*"] = parts[..] else { return None };
    let step = |part: &str| if part == "*" { Some(1) } else { part.strip_prefix("*/")?.parse::<u64>().ok() };
    let fixed = |part: &str| part.parse::<u64>().is_ok();
    let seconds = match (seconds, minutes, hours) {
        (at, every, "*") if fixed(at) && step(every).is_some() => step(every)? * 60,
        (at, minute, every) if fixed(at) && fixed(minute) => step(every)? * 3600,
        (every, "*", "*") => step(every)?,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// How long an invocation may take: the scaler's own time, or what somebody has set for the host where that is less.
fn time_out(settings: &Fact<Value>) -> Fact<Duration> {
    let settings =
        settings.as_ref().map_err(|why| format!("whether the host has another one, its settings say: {why}"))?;
    Ok(of_host(settings).map_or(LONGEST, |host| host.min(LONGEST)))
}

/// As somebody has set it for the host: `00:05:00`, -1 for as long as it takes.
fn of_host(settings: &Value) -> Option<Duration> {
    let parts = settings[TIME_OUT].as_str()?.split(':').map(|part| part.parse::<u64>().ok());
    let [hours, minutes, seconds] = parts.collect::<Option<Vec<_>>>()?[..] else { return None };
    Some(Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
}

/// What failed of late, oldest first.
async fn errors(azure: &Azure, settings: &Fact<Value>) -> Fact<Vec<String>> {
    let settings = settings.as_ref().map_err(|why| format!("where its log is, its settings say: {why}"))?;
    let named = settings["APPLICATIONINSIGHTS_CONNECTION_STRING"].as_str().unwrap_or_default();
    let part = |name: &str| named.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    if named.is_empty() {
        return Err("it is connected to no Application Insights: nobody keeps its log".into());
    }
    let Some(application) = part("ApplicationId") else {
        return Err(
            "APPLICATIONINSIGHTS_CONNECTION_STRING has no ApplicationId: take the present one of the resource".into()
        );
    };
    let right = "Microsoft.Insights/components/query/read";
    let url = format!("{}/{LOGS}/apps/{application}/query", azure.logs());
    let request = Request::new(Method::Post, url).json(&json!({ "query": failures() }), false);
    let reply = azure.authorized(&azure.logs(), right, &request).await.map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Err(error::of_reply(right, &reply).to_string());
    }
    let answer: Value = reply::parse(&reply)?;
    let rows = answer["tables"][0]["rows"].as_array().ok_or("the answer of Application Insights has no rows")?;
    Ok(rows.iter().rev().filter_map(|row| row[0].as_str()).map(failure).collect())
}

/// What a line says that failed.
fn failure(line: &str) -> String {
    let said: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |key: &str| said["fields"][key].as_str().or_else(|| said[key].as_str());
    let parts: Vec<&str> = [text("message"), text("error")].into_iter().flatten().collect();
    if parts.is_empty() { line.lines().next().unwrap_or_default().to_owned() } else { parts.join(": ") }
}

/// The roles of the identity that the scaler takes, compared with what these pools need.
async fn its_roles(azure: &Azure, app: &Value, settings: &Fact<Value>, wanted: &WantedFunction) -> Vec<RoleFacts> {
    let facts =
        |name: &str, difference| vec![RoleFacts { of_scaler: true, name: name.into(), by: roles::BY, difference }];
    let needs = match needs(azure, wanted).await {
        Ok(needs) => needs,
        Err(error) => return facts("the app", Err(error.to_string())),
    };
    match identity(&app["identity"], settings) {
        Taken::One(name, principal) => roles::of_each(azure, &needs, vec![(name, principal)], true).await,
        Taken::None(why) => facts(&format!("the app, {why},"), Ok(roles::nothing_of(&needs))),
        Taken::Unknown(why) => facts("the app", Err(why)),
    }
}

/// Whose tokens the scaler gets.
enum Taken {
    /// Those of this identity, with the principal that has its roles.
    One(String, Option<String>),
    /// Nobody's.
    None(&'static str),
    /// It cannot be told, and why.
    Unknown(String),
}

/// As the scaler asks for a token (`token::Source`), and as the app's endpoint answers (App Service, "Managed identities", REST endpoint reference): without
/// an id it takes the app's own identity alone.
fn identity(identity: &Value, settings: &Fact<Value>) -> Taken {
    let settings = match settings {
        Ok(settings) => settings,
        Err(why) => return Taken::Unknown(format!("which identity it takes, its settings say: {why}")),
    };
    let set = |name: &str| settings[name].as_str().filter(|value| !value.trim().is_empty());
    if set("AZURE_CLIENT_SECRET").is_some() {
        let why = "AZURE_CLIENT_SECRET is set: it asks as a service principal, at whose roles nothing here looks";
        return Taken::Unknown(why.into());
    }
    let own = identity["principalId"].as_str();
    let assigned = identity["userAssignedIdentities"].as_object();
    let principal = |principal: &str| Some(principal.to_owned());
    match (set("AZURE_CLIENT_ID"), own) {
        (Some(named), _) => {
            let is_it = |it: &Value| it["clientId"].as_str().is_some_and(|client| client.eq_ignore_ascii_case(named));
            match assigned.into_iter().flatten().find(|(_, it)| is_it(it)) {
                Some((id, it)) => Taken::One(
                    id.rsplit('/').next().unwrap_or_default().to_owned(),
                    it["principalId"].as_str().and_then(principal),
                ),
                None => Taken::None("which has none that AZURE_CLIENT_ID names"),
            }
        }
        (None, Some(own)) => Taken::One("its own identity".into(), principal(own)),
        (None, None) if assigned.is_some_and(|assigned| !assigned.is_empty()) => Taken::None(
            "which gets no token (AZURE_CLIENT_ID must name its user-assigned identity, also where that is the only one)",
        ),
        (None, None) => Taken::None("which has no identity"),
    }
}

/// What the scaler does with these scale sets and secrets (docs/clouds.md, "rights").
async fn needs(azure: &Azure, wanted: &WantedFunction) -> Result<Vec<Need>, CloudError> {
    let mut needs = Vec::new();
    let mut subscriptions = std::collections::BTreeSet::new();
    for group in &wanted.groups {
        let super::Read { set, found, whole, .. } = super::read(azure, group).await?;
        subscriptions.insert(set.subscription.clone());
        let why = "the scaler raises a scale set";
        let group = roles::resource_group(&set);
        let mut need =
            |action, scope: &str| needs.push(Need { action, scope: scope.to_owned(), why, by: GrantedBy::Actions });
        for action in [
            "Microsoft.Compute/locations/operations/read",
            "Microsoft.Compute/virtualMachineScaleSets/read",
            "Microsoft.Compute/virtualMachineScaleSets/write",
            "Microsoft.Resources/tags/write",
        ] {
            need(action, &set.to_string());
        }
        if !found.is_flexible() {
            need("Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read", &set.to_string());
            continue;
        }
        for action in [
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Network/networkInterfaces/read",
            "Microsoft.Network/networkInterfaces/write",
            "Microsoft.Network/networkInterfaces/join/action",
        ] {
            need(action, &group);
        }
        // What its machines use, as the module gives it (terraform/azure/roles.tf).
        for subnet in super::starting::subnet_ids(&whole) {
            need("Microsoft.Network/virtualNetworks/subnets/read", subnet);
            need("Microsoft.Network/virtualNetworks/subnets/join/action", subnet);
        }
        for (identity, _) in whole["identity"]["userAssignedIdentities"].as_object().into_iter().flatten() {
            need("Microsoft.ManagedIdentity/userAssignedIdentities/read", identity);
            need("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", identity);
        }
        match super::starting::image_id(&whole).map(ImageId::of) {
            Some(ImageId::Gallery { image, .. }) => {
                need("Microsoft.Compute/galleries/images/read", image);
                need("Microsoft.Compute/galleries/images/versions/read", image);
            }
            Some(ImageId::Managed(image)) => need("Microsoft.Compute/images/read", image),
            None => {}
        }
    }
    needs.extend(roles::of_vaults(azure, &subscriptions, &wanted.secrets).await?);
    Ok(needs)
}
