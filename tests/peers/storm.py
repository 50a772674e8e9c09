"""Breeds workers of prometheus_client, kills them, and tells what they had acknowledged.

    PROMETHEUS_MULTIPROC_DIR=DIR python storm.py

`storm SEED KILLS` is answered with two lists of numbers: what each worker that was killed while it
counted had acknowledged, and what each that was at rest by then.
"""

import os
import random
import signal
import sys
import time

from prometheus_client import Counter, Histogram

WORKERS = 3


def metrics(kind):
    return (
        Counter(f"python_{kind}_jobs", "Jobs done."),
        Counter(f"python_{kind}_amount", "What they amount to."),
        Histogram(f"python_{kind}_seconds", "Time taken.", buckets=(0.5, 2, 5)),
    )


REST, FLIGHT = metrics("rest"), metrics("flight")


def amount(job):
    return (job % 97 + 1) * 0.1


class Worker:
    """Acknowledges each job with a byte."""

    def __init__(self, jobs, counted):
        self.acknowledged, said = os.pipe()
        rest, self.rest = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(said)
            os.close(rest)
            return
        os.close(self.rest)
        done, sum_, seconds = counted
        job = 0
        while jobs is None or job < jobs:
            job += 1
            done.inc()
            sum_.inc(amount(job))
            seconds.observe(amount(job))
            os.write(said, b".")
        os.read(rest, 1)
        os._exit(0)

    def killed(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        count = self.read(None)
        os.close(self.acknowledged)
        os.close(self.rest)
        return count

    def killed_after(self, jobs):
        self.read(jobs)
        assert self.killed() == 0
        return jobs

    def read(self, wanted):
        count = 0
        while wanted is None or count < wanted:
            size = 65536 if wanted is None else wanted - count
            found = os.read(self.acknowledged, size)
            if not found:
                break
            count += len(found)
        return count


def storm(seed, kills):
    drawn = random.Random(seed)
    workers, in_flight, at_rest = [], [], []
    for kill in range(kills):
        while len(workers) < WORKERS:
            workers.append(Worker(None, FLIGHT))
        if kill % 4 == 0:
            jobs = drawn.randint(1, 100)
            at_rest.append(Worker(jobs, REST).killed_after(jobs))
        else:
            # A moment that nobody could poll for.
            time.sleep(drawn.uniform(0, 0.03))
            in_flight.append(workers.pop(drawn.randrange(len(workers))).killed())
    in_flight.extend(worker.killed() for worker in workers)
    return in_flight, at_rest


for line in sys.stdin:
    verb, seed, kills = line.split()
    assert verb == "storm", line
    lists = storm(int(seed), int(kills))
    print("=", *(",".join(map(str, numbers)) for numbers in lists), flush=True)
