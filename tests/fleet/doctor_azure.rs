//! `lightsout doctor` on the embedded Azure, from a workstation: the scale set of `up`, its vault, and a function app that is the scaler, made over the wire as a
//! real one is. All is well, until one thing is changed there.

use serde_json::{Value, json};

use crate::rig::{Fleet, ProgramOutput, http, lightsout_command};

pub(crate) const GROUP: &str = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b/resourceGroups/lightsout/providers";
const ROLES: &str = "2022-04-01";
const APPS: &str = "2024-04-01";
const VAULTS: &str = "2023-07-01";
const COMPONENTS: &str = "2020-02-02";

const APP: &str = "Microsoft.Web/sites/ci-scaler";
const SETTINGS: &str = "Microsoft.Web/sites/ci-scaler/config/appsettings";
const TIMER: &str = "Microsoft.Web/sites/ci-scaler/functions/scale";
const LOG: &str = "Microsoft.Insights/components/ci";
const VAULT: &str = "Microsoft.KeyVault/vaults/lightsout";
/// The role that `up` makes for its agents, and the one of the scaler.
const AGENT_ROLE: &str = "5ca1ab1e-0000-4000-8000-000000000001";
const SCALER_ROLE: &str = "5ca1ab1e-0000-4000-8000-00000000000a";
/// The built-in role that lets its holder read secrets.
const SECRETS_USER: &str = "4633458b-17de-408a-874b-0445c86b69e6";

/// What begins an invocation, and what the scaler's identity may do: as the package and the Terraform module have it.
const PACKAGED: &str = include_str!("../../packer/function-app/scale/function.json");
const MODULE: &str = include_str!("../../terraform/azure/roles.tf");

/// A call of an operator: method, resource below [`GROUP`], version of the API, body.
type Call = (&'static str, String, &'static str, Value);

/// The rows that are not well, each with how bad it is.
type Found = Vec<(&'static str, &'static str)>;

fn send(fleet: &Fleet, (method, resource, version, body): &Call) -> Value {
    write(fleet, method, resource, version, body)
}

/// Writes to the embedded Azure as an operator, and answers what it says.
pub(crate) fn write(fleet: &Fleet, method: &str, resource: &str, version: &str, body: &Value) -> Value {
    let url = format!("{}{GROUP}/{resource}?api-version={version}", fleet.url());
    let headers = [("content-type", "application/json"), ("authorization", "Bearer operator")];
    let (status, answer) = http::send_with(method, &url, &headers, &body.to_string()).expect("it answers");
    assert!((200..300).contains(&status), "{method} {resource}: {status} {answer}");
    serde_json::from_str(&answer).unwrap_or_default()
}

/// Everything that is seen from a workstation, by somebody with credentials of their own.
fn look(fleet: &Fleet, arguments: &str) -> (ProgramOutput, Vec<Value>) {
    let settings = fleet.dir().join("scaler.toml");
    let output: ProgramOutput =
        lightsout_command(&fleet.dir(), &format!("doctor --config {} --json {arguments}", settings.display()))
            .envs(
                ["AZURE_RESOURCE_MANAGER_ENDPOINT", "AZURE_AUTHORITY_HOST", "AZURE_APPLICATION_INSIGHTS_ENDPOINT"]
                    .map(|name| (name, fleet.url())),
            )
            .envs(["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"].map(|name| (name, "person")))
            .output()
            .expect("lightsout starts")
            .into();
    let lines = output.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output:?}")));
    let findings = lines.collect();
    (output, findings)
}

/// What is not well of the scale set.
pub(crate) fn on_workstation(fleet: &Fleet) -> Vec<Value> {
    look(fleet, "").1.into_iter().filter(|finding| finding["verdict"] != "ok").collect()
}

fn id(finding: &Value) -> &str {
    finding["id"].as_str().expect("a row has an id")
}

/// The id and the verdict of each finding that is not well.
fn not_ok(findings: &[Value]) -> Vec<(&str, &str)> {
    let bad = findings.iter().filter(|finding| finding["verdict"] != "ok");
    bad.map(|finding| (id(finding), finding["verdict"].as_str().unwrap())).collect()
}

fn assignment(name: &str) -> String {
    format!("Microsoft.Authorization/roleAssignments/5ca1ab1e-0000-4000-8000-{name:0>12}")
}

fn held(role: &str, principal: &Value) -> Value {
    let id = format!("{GROUP}/Microsoft.Authorization/roleDefinitions/{role}").replace("/resourceGroups/lightsout", "");
    json!({"properties": {"roleDefinitionId": id, "principalId": principal, "principalType": "ServicePrincipal"}})
}

/// The app's settings, with its log and these.
fn settings(connection: &Value, more: &[(&str, &str)]) -> Call {
    let mut settings = json!({"APPLICATIONINSIGHTS_CONNECTION_STRING": connection});
    for (name, value) in more {
        settings[name] = json!(value);
    }
    ("PUT", SETTINGS.into(), APPS, json!({"properties": settings}))
}

fn module_role(actions: &[&str]) -> Value {
    json!({"properties": {"roleName": "lightsout", "permissions": [{"actions": actions}], "assignableScopes": [GROUP]}})
}

/// The rights of the module's role of this name.
fn actions(of: &str) -> Vec<&'static str> {
    let (_, role) = MODULE.split_once(&format!("\"azurerm_role_definition\" \"{of}\"")).expect("the module has it");
    let role = role.split_once("assignable_scopes").map_or(role, |(role, _)| role);
    role.split('"').filter(|text| text.starts_with("Microsoft.")).collect()
}

/// Makes the function app that is the scaler, as the module and its package do. Answers the principal that it is.
fn deploy(fleet: &Fleet, connection: &Value) -> Value {
    let app = json!({"location": "westeurope", "kind": "functionapp,linux", "identity": {"type": "SystemAssigned"}});
    let app = write(fleet, "PUT", APP, APPS, &app);
    send(fleet, &settings(connection, &[]));
    send(fleet, &timer());
    let principal = app["identity"]["principalId"].clone();
    // Some of what the module gives on single resources is given on their group here.
    let (_, scaler) = MODULE.split_once("\"azurerm_role_definition\" \"scaler\"").expect("the module has it");
    let all: Vec<&str> = scaler.split('"').filter(|text| text.starts_with("Microsoft.")).collect();
    let role = format!("Microsoft.Authorization/roleDefinitions/{SCALER_ROLE}");
    write(fleet, "PUT", &role, ROLES, &module_role(&all));
    write(fleet, "PUT", &format!("{VAULT}/providers/{}", assignment("b")), ROLES, &held(SECRETS_USER, &principal));
    principal
}

/// The function of the package, as the host finds it.
fn timer() -> Call {
    let config: Value = serde_json::from_str(PACKAGED).expect("JSON");
    ("PUT", TIMER.into(), APPS, json!({"properties": {"config": config}}))
}

/// What is found, the call that makes it so and the one that mends it.
fn drifts(agent: &Value, scaler: &Value, connection: &Value) -> Vec<(Found, Call, Call)> {
    let switch = |how: &str| ("POST", format!("{APP}/{how}"), APPS, Value::Null);
    let back = settings(connection, &[]);
    let identity = |kind: &str| ("PATCH", APP.to_owned(), APPS, json!({"identity": {"type": kind}}));
    let vault = |properties: Value| ("PATCH", VAULT.to_owned(), VAULTS, json!({ "properties": properties }));
    let by_roles = vault(json!({"enableRbacAuthorization": true, "accessPolicies": []}));
    let policy = |who: &Value| json!({"tenantId": "t", "objectId": who, "permissions": {"secrets": ["get"]}});
    let role = |actions: &[&str]| {
        ("PUT", format!("Microsoft.Authorization/roleDefinitions/{AGENT_ROLE}"), ROLES, module_role(actions))
    };
    let of_agent = actions("agent");
    let less: Vec<&str> =
        of_agent.iter().copied().filter(|action| !action.ends_with("/virtualMachines/delete")).collect();
    let set = |properties: Value| {
        ("PATCH", "Microsoft.Compute/virtualMachineScaleSets/lightsout-demo".to_owned(), "2024-07-01", properties)
    };
    let secrets = format!("{VAULT}/providers/{}", assignment("3"));
    let unassigned = |path: &str| ("DELETE", path.to_owned(), ROLES, Value::Null);
    vec![
        (vec![("function", "wrong")], switch("stop"), switch("start")),
        (
            vec![("function", "wrong"), ("function.schedule", "warning")],
            ("DELETE", TIMER.into(), APPS, Value::Null),
            timer(),
        ),
        (
            vec![("function.schedule", "wrong")],
            settings(connection, &[("AzureWebJobs.scale.Disabled", "true")]),
            back.clone(),
        ),
        (
            vec![("function.time-out", "wrong")],
            settings(connection, &[("AzureFunctionsJobHost__functionTimeout", "00:00:05")]),
            back.clone(),
        ),
        (vec![("function.errors", "warning")], settings(&json!("InstrumentationKey=k"), &[]), back),
        (
            vec![("function.errors", "warning")],
            ("DELETE", LOG.into(), COMPONENTS, Value::Null),
            ("PUT", LOG.into(), COMPONENTS, json!({"location": "westeurope", "kind": "web"})),
        ),
        (vec![("role.scaler", "wrong")], identity("None"), identity("SystemAssigned")),
        (
            vec![("role.scaler", "wrong")],
            unassigned(&assignment("a")),
            ("PUT", assignment("a"), ROLES, held(SCALER_ROLE, scaler)),
        ),
        (vec![("scale-set.role", "wrong")], unassigned(&secrets), ("PUT", secrets, ROLES, held(SECRETS_USER, agent))),
        (vec![("scale-set.role", "wrong")], role(&less), role(&of_agent)),
        (
            vec![("scale-set.role", "wrong"), ("role.scaler", "wrong")],
            vault(json!({"enableRbacAuthorization": false})),
            by_roles.clone(),
        ),
        (
            vec![],
            vault(json!({"enableRbacAuthorization": false, "accessPolicies": [policy(agent), policy(scaler)]})),
            by_roles,
        ),
        (
            vec![("template.types", "wrong")],
            set(json!({"sku": {"name": "Standard_A0"}})),
            set(json!({"sku": {"name": "Standard_F2s_v2"}})),
        ),
    ]
}

/// Looks at the whole of it, with the settings of this machine's agent: first all well, then with each drift.
pub(crate) fn each_drift_is_found_by_its_own_name(fleet: &Fleet, instance: &str) {
    let agent = fleet.dir().join("instances").join(instance).join("agent.toml");
    let arguments = format!("--agent {} --function {GROUP}/{APP}", agent.display());
    let (output, findings) = look(fleet, &arguments);
    assert_eq!((output.code, not_ok(&findings)), (Some(1), vec![("function", "wrong")]), "nobody made it: {output:?}");
    let component = json!({"location": "westeurope", "kind": "web"});
    let log = write(fleet, "PUT", LOG, COMPONENTS, &component);
    let connection = &log["properties"]["ConnectionString"];
    let scaler = deploy(fleet, connection);
    let (output, findings) = look(fleet, &arguments);
    assert_eq!(not_ok(&findings), [("role.scaler", "wrong")], "it has no role yet: {output:?}");
    write(fleet, "PUT", &assignment("a"), ROLES, &held(SCALER_ROLE, &scaler));

    let (output, findings) = look(fleet, &arguments);
    assert_eq!((output.code, not_ok(&findings)), (Some(0), vec![]), "{output:?}");
    for row in [
        "group",
        "group.subnets",
        "group.quota",
        "template.image",
        "template.types",
        "scale-set.members",
        "scale-set.role",
        "platform.secret",
        "platform.token",
        "role.scaler",
        "function",
        "function.errors",
        "function.schedule",
        "function.time-out",
    ] {
        assert!(findings.iter().any(|finding| id(finding) == row), "{row} is not looked at: {output:?}");
    }
    assert!(
        !findings.iter().any(|finding| id(finding) == "scale-set.model"),
        "what only a machine can tell: {output:?}"
    );

    let set =
        write(fleet, "GET", "Microsoft.Compute/virtualMachineScaleSets/lightsout-demo", "2024-07-01", &Value::Null);
    let identities = set["identity"]["userAssignedIdentities"].as_object().expect("it has one");
    let agent = identities.values().next().expect("it has one")["principalId"].clone();
    for (found, breaks, mends) in drifts(&agent, &scaler, connection) {
        send(fleet, &breaks);
        let (output, findings) = look(fleet, &arguments);
        assert_eq!(not_ok(&findings), found, "after {breaks:?}: {output:?}");
        let wrong = found.iter().any(|(_, verdict)| *verdict == "wrong");
        assert_eq!(output.code, Some(i32::from(wrong)), "{output:?}");
        send(fleet, &mends);
    }
    what_may_not_be_seen_is_a_warning_that_names_the_right(fleet, &arguments);
    let (output, findings) = look(fleet, &arguments);
    assert_eq!(not_ok(&findings), [], "all is mended: {output:?}");
}

/// Several calls are refused at once, as long as none of them hides another.
fn what_may_not_be_seen_is_a_warning_that_names_the_right(fleet: &Fleet, arguments: &str) {
    let rounds: [&[(&str, &str, &str)]; 3] = [
        &[
            ("group.subnets", "VirtualNetworks_ListUsage", "Microsoft.Network/virtualNetworks/usages/read"),
            ("group.quota", "Usage_List", "Microsoft.Compute/locations/usages/read"),
            (
                "template.image",
                "GalleryImageVersions_ListByGalleryImage",
                "Microsoft.Compute/galleries/images/versions/read",
            ),
            (
                "scale-set.autoscale",
                "AutoscaleSettings_ListBySubscription",
                "Microsoft.Insights/autoscaleSettings/read",
            ),
            (
                "scale-set.members",
                "VirtualMachineScaleSetVMs_List",
                "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
            ),
            ("scale-set.role", "RoleAssignments_ListForScope", "Microsoft.Authorization/roleAssignments/read"),
            ("role.scaler", "RoleAssignments_ListForScope", "Microsoft.Authorization/roleAssignments/read"),
            ("platform.secret", "GetSecret", "Microsoft.KeyVault/vaults/secrets/getSecret/action"),
            ("function.schedule", "WebApps_ListFunctions", "Microsoft.Web/sites/functions/read"),
            ("function.errors", "Query_Execute", "Microsoft.Insights/components/query/read"),
        ],
        &[
            ("template.types", "ResourceSkus_List", "Microsoft.Compute/skus/read"),
            ("scale-set.role", "Vaults_ListBySubscription", "Microsoft.KeyVault/vaults/read"),
            ("function.time-out", "WebApps_ListApplicationSettings", "Microsoft.Web/sites/config/list/action"),
        ],
        &[
            ("group", "VirtualMachineScaleSets_Get", "Microsoft.Compute/virtualMachineScaleSets/read"),
            ("function", "WebApps_Get", "Microsoft.Web/sites/read"),
        ],
    ];
    for denied in rounds {
        for (_, action, _) in denied {
            fleet.post("faults", &json!({"target": "azure", "action": action, "effect": {"status": {"code": 403}}}));
        }
        let (output, findings) = look(fleet, arguments);
        assert_eq!(output.code, Some(0), "nothing is known to be wrong: {output:?}");
        for (row, action, right) in denied {
            let finding = findings.iter().find(|finding| id(finding) == *row);
            let finding = finding.unwrap_or_else(|| panic!("{row} is left out without {action}: {output:?}"));
            assert_eq!(finding["verdict"], "warning", "without {action}: {finding}");
            assert!(finding["seen"].as_str().is_some_and(|seen| seen.contains(right)), "without {action}: {finding}");
        }
        fleet.request("DELETE", "faults", &Value::Null).expect("the faults are cleared");
    }
}
