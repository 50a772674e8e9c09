"""A Python worker that counts in the same series as a Rust one.

    peer.py DIRECTORY TIMES

Prints one line once it has counted, and lives until its standard input ends.
"""

import os
import sys

os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]

# Only now: the client decides at import whether it is in multiprocess mode.
from prometheus_client import Counter, Histogram, Summary  # noqa: E402

jobs = Counter("jobs", "Jobs done.")
seconds = Histogram("seconds", "Seconds taken.")
sizes = Summary("sizes", "Bytes sent.")
for _ in range(int(sys.argv[2])):
    jobs.inc()
    seconds.observe(0.5)
    sizes.observe(100.0)
print("counted", flush=True)
sys.stdin.read()
