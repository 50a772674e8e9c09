"""Lets real worker processes write a corpus with prometheus_client, and says what it should merge to.

    corpus.py DIRECTORY NAME [SEED]

Forks the workers of the corpus NAME, one after the other, prints one line of JSON once all of
them have written, and keeps them alive until its standard input ends. The line holds

    text   what generate_latest(MultiProcessCollector) prints, which is the peer's own answer
    sums   for each sample that is a sum over files, from the raw values in the files and apart
           from the peer's merge: the bits of the correctly rounded sum, the number of terms and
           the sum of their magnitudes
    pids   the workers
"""

import fractions
import glob
import json
import math
import os
import struct
import sys
import traceback
from collections import defaultdict

DIRECTORY = os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
SUMMED = ("sum", "livesum")

# Only now: the client decides at import whether it is in multiprocess mode.
from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

from corpora import CORPORA  # noqa: E402


def start(corpus, worker, prepared, hold):
    """Forks one worker and waits until it has written all that it will."""
    hold_reader, hold_writer = hold
    ready_reader, ready_writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(hold_writer)
            os.close(ready_reader)
            kept = corpus.fill(worker, prepared)  # Alive for as long as the process.
            os.write(ready_writer, b".")
            os.close(ready_writer)
            os.read(hold_reader, 1)
            del kept
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(ready_writer)
    if os.read(ready_reader, 1) != b".":
        sys.exit(f"worker {worker} failed")
    os.close(ready_reader)
    return pid


def sums(directory):
    terms = defaultdict(list)
    buckets = defaultdict(list)
    for path in glob.glob(os.path.join(directory, "*.db")):
        kind, mode = os.path.basename(path).split("_")[:2]
        if kind == "gauge" and mode not in SUMMED:
            continue
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):
            family, name, labels, _ = json.loads(key)
            if kind == "histogram" and "le" in labels:
                bound = float(labels.pop("le"))
                buckets[family, tuple(sorted(labels.items()))].append((bound, value))
            else:
                terms[name, tuple(sorted(labels.items()))].append(value)
    for (family, labels), pairs in buckets.items():
        for bound in {bound for bound, _ in pairs}:
            below = [value for at, value in pairs if at <= bound]
            with_bound = sorted(labels + (("le", go_string(bound)),))
            terms[family + "_bucket", tuple(with_bound)] = below
        terms[family + "_count", labels] = [value for _, value in pairs]
    return {
        sample_key(name, labels): {
            "bits": bits(rounded_sum(values)),
            "terms": len(values),
            "magnitude": min(sum(abs(v) for v in values if math.isfinite(v)), sys.float_info.max),
        }
        for (name, labels), values in terms.items()
    }


def rounded_sum(values):
    """The sum rounded once, whatever the order."""
    if not all(math.isfinite(value) for value in values):
        return sum(value for value in values if not math.isfinite(value))
    try:
        return math.fsum(values) + 0.0  # Never -0.0: a sum starts at zero.
    except OverflowError:
        exact = sum(map(fractions.Fraction, values))
        try:
            return float(exact)
        except OverflowError:
            return math.inf if exact > 0 else -math.inf


def sample_key(name, labels):
    """A sample's name and labels as the text format prints them."""
    escape = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
    inner = ",".join(f'{label}="{value.translate(escape)}"' for label, value in sorted(labels))
    return f"{name}{{{inner}}}" if inner else name


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def go_string(value):
    from prometheus_client.utils import floatToGoString

    return floatToGoString(value)


def main():
    corpus = CORPORA[sys.argv[2]](int(sys.argv[3]) if len(sys.argv) > 3 else 0)
    prepared = corpus.prepare()
    hold = os.pipe()
    os.set_inheritable(hold[0], True)
    pids = [start(corpus, worker, prepared, hold) for worker in range(corpus.workers)]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=DIRECTORY)
    answer = {"sums": sums(DIRECTORY), "pids": pids}
    if corpus.peer_reads:
        answer["text"] = generate_latest(registry).decode("utf-8")
    print(json.dumps(answer), flush=True)
    sys.stdin.read()
    os.close(hold[1])
    for pid in pids:
        os.waitpid(pid, 0)


main()
