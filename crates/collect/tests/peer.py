"""Holds expositions against prometheus_client 0.26.0. Started by peer.rs."""

import json
import math
import struct
import sys

import prometheus_client.exposition as text_exposition
import prometheus_client.openmetrics.exposition as openmetrics_exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString


class Registry:
    def __init__(self, metrics):
        self.metrics = metrics

    def collect(self):
        return self.metrics


def floats(lines):
    checked = 0
    for line in lines:
        bits, printed = line.split(" ")
        value = struct.unpack(">d", bytes.fromhex(bits))[0]
        assert floatToGoString(value) == printed, (value, printed)
        checked += 1
    assert checked > 20_000, checked


def text(lines):
    for families, written in cases(lines):
        metrics = []
        for family in families:
            metric = Metric(family["name"], family["help"], family["type"])
            for series in family["series"]:
                add_samples(metric, series)
            metrics.append(metric)
        same_lines(text_exposition.generate_latest(Registry(metrics)), written)
        parsed = [s for m in parse_text(written) for s in m.samples]
        assert len(parsed) == sum(len(m.samples) for m in metrics), written


def openmetrics(lines):
    types = set()
    for families, written in cases(lines):
        metrics = [m for family in families for m in openmetrics_families(family)]
        types.update(m.type for m in metrics)
        same_lines(openmetrics_exposition.generate_latest(Registry(metrics)), written)
        parsed = list(parse_openmetrics(written))
        assert [comparable(m) for m in parsed] == [comparable(m) for m in metrics], written
    assert len(types) == 7, types


def strict(lines):
    for families, written in cases(lines):
        parsed = list(parse_openmetrics(written))
        assert len(parsed) >= len(families), written


def parser(lines):
    checked = 0
    for case in map(json.loads, lines):
        theirs = list(parse_text(case["text"]))
        samples = [sample for metric in theirs for sample in metric.samples]
        found = [(s.name, s.labels, same_nan(s.value), s.timestamp) for s in samples]
        expected = []
        for family in case["families"]:
            # A counter gets its suffix from this parser where it has none.
            is_bare = family["type"] == "counter" and not family["name"].endswith("_total")
            for name, labels, bits, timestamp in family["samples"]:
                value = struct.unpack(">d", bytes.fromhex(bits))[0]
                seconds = None if timestamp is None else timestamp / 1000
                suffix = "_total" if is_bare else ""
                expected.append((name + suffix, labels, same_nan(value), seconds))
        assert sorted(found, key=repr) == sorted(expected, key=repr), case["text"]
        checked += len(found)

        declared = {}
        for metric in theirs:
            declared.setdefault(metric.name, (metric.type, metric.documentation))
        for family in case["families"]:
            counts = family["type"] == "counter"
            name = family["name"].removesuffix("_total") if counts else family["name"]
            kind, documentation = declared[name]
            assert kind == family["type"], case["text"]
            if case["has_plain_help"]:
                assert documentation == family["help"], case["text"]
    assert checked > 500, checked


def differences(lines):
    for case in map(json.loads, lines):
        try:
            metrics = list(parse_text(case["text"]))
        except ValueError:
            found = None
        else:
            samples = [sample for metric in metrics for sample in metric.samples]
            found = [[s.name, s.labels, same_nan(s.value)] for s in samples]
        expected = case["theirs"]
        if expected is not None:
            expected = [[name, labels, same_nan(value)] for name, labels, value in expected]
        assert found == expected, (case["text"], found)


def same_nan(value):
    # The parser makes an integer of what looks like one.
    return "NaN" if math.isnan(value) else float(value)


def cases(lines):
    lines = list(lines)
    assert len(lines) >= 1000, len(lines)
    for families, written in zip(lines[::2], lines[1::2]):
        yield json.loads(families)["families"], json.loads(written)


def openmetrics_families(family):
    """The families that spec/exposition.md has OpenMetrics declare for one of ours."""
    name, kind = family["name"], family["type"]
    if all(is_lawful(series, kind) for series in family["series"]):
        unit = family["unit"] if kind not in ("info", "stateset") else ""
        metric = Metric(name, family["help"], kind, unit)
        for series in family["series"]:
            add_samples(metric, series, strict=True)
            if kind in ("counter", "histogram", "summary") and series["created"] is not None:
                metric.add_sample(name + "_created", series["labels"], series["created"])
        return [metric]
    suffixes = {
        "counter": ["_total"],
        "histogram": ["_bucket", "_sum", "_count"],
        "summary": ["_count", "_sum"],
    }[kind]
    metrics = []
    every = Metric(name, family["help"], kind)
    for series in family["series"]:
        add_samples(every, series)
    for suffix in suffixes:
        metric = Metric(name + suffix, family["help"], "unknown")
        metric.samples = [s for s in every.samples if s.name == name + suffix]
        metrics.append(metric)
    return metrics


def is_lawful(series, kind):
    def counts(value):
        return value is None or (float(value) >= 0 and float(value).is_integer())

    def grows(value):
        return value is None or float(value) >= 0

    if "buckets" in series:
        buckets = series["buckets"]
        # The generator orders NaN last, so that no order is lost here.
        negative = any(float(bucket["le"]) < 0 for bucket in buckets)
        return all(counts(b["count"]) for b in buckets) and (negative or grows(series["sum"]))
    if "count" in series:
        return counts(series["count"]) and grows(series["sum"])
    if kind == "counter":
        return grows(series["value"])
    return True


def add_samples(metric, series, strict=False):
    name, labels = metric.name, series["labels"]
    if "buckets" in series:
        buckets = series["buckets"]
        for bucket in buckets:
            le = floatToGoString(float(bucket["le"]))
            metric.add_sample(name + "_bucket", {**labels, "le": le}, float(bucket["count"]))
        if strict and (series["sum"] is None or any(float(b["le"]) < 0 for b in buckets)):
            return
        if series["sum"] is not None:
            metric.add_sample(name + "_sum", labels, float(series["sum"]))
        metric.add_sample(name + "_count", labels, float(buckets[-1]["count"]))
    elif "states" in series:
        for state, flag in series["states"].items():
            metric.add_sample(name, {**labels, name: state}, flag)
    elif "count" in series:
        for field in ("count", "sum"):
            if series[field] is not None:
                metric.add_sample(name + "_" + field, labels, float(series[field]))
    elif "value" in series:
        suffix = "_total" if metric.type == "counter" else ""
        metric.add_sample(name + suffix, labels, float(series["value"]))
    else:
        metric.add_sample(name + "_info", labels, 1)


def comparable(metric):
    # The parser takes spaces at the beginning of help for more of its separator.
    samples = [
        (s.name, s.labels, "NaN" if math.isnan(s.value) else s.value) for s in metric.samples
    ]
    return (metric.name, metric.type, metric.unit, metric.documentation.lstrip(" "), samples)


def same_lines(expected, written):
    expected = expected.decode().split("\n")
    written = written.split("\n")
    for theirs, ours in zip(expected, written):
        assert theirs == ours, f"\ntheirs: {theirs!r}\nours:   {ours!r}"
    assert len(expected) == len(written), (expected, written)


checks = {
    "differences": differences,
    "floats": floats,
    "openmetrics": openmetrics,
    "parser": parser,
    "strict": strict,
    "text": text,
}
data = sys.stdin.buffer.read().decode()
checks[sys.argv[1]](data.removesuffix("\n").split("\n"))
