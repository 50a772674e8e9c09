"""The corpus of benches/collect.rs, and the peer's way to scrape it.

    corpus.py write DIRECTORY WORKERS SERIES

writes the files of WORKERS workers with the real prometheus_client, and beside each worker's files
what it has counted, so that another writer can count the same. SERIES is how many values a worker
keeps: a histogram with 14 bounds keeps 16, a summary 2. All workers have the same series, each in
an order of its own.

    corpus.py scrape DIRECTORY

scrapes the files once for each line on standard input, and tells the CPU time that it took.
"""

import json
import os
import random
import sys
import time

SEED = 20_260_704
OBSERVATIONS = 40
ROUTES = (
    "/", "/basket", "/basket/{line}", "/checkout", "/checkout/address", "/checkout/payment",
    "/product/{sku}", "/product/{sku}/reviews", "/search", "/stock/{sku}", "/returns/{ticket}",
    "/newsletter", "/vouchers/{code}", "/wishlist/{owner}", "/api/v2/prices", "/healthz",
)
METHODS = ("GET", "POST", "PUT", "DELETE")
STATUSES = ("200", "201", "204", "302", "400", "401", "404", "409", "422", "500", "503", "504")
REGIONS = ("eu-central-1", "eu-west-3", "us-east-2", "ap-south-1", "sa-east-1")
MODES = ("all", "livesum", "max", "mostrecent")

# Of the values of a worker, how many belong to each type; the rest are counters.
GAUGES, HISTOGRAMS, SUMMARIES = 0.10, 0.30, 0.02


def label_sets(names):
    """Every family of a type draws its labels from here, in this order."""
    if names == ("method", "route", "status"):
        return [(m, r, s) for s in STATUSES for r in ROUTES for m in METHODS][:240]
    if names == ("method", "route"):
        return [(m, r) for r in ROUTES for m in METHODS][:24]
    return [(r, f"queue-{number:02}") for number in range(8) for r in REGIONS]


def families(metric_type, sets, names, **more):
    """Families of one type, until together they have so many sets of labels."""
    number = 0
    while sets > 0:
        labels = label_sets(names)[:sets]
        sets -= len(labels)
        mode = more.get("mode")
        stem, text = {
            "counter": ("shop_responses", "Responses sent by part {} of the shop, by what was asked."),
            "gauge": (f"shop_backlog_{mode}", "Orders that wait in part {} of the shop, by queue."),
            "histogram": ("shop_response_seconds", "Seconds until part {} of the shop answered."),
            "summary": ("shop_response_bytes", "Size of what part {} of the shop answered."),
        }[metric_type]
        yield {
            "type": metric_type,
            "name": f"{stem}_{number:03}",
            "help": text.format(number),
            "labels": names,
            **more,
        }, labels
        number += 1


def plan(values):
    """What every worker has: families, and the sets of labels of each."""
    gauges = round(values * GAUGES)
    histograms = round(values * HISTOGRAMS / 16)
    summaries = round(values * SUMMARIES / 2)
    counters = values - gauges - 16 * histograms - 2 * summaries
    queue = ("region", "queue")
    planned = list(families("counter", counters, ("method", "route", "status")))
    for number, mode in enumerate(MODES):
        share = (gauges + number) // len(MODES)
        planned.extend(families("gauge", share, queue, mode=mode))
    planned.extend(families("histogram", histograms, ("method", "route")))
    planned.extend(families("summary", summaries, queue))
    return planned


def draw(family, chance):
    """What one series of the family counts, sets or observes, in this order.

    No value has so many digits that a reader of JSON might round it.
    """
    metric_type = family["type"]
    if metric_type == "counter":
        return [chance.randrange(1, 10 ** chance.randrange(1, 8))]
    if metric_type == "gauge":
        fraction = round(chance.random() * 100, 6)
        return [chance.randrange(0, 500) if chance.random() < 0.5 else fraction]
    if metric_type == "histogram":
        return [round(chance.expovariate(2.0), 6) for _ in range(OBSERVATIONS)]
    return [chance.randrange(200, 60_000) for _ in range(OBSERVATIONS)]


def count(worker, values, directory):
    """Runs in a worker of its own."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.path.join(directory, "python")
    import prometheus_client
    from prometheus_client import values as client_values

    # The client's own writer; only the pid is not the real one, so that each run is like the other.
    client_values.ValueClass = client_values.MultiProcessValue(lambda: 4000 + worker)
    chance = random.Random(SEED + worker)
    planned = plan(values)
    metrics = []
    for family, _ in planned:
        mode = {"multiprocess_mode": family["mode"]} if "mode" in family else {}
        make = getattr(prometheus_client, family["type"].capitalize())
        name, text, labels = family["name"], family["help"], family["labels"]
        metrics.append(make(name, text, labels, registry=None, **mode))
    series = [(f, labels) for f, (_, sets) in enumerate(planned) for labels in sets]
    chance.shuffle(series)
    counted = []
    for number, labels in series:
        family = planned[number][0]
        drawn = draw(family, chance)
        child = metrics[number].labels(*labels)
        update = {"counter": "inc", "gauge": "set"}.get(family["type"], "observe")
        for value in drawn:
            getattr(child, update)(value)
        counted.append((number, labels, drawn))
    with open(os.path.join(directory, f"worker-{worker:03}.json"), "w") as file:
        json.dump({"families": [family for family, _ in planned], "series": counted}, file)


def write(directory, workers, values):
    os.makedirs(os.path.join(directory, "python"))
    # One after the other, so that the last one's most recent values are the most recent.
    for worker in range(workers):
        pid = os.fork()
        if pid == 0:
            count(worker, values, directory)
            sys.stdout.flush()
            os._exit(0)
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit("a worker failed")


def scrape(directory):
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    for _ in sys.stdin:
        start = time.process_time()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, directory)
        text = generate_latest(registry)
        taken = time.process_time() - start
        samples = sum(not line.startswith(b"#") for line in text.splitlines())
        print(json.dumps({"seconds": taken, "samples": samples}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        scrape(sys.argv[2])
