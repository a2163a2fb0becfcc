#!/usr/bin/env python3
"""The real scaler raises a scale set of the embedded Azure, as a service principal: scaler.py URL SCALER FOLDER, the folder being to
work in."""

import http.client
import json
import os
import subprocess
import sys
from urllib.parse import urlsplit

URL, SCALER, WORK = sys.argv[1:]
SUBSCRIPTION = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
TENANT = "9a8b7c6d-5e4f-4a3b-8c1d-0e9f8a7b6c5d"
SET = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets/scaled"
SETTINGS = f"""
[[pool]]
group = "{SET}"
max = 4

[pool.platform.gitlab]
url = "{URL}"
token = "glpat-lightsout-local"
projects = ["lightsout/demo"]
run_untagged = true
"""
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "AZURE_RESOURCE_MANAGER_ENDPOINT": URL,
    "AZURE_AUTHORITY_HOST": URL,
    "AZURE_TENANT_ID": TENANT,
    "AZURE_CLIENT_ID": "scaler",
    "AZURE_CLIENT_SECRET": "secret",
    "NO_PROXY": "127.0.0.1",
}


def ask(method, path, body=None):
    connection = http.client.HTTPConnection(urlsplit(URL).netloc)
    headers = {"authorization": "Bearer operator", "content-type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"FAILED: {method} {path}: {answer.status} {text}")
    return json.loads(text or "null")


def azure(method, path, body=None):
    return ask(method, f"{path}?api-version=2024-07-01", body)


def control(method, path, body=None):
    return ask(method, f"/_lightsout/{path}", body)


def capacity():
    return azure("GET", SET)["sku"]["capacity"]


def writes():
    calls = control("GET", "fleet")["counters"].get("azure", {})
    return sum(calls.get("VirtualMachineScaleSets_Update", {}).values())


def start():
    command = [SCALER, "once", "--config", f"{WORK}/scaler.toml"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)


def once():
    scaler = start()
    said = "".join(scaler.communicate(timeout=60))
    return scaler.returncode, said


def equal(what, wanted, got, said=""):
    if wanted != got:
        sys.exit(f"FAILED: {what}: wanted {wanted!r}, got {got!r}\n{said}")
    print(f"ok: {what}")


with open(f"{WORK}/scaler.toml", "w", encoding="utf-8") as file:
    file.write(SETTINGS)
sku = {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 0}
azure("PUT", SET, {"location": "westeurope", "sku": sku, "properties": {"orchestrationMode": "Flexible"}})

before = writes()
code, said = once()
equal("nothing waits, and nothing is raised", (0, 0), (code, capacity()), said)
control("POST", "jobs", {"count": 2, "seconds": 60})
control("POST", "faults", {"target": "azure", "action": "VirtualMachineScaleSets_Update", "effect": "throttle", "count": 1})
code, said = once()
equal("a raise that is throttled is no raise, and fails loudly", (True, 0), (code != 0, capacity()), said)
code, said = once()
equal("two jobs wait, and there are two instances", (0, 2), (code, capacity()), said)
equal("a raise is one write", 2, writes() - before)
code, said = once()
equal("looking again changes nothing", (0, 2), (code, capacity()), said)

control("POST", "jobs", {"count": 1, "seconds": 60})
scalers = [start() for _ in range(3)]
ends = [scaler.communicate(timeout=60) + (scaler.returncode,) for scaler in scalers]
equal("three scalers at once raise as one", ([0, 0, 0], 3), ([end[-1] for end in ends], capacity()), ends)

control("POST", "jobs", {"count": 20, "seconds": 60})
code, said = once()
equal("no more than the pool allows", (0, 4), (code, capacity()), said)
