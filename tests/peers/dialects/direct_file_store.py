"""What the Ruby client prints of a directory that its DirectFileStore has written.

    direct_file_store.py DIR 0.10|3.0

The gem cannot be had where the vectors are made, so this follows its rules as they were observed,
and shares no code with the writer. The files do not say what a metric is; the program that is
scraped does, and METRICS stands for it.

    counter, histogram, summary   sums over the files of a metric, by labels
    gauge                         as it is declared: all (by pid), sum, max, min, or most_recent,
                                  which is the value with the greatest time
    histogram                     counts are accumulated over the declared bounds, in their order;
                                  what is in le="sum" is the sum, and +Inf is the count
"""

import glob
import os
import struct
import sys
from urllib.parse import parse_qsl

INF = "+Inf"

METRICS = {
    "jobs_total": ("counter", "sum"),
    "events": ("counter", "sum"),
    "took_seconds": ("histogram", ["1.0e-05", "0.5", "1", "1000000.0"]),
    "size_bytes": ("histogram", ["1", "2.5", "10"]),
    "parse_seconds": ("summary", "sum"),
    "wait_seconds": ("summary", "sum"),
}
for _mode in ("all", "sum", "max", "min", "most_recent"):
    METRICS["level_" + _mode] = METRICS["zone_level_" + _mode] = ("gauge", _mode)


def entries(path, timed):
    with open(path, "rb") as file:
        content = file.read()
    (used,) = struct.unpack_from("<i", content)
    at = 8
    while at < used:
        (length,) = struct.unpack_from("<i", content, at)
        key = content[at + 4:at + 4 + length].decode("ascii").rstrip(" ")
        at += 4 + length
        (value,) = struct.unpack_from("<d", content, at)
        clock = struct.unpack_from("<d", content, at + 8)[0] if timed else 0.0
        at += 16 if timed else 8
        yield tuple(parse_qsl(key, keep_blank_values=True)), value, clock
    if at != used:
        sys.exit(f"{path}: the entries end at {at}, not at {used}")


def merged(directory, name, mode, timed):
    """The values of a metric by labels, in the order of their first appearance."""
    found = {}
    for path in sorted(glob.glob(os.path.join(directory, f"metric_{name}___*.bin"))):
        for labels, value, clock in entries(path, timed):
            found.setdefault(labels, []).append((value, clock))
    rule = {
        "all": lambda values: values[0][0],
        "sum": lambda values: sum(value for value, _ in values),
        "max": lambda values: max(value for value, _ in values),
        "min": lambda values: min(value for value, _ in values),
        "most_recent": lambda values: max(values, key=lambda pair: pair[1])[0],
    }[mode]
    return {labels: rule(values) for labels, values in found.items()}


def split(values, special):
    """The values by labels without the special one, and by that one."""
    parts = {}
    for labels, value in values.items():
        rest = tuple(pair for pair in labels if pair[0] != special)
        parts.setdefault(rest, {})[dict(labels)[special]] = value
    return parts


def line(name, labels, value):
    escape = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
    inner = ",".join(f'{label}="{text.translate(escape)}"' for label, text in labels)
    return f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}"


def lines(directory, name, kind, rule, timed):
    if kind == "histogram":
        for labels, counts in split(merged(directory, name, "sum", timed), "le").items():
            below = 0.0
            for bound in rule + [INF]:
                below += counts.pop(bound, 0.0)
                yield line(name + "_bucket", labels + (("le", bound),), below)
            yield line(name + "_sum", labels, counts.pop("sum", 0.0))
            yield line(name + "_count", labels, below)
            if counts:
                sys.exit(f"{name}: undeclared bounds {sorted(counts)}")
    elif kind == "summary":
        for labels, parts in split(merged(directory, name, "sum", timed), "quantile").items():
            yield line(name + "_sum", labels, parts["sum"])
            yield line(name + "_count", labels, parts["count"])
    else:
        for labels, value in merged(directory, name, rule, timed).items():
            yield line(name, labels, value)


def main():
    directory, release = sys.argv[1:]
    timed = release == "3.0"
    text = []
    for name, (kind, rule) in METRICS.items():
        samples = list(lines(directory, name, kind, rule, timed))
        if samples:
            text += [f"# TYPE {name} {kind}", f"# HELP {name} {name}"] + samples
    sys.stdout.buffer.write("\n".join(text + [""]).encode("utf-8"))


main()
