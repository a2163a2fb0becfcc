"""A provider that knows a schema and nothing else, for the genuine Terraform: what a module says is checked against what the vendor's provider
takes, and planned with everything unknown that only the cloud would know. It creates nothing.

Serves the plugin protocol 6 with what the package `tf` (PyPI) has for it. The schema is the file in TERRAFORM_SCHEMA (reduce.py makes it).
"""

import json
import os

from tf import provider as wire
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc
from tf.runner import run_provider
from tf.types import Unknown
from tf.utils import Diagnostics, read_dynamic_value, to_dynamic_value

# What a data source answers with; what is not here is null.
KNOWN = {
    "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com", "id": "aws"},
    "aws_region": {"region": "eu-central-1", "name": "eu-central-1", "id": "eu-central-1"},
    "aws_caller_identity": {"account_id": "123456789012", "arn": "arn:aws:iam::123456789012:user/test", "id": "123456789012", "user_id": "TEST"},
    "aws_default_tags": {"tags": {"owner": "from-the-provider"}, "id": "aws"},
    "aws_ami": {"architecture": "x86_64", "root_device_name": "/dev/xvda"},
    "aws_subnets": {"ids": ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]},
    "aws_subnet": {"vpc_id": "vpc-0123456789abcdef0", "availability_zone": "eu-central-1a", "ipv6_native": False},
    "aws_availability_zones": {"names": ["eu-central-1a", "eu-central-1b"]},
    "aws_autoscaling_group": {
        "arn": "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:0a1b:autoScalingGroupName/ci-existing",
        "new_instances_protected_from_scale_in": True,
        "suspended_processes": ["AZRebalance"],
        "health_check_type": "EC2",
        "min_size": 0,
        "max_size": 10,
    },
}


def image(value):
    """The image that was asked for by its id, else some; those for arm64 begin with ami-a."""
    ids = [one for filter in value["filter"] if filter["name"] == "image-id" for one in filter["values"]]
    found = ids[0] if ids else "ami-0fedcba9876543210"
    return {"id": found, "architecture": "arm64" if found.startswith("ami-a") else "x86_64"}


NESTING = {"single": pb.Schema.NestedBlock.SINGLE, "list": pb.Schema.NestedBlock.LIST, "set": pb.Schema.NestedBlock.SET}


def schema_of(block):
    return pb.Schema(version=0, block=block_of(block))


def block_of(block):
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(said["type"]).encode(),
                required=said.get("required", False),
                optional=said.get("optional", False),
                computed=said.get("computed", False),
                sensitive=said.get("sensitive", False),
            )
            for name, said in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                nesting=NESTING[said["nesting"]],
                min_items=said.get("min", 0),
                max_items=said.get("max", 0),
                block=block_of(said["block"]),
            )
            for name, said in block.get("blocks", {}).items()
        ],
    )


def planned(block, value):
    """What is not set and only the cloud knows, is unknown."""
    if value is None or value is Unknown:
        return value
    result = dict(value)
    for name, said in block["attributes"].items():
        if result.get(name) is None and said.get("computed"):
            result[name] = Unknown
    for name, said in block.get("blocks", {}).items():
        inner = result.get(name)
        if inner is None or inner is Unknown:
            continue
        result[name] = planned(said["block"], inner) if said["nesting"] == "single" else [planned(said["block"], one) for one in inner]
    return result


def not_to_be_set(block, value, path, found):
    """Arguments that have a value and that only the cloud may give one."""
    if not isinstance(value, dict):
        return
    for name, said in block["attributes"].items():
        if value.get(name) is not None and not said.get("optional") and not said.get("required"):
            found.append([*path, name])
    for name, said in block.get("blocks", {}).items():
        inner = value.get(name)
        for at, one in enumerate(inner) if isinstance(inner, list) else [(None, inner)]:
            not_to_be_set(said["block"], one, [*path, name] if at is None else [*path, name, (at,)], found)


class Servicer(rpc.ProviderServicer):
    """In the place of the package's own, which wants a class for each resource. What is missing here is answered with "unimplemented"."""

    def __init__(self, _app):
        with open(os.environ["TERRAFORM_SCHEMA"], encoding="utf-8") as file:
            self.schema = json.load(file)

    def GetMetadata(self, _request, _context):
        return pb.GetMetadata.Response(server_capabilities=pb.ServerCapabilities(plan_destroy=True))

    def GetProviderSchema(self, _request, _context):
        return pb.GetProviderSchema.Response(
            provider=schema_of(self.schema["provider"]),
            resource_schemas={name: schema_of(block) for name, block in self.schema["resources"].items()},
            data_source_schemas={name: schema_of(block) for name, block in self.schema["data"].items()},
        )

    def ValidateProviderConfig(self, _request, _context):
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(self, _request, _context):
        return pb.ConfigureProvider.Response()

    def validate(self, kind, request, response):
        found, diagnostics = [], Diagnostics()
        not_to_be_set(self.schema[kind][request.type_name], read_dynamic_value(request.config), [], found)
        for path in found:
            diagnostics.add_error("Value for an attribute that only the provider sets", f"{request.type_name}: {path[-1]}", path=path)
        return response(diagnostics=diagnostics.to_pb())

    def ValidateResourceConfig(self, request, _context):
        return self.validate("resources", request, pb.ValidateResourceConfig.Response)

    def ValidateDataResourceConfig(self, request, _context):
        return self.validate("data", request, pb.ValidateDataResourceConfig.Response)

    def UpgradeResourceState(self, request, _context):
        return pb.UpgradeResourceState.Response(upgraded_state=to_dynamic_value(json.loads(request.raw_state.json)))

    def ReadResource(self, request, _context):
        return pb.ReadResource.Response(new_state=request.current_state)

    def PlanResourceChange(self, request, _context):
        block = self.schema["resources"][request.type_name]
        value = read_dynamic_value(request.proposed_new_state)
        return pb.PlanResourceChange.Response(planned_state=to_dynamic_value(planned(block, value)))

    def ApplyResourceChange(self, _request, _context):
        return pb.ApplyResourceChange.Response(diagnostics=Diagnostics().add_error("This provider creates nothing").to_pb())

    def ReadDataSource(self, request, _context):
        value = read_dynamic_value(request.config)
        known = {name: one for name, one in KNOWN.get(request.type_name, {}).items() if value.get(name) is None}
        if request.type_name == "aws_ami":
            known |= image(value)
        return pb.ReadDataSource.Response(state=to_dynamic_value({**value, **known}))

    def GetFunctions(self, _request, _context):
        return pb.GetFunctions.Response()

    def StopProvider(self, _request, _context):
        return pb.StopProvider.Response()


class Name:
    """All that the package asks of a provider that brings its own servicer."""

    def full_name(self):
        with open(os.environ["TERRAFORM_SCHEMA"], encoding="utf-8") as file:
            return f"registry.terraform.io/hashicorp/{json.load(file)['name']}"


if __name__ == "__main__":
    wire.ProviderServicer = Servicer
    run_provider(Name())
