"""A worker of prometheus_client that does what it is told, line by line.

    PROMETHEUS_MULTIPROC_DIR=DIR python python.py [IDENTIFIER]

    gauge MODE N      sets the gauge of that mode
    work N            counts N jobs
    become IDENT      takes another identifier, as if it were forked: opens the files of that name
    fork              forks a child that only keeps what it has inherited; says its pid
    mark PID          tells the client that this worker is dead

The answer to each other line is `= done`. IDENTIFIER takes the place of the pid.
"""

import os
import signal
import sys

from prometheus_client import Counter, Gauge, values
from prometheus_client.multiprocess import mark_process_dead

if len(sys.argv) > 1:
    identifier = sys.argv[1]
    values.ValueClass = values.MultiProcessValue(lambda: identifier)


def new_gauge(mode):
    return Gauge(f"level_{mode}", "A level.", multiprocess_mode=mode)


jobs = Counter("jobs", "Jobs done.")
levels = {"livesum": new_gauge("livesum")}

for line in sys.stdin:
    verb, *objects = line.split()
    answer = "done"
    if verb == "gauge":
        mode, level = objects
        if mode not in levels:
            levels[mode] = new_gauge(mode)
        levels[mode].set(float(level))
    elif verb == "work":
        jobs.inc(int(objects[0]))
    elif verb == "become":
        [identifier] = objects
        jobs.inc(0)
    elif verb == "fork":
        child = os.fork()
        if child == 0:
            signal.pause()
        answer = child
    elif verb == "mark":
        mark_process_dead(objects[0])
    elif verb != "open":
        sys.exit(line)
    print(f"= {answer}", flush=True)
