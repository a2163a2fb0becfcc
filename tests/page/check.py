"""Reads lanes, marks and sentences from the page and compares them with the records that it was drawn from."""

import datetime
import json
import pathlib
import sys

import browser as driver
import png

# Incidents that turn a lane into another colour instead of having a mark.
TURNS = {"started", "ready", "busy", "idle", "leaving"}
RIGHT, DOWN, ENTER, TAB = "\ue014", "\ue015", "\ue007", "\ue004"

LANES = """return [...document.querySelectorAll('.lane')].map((lane) => ({
  instance: lane.dataset.instance, end: lane.dataset.end ? Number(lane.dataset.end) : null,
  reason: lane.querySelector('.end') && lane.querySelector('.end').dataset.reason,
  spans: [...lane.querySelectorAll('.span')].map((span) => ({ state: span.dataset.state, from: Number(span.dataset.from), to: Number(span.dataset.to),
    jobs: span.dataset.jobs, x: Number(span.getAttribute('x')), width: Number(span.getAttribute('width')) })),
  marks: [...lane.querySelectorAll('.incident')].map((mark) => [mark.dataset.what, Number(mark.dataset.at)]) }))"""
DECISIONS = "return [...document.querySelectorAll('.decision')].map((mark) => [mark.dataset.result, Number(mark.dataset.at)])"
SENTENCES = "return [...document.querySelectorAll('#detail .sentence')].map((line) => line.textContent)"
CLICK = "document.querySelector(arguments[0]).dispatchEvent(new MouseEvent('click', { bubbles: true }))"
OVERLAPS = """const texts = [...document.querySelectorAll('#chart text')].map((text) => [text.textContent, text.getBoundingClientRect()]).filter(([text]) => text);
return texts.flatMap(([one, a], i) => texts.slice(i + 1).filter(([, b]) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
  .map(([other]) => one + ' and ' + other))"""


def read(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def ms(time):
    return round(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)


def equal(what, wanted, got):
    if wanted != got:
        raise SystemExit(f"FAILED: {what}\n  the records: {wanted}\n  the page:    {got}")


def true(what, holds):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def of_kind(records, kind):
    return [record for record in records if record["kind"] == kind]


def lanes(page, records):
    drawn = page.run(LANES)
    told = {}
    for record in of_kind(records, "incident") + of_kind(records, "departure"):
        told.setdefault(record["instance"], []).append(record)
    equal("the instances", sorted(told), sorted(lane["instance"] for lane in drawn))
    for lane in drawn:
        own = told[lane["instance"]]
        marks = [(it["what"], ms(it["time"])) for it in own if it["kind"] == "incident" and it["what"] not in TURNS]
        equal(f"the marks of {lane['instance']}", sorted(marks), sorted(map(tuple, lane["marks"])))
        ends = [it for it in own if it["kind"] == "departure"]
        last = ends[-1] if ends else None
        wanted = (ms(last["time"]), last["reason"]) if last else (None, None)
        equal(f"the end of {lane['instance']}", wanted, (lane["end"], lane["reason"]))
        spans = lane["spans"]
        equal(f"the start of {lane['instance']}", min(ms(it["time"]) for it in own), spans[0]["from"])
        for one, two in zip(spans, spans[1:]):
            equal(f"no gap in {lane['instance']}", one["to"], two["from"])
            true(f"the spans of {lane['instance']} are drawn one after the other", abs(one["x"] + one["width"] - two["x"]) < 1.5)
        # What only counts jobs (`jobs=2`) is no second job beside those that have names.
        busy = {job for it in own for job in it.get("jobs", []) if it["kind"] == "incident" and "=" not in job}
        equal(f"the jobs of {lane['instance']}", busy, {job for span in spans for job in span["jobs"].split(",") if job and "=" not in job})
        true(f"no job of {lane['instance']} is there twice", not any("=" in span["jobs"] and "," in span["jobs"] for span in spans))


def decisions(page, records):
    """Each raise has its mark, and each mark is of a tick that was, with its sentence. Which others are news is looked at in NIGHT."""
    told = {(it["result"], ms(it["time"])): it for it in of_kind(records, "decision")}
    marks = [tuple(mark) for mark in page.run(DECISIONS)]
    raises = [key for key in told if key[0] == "raised"]
    true("something was raised", raises)
    equal("the raises", sorted(raises), sorted(mark for mark in marks if mark[0] == "raised"))
    for mark in marks:
        true(f"there was such a tick: {mark}", mark in told)
        page.run(CLICK, f".decision[data-at='{mark[1]}']")
        said = page.run(SENTENCES)
        true(f"the decision {mark} opens its sentence: {said}", any(told[mark]["reason"] in line for line in said))


def sentences(page, records):
    # One that comes to leave for another reason has a second certificate, and its end is that of the last.
    for departure in {it["instance"]: it for it in of_kind(records, "departure")}.values():
        page.run(CLICK, f".lane[data-instance='{departure['instance']}'] .end")
        said = page.run(SENTENCES)
        true(f"the end of {departure['instance']} opens its sentence: {said}", departure["trigger"] in said and len(said) > 1)


def keyboard(page):
    page.run("document.body.focus(); window.scrollTo(0, 0)")
    for _ in range(12):
        page.press(TAB)
        if page.run("return document.activeElement.classList.contains('mark')"):
            break
    seen = set()
    for _ in range(3):
        seen.add(page.run("return document.activeElement.dataset.key"))
        page.press(RIGHT)
    page.press(DOWN)
    seen.add(page.run("return document.activeElement.dataset.key"))
    true(f"the arrow keys go from mark to mark: {seen}", len(seen) >= 2 and None not in seen)
    page.press(ENTER)
    label = page.run("return document.activeElement.getAttribute('aria-label')")
    heading = page.run("return document.querySelector('#detail h2').textContent")
    true(f"Enter opens what has the focus: {label}, {heading}", heading.split(":")[0] in label)
    page.run("go(document.querySelector('.lane .name'))")
    page.press(RIGHT)
    page.press(ENTER)
    state = page.run("return document.activeElement.dataset.state")
    heading = page.run("return document.querySelector('#detail h2').textContent")
    true(f"a stretch of a lane is reached by keys, and opened: {state}, {heading}", state is not None and state.replace("_", " ") in heading)
    before = page.run("return document.querySelectorAll('.lane').length")
    page.press("+")
    true("a zoom shows a part", page.run("return view !== null"))
    page.press("0")
    equal("all is shown again", before, page.run("return document.querySelectorAll('.lane').length"))


# A night of two scalers, of which one stands by, and what is news of it to whoever reads it: written down by hand.
#        time        result     waiting  desired  to    failure        news
NIGHT = [
    ("03:00:00", "held", 0, 2, None, None, True),
    ("03:00:05", "standby", None, None, None, None, True),
    ("03:00:10", "held", 0, 2, None, None, False),
    ("03:00:15", "standby", None, None, None, None, False),
    ("03:00:20", "raised", 3, 2, 5, None, True),
    ("03:00:25", "standby", None, None, None, None, False),
    ("03:00:30", "raised", 7, 5, 9, None, True),
    ("03:00:40", "held", 2, 9, None, None, True),
    ("03:00:45", "standby", None, None, None, None, False),
    ("03:00:50", "failed", None, None, None, "502", True),
    ("03:01:00", "failed", None, None, None, "502", False),
    ("03:01:10", "failed", None, None, None, "401", True),
    ("03:01:20", "held", 0, 9, None, None, True),
    ("03:01:25", "standby", None, None, None, None, False),
    ("03:01:30", "held", 0, 8, None, None, False),
    ("03:01:40", "held", 0, 7, None, None, False),
]


def night():
    """That night as records; an instance of it was last heard of an hour and a half before its end, and nothing tells of its own."""
    spent = {"demand": 1, "describe": 1, "raise": None, "total": 2}
    for time, result, queued, desired, to, failure, _ in NIGHT:
        tick = {"schema": 1, "kind": "decision", "time": f"2026-11-26T{time}Z", "pool": "linux", "group": "ci-linux", "platform": "gitlab", "result": result, "ms": spent}
        if queued is not None:
            tick["why"] = {"queued": queued, "running": 0, "slots": 1, "utilisation": 100, "threshold": 1, "spare": 0, "need": queued, "min": 0, "max": 9,
                           "desired": desired, "target": to or desired, "limit": "none"}
            tick["reason"] = f"{queued} waiting"
        if to:
            tick["to"] = to
        if failure:
            tick["error"] = failure
        if result == "standby":
            tick["reason"] = "waits for the session"
        yield tick
    for time, instance, what, jobs in [("01:30:00", "i-silent", "ready", None), ("01:30:10", "i-silent", "busy", ["7", "gitlab_runner_jobs=1"]), ("03:00:00", "i-heard", "ready", None)]:
        record = {"schema": 1, "kind": "incident", "time": f"2026-11-26T{time}Z", "instance": instance, "group": "ci-linux", "platform": "gitlab", "what": what, "detail": " ".join(jobs or ["for jobs"])}
        yield record | ({"jobs": jobs} if jobs else {})


def shows_the_night(page, folder):
    wanted = [[result, ms(f"2026-11-26T{time}Z")] for time, result, *_, news in NIGHT if news]
    equal("what is news of the night", wanted, page.run(DECISIONS))
    silent = page.run("return [...document.querySelectorAll('.mark.silent')].map((mark) => [mark.parentNode.dataset.instance, Number(mark.dataset.at)])")
    equal("of whom nothing was heard", [["i-silent", ms("2026-11-26T01:30:10Z")]], silent)
    page.run(CLICK, ".mark.silent")
    said = page.run(SENTENCES)
    true(f"it says what that may mean: {said}", "nothing tells of its end" in said[0])
    equal("the row that warns", "1", page.run("return document.querySelector('#cost .warning td').textContent"))
    equal("a job that two probes see", "7", page.run("return [...document.querySelectorAll('.lane[data-instance=\"i-silent\"] .span')].pop().dataset.jobs"))
    page.picture(folder / "night.png")


# More than anybody looks through: of so many pools the last five wait, and of the others the first twenty say least.
POOLS, DRAWN, WAIT, QUIET, INSTANCES, MOST_LANES = 70, 60, 5, 20, 410, 400


def many():
    """A fleet of too many pools and instances."""
    ms = {"demand": 1, "describe": 1, "raise": None, "total": 2}
    for n in range(POOLS):
        readings = [n] if n >= POOLS - WAIT else [0] if n < QUIET else [1, 0]
        for second, queued in enumerate(readings):
            why = {"queued": queued, "running": 0, "slots": 1, "utilisation": 100, "threshold": 1, "spare": 0, "need": queued, "min": 0, "max": 9,
                   "desired": 1, "target": 1, "limit": "none"}
            yield {"schema": 1, "kind": "decision", "time": f"2026-11-26T03:00:{10 * second:02}Z", "pool": f"p{n:02}", "group": f"g{n:02}",
                   "platform": "gitlab", "result": "held", "reason": f"{queued} waiting", "why": why, "ms": ms}
    for n in range(INSTANCES):
        yield {"schema": 1, "kind": "incident", "time": f"2026-11-26T03:00:{20 + n // 20:02}Z", "instance": f"i-{n:03}", "group": f"g{n % POOLS:02}",
               "platform": "gitlab", "what": "ready", "detail": "for jobs"}


def shows_many(page, folder):
    """It draws what is worth a look, and says what it leaves out."""
    told = [record for record in many() if record["kind"] == "decision"]
    waiting = {record["pool"] for record in told if record["why"]["queued"] > 1}
    said = [record["pool"] for record in told]
    pools = page.run("return [...document.querySelectorAll('#chart .pool')].map((pool) => pool.dataset.pool)")
    equal("so many pools are drawn", DRAWN, len(pools))
    true(f"those where jobs wait, and those where more happens: {pools}", waiting | {pool for pool in said if said.count(pool) > 1} <= set(pools))
    equal("their waits stand beside", pools, page.run("return [...document.querySelectorAll('#waits table')].map((table) => table.dataset.pool)"))
    texts = page.run("return [...document.querySelectorAll('#chart text')].map((text) => text.textContent)")
    true("it says how many pools it leaves out", f"and {POOLS - DRAWN} more pools, where less happens" in texts)
    equal("so many lanes are drawn", MOST_LANES, page.run("return document.querySelectorAll('.lane').length"))
    true("it says how many instances it leaves out", f"and {INSTANCES - MOST_LANES} more; zoom in to see them" in texts)
    newest = {record["pool"]: record["why"]["queued"] for record in told}
    figures = dict(page.run("return [...document.querySelectorAll('#figures div')].map((it) => [it.children[0].textContent, it.children[1].textContent])"))
    equal("the figures are of all", (str(sum(newest.values())), str(INSTANCES)), (figures["Jobs waiting"], figures["Not known to be gone"]))
    equal("texts on one another", [], page.run(OVERLAPS))
    page.picture(folder / "many.png")


def money(page, path):
    cost = json.loads(pathlib.Path(path).read_text())
    for it in cost["rows"]:
        cell = "return Number(document.querySelector(`#cost table[data-pool='${arguments[0]}'] td[data-what='${arguments[1]}']`).dataset.value)"
        for state in ("booting", "idle", "busy", "draining"):
            equal(f"the time {state}", it["row"]["spent"][state + "_ms"], page.run(cell, it["row"]["name"], state))
        true("the price", abs(it["cost"] - page.run(cell, it["row"]["name"], "price")) < 1e-9)


SHOTS = """return [...document.querySelectorAll('.lane .span')].map((span) => [span.parentNode.dataset.instance, span.dataset.state, getComputedStyle(span).fill.match(/[0-9]+/g).slice(0, 3).map(Number),
  span.getBoundingClientRect().toJSON()]).filter(([,,, box]) => box.width >= 8)"""


def shows_lanes(page, path):
    """The picture itself has each stretch of each lane in its colour, where no mark and no word lies on it. Of a live page nothing may be drawn meanwhile."""
    page.run("window.held = draw; draw = () => {}")
    spans, wide = page.run(SHOTS), page.run("return document.documentElement.clientWidth")
    shot = png.Picture(page.picture(path))
    page.run("draw = window.held; draw()")
    scale = shot.width / wide
    true(f"there are lanes to look at in {path.name}", spans)
    for instance, state, colour, box in spans:
        points = [(box["x"] + box["width"] * part / 8, box["y"] + 3) for part in range(1, 8)]
        seen = {shot.colour(x * scale, y * scale) for x, y in points}
        true(f"{path.name} shows {instance} {state} in {colour}: {seen}", tuple(colour) in seen)


def looks(page, folder, prefix=""):
    for name, width, height, scheme in [("light", 1280, 860, "light"), ("dark", 1280, 860, "dark"), ("phone", 390, 844, "light")]:
        page.look(width, height, scheme)
        page.until(f"the picture {name}", f"return Math.abs(document.documentElement.clientWidth - {width}) < 2 && document.querySelector('#chart svg').viewBox.baseVal.width <= {width}")
        page.run("window.scrollTo(0, 0)")
        page.run("document.activeElement.blur()")
        picture = folder / f"{prefix}{name}.png"
        # To read a picture takes a while.
        if name == "light" or not prefix:
            shows_lanes(page, picture)
        else:
            page.picture(picture)
        equal(f"texts on one another, {name}", [], page.run(OVERLAPS))
        true(f"nothing is wider than the window, {name}", page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def quiet(page, own):
    equal("the console is empty", [], page.said())
    # The browser's own first tab is of it.
    foreign = [url for url in page.asked() if not url.startswith((own, "data:", "chrome:"))]
    equal("nobody else is asked", [], foreign)


def check(records, html, piped, dark_night, crowd, cost, folder):
    told = read(records)
    page = driver.Browser()
    try:
        page.asked()
        page.look(1280, 860, "light")
        url = pathlib.Path(html).as_uri()
        page.go(url)
        lanes(page, told)
        money(page, cost)
        decisions(page, told)
        sentences(page, told)
        keyboard(page)
        looks(page, pathlib.Path(folder))
        quiet(page, url)
        other = pathlib.Path(piped).as_uri()
        page.go(other)
        lanes(page, told)
        quiet(page, other)
        page.look(1280, 860, "light")
        page.go(pathlib.Path(dark_night).as_uri())
        shows_the_night(page, pathlib.Path(folder))
        page.go(pathlib.Path(crowd).as_uri())
        shows_many(page, pathlib.Path(folder))
    finally:
        page.close()
    kinds = {record.get("what") for record in told} | {record.get("reason") for record in told}
    true(f"the run had what it was to have: {kinds}", {"runner_found", "spot_notice", "spot", "idle"} <= kinds)
    print(f"ok: {len(told)} records, and the page says the same")


if __name__ == "__main__":
    if sys.argv[1] == "busy":
        found = [it["instance"] for it in read(sys.argv[2]) if it.get("what") == "busy"]
        print("\n".join(dict.fromkeys(found)))
    elif sys.argv[1] in ("night", "many"):
        print("\n".join(map(json.dumps, {"night": night, "many": many}[sys.argv[1]]())))
    else:
        check(*sys.argv[2:])
