#!/usr/bin/env python3
"""Reduces a provider's schema to what the modules use: reduce.py PACKAGE >aws.schema.json, or azurerm.schema.json

PACKAGE is the unpacked folder of `npm pack @cdktn/provider-aws@25.7.0`, which describes hashicorp/aws 6.66.0, or of
`npm pack @cdktn/provider-azurerm@16.1.0`, which describes hashicorp/azurerm 4.73.0; they are made from the providers' own schemas. Each class in it
stands for a resource or a block; a comment before each member says whether it is computed, optional or required, and the code behind it has the
type. What is lost: limits of repeated blocks, deprecations, and all that is in no schema (defaults, ranges, replacement).
"""

import json
import re
import sys
from pathlib import Path

# By provider: the resources, and the data sources.
USED = {
    "aws": (
        """
            autoscaling_group autoscaling_lifecycle_hook autoscaling_policy autoscaling_schedule cloudwatch_dashboard cloudwatch_log_group cloudwatch_log_metric_filter
            cloudwatch_metric_alarm eip iam_instance_profile iam_role iam_role_policy
            iam_role_policy_attachment internet_gateway key_pair kms_alias kms_grant kms_key lambda_function lambda_function_event_invoke_config
            lambda_function_url lambda_permission launch_template nat_gateway route route_table route_table_association s3_bucket
            s3_bucket_lifecycle_configuration s3_bucket_public_access_block s3_bucket_server_side_encryption_configuration s3_object
            scheduler_schedule secretsmanager_secret security_group ssm_parameter subnet vpc vpc_endpoint vpc_security_group_egress_rule
            vpc_security_group_ingress_rule
        """,
        "ami autoscaling_group availability_zones caller_identity default_tags iam_role partition region security_group subnet subnets vpc",
    ),
    "azurerm": (
        """
            function_app_flex_consumption log_analytics_workspace_table_custom_log monitor_data_collection_endpoint monitor_data_collection_rule
            monitor_scheduled_query_rules_alert_v2 nat_gateway nat_gateway_public_ip_association
            orchestrated_virtual_machine_scale_set public_ip role_assignment role_definition service_plan storage_account storage_container subnet
            subnet_nat_gateway_association user_assigned_identity virtual_network
        """,
        "",
    ),
}

SIMPLE = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
MAPS = {"StringMap": "string", "NumberMap": "number", "BooleanMap": "bool", "StringListMap": ["list", "string"]}
MEMBER = re.compile(r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)$", re.M)
# A block, where the class is made.
INNER = re.compile(r"^        // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(.*)$", re.M)
# What can be set, where no comment says so.
PLAIN = re.compile(r"^    get (\w+)\(\) \{\n(        return .*this\.get\w+Attribute\('(\w+)'\)\)?;)$", re.M)
CLASS = re.compile(r"^class (\w+) extends cdkt[fn]\.(\w+) \{$", re.M)


def reduce(package):
    package = Path(package)
    said = json.loads((package / "package.json").read_text())
    name, version = said["cdktn"]["provider"]["name"].rsplit("/", 1)[1], said["cdktn"]["provider"]["version"]
    resources, data = USED[name]
    return {
        "notice": f"Reduced from {said['name']} {said['version']} (npm; Mozilla Public License 2.0, as this file is), "
        f"which describes the provider hashicorp/{name} {version}. Made by tests/terraform/reduce.py.",
        "name": name,
        "version": version,
        "provider": provider(package / "lib/provider/index.js", name),
        "resources": {f"{name}_{kind}": schema(package, kind) for kind in resources.split()},
        "data": {f"{name}_{kind}": schema(package, f"data_{name}_{kind}") for kind in data.split()},
    }


def provider(file, name):
    """The provider's own settings, of which tests need few: their types are not told by a getter, but by the reader of its input."""
    if name == "azurerm":
        features = {"nesting": "list", "min": 1, "max": 1, "block": {"attributes": {}}}
        attributes = {"subscription_id": {"type": "string", "optional": True}, "storage_use_azuread": {"type": "bool", "optional": True}}
        return {"attributes": attributes, "blocks": {"features": features}}
    text = file.read_text()
    flags = {}
    for name, kind, storage in re.findall(r"^            (\w+): \{\n.*\n\s+isBlock: false,\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"", text, re.M):
        base = {"string": "string", "boolean": "bool", "number": "number", "stringList": "string", "stringMap": "string"}[storage]
        flags[name] = {"type": base if kind == "simple" else [kind, base], "optional": True}
    tags = {"attributes": {"tags": {"type": ["map", "string"], "optional": True}}}
    ignored = {"attributes": {name: {"type": ["set", "string"], "optional": True} for name in ("keys", "key_prefixes")}}
    blocks = {name: {"nesting": "list", "max": 1, "block": block} for name, block in (("default_tags", tags), ("ignore_tags", ignored))}
    return {"attributes": flags, "blocks": blocks}


def schema(package, name):
    text = (package / "lib" / name.replace("_", "-") / "index.js").read_text()
    starts = list(CLASS.finditer(text))
    classes = {}
    for found, after in zip(starts, [*starts[1:], None]):
        classes[found[1]] = (found[2], text[found.end() : after.start() if after else len(text)])
    main = [body for kind, body in classes.values() if kind in ("TerraformResource", "TerraformDataSource")]
    assert len(main) == 1, name
    # Whether a repeated block is a list or a set, and which single ones are neither, as the writers of their input say.
    kinds = {of: kind for kind, of in re.findall(r"isBlock: true,\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"", text)}
    return block(main[0], classes, kinds)


def members(body):
    """Each member: its name, what may set it, and the code that tells its type. Some versions of the generator write what may set it into a comment
    before each; others only for what nobody or a block may set, and who may leave out what has a way to be reset."""
    found = list(MEMBER.finditer(body))
    for one, after in zip(found, [*found[1:], None]):
        yield one[1], [one[i] == "true" for i in (2, 3, 4)], body[one.end() : after.start() if after else len(body)]
    for one in INNER.finditer(body):
        yield one[1], [one[i] == "true" for i in (2, 3, 4)], one[5]
    said = {one[1] for one in found}
    for one in PLAIN.finditer(body):
        if one[3] not in said and f"set {one[1]}(value)" in body:
            optional = f"    reset{one[1][0].upper()}{one[1][1:]}()" in body
            # The provider gives everything an id, but for what a block names by one.
            yield one[3], [one[3] == "id" and optional, optional, not optional], one[2]


def block(body, classes, kinds):
    attributes, blocks = {}, {}
    for name, (computed, optional, required), code in members(body):
        flags = {key: True for key, value in (("computed", computed), ("optional", optional), ("required", required)) if value}
        new = re.search(r"= new (cdkt[fn]\.)?(\w+)\(this, \"\w+\"(?:, (true|false))?\)", code)
        if new and new[1] and new[2] in MAPS:
            attributes[name] = {"type": ["map", MAPS[new[2]]], **flags}
        elif new:
            inner = new[2] if new[2].endswith("OutputReference") else new[2].removesuffix("List") + "OutputReference"
            nested = block(classes[inner][1], classes, kinds)
            if computed:
                repeated = new[2].endswith("List")
                item = object_type(nested)
                attributes[name] = {"type": ["set" if new[3] == "true" else "list", item] if repeated or not optional else item, **flags}
            elif new[2].endswith("List"):
                blocks[name] = {"nesting": "set" if new[3] == "true" else "list", **({"min": 1} if required else {}), "block": nested}
            elif kinds.get(new[2].removesuffix("OutputReference")) == "struct":
                blocks[name] = {"nesting": "single", "block": nested}
            else:
                blocks[name] = {"nesting": "list", **({"min": 1} if required else {}), "max": 1, "block": nested}
        else:
            getter = re.search(r"(.*)this\.(get\w+Attribute)\(", code)
            kind = SIMPLE[getter[2]]
            if "Fn.tolist(" in getter[1]:
                kind = ["set", kind[1]]
            attributes[name] = {"type": kind, **flags}
    # The one pair that is write-only; the classes do not say it.
    for name in ("value_wo", "secret_string_wo"):
        if name in attributes:
            attributes[name]["write_only"] = True
    return {"attributes": attributes, **({"blocks": blocks} if blocks else {})}


def object_type(nested):
    fields = {name: attribute["type"] for name, attribute in nested["attributes"].items()}
    for name, inner in nested.get("blocks", {}).items():
        fields[name] = [inner["nesting"], object_type(inner["block"])]
    return ["object", fields]


def write(whole, out):
    """One resource a line, so that a change of it can be read."""

    def line(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))

    out.write("{\n")
    for key in ("notice", "name", "version", "provider"):
        out.write(f'"{key}": {line(whole[key])},\n')
    for key, last in (("resources", False), ("data", True)):
        rows = ",\n".join(f'  "{name}": {line(value)}' for name, value in sorted(whole[key].items()))
        out.write(f'"{key}": {{\n{rows}\n}}{"" if last else ","}\n')
    out.write("}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(reduce(sys.argv[1]), sys.stdout)
