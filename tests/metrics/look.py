"""Looks at what came of a fleet's metrics.

usage: look.py prometheus PORT JOBS | otlp FILE JOBS | emf FOLDER JOBS
"""

import json
import pathlib
import sys
import urllib.parse
import urllib.request

what, place, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])


def ask(query):
    """The sum of what Prometheus answers; None for nothing."""
    url = f"http://127.0.0.1:{place}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=10) as reply:
        answer = json.load(reply)
    assert answer["status"] == "success", answer
    values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
    return sum(values) if values else None


def most(series):
    return ask(f"sum(max_over_time({series}[10m]))")


def prometheus():
    waited = most('cicd_pipeline_run_duration_seconds_count{state="pending",source="platform",program="scaler"}')
    assert waited == jobs, f"{waited} waits of {jobs} jobs"
    asked = most("lightsout_launches_total")
    assert asked is not None and 1 <= asked <= 3, f"{asked} instances were asked for"
    for series, least in [
        ('lightsout_raises_total{state="raised"}', 1),
        ("lightsout_raise_wait_seconds_count", 1),
        ("lightsout_pool_desired", 1),
        ('cicd_pipeline_run_active{state="pending"}', 1),
        ('cicd_workers{state="busy",program="agent"}', 1),
        ('lightsout_boot_duration_seconds_count{state="registered"}', 1),
        ('lightsout_instance_time_seconds_total{state="busy"}', 1),
        ("lightsout_instance_memory_ratio", 0.001),
        ("lightsout_instance_disk_ratio", 0.001),
    ]:
        found = most(series)
        assert found is not None and found >= least, f"{series}: {found}"
    # What the dashboard asks for, at a price of one a second: no more than the agents have counted, and not much less.
    panels = {panel["title"]: panel for panel in json.loads(pathlib.Path("monitoring/grafana/lightsout.json").read_text())["panels"]}
    asked = lambda title: ask(panels[title]["targets"][0]["expr"].replace("$pool", ".*").replace("$price", "3600").replace("$__range", "10m"))
    cost, counted, idle = asked("Cost"), most("lightsout_instance_time_seconds_total"), asked("Not busy")
    assert cost is not None and 0.5 * counted < cost <= 1.1 * counted, f"{cost} of {counted} s are paid for"
    assert idle is not None and 0 < idle < 1, f"{idle} of it is not busy"
    money = most("lightsout_instance_cost_total")
    assert money is not None and abs(money - counted) <= 0.001 * counted, f"{counted} s cost {money} at one a second"
    ran = most('cicd_pipeline_run_duration_seconds_count{state="executing",source="agent"}')
    assert ran is not None and 1 <= ran <= jobs, f"{ran} jobs ran"
    assert not ask('ALERTS{alertstate="firing"}'), "an alarm fires, and all is well"
    names = {name for name in json.load(urllib.request.urlopen(f"http://127.0.0.1:{place}/api/v1/label/__name__/values"))["data"]}
    print(f"Prometheus has {len([name for name in names if name.startswith(('cicd_', 'lightsout_'))])} names of the fleet")
    labels = json.load(urllib.request.urlopen(f"http://127.0.0.1:{place}/api/v1/labels"))["data"]
    unknown = set(labels) - {"__name__", "instance", "job", "program", "pool", "state", "reason", "source", "le", "alertname", "alertstate", "severity"}
    ours = {label for label in unknown if ask(f'count({{{label}!="",__name__=~"cicd_.*|lightsout_.*"}})')}
    assert not ours, f"labels that are not in the table: {ours}"


def points(metric):
    for kind in ("gauge", "sum", "histogram"):
        if kind in metric:
            return kind, metric[kind]["dataPoints"]
    raise AssertionError(f"no data in {metric}")


def attributes(of):
    return {pair["key"]: pair["value"].get("stringValue") for pair in of.get("attributes", [])}


def otlp():
    # The last value of each series, and its time: an export that was given up for the last one may be written down behind it.
    seen, kinds, instances = {}, {}, {}
    for line in pathlib.Path(place).read_text().splitlines():
        for resource in json.loads(line)["resourceMetrics"]:
            who = attributes(resource["resource"])
            assert who["deployment.environment"] == "test", who
            program, instance = who["service.name"], who["service.instance.id"]
            instances.setdefault(program, set()).add(instance)
            for scope in resource["scopeMetrics"]:
                assert scope["scope"]["name"] == "lightsout"
                for metric in scope["metrics"]:
                    assert metric["name"].startswith(("cicd.", "lightsout.")) and metric["description"] and metric["unit"], metric
                    kind, found = points(metric)
                    kinds[metric["name"]] = kind
                    if kind != "gauge":
                        assert metric[kind]["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE", metric
                    for point in found:
                        labels = tuple(sorted(attributes(point).items()))
                        assert int(point["startTimeUnixNano"]) <= int(point["timeUnixNano"])
                        if kind == "histogram":
                            counts = [int(count) for count in point["bucketCounts"]]
                            assert len(counts) == len(point["explicitBounds"]) + 1 and sum(counts) == int(point.get("count", 0)), point
                            value = int(point.get("count", 0))
                        else:
                            value = float(point.get("asDouble", 0))
                        series, at = (program, instance, metric["name"], labels), int(point["timeUnixNano"])
                        if at >= seen.get(series, (0, 0))[0]:
                            seen[series] = at, value

    def total(program, name, **wanted):
        wanted = {key.replace("__", "."): value for key, value in wanted.items()}
        return sum(
            value
            for (who, _, found, labels), (_, value) in seen.items()
            if (who, found) == (program, name) and wanted.items() <= dict(labels).items()
        )

    assert set(instances) == {"lightsout-scaler", "lightsout-agent"}, instances
    assert len(instances["lightsout-scaler"]) == 1, instances
    waits = total("lightsout-scaler", "cicd.pipeline.run.duration", cicd__pipeline__run__state="pending")
    assert waits == jobs, f"{waits} waits of {jobs} jobs"
    # What an agent did last is exported before it goes: nothing is lost with the instance.
    ran = total("lightsout-agent", "cicd.pipeline.run.duration", cicd__pipeline__run__state="executing")
    assert 1 <= ran <= jobs, f"{ran} of {jobs} jobs ran: some may come between two samples, and none counts twice"
    left = total("lightsout-agent", "lightsout.departures", lightsout__reason="idle")
    assert left == len(instances["lightsout-agent"]), f"{left} of {len(instances['lightsout-agent'])} instances left"
    assert kinds["cicd.worker.count"] == "gauge" and kinds["lightsout.raises"] == "sum"
    print(f"OTLP: {len(seen)} series of {len(kinds)} metrics")


# Amazon CloudWatch User Guide, "Specification: Embedded metric format", and "MetricDatum" for the units.
UNITS = {"Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Percent", "Count", "Bytes/Second", "Count/Second", "None"}


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_line(line):
    root = json.loads(line)
    assert len(line.encode()) <= 1024 * 1024, "a log event is no longer"
    metadata = root["_aws"]
    assert isinstance(metadata["Timestamp"], int) and metadata["Timestamp"] > 1_700_000_000_000, metadata
    assert isinstance(metadata["CloudWatchMetrics"], list) and metadata["CloudWatchMetrics"], metadata
    for directive in metadata["CloudWatchMetrics"]:
        assert set(directive) <= {"Namespace", "Dimensions", "Metrics"}, directive
        assert 1 <= len(directive["Namespace"]) <= 1024
        for names in directive["Dimensions"]:
            assert len(names) <= 30
            for name in names:
                assert isinstance(root[name], str) and 1 <= len(root[name]) <= 1024 and 1 <= len(name) <= 250, name
        assert len(directive["Metrics"]) <= 100, "CloudWatch takes no more"
        for definition in directive["Metrics"]:
            assert set(definition) <= {"Name", "Unit", "StorageResolution"} and definition["Unit"] in UNITS, definition
            assert 1 <= len(definition["Name"]) <= 1024
            value = root[definition["Name"]]
            values = value if isinstance(value, list) else [value]
            assert 1 <= len(values) <= 100 and all(map(number, values)), (definition, value)
    return root


def emf():
    added, taken, lines = {}, {}, 0
    for file in sorted(pathlib.Path(place).iterdir()):
        for line in file.read_text(errors="replace").splitlines():
            if not line.startswith('{"_aws"'):
                continue
            lines += 1
            for key, value in check_line(line).items():
                if isinstance(value, list):
                    taken.setdefault(key, []).extend(value)
                elif number(value):
                    added[key] = added.get(key, 0) + value
    assert lines > 5, f"{lines} lines"
    waits = taken.get("cicd.pipeline.run.duration.pending.platform", [])
    assert len(waits) == jobs and all(wait >= 0 for wait in waits), waits
    assert 1 <= len(taken.get("cicd.pipeline.run.duration.executing.agent", [])) <= jobs, taken
    assert added["lightsout.raises.raised"] >= 1 and added["lightsout.departures.idle"] >= 1, added
    print(f"CloudWatch: {lines} lines, {len(added) + len(taken)} metrics")


{"prometheus": prometheus, "otlp": otlp, "emf": emf}[what]()
