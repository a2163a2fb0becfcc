"""What must hold of the templates, and cfn-lint cannot know. Each rule is then broken once: a rule that does not see it fails the test."""

import copy
import json
import pathlib
import re
import sys

from cfnlint.decode import cfn_yaml
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAIN = ROOT / "cloudformation/lightsout.yaml"
WEBHOOKS = ROOT / "cloudformation/webhooks.yaml"
GROUP_ARN = "autoScalingGroup:*:autoScalingGroupName/${AWS::StackName}"
# Members that may be named by nothing but a Ref or a GetAtt.
REFERENCE = re.compile(r"\$\{(?!AWS::|!)([A-Za-z0-9]+)[.}]")


def load(path):
    return json.loads(json.dumps(cfn_yaml.load(str(path))))


class Template:
    """A template with the questions that the rules ask of it."""

    def __init__(self, document):
        self.document = document
        self.resources = document["Resources"]

    def of_type(self, kind):
        return {name: it for name, it in self.resources.items() if it["Type"] == kind}

    def properties(self, name):
        return self.resources[name].get("Properties", {})

    def statements(self, role):
        for policy in self.properties(role).get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                # One that is there under a condition counts as one that is there.
                yield statement["Fn::If"][1] if "Fn::If" in statement else statement

    def needs(self, name):
        """All that a resource waits for when it is made, and that so outlives it."""
        found, new = set(), {name}
        while new:
            it = self.resources[new.pop()]
            fresh = (references(it) | as_set(it.get("DependsOn", []))) & set(self.resources) - found
            found |= fresh
            new |= fresh
        return found


def as_set(value):
    return {value} if isinstance(value, str) else set(value)


def references(node):
    if isinstance(node, list):
        return set().union(*map(references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "Ref":
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(value[0] if isinstance(value, list) else value.split(".")[0])
        elif key == "Fn::Sub":
            text, names = (value, {}) if isinstance(value, str) else value
            found |= set(REFERENCE.findall(text)) - set(names) | references(names)
        else:
            found |= references(value)
    return found


def as_list(value):
    return value if isinstance(value, list) else [value]


# ---- rules: each yields what is wrong --------------------------------------------------------------------------------------


def born_protected(main):
    group = main.properties("Group")
    if group.get("NewInstancesProtectedFromScaleIn") is not True:
        yield "new instances are not protected from scale-in"
    if main.document["Parameters"]["MinSize"]["Default"] != 0 or group.get("MinSize") != {"Ref": "MinSize"}:
        yield "the minimum is not 0 by default"


def hook_in_the_group(main):
    hooks = main.properties("Group").get("LifecycleHookSpecificationList", [])
    hook = next((it for it in hooks if it.get("LifecycleTransition") == "autoscaling:EC2_INSTANCE_TERMINATING"), None)
    if hook is None:
        yield "no termination hook stands in the group"
        return
    # Ranges: API reference of PutLifecycleHook. Constants: what feeds it could replace it.
    if not isinstance(hook.get("HeartbeatTimeout"), int) or not 30 <= hook["HeartbeatTimeout"] <= 7200:
        yield f"its time-out is {hook.get('HeartbeatTimeout')}, and must be a number from 30 to 7200"
    if hook.get("DefaultResult") != "CONTINUE":
        yield "it keeps an instance whose agent is dead"
    if hook.get("LifecycleHookName") != "lightsout-drain":
        yield "its name is another one than with Terraform"
    if main.of_type("AWS::AutoScaling::LifecycleHook"):
        yield "a hook as a resource of its own is gone before the group is"


def nothing_else_ends_instances(main):
    group = main.properties("Group")
    for kind in ("ScalingPolicy", "ScheduledAction"):
        if main.of_type(f"AWS::AutoScaling::{kind}"):
            yield f"there is a {kind}"
    for name in ("DesiredCapacity", "MaxInstanceLifetime", "LoadBalancerNames", "TargetGroupARNs", "InstanceLifecyclePolicy"):
        if name in group:
            yield f"the group has {name}"
    if group.get("CapacityRebalance") is not False or group.get("HealthCheckType") != "EC2":
        yield "capacity rebalancing is on, or a health check other than EC2's"
    if main.resources["Group"].keys() - {"Type", "Properties", "DependsOn"}:
        yield "the group has an update or creation policy"


def no_update_replaces_the_group(main):
    """By AWS's own schema: what can be set at creation only is not set, or can never change. What replaces a resource when it is added or
    taken away, as the policy of mixed instances does, does not come and go."""
    for name in ("Group", "LaunchTemplate"):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", main.resources[name]["Type"]).schema
        for path in schema["createOnlyProperties"]:
            value = main.properties(name).get(path.split("/")[2])
            if value not in (None, {"Ref": "AWS::StackName"}):
                yield f"{name} is replaced when {path} changes, which is {value}"
        for path in schema.get("conditionalCreateOnlyProperties", []):
            if "Fn::If" in as_list(main.properties(name).get(path.split("/")[2]) or {})[0]:
                yield f"{name} may be replaced: {path} comes and goes"
    if main.properties("Group").get("AutoScalingGroupName") != {"Ref": "AWS::StackName"}:
        yield "the roles do not name this group"


def zones_are_left_alone(main):
    calls = [it["Properties"] for it in main.of_type("AWS::Scheduler::Schedule").values()]
    calls = [it for it in calls if json.dumps(it["Target"]["Arn"]).find("aws-sdk:autoscaling:suspendProcesses") >= 0]
    if len(calls) != 1:
        yield "nothing suspends AZRebalance"
        return
    asked = json.loads(calls[0]["Target"]["Input"]["Fn::Sub"])
    if asked != {"AutoScalingGroupName": "${Group}", "ScalingProcesses": ["AZRebalance"]}:
        yield f"it asks for {asked}"


def mixed_instances(main):
    policy = main.properties("Group").get("MixedInstancesPolicy", {})
    strategy = policy.get("InstancesDistribution", {}).get("SpotAllocationStrategy")
    # API reference of InstancesDistribution.
    if strategy not in ("price-capacity-optimized", "capacity-optimized"):
        yield f"the spot strategy is {strategy}"
    specification = policy.get("LaunchTemplate", {}).get("LaunchTemplateSpecification", {})
    if specification.get("Version") != {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]}:
        yield "the group does not name the template's version, so a change set shows no change"
    if "InstanceMarketOptions" in main.properties("LaunchTemplate")["LaunchTemplateData"]:
        yield "market options exclude a mixed group"


def launch_template(main):
    data = main.properties("LaunchTemplate")["LaunchTemplateData"]
    wanted = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "enabled", "HttpProtocolIpv6": {"Ref": "MetadataIpv6"}}
    if data.get("MetadataOptions") != wanted:
        yield f"the metadata options are {data.get('MetadataOptions')}"
    # Without it the subnet's IPv6 assignment is ignored, and with it the groups must be inside.
    if [card.get("DeviceIndex") for card in data.get("NetworkInterfaces", [])] != [0] or "SecurityGroupIds" in data:
        yield "the instance has not one network interface, with its groups"
    if data.get("InstanceInitiatedShutdownBehavior") != "terminate":
        yield "an instance that powers off stays"
    for disk in data.get("BlockDeviceMappings", []):
        if disk["Ebs"].get("Encrypted") is not True or disk["Ebs"].get("DeleteOnTermination") is not True:
            yield "a volume is not encrypted, or outlives its instance"
    if main.properties("SecurityGroup").get("SecurityGroupIngress"):
        yield "somebody may come in"


def user_data_is_settings(main):
    text, values = main.properties("LaunchTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    keys = re.findall(r"^(\w+):", text, re.M)
    paths = re.findall(r"- path: (.*)", text)
    if not text.startswith("#cloud-config\n") or keys != ["write_files"] or not all(re.fullmatch(r"/etc/lightsout/agent\.d/[45]0-\w+\.toml", it) for it in paths):
        yield "user data does more than write settings"
    if values.get("Settings") != {"Fn::Base64": {"Ref": "AgentSettings"}} or set(values) - {"Records"} != {"Settings"}:
        yield "user data holds something else than settings"
    for name in ("AgentSettings", "ScalerSettings"):
        pattern = re.compile(main.document["Parameters"][name].get("AllowedPattern", ""))
        if not pattern.search('[platform.gitlab]\nurl = "https://example.com"\ntoken = { ssm = "/ci/token" }\n'):
            yield f"{name} refuses what is right"
        clear = (
            '[platform.gitlab]\ntoken = "glrt-abcdef"\n', 'pem = """\n-----BEGIN RSA PRIVATE KEY', "private_key = 'x'",
            'platform.stackguardian.api_key = "x"', 'a = 1\n"secret" = "x"', 'tags = ["ghp_abcdefgh"]',
        )
        if any(map(pattern.search, clear)):
            yield f"{name} takes the text of a secret"


def least_rights(main):
    for role in main.of_type("AWS::IAM::Role"):
        for statement in main.statements(role):
            for action in as_list(statement["Action"]):
                resource = json.dumps(statement["Resource"])
                if "*" in action or statement["Effect"] != "Allow":
                    yield f"{role} may {action}"
                reads = action.split(":")[1].startswith("Describe")
                if resource == '"*"' and not reads:
                    yield f"{role} may {action} everywhere"
                if action.startswith("autoscaling:") and not reads and GROUP_ARN not in resource:
                    yield f"{role} may {action} on other groups"
                if action.startswith("ec2:") and not reads:
                    if statement.get("Condition") != {"StringEquals": {"aws:ARN": "${ec2:SourceInstanceARN}"}}:
                        yield f"{role} may {action} on other instances"
    raises = {action for statement in main.statements("ScalerRole") for action in as_list(statement["Action"])}
    if {it for it in raises if it.startswith(("autoscaling:", "ec2:")) and ":Describe" not in it} != {
        "autoscaling:CreateOrUpdateTags",
        "autoscaling:SetDesiredCapacity",
    }:
        yield "the scaler may do something else than raise"


def rights_are_documented(main):
    wanted = documented()
    for role, who in (("InstanceRole", "instance"), ("ScalerRole", "scaler")):
        may = {action for statement in main.statements(role) for action in as_list(statement["Action"])}
        # The scaler's log group is the function's own, wherever it runs; other logs and objects are there if settings name them.
        differ = {it for it in may ^ wanted[who] if not it.startswith(("logs:", "s3:"))}
        if differ:
            yield f"{role} and the README differ in {sorted(differ)}"


def documented():
    """Who may do what, by the README's table of rights: an action without a service has the one of the action before it."""
    rights = {"instance": set(), "scaler": set()}
    text = (ROOT / "README.md").read_text()
    table = text[text.index("| Who | Action | On |") :].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        who, actions = row.split("|")[1:3]
        service = ""
        for action in re.findall(r"`([A-Za-z0-9:]+)`", actions):
            service, _, name = action.rpartition(":") if ":" in action else (service, "", action)
            for it in rights:
                if it in who:
                    rights[it].add(f"{service}:{name}")
    return rights


def as_many_secrets_as_there_are(main):
    """Two sides, each with all that it must read: the scaler's platform and webhook, an agent's token and key."""
    arns = ("arn:aws:ssm:eu-central-1:123456789012:parameter/ci/read-token", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ci-AbCdEf")
    for role, name in (("InstanceRole", "AgentSecretArns"), ("ScalerRole", "ScalerSecretArns")):
        named = [it["Resource"] for it in main.statements(role) if it.get("Sid") == "Secret"]
        if named != [{"Fn::Split": [",", {"Ref": name}]}]:
            yield f"{role} may not read each of {name}"
        pattern = re.compile(main.document["Parameters"].get(name, {}).get("AllowedPattern", "^never$"))
        if not all(map(pattern.search, ("", *arns, ",".join(arns)))):
            yield f"{name} refuses what is right"
        if any(map(pattern.search, (", ".join(arns), f"{arns[0]},", f"{arns[0]},/ci/other", "/ci/read-token"))):
            yield f"{name} takes what is no list of ARNs"


def members_outlive_nothing_they_need(main):
    missing = {"LaunchTemplate", "InstanceProfile", "InstanceRole", "SecurityGroup", "InstanceLogGroup"} - main.needs("Group")
    if missing:
        yield f"{sorted(missing)} may be gone while instances are there"


def the_function(main):
    function = main.properties("Scaler")
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    if function["Environment"]["Variables"].get("LIGHTSOUT_MODULE_VERSION") != version:
        yield f"the template does not say that it is {version}"
    if (function["Runtime"], function["Handler"]) != ("provided.al2023", "bootstrap"):
        yield "runtime or handler"
    if "ReservedConcurrentExecutions" in function or "VpcConfig" in function:
        yield "a reservation or a network that nobody asked for"
    retries = [it["Properties"] for it in main.of_type("AWS::Lambda::EventInvokeConfig").values()]
    if [(it["MaximumRetryAttempts"], it["MaximumEventAgeInSeconds"]) for it in retries] != [(0, 60)]:
        yield "old ticks are tried again"
    ticks = main.properties("Schedule")
    policy = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    if ticks["ScheduleExpression"] != "rate(1 minute)" or ticks["Target"].get("RetryPolicy") != policy:
        yield "the schedule"
    alarm = main.properties("ScalerAlarm")
    if alarm["TreatMissingData"] != "breaching" or alarm["MetricName"] != "Errors":
        yield "a scaler that nobody calls is silent"
    if main.of_type("AWS::Lambda::Url"):
        yield "a function URL makes the whole template useless in some regions"


def one_parameter_for_all_that_watches(main):
    """Records, what counts them, the scaler's lines, alarms and dashboard: all of it or nothing, and by default all."""
    if main.document["Parameters"]["Monitoring"].get("Default") != "true":
        yield "nobody is told unless asked for"
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Logs::MetricFilter")
    watching = {name: it for kind in kinds for name, it in main.of_type(kind).items() if name != "ScalerAlarm"}
    for name, it in {**watching, "InstanceLogGroup": main.resources["InstanceLogGroup"]}.items():
        if it.get("Condition") != "Monitored":
            yield f"{name} is there without Monitoring"
    if len(main.of_type("AWS::CloudWatch::Alarm")) != 7 or len(main.of_type("AWS::CloudWatch::Dashboard")) != 1:
        yield "not all six alarms, that of the function and the dashboard"
    counted = {it["Properties"]["MetricTransformations"][0]["MetricName"] for it in main.of_type("AWS::Logs::MetricFilter").values()}
    for name, it in main.of_type("AWS::CloudWatch::Alarm").items():
        if not re.search(r"`(aws|lightsout) [^`]+`", json.dumps(it["Properties"]["AlarmDescription"])):
            yield f"{name} names no command to run next"
        if it["Properties"].get("AlarmActions") is None:
            yield f"{name} tells nobody"
        for query in it["Properties"].get("Metrics", []):
            metric = query.get("MetricStat", {}).get("Metric", {})
            if metric.get("MetricName", "").startswith("lightsout.departures.") and metric["MetricName"] not in counted:
                yield f"{name} looks at {metric['MetricName']}, which nobody counts"
    told = json.dumps(main.properties("LaunchTemplate")), json.dumps(main.properties("Scaler"))
    if "InstanceLogGroup" not in told[0] or "metrics.emf = true" not in told[1]:
        yield "the agents write no records there, or the scaler no metrics"


def short_enough(main):
    """What `create-stack --template-body` takes (CloudFormation quotas, template body size in a request)."""
    if len(MAIN.read_bytes()) > 51_200 - len(json.dumps(main.document["Metadata"].get("Padding", ""))):
        yield "it is longer than 51,200 bytes, and would have to be in a bucket"


def the_url(webhooks):
    if [it["Properties"]["AuthType"] for it in webhooks.of_type("AWS::Lambda::Url").values()] != ["NONE"]:
        yield "one URL without authentication is wanted"
    permissions = [it["Properties"] for it in webhooks.of_type("AWS::Lambda::Permission").values()]
    if {it["Action"] for it in permissions} != {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}:
        yield "both permissions are needed"
    for it in permissions:
        if it["Action"] == "lambda:InvokeFunction" and it.get("InvokedViaFunctionUrl") is not True:
            yield "every account may invoke the function directly"


RULES = [
    born_protected,
    hook_in_the_group,
    nothing_else_ends_instances,
    no_update_replaces_the_group,
    zones_are_left_alone,
    mixed_instances,
    launch_template,
    user_data_is_settings,
    least_rights,
    rights_are_documented,
    as_many_secrets_as_there_are,
    members_outlive_nothing_they_need,
    the_function,
    one_parameter_for_all_that_watches,
    short_enough,
]

# ---- and each must be able to say no: rule, path from the resources or the document, and the value put there -----------------

GONE = object()
BREAKS = [
    (born_protected, "Group.Properties.NewInstancesProtectedFromScaleIn", False),
    (born_protected, "Group.Properties.MinSize", 1),
    (hook_in_the_group, "Group.Properties.LifecycleHookSpecificationList", GONE),
    (hook_in_the_group, "Group.Properties.LifecycleHookSpecificationList.0.LifecycleTransition", "autoscaling:EC2_INSTANCE_TERMINATE"),
    (hook_in_the_group, "Group.Properties.LifecycleHookSpecificationList.0.HeartbeatTimeout", 9),
    (hook_in_the_group, "Group.Properties.LifecycleHookSpecificationList.0.HeartbeatTimeout", {"Ref": "MaxSize"}),
    (hook_in_the_group, "Group.Properties.LifecycleHookSpecificationList.0.DefaultResult", "ABANDON"),
    (hook_in_the_group, "Hook", {"Type": "AWS::AutoScaling::LifecycleHook"}),
    (nothing_else_ends_instances, "Group.Properties.DesiredCapacity", 1),
    (nothing_else_ends_instances, "Group.Properties.HealthCheckType", "ELB"),
    (nothing_else_ends_instances, "Group.UpdatePolicy", {}),
    (no_update_replaces_the_group, "Group.Properties.AutoScalingGroupName", GONE),
    (no_update_replaces_the_group, "Group.Properties.MixedInstancesPolicy", {"Fn::If": []}),
    (no_update_replaces_the_group, "Group.Properties.InstanceId", {"Ref": "ImageId"}),
    (no_update_replaces_the_group, "LaunchTemplate.Properties.LaunchTemplateName", {"Ref": "PackageKey"}),
    (nothing_else_ends_instances, "Policy", {"Type": "AWS::AutoScaling::ScalingPolicy"}),
    (zones_are_left_alone, "NoRebalancing", GONE),
    (zones_are_left_alone, "NoRebalancing.Properties.Target.Input", {"Fn::Sub": '{"AutoScalingGroupName":"${Group}"}'}),
    (mixed_instances, "Group.Properties.MixedInstancesPolicy.InstancesDistribution.SpotAllocationStrategy", "price-optimised"),
    (mixed_instances, "LaunchTemplate.Properties.LaunchTemplateData.InstanceMarketOptions", {}),
    (mixed_instances, "Group.Properties.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.Version", "$Latest"),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.MetadataOptions.HttpTokens", "optional"),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", 2),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.MetadataOptions.HttpProtocolIpv6", GONE),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.NetworkInterfaces", GONE),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.SecurityGroupIds", ["sg-0"]),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.InstanceInitiatedShutdownBehavior", GONE),
    (launch_template, "LaunchTemplate.Properties.LaunchTemplateData.BlockDeviceMappings.0.Ebs.Encrypted", False),
    (launch_template, "SecurityGroup.Properties.SecurityGroupIngress", [{"IpProtocol": "-1"}]),
    (user_data_is_settings, "LaunchTemplate.Properties.LaunchTemplateData.UserData.Fn::Base64.Fn::Sub.1.Settings", {"Ref": "PackageKey"}),
    (user_data_is_settings, "LaunchTemplate.Properties.LaunchTemplateData.UserData.Fn::Base64.Fn::Sub.0", "#cloud-config\nruncmd: [reboot]\n"),
    (user_data_is_settings, "../Parameters.AgentSettings.AllowedPattern", GONE),
    (user_data_is_settings, "../Parameters.ScalerSettings.AllowedPattern", "^x$"),
    (least_rights, "InstanceRole.Properties.Policies.0.PolicyDocument.Statement.0.Resource", "*"),
    (least_rights, "InstanceRole.Properties.Policies.0.PolicyDocument.Statement.1.Condition", GONE),
    (least_rights, "ScalerRole.Properties.Policies.0.PolicyDocument.Statement.0.Action", "autoscaling:TerminateInstanceInAutoScalingGroup"),
    (least_rights, "ScalerRole.Properties.Policies.0.PolicyDocument.Statement.1.Action", "autoscaling:*"),
    (rights_are_documented, "InstanceRole.Properties.Policies.0.PolicyDocument.Statement.2.Action", ["ec2:DescribeHosts"]),
    (as_many_secrets_as_there_are, "../Parameters.ScalerSecretArns.AllowedPattern", "^$|^arn:.+$"),
    (as_many_secrets_as_there_are, "../Parameters.AgentSecretArns.AllowedPattern", "^arn:[^,]+$"),
    (as_many_secrets_as_there_are, "ScalerRole.Properties.Policies.0.PolicyDocument.Statement.3.Fn::If.1.Resource", {"Ref": "ScalerSecretArns"}),
    (members_outlive_nothing_they_need, "LaunchTemplate.Properties.LaunchTemplateData.NetworkInterfaces.0.Groups", ["sg-0"]),
    (the_function, "Scaler.Properties.Environment.Variables.LIGHTSOUT_MODULE_VERSION", "0.0.9"),
    (the_function, "Scaler.Properties.ReservedConcurrentExecutions", 1),
    (the_function, "ScalerRetries.Properties.MaximumRetryAttempts", 2),
    (the_function, "ScalerAlarm.Properties.TreatMissingData", "missing"),
    (the_function, "Url", {"Type": "AWS::Lambda::Url"}),
    (one_parameter_for_all_that_watches, "../Parameters.Monitoring.Default", "false"),
    (one_parameter_for_all_that_watches, "Dashboard", GONE),
    (one_parameter_for_all_that_watches, "LightsoutSpotStorm.Condition", GONE),
    (one_parameter_for_all_that_watches, "DeparturesBroken", GONE),
    (one_parameter_for_all_that_watches, "ScalerAlarm.Properties.AlarmDescription", "it is broken"),
    (one_parameter_for_all_that_watches, "Scaler.Properties.Environment.Variables", {"LIGHTSOUT_SCALER_CONFIG_TOML": ""}),
    (short_enough, "../Metadata.Padding", "long" * 1000),
]
URL_BREAKS = [
    (the_url, "MayInvokeByUrl.Properties.InvokedViaFunctionUrl", GONE),
    (the_url, "MayInvokeByUrl", GONE),
    (the_url, "Url.Properties.AuthType", "AWS_IAM"),
]


def broken(document, path, value):
    document = copy.deepcopy(document)
    node = document["Resources"]
    if path.startswith("../"):
        node, path = document, path[3:]
    *folders, last = path.split(".")
    for folder in folders:
        node = node[int(folder) if isinstance(node, list) else folder]
    if value is GONE:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return Template(document)


def main():
    failures = []
    for path, rules, breaks in ((MAIN, RULES, BREAKS), (WEBHOOKS, [the_url], URL_BREAKS)):
        document = load(path)
        for rule in rules:
            failures += [f"{path.name}: {rule.__name__}: {what}" for what in rule(Template(document))]
            if all(it[0] is not rule for it in breaks):
                failures.append(f"{rule.__name__} is never broken")
        for rule, where, value in breaks:
            if not list(rule(broken(document, where, value))):
                failures.append(f"{rule.__name__} does not see {where} = {'nothing' if value is GONE else value}")
    for failure in failures:
        print(f"FAILED: {failure}")
    if not failures:
        print(f"{len(RULES) + 1} rules hold, and say no to {len(BREAKS) + len(URL_BREAKS)} templates that break them")
    sys.exit(bool(failures))


main()
