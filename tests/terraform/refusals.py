#!/usr/bin/env python3
"""A check that takes everything proves nothing: each of these changes to the modules must be refused, by Terraform or by what must hold of a plan.
refusals.py WORK, where tests/terraform/run has copied the modules to WORK/repository, initialised the examples and serves the provider.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

POOL = "modules/pool/main.tf"
TEMPLATE = "modules/pool/launch_template.tf"
ROLE = "modules/pool/role.tf"
NETWORK = "modules/pool/network.tf"
FUNCTION = "modules/scaler/main.tf"
EXAMPLE = "examples/gitlab/main.tf"
ENDPOINTS = "examples/vpc-endpoints/main.tf"
TAGGED = "examples/required-tags/main.tf"

# The file, what stands there, what stands there instead, and a part of what is then said. "" for what stands there: at the file's end.
TERRAFORM = [
    (POOL, "  min_size            =", "  min_sise            =", "Unsupported argument"),
    (POOL, "default_instance_warmup   = 0", 'default_instance_warmup   = "soon"', "a number is required"),
    (POOL, "  max_size            = var.max_size\n", "", "Missing required argument"),
    (POOL, '    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"\n', "", "Missing required argument"),
    (POOL, "protect_from_scale_in = true", "protect_from_scale_in {\n  }", "Unsupported block type"),
    (POOL, "  timeouts {\n", '  arn = "mine"\n  timeouts {\n', "only the provider sets"),
    (TEMPLATE, "  metadata_options {", "  metadata_option {", "Unsupported block type"),
    (TEMPLATE, "  monitoring {\n", "  monitoring {\n    enabled = true\n  }\n  monitoring {\n", "Too many monitoring blocks"),
    (POOL, "aws_launch_template.pool.latest_version", "aws_launch_template.pool.newest_version", "Unsupported attribute"),
    (POOL, "", 'resource "aws_autoscaling_grp" "x" {}\n', "Invalid resource type"),
    (EXAMPLE, "max_size   = 20", "max_sise   = 20", "Unsupported argument"),
    (EXAMPLE, "module.ci.group_name", "module.ci.group_names", "Unsupported attribute"),
    (EXAMPLE, "  subnet_ids = var.subnet_ids\n", "", "Missing required argument"),
]

HOOK = """
resource "aws_autoscaling_lifecycle_hook" "drain" {
  autoscaling_group_name = "x"
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  name                   = "x"
}
"""
WAY_OUT = """
resource "aws_vpc_security_group_egress_rule" "more" {
  security_group_id = aws_security_group.pool[0].id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}
"""
TIMEOUTS = """
  # As the subnets: Lambda's interfaces have it for up to an hour after the function.
  timeouts {
    delete = "70m"
  }
"""
PLAN = [
    (POOL, "protect_from_scale_in = true", "protect_from_scale_in = false", "not protected from their birth"),
    (POOL, 'suspended_processes       = ["AZRebalance"]', "suspended_processes       = []", "not AZRebalance alone"),
    (POOL, "capacity_rebalance        = false", "capacity_rebalance        = true", "it replaces what may be interrupted"),
    (POOL, 'health_check_type         = "EC2"', 'health_check_type         = "ELB"', "counts as its health"),
    (POOL, "  timeouts {\n", "  force_delete = true\n  timeouts {\n", "force_delete skips the hook"),
    (POOL, "  timeouts {\n", "  desired_capacity = 1\n  timeouts {\n", "the desired capacity is"),
    (POOL, "  timeouts {\n", "  max_instance_lifetime = 86400\n  timeouts {\n", "ends instances for their age"),
    (POOL, "delete = var.delete_timeout", 'delete = "10m"', "destroy gives up before the hook does"),
    (POOL, "heartbeat_timeout    = 600\n    default_result       = \"CONTINUE\"", "heartbeat_timeout    = 10\n    default_result       = \"CONTINUE\"", "not from 30 to 7200 s"),
    (POOL, "heartbeat_timeout    = 600\n    default_result       = \"CONTINUE\"", "heartbeat_timeout    = var.volume_size * 15\n    default_result       = \"CONTINUE\"", "not made of constants"),
    (POOL, 'default_result       = "CONTINUE"', 'default_result       = "ABANDON"', "ends the wait of others"),
    (POOL, "    aws_iam_role_policy.agent,\n", "", "while its members still need them"),
    (NETWORK, "    aws_iam_role_policy.agent,\n", "", "while its members still need them"),
    (NETWORK, "delete = var.delete_timeout", 'delete = "15m"', "destroy gives up before the hook does"),
    (NETWORK, "", WAY_OUT, "cuts off instances that run"),
    (POOL, "          instance_type = override.value\n", '          instance_type     = override.value\n          weighted_capacity = "2"\n', "it has weights"),
    (POOL, "propagate_at_launch = true", "propagate_at_launch = false", "does not reach the instances"),
    (TEMPLATE, "http_put_response_hop_limit = 1", "http_put_response_hop_limit = 2", "containers reach the metadata service"),
    (TEMPLATE, 'http_tokens                 = "required"', 'http_tokens                 = "optional"', "metadata without a token"),
    (TEMPLATE, 'instance_metadata_tags      = "enabled"', 'instance_metadata_tags      = "disabled"', "cannot see the tags"),
    (TEMPLATE, "device_index                = 0", "device_index                = 1", "not one network interface"),
    (TEMPLATE, '= "terminate"', '= "stop"', "switches itself off stays"),
    (TEMPLATE, "encrypted             = true", "encrypted             = false", "a volume that is not encrypted"),
    (TEMPLATE, "  monitoring {\n", '  instance_market_options {\n    market_type = "spot"\n  }\n  monitoring {\n', "market options"),
    (TEMPLATE, "base64encode(local.user_data)", 'base64encode("#cloud-config\\n{\\"runcmd\\": []}")', "more than write files"),
    (ROLE, "        Resource = local.group_arn\n", '        Resource = "*"\n', "on *"),
    (ROLE, '        Condition = { StringEquals = { "aws:ARN" = "$${ec2:SourceInstanceARN}" } }\n', "", "on other instances"),
    (ROLE, '"ec2:CreateTags", "ec2:TerminateInstances"', '"ec2:*"', "each action by its name"),
    ("modules/pool/settings.tf", '["# Written', '["token = \\"glrt-abcdefgh\\"", "# Written', "a secret"),
    ("modules/scaler/role.tf", '"autoscaling:SetDesiredCapacity"', '"autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"', "the scaler may"),
    (FUNCTION, "maximum_retry_attempts       = 0\n  maximum", "maximum_retry_attempts       = 2\n  maximum", "old ticks pile up"),
    (FUNCTION, "  source_code_hash  = local.package_hash\n", "", "another package changes nothing"),
    (FUNCTION, "", '\nresource "aws_lambda_permission" "open" {\n  statement_id  = "x"\n  action        = "lambda:InvokeFunction"\n  function_name = "x"\n  principal     = "*"\n}\n', "everybody may invoke"),
    (POOL, "", HOOK, "goes before the group"),
    (ENDPOINTS, TIMEOUTS, "", "gives up before Lambda's interfaces go"),
    (TAGGED, "  tags = local.required\n", '  tags = { team = "platform" }\n', "refuses its launches: cost-centre is missing"),
    (POOL, "  timeouts {\n", '  provisioner "local-exec" {\n    command = "true"\n  }\n  timeouts {\n', "it has a provisioner"),
]


def terraform(folder, *arguments):
    environment = {**os.environ, "TF_REATTACH_PROVIDERS": os.environ["LIGHTSOUT_TERRAFORM_REATTACH"]}
    done = subprocess.run(["terraform", f"-chdir={folder}", *arguments], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).replace("│", " ").split())


def changed(work, file, old, new):
    """The modules with one change, beside the unchanged ones."""
    folder = work / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(work / "repository", folder, symlinks=True)
    folder = folder / "terraform/aws"
    text = (folder / file).read_text()
    assert old in text, f"{file} has no {old!r}: this change must follow it"
    (folder / file).write_text(text.replace(old, new, 1) if old else text + new)
    return (folder / file).parent if file.startswith("examples/") else folder / "examples/gitlab"


def planned(work, example):
    code, said = terraform(example, "plan", "-no-color", "-input=false", f"-out={work}/changed.plan")
    assert code == 0, f"it cannot even be planned: {said}"
    environment = {**os.environ, "TF_REATTACH_PROVIDERS": os.environ["LIGHTSOUT_TERRAFORM_REATTACH"]}
    shown = subprocess.run(["terraform", f"-chdir={example}", "show", "-json", f"{work}/changed.plan"], env=environment, capture_output=True, check=True)
    (work / "changed.json").write_bytes(shown.stdout)
    done = subprocess.run([sys.executable, Path(__file__).with_name("invariants.py"), work / "changed.json"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main(work):
    taken = 0
    for stage, changes in (("validate", TERRAFORM), ("plan", PLAN)):
        for file, old, new, expected in changes:
            example = changed(work, file, old, new)
            code, said = terraform(example, "validate", "-no-color") if stage == "validate" else planned(work, example)
            if code == 0 or expected not in said:
                taken += 1
                print(f"{file}: {old!r} -> {new!r}: not refused with {expected!r}, but {code}: {said}")
    print(f"{len(TERRAFORM) + len(PLAN) - taken} of {len(TERRAFORM) + len(PLAN)} changes are refused")
    return 1 if taken else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
