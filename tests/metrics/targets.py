"""Tells Prometheus where the programs of a local fleet show their metrics, and keeps a page of each kind and the agents' logs.

usage: targets.py FLEET SCALER WORK
"""

import json
import pathlib
import sys
import time
import urllib.request

fleet, scaler, work = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
(work / "logs").mkdir(exist_ok=True)


def page(address, name):
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as reply:
            text = reply.read()
    except OSError:
        return
    (work / f"page.{name}").write_bytes(text)


def agents():
    for status in fleet.glob("instances/*/state/status.json"):
        try:
            address = json.loads(status.read_text()).get("metrics")
        except (OSError, ValueError):
            continue
        if address:
            yield address


while True:
    known = list(agents())
    text = json.dumps([{"targets": [scaler], "labels": {"program": "scaler"}}, {"targets": known, "labels": {"program": "agent"}}])
    new = work / "targets.new"
    new.write_text(text)
    new.rename(work / "targets" / "lightsout.json")
    page(scaler, "scaler")
    for address in known:
        page(address, "agent")
    for log in fleet.glob("instances/*/agent.log"):
        try:
            (work / "logs" / log.parent.name).write_bytes(log.read_bytes())
        except OSError:
            pass
    time.sleep(0.3)
