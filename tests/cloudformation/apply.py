"""The template, really applied, updated and deleted on moto; the real scaler raises the group that it makes, and the real agent on one of
the instances looks at itself, serves and ends itself.

moto proves the wiring of roles, template, group and function. It skips schedules, function URLs and hooks without a word in its answers;
check.py looks at those in the template.
"""

import ast
import base64
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.argv[1])
REGION = "eu-central-1"
STACK = "ci-linux"
work = pathlib.Path(tempfile.mkdtemp())
processes = []


def main():
    endpoint = moto()
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "moto",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        os.environ[name] = value
    parameters = before()
    created = create(parameters)
    roles(created)
    rebalancing()
    config = settings_of_the_function(created)
    ids = raised(config)
    template_of(ids[0])
    the_agent_ends_its_own_instance(ids[0])
    updated(parameters, created)
    deleted(created)
    print("ok")


# ---- steps -----------------------------------------------------------------------------------------------------------------


def before():
    """What the user has: a network, an image, a package in a bucket, a secret."""
    ec2 = client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [it["SubnetId"] for it in ec2.describe_subnets()["Subnets"] if it["VpcId"] == vpc][:2]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("bootstrap", "")
    location = {"LocationConstraint": REGION}
    client("s3").create_bucket(Bucket="packages", CreateBucketConfiguration=location)
    client("s3").put_object(Bucket="packages", Key="scaler.zip", Body=package.getvalue())
    client("ssm").put_parameter(Name="/ci/read-token", Value="x", Type="SecureString")
    return {
        "ImageId": image,
        "SecondInstanceType": "c7a.large",
        "OnDemandPercentage": "0",
        "MaxSize": "5",
        "VpcId": vpc,
        "SubnetIds": ",".join(subnets),
        "AgentSettings": '[platform.command]\nrun = ["sleep", "infinity"]\nchildren = true\n',
        "AgentSecretArns": f"arn:aws:ssm:{REGION}:123456789012:parameter/ci/runner-token",
        "ScalerSettings": 'slots = 2\n[pool.platform.command]\nqueue = ["echo", "5"]\n',
        "ScalerSecretArns": ",".join(f"arn:aws:ssm:{REGION}:123456789012:parameter/ci/{name}" for name in ("read-token", "webhook")),
        "PackageBucket": "packages",
        "PackageKey": "scaler.zip",
        "ExtraPolicyArns": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    }


def create(parameters):
    client("cloudformation").create_stack(
        StackName=STACK, TemplateBody=template(), Parameters=listed(parameters), Capabilities=["CAPABILITY_IAM"]
    )
    stack = client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    equal(stack["StackStatus"], "CREATE_COMPLETE", "the stack")
    outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
    it = group()
    equal(outputs["GroupName"], STACK, "the group's name")
    equal((it["MinSize"], it["MaxSize"], it["DesiredCapacity"]), (0, 5, 0), "the group's sizes")
    equal(it["NewInstancesProtectedFromScaleIn"], True, "protection at birth")
    policy = it["MixedInstancesPolicy"]
    types = [it["InstanceType"] for it in policy["LaunchTemplate"]["Overrides"]]
    equal(types, ["c7i.large", "c7a.large"], "the group's types")
    equal(policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"], 0, "the share on demand")
    equal(policy["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"], "1", "the template's version")
    said("the stack is created: a group without instances, protected at birth, spot over two types")
    return outputs


def roles(outputs):
    iam = client("iam")
    agent = policy(outputs["InstanceRoleArn"], "agent")
    own = f"arn:aws:autoscaling:{REGION}:123456789012:autoScalingGroup:*:autoScalingGroupName/{STACK}"
    equal(agent["OwnGroup"]["Resource"], own, "the agent's group")
    equal(names(agent["Secret"]), ["runner-token"], "the agent's secret")
    equal("SecretKey" in agent, False, "a right on a key that is not there")
    scaler = policy(outputs["ScalerRoleArn"], "scaler")
    equal(scaler["Raise"]["Resource"], own, "the scaler's group")
    equal(names(scaler["Secret"]), ["read-token", "webhook"], "the scaler's secrets")
    profile = iam.get_instance_profile(InstanceProfileName=outputs["InstanceProfileArn"].rsplit("/", 1)[1])
    equal(profile["InstanceProfile"]["Roles"][0]["Arn"], outputs["InstanceRoleArn"], "the profile's role")
    said("the roles name this group and these secrets, and nothing else")


def names(statement):
    return [it.rsplit("/", 1)[1] for it in statement["Resource"]]


def rebalancing():
    """What the schedule will ask for is a call that the API knows: moto has no schedules, so it is made here."""
    from cfnlint.decode import cfn_yaml

    document = json.loads(json.dumps(cfn_yaml.load(str(ROOT / "cloudformation/lightsout.yaml"))))
    asked = document["Resources"]["NoRebalancing"]["Properties"]["Target"]["Input"]["Fn::Sub"].replace("${Group}", STACK)
    client("autoscaling").suspend_processes(**json.loads(asked))
    equal([it["ProcessName"] for it in group()["SuspendedProcesses"]], ["AZRebalance"], "the suspended processes")
    said("what the schedule asks for suspends AZRebalance")


def settings_of_the_function(outputs):
    function = client("lambda").get_function_configuration(FunctionName=outputs["ScalerArn"])
    equal((function["Runtime"], function["Handler"], function["Timeout"]), ("provided.al2023", "bootstrap", 60), "the function")
    config = work / "scaler.toml"
    config.write_text(function["Environment"]["Variables"]["LIGHTSOUT_SCALER_CONFIG_TOML"])
    return config


def raised(config):
    for wanted in ("raised 0 -> 3", "held"):
        found = run(BIN / "lightsout-scaler", "once", "--config", config)
        if wanted not in found:
            fail(f"the scaler did not say {wanted!r}: {found}")
    it = group()
    equal((it["DesiredCapacity"], len(it["Instances"])), (3, 3), "what was raised")
    equal({it["ProtectedFromScaleIn"] for it in it["Instances"]}, {True}, "their protection")
    said("the scaler, with the function's settings, raises the group to 3 for 5 jobs in slots of 2, and then holds")
    return [it["InstanceId"] for it in it["Instances"]]


def template_of(instance):
    ec2 = client("ec2")
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=tagged(instance, "aws:ec2launchtemplate:id"))
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    metadata = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "enabled"}
    equal({key: data["MetadataOptions"][key] for key in metadata}, metadata, "the metadata options")
    equal(data["InstanceInitiatedShutdownBehavior"], "terminate", "the shutdown behaviour")
    equal(data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"], True, "the volume's encryption")
    text = base64.b64decode(data["UserData"]).decode()
    path = work / "agent.d"
    path.mkdir()
    for name, content in re.findall(r"- path: \S+/(\S+)\n[^-]*content: (\S+)", text):
        (path / name).write_text(base64.b64decode(content).decode())
    # As cloud-init would write them: the agent takes them without a doubt.
    found = run(BIN / "lightsout-agent", "settings", "--config", path)
    if "platform.command.run" not in found or f"/lightsout/{STACK}/instances" not in found:
        fail(f"the agent does not read what user data writes: {found}")
    said("user data holds the agent's settings, and the agent reads them")


def the_agent_ends_its_own_instance(instance):
    Metadata.instance = instance
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = work / "agent.d/60-here.toml"
    here.write_text(
        f"""
[agent]
idle_timeout = "4s"
confirm = "1s"
protection = "while-busy"
runner_unit = false
runner_user = "root"
metadata_guard = "off"
metrics = "off"
state_dir = "{work}/state"
socket = "{work}/agent.sock"
power_off = ["touch", "{work}/powered-off"]
[docker]
enabled = false
"""
    )
    # Without a hook that moto would heed `while-busy` is refused, so the group gets one here as the template says it.
    client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=STACK,
        LifecycleHookName="lightsout-drain",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        HeartbeatTimeout=600,
        DefaultResult="CONTINUE",
    )
    log = open(work / "agent.log", "w")
    environment = {**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"}
    agent = subprocess.Popen(
        [BIN / "lightsout-agent", "run", "--config", work / "agent.d"], stdout=log, stderr=log, env=environment
    )
    processes.append(agent)
    patience(lambda: instance not in members(), "the agent to end its instance")
    agent.kill()
    agent.wait()
    server.shutdown()
    it = group()
    equal((it["DesiredCapacity"], len(it["Instances"])), (2, 2), "the group without it")
    asked = (work / "agent.log").read_text()
    for step in ("ready", "idle"):
        if step not in asked:
            fail(f"the agent's log does not say {step!r}")
    said("the agent finds itself in the group, serves, and ends its own instance: desired 3 -> 2")


def updated(parameters, outputs):
    changed = {**parameters, "MaxSize": "7", "VolumeSize": "80"}
    client("cloudformation").update_stack(
        StackName=STACK, TemplateBody=template(), Parameters=listed(changed), Capabilities=["CAPABILITY_IAM"]
    )
    it = group()
    equal((it["MinSize"], it["MaxSize"]), (0, 7), "the sizes after an update")
    specification = it["MixedInstancesPolicy"]["LaunchTemplate"]["LaunchTemplateSpecification"]
    equal((specification["LaunchTemplateId"], specification["Version"]), (outputs["LaunchTemplateId"], "2"), "the new version")
    # That AWS keeps the group and its instances is what check.py proves by the resource's own schema: moto makes a new group at each update.
    said("an update makes a new version of the template, and the group names it")


def deleted(outputs):
    client("cloudformation").delete_stack(StackName=STACK)
    groups = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    equal(groups, [], "the groups after the end")
    left = [it["Arn"] for it in client("iam").list_roles()["Roles"] if it["Arn"] == outputs["InstanceRoleArn"]]
    equal(left, [], "the roles after the end")
    equal(client("lambda").list_functions()["Functions"], [], "the functions after the end")
    said("nothing is left of a stack that is deleted")


# ---- the instance's metadata service ---------------------------------------------------------------------------------------


class Metadata(http.server.BaseHTTPRequestHandler):
    """What an instance asks. moto's own knows one instance, and no group."""

    instance = ""

    def do_PUT(self):
        self.answer("token")

    def do_GET(self):
        items = {
            "instance-id": self.instance,
            "instance-type": "c7i.large",
            "instance-life-cycle": "spot",
            "placement/region": REGION,
            "placement/availability-zone": f"{REGION}a",
            "autoscaling/target-lifecycle-state": "InService",
            "tags/instance/": "aws:autoscaling:groupName",
            "tags/instance": "aws:autoscaling:groupName",
            "tags/instance/aws:autoscaling:groupName": STACK,
            "": "instance-id\n",
        }
        path = self.path.removeprefix("/latest/meta-data/")
        if self.headers.get("x-aws-ec2-metadata-token") != "token":
            self.answer("", 401)
        elif path in items:
            self.answer(items[path])
        else:
            self.answer("", 404)

    def answer(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/plain")
        self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# ---- helpers ---------------------------------------------------------------------------------------------------------------


def moto():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(work / "moto.log", "w")
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    processes.append(server)

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    patience(answers, "moto")
    return f"http://127.0.0.1:{port}"


def client(service):
    return boto3.client(service)


def template():
    return (ROOT / "cloudformation/lightsout.yaml").read_text()


def listed(parameters):
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]


def group():
    return client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[STACK])["AutoScalingGroups"][0]


def members():
    return [it["InstanceId"] for it in group()["Instances"]]


def policy(role, name):
    found = client("iam").get_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyName=name)["PolicyDocument"]
    # moto keeps one with a condition in it as Python's own text, with None where CloudFormation leaves nothing.
    found = ast.literal_eval(found) if isinstance(found, str) else found
    return {it["Sid"]: it for it in found["Statement"] if it}


def tagged(instance, key):
    tags = client("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["Tags"]
    return next(it["Value"] for it in tags if it["Key"] == key)


def run(*command):
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        fail(f"{command[0].name} {command[1]} exits with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def patience(condition, what):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    fail(f"waited in vain for {what}")


def equal(found, wanted, what):
    if found != wanted:
        fail(f"{what}: {found!r} instead of {wanted!r}")


def said(what):
    print(what, flush=True)


def fail(what):
    for log in ("agent.log", "moto.log"):
        if (work / log).exists():
            lines = [it for it in (work / log).read_text().splitlines() if " 200 -" not in it]
            print(f"--- {log}", *lines[-40:], sep="\n")
    sys.exit(f"FAILED: {what}")


try:
    main()
finally:
    for process in processes:
        process.kill()
        process.wait()
    shutil.rmtree(work)
