//! Function apps, vaults and Application Insights.

use serde_json::{Value, json};

use crate::{
    azure::{
        arm::testing::{Bench, refusal, value},
        insights,
    },
    http::Request,
};

const GROUP: &str = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/ci/providers";

fn app() -> String {
    format!("{GROUP}/Microsoft.Web/sites/Scaler")
}

#[test]
fn an_app_has_a_state_an_identity_and_settings_that_only_a_post_tells() {
    let mut bench = Bench::new();
    let app = app();
    let user = format!("{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/scaler");
    assert_eq!(refusal(&bench.call("GET", &app, &Value::Null, &[]), 404), "ResourceNotFound");
    assert_eq!(refusal(&bench.call("PATCH", &app, &json!({}), &[]), 404), "ResourceNotFound");
    let list = format!("{app}/config/appsettings/list");
    assert_eq!(refusal(&bench.call("POST", &list, &Value::Null, &[]), 404), "ResourceNotFound");
    let body = json!({
        "location": "westeurope",
        "kind": "functionapp,linux",
        "identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {user.as_str(): {}}},
        "properties": {"siteConfig": {"appSettings": [{"name": "A", "value": "1"}]}},
    });
    let made = bench.call("PUT", &app, &body, &[]);
    assert_eq!(made.status, 201);
    let made = value(&made);
    assert_eq!((&made["name"], &made["properties"]["state"]), (&json!("Scaler"), &json!("Running")));
    assert_eq!(made["properties"]["siteConfig"], Value::Null, "it may hold secrets");
    let identity = &made["identity"];
    assert!(identity["principalId"].is_string() && identity["userAssignedIdentities"][&user]["clientId"].is_string());
    let settings = |bench: &mut Bench| value(&bench.call("POST", &list, &Value::Null, &[]))["properties"].clone();
    assert_eq!(settings(&mut bench), json!({"A": "1"}));
    let write = app.clone() + "/config/appsettings";
    assert_eq!(refusal(&bench.call("GET", &write, &Value::Null, &[]), 405), "HttpMethodNotAllowed");
    assert_eq!(refusal(&bench.call("PUT", &write, &json!({"properties": {"B": 2}}), &[]), 400), "BadRequest");
    bench.call("PUT", &write, &json!({"properties": {"B": "2"}}), &[]);
    assert_eq!(settings(&mut bench), json!({"B": "2"}), "all of them are written");
    for (call, state) in [("stop", "Stopped"), ("start", "Running")] {
        assert_eq!(bench.call("POST", &format!("{app}/{call}"), &Value::Null, &[]).status, 200);
        assert_eq!(bench.get(&app)["properties"]["state"], state);
    }
    let own = json!({"identity": {"type": "None"}, "properties": {"state": "Stopped"}});
    let changed = value(&bench.call("PATCH", &app, &own, &[]));
    assert_eq!(changed["identity"], json!({"type": "None"}));
    assert_eq!((&changed["properties"]["state"], &changed["kind"]), (&json!("Running"), &json!("functionapp,linux")));
    assert_eq!(bench.call("DELETE", &app, &Value::Null, &[]).status, 200);
    bench.call("PUT", &app, &json!({"location": "westeurope"}), &[]);
    assert_eq!(settings(&mut bench), json!({}), "another app of that name has none of them");
}

#[test]
fn functions_are_parts_of_an_app_that_is_there() {
    let mut bench = Bench::new();
    let (folder, one) = (format!("{}/functions", app()), format!("{}/functions/scale", app()));
    let body = json!({"properties": {"config": {"bindings": [{"type": "timerTrigger", "schedule": "0 * * * * *"}]}}});
    for (method, path) in [("GET", &folder), ("PUT", &one)] {
        assert_eq!(refusal(&bench.call(method, path, &body, &[]), 404), "ResourceNotFound");
    }
    bench.call("PUT", &app(), &json!({"location": "westeurope"}), &[]);
    assert_eq!(bench.get(&folder)["value"], json!([]));
    assert_eq!(refusal(&bench.call("PUT", &one, &json!({}), &[]), 400), "BadRequest");
    assert_eq!(bench.call("PUT", &one, &body, &[]).status, 201);
    let found = bench.get(&folder)["value"][0].clone();
    assert_eq!((&found["name"], &found["id"]), (&json!("Scaler/scale"), &json!(one)));
    assert_eq!(
        (&found["properties"]["isDisabled"], &found["type"]),
        (&json!(false), &json!("Microsoft.Web/sites/functions"))
    );
    assert_eq!(bench.call("DELETE", &one, &Value::Null, &[]).status, 204);
    assert_eq!(bench.get(&folder)["value"], json!([]));
}

#[test]
fn vaults_are_listed_for_the_whole_subscription_with_the_address_of_their_secrets() {
    let mut bench = Bench::new();
    let vault = format!("{GROUP}/Microsoft.KeyVault/vaults/acme");
    let all = format!("{}/providers/Microsoft.KeyVault/vaults", GROUP.split("/resourceGroups").next().unwrap());
    assert_eq!(bench.get(&all)["value"], json!([]));
    let body =
        json!({"location": "westeurope", "properties": {"tenantId": "t", "sku": {"family": "A", "name": "standard"}}});
    assert_eq!(refusal(&bench.call("PUT", &vault, &json!({"location": "westeurope"}), &[]), 400), "BadRequest");
    assert_eq!(bench.call("PUT", &vault, &body, &[("host", "127.0.0.1:80")]).status, 201);
    bench.call("PUT", &app(), &json!({"location": "westeurope"}), &[]);
    let listed = bench.get(&all)["value"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1, "an app is no vault");
    let properties = &listed[0]["properties"];
    assert_eq!(
        (&properties["vaultUri"], &properties["enableRbacAuthorization"]),
        (&json!("http://127.0.0.1:80/"), &json!(false))
    );
    let roles = json!({"properties": {"enableRbacAuthorization": true}});
    assert_eq!(value(&bench.call("PATCH", &vault, &roles, &[]))["properties"]["tenantId"], "t");
    assert_eq!(bench.get(&vault)["properties"]["enableRbacAuthorization"], true);
    assert_eq!(bench.call("PATCH", &all, &roles, &[]).status, 405);
}

#[test]
fn of_an_application_insights_that_is_there_each_query_finds_nothing() {
    let mut bench = Bench::new();
    let component = format!("{GROUP}/Microsoft.Insights/components/ci");
    let made = value(&bench.call("PUT", &component, &json!({"location": "westeurope", "kind": "web"}), &[]));
    let application = made["properties"]["AppId"].as_str().unwrap().to_owned();
    let named = made["properties"]["ConnectionString"].as_str().unwrap();
    assert!(named.contains(&format!(";ApplicationId={application}")), "{named}");
    let ask = |application: &str, query: &str| Request {
        method: "POST".into(),
        path: format!("/v1/apps/{application}/query"),
        body: json!({"query": query}).to_string().into(),
        ..Request::default()
    };
    let query = "traces | where message == 'a|b' | project message, own = 1";
    let found = insights::handle(&bench.azure, &ask(&application, query));
    let columns = json!([{"name": "message", "type": "string"}, {"name": "own", "type": "string"}]);
    let table = json!({"name": "PrimaryResult", "columns": columns, "rows": []});
    assert_eq!((found.status, value(&found)), (200, json!({"tables": [table]})));
    assert_eq!(refusal(&insights::handle(&bench.azure, &ask(&application, "traces | count")), 400), "BadArgumentError");
    bench.call("DELETE", &component, &Value::Null, &[]);
    assert_eq!(refusal(&insights::handle(&bench.azure, &ask(&application, query)), 404), "PathNotFoundError");
}
