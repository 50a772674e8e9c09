"""Two workers write all that a version of prometheus_client can write into mmap files.

    PYTHONPATH=target/peers/versions/VERSION python python.py OUTDIR

runs under every version from 0.0.20 on, and prints what that version's own collector makes of
OUTDIR. What a process id, a clock or a directory's order would change is fixed, so that two runs
give the same bytes:

    pid    the client's own value class is made with a function that returns 101, then 202
    clock  time.time() is what a worker says it is
    order  the collector's glob.glob is sorted
"""

import glob
import os
import sys
import time

DIRECTORY = sys.argv[1]
# Releases before 0.10 know the first name only. The client reads it at import.
os.environ["prometheus_multiproc_dir"] = os.environ["PROMETHEUS_MULTIPROC_DIR"] = DIRECTORY

import prometheus_client  # noqa: E402
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

IDENTS = (101, 202)
MODES = (
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent",
    "livemostrecent",
)
ODD = "caf\u00e9 \u4f60 \U0001f600 \"quoted\" back\\slash\nline\ttab \x01 a/b"


def use_ident(ident):
    """Makes every metric from here on write as the worker `ident`."""
    try:
        from prometheus_client import values
    except ImportError:  # Before 0.5.0.
        from prometheus_client import core
        core._ValueClass = core._MultiProcessValue(lambda: ident)
    else:
        values.ValueClass = values.MultiProcessValue(lambda: ident)


def modes():
    """The modes that this version has; a mode is refused before anything is written."""
    found = []
    for mode in MODES:
        try:
            found.append((mode, Gauge("level_" + mode, "A level.", multiprocess_mode=mode,
                                      registry=None)))
        except ValueError:
            pass
    return found


def fill(worker):
    """All that one worker writes; `worker` is 0 or 1."""
    time.time = lambda: 1790000000.25 + worker

    # A name with the suffix and one without, and labels not in the order of their names.
    jobs = Counter("jobs_total", "Jobs done, by queue.", ["queue", "code"], registry=None)
    jobs.labels("mail", "200").inc(3 + worker)
    jobs.labels(ODD, "").inc(0.1 + worker / 10)
    if worker:
        jobs.labels("late", "500").inc(1e15)
    events = Counter("events", "Things \\ that \"happen\",\nof any kind.", registry=None)
    events.inc(2.5 * (worker + 1))
    Counter("never", "Made and never counted.", registry=None)

    for mode, level in modes():
        level.set((-1.5, 4.25)[worker])
        zones = Gauge("zone_level_" + mode, "A level of a zone.", ["zone"],
                      multiprocess_mode=mode, registry=None)
        zones.labels("a").set((7, 6)[worker])
        if worker:
            zones.labels("b").set(2)
        # Never set, which is no sample of the most recent.
        Gauge("idle_level_" + mode, "Never set.", multiprocess_mode=mode, registry=None)

    took = Histogram("took_seconds", "Seconds taken.", ["route"], registry=None,
                     buckets=(1e-05, 0.5, 1, 1e6))
    for value in ((1e-06, 0.5, 0.75, 3), (2e6, 3, 4))[worker]:
        took.labels("/").observe(value)
    took.labels(ODD).observe(0.25)
    size = Histogram("size_bytes", "Bytes.", registry=None, buckets=(1, 2.5, 10))
    for value in ((0, 2, 2.5), (7, 100))[worker]:
        size.observe(value)

    parse = Summary("parse_seconds", "Seconds of parsing.", ["kind"], registry=None)
    parse.labels("json").observe(0.5 + worker)
    parse.labels("json").observe(0.25)
    wait = Summary("wait_seconds", "Seconds of waiting.", registry=None)
    wait.observe(2 + worker)


def in_child(worker):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            use_ident(IDENTS[worker])
            fill(worker)
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("worker %d failed" % worker)


def main():
    wanted = os.path.abspath(os.environ["PYTHONPATH"])
    if not os.path.abspath(prometheus_client.__file__).startswith(wanted + os.sep):
        sys.exit("not the version that was asked for: " + prometheus_client.__file__)
    for worker in range(len(IDENTS)):
        in_child(worker)
    listed = glob.glob
    glob.glob = lambda *given, **named: sorted(listed(*given, **named))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=DIRECTORY)
    sys.stdout.buffer.write(prometheus_client.generate_latest(registry))


main()
