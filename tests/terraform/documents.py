#!/usr/bin/env python3
"""What is said twice is said the same: the modules' tables in README.md, the root module's variables and what it passes on, and which side reads
which of a platform's settings. Checks; with UPDATE_DOCS=1 writes.
"""

import json
import os
import re
import sys
from pathlib import Path

from invariants import IN_CLEAR

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / "terraform/aws"
POOL, SCALER = AWS / "modules/pool", AWS / "modules/scaler"
# Of the scaler's variables: what the root module says of itself, and what is one for both.
MADE = {"name", "pools"}
SHARED = {"tags", "permissions_boundary", "role_path", "log_retention_days", "log_kms_key_arn"}
wrong = []


def blocks(folder, kind):
    """The blocks of this kind in a folder's files, in order: name to text, without what surrounds it."""
    found = {}
    for file in sorted(folder.glob("*.tf"), key=lambda file: (file.name != "variables.tf", file.name)):
        text = file.read_text()
        for start in re.finditer(rf'^{kind} "(\w+)" \{{\n', text, re.M):
            end = text.index("\n}\n", start.end() - 1)
            found[start[1]] = text[start.end() : end + 1]
    return found


def argument(block, name):
    """An argument's value, as it is written, of one or of several lines."""
    found = re.search(rf"^  {name}\s*= (.*)$", block, re.M)
    if not found:
        return None
    value, rest = found[1], block[found.end() :]
    while sum(value.count(mark) for mark in "({[") > sum(value.count(mark) for mark in ")}]"):
        line, _, rest = rest.lstrip("\n").partition("\n")
        value += "\n" + line
    return value


def on_one_line(value):
    return re.sub(r",? ([)}\]])", r" \1", re.sub(r"\s+", " ", value)).replace("[ ", "[").replace(" ]", "]")


def described(name, block):
    said = json.loads(argument(block, "description").replace("$${", "${"))
    return said.replace("|", "\\|")


def variables_table(folder):
    rows = ["| Variable | Type | Default | Meaning |", "|---|---|---|---|"]
    for name, block in blocks(folder, "variable").items():
        default = argument(block, "default")
        kind = re.sub(r"\s+", " ", argument(block, "type")).replace("|", "\\|")
        rows.append(f"| `{name}` | `{kind}` | {'**required**' if default is None else f'`{on_one_line(default)}`'} | {described(name, block)} |")
    return rows


def outputs_table(folder):
    rows = ["| Output | Meaning |", "|---|---|"]
    for name, block in blocks(folder, "output").items():
        rows.append(f"| `{name}` | {described(name, block)} |")
    return rows


def hold(file, text, why):
    """The file must be so."""
    if file.exists() and file.read_text() == text:
        return
    if os.environ.get("UPDATE_DOCS") == "1":
        file.write_text(text)
    else:
        wrong.append(f"{file.relative_to(ROOT)}: {why}; UPDATE_DOCS=1 tests/terraform/documents.py renews it")


def hold_table(file, mark, rows):
    text = file.read_text()
    start, end = f"<!-- terraform:{mark} -->\n", "\n<!-- /terraform -->"
    assert start in text, f"{file} has no table {mark}"
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    hold(file, before + start + "\n" + "\n".join(rows) + "\n" + end + after, f"the table of {mark} is not what the .tf files say")


def examples_table():
    """Each example, by the first sentence of what it says of itself."""
    rows = ["| Example | |", "|---|---|"]
    for file in sorted((AWS / "examples").glob("*/main.tf")):
        said = []
        for line in file.read_text().splitlines():
            if not re.match("# [^ ]", line):
                break
            said.append(line[2:])
        sentence = re.match(r".*?[^.]\.(?= [A-Z]|$)|.*", " ".join(said))[0].rstrip(".:")
        rows.append(f"| [{file.parent.name}](examples/{file.parent.name}/main.tf) | {sentence} |")
    return rows


def root_variables():
    """The root module's variables are the pool's, and the scaler's with a prefix; what they must be, the modules themselves say."""
    parts = ["# Written by tests/terraform/documents.py from the variables of modules/pool and modules/scaler, which also say what is refused.\n"]
    for folder, prefix in ((POOL, ""), (SCALER, "scaler_")):
        for name, block in blocks(folder, "variable").items():
            if prefix and name in MADE | SHARED:
                continue
            kept = re.sub(r"^  validation \{\n.*?^  \}\n", "", block, flags=re.M | re.S)
            parts.append(f'\nvariable "{prefix}{name}" {{\n{kept}}}\n')
    hold(AWS / "variables.tf", "".join(parts), "its variables are not the modules'")


def root_passes_on():
    text = (AWS / "main.tf").read_text()
    for module, folder, prefix in (("pool", POOL, ""), ("scaler", SCALER, "scaler_")):
        call = text[text.index(f'module "{module}" {{') :].partition("\n}\n")[0]
        for name in blocks(folder, "variable"):
            if prefix and name in MADE:
                continue
            source = name if name in SHARED else prefix + name
            if not re.search(rf"^  {name}\s+= var\.{source}$", call, re.M):
                wrong.append(f"terraform/aws/main.tf: module {module} is not given {name} = var.{source}")


def platforms():
    """docs/platforms.md as data."""
    found = {}
    for name, table in re.findall(r"<!-- keys:(\w+) -->\n(.*?)<!-- /keys -->", (ROOT / "docs/platforms.md").read_text(), re.S):
        sides = {"agent": [], "scaler": [], "agent_secrets": [], "scaler_secrets": []}
        for key, side, kind in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*?) \|", table, re.M):
            for one in ("agent", "scaler") if side == "both" else (side,):
                sides[one + ("_secrets" if kind == "secret" else "")].append(key)
        found[name] = sides
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(sides)}" for name, sides in found.items())
    hold(POOL / "platforms.json", "{\n" + text + "\n}\n", "it is not what docs/platforms.md says")


def webhooks():
    """Which platforms have webhooks, as the scaler has it."""
    here = re.search(r"platforms_with_webhooks = (\[.*\])", (POOL / "settings.tf").read_text())[1]
    there = sorted(file.stem for file in (ROOT / "crates/core/src/platform").glob("*.rs") if "webhook: Some(" in file.read_text())
    if json.loads(here) != there:
        wrong.append(f"terraform/aws/modules/pool/settings.tf: platforms_with_webhooks is not {json.dumps(there)}")


def secrets():
    """Whoever takes settings as text refuses the same in it, which knows each platform's secrets by their names."""
    quoted = json.dumps(IN_CLEAR)[1:-1]
    for file, times in ((POOL / "variables.tf", 1), (SCALER / "variables.tf", 2), (ROOT / "cloudformation/lightsout.yaml", 2)):
        if file.read_text().count(quoted) != times:
            wrong.append(f"{file.relative_to(ROOT)}: what it refuses as a secret in clear is not, {times} times, {quoted}")
    named = set(re.search(r"\(\?:(api_key\|[a-z_|]+)\)", IN_CLEAR)[1].split("|"))
    platforms = json.loads((POOL / "platforms.json").read_text()).values()
    there = {key for sides in platforms for side in ("agent_secrets", "scaler_secrets") for key in sides[side]} | {"secret"}
    if named != there:
        wrong.append(f"tests/terraform/invariants.py: IN_CLEAR names {sorted(named)}, and secrets are {sorted(there)}")


def versions():
    cargo = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    module = re.search(r'^  version = "(.*)"$', (SCALER / "main.tf").read_text(), re.M)[1]
    if cargo != module:
        wrong.append(f"terraform/aws/modules/scaler/main.tf: the version is {module}, and Cargo.toml has {cargo}")
    floors = {file: file.read_text() for file in (AWS / "versions.tf", POOL / "versions.tf", SCALER / "versions.tf")}
    if len(set(floors.values())) != 1:
        wrong.append("terraform/aws: the three versions.tf differ")


def rights():
    """Whoever makes the roles by hand, from the README, gives them what the modules do."""
    by_hand, service = set(), ""
    readme = (ROOT / "README.md").read_text()
    for who, actions in re.findall(r"^\| ((?:instance|scaler)[^|]*?) \| ([^|]*) \|", readme[readme.index("**Rights.**") :], re.M):
        for action in re.findall(r"`([\w:]+)`", actions):
            service = action.partition(":")[0] if ":" in action else service
            for side in ("instance", "scaler"):
                if side in who:
                    by_hand.add((side.replace("instance", "agent"), f"{service}:{action.rpartition(':')[2]}"))
    table = (AWS / "README.md").read_text()
    modules = set(re.findall(r"^\| (agent|scaler) \| `([\w:]+)` \|", table[table.index("<!-- rights -->") : table.index("<!-- /rights -->")], re.M))
    assert len(by_hand) > 20
    for side, action in sorted(by_hand - modules):
        wrong.append(f"terraform/aws/README.md: no row for {action} of the {side}, which README.md has")

    # And nothing is allowed that no code calls, but for what Lambda does for a function in a VPC.
    code = "".join(file.read_text() for file in (ROOT / "crates/cloud/src/aws").rglob("*.rs"))
    called = set(re.findall(r'"((?:autoscaling|ec2):[A-Z][A-Za-z]*[a-z])"', code))
    # What a person calls from a workstation is in no role of the modules.
    rows = re.findall(r"^\| (you|instance|scaler)\b[^|]*\| `([\w:]+)` \|", (ROOT / "docs/iam.md").read_text(), re.M)
    called -= {action for who, action in rows if who == "you"} - {action for who, action in rows if who != "you"}
    allowed = {action for _, action in modules if re.match("autoscaling:|ec2:", action)}
    allowed -= {f"ec2:{name}" for name in ("AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "DescribeSubnets")}
    allowed -= {action for action in allowed if action.endswith(("NetworkInterface", "NetworkInterfaces"))}
    for action in sorted(called ^ allowed):
        wrong.append(f"terraform/aws/README.md: {action} is {'called and not allowed' if action in called else 'allowed and never called'}")


def main():
    platforms()
    rights()
    root_variables()
    root_passes_on()
    versions()
    webhooks()
    secrets()
    hold_table(AWS / "README.md", "examples", examples_table())
    for folder in (AWS, POOL, SCALER):
        hold_table(folder / "README.md", "variables", variables_table(folder))
        hold_table(folder / "README.md", "outputs", outputs_table(folder))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
