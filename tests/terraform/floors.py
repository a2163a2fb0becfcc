#!/usr/bin/env python3
"""Nothing in the .tf files is newer than the version that their folder asks for, neither of Terraform nor of OpenTofu, whose versions go apart since 1.6:
one number is asked for and both compare their own with it. What is not in these tables is refused until somebody has looked when it came.

From the release notes of both, and from the indices of functions in their documentation.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What both had when they parted, at 1.6.
FUNCTIONS = set(
    "abs abspath alltrue anytrue base64decode base64encode base64gzip base64sha256 base64sha512 basename bcrypt can ceil chomp chunklist cidrhost "
    "cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains csvdecode dirname distinct element endswith file filebase64 "
    "filebase64sha256 filebase64sha512 fileexists filemd5 fileset filesha1 filesha256 filesha512 flatten floor format formatdate formatlist indent index "
    "join jsondecode jsonencode keys length log lookup lower matchkeys max md5 merge min nonsensitive one parseint pathexpand plantimestamp pow range "
    "regex regexall replace reverse rsadecrypt sensitive setintersection setproduct setsubtract setunion sha1 sha256 sha512 signum slice sort split "
    "startswith strcontains strrev substr sum templatefile textdecodebase64 textencodebase64 timeadd timecmp timestamp title tobool tolist tomap tonumber "
    "toset tostring transpose trim trimprefix trimspace trimsuffix try upper urlencode uuid uuidv5 values yamldecode yamlencode zipmap".split()
)
# Constructors of types, which are written alike.
TYPES = set("list map set object tuple optional".split())
BLOCKS = set("check data import locals module moved output provider resource terraform variable".split())
TEST_BLOCKS = set("provider run variables".split())
# What stands right within a block of the language itself. What stands within those of a provider its schema says (provider.py).
REQUIREMENT = set("condition error_message".split())
WITHIN = {
    "assert": REQUIREMENT,
    "import": set("id provider to".split()),
    "lifecycle": set("create_before_destroy ignore_changes postcondition precondition prevent_destroy replace_triggered_by".split()),
    "moved": set("from to".split()),
    "output": set("depends_on description precondition sensitive value".split()),
    "postcondition": REQUIREMENT,
    "precondition": REQUIREMENT,
    "terraform": set("backend cloud provider_meta required_providers required_version".split()),
    "validation": REQUIREMENT,
    "variable": set("default description nullable sensitive type validation".split()),
}
# What came later: since which Terraform, since which OpenTofu; None: not at all.
NEWER = {
    "function base64gunzip": (None, (1, 7)),
    "function cidrcontains": (None, (1, 7)),
    "function ephemeralasnull": ((1, 10), (1, 11)),
    "function issensitive": ((1, 8), (1, 7)),
    "function templatestring": ((1, 9), (1, 7)),
    "function urldecode": (None, (1, 7)),
    "function of a provider": ((1, 8), (1, 7)),
    "block ephemeral": ((1, 10), (1, 11)),
    "block removed": ((1, 7), (1, 7)),
    "block mock_provider": ((1, 7), (1, 8)),
    "block override_data": ((1, 7), (1, 8)),
    "block override_module": ((1, 7), (1, 8)),
    "block override_resource": ((1, 7), (1, 8)),
    "deprecated within output": (None, (1, 10)),
    "deprecated within variable": (None, (1, 10)),
    "enabled within lifecycle": (None, (1, 11)),
    "ephemeral within output": ((1, 10), (1, 11)),
    "ephemeral within variable": ((1, 10), (1, 11)),
    "for_each within import": ((1, 7), (1, 7)),
    "argument that is written only": ((1, 11), (1, 11)),
    "validation by other things than the variable itself": ((1, 9), (1, 9)),
}
# The tests are for those who change the modules, and ask for more: terraform/aws/versions.tf says so.
OF_TESTS = {"Terraform": (1, 7), "OpenTofu": (1, 8)}


def code(text):
    """The text without comments and without what stands in strings, but with the expressions in these."""
    kept, at, within = [], 0, []  # within: of each open string or template, what ends it
    while at < len(text):
        ends = within[-1] if within else "}"
        rest = text[at:]
        if ends != "}":
            # In a string, or in a heredoc, which ends with its word on a line of its own.
            if rest.startswith("$${") or rest.startswith("%%{"):
                at += 3
            elif rest.startswith("\\") and ends == '"':
                at += 2
            elif rest.startswith("${") or rest.startswith("%{"):
                within.append("}")
                kept.append("{ ")
                at += 2
            elif ends == '"' and rest[0] == '"':
                within.pop()
                kept.append('"')
                at += 1
            elif ends != '"' and (found := re.match(rf"\s*{re.escape(ends)}(?=\n|$)", rest)) and text[at - 1] == "\n":
                within.pop()
                at += found.end()
            else:
                kept.append("\n" if rest[0] == "\n" else "")
                at += 1
        elif found := re.match(r"#.*|//.*|/\*.*?\*/", rest) if not rest.startswith("/*") else re.match(r"/\*.*?\*/", rest, re.S):
            at += found.end()
        elif found := re.match(r"<<-?(\w+)\n", rest):
            within.append(found[1])
            at += found.end()
        else:
            if rest[0] == '"':
                within.append('"')
            elif rest[0] == "{":
                within.append("}")
            elif rest[0] == "}" and within:
                within.pop()
            kept.append(rest[0])
            at += 1
    return "".join(kept)


def held(said):
    """What stands right within each block of the language itself, as (block, name)."""
    within = []  # Of each open bracket the block that it begins; None: it begins none.
    for line in re.sub(r"\{[ \t]*(?=\S)", "{\n", said).splitlines():
        name = re.match(r"\s*([a-z_]\w*)", line)
        if name and within and within[-1] in WITHIN:
            yield within[-1], name[1]
        header = re.match(r'\s*([a-z_]\w*)(?:\s+"")*\s*\{$', line)
        for letter in line:
            if letter in "{[(":
                within.append(header[1] if header and letter == "{" else None)
            elif letter in "}])" and within:
                within.pop()


def used(text, blocks):
    """All that somebody may lack, by the names of the tables."""
    said = code(text)
    for name in re.findall(r"(?<![\w:.])([a-z][a-z0-9_]*)\(", said):
        if name not in FUNCTIONS | TYPES:
            yield f"function {name}"
    if re.search(r"\bprovider::", said):
        yield "function of a provider"
    for name in re.findall(r"^([a-z_]+)\b[^\n=]*\{", said, re.M):
        if name not in blocks:
            yield f"block {name}"
    for block, name in held(said):
        if name not in WITHIN[block]:
            yield f"{name} within {block}"
    if re.search(r"^\s*\w+_wo(_version)?\s*=", said, re.M):
        yield "argument that is written only"
    for name, variable in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.M | re.S):
        for validation in re.findall(r"^  validation \{\n(.*?)^  \}", variable, re.M | re.S):
            if set(re.findall(r"\b((?:var|local|data|module)\.\w+)", code(validation))) - {f"var.{name}"}:
                yield "validation by other things than the variable itself"


def too_new(text, blocks, floors):
    for what in sorted(set(used(text, blocks))):
        if what not in NEWER:
            yield f"{what}: nobody has looked since when Terraform and OpenTofu have it"
            continue
        for (program, floor), since in zip(floors.items(), NEWER[what]):
            if since is None or since > floor:
                lacks = "never had it" if since is None else f"has it since {since[0]}.{since[1]}"
                yield f"{what}: {program} {lacks}, and {floor[0]}.{floor[1]} is asked for"


def floor_of(folder):
    found = {match for file in folder.glob("*.tf") for match in re.findall(r'required_version = ">= (\d+)\.(\d+)"', file.read_text())}
    return tuple(map(int, found.pop())) if len(found) == 1 else None


def says_no():
    """Each of these is found, and what surrounds it is not."""
    floors = {"Terraform": (1, 6), "OpenTofu": (1, 6)}
    for text, wanted in [
        ('locals {\n  a = templatestring(var.a, {})\n}\n', "function templatestring"),
        ('locals {\n  a = "x ${urldecode(var.a)} y"\n}\n', "function urldecode"),
        ("locals {\n  a = <<-END\n    rate(1)\n    ${issensitive(var.a)}\n  END\n  b = 1\n}\n", "function issensitive"),
        ("locals {\n  a = never_heard_of(1)\n}\n", "nobody has looked"),
        ("locals {\n  a = provider::aws::arn_parse(var.a)\n}\n", "function of a provider"),
        ('ephemeral "random_password" "a" {\n}\n', "block ephemeral"),
        ('removed {\n  from = aws_instance.a\n}\n', "block removed"),
        ('variable "a" {\n  type      = string\n  ephemeral = true\n}\n', "ephemeral within variable"),
        ('output "a" {\n  value      = { b = [1] }\n  deprecated = "no"\n}\n', "deprecated within output"),
        ('resource "a" "b" {\n  c {\n    d = 1\n  }\n  lifecycle {\n    enabled = var.a\n  }\n}\n', "enabled within lifecycle"),
        ('resource "a" "b" {\n  lifecycle { action_trigger = 1 }\n}\n', "nobody has looked"),
        ('import {\n  for_each = var.a\n  to       = a.b[each.key]\n  id       = each.value\n}\n', "for_each within import"),
        ('resource "a" "b" {\n  secret_wo = "x"\n}\n', "written only"),
        ('variable "a" {\n  validation {\n    condition     = var.a < var.b\n    error_message = "no"\n  }\n}\n', "validation by other"),
    ]:
        found = list(too_new(text, BLOCKS, floors))
        assert found and all(wanted in line for line in found), (text, found)
    for text in [
        'locals {\n  a = "rate(1 minute) ${join(",", ["cron(", "\\"x(1)", "$${no(1)}"])}" # sure(1)\n}\n',
        "locals {\n  a = <<-END\n    rate(1 minute)\n  END\n  /* maybe(1) */\n  b = 1 // or(1)\n}\n",
        'variable "a" {\n  type = list(object({ a = optional(string) }))\n  validation {\n    condition     = can(regex("^var.b$", var.a))\n    error_message = "no"\n  }\n}\n',
    ]:
        assert not list(too_new(text, BLOCKS, floors)), list(too_new(text, BLOCKS, floors))


def main():
    says_no()
    wrong = []
    for file in sorted((ROOT / "terraform").rglob("*")):
        if file.suffix == ".tf":
            floor = floor_of(file.parent)
            if not floor and file.name == "job.tf":
                # A job for Spacelift, which is a stack of its own.
                floor = (1, 6)
            if not floor:
                wrong.append(f"{file.relative_to(ROOT)}: its folder does not say once which version it asks for: required_version = \">= 1.6\"")
                continue
            found = too_new(file.read_text(), BLOCKS, {"Terraform": floor, "OpenTofu": floor})
        elif file.name.endswith(".tftest.hcl"):
            floor = floor_of(file.parents[1]) or (1, 6)
            found = too_new(file.read_text(), TEST_BLOCKS, {program: max(floor, own) for program, own in OF_TESTS.items()})
        else:
            continue
        wrong += [f"{file.relative_to(ROOT)}: {line}" for line in found]
    for module, readme in (("aws", "terraform/aws/README.md"), ("azure", "terraform/azure/README.md")):
        major, minor = floor_of(ROOT / "terraform" / module)
        stated = f"Terraform {major}.{minor} or OpenTofu {major}.{minor}"
        if stated not in (ROOT / readme).read_text():
            wrong.append(f"{readme}: does not say {stated}, which versions.tf asks for")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
