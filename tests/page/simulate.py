"""Reads the simulation's page and compares it with the report of the same run as JSON."""

import json
import pathlib
import sys

import browser as driver
from check import OVERLAPS, equal, quiet, true

STATES = ["booting", "idle", "busy", "draining"]
ROWS = """return [...document.querySelectorAll('#grid tbody tr')].map((row) => ({ name: row.dataset.name, classes: row.className,
  cells: Object.fromEntries([...row.querySelectorAll('td[data-what]')].map((cell) => [cell.dataset.what, Number(cell.dataset.value)])),
  bar: [...row.querySelectorAll('.share i')].map((part) => [part.className, Number(part.style.flexGrow)]) }))"""
POINTS = """return [...document.querySelectorAll('#chart circle')].map((point) => [point.dataset.name, Number(point.getAttribute('cx')), Number(point.getAttribute('cy'))])"""


def expected(it):
    outcome = it["outcome"]
    seconds = outcome["seconds"]
    cells = {key: outcome["waits"][key] for key in ("p50", "p95", "p99")} | seconds
    cells |= {key: outcome[key] for key in ("launched", "cut", "spot")}
    cells["all"] = sum(seconds.values())
    return cells | {"cost": it["cost"]}


def rows(page, played):
    drawn = page.run(ROWS)
    true(f"a row for each, in their order: {[row['name'] for row in drawn]}", [row["name"] for row in drawn] == [it["name"] for it in played])
    for row, it in zip(drawn, played):
        for what, value in expected(it).items():
            true(f"{what} of {row['name']} is {value}: {row['cells']}", abs(row["cells"][what] - value) < 1e-6)
        parts = {state: it["outcome"]["seconds"][state] for state in STATES if it["outcome"]["seconds"][state] > 0}
        true(f"the bar of {row['name']} has its parts: {row['bar']}", [state for state, _ in row["bar"]] == list(parts))
        true(f"the parts are as long as their times: {row['bar']}", all(abs(parts[state] - long) <= 0.5 + parts[state] * 1e-5 for state, long in row["bar"]))


def points(page, played):
    """Who waits longer is further to the right, and who costs more is higher."""
    drawn = {name: (x, y) for name, x, y in page.run(POINTS)}
    true("a point for each", set(drawn) == {it["name"] for it in played})
    for key, axis, sign in [(lambda it: it["outcome"]["waits"]["p95"], 0, 1), (lambda it: it["cost"], 1, -1)]:
        places = [sign * drawn[it["name"]][axis] for it in sorted(played, key=key)]
        true(f"the points stand in their order: {places}", places == sorted(places))


def words(page, report):
    said = page.run("return document.querySelector('#advice').innerText")
    true(f"the advice and its reason: {said}", report["advice"]["why"] in said)
    said = page.run("return document.querySelector('#schedules').innerText")
    for schedule in report["schedules"]:
        for entry in schedule["entries"]:
            true(f"the entry {entry}: {said}", f'"{entry}" was in force for ' in said)


def looks(page, folder):
    for name, width, height, scheme in [("light", 1280, 860, "light"), ("dark", 1280, 860, "dark"), ("phone", 390, 844, "light")]:
        page.look(width, height, scheme)
        page.until(f"the page {name}", f"return Math.abs(document.documentElement.clientWidth - {width}) < 2")
        page.picture(folder / f"simulate-{name}.png")
        true(f"nothing is wider than the window, {name}", page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"))
        equal(f"texts on one another, {name}", [], page.run(OVERLAPS))


def check(html, told, folder):
    report = json.loads(pathlib.Path(told).read_text())
    played = report["settings"] + report["peers"]
    page = driver.Browser()
    try:
        page.asked()
        url = pathlib.Path(html).as_uri()
        page.go(url)
        rows(page, played)
        points(page, played)
        words(page, report)
        looks(page, pathlib.Path(folder))
        quiet(page, url)
    finally:
        page.close()
    print(f"ok: {len(played)} fleets, and the page says the same")


check(*sys.argv[1:])
