//! Role definitions and assignments, and for whom they hold.

use serde_json::{Value, json};

use crate::azure::arm::testing::{Bench, COMPUTE, refusal, value};

const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
const ONE: &str = "00000000-0000-4000-8000-000000000001";
const TWO: &str = "00000000-0000-4000-8000-000000000002";

fn subscription() -> &'static str {
    COMPUTE.split("/resourceGroups").next().unwrap()
}

fn definition(name: &str) -> String {
    format!("{}/providers/Microsoft.Authorization/roleDefinitions/{name}", subscription())
}

fn on(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}")
}

fn to(principal: &str, role: &str) -> Value {
    json!({"properties": {"roleDefinitionId": definition(role), "principalId": principal}})
}

#[test]
fn a_role_holds_for_whom_it_was_assigned_to_and_where_until_it_is_taken_away() {
    let mut bench = Bench::new();
    let group = COMPUTE.split("/providers").next().unwrap();
    let set = format!("{COMPUTE}/virtualMachineScaleSets/ci");
    let listed = |bench: &mut Bench, scope: &str, filter: &str| {
        let all = bench.get(&format!("{}?$filter={filter}", on(scope, "").trim_end_matches('/')));
        all["value"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut bench, &set, "assignedTo('p')"), [""; 0]);
    assert_eq!(bench.call("PUT", &on(group, ONE), &to("p", OWNER), &[]).status, 201);
    assert_eq!(bench.call("PUT", &on(&set, TWO), &to("q", OWNER), &[]).status, 201);
    assert_eq!(listed(&mut bench, &set, "assignedTo('P')"), [ONE]);
    assert_eq!(listed(&mut bench, &set, "principalId%20eq%20'q'"), [TWO]);
    assert_eq!(listed(&mut bench, group, "assignedTo('q')"), [TWO], "below it, too");
    assert_eq!(listed(&mut bench, group, "atScope()"), [ONE]);
    assert_eq!(listed(&mut bench, &format!("{group}-2"), ""), [""; 0], "a group whose name begins alike");
    let strange =
        bench.call("GET", &format!("{}?$filter=name", on(group, "").trim_end_matches('/')), &Value::Null, &[]);
    assert_eq!(refusal(&strange, 400), "UnsupportedQuery");
    let again = bench.call("PUT", &on(group, TWO), &to("P", OWNER), &[]);
    assert_eq!(refusal(&again, 409), "RoleAssignmentExists");
    assert_eq!(refusal(&bench.call("PUT", &on(group, "me"), &to("r", OWNER), &[]), 400), "InvalidRoleAssignmentId");
    assert_eq!(refusal(&bench.call("PUT", &on(group, TWO), &to("r", TWO), &[]), 404), "RoleDefinitionDoesNotExist");
    assert_eq!(bench.get(&on(group, ONE))["properties"]["scope"], json!(group));
    for status in [200, 204] {
        assert_eq!(bench.call("DELETE", &on(group, ONE), &Value::Null, &[]).status, status);
    }
    assert_eq!(listed(&mut bench, &set, "assignedTo('p')"), [""; 0]);
    assert_eq!(refusal(&bench.call("GET", &on(group, ONE), &Value::Null, &[]), 404), "RoleAssignmentNotFound");
}

#[test]
fn a_role_is_built_in_or_somebodys_own_and_stays_while_somebody_has_it() {
    let mut bench = Bench::new();
    assert_eq!(bench.get(&definition(OWNER))["properties"]["permissions"][0]["actions"], json!(["*"]));
    let reader = bench.get(&definition("4633458b-17de-408a-874b-0445c86b69e6"))["properties"]["permissions"][0].clone();
    assert_eq!((&reader["actions"], reader["dataActions"].as_array().unwrap().len()), (&json!([]), 2));
    let role = json!({"properties": {"roleName": "raises", "permissions": [{"actions": ["*/write"]}]}});
    assert_eq!(refusal(&bench.call("GET", &definition(ONE), &Value::Null, &[]), 404), "RoleDefinitionDoesNotExist");
    assert_eq!(refusal(&bench.call("PUT", &definition(OWNER), &role, &[]), 400), "BadRequest");
    let made = value(&bench.call("PUT", &definition(ONE), &role, &[]));
    assert_eq!((&made["id"], &made["properties"]["type"]), (&json!(definition(ONE)), &json!("CustomRole")));
    assert_eq!(made["properties"]["permissions"][0]["notActions"], json!([]), "what is not said is empty");
    bench.call("PUT", &on(subscription(), TWO), &to("p", ONE), &[]);
    let used = bench.call("DELETE", &definition(ONE), &Value::Null, &[]);
    assert_eq!(refusal(&used, 400), "RoleDefinitionHasAssignments");
    bench.call("DELETE", &on(subscription(), TWO), &Value::Null, &[]);
    assert_eq!(bench.call("DELETE", &definition(ONE), &Value::Null, &[]).status, 200);
}
