#!/usr/bin/env python3
"""What must hold of every plan, whatever the variables: invariants.py PLAN.json [FOLDER]

The plan is that of `terraform show -json`. With FOLDER, the settings that it gives to agents and scaler are written there, one file each. Prints what
does not hold; and each action of the policies as `ACTION SIDE`, for the table of rights.
"""

import base64
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Writes that AWS authorises on no resource, by the Sid of their statement. README.md says so of them.
WITHOUT_RESOURCE = {
    "SessionManager": "ssmmessages:",
    "Interfaces": "ec2:",
}
READING = re.compile(r"^\w+:(Describe|Get|List)")
# The text of a secret, by the name of its key or by how it begins. The modules and the CloudFormation template refuse the same: documents.py.
IN_CLEAR = (
    r"""(?:^|[\s{,.])"?(?:api_key|api_key_secret|jit_config|private_key|secret|token)"?\s*=\s*["']"""
    r"|(?:AKIA|bk(?:ct|ua)_|gh[pousr]_|github_pat_|gl(?:pat|rt)-|sg[uo]_)[A-Za-z0-9]{6}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
SECRET = re.compile(IN_CLEAR)


class Plan:
    def __init__(self, whole):
        self.whole = whole
        self.wrong = []
        self.resources = list(everything(whole["planned_values"]["root_module"]))
        self.calls = list(modules(whole["configuration"]["root_module"]))

    def of(self, kind):
        return [(found["address"], found["values"]) for found in self.resources if found["type"] == kind and found["mode"] == "managed"]

    def said(self, kind):
        """The resource's configuration, in every module that has it."""
        return [found for module in self.calls for found in module.get("resources", []) if found["type"] == kind and found["mode"] == "managed"]

    def must(self, holds, address, what):
        if not holds:
            self.wrong.append(f"{address}: {what}")


def everything(module):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from everything(child)


def modules(module):
    yield module
    for call in module.get("module_calls", {}).values():
        yield from modules(call["module"])


def one(value):
    return value[0] if value else {}


def group(plan, address, values):
    def must(holds, what):
        plan.must(holds, address, what)

    must(values["protect_from_scale_in"] is True, "its instances are not protected from their birth")
    must(values["min_size"] == 0, f"min_size is {values['min_size']}: it can never go dark")
    must(values.get("desired_capacity") is None, "the desired capacity is Terraform's")
    must(values["suspended_processes"] == ["AZRebalance"], f"suspended are {values['suspended_processes']}, not AZRebalance alone")
    must(values["capacity_rebalance"] is False, "it replaces what may be interrupted")
    must(values["health_check_type"] == "EC2", "something else than the machine's state counts as its health")
    must(not values.get("max_instance_lifetime"), "it ends instances for their age")
    must(not values.get("force_delete"), "force_delete skips the hook")
    must(not values.get("launch_template") and values["mixed_instances_policy"], "it has no mixed instances policy")
    must(values["wait_for_capacity_timeout"] == "0", "an apply waits for instances")
    must(not values.get("warm_pool"), "it has a warm pool")
    must(not values.get("desired_capacity_type"), "it counts something else than instances")
    policy = one(one(values["mixed_instances_policy"])["launch_template"])
    must(all(not override.get("weighted_capacity") for override in policy.get("override", [])), "it has weights")
    must(all(tag["propagate_at_launch"] for tag in values["tag"]), "a tag does not reach the instances")

    hooks = values["initial_lifecycle_hook"]
    ends = [hook for hook in hooks if hook["lifecycle_transition"] == "autoscaling:EC2_INSTANCE_TERMINATING"]
    must(len(ends) == 1, f"it has {len(ends)} termination hooks")
    must(all(30 <= hook["heartbeat_timeout"] <= 7200 for hook in hooks), "a hook's time-out is not from 30 to 7200 s")
    must(all(hook["default_result"] == "CONTINUE" for hook in ends), "a hook that runs out ends the wait of others")
    known = {"autoscaling:EC2_INSTANCE_TERMINATING", "autoscaling:EC2_INSTANCE_LAUNCHING"}
    must({hook["lifecycle_transition"] for hook in hooks} <= known, "a hook has a transition that AWS does not know")
    limit = min(100 * ends[0]["heartbeat_timeout"], 48 * 3600) if ends else 0
    waits(plan, address, values, limit)
    for where, found in plan.of("aws_security_group"):
        if where.startswith(address.partition("aws_autoscaling_group")[0] + "aws_security_group.pool"):
            waits(plan, where, found, limit)
    for refresh in values.get("instance_refresh", []):
        must(one(refresh["preferences"])["scale_in_protected_instances"] == "Refresh", "a refresh waits for protected instances, and fails after an hour")


def one_or_self(value):
    return one(value) if isinstance(value, list) else value or {}


def seconds(duration):
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", duration or "0s"))


# What an instance works and ends itself with.
NEEDED = {
    "aws_iam_role_policy.agent", "aws_iam_role_policy.extra", "aws_iam_role_policy_attachment.managed", "aws_iam_instance_profile.agent",
    "aws_kms_grant.volumes", "aws_cloudwatch_log_group.instances",
}


def outlived(plan, said):
    """Destroyed before all that instances need, since it waits for them."""
    missing = NEEDED - set(said.get("depends_on", []))
    plan.must(not missing, said["address"], f"destroyed while its members still need them: {', '.join(sorted(missing))}")


def waits(plan, address, values, limit, until="the hook does"):
    given = seconds((one_or_self(values.get("timeouts")) or {}).get("delete"))
    plan.must(given >= limit, address, f"destroy gives up before {until}, after {limit} s")


def group_configuration(plan):
    """How it is said: what the plan's values cannot show."""
    for said in plan.said("aws_autoscaling_group"):
        hooks = said["expressions"].get("initial_lifecycle_hook", [])
        static = [hook for hook in hooks if all("constant_value" in value for value in hook.values())]
        plan.must(len(static) == 1, said["address"], "the termination hook is not made of constants: any change of one would replace the group")
        plan.must("desired_capacity" not in said["expressions"], said["address"], "the desired capacity is set")
        outlived(plan, said)
    # EC2 keeps a security group that an instance has. So what goes after it outlives the instances, of a group that is not the module's, too.
    for said in plan.said("aws_security_group"):
        if said["name"] == "pool":
            outlived(plan, said)
    for said in plan.said("aws_vpc_security_group_egress_rule"):
        plan.must("aws_security_group.pool" not in " ".join(mentioned(said)), said["address"], "a way out of its own goes before the security group, and cuts off instances that run")
    for kind in ("aws_autoscaling_lifecycle_hook", "aws_autoscaling_policy", "aws_autoscaling_schedule"):
        plan.must(not plan.said(kind), kind, "a hook of its own goes before the group, and nothing but scaler and agents changes the capacity")
    for module in plan.calls:
        for said in module.get("resources", []):
            plan.must("provisioners" not in said, said["address"], "it has a provisioner")
    providers = {found["provider_name"].rpartition("/")[2] for found in plan.resources}
    plan.must(providers == {"aws"}, "providers", f"{sorted(providers)}: one is enough")


# What instances reach AWS and the platform through.
NETWORK = re.compile(r"aws_(vpc_endpoint|vpc_security_group_\w+_rule|security_group|route|route_table|route_table_association|nat_gateway|internet_gateway|eip|subnet|vpc)$")


def mentioned(said):
    """All that an expression refers to."""
    if isinstance(said, dict):
        yield from said.get("references", [])
        said = said.values()
    elif not isinstance(said, list):
        return
    for part in said:
        yield from mentioned(part)


def followed(resources, names):
    """The resources that these names lead to, each by its address."""
    reached, left = set(), list(names)
    while left:
        address = ".".join(left.pop().split(".")[:2]).partition("[")[0]
        if address in resources and address not in reached:
            reached.add(address)
            yield address, resources[address]
            left += [*mentioned(resources[address]), *resources[address].get("depends_on", [])]


def the_network_outlives_the_group(plan):
    """A network that is made beside the pool goes after the group, since busy members need it: the module's call leads to each part of it."""
    root = plan.whole["configuration"]["root_module"]
    resources = {said["address"]: said for said in root.get("resources", []) if said["mode"] == "managed"}
    names = [name for call in root.get("module_calls", {}).values() for name in [*mentioned(call["expressions"]), *call.get("depends_on", [])]]
    reached = dict(followed(resources, names))
    if any(found["type"] == "aws_autoscaling_group" for found in plan.resources):
        for address, said in resources.items():
            plan.must(address in reached or not NETWORK.match(said["type"]), address, "it may be destroyed before the group, whose busy members need it")


def the_function_leaves_in_time(plan):
    """Lambda's interfaces stay for up to an hour after a function in a VPC, and so long a subnet or a group that they have cannot go."""
    for module in plan.calls:
        resources = {said["address"]: said for said in module.get("resources", []) if said["mode"] == "managed"}
        for call in module.get("module_calls", {}).values():
            for _, said in followed(resources, mentioned([call["expressions"].get(name) for name in ("scaler_subnet_ids", "scaler_security_group_ids")])):
                for address, values in plan.of(said["type"]):
                    if said["type"] in ("aws_subnet", "aws_security_group") and address.partition("[")[0] == said["address"]:
                        waits(plan, address, values, 3600, "Lambda's interfaces go")


def required_tags(plan):
    """Where an output is a policy that refuses launches without a tag, each launch has it."""
    for name, output in plan.whole["planned_values"].get("outputs", {}).items():
        statements = json.loads(output["value"])["Statement"] if "aws:RequestTag/" in str(output.get("value")) else []
        for statement in statements:
            key = one(list(statement["Condition"]["Null"])).removeprefix("aws:RequestTag/")
            for address, values in plan.of("aws_launch_template"):
                tagged = {tags["resource_type"] for tags in values["tag_specifications"] if key in tags["tags"]}
                kinds = {re.search(r":([a-z-]+)/\*$", resource)[1] for resource in statement["Resource"]}
                plan.must(kinds <= tagged, address, f"the policy {name} refuses its launches: {key} is missing on {sorted(kinds - tagged)}")


def template(plan, address, values):
    def must(holds, what):
        plan.must(holds, address, what)

    metadata = one(values["metadata_options"])
    must(metadata.get("http_tokens") == "required", "metadata without a token")
    must(metadata.get("http_put_response_hop_limit") == 1, "containers reach the metadata service")
    must(metadata.get("instance_metadata_tags") == "enabled", "the agent cannot see the tags")
    must(values["instance_initiated_shutdown_behavior"] == "terminate", "a machine that switches itself off stays")
    must(not values.get("instance_market_options"), "market options exclude a mixed instances policy")
    # Without one the subnet's IPv6 assignment is ignored, and nobody can ask for an address.
    must([card["device_index"] for card in values["network_interfaces"]] == [0], "not one network interface")
    must(not values.get("security_group_names") and not values.get("vpc_security_group_ids"), "groups beside the network interface")
    for device in values["block_device_mappings"]:
        must(one(device["ebs"])["encrypted"] == "true", "a volume that is not encrypted")
        must(one(device["ebs"])["delete_on_termination"] == "true", "a volume stays when the instance has gone")
    must({tags["resource_type"] for tags in values["tag_specifications"]} == {"instance", "volume", "network-interface"}, "tags do not reach all")
    lines = base64.b64decode(values["user_data"]).decode().partition("\n")
    must(lines[0] == "#cloud-config", "user data is no cloud-config")
    data = json.loads(lines[2])
    files = data.get("write_files", [])
    if "runcmd" in data:
        # Without an image: this one program, and what it fetches is named by version and hash.
        program = [file for file in files if file["path"] == "/opt/lightsout/boot.py"]
        must(len(program) == 1 and program[0]["content"] == (ROOT / "terraform/aws/modules/pool/boot.py").read_text(), "another program in user data")
        ran = data["runcmd"][0] if len(data["runcmd"]) == 1 else []
        must(ran[:2] == ["python3", "/opt/lightsout/boot.py"] and len(ran) == 6, "it runs something else")
        must(ran and re.fullmatch("[0-9a-f]{64}", ran[-1]), "what it fetches is not named by its hash")
        deadline = (ROOT / "terraform/aws/modules/pool/boot-deadline.sh").read_text()
        must(data.get("bootcmd") == [deadline], "nobody ends a machine whose program was killed before the dead-man's switch is there")
        files = [file for file in files if file not in program]
    must(set(data) <= ({"write_files", "runcmd", "bootcmd"} if "runcmd" in data else {"write_files"}) and "write_files" in data, f"user data does more than write files: {sorted(data)}")
    must(len(values["user_data"]) <= 16384 * 4 // 3, "user data has more than 16 KiB")
    for file in files:
        must(re.fullmatch(r"/etc/lightsout/agent\.d/[56]0-module\.toml", file["path"]), f"user data writes {file['path']}")
        must(file["permissions"] == "0600" and not file.get("owner") and not file.get("defer"), f"{file['path']} is another's, or late")
        must(not SECRET.search(file["content"]), "a secret in user data")
    return files


def beside(plan, address, kind, name):
    """The policy of this resource in the same module as another; empty without one."""
    own = re.sub(r"aws_\w+\.\w+(\[\d+\])?$", "", address)
    found = [values.get("policy") for other, values in plan.of(kind) if re.fullmatch(re.escape(f"{own}{kind}.{name}") + r"(\[\d+\])?", other)]
    return one(found) or ""


def policies(plan, address, text, side, actions):
    try:
        document = json.loads(text)
    except (TypeError, ValueError):
        plan.must(False, address, "a policy that is no JSON, or is not known before the apply")
        return
    sids = [statement.get("Sid") for statement in document["Statement"]]
    plan.must(len(set(sids)) == len(sids), address, f"two statements with one Sid: {sids}")
    for statement in document["Statement"]:
        plan.must(statement["Effect"] == "Allow", address, "a statement that allows nothing")
        said = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        where = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        plan.must(where, address, f"{statement.get('Sid')} is for nothing")
        for action in said:
            actions.add((action, side))
            plan.must("*" not in action, address, f"{action}: each action by its name")
            plan.must("Decrease" not in action and action != "iam:PassRole", address, f"{action} is nobody's here")
            if side == "scaler":
                plan.must("Terminate" not in action and "Delete" not in action or statement["Sid"] == "Interfaces", address, f"the scaler may {action}")
            exempt = action.startswith(WITHOUT_RESOURCE.get(statement.get("Sid"), "\0"))
            if READING.match(action) and not re.match(r"^(ssm|secretsmanager|s3|kms):", action) or exempt:
                continue
            for resource in where:
                plan.must(resource.startswith("arn:"), address, f"{action} on {resource}")
                if resource.endswith("instance/*") and action.startswith("ssm:"):
                    plan.must(statement.get("Condition") == {"Null": {"ec2:SourceInstanceARN": "false"}}, address, f"{action} with a condition that Systems Manager never meets, or from anywhere")
                elif resource.endswith("instance/*"):
                    condition = statement.get("Condition", {}).get("StringEquals", {})
                    plan.must(condition.get("aws:ARN") == "${ec2:SourceInstanceARN}", address, f"{action} on other instances")
                elif ":autoScalingGroup:" in resource:
                    plan.must("*" not in resource.rpartition("autoScalingGroupName/")[2], address, f"{action} on other groups")
                elif resource.endswith("*"):
                    plan.must(re.search(r"log-group:[^*]+:\*$|^arn:[^:]+:s3:::[^*]+/\*$", resource), address, f"{action} on {resource}")


def function(plan):
    for address, values in plan.of("aws_lambda_function"):
        plan.must(values["runtime"] == "provided.al2023" and values["handler"] == "bootstrap", address, "another runtime")
        plan.must(values["memory_size"] == 128, address, "more memory than it needs")
        plan.must(values["source_code_hash"], address, "another package changes nothing")
        variables = one(values["environment"])["variables"]
        plan.must(sum(len(name) + len(text) for name, text in variables.items()) < 4096, address, "its variables have more than 4 KiB")
        plan.must(variables.get("LIGHTSOUT_MODULE_VERSION"), address, "it does not know the module's version")
    for address, values in plan.of("aws_lambda_function_event_invoke_config"):
        plan.must(values["maximum_retry_attempts"] == 0 and values["maximum_event_age_in_seconds"] == 60, address, "old ticks pile up")
    for address, values in plan.of("aws_scheduler_schedule"):
        target = one(values["target"])
        plan.must(one(values["flexible_time_window"])["mode"] == "OFF", address, "the schedule may be late")
        plan.must(one(target["retry_policy"])["maximum_retry_attempts"] == 0, address, "old ticks pile up")
    permissions = plan.of("aws_lambda_permission")
    for address, values in permissions:
        plan.must(values["principal"] != "*" or values["action"] == "lambda:InvokeFunctionUrl" or values["invoked_via_function_url"] is True, address, "everybody may invoke the function by itself")
        plan.must(values["statement_id"], address, "its statement has a name by chance")
    for address, values in plan.of("aws_lambda_function_url"):
        plan.must(sorted(values["action"] for _, values in permissions) == ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"], address, "a public address needs both permissions")


def secrets(plan):
    text = json.dumps({key: plan.whole[key] for key in ("planned_values", "configuration", "variables") if key in plan.whole})
    for found in SECRET.findall(text):
        plan.must(False, "plan", f"a secret in clear: {found[:6]}...")
    for address, values in plan.of("aws_ssm_parameter"):
        plan.must(values["type"] != "SecureString" or not values.get("value") or values["value"] == "to be filled", address, "a secret's value is in the state")


def like_up(plan):
    """The group is the one that `lightsout up` makes, which the tests of whole fleets run on and which the agent's doctor finds nothing wrong with."""
    source = (ROOT / "crates/cli/src/up/fleet.rs").read_text()
    facts = dict(re.findall(r'\("([\w.]+)", "([^"]*)"\)', source))
    hook = "LifecycleHookSpecificationList.member.1."
    for address, values in plan.of("aws_autoscaling_group"):
        ends = [one for one in values["initial_lifecycle_hook"] if one["name"] == facts[hook + "LifecycleHookName"]]
        plan.must(len(ends) == 1, address, "its hook has another name than that of `lightsout up`")
        pairs = {
            "NewInstancesProtectedFromScaleIn": str(values["protect_from_scale_in"]).lower(),
            "HealthCheckType": values["health_check_type"],
            "DefaultInstanceWarmup": str(values["default_instance_warmup"]),
            "ScalingProcesses.member.1": ",".join(values["suspended_processes"]),
            hook + "LifecycleTransition": one(ends).get("lifecycle_transition"),
            hook + "HeartbeatTimeout": str(one(ends).get("heartbeat_timeout")),
            hook + "DefaultResult": one(ends).get("default_result"),
        }
        for name, value in pairs.items():
            plan.must(facts[name] == value, address, f"{name} is {value}, and {facts[name]} with `lightsout up`")
        ready = re.search(r'LAUNCH_HOOK: &str = "([^"]*)"', source)[1]
        for launch in values["initial_lifecycle_hook"]:
            if launch["lifecycle_transition"] == "autoscaling:EC2_INSTANCE_LAUNCHING":
                plan.must(launch["name"] == ready and launch["default_result"] == "ABANDON", address, "its launch hook is another than that of `lightsout up`")
    for address, values in plan.of("aws_launch_template"):
        metadata = one(values["metadata_options"])
        pairs = {
            "InstanceInitiatedShutdownBehavior": values["instance_initiated_shutdown_behavior"],
            "MetadataOptions.HttpTokens": metadata["http_tokens"],
            "MetadataOptions.HttpPutResponseHopLimit": str(metadata["http_put_response_hop_limit"]),
            "MetadataOptions.InstanceMetadataTags": metadata["instance_metadata_tags"],
        }
        for name, value in pairs.items():
            told = facts["LaunchTemplateData." + name]
            plan.must(told == value, address, f"{name} is {value}, and {told} with `lightsout up`")


def main(path, folder=None):
    plan = Plan(json.loads(Path(path).read_text()))
    actions, files = set(), {}
    groups = plan.of("aws_autoscaling_group")
    for address, values in groups:
        group(plan, address, values)
    for address, values in plan.of("aws_launch_template"):
        # A folder for each template: its files are read together.
        number = len(files)
        named = beside(plan, address, "aws_iam_role_policy", "agent")
        if named:
            # Which group it is, where the group is another's, the policy alone says.
            groups_named = set(re.findall(r"autoScalingGroupName/([^\"]+)\"", named))
            plan.must(len(groups_named) == 1, address, f"the instances' role is for the groups {sorted(groups_named)}")
            files[f"{number:02}.agent.policy"] = named
            files[f"{number:02}.agent.group"] = "".join(sorted(groups_named))
        for file in template(plan, address, values):
            files[f"{number:02}.agent/{Path(file['path']).name}"] = file["content"]
    for address, values in plan.of("aws_iam_role_policy"):
        side = re.search(r"aws_iam_role_policy\.(\w+)", address)[1]
        # The user's own are the user's.
        if side != "extra":
            policies(plan, address, values.get("policy"), side, actions)
    for address, values in plan.of("aws_lambda_function"):
        variables = one(values["environment"])["variables"]
        place = variables.get("LIGHTSOUT_SCALER_CONFIG_S3")
        stored = [found["content"] for _, found in plan.of("aws_s3_object") if place and place.endswith("/" + found["key"])]
        number = len(files)
        files[f"{number:02}.scaler.toml"] = variables.get("LIGHTSOUT_SCALER_CONFIG_TOML") or one(stored)
        named = beside(plan, address, "aws_iam_role_policy", "scaler")
        if named:
            files[f"{number:02}.scaler.policy"] = named
            files[f"{number:02}.scaler.function"] = values["function_name"] + "\n" + (place or "")
    operators = plan.whole["planned_values"].get("outputs", {}).get("operator_policy", {}).get("value")
    if operators:
        files[f"{len(files):02}.operator.group"] = groups[0][1]["name"]
        files[f"{len(files) - 1:02}.operator.policy"] = operators
    group_configuration(plan)
    the_network_outlives_the_group(plan)
    the_function_leaves_in_time(plan)
    required_tags(plan)
    function(plan)
    secrets(plan)
    like_up(plan)
    if folder:
        for name, text in files.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_text(text)
    for line in plan.wrong:
        print(f"WRONG {line}")
    for action, side in sorted(actions):
        print(f"{action} {side}")
    return 1 if plan.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
