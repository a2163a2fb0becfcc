"""Follows a fleet on its live page, from its first lane to its end, and compares what the page made of all that it was told with the records."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import browser as driver
from check import CLICK, LANES, SENTENCES, decisions, equal, keyboard, lanes, looks, ms, of_kind, quiet, read, true

STATE = "return document.querySelector('#live').dataset.state"
GROWING = """return Object.fromEntries([...document.querySelectorAll('.lane:not([data-end])')].map((lane) => {
  const last = [...lane.querySelectorAll('.span')].pop(); return [lane.dataset.instance, Number(last.dataset.to)]; }))"""


class Wire:
    """Between the browser and the page, so that it can be cut without an end of the fleet. Its port is one that the kernel gives."""

    def __init__(self, to):
        self.to, self.open, self.lock = to, [], threading.Lock()
        self.whole = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            with self.lock:
                if not self.whole:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(self.to)
                except OSError:
                    # The fleet has ended.
                    near.close()
                    continue
                self.open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one, other):
        try:
            while piece := one.recv(65536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        with self.lock:
            self.whole = False
            for one in self.open:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open = []

    def mend(self):
        with self.lock:
            self.whole = True


def status(url):
    """The status of an answer, and what it says."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def refused(link):
    """Who has not the whole address is told nothing."""
    port, token = link.rstrip("/").rsplit(":", 1)[1].split("/")
    base = f"http://127.0.0.1:{port}"
    wrong = ("0" if token[0] != "0" else "1") + token[1:]
    for path in ("/", "/events", f"/{wrong}/", f"/{wrong}/events", f"/{token[:-1]}/"):
        code, words = status(base + path)
        equal(f"the answer to {path}", 403, code)
        true(f"what a stranger is told has nothing of the fleet: {words}", "lanes" not in words)
    equal("the answer to who has it", 200, status(f"{base}/{token}/")[0])
    print("ok: without the token there is nothing to see")


def grows(page):
    before = page.run(GROWING)
    page.until("a lane to grow", f"const before = {json.dumps(before)}, now = (() => {{ {GROWING} }})(); return Object.keys(before).some((it) => now[it] > before[it])")


def loses_and_finds(page, wire, own, folder):
    """What it said before, it said without an error; of what it says now only that the wire is cut."""
    quiet(page, own)
    shown = page.run("return document.querySelectorAll('.lane').length")
    wire.cut()
    page.until("the page to say that it is lost", STATE + " === 'lost'")
    page.picture(folder / "live-lost.png")
    true("it says since when", " UTC" in page.run("return document.querySelector('#live').textContent"))
    true("it keeps what it had", page.run("return document.querySelectorAll('.lane').length") >= shown)
    wire.mend()
    page.until("the page to find its source again", STATE + " === 'live'")
    other = [line for line in page.said() if own + "events" not in line]
    equal("the console tells of the cut wire alone", [], other)


def follows(page):
    """Zoomed in at the present, it goes on with the time; a choice and the focus stay as they are while all is drawn anew."""
    # One that has not gone is in sight for half of the time from now on at least.
    there = "document.querySelector('.lane:not([data-end]) .name')"
    page.until("an instance that is there", f"return {there} !== null")
    page.run(f"const name = {there}; name.dispatchEvent(new MouseEvent('click', {{ bubbles: true }})); name.focus(); zoom('in')")
    key, edge = page.run("return [document.activeElement.dataset.key, shown()[1]]")
    page.until("the part that is shown to go on", f"return view !== null && shown()[1] > {edge}")
    equal("the focus stays", key, page.run("return document.activeElement.dataset.key"))
    true("the choice stays", page.run("return document.querySelectorAll('.mark.chosen').length") == 1)
    page.run("zoom('all'); document.activeElement.blur()")


def drawn(bin_dir, records):
    """What is drawn of these records at once."""
    html = subprocess.run([bin_dir + "/lightsout", "timeline", "--from", records], check=True, capture_output=True, text=True).stdout
    return json.loads(html.split('data-events="">', 1)[1].split("</script>", 1)[0])


def same_as_file(page, bin_dir, records):
    """All updates together have made what is drawn of the same records at once."""
    data = drawn(bin_dir, records)
    had = page.run("return chart")
    gone = lambda chart: {life["instance"]: (life["spans"], life["marks"], life["end"]) for life in chart["lanes"] if life.get("end")}
    wanted = gone(data)
    true("some have gone", len(wanted) >= 2)
    equal("those that went", wanted, {instance: life for instance, life in gone(had).items() if instance in wanted})
    readings = lambda chart: {pool["pool"]: pool["readings"] for pool in chart["pools"]}
    equal("what the scaler read", readings(data), readings(had))


def raises(page, told):
    """Each raise that the cloud tells of has its mark, in its order, and there is none of which it does not tell."""
    lines = [json.loads(line) for line in pathlib.Path(told).read_text().splitlines() if line.startswith("{")]
    events = [line["event"] for line in lines if "event" in line]
    # The group begins at its minimum before there is a job, by nobody's raise.
    begun = next(index for index, event in enumerate(events) if event.get("job"))
    changes = [re.fullmatch(r"desired capacity (\d+) -> (\d+)", event["what"]) for event in events[begun:]]
    wanted = [f"raised {it[1]} -> {it[2]}" for it in changes if it and int(it[2]) > int(it[1])]
    sentences = page.run("return chart.pools.flatMap((pool) => pool.readings.filter((it) => it.news && it.result === 'raised').map((it) => it.sentence))")
    true("the cloud was raised", wanted)
    equal("the raises that the cloud tells of", wanted, [sentence.split(":")[0] for sentence in sentences])


def live(link, bin_dir, told, records, ready, folder):
    host, port = link.removeprefix("http://").rstrip("/").split(":")
    wire = Wire((host, int(port)))
    own = f"http://127.0.0.1:{wire.port}/"
    page = driver.Browser()
    try:
        page.network()
        page.look(1280, 860, "light")
        page.go(own)
        page.until("the page to be live", STATE + " === 'live'")
        page.until("three lanes that work", "return document.querySelectorAll('.lane .span.busy').length >= 3")
        grows(page)
        follows(page)
        looks(page, pathlib.Path(folder), "live-")
        page.look(1280, 860, "light")
        loses_and_finds(page, wire, own, pathlib.Path(folder))
        pathlib.Path(ready).touch()
        page.until("the page to say that the fleet has ended", STATE + " === 'ended'")
        names = [event["params"].get("eventName") for event in page.network() if event["method"] == "Network.eventSourceMessageReceived"]
        true(f"it was told in updates: {names}", names.count("update") >= 1 and names.count("end") == 1)
        lanes(page, read(records))
        decisions(page, read(records))
        raises(page, told)
        same_as_file(page, bin_dir, records)
        page.picture(pathlib.Path(folder) / "live-ended.png")
    finally:
        page.close()
    print(f"ok: the page followed {len(read(records))} records, was cut off, and says the same")


# What a group says of an instance.
PLACES = {"launching", "in_service", "aside", "leaving"}


def told_of(records):
    """The instances that wrote a record, and the last words of those that have left."""
    told = read(records)
    last = {it["instance"]: it for it in of_kind(told, "departure")}
    return {it["instance"] for it in of_kind(told, "incident")}, {name: ms(it["time"]) for name, it in last.items() if not it.get("withdrawn")}


def listed(page, records):
    """Each instance that wrote a record was in its group, in service and then out of it, and nothing is drawn that a list of a group does not tell."""
    instances, left = told_of(records)
    page.until("the look that finds those gone that have left", f"""return {json.dumps(sorted(left))}.every((it) => {{
      const lane = document.querySelector(`.lane[data-instance='${{it}}']`); return lane && lane.dataset.end; }})""")
    page.until("the look that finds those that have come", f"""return {json.dumps(sorted(instances))}.every((it) =>
      document.querySelector(`.lane[data-instance='${{it}}'] [data-state='in_service']`))""")
    drawn = page.run(LANES)
    # Some may have come or left meanwhile.
    later, left_later = told_of(records)
    names = {lane["instance"] for lane in drawn if [span["state"] for span in lane["spans"]] != ["launching"]}
    true(f"the instances of the group: {instances} {names} {later}", instances <= names <= later)
    gone = {lane["instance"] for lane in drawn if lane["end"]}
    true(f"those that have gone: {left} {gone} {left_later}", set(left) <= gone <= set(left_later))
    for lane in drawn:
        name, states = lane["instance"], [span["state"] for span in lane["spans"]]
        true(f"{name} has places in a group alone: {states}", set(states) <= PLACES)
        true(f"{name} was in service: {states}", "in_service" in states or name not in instances)
        true(f"no job and no mark of {name} is made up", not lane["marks"] and not any(span["jobs"] for span in lane["spans"]))
        true(f"{name} has gone after its last word", lane["end"] is None or lane["end"] >= left_later[name])
    page.run(CLICK, ".lane .name")
    said = page.run(SENTENCES)
    true(f"it says what looks found, and what they do not tell: {said}", "look" in said[0] and said[-1].startswith("Not known: whether it was busy"))
    words = page.run("return document.querySelector('#unseen').checkVisibility() && document.querySelector('#unseen').textContent")
    true(f"it says what it does not see, and where that is: {words}", "busy or idle" in words and "agents" in words and "are not" not in words)
    legend = page.run("return [...document.querySelectorAll('#legend li')].map((it) => it.textContent)")
    true(f"its legend has no busy instance: {legend}", "in service, busy or idle" in legend and not {"busy", "idle"} & set(legend))
    figures, there = page.run("""return [[...document.querySelectorAll('#figures div')].map((it) => [it.children[0].textContent, it.children[1].textContent]),
      document.querySelectorAll('.lane:not([data-end])').length]""")
    equal("its figures", ["Pools", "Instances seen", "In service", "Jobs running", "Jobs waiting", "Desired"], [name for name, _ in figures])
    equal("those that are there", str(there), dict(figures)["Instances seen"])


def scaler(link, bin_dir, records, folder):
    """The page of the scaler alone: what its records tell, and of instances what their group lists, which is not whether they are busy."""
    refused(link)
    page = driver.Browser()
    try:
        page.network()
        page.look(1280, 860, "light")
        page.go(link)
        page.until("the page to be live", STATE + " === 'live'")
        to = page.run("return chart.to")
        page.until("an update", f"return chart.to > {to} + 1000")
        names = {event["params"].get("eventName") for event in page.network() if event["method"] == "Network.eventSourceMessageReceived"}
        equal("it is told of all once, and then of what is new", {"chart", "update"}, names)
        had = page.run("return chart")
        [pool], [written] = had["pools"], drawn(bin_dir, records)["pools"]
        equal("what it read, as its records have it", written["readings"][: len(pool["readings"])], pool["readings"])
        true("there is something to see", len(pool["readings"]) >= 3)
        decisions(page, read(records))
        listed(page, records)
        keyboard(page)
        looks(page, pathlib.Path(folder), "scaler-")
        page.asked()
        page.go(link)
        page.until("the page to be live again", STATE + " === 'live'")
        quiet(page, link)
    finally:
        page.close()
    print(f"ok: the scaler's page shows its {len(pool['readings'])} readings")


if __name__ == "__main__":
    {"live": live, "refused": refused, "scaler": scaler}[sys.argv[1]](*sys.argv[2:])
