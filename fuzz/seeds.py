#!/usr/bin/env python3
"""Makes the seeds of the dialects of others from their vectors, each cut off behind what is in use.

    fuzz/seeds.py

Writes fuzz/seeds/{python,gitlab,direct,text,pool}; what was written by hand stays.
"""

import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent
VECTORS = ROOT.parent / "spec" / "vectors" / "dialects"
# One release of each of the four shapes; the others write the same bytes.
PYTHON = ("0.3.1", "0.15.0", "0.17.1", "0.26.0")
# Of all modes of a gauge these differ in what their files hold.
KINDS = ("counter_", "gauge_all_", "gauge_mostrecent_", "histogram_", "summary_")
# As in `pool` of crates/collect/tests/collector/entry.rs.
NAMES = {
    "counter_101": 0,
    "gauge_all_101": 1,
    "histogram_101": 3,
    "counter_puma_1-0": 5,
    "histogram_puma_1-0": 8,
    "metric_jobs_total___301": 10,
    "metric_took_seconds___301": 12,
    "text": 13,
    "store": 15,
}


def assemble(path):
    """spec/vectors/README.md: the bytes of an annotated file, as far as they are in use."""
    content = bytearray()
    for line in path.read_text().splitlines():
        key, colon, value = line.split("#")[0].strip().partition(":")
        if not colon:
            continue
        if key == "size":
            content.extend(bytes(int(value)))
            continue
        run = bytes.fromhex(value)
        content[int(key) : int(key) + len(run)] = run
    return bytes(content[: struct.unpack_from("<i", content)[0]])


def vector(folder, stem):
    (path,) = (VECTORS / folder).glob(f"{stem}.*.hex")
    return assemble(path)


def write(target, name, content):
    (ROOT / "seeds" / target).mkdir(parents=True, exist_ok=True)
    (ROOT / "seeds" / target / name).write_bytes(content)


def pool(name, *files):
    """Several files in one: of each its name's number, its length, and its content."""
    content = b""
    for stem, inside in files:
        content += struct.pack("<BH", NAMES[stem], len(inside)) + inside
    write("pool", name, content)


for release in PYTHON:
    for path in sorted((VECTORS / f"python-{release}").glob("*_101.db.hex")):
        if path.name.startswith(KINDS):
            write("python", f"{release}_{path.name.split('.')[0]}.db", assemble(path))
for folder in ("gitlab-0.16.2", "vinted-1.7.0"):
    for path in sorted((VECTORS / folder).glob("*-0.db.hex")):
        if not path.name.startswith("gauge_live"):
            write("gitlab", f"{folder}_{path.name.split('.')[0]}.db", assemble(path))
for folder in ("direct-file-store-0.10", "direct-file-store-3.0"):
    for path in sorted((VECTORS / folder).glob("*___301.bin.hex")):
        write("direct", f"{folder.rsplit('-', 1)[1]}_{path.name.split('.')[0]}.bin", assemble(path))
for folder in ("python-0.26.0", "gitlab-0.16.2", "direct-file-store-3.0"):
    write("text", f"{folder}.prom", (VECTORS / folder / "expected.txt").read_bytes())

python = [(stem, vector("python-0.26.0", stem)) for stem in ("counter_101", "gauge_all_101", "histogram_101")]
old = [(stem, vector("python-0.3.1", stem)) for stem in ("counter_101", "gauge_all_101", "histogram_101")]
gitlab = [(stem, vector("gitlab-0.16.2", stem)) for stem in ("counter_puma_1-0", "histogram_puma_1-0")]
direct = [
    (stem, vector("direct-file-store-3.0", stem))
    for stem in ("metric_jobs_total___301", "metric_took_seconds___301")
]
text = [("text", b"# TYPE jobs_total counter\njobs_total{queue=\"mail\"} 3\n# TYPE level gauge\nlevel 2 1790000000250\n")]
store = [("store", (ROOT / "seeds" / "store" / "every_type.store").read_bytes()[:16384])]
pool("python_of_two_releases", *python, *old)
pool("python_and_gitlab", python[0], gitlab[0], python[2], gitlab[1])
pool("ruby", *gitlab, *direct)
pool("all", python[0], gitlab[0], direct[0], *text, *store)
pool("text_and_python", *text, python[0], *text)
