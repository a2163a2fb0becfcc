#!/usr/bin/env python3
"""The module for Azure: its examples are planned, their plans are what must hold, the settings in them go to WORK/settings, and each of a handful of changes to
the module is refused, by Terraform or by what must hold. azure.py WORK, where tests/terraform/run has copied the modules to WORK/repository.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from invariants import SECRET, Plan

SUBSCRIPTION = "/subscriptions/6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
GROUP = f"{SUBSCRIPTION}/resourceGroups/ci"
VARIABLES = {
    "resource_group_id": GROUP,
    "subnet_id": f"{SUBSCRIPTION}/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/ci/subnets/ci",
    "image_id": f"{SUBSCRIPTION}/resourceGroups/images/providers/Microsoft.Compute/images/ci",
    "key_vault_id": f"{SUBSCRIPTION}/resourceGroups/secrets/providers/Microsoft.KeyVault/vaults/acme-ci",
    "admin_public_key": "ssh-ed25519 AAAA operator",
    "application_insights_connection_string": "InstrumentationKey=6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b;IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/",
    "application_insights_id": f"{SUBSCRIPTION}/resourceGroups/logs/providers/Microsoft.Insights/components/ci",
}
WORKSPACE = f"{SUBSCRIPTION}/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/ci"
RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/ci-stackguardian-records"
TABLE = "Lightsout_ci_stackguardian_CL"
EXISTING = f"{SUBSCRIPTION}/resourceGroups/old/providers/Microsoft.Compute/virtualMachineScaleSets/runners"
SCALE_SET = "azurerm_orchestrated_virtual_machine_scale_set"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/ci-stackguardian-agent"
# docs/clouds.md, "rights": by the role, where it is given, and what it allows there, or the name of a role of Azure's.
RIGHTS = {
    "agent": (
        GROUP,
        {
            "Microsoft.Compute/virtualMachineScaleSets/read",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete",
            "Microsoft.Compute/virtualMachines/delete",
            "Microsoft.Resources/tags/write",
            "Microsoft.Authorization/permissions/read",
            "Microsoft.Insights/autoscaleSettings/read",
        },
    ),
    "scaler": (
        GROUP,
        {
            "Microsoft.Compute/locations/operations/read",
            "Microsoft.Compute/virtualMachineScaleSets/read",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
            "Microsoft.Compute/virtualMachineScaleSets/write",
            "Microsoft.Compute/virtualMachines/read",
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.Network/networkInterfaces/join/action",
            "Microsoft.Network/networkInterfaces/read",
            "Microsoft.Network/networkInterfaces/write",
            "Microsoft.Resources/tags/write",
        },
    ),
    'scaler_uses["identity"]': (
        IDENTITY,
        {"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", "Microsoft.ManagedIdentity/userAssignedIdentities/read"},
    ),
    'scaler_uses["image"]': (
        VARIABLES["image_id"],
        {"Microsoft.Compute/galleries/images/read", "Microsoft.Compute/galleries/images/versions/read", "Microsoft.Compute/images/read"},
    ),
    'scaler_uses["subnet"]': (
        VARIABLES["subnet_id"],
        {"Microsoft.Network/virtualNetworks/subnets/join/action", "Microsoft.Network/virtualNetworks/subnets/read"},
    ),
    "agent_secrets[0]": (VARIABLES["key_vault_id"], "Key Vault Secrets User"),
    "scaler_secrets[0]": (VARIABLES["key_vault_id"], "Key Vault Secrets User"),
    "scaler_storage": (f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acmecistackguardian", "Storage Blob Data Owner"),
}
# The file, what stands there, what stands there instead, and a part of what is then said. "" for what stands there: at the file's end.
CHANGES = [
    ("main.tf", "  upgrade_mode ", "  upgrade_mood ", "Unsupported argument"),
    ("main.tf", "  os_disk {", "  os_drive {", "Unsupported block type"),
    ("main.tf", "platform_fault_domain_count = 1\n", "\n", "Missing required argument"),
    ("scaler.tf", "    application_insights_connection_string =", "    application_insights_key               =", "nobody keeps its log"),
    ("scaler.tf", "instance_memory_in_mb             = 512", 'instance_memory_in_mb             = "small"', "a number is required"),
    ("scaler.tf", "shared_access_key_enabled = false", "shared_access_key_enabled = true", "the keys in Terraform's state open it"),
    ("scaler.tf", '    AzureWebJobsStorage              = ""\n', "", "the host does not reach its storage"),
    ("scaler.tf", '"UserAssignedIdentity"\n', '"StorageAccountConnectionString"\n  storage_access_key = azurerm_storage_account.scaler.primary_access_key\n', "its package is reached with a key"),
    ("scaler.tf", 'var.webhooks ? "false" : "true"', '"false"', "anybody may call it"),
    ("roles.tf", '"Storage Blob Data Owner"', '"Owner"', "a role that is not its own"),
    ("roles.tf", "scaler.principal_id", "scaler.object_id", "Unsupported attribute"),
    ("main.tf", 'upgrade_mode                = "Manual"', 'upgrade_mode                = "Rolling"', "an upgrade gives members another disk"),
    ("main.tf", "instances                   = 0", "instances                   = 2", "an apply makes instances"),
    ("main.tf", 'timeout = "PT15M"', 'timeout = "PT5M"', "less time than Azure gives"),
    ("main.tf", "  os_disk {", "  automatic_instance_repair {\n    enabled = true\n  }\n  os_disk {", "repairs end instances under their jobs"),
    ("main.tf", "ignore_changes = [instances, ", "ignore_changes = [", "an apply takes the capacity away"),
    ("main.tf", "  depends_on = [azurerm_role_assignment.agent, azurerm_role_assignment.agent_secrets, azurerm_role_assignment.agent_records]\n", "", "before it may end itself"),
    ("main.tf", "write_files = concat(", 'runcmd = ["true"], write_files = concat(', "more than write files"),
    ("main.tf", '"ImageDefault"', '"AutomaticByPlatform"', "patches start it anew"),
    ("roles.tf", '"Microsoft.Compute/locations/operations/read",', '"Microsoft.Compute/virtualMachines/delete",', "the scaler may"),
    ("roles.tf", '"Microsoft.Compute/virtualMachines/delete",\n', '"Microsoft.Compute/*",\n', "the agent may"),
    ("roles.tf", '      "Microsoft.Compute/virtualMachines/write",\n', "", "the scaler may"),
    ("roles.tf", '"Microsoft.Network/virtualNetworks/subnets/join/action"', '"Microsoft.Network/virtualNetworks/*"', "the scaler may"),
    ("roles.tf", "= var.subnet_id\n", '= regex("^/subscriptions/[^/]+", var.subnet_id)\n', "on something else than it needs"),
    ("roles.tf", "principal_id       = azurerm_user_assigned_identity.scaler.", "principal_id       = azurerm_user_assigned_identity.agent.", "given to somebody else"),
    ("roles.tf", "", '\nresource "azurerm_role_assignment" "more" {\n  scope                = var.resource_group_id\n  role_definition_name = "Contributor"\n  principal_id         = "x"\n}\n', "a role that is not its own"),
]

# The same of other examples.
OTHERS = [
    ("records", "alerts.tf", "threshold               = 0", "threshold               = 1", "rings for nothing bad"),
    ("records", "alerts.tf", "agents = var.agents_workspace_id", "agents = var.application_insights_id", "it looks where its records are not"),
    ("records", "alerts.tf", 'if local.alert_scopes[alert.source] != ""', 'if alert.source == "scaler"', "not each of the six alarms"),
    ("records", "alerts.tf", '"PT${each.value.minutes}M"', '"PT5M"', "another span"),
    ("records", "alerts.tf", "table = local.records_table", 'table = "Syslog"', "it asks something else"),
    ("records", "records.tf", 'Record = "dynamic"', 'Record = "string"', "other columns than the agent writes"),
    ("records", "records.tf", 'output_stream = "Custom-${local.records_table}"', 'output_stream = "Microsoft-Syslog"', "lead into its table"),
    ("records", "records.tf", '"Monitoring Metrics Publisher"', '"Monitoring Contributor"', "a role that is not its own"),
    ("records", "records.tf", "= local.records_rule_id", "= var.resource_group_id", "on something else than it needs"),
    ("records", "records.tf", "agent.principal_id", "scaler.principal_id", "given to somebody else"),
    ("records", "main.tf", ", azurerm_role_assignment.agent_records]", "]", "before it may write its records"),
    ("existing-scale-set", "main.tf", 'var.existing_scale_set_id == "" ? 1 : 0', "1", "it makes a scale set beside the one that is there"),
    ("existing-scale-set", "main.tf", "/resourceGroups/[^/]+\", local.scale_set_id)", "/resourceGroups/[^/]+\", var.resource_group_id)", "on something else than it needs"),
    ("existing-scale-set", "roles.tf", 'true : used.scope != ""', "true : true", "a role that is not its own"),
    ("nat", "examples/nat/main.tf", "azurerm_subnet.ci.id\n  image_id", "\"${var.resource_group_id}/providers/Microsoft.Network/virtualNetworks/x/subnets/x\"\n  image_id", "get another subnet"),
    ("nat", "examples/nat/main.tf", "azurerm_subnet_nat_gateway_association.out]", "]", "before they have a way out"),
    ("nat", "examples/nat/main.tf", "default_outbound_access_enabled = false", "default_outbound_access_enabled = true", "Azure promises nobody"),
    ("nat", "examples/nat/main.tf", '"Static"', '"Dynamic"', "takes no such address"),
]


def terraform(folder, *arguments, workspace=""):
    more = {"existing_scale_set_id": EXISTING, "network_resource_group": "network", "agents_workspace_id": workspace}
    environment = {**os.environ, **{f"TF_VAR_{name}": value for name, value in {**VARIABLES, **more}.items()}}
    done = subprocess.run(["terraform", f"-chdir={folder}", *arguments], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, " ".join((done.stdout + done.stderr).replace("│", " ").split())


def look(work, module, name):
    """What Terraform refuses, or what does not hold of an example's plan; and the plan, where there is one."""
    folder, check, workspace = EXAMPLES[name]
    example = module / "examples" / folder
    code, _, said = terraform(example, "plan", "-no-color", "-input=false", f"-out={work}/azure.plan", workspace=workspace)
    if code != 0:
        return None, [said]
    plan = Plan(json.loads(terraform(example, "show", "-json", f"{work}/azure.plan")[1]))
    scale_sets(plan)
    storage(plan)
    check(plan)
    return plan, plan.wrong


def stackguardian(plan):
    roles(plan, RIGHTS)
    function(plan, "acmecistackguardian")
    plan.must(not plan.of("azurerm_monitor_data_collection_rule"), "records", "they go to a workspace that nobody named")


def records(plan):
    """The same with a workspace: agents hand their records in to a table of it, and nobody else does. Where, is known once it is made."""
    roles(plan, {**RIGHTS, "agent_records[0]": (RULE, "Monitoring Metrics Publisher")})
    columns = {"TimeGenerated": "datetime", "Instance": "string", "Record": "dynamic"}
    [(_, table)] = plan.of("azurerm_log_analytics_workspace_table_custom_log")
    [(address, rule)] = plan.of("azurerm_monitor_data_collection_rule")
    [declared] = rule["stream_declaration"]
    for found in (table["column"], declared["column"]):
        plan.must({column["name"]: column["type"] for column in found} == columns, address, "other columns than the agent writes")
    [flow] = rule["data_flow"]
    [workspace] = rule["destinations"][0]["log_analytics"]
    leads = (table["name"], table["workspace_id"], workspace["workspace_resource_id"], flow["destinations"])
    plan.must(leads == (TABLE, WORKSPACE, WORKSPACE, [workspace["name"]]), address, "it leads elsewhere")
    streams = {declared["stream_name"], *flow["streams"], flow["output_stream"]}
    plan.must(streams == {f"Custom-{TABLE}"}, address, "its stream does not lead into its table")
    for found in plan.said(SCALE_SET):
        plan.must("azurerm_role_assignment.agent_records" in found.get("depends_on", []), found["address"], "an instance is there before it may write its records")
    alerts(plan)


def existing(plan):
    """No scale set is made, and what is allowed is allowed on the one that is there."""
    plan.must(not plan.of(SCALE_SET), "examples/existing-scale-set", "it makes a scale set beside the one that is there")
    group = EXISTING.split("/providers/")[0]
    identity = IDENTITY.replace("stackguardian", "existing")
    account = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acmeciexisting"
    scopes = {"agent": group, "scaler": group, 'scaler_uses["identity"]': identity, "scaler_storage": account}
    # Of a Uniform one the scaler needs neither subnet nor image.
    unused = {'scaler_uses["subnet"]', 'scaler_uses["image"]'}
    roles(plan, {name: (scopes.get(name, scope), allowed) for name, (scope, allowed) in RIGHTS.items() if name not in unused})
    function(plan, "acmeciexisting")


def nat(plan):
    """Private, and with a way out that the machines wait for."""
    [(address, subnet)] = plan.of("azurerm_subnet")
    plan.must(subnet["default_outbound_access_enabled"] is False, address, "its way out is one that Azure promises nobody")
    [(_, out)] = plan.of("azurerm_public_ip")
    plan.must((out["sku"], out["allocation_method"]) == ("Standard", "Static"), "azurerm_public_ip", "a NAT gateway takes no such address")
    needed = {"azurerm_nat_gateway_public_ip_association.out", "azurerm_subnet_nat_gateway_association.out"}
    called = plan.whole["configuration"]["root_module"]["module_calls"]["ci"]
    plan.must(needed <= set(called.get("depends_on", [])), "examples/nat", "instances start before they have a way out")
    # Its id is known when it is made: a role for it is planned all the same, at whatever that will be.
    may = [found for address, found in plan.of("azurerm_role_assignment") if address.endswith('scaler_uses["subnet"]')]
    plan.must([found.get("scope") for found in may] == [None], "examples/nat", "the scaler may not join the subnet that is made beside it")
    handed = called["expressions"]["subnet_id"].get("references", [])
    plan.must("azurerm_subnet.ci.id" in handed, "examples/nat", "machines and scaler get another subnet")


# By name: the folder, what must hold, and the workspace that gets records.
EXAMPLES = {
    "stackguardian": ("stackguardian", stackguardian, ""),
    "existing-scale-set": ("existing-scale-set", existing, ""),
    "nat": ("nat", nat, ""),
    "records": ("stackguardian", records, WORKSPACE),
}


def scale_sets(plan):
    for address, found in plan.of(SCALE_SET):
        plan.must(found["upgrade_mode"] == "Manual", address, "an upgrade gives members another disk under their jobs")
        plan.must(found["instances"] == 0, address, "an apply makes instances: the scaler does")
        plan.must(not found["automatic_instance_repair"] and not found["extension"], address, "repairs end instances under their jobs")
        plan.must(not found["priority_mix"], address, "Azure mixes what may be evicted among the others")
        spot = found["priority"] == "Spot"
        plan.must(not spot or found["eviction_policy"] == "Delete", address, "what is evicted stays")
        notice = found["termination_notification"] == [{"enabled": True, "timeout": "PT15M"}]
        plan.must(spot or notice, address, "who is deleted has less time than Azure gives")
        [profile] = found["os_profile"]
        plan.must(profile["linux_configuration"][0]["patch_mode"] == "ImageDefault", address, "patches start it anew when they like")
        if "custom_data" not in profile and plan.of("azurerm_monitor_data_collection_endpoint"):
            # It names the endpoint, which is known once it is made (terraform/azure/tests/records.tftest.hcl).
            continue
        user_data = json.loads(base64.b64decode(profile["custom_data"]).decode().removeprefix("#cloud-config\n"))
        plan.must(set(user_data) == {"write_files"}, address, "its custom data do more than write files")
        for file in user_data["write_files"]:
            plan.must(file["permissions"] == "0600" and not SECRET.search(file["content"]), address, "a secret in clear, or settings that all may read")
    for found in plan.said(SCALE_SET):
        plan.must({"azurerm_role_assignment.agent"} <= set(found.get("depends_on", [])), found["address"], "an instance is there before it may end itself")


def roles(plan, rights):
    given = {address.rsplit(".", 1)[1]: (address, found) for address, found in plan.of("azurerm_role_assignment")}
    for name, (address, found) in given.items():
        _, allowed = rights.get(name, ("", set()))
        plan.must(name in rights and found["role_definition_name"] == (allowed if isinstance(allowed, str) else None), address, "a role that is not its own")
    for name, (scope, _) in rights.items():
        plan.must(name in given and given[name][1]["scope"] == scope, name, "on something else than it needs")
    for found in plan.said("azurerm_role_assignment"):
        owner = f"azurerm_user_assigned_identity.{found['name'].split('_')[0]}.principal_id"
        plan.must(owner in found["expressions"]["principal_id"].get("references", []), found["address"], "given to somebody else")
    for address, found in plan.of("azurerm_role_definition"):
        name = address.rsplit(".", 1)[1]
        side = re.split(r"\W|_", name)[0]
        scope, wanted = rights.get(name, ("", None))
        group = "/".join(scope.split("/")[:5])
        [allows] = found["permissions"]
        plan.must(set(allows["actions"]) == wanted and not allows["data_actions"], address, f"the {side} may other things than docs/clouds.md says")
        plan.must(found["scope"] == group and found["assignable_scopes"] == [group], address, "it is of more than one resource group")


def function(plan, account):
    for address, found in plan.of("azurerm_function_app_flex_consumption"):
        settings = found["app_settings"]
        plan.must(found["runtime_name"] == "custom" and found["https_only"], address, "another runtime, or an open door")
        [site] = found["site_config"]
        plan.must(site["application_insights_connection_string"] == VARIABLES["application_insights_connection_string"], address, "nobody keeps its log")
        plan.must(not SECRET.search(settings["LIGHTSOUT_SCALER_CONFIG_TOML"]), address, "a secret in clear")
        # The client's id is unknown before the apply, and is not in the plan's values for that reason.
        storage = {name: value for name, value in settings.items() if name.startswith("AzureWebJobsStorage")}
        wanted = {"AzureWebJobsStorage": "", "AzureWebJobsStorage__accountName": account, "AzureWebJobsStorage__credential": "managedidentity"}
        plan.must(storage == wanted, address, "the host does not reach its storage by the identity")
        plan.must(found["storage_authentication_type"] == "UserAssignedIdentity" and not found.get("storage_access_key", "unknown"), address, "its package is reached with a key")
        plan.must(settings["AzureWebJobs.webhook.Disabled"] == "true", address, "anybody may call it though nobody asked for that")
        [at] = re.findall(r'^group = "(.*)"$', settings["LIGHTSOUT_SCALER_CONFIG_TOML"], re.M)
        made = [f"{GROUP}/providers/Microsoft.Compute/virtualMachineScaleSets/{values['name']}" for _, values in plan.of(SCALE_SET)]
        plan.must(at == (made or [EXISTING])[0], address, "its pool is another scale set")


def storage(plan):
    for address, found in plan.of("azurerm_storage_account"):
        plan.must(not found["shared_access_key_enabled"], address, "the keys in Terraform's state open it")
        plan.must(not found["allow_nested_items_to_be_public"], address, "anybody may read the package")


def alerts(plan):
    """The six alarms, each where its records are and over its own span, and any row is bad."""
    table = {alert["name"]: alert for alert in json.loads((Path(__file__).parents[2] / "monitoring/azure/alerts.json").read_text())}
    found = {values["name"].removesuffix("-ci-stackguardian"): (address, values) for address, values in plan.of("azurerm_monitor_scheduled_query_rules_alert_v2")}
    plan.must(set(found) == set(table) and len(table) == 6, "alerts", "not each of the six alarms has its rule")
    for name, (address, values) in found.items():
        wanted = table.get(name)
        [criteria] = values["criteria"]
        where = VARIABLES["application_insights_id"] if wanted["source"] == "scaler" else WORKSPACE
        plan.must(values["scopes"] == [where], address, "it looks where its records are not")
        rings = (criteria["operator"], criteria["threshold"], criteria["time_aggregation_method"])
        plan.must(criteria["query"] == wanted["query"].replace("${table}", TABLE) and rings == ("GreaterThan", 0, "Count"), address, "it asks something else, or rings for nothing bad")
        plan.must(values["window_duration"] == f"PT{wanted['minutes']}M" and values["severity"] == wanted["severity"], address, "another span, or another severity")
        plan.must(values["enabled"] is not False and "${" not in values["description"], address, "it is off, or says names that nobody has")


def documented():
    """The roles that docs/azure.md has for those who make them by hand are the module's."""
    text = (Path(__file__).parents[2] / "docs/azure.md").read_text()
    roles = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", text, re.S)]
    found = {role["Name"].removeprefix("ci "): set(role["Actions"]) for role in roles}
    return [] if found == {name: RIGHTS[name][1] for name in ("agent", "scaler")} else ["docs/azure.md has other roles than the module"]


def kept(module):
    """Whether the module leaves to the scaler what is the scaler's. Terraform tells nobody what it ignores."""
    said = re.search(r"ignore_changes = \[(.*)\]", (module / "main.tf").read_text())
    ignored = {part.strip() for part in said[1].split(",")} if said else set()
    return [] if {"instances", 'tags["lightsout:floor"]'} <= ignored else ["an apply takes the capacity away, or the floor"]


def main(work):
    module = work / "repository/terraform/azure"
    folder = work / "settings/azure"
    folder.mkdir(parents=True, exist_ok=True)
    wrong = kept(module) + documented()
    plan = None
    for name, (example, _, workspace) in EXAMPLES.items():
        for command in ("init", "validate"):
            code, _, said = terraform(module / "examples" / example, command, "-no-color", *(["-input=false"] if command == "init" else []))
            assert code == 0, f"{name}: {said}"
        plan, found = look(work, module, name)
        wrong += [f"{name}: {line}" for line in found]
        if plan and not workspace:
            settings(plan, folder / name)
    for line in wrong:
        print(f"WRONG: {line}")
    if wrong:
        return 1
    taken = 0
    # What the module reads beside itself.
    shutil.copytree(work / "repository/monitoring", work / "changed/monitoring")
    for name, file, old, new, expected in [("stackguardian", *change) for change in CHANGES] + OTHERS:
        changed = work / "changed/terraform/azure"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(module, changed, symlinks=True)
        text = (changed / file).read_text()
        assert old in text, f"{file} has no {old!r}: this change must follow it"
        (changed / file).write_text(text.replace(old, new, 1) if old else text + new)
        _, wrong = look(work, changed, name)
        said = " ".join(wrong + kept(changed))
        if expected not in said:
            taken += 1
            print(f"{file}: {old!r} -> {new!r}: not refused with {expected!r}: {said}")
    count = len(CHANGES) + len(OTHERS)
    print(f"{count - taken} of {count} changes are refused")
    return 1 if taken else 0


def settings(plan, path):
    """What agents and scaler are told, for them to read. A scale set that is there gets the same as custom data by hand."""
    [(_, app)] = plan.of("azurerm_function_app_flex_consumption")
    Path(f"{path}.scaler.toml").write_text(app["app_settings"]["LIGHTSOUT_SCALER_CONFIG_TOML"])
    made = [found["os_profile"][0]["custom_data"] for _, found in plan.of(SCALE_SET)]
    custom_data = (made or [plan.whole["planned_values"]["outputs"]["agent_custom_data"]["value"]])[0]
    written = json.loads(base64.b64decode(custom_data).decode().removeprefix("#cloud-config\n"))
    Path(f"{path}.agent").write_text(written["write_files"][0]["content"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
