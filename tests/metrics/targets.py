"""Tells Prometheus where the programs of a local fleet show their metrics, and keeps a page of each kind and the agents' logs. Nothing that it keeps is
ever there in part, and a TERM ends it after one more round, which has the last lines.

usage: targets.py FLEET SCALER WORK
"""

import json
import pathlib
import signal
import sys
import threading
import urllib.request

fleet, scaler, work = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
(work / "logs").mkdir(exist_ok=True)


def put(path, content):
    new = work / "kept.new"
    new.write_bytes(content)
    new.rename(path)


def page(address, name):
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as reply:
            text = reply.read()
    except OSError:
        return
    put(work / f"page.{name}", text)


def agents():
    for status in fleet.glob("instances/*/state/status.json"):
        try:
            address = json.loads(status.read_text()).get("metrics")
        except (OSError, ValueError):
            continue
        if address:
            yield address


def look():
    known = list(agents())
    targets = [{"targets": [scaler], "labels": {"program": "scaler"}}, {"targets": known, "labels": {"program": "agent"}}]
    put(work / "targets" / "lightsout.json", json.dumps(targets).encode())
    page(scaler, "scaler")
    for address in known:
        page(address, "agent")
    for log in fleet.glob("instances/*/agent.log"):
        try:
            text = log.read_bytes()
        except OSError:
            continue
        put(work / "logs" / log.parent.name, text)


ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
last = False
while not last:
    last = ending.wait(0.3)
    look()
