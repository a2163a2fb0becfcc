use std::time::Duration;

use serde_json::{Value, json};

use super::{EventKind, handle};
use crate::{
    azure::{
        arm::testing::Bench,
        identity::{MANAGEMENT, Tokens, Unauthenticated, VAULT, client_id},
        model::AzureOptions,
    },
    http::{self, Request, Response},
};

const VERSION: &str = "api-version=2021-12-13";

fn ask(bench: &mut Bench, tokens: &mut Tokens, method: &str, url: &str, body: &Value) -> Response {
    let name = bench.names()[0].clone();
    let request = request(method, url, body);
    let response = handle(&mut bench.azure, tokens, &name, &request, bench.now);
    bench.drain();
    response
}

fn request(method: &str, url: &str, body: &Value) -> Request {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Request {
        method: method.into(),
        path: path.into(),
        query: http::pairs(query.as_bytes()),
        headers: [("metadata".to_owned(), "true".to_owned())].into(),
        body: body.to_string().into(),
    }
}

fn get(bench: &mut Bench, url: &str) -> Response {
    ask(bench, &mut Tokens::new(1), "GET", url, &Value::Null)
}

fn json_of(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn a_machine_is_told_what_it_is() {
    let mut bench = Bench::flexible(1, &json!({"tags": {"team": "ci", "pool": "large"}, "zones": ["2"]}));
    let name = bench.names()[0].clone();
    let compute = json_of(&get(&mut bench, &format!("/metadata/instance/compute?{VERSION}")));
    assert_eq!(
        (&compute["name"], &compute["vmScaleSetName"], &compute["zone"]),
        (&json!(name), &json!("ci"), &json!("2"))
    );
    assert!(compute["resourceId"].as_str().unwrap().ends_with(&format!("/virtualMachines/{name}")));
    assert_eq!(compute["tags"], "pool:large;team:ci");
    assert_eq!(compute["tagsList"][1], json!({"name": "team", "value": "ci"}));
    assert!(compute["platformFaultDomain"].is_string(), "what is a number elsewhere is a string");
    let text = get(&mut bench, &format!("/metadata/instance/compute/name?{VERSION}&format=text"));
    assert_eq!(text.text(), name);
    assert_eq!(get(&mut bench, &format!("/metadata/instance/compute/name?{VERSION}")).status, 400);
    assert_eq!(get(&mut bench, &format!("/metadata/instance/compute/nothing?{VERSION}")).status, 404);
    assert!(json_of(&get(&mut bench, &format!("/metadata/instance?{VERSION}")))["network"].is_object());
}

#[test]
fn a_request_has_its_header_and_a_version_and_came_through_no_proxy() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    let missing = get(&mut bench, "/metadata/instance/compute");
    assert_eq!(missing.status, 400);
    assert!(missing.text().contains("newest-versions"));
    assert_eq!(get(&mut bench, "/metadata/instance/compute?api-version=2031-01-01").status, 400);
    let mut tokens = Tokens::new(1);
    for change in ["metadata", "x-forwarded-for"] {
        let mut request = request("GET", &format!("/metadata/instance/compute?{VERSION}"), &Value::Null);
        if change == "metadata" {
            request.headers.clear();
        } else {
            request.headers.insert(change.into(), "10.0.0.1".into());
        }
        assert_eq!(handle(&mut bench.azure, &mut tokens, &name, &request, bench.now).status, 400, "{change}");
    }
}

#[test]
fn a_machine_asks_five_times_a_second() {
    let mut bench = Bench::with(AzureOptions::default());
    bench.create("Flexible", 1, &json!({}));
    bench.wait(30_000);
    let url = format!("/metadata/instance/compute?{VERSION}");
    let asked: Vec<u16> = (0..6).map(|_| get(&mut bench, &url).status).collect();
    assert_eq!(asked, [200, 200, 200, 200, 200, 429]);
    bench.wait(200);
    assert_eq!(get(&mut bench, &url).status, 200);
}

#[test]
fn events_are_seen_by_all_machines_of_a_set_and_go_when_they_are_over() {
    let mut bench = Bench::flexible(2, &json!({}));
    let names = bench.names();
    let url = "/metadata/scheduledevents?api-version=2020-07-01";
    let quiet = json_of(&get(&mut bench, url));
    assert_eq!(quiet["Events"], json!([]));
    let at = bench.now + Duration::from_secs(30);
    bench.azure.interrupt(&names[1], at, bench.now).unwrap();
    let told = json_of(&get(&mut bench, url));
    assert!(told["DocumentIncarnation"].as_u64() > quiet["DocumentIncarnation"].as_u64());
    let event = &told["Events"][0];
    assert_eq!((&event["EventType"], &event["EventStatus"]), (&json!("Preempt"), &json!("Scheduled")));
    assert_eq!((&event["Resources"], &event["ResourceType"]), (&json!([names[1]]), &json!("VirtualMachine")));
    assert_eq!(event["NotBefore"], "Fri, 15 Jan 2027 08:01:00 GMT");
    bench.obedient = false;
    bench.wait(31_000);
    let begun = json_of(&get(&mut bench, url));
    assert_eq!((&begun["Events"][0]["EventStatus"], &begun["Events"][0]["NotBefore"]), (&json!("Started"), &json!("")));
    bench.azure.powered_off(&names[1], bench.now);
    assert_eq!(json_of(&get(&mut bench, url))["Events"], json!([]));
}

#[test]
fn an_event_that_is_agreed_begins_at_once_whoever_agrees() {
    let mut bench = Bench::flexible(2, &json!({}));
    let names = bench.names();
    let at = bench.now + Duration::from_secs(900);
    bench.azure.maintain(&names[1], EventKind::Reboot, at, bench.now).unwrap();
    let url = "/metadata/scheduledevents?api-version=2020-07-01";
    let id = json_of(&get(&mut bench, url))["Events"][0]["EventId"].clone();
    let mut tokens = Tokens::new(1);
    for malformed in
        [json!({}), json!({"StartRequests": [{"EventId": 5}]}), json!({"StartRequests": [{"EventId": "none"}]})]
    {
        assert_eq!(ask(&mut bench, &mut tokens, "POST", url, &malformed).status, 400, "{malformed}");
    }
    let agreed = ask(&mut bench, &mut tokens, "POST", url, &json!({"StartRequests": [{"EventId": id}]}));
    assert_eq!(agreed.status, 200);
    assert_eq!(bench.told_to_end, [names[1].clone()], "by another machine than the one that it is about");
    bench.wait(30_000);
    assert_eq!(bench.launched.len(), 3, "it comes back");
    assert_eq!(bench.names(), names);
}

#[test]
fn a_frozen_machine_goes_on() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    let at = bench.now + Duration::from_secs(900);
    bench.azure.maintain(&name, EventKind::Freeze, at, bench.now).unwrap();
    bench.wait(901_000);
    assert_eq!(bench.azure.events_for(&name).1.len(), 1);
    bench.wait(10_000);
    assert_eq!(bench.azure.events_for(&name).1.len(), 0);
    assert!(bench.told_to_end.is_empty());
}

#[test]
fn the_first_question_turns_events_on_and_takes_a_while() {
    let mut bench = Bench::flexible(1, &json!({}));
    let name = bench.names()[0].clone();
    assert_eq!(bench.azure.ask_events(&name, bench.now), Duration::from_secs(2));
    bench.wait(500);
    assert_eq!(
        bench.azure.ask_events(&name, bench.now),
        Duration::from_millis(1_500),
        "whoever gave up waits for the rest"
    );
    bench.wait(5_000);
    assert_eq!(bench.azure.ask_events(&name, bench.now), Duration::ZERO);
    bench.wait(86_400_000);
    assert_eq!(bench.azure.ask_events(&name, bench.now), Duration::from_secs(2), "a day of silence turns them off");
}

const TOKEN: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://management.azure.com/";

fn bearer(token: &Value) -> Request {
    let header = format!("Bearer {}", token["access_token"].as_str().unwrap());
    Request { headers: [("authorization".to_owned(), header)].into(), ..Request::default() }
}

#[test]
fn a_token_is_for_one_audience_and_one_day() {
    let mut bench = Bench::uniform(1, &json!({"identity": {"type": "SystemAssigned"}}));
    let mut tokens = Tokens::new(1);
    let token = json_of(&ask(&mut bench, &mut tokens, "GET", TOKEN, &Value::Null));
    assert_eq!(token["expires_in"], "86400", "numbers are strings");
    let request = bearer(&token);
    let caller = tokens.caller(&request, &MANAGEMENT, bench.now).unwrap();
    assert_eq!(caller.machine(), Some("ci_0"));
    assert_eq!(tokens.caller(&request, &VAULT, bench.now), Err(Unauthenticated::Audience));
    assert_eq!(tokens.caller(&Request::default(), &MANAGEMENT, bench.now), Err(Unauthenticated::Missing));
    let again = json_of(&ask(&mut bench, &mut tokens, "GET", TOKEN, &Value::Null));
    assert_eq!(again["access_token"], token["access_token"], "it is kept");
    let fresh = json_of(&ask(&mut bench, &mut tokens, "GET", &format!("{TOKEN}&bypass_cache=true"), &Value::Null));
    assert_ne!(fresh["access_token"], token["access_token"]);
    bench.wait(86_400_000);
    assert_eq!(tokens.caller(&request, &MANAGEMENT, bench.now), Err(Unauthenticated::Expired));
}

#[test]
fn of_several_identities_one_is_named() {
    let path = |name: &str| {
        format!("/subscriptions/s/resourceGroups/ci/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
    };
    let users = |names: &[&str]| {
        let users = names.iter().map(|name| (path(name), json!({}))).collect::<serde_json::Map<_, _>>();
        Bench::flexible(1, &json!({"identity": {"type": "UserAssigned", "userAssignedIdentities": users}}))
    };
    let mut tokens = Tokens::new(1);
    let mut one = users(&["agent"]);
    assert_eq!(
        json_of(&ask(&mut one, &mut tokens, "GET", TOKEN, &Value::Null))["client_id"],
        client_id(&path("agent"))
    );
    let mut two = users(&["agent", "other"]);
    let refused = ask(&mut two, &mut tokens, "GET", TOKEN, &Value::Null);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Multiple user assigned identities exist"));
    for chosen in [format!("client_id={}", client_id(&path("other"))), format!("msi_res_id={}", path("OTHER"))] {
        let token = json_of(&ask(&mut two, &mut tokens, "GET", &format!("{TOKEN}&{chosen}"), &Value::Null));
        assert_eq!(token["client_id"], client_id(&path("other")));
    }
    let mut none = Bench::flexible(1, &json!({}));
    let refused = ask(&mut none, &mut tokens, "GET", TOKEN, &Value::Null);
    assert!(refused.status == 400 && refused.text().contains("Identity not found"));
    let refused =
        ask(&mut one, &mut tokens, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01", &Value::Null);
    assert!(refused.status == 400 && refused.text().contains("invalid_request"));
}
