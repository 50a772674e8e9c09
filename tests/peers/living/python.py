"""A worker of prometheus_client that does what it is told, line by line.

    PROMETHEUS_MULTIPROC_DIR=DIR python python.py [IDENTIFIER]

    gauge livesum N   sets the gauge
    work N            counts N jobs
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
    values.ValueClass = values.MultiProcessValue(lambda: sys.argv[1])

jobs = Counter("jobs", "Jobs done.")
level = Gauge("level_livesum", "A level.", multiprocess_mode="livesum")

for line in sys.stdin:
    verb, *objects = line.split()
    answer = "done"
    if verb == "gauge":
        level.set(float(objects[1]))
    elif verb == "work":
        jobs.inc(int(objects[0]))
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
