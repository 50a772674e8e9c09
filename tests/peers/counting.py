"""A worker of prometheus_client that counts what it is told, line by line.

    PROMETHEUS_MULTIPROC_DIR=DIR python counting.py

`work N` counts N jobs; the answer to each line is `= done`.
"""

import sys

from prometheus_client import Counter, Gauge, Histogram

jobs = Counter("jobs", "Jobs done.")
seconds = Histogram("seconds", "Seconds taken.", buckets=(0.1, 1, 10))
level = Gauge("level", "The last number of jobs.", multiprocess_mode="max")

for line in sys.stdin:
    verb, times = line.split()
    assert verb == "work", line
    for _ in range(int(times)):
        jobs.inc()
        seconds.observe(0.5)
    level.set(int(times))
    print("= done", flush=True)
