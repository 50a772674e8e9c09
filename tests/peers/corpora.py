"""The corpora: what each worker writes. corpus.py is the program that runs them.

A corpus in which the workers disagree (help, type, mode, tied timestamps) is one on which
client_python's answer hangs on the order in which a directory lists its files. Such corpora stand
at the end, and no test compares them with the peer.
"""

import itertools
import math
import random

from prometheus_client import Counter, Gauge, Histogram, Summary, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

MODES = (
    "all", "liveall", "min", "livemin", "max", "livemax",
    "sum", "livesum", "mostrecent", "livemostrecent",
)
ODD_LABEL_VALUES = (
    "", " ", "  two  ", "plain", 'quo"ted', "back\\slash", "new\nline", "\\n", '\\"', "\t\r\x01\x7f",
    "comma,", "equals=", "{braces}", "#hash", "\u00e9", "e\u0301", "\u4f60\u597d",
    "\U0001f600\U00010348", "\u2028\u2029\u0085", "\ufeff", "\uffff", "le", "+Inf", "x" * 5000,
)
ODD_FLOATS = (
    0.0, -0.0, 5e-324, 2.2250738585072009e-308, 2.2250738585072014e-308, 1e-300, 1.5e-7, 1e-5,
    1e-4, 0.001, 0.1, 0.30000000000000004, 1 / 3, 1.0, 2.5, 123456.0, 999999.0, 999999.5,
    1000000.0, 1000000.5, 1000001.0, 1234567.0, 1.5e6, 12345678.9, 1e7, 123456789012345.0, 1e15,
    1e15 + 1, 1e15 + 0.5, 1e16 - 2, 1e16, 1e16 + 2, 1.2345678901234567e16, 1e17, 123456789012345680.0,
    2.0**53, 2.0**53 + 2, 2.0**63, 1e20, 1e21, 1.5e21, 1e22, 1e23, 1e100, 1.7976931348623157e308,
)


class Corpus:
    workers = 4
    peer_reads = True

    def __init__(self, seed):
        self.seed = seed

    def prepare(self):
        """Runs before the fork."""

    def fill(self, worker, prepared):
        """Runs in each worker; what it returns is kept alive."""
        raise NotImplementedError


def counter(name, labels=(), help_text="Things counted."):
    return Counter(name, help_text, labels, registry=None)


def gauge(name, mode, labels=(), help_text="A level."):
    return Gauge(name, help_text, labels, registry=None, multiprocess_mode=mode)


def histogram(name, labels=(), help_text="Seconds taken.", **buckets):
    return Histogram(name, help_text, labels, registry=None, **buckets)


def summary(name, labels=(), help_text="Bytes sent."):
    return Summary(name, help_text, labels, registry=None)


class Pool(Corpus):
    """A small pool with every type, for tests that are about something else."""

    workers = 3

    def fill(self, worker, prepared):
        jobs = counter("jobs", ["queue"])
        jobs.labels("mail").inc(worker + 1)
        jobs.labels("video").inc(10)
        busy = gauge("busy_workers", "livesum")
        busy.set(1)
        oldest = gauge("backlog", "max")
        oldest.set(7 * worker)
        took = histogram("job_seconds", ["queue"])
        for seconds in (0.0625, 0.25, 4.0, 60.0):
            took.labels("mail").observe(seconds * (worker + 1))
        sent = summary("sent_bytes")
        sent.observe(1024 * worker)
        return jobs, busy, oldest, took, sent


class Types(Corpus):
    """Every type and mode, bare and labelled, not all of it in every worker."""

    def fill(self, worker, prepared):
        kept = []
        for labels in ((), ("shard",)):
            suffix = "_by_shard" if labels else ""
            values_of = [("a",), (f"w{worker}",)] if labels else [None]
            for mode in MODES:
                metric = gauge(f"level_{mode}{suffix}", mode, labels)
                kept.append(metric)
                for number, value in enumerate(values_of):
                    child = metric.labels(*value) if value else metric
                    child.set((worker - 1) * 2.5 + number)
                    if worker == 2 and "mostrecent" not in mode:
                        child.inc(0.25)
                        child.dec(3)
            metrics = (
                counter(f"done{suffix}", labels),
                histogram(f"default_seconds{suffix}", labels),
                histogram(f"custom_seconds{suffix}", labels, buckets=(0.1, 1, 2.5, 1e6, 1e7)),
                histogram(f"one_bucket{suffix}", labels, buckets=(0.5,)),
                summary(f"size_bytes{suffix}", labels),
            )
            kept.append(metrics)
            for value in values_of:
                for metric in metrics:
                    child = metric.labels(*value) if value else metric
                    for step in range(worker * 3):
                        if isinstance(metric, Counter):
                            child.inc(step)
                        else:
                            child.observe(step * 0.75)
        # Named as if they were parts of other types; each is a gauge of its own.
        for name in ("odd_total", "odd_count", "odd_bucket", "odd:sum"):
            kept.append(gauge(name, "sum"))
            kept[-1].inc(worker)
        # Never set: a mostrecent gauge then has no sample, the others have zeros.
        kept.extend(gauge(f"untouched_{mode}", mode) for mode in MODES)
        kept.append(counter("untouched"))
        kept.append(histogram("untouched_seconds"))
        kept.append(summary("untouched_bytes"))
        return kept


class Labels(Corpus):
    """Label values and names that want care in escaping, parsing and sorting."""

    workers = 3

    def fill(self, worker, prepared):
        kept = [
            counter("odd_values", ["value"]),
            counter("pairs", ["one", "two"]),
            histogram("odd_seconds", ["value"], buckets=(1.0, 2.0)),
            gauge("odd_levels", "liveall", ["value"]),
        ]
        for number, value in enumerate(ODD_LABEL_VALUES):
            kept[0].labels(value).inc(number + worker)
            kept[1].labels(value, ODD_LABEL_VALUES[-number]).inc(number)
            kept[2].labels(value).observe(worker)
            kept[3].labels(value).set(number)
        many = [f"label_{number:02}" for number in range(40)]
        kept.append(counter("many", many))
        kept[-1].labels(*[f"value {number}" for number in range(40)]).inc()
        around = ["a", "ld", "l", "le0", "lea", "lf", "Le", "LE", "_le", "z"]
        kept.append(histogram("around_le", around))
        kept[-1].labels(*around).observe(0.3 * worker)
        near_pid = ["a", "pi", "pid0", "pie", "Pid", "_pid", "z"]
        for mode in MODES:
            kept.append(gauge(f"around_pid_{mode}", mode, near_pid))
            kept[-1].labels(*near_pid).set(worker)
        kept.append(counter("own_pid", ["pid", "a"]))
        kept[-1].labels("17", "b").inc(worker)
        kept.append(histogram("own_pid_seconds", ["pid"]))
        kept[-1].labels("").observe(worker)
        kept.append(summary("own_pid_bytes", ["pid"]))
        kept[-1].labels("x").observe(worker)
        return kept


class Floats(Corpus):
    """Values of every size: exact in one worker, then summed over all."""

    def fill(self, worker, prepared):
        alone = counter("alone", ["index"])
        level = gauge("levels", "all", ["index"])
        added = counter("added", ["index"])
        lowest = gauge("lowest", "min", ["index"])
        latest = gauge("latest", "mostrecent", ["index"])
        observed = summary("observed", ["index"])
        for index, value in enumerate(ODD_FLOATS):
            level.labels(index).set(-value if worker % 2 else value)
            latest.labels(index).set(value * (1 if worker else 2))
            added.labels(index).inc(value)
            observed.labels(index).observe(value / 3)
            if index % self.workers == worker:
                alone.labels(index).inc(value)
                lowest.labels(index).set(value)
        level.labels("inf").set(math.inf)
        level.labels("-inf").set(-math.inf)
        # Buckets whose bounds are printed in every style.
        bounds = sorted({abs(value) for value in ODD_FLOATS})
        bounded = histogram("bounded", buckets=bounds)
        for value in ODD_FLOATS:
            bounded.observe(value)
        return alone, level, added, lowest, latest, observed, bounded


class Sums(Corpus):
    """Sums over workers that are wrong in the last place, or by far, if rounded at each step."""

    workers = 6

    def fill(self, worker, prepared):
        tenths = counter("tenths", ["step"])
        for step in range(1, 30):
            tenths.labels(step).inc(step / 10)
        lost = gauge("small_beside_large", "sum")
        lost.set((1e16, 1.0, 1.0, 1.0, -1e16, 1.0)[worker])
        cancels = gauge("cancels", "livesum")
        cancels.set((1e17, 3.14, -1e17, 1e-9, 2.5e17, -2.5e17)[worker])
        halfway = counter("halfway")
        halfway.inc((2.0**53, 1.0, 0.0, 0.0, 2.0**-60, 0.0)[worker])
        overflows = counter("overflows")
        overflows.inc(1.7e308)
        wide = summary("wide_bytes")
        wide.observe(10.0 ** (worker * 6 - 15))
        zero = gauge("negative_zero", "sum")
        zero.set(-0.0)
        took = histogram("took_seconds")
        for number in range(50):
            took.observe((number * 37 % 101) / 97 + worker / 7)
        return tenths, lost, cancels, halfway, overflows, wide, zero, took


class Special(Corpus):
    """Not a number and infinities, which OpenMetrics' strict parser refuses in counters."""

    def fill(self, worker, prepared):
        odd = (math.nan, math.inf, -math.inf, 1.0)[worker]
        endless = counter("endless")
        endless.inc(math.inf if worker == 2 else 1.0)
        level = gauge("odd_levels", "all")
        level.set(odd)
        latest = gauge("odd_latest", "livemostrecent")
        latest.set(math.nan)
        added = gauge("odd_sum", "sum")
        added.set(odd)
        extremes = gauge("odd_min", "min"), gauge("odd_max", "max")
        for extreme in extremes:
            extreme.set((math.inf, -math.inf, 3.0, 4.0)[worker])
        observed = histogram("odd_seconds", ["kind"], buckets=(0.0, 1.0))
        for kind, value in zip(("nan", "inf", "-inf", "one"), (math.nan, math.inf, -math.inf, 1.0)):
            observed.labels(kind).observe(value)
            observed.labels("mixed").observe(value)
        total = summary("odd_bytes")
        total.observe(odd)
        below_zero = histogram("below_zero_seconds", buckets=(-1.0, 0.0, 1.0))
        below_zero.observe(worker - 2)
        return endless, level, latest, added, extremes, observed, total, below_zero


class Help(Corpus):
    """Help texts that want escaping."""

    workers = 2

    def fill(self, worker, prepared):
        texts = (
            "", " ", "plain", 'a "quoted" word', "back\\slash", "two\nlines", "\\n is no newline",
            "ends in a backslash\\", "  spaces around  ", "tab\there", "\u00e9\U0001f600\u2028",
            "# HELP fake\n# TYPE fake counter\nfake 1", "x" * 3000,
        )
        kept = []
        for number, text in enumerate(texts):
            kept.append(counter(f"helped_{number}", help_text=text))
            kept[-1].inc(number)
            kept.append(gauge(f"helped_level_{number}", "max", help_text=text))
            kept[-1].set(number)
        return kept


class Preload(Corpus):
    """A preloaded application: the metrics exist, and count, before the fork."""

    def prepare(self):
        metrics = (
            counter("served", ["path"]), gauge("level", "liveall"), histogram("took_seconds"),
            gauge("latest", "mostrecent"),
        )
        metrics[0].labels("/").inc(5)
        metrics[1].set(3)
        metrics[2].observe(1)
        metrics[3].set(9)
        return metrics

    def fill(self, worker, prepared):
        prepared[0].labels("/").inc(worker)
        if worker:
            prepared[0].labels(f"/{worker}").inc(worker)
            prepared[2].observe(worker)
        return prepared


class Grown(Corpus):
    """Files that outgrew their first 64 KiB several times over."""

    workers = 3

    def fill(self, worker, prepared):
        jobs = counter("jobs", ["worker", "number", "padding"])
        took = histogram("took_seconds", ["number"])
        for number in range(2000):
            jobs.labels(worker % 2, number, "p" * (number % 70)).inc(number / 10)
        for number in range(200):
            took.labels(number * (worker + 1)).observe(number / 20)
        return jobs, took


class Random(Corpus):
    """Families, labels and values drawn from a seed."""

    def __init__(self, seed):
        super().__init__(seed)
        self.workers = random.Random(seed).randint(2, 7)

    def fill(self, worker, prepared):
        shape = random.Random(self.seed)
        draw = random.Random(self.seed * 1000 + worker)
        kept = []
        for number in range(25):
            kind = shape.choice(("counter", "gauge", "histogram", "summary"))
            names = shape.sample(["a", "b", "code", "kb", "lf", "method", "z", "Z", "_x", "queue"],
                                 shape.randint(0, 4))
            pool = [[self.text(shape) for _ in range(3)] for _ in names]
            mode = shape.choice(MODES)
            bounds = sorted({round(shape.expovariate(0.1), 3) for _ in range(shape.randint(1, 12))})
            help_text = self.text(shape)
            name = f"{kind}_{number}_{shape.choice(('seconds', 'bytes', 'x'))}"
            metric = {
                "counter": lambda: counter(name, names, help_text),
                "gauge": lambda: gauge(name, mode, names, help_text),
                "histogram": lambda: histogram(name, names, help_text, buckets=bounds),
                "summary": lambda: summary(name, names, help_text),
            }[kind]()
            kept.append(metric)
            for chosen in itertools.product(*pool):
                if names and draw.random() < 0.5:
                    continue
                child = metric.labels(*chosen) if names else metric
                for _ in range(draw.randint(0, 5)):
                    value = self.value(draw)
                    if kind == "counter":
                        child.inc(value)
                    elif kind == "gauge":
                        child.set(value if draw.random() < 0.5 else -value)
                    else:
                        child.observe(value)
        return kept

    @staticmethod
    def text(draw):
        alphabet = 'ab /\\"\n,={}\u00e9\u4f60\U0001f600'
        return "".join(draw.choice(alphabet) for _ in range(draw.randint(0, 8)))

    @staticmethod
    def value(draw):
        return draw.choice((
            lambda: float(draw.randint(1, 20)),
            lambda: draw.random(),
            lambda: draw.expovariate(0.05),
            lambda: round(draw.uniform(0, 1000), 2),
            lambda: float(draw.randint(10**5, 10**7)),
            lambda: float(draw.randint(10**14, 10**18)),
            lambda: 10.0 ** draw.randint(-30, 30),
        ))()


# From here on the peer and headcount differ on purpose, or the peer cannot read the directory.


class NanInExtremes(Corpus):
    workers = 3

    def fill(self, worker, prepared):
        kept = []
        for mode in ("min", "max", "livemin", "livemax"):
            mixed = gauge(f"mixed_{mode}", mode)
            mixed.set((math.nan, 2.0, 1.0)[worker])
            barren = gauge(f"barren_{mode}", mode)
            barren.set(math.nan)
            kept += [mixed, barren]
        return kept


class TiedTimestamps(Corpus):
    workers = 3

    def fill(self, worker, prepared):
        kept = []
        for mode in ("mostrecent", "livemostrecent"):
            path = f"{values.os.environ['PROMETHEUS_MULTIPROC_DIR']}/gauge_{mode}_{worker + 1}.db"
            store = MmapedDict(path)
            name = f"tied_{mode}"
            key = mmap_key(name, name, [], [], "A level.")
            store.write_value(key, (5.0, 9.0, 7.0)[worker], 1700000000.0)
            kept.append(store)
        return kept


class NoBuckets(Corpus):
    """What a worker leaves that is killed between its first two entries of a histogram."""

    workers = 1

    def fill(self, worker, prepared):
        store = MmapedDict(f"{values.os.environ['PROMETHEUS_MULTIPROC_DIR']}/histogram_1.db")
        store.write_value(mmap_key("torn", "torn_sum", [], [], "Seconds."), 0.0, 0.0)
        whole = counter("whole")
        whole.inc(3)
        return store, whole


class Underscores(Corpus):
    workers = 2

    def fill(self, worker, prepared):
        values.ValueClass = values.MultiProcessValue(lambda: f"web_worker_{worker}")
        level = gauge("level", "all")
        level.set(worker)
        jobs = counter("jobs")
        jobs.inc(worker + 1)
        return level, jobs


class Conflict(Corpus):
    """One name, three types, and two helps: which one wins must not hang on the listing."""

    workers = 3
    peer_reads = False

    def fill(self, worker, prepared):
        clash = (
            lambda: counter("clash", help_text="As a counter."),
            lambda: gauge("clash", "sum", help_text="As a gauge."),
            lambda: histogram("clash", help_text="As a histogram."),
        )[worker]()
        getattr(clash, "observe", getattr(clash, "inc", None))(1)
        helped = counter("helped", help_text=f"Help of worker {worker}.")
        helped.inc()
        return clash, helped


class LongLabel(Corpus):
    """One worker has a label value of 1 MiB."""

    workers = 3

    def fill(self, worker, prepared):
        jobs = counter("jobs", ["queue"])
        jobs.labels("mail").inc(worker + 1)
        if worker == 1:
            jobs.labels("q" * 2**20).inc()
        return jobs


class Crowd(Corpus):
    """One worker whose files are to be copied under other pids."""

    workers = 1

    def fill(self, worker, prepared):
        jobs = counter("jobs", ["queue"])
        jobs.labels("mail").inc(3)
        level = gauge("level", "all", ["slot", "padding"])
        for slot in range(100):
            level.labels(slot, "p" * 100).set(slot)
        return jobs, level


CORPORA = {
    "conflict": Conflict,
    "crowd": Crowd,
    "floats": Floats,
    "grown": Grown,
    "help": Help,
    "labels": Labels,
    "long_label": LongLabel,
    "nan_in_extremes": NanInExtremes,
    "no_buckets": NoBuckets,
    "pool": Pool,
    "preload": Preload,
    "random": Random,
    "special": Special,
    "sums": Sums,
    "tied_timestamps": TiedTimestamps,
    "types": Types,
    "underscores": Underscores,
}
