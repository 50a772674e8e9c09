"""Two workers write what Vinted's fork of prometheus-client-mmap writes: metrics and exemplars.

    vinted.py OUTDIR

The fork cannot be had where the vectors are made, so this is a writer of our own, made after the
format as it was observed. Counters and histograms are files of GitLab's dialect, and GitLab's gem
reads them. Beside them a process has one file exemplar_PID-N.db: the same header and the same keys
as the metrics, but the value of an entry is 528 bytes of JSON and zeros.
"""

import json
import os
import struct
import sys

PAGE = 4096
EXEMPLAR = 528
INF = "+Inf"
BOUNDS = ("0.5", "1", "1000000.0")


class Sheet:
    """One file: the entries so far."""

    def __init__(self, directory, prefix, ident):
        self.path = os.path.join(directory, f"{prefix}_{ident}-0.db")
        self.entries = []

    def add(self, family, sample, labels, value):
        """Adds an entry; `value` is a number, or the bytes of an exemplar."""
        pairs = sorted(labels.items())
        key = [family, sample, [name for name, _ in pairs], [text for _, text in pairs]]
        key = json.dumps(key, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        spaces = 8 - (4 + len(key)) % 8
        tail = value if isinstance(value, bytes) else struct.pack("<d", value)
        self.entries.append(struct.pack("<i", len(key)) + key + b" " * spaces + tail)

    def write(self):
        content = b"".join(self.entries)
        content = struct.pack("<iI", 8 + len(content), 0) + content
        size = PAGE
        while size <= len(content):
            size *= 2
        with open(self.path, "wb") as file:
            file.write(content)
            file.truncate(size)


def exemplar(name, text, value, nanoseconds):
    """An exemplar: one label, and the value that the metric has reached, not the observed one."""
    fields = {"label_name": name, "label_value": text, "value": value, "timestamp": nanoseconds}
    content = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return content + bytes(EXEMPLAR - len(content))


def fill(directory, worker, ident):
    counters = Sheet(directory, "counter", ident)
    histograms = Sheet(directory, "histogram", ident)
    exemplars = Sheet(directory, "exemplar", ident)
    start = 1_790_000_000_000_000_000 + worker

    jobs = ("jobs_total", "jobs_total", {"queue": "mail", "code": "200"})
    counters.add(*jobs, 3.0 + worker)
    exemplars.add(*jobs, exemplar("trace_id", f"4bf92f3577b34da6{worker}", 3.0 + worker, start))
    events = ("events", "events", {})
    counters.add(*events, 2.5)
    exemplars.add(*events, exemplar("who", 'caf\u00e9 "q" \\', 2.5, start + 1_000_000_000))

    # Two values a worker: 0.75 and 3, then 0.25 and 2e6.
    total = (3.75, 2000000.25)[worker]
    counts = ((0.0, 1.0, 2.0), (1.0, 1.0, 1.0))[worker]
    labels = {"route": "/"}
    histograms.add("took_seconds", "took_seconds_sum", labels, total)
    histograms.add("took_seconds", "took_seconds_count", labels, 2.0)
    for bound, count in zip((INF,) + BOUNDS, (2.0,) + counts):
        bucket = ("took_seconds", "took_seconds_bucket", {**labels, "le": bound})
        histograms.add(*bucket, count)
        if count and bound != INF:
            exemplars.add(*bucket, exemplar("trace_id", f"{bound}{worker}", count, start + 7))
    for sheet in (counters, histograms, exemplars):
        sheet.write()


for number, name in enumerate(("puma_0", "puma_1")):
    fill(sys.argv[1], number, name)
