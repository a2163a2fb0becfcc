#!/usr/bin/env python3
"""The scaler's package for Azure Functions under a stand-in for their host, against the embedded Azure: function.py PLATFORM URL ZIP FOLDER, the
folder being to work in.

The stand-in does what the host does (Azure, "Azure Functions custom handlers", "How to use managed identities for App Service and Azure Functions"):
it unpacks, starts the program that host.json names with a port and the app's settings in its environment, asks `/` until anybody answers, posts a
timer's event to the name of the function, takes any status but a success for a failed invocation, forwards what comes to the address of webhooks as it
is, and gives tokens to who has its secret.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from urllib.parse import parse_qs, urlsplit

PLATFORM, URL, PACKAGE, WORK = sys.argv[1:]
SUBSCRIPTION = "6f1f2a3b-0c4d-4e5f-8a9b-0c1d2e3f4a5b"
SETS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ci/providers/Microsoft.Compute/virtualMachineScaleSets"
TIMER = {
    "Data": {"timer": {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}},
    "Metadata": {"sys": {"MethodName": "scale", "UtcNow": "2026-11-01T12:00:00Z", "RandGuid": "0a1b"}},
}
PATIENCE = 60
SECRET = "of-the-app"


def ask(method, path, body=None):
    connection = http.client.HTTPConnection(urlsplit(URL).netloc, timeout=PATIENCE)
    headers = {"authorization": "Bearer operator", "content-type": "application/json"}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit(f"FAILED: {method} {path}: {answer.status} {text}")
    return json.loads(text or "null")


def scale_set(name):
    sku = {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 0}
    properties = {"orchestrationMode": "Flexible"}
    ask("PUT", f"{SETS}/{name}?api-version=2024-07-01", {"location": "westeurope", "sku": sku, "properties": properties})


def capacity(name):
    return ask("GET", f"{SETS}/{name}?api-version=2024-07-01")["sku"]["capacity"]


def enqueue(count):
    ask("POST", "/_lightsout/jobs", {"count": count, "seconds": 60})


def equal(what, wanted, got, said=""):
    if wanted != got:
        sys.exit(f"FAILED: {what}: wanted {wanted!r}, got {got!r}\n{said}")
    print(f"ok: {what}")


class Identity(BaseHTTPRequestHandler):
    """The endpoint from which an app gets tokens of its identity."""

    asked = []

    def do_GET(self):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        granted = self.headers["X-IDENTITY-HEADER"] == SECRET and query.get("api-version") == "2019-08-01"
        self.asked.append((granted, query.get("resource"), query.get("client_id")))
        body = json.dumps({"access_token": "of-the-identity", "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}).encode()
        self.send_response(200 if granted else 401)
        self.send_header("content-length", str(len(body) if granted else 0))
        self.end_headers()
        if granted:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


IDENTITY = ThreadingHTTPServer(("127.0.0.1", 0), Identity)
threading.Thread(target=IDENTITY.serve_forever, daemon=True).start()


class App:
    """A function app with these settings, and this scaler.toml in its package."""

    def __init__(self, name, variables, settings=None):
        self.folder = Path(WORK, name)
        with zipfile.ZipFile(PACKAGE) as package:
            package.extractall(self.folder)
            for entry in package.infolist():
                (self.folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
        if settings is not None:
            (self.folder / "scaler.toml").write_text(settings)
        host = json.loads((self.folder / "host.json").read_text())
        triggers = {}
        for file in self.folder.glob("*/function.json"):
            bindings = json.loads(file.read_text())["bindings"]
            [trigger] = [binding for binding in bindings if binding["type"].endswith("Trigger")]
            triggers[trigger["type"]] = (file.parent.name, trigger, bindings)
        self.function, _, _ = triggers.pop("timerTrigger")
        _, self.hook, bindings = triggers.pop("httpTrigger")
        equal("nothing else triggers it", {}, triggers)
        # Of such a function alone the host forwards what was sent; else it sends JSON with the body in it.
        forwarded = [binding["type"] for binding in bindings] == ["httpTrigger", "http"] and host["customHandler"]["enableForwardingHttpRequest"]
        equal("what is sent to a webhook is forwarded", True, forwarded)
        equal("anybody may knock, with a POST alone", ("anonymous", ["post"]), (self.hook["authLevel"], self.hook["methods"]))
        equal("its prefix is none", "", host["extensions"]["http"]["routePrefix"])
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {
            "FUNCTIONS_CUSTOMHANDLER_PORT": str(self.port),
            "FUNCTIONS_APP_ROOT_PATH": str(self.folder),
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{IDENTITY.server_address[1]}/msi/token",
            "IDENTITY_HEADER": SECRET,
            "AZURE_CLIENT_ID": "the-scaler",
            "AZURE_RESOURCE_MANAGER_ENDPOINT": URL,
            "LIGHTSOUT_SCALER_TICKS": "one",
            "NO_PROXY": "127.0.0.1",
            **variables,
        }
        self.log = self.folder / "log"
        with open(self.log, "w", encoding="utf-8") as log:
            program = self.folder / host["customHandler"]["description"]["defaultExecutablePath"]
            self.process = subprocess.Popen([program], cwd="/", env=environment, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.request("GET", "/")
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"FAILED: nobody listens: {self.said()}")
                time.sleep(0.05)

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def invoke(self):
        """Whether the host counts a success, and what it writes to the invocation's log."""
        status, body = self.request("POST", f"/{self.function}", json.dumps(TIMER))
        return 200 <= status < 300, json.loads(body)

    def deliver(self, name, headers, body, route=str):
        """What comes of a delivery to the app's address: as the host routes it, which compares without regard to case and forwards what was written."""
        path = "/" + route(self.hook["route"]).replace("{path}", name).replace("{PATH}", name).replace("{Path}", name)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("POST", path, body, {"X-Functions-InvocationId": "0a1b", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def said(self):
        return self.log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def pool(name):
    return f"""
[[pool]]
group = "{SETS}/{name}"
max = 4
[pool.platform.gitlab]
url = "{URL}"
token = "glpat-lightsout-local"
projects = ["lightsout/demo"]
run_untagged = true
"""


def success(raises, pools=1):
    said = json.dumps({"pools": pools, "raises": raises, "ticks": pools}, separators=(",", ":"))
    return True, {"Outputs": {}, "Logs": [said], "ReturnValue": None}


def with_settings():
    """Settings in the package, several pools, and what fails."""
    scale_set("function")
    enqueue(2)
    with App("several", {}, pool("function") + pool("nowhere")) as app:
        succeeded, answer = app.invoke()
        equal("a failing pool fails the invocation", False, succeeded, app.said())
        equal("which says why", True, "1 of 2 pools failed:" in answer["Logs"][0] and "nowhere" in answer["Logs"][0], answer)
        equal("and its log says so, which the host keeps", True, "the invocation failed" in app.said(), app.said())
        equal("the other pool is raised", 2, capacity("function"), app.said())
    equal("by the identity of the app", {(True, URL, "the-scaler")}, set(Identity.asked))
    with App("one", {}, pool("function")) as app:
        enqueue(1)
        equal("a timer's invocation raises the scale set", (success(1), 3), (app.invoke(), capacity("function")), app.said())
        equal("again nothing is raised", (success(0), 3), (app.invoke(), capacity("function")), app.said())
    with App("none", {}) as app:
        succeeded, answer = app.invoke()
        equal("without settings each invocation fails", False, succeeded, app.said())
        equal("and says what to do", True, "put scaler.toml beside host.json, or set LIGHTSOUT_SCALER_CONFIG_TOML" in answer["Logs"][0], answer)
    with App("two", {"LIGHTSOUT_SCALER_CONFIG_TOML": pool("function")}) as app:
        equal("settings in the app's own", success(0), app.invoke(), app.said())


def with_webhooks():
    """Deliveries of the CI platform: believed for what they prove, and the pool has ticked before the answer."""
    scale_set("hooked")
    scale_set("quiet")
    hooked = pool("hooked").replace("max = 4", f'max = 4\nwebhook = {{ kind = "gitlab", secret = "{SECRET}", path = "hooked" }}')
    job = json.dumps({"object_kind": "build", "build_status": "pending", "build_id": 7}).encode()
    token = {"X-Gitlab-Token": SECRET, "Content-Type": "application/json"}
    with App("webhooks", {"LIGHTSOUT_SCALER_CONFIG_TOML": hooked + pool("quiet")}) as app:
        for what, status, name, headers, body in [
            ("who proves nothing", 401, "hooked", {}, job),
            ("who proves what is not so", 401, "hooked", {"X-Gitlab-Token": "guessed"}, job),
            ("a pool without a webhook", 401, "quiet", token, job),
            ("what is no event", 400, "hooked", token, b"no json"),
            ("what is too long", 413, "hooked", token, b" " * ((1 << 20) + 1)),
        ]:
            equal(f"{what} is refused", (status, b"{}"), app.deliver(name, headers, body), app.said())
        for route in (str.upper, str.title):
            answer = app.deliver("hooked", {}, job, route)
            equal("what is written otherwise is nothing", (404, b"{}"), answer, app.said())
        equal("and nobody ticks for it", 0, capacity("hooked"), app.said())
        equal("a delivery is answered when its pool has ticked", ((202, b"{}"), 3, 0), (app.deliver("hooked", token, job), capacity("hooked"), capacity("quiet")), app.said())
        equal("and the timer goes on", True, app.invoke()[0], app.said())
    with App("no-webhook", {"LIGHTSOUT_SCALER_CONFIG_TOML": pool("quiet")}) as app:
        equal("where no pool has one there is none", (404, b"{}"), app.deliver("quiet", token, job), app.said())
    with App("webhooks-without-settings", {}) as app:
        equal("without settings none is taken", (500, b"{}"), app.deliver("hooked", token, job), app.said())


def with_variables():
    """The variables of StackGuardian's own autoscaler as they stand in its function app."""
    scale_set("runners")
    enqueue(3)
    variables = {
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_RESOURCE_GROUP_NAME": "ci",
        "AZURE_VMSS_NAME": "runners",
        "AZURE_BLOB_STORAGE_CONN_STRING": "DefaultEndpointsProtocol=https;AccountName=sg",
        "AZURE_BLOB_CONTAINER_NAME": "sg",
        "SG_BASE_URI": URL,
        "SG_API_KEY": "sgu_lightsoutlocal",
        "SG_ORG": "lightsout",
        "SG_RUNNER_GROUP": "demo",
        "SCALE_OUT_THRESHOLD": "1",
        "SCALE_IN_THRESHOLD": "1",
        "SCALE_OUT_STEP": "2",
        "SCALE_IN_STEP": "1",
    }
    with App("variables", variables) as app:
        equal("their variables are settings", (success(1), 2), (app.invoke(), capacity("runners")), app.said())
        equal("what each became is said", 1, app.said().count("AZURE_VMSS_NAME is understood as pool.group"), app.said())


if PLATFORM == "gitlab":
    with_settings()
    with_webhooks()
else:
    with_variables()
