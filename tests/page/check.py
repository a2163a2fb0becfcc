"""Reads lanes, marks and sentences from the page and compares them with the records that it was drawn from."""

import datetime
import json
import pathlib
import sys

import browser as driver

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


def news(decisions):
    """Raises, and what differs in kind from the tick before."""
    before = None
    for decision in decisions:
        kind = (decision["result"], decision.get("error") or decision.get("missing"))
        if decision["result"] == "raised" or kind != before:
            yield decision
        before = kind


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
        busy = {job for it in own if it["kind"] == "incident" for job in it.get("jobs", [])}
        equal(f"the jobs of {lane['instance']}", busy, {job for span in spans for job in span["jobs"].split(",") if job})


def decisions(page, records):
    wanted = list(news(of_kind(records, "decision")))
    equal("the decisions", [[it["result"], ms(it["time"])] for it in wanted], page.run(DECISIONS))
    true("something was raised", any(it["result"] == "raised" for it in wanted))
    for it in wanted:
        page.run(CLICK, f".decision[data-at='{ms(it['time'])}']")
        said = page.run(SENTENCES)
        true(f"the decision of {it['time']} opens its sentence: {said}", any(it["reason"] in line for line in said))


def sentences(page, records):
    for departure in of_kind(records, "departure"):
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
    before = page.run("return document.querySelectorAll('.lane').length")
    page.press("+")
    true("a zoom shows a part", page.run("return view !== null"))
    page.press("0")
    equal("all is shown again", before, page.run("return document.querySelectorAll('.lane').length"))


def money(page, path):
    cost = json.loads(pathlib.Path(path).read_text())
    for it in cost["rows"]:
        cell = "return Number(document.querySelector(`#cost table[data-pool='${arguments[0]}'] td[data-what='${arguments[1]}']`).dataset.value)"
        for state in ("booting", "idle", "busy", "draining"):
            equal(f"the time {state}", it["row"]["spent"][state + "_ms"], page.run(cell, it["row"]["name"], state))
        true("the price", abs(it["cost"] - page.run(cell, it["row"]["name"], "price")) < 1e-9)


def looks(page, folder):
    for name, width, height, scheme in [("light", 1280, 860, "light"), ("dark", 1280, 860, "dark"), ("phone", 390, 844, "light")]:
        page.look(width, height, scheme)
        page.until(f"the picture {name}", f"return Math.abs(document.documentElement.clientWidth - {width}) < 2 && document.querySelector('#chart svg').viewBox.baseVal.width <= {width}")
        page.run("window.scrollTo(0, 0)")
        page.picture(folder / f"{name}.png")
        equal(f"texts on one another, {name}", [], page.run(OVERLAPS))
        true(f"nothing is wider than the window, {name}", page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
        page.run("document.activeElement.blur()")


def quiet(page, own):
    equal("the console is empty", [], page.said())
    # The browser's own first tab is of it.
    foreign = [url for url in page.asked() if not url.startswith((own, "data:", "chrome:"))]
    equal("nobody else is asked", [], foreign)


def check(records, html, piped, cost, folder):
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
    finally:
        page.close()
    kinds = {record.get("what") for record in told} | {record.get("reason") for record in told}
    true(f"the run had what it was to have: {kinds}", {"runner_found", "spot_notice", "spot", "idle"} <= kinds)
    print(f"ok: {len(told)} records, and the page says the same")


if sys.argv[1] == "busy":
    found = [it["instance"] for it in read(sys.argv[2]) if it.get("what") == "busy"]
    print("\n".join(dict.fromkeys(found)))
else:
    check(*sys.argv[2:])
