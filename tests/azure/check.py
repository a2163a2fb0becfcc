#!/usr/bin/env python3
"""What must hold of the embedded Azure, as Microsoft's own clients see it: check.py URL LOG, the log being that of
examples/serve."""

import http.client
import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, ManagedIdentityCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.monitor.ingestion import LogsIngestionClient

URL, LOG = sys.argv[1:]
SUBSCRIPTION = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
TENANT = "9a8b7c6d-5e4f-4a3b-8c1d-0e9f8a7b6c5d"
SCOPE = "https://management.azure.com/.default"
GROUP = "ci"
# The client sends no token over plain HTTP otherwise.
PLAIN = {"enforce_https": False}
CHECKS = 0


class Operator:
    """A token that nobody issued here: an operator's."""

    def get_token(self, *_scopes, **_options):
        return AccessToken("operator", int(time.time()) + 3600)


class Elsewhere:
    """A credential whose tokens are always for this scope."""

    def __init__(self, credential, scope):
        self.credential, self.scope = credential, scope

    def get_token(self, *_scopes, **_options):
        return self.credential.get_token(self.scope)


class Loopback(RequestsTransport):
    """Carries what azure-identity sends to login.microsoftonline.com to the embedded cloud."""

    def send(self, request, **options):
        parts = urlsplit(request.url)
        target = urlsplit(URL)
        request.url = parts._replace(scheme=target.scheme, netloc=target.netloc).geturl()
        return super().send(request, **options)


def client(credential):
    return ComputeManagementClient(
        credential, SUBSCRIPTION, base_url=URL, credential_scopes=[SCOPE], retry_total=0, polling_interval=1
    )


def holds(what, truth, seen=None):
    global CHECKS
    CHECKS += 1
    if not truth:
        sys.exit(f"FAILED: {what}: {seen!r}")


def equal(what, wanted, got):
    holds(f"{what}: wanted {wanted!r}", wanted == got, got)


def refused(what, kind, code, call):
    try:
        call()
    except kind as error:
        equal(f"{what}: the code", code, error.error.code if error.error else None)
        return error
    sys.exit(f"FAILED: {what}: it was not refused")


def ask(url, method, path, headers=None, body=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request(method, path, json.dumps(body) if body else None, headers or {})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or "null")


def control(method, path, body=None):
    status, answer = ask(URL, method, f"/_lightsout/{path}", {"content-type": "application/json"}, body)
    holds(f"{method} {path}", status == 200, answer)
    return answer


def model(mode, capacity, **properties):
    return {
        "location": "westeurope",
        "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity},
        "tags": {"team": "ci"},
        "properties": {"orchestrationMode": mode, "overprovision": False, **properties},
    }


def sku(capacity):
    return {"sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": capacity}}


def a_flexible_set(compute):
    sets, members = compute.virtual_machine_scale_sets, compute.virtual_machine_scale_set_vms
    made = sets.begin_create_or_update(GROUP, "flexible", model("Flexible", 2), **PLAIN).result()
    equal("the capacity", 2, made.sku.capacity)
    equal("the state", "Succeeded", sets.get(GROUP, "flexible", **PLAIN).provisioning_state)
    holds("the list of the sets", "flexible" in [it.name for it in sets.list(GROUP, **PLAIN)])
    names = [it.name for it in members.list(GROUP, "flexible", **PLAIN)]
    equal("the machines", 2, len(names))
    one = compute.virtual_machines.get(GROUP, names[0], expand="instanceView", **PLAIN)
    equal("its states", ["ProvisioningState/succeeded", "PowerState/running"], [it.code for it in one.instance_view.statuses])

    whole = sets.get(GROUP, "flexible", **PLAIN).id
    listed = compute.virtual_machines.list(GROUP, filter=f"'virtualMachineScaleSet/id' eq '{whole}'", **PLAIN)
    equal("the set's machines, of all in the resource group", sorted(names), sorted(it.name for it in listed))

    # Protection is the machine's own, and holds against a scale-in.
    for name in names:
        policy = {"properties": {"protectionPolicy": {"protectFromScaleIn": True}}}
        members.begin_update(GROUP, "flexible", name, policy, **PLAIN).result()
    shown = members.get(GROUP, "flexible", names[0], **PLAIN)
    equal("the protection", True, shown.protection_policy.protect_from_scale_in)
    equal("its model is the set's", True, shown.latest_model_applied)
    lower = sets.begin_update(GROUP, "flexible", sku(0), **PLAIN)
    refused("a scale-in where all are protected", HttpResponseError, "OperationNotAllowed", lower.result)
    equal("nobody left", names, [it.name for it in members.list(GROUP, "flexible", **PLAIN)])

    # A raise that knows what it read, and one that does not know what happened since.
    read = sets.get(GROUP, "flexible", **PLAIN).etag
    match = {"headers": {"If-Match": read}, **PLAIN}
    raised = sets.begin_update(GROUP, "flexible", sku(3), **match)
    equal("the raise", 3, raised.result().sku.capacity)
    late = lambda: sets.begin_update(GROUP, "flexible", sku(4), **match)
    refused("a stale raise", (ResourceModifiedError, HttpResponseError), "PreconditionFailed", late)
    equal("the capacity after it", 3, sets.get(GROUP, "flexible", **PLAIN).sku.capacity)

    # A delete lowers the capacity by one, and of two at once one has to come again.
    leaving = members.begin_delete(GROUP, "flexible", names[0], **PLAIN)
    again = lambda: members.begin_delete(GROUP, "flexible", names[1], **PLAIN)
    refused("a second delete at once", (ResourceExistsError, HttpResponseError), "Conflict", again)
    leaving.result()
    equal("the capacity after a delete", 2, sets.get(GROUP, "flexible", **PLAIN).sku.capacity)
    gone = lambda: members.get(GROUP, "flexible", names[0], **PLAIN)
    refused("who is gone", ResourceNotFoundError, "InstanceNotFound", gone)
    late = lambda: members.begin_update(GROUP, "flexible", names[0], {"properties": {"protectionPolicy": {}}}, **PLAIN)
    refused("to protect who is gone", HttpResponseError, "InvalidParameter", late)

    # What fails is told where the operation is asked about.
    control("POST", "faults", {"target": "cloud", "effect": {"launch-failures": {"message": "AllocationFailed: no room"}}})
    failing = sets.begin_update(GROUP, "flexible", sku(3), **PLAIN)
    refused("a raise without room", HttpResponseError, "AllocationFailed", failing.result)
    equal("the state of the set", "Failed", sets.get(GROUP, "flexible", **PLAIN).provisioning_state)
    control("DELETE", "faults")


def a_uniform_set(compute):
    sets, members = compute.virtual_machine_scale_sets, compute.virtual_machine_scale_set_vms
    sets.begin_create_or_update(GROUP, "uniform", model("Uniform", 3), **PLAIN).result()
    shown = list(members.list(GROUP, "uniform", expand="instanceView", **PLAIN))
    equal("the numbers", ["0", "1", "2"], [it.instance_id for it in shown])
    equal("a name", "uniform_0", shown[0].name)
    summary = sets.get_instance_view(GROUP, "uniform", **PLAIN).virtual_machine.statuses_summary
    holds("all run", any(it.code == "PowerState/running" and it.count == 3 for it in summary), summary)

    # Powered off is neither gone nor replaced.
    members.begin_power_off(GROUP, "uniform", "0", **PLAIN).result()
    view = members.get_instance_view(GROUP, "uniform", "0", **PLAIN)
    equal("the power", "PowerState/stopped", view.statuses[1].code)
    equal("the capacity", 3, sets.get(GROUP, "uniform", **PLAIN).sku.capacity)
    members.begin_start(GROUP, "uniform", "0", **PLAIN).result()
    members.begin_deallocate(GROUP, "uniform", "0", **PLAIN).result()
    equal("the power", "PowerState/deallocated", members.get_instance_view(GROUP, "uniform", "0", **PLAIN).statuses[1].code)
    sets.begin_delete_instances(GROUP, "uniform", {"instanceIds": ["0", "2"]}, **PLAIN).result()
    equal("who is left", ["1"], [it.instance_id for it in members.list(GROUP, "uniform", **PLAIN)])
    equal("the capacity", 1, sets.get(GROUP, "uniform", **PLAIN).sku.capacity)

    # The model that comes back whole is the machine's own from then on.
    whole = members.get(GROUP, "uniform", "1", **PLAIN)
    whole.os_profile = {"computerName": whole.os_profile.computer_name}
    own = members.begin_update(GROUP, "uniform", "1", whole, **PLAIN).result()
    equal("whose model", "VirtualMachine", own.model_definition_applied)


def a_spot_set(compute):
    sets, members = compute.virtual_machine_scale_sets, compute.virtual_machine_scale_set_vms
    profile = {"priority": "Spot", "evictionPolicy": "Delete"}
    sets.begin_create_or_update(GROUP, "spot", model("Flexible", 1, virtualMachineProfile=profile), **PLAIN).result()
    name = next(iter(members.list(GROUP, "spot", **PLAIN))).name
    members.simulate_eviction(GROUP, "spot", name, **PLAIN)
    twice = lambda: members.simulate_eviction(GROUP, "spot", name, **PLAIN)
    refused("a second notice", HttpResponseError, "OperationNotAllowed", twice)
    fleet = control("GET", "fleet")
    notice = next(it for it in fleet["instances"] if it["id"] == name)["spot_notice"]
    holds("half a minute's notice", 25_000 < notice["time_ms"] - fleet["at_ms"] <= 30_000, notice)


def tokens():
    application = ClientSecretCredential(
        TENANT, "application", "secret", transport=Loopback(), disable_instance_discovery=True
    )
    name = client(application).virtual_machine_scale_sets.get(GROUP, "uniform", **PLAIN).name
    equal("the set, with an application's token", "uniform", name)
    wrong = client(Elsewhere(application, "https://vault.azure.net/.default"))
    other = lambda: wrong.virtual_machine_scale_sets.get(GROUP, "uniform", **PLAIN)
    refused("a token for another audience", ClientAuthenticationError, "InvalidAuthenticationTokenAudience", other)
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachineScaleSets?api-version=2024-07-01"
    equal("a call without a token", 401, ask(URL, "GET", path)[0])


def a_machine_asks():
    """The metadata service, by azure-identity where that has a client for it."""
    own = model("Uniform", 1)
    own["identity"] = {"type": "SystemAssigned"}
    compute = client(Operator())
    compute.virtual_machine_scale_sets.begin_create_or_update(GROUP, "own", own, **PLAIN).result()
    with open(LOG, encoding="utf-8") as lines:
        metadata = dict(line.split()[1:] for line in lines if line.startswith("metadata "))
    address = metadata["own_0"]
    os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = address
    machine = ManagedIdentityCredential()
    client(machine).virtual_machine_scale_sets.get(GROUP, "own", **PLAIN)
    calls = control("GET", "fleet")["counters"]["azure"]["VirtualMachineScaleSets_Get"]
    holds("the call is the machine's", calls.get("instance") == 1, calls)

    header = {"Metadata": "true"}
    status, compute = ask(address, "GET", "/metadata/instance/compute?api-version=2021-12-13", header)
    equal("what it is", (200, "own_0", "own"), (status, compute["name"], compute["vmScaleSetName"]))
    status, events = ask(address, "GET", "/metadata/scheduledevents?api-version=2020-07-01", header)
    equal("what is about to happen", (200, []), (status, events["Events"]))
    vault = machine.get_token("https://vault.azure.net/.default").token
    path = "/secrets/ci-gitlab-token?api-version=7.4"
    status, secret = ask(URL, "GET", path, {"Authorization": f"Bearer {vault}"})
    equal("a secret", (200, "glpat-lightsout-local"), (status, secret["value"]))
    management = machine.get_token(SCOPE).token
    equal("with another token", 401, ask(URL, "GET", path, {"Authorization": f"Bearer {management}"})[0])
    rows_of_a_log(machine)


def rows_of_a_log(machine):
    """Log Analytics, by the client that writes to it. It packs what is no stream, which the embedded endpoint does not read."""
    rule, stream = "dcr-6f1f2a3b0c4d4e5f8a9b0c1d2e3f4a5b", "Custom-Lightsout_CL"
    row = {"TimeGenerated": "2026-11-26T03:00:00.000Z", "Instance": "own_0", "Record": {"kind": "departure"}}

    def upload(rule, credential=machine):
        LogsIngestionClient(URL, credential).upload(rule, stream, io.BytesIO(json.dumps([row]).encode()), **PLAIN)

    upload(rule)
    table = {"Authorization": "Bearer operator", "content-type": "application/json"}
    status, answer = ask(URL, "POST", f"/v1/workspaces/{SUBSCRIPTION}/query", table, {"query": "Lightsout_CL"})
    wanted = [[row["TimeGenerated"], "own_0", json.dumps(row["Record"], separators=(",", ":"))]]
    equal("the row", (200, wanted), (status, answer["tables"][0]["rows"]))
    refused("another rule", ResourceNotFoundError, "NotFound", lambda: upload("dcr-0"))
    wrong = lambda: upload(rule, Elsewhere(machine, SCOPE))
    refused("a row with another token", ClientAuthenticationError, "InvalidAudience", wrong)


def a_machine_deletes_itself():
    """The dead-man's last act on Azure, in both kinds of scale set; refused, it has failed, and may be done again."""
    compute = client(Operator())
    for kind in ("Uniform", "Flexible"):
        name = f"dead-{kind.lower()}"
        own = model(kind, 1)
        identity = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/agent"
        own["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
        compute.virtual_machine_scale_sets.begin_create_or_update(GROUP, name, own, **PLAIN).result()
        with open(LOG, encoding="utf-8") as lines:
            metadata = dict(line.split()[1:] for line in lines if line.startswith("metadata "))
        (address,) = (address for machine, address in metadata.items() if machine.startswith(f"{name}_"))

        def act():
            names = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": address, "AZURE_RESOURCE_MANAGER_ENDPOINT": URL}
            done = subprocess.run(
                ["sh", "systemd/azure-delete"], env=os.environ | names, capture_output=True, text=True, check=False
            )
            return done.returncode, done.stdout + done.stderr

        def capacity():
            return compute.virtual_machine_scale_sets.get(GROUP, name, **PLAIN).sku.capacity

        control("POST", "faults", {"target": "azure", "effect": {"status": {"code": 503}}, "count": 1})
        code, said = act()
        holds("a refusal is a failure", code != 0 and "503" in said, said)
        equal("nothing is deleted then", 1, capacity())
        code, said = act()
        equal("it deletes itself", (0, ""), (code, said))
        end = time.monotonic() + 20
        while capacity() and time.monotonic() < end:
            time.sleep(0.2)
        equal("the capacity", 0, capacity())


def a_machine_of_its_own_is_only_switched_off():
    """One that is in no scale set is no instance of anybody's fleet, whatever its identity may do."""
    asked = []

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = b"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/own" if "/resourceId" in self.path else b""
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_DELETE(self):
            sys.exit("FAILED: it was deleted")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        stub = pathlib.Path(folder, "systemctl")
        stub.write_text('#!/bin/sh\necho "$@"\n')
        stub.chmod(0o755)
        names = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": address, "AZURE_RESOURCE_MANAGER_ENDPOINT": address}
        names["PATH"] = f"{folder}:{os.environ['PATH']}"
        done = subprocess.run(["sh", "systemd/azure-delete"], env=os.environ | names, capture_output=True, text=True, check=False)
    server.shutdown()
    equal("it is switched off", (0, "poweroff\n"), (done.returncode, done.stdout))
    equal("no token is asked for", 2, len(asked))


def main():
    compute = client(Operator())
    failed = []

    def run(check):
        try:
            check(compute)
        except SystemExit as error:
            failed.append(str(error))

    # They are apart from each other, and each mostly waits.
    threads = [threading.Thread(target=run, args=(check,)) for check in (a_flexible_set, a_uniform_set, a_spot_set)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        sys.exit("\n".join(failed))
    tokens()
    a_machine_asks()
    a_machine_deletes_itself()
    a_machine_of_its_own_is_only_switched_off()
    print(f"{CHECKS} checks passed")


main()
