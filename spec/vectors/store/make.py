#!/usr/bin/env python3
"""Writes the vectors of the store, by spec/store.md alone: it shares no code with headcount.

Each case is a folder: `file.hex`, the annotated bytes from which a test assembles the file, and
`inspect.txt`, which is written by hand and which `headcount inspect` must print. Run it without
arguments; it writes the `.hex` files beside itself. A line of a `.hex` file is `offset: bytes  # why`;
what no line covers is zero, and `size:` gives the file's length.
"""
import binascii
import struct
from pathlib import Path

PAGE = 4096
INCARNATION = bytes(range(16))
BOOT = bytes(0xA0 + i for i in range(16))


def text(value):
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def pairs(items):
    return b"".join(text(name) + text(value) for name, value in items)


def record(kind, body):
    length = 8 + len(body)
    padding = -length % 8
    return struct.pack("<II", length + padding, kind) + body + bytes(padding)


def segment(offset, length):
    return record(1, struct.pack("<QQ", offset, length))


def labels(items):
    return record(2, struct.pack("<I", len(items)) + pairs(items))


def family(kind, name, help="", unit="", mode=0, label_names=(), bounds=(), states=()):
    body = struct.pack("<BBHI", kind, mode, len(label_names), len(bounds) + len(states))
    body += b"".join(struct.pack("<d", bound) for bound in bounds)
    body += text(name) + text(help) + text(unit)
    body += b"".join(text(label) for label in label_names)
    return record(3, body + b"".join(text(state) for state in states))


def series(family, cell, created, values=(), extra=()):
    body = struct.pack("<IIQHH", family, cell, created, len(values), len(extra))
    return record(4, body + b"".join(text(value) for value in values) + pairs(extra))


def block(kind, offset, length, first=0, lane=0):
    return record(5, struct.pack("<IIQQQ", kind, lane, offset, length, first))


def removal(number):
    return record(6, struct.pack("<I", number))


def folded_stores(entries):
    body = struct.pack("<II", len(entries), 0)
    for incarnation, when, started, pid, size in entries:
        body += incarnation + struct.pack("<QQII", when, started, pid, size)
    return record(8, body)


def folded_files(entries):
    body = struct.pack("<II", len(entries), 0)
    for inode, born, when, size, name in entries:
        body += struct.pack("<QQQQ", inode, born, when, size) + text(name)
    return record(9, body)


def level(number, died, started=0, pid=""):
    return record(10, struct.pack("<IIQQ", number, 0, died, started) + text(pid))


def root(first, forgotten):
    return record(11, first + struct.pack("<Q", forgotten))


def header(version=1, started=1_700_000_000_123_456_789, pid=4711, role=0, lock=1, crc=None):
    def raw(checksum):
        return (
            b"\x89HCNT\r\n\x1a"
            + struct.pack("<II", version, checksum)
            + INCARNATION
            + BOOT
            + struct.pack("<QIBBH", started, pid, role, lock, 0)
        )

    return raw(binascii.crc32(raw(0)) if crc is None else crc)


def f64(*values):
    return struct.pack(f"<{len(values)}d", *values)


class File:
    def __init__(self, size):
        self.size = size
        self.runs = []

    def put(self, offset, raw, why):
        self.runs.append((offset, raw, why))
        return offset + len(raw)

    def catalog(self, records, used=None):
        position = 128
        for raw, why in records:
            position = self.put(position, raw, why)
        self.put(64, struct.pack("<QQ", position - 128 if used is None else used, 0), "used, refused")

    def write(self, name):
        lines = [f"# {name}: made by make.py from spec/store.md", f"size: {self.size}"]
        for offset, raw, why in sorted(self.runs):
            for start in range(0, len(raw), 16):
                part = raw[start : start + 16].hex(" ")
                lines.append(f"{offset + start:6}: {part}" + (f"  # {why}" if start == 0 else ""))
        folder = Path(__file__).parent / name
        folder.mkdir(exist_ok=True)
        (folder / "file.hex").write_text("\n".join(lines) + "\n")


def store(size=4 * PAGE, **fields):
    made = File(size)
    made.put(0, header(**fields), "magic, version, checksum, incarnation, boot, started, pid, role, lock")
    return made


CREATED = 1_700_000_001_000_000_000


def new():
    made = store()
    made.catalog([])
    made.write("a_new_store_is_empty")


def every_type():
    made = store(6 * PAGE)
    made.catalog([
        (labels([("service", "api")]), "labels of all series"),
        (family(1, "requests", "Requests answered.", label_names=["method"]), "family 0, a counter"),
        (block(1, 2 * PAGE, PAGE), "block of additive cells"),
        (series(0, 0, CREATED, ["GET"]), "series 0"),
        (series(0, 1, CREATED, ["caf\u00e9 \"x\"\n"]), "series 1"),
        (family(2, "memory_bytes", "Memory.", "bytes", mode=3), "family 1, a gauge"),
        (block(2, 3 * PAGE, PAGE), "block of registers"),
        (series(1, 0, 0), "series 2"),
        (family(2, "best", "Best.", mode=7), "family 2, a stamped gauge"),
        (block(3, 4 * PAGE, PAGE), "block of stamped registers"),
        (series(2, 0, CREATED), "series 3"),
        (series(2, 1, CREATED), "series 4, never set"),
        (family(3, "seconds", "Time.", "seconds", bounds=[0.5, 2.5]), "family 3, a histogram"),
        (series(3, 2, CREATED), "series 5"),
        (family(4, "size", "Size."), "family 4, a summary"),
        (series(4, 6, CREATED), "series 6"),
        (family(5, "build", "Build."), "family 5, an info"),
        (series(5, 0, CREATED, extra=[("version", "1.2")]), "series 7"),
        (family(6, "task", "Task.", mode=1, states=["starting", "running"]), "family 6, a state set"),
        (series(6, 1, CREATED), "series 8"),
    ])
    made.put(2 * PAGE, f64(3, 0.5), "totals of series 0 and 1")
    made.put(2 * PAGE + 16, f64(4.25, 1, 2, 1), "sum and buckets of series 5")
    made.put(2 * PAGE + 48, f64(7.5, 2), "sum and count of series 6")
    made.put(3 * PAGE, f64(1048576, 1), "register of series 2, state of series 8")
    made.put(
        4 * PAGE,
        struct.pack("<Q", 3) + f64(1, 1_700_000_002, 2.5, 1_700_000_003),
        "version 3, so the second slot holds",
    )
    made.write("every_type")


def segments_lanes_and_strangers():
    made = store(7 * PAGE)
    first = [
        (family(1, "c", label_names=["l"]), "family 0"),
        (block(1, 3 * PAGE, PAGE), "additive cells, lane 0"),
        (block(1, 4 * PAGE, PAGE, lane=1), "additive cells, lane 1"),
        (block(99, 5 * PAGE, PAGE, first=7), "a block of a kind from the future"),
        (record(77, b"from the future"), "a record of a kind from the future"),
        (series(0, 0, CREATED, ["kept"]), "series 0"),
        (segment(6 * PAGE, PAGE), "the catalog goes on"),
    ]
    second = [
        (series(0, 511, CREATED, ["removed"]), "series 1, the last cell of its page"),
        (removal(1), "series 1 is no more"),
    ]
    made.catalog(first, sum(len(raw) for raw, _ in first + second))
    position = 6 * PAGE
    for raw, why in second:
        position = made.put(position, raw, why)
    made.put(3 * PAGE, f64(40), "series 0 in lane 0")
    made.put(4 * PAGE, f64(2), "series 0 in lane 1")
    made.write("segments_lanes_and_strangers")


def killed_before_used():
    made = store()
    records = [(family(1, "c"), "family 0, published"), (family(1, "d"), "written, not published")]
    made.catalog(records, len(records[0][0]))
    made.write("what_is_not_published_is_not_there")


def ledger():
    made = store(6 * PAGE, role=1, lock=0)
    died = 1_700_000_900_000_000_000
    made.catalog([
        (block(1, 2 * PAGE, PAGE), "additive cells, lane 0"),
        (block(1, 3 * PAGE, PAGE, lane=1), "additive cells, lane 1"),
        (block(2, 4 * PAGE, PAGE), "registers"),
        (block(3, 5 * PAGE, PAGE), "stamped registers"),
        (root(bytes(range(32, 48)), died - 1), "the first generation, and until when it has forgotten"),
        (family(1, "requests", "Requests answered.", label_names=["method"]), "family 0, a counter"),
        (series(0, 0, CREATED, ["GET"]), "series 0"),
        (family(1, "jobs", mode=11), "family 1, a bare counter"),
        (series(1, 1, 0), "series 1"),
        (family(3, "seconds", "Time.", "seconds", bounds=[0.5]), "family 2, a histogram"),
        (series(2, 2, CREATED), "series 2"),
        (family(2, "level", mode=1), "family 3, a gauge of each worker"),
        (series(3, 0, 0), "series 3"),
        (level(3, died, CREATED, "4711"), "of this worker"),
        (family(2, "best", mode=7), "family 4, a stamped gauge"),
        (series(4, 0, 0), "series 4"),
        (level(4, died), "of several"),
        (family(5, "build", label_names=["version"]), "family 5, an info"),
        (series(5, 0, 0, ["1.2"]), "series 5"),
        (level(5, died), "of several"),
        (folded_stores([(bytes(range(16, 32)), died, CREATED, 4711, 16384)]), "a store"),
        (folded_files([(7, CREATED, died, 65536, "counter_4711.db")]), "a file of Python's"),
    ])
    made.put(2 * PAGE, f64(1e16, 3, 0.25, 2, 1), "totals, then sum and buckets, rounded")
    made.put(3 * PAGE, f64(1), "what the rounding of the first left out")
    made.put(4 * PAGE, f64(5), "register of series 3")
    made.put(5 * PAGE, struct.pack("<QQQ", 1, 0, 0) + f64(2.5, 1_700_000_003), "series 4, version 1")
    made.write("ledger_of_totals_levels_and_lists")
    # A ledger that was being written when its machine lost power, under its name all the same.
    made = store(2 * PAGE, role=1, lock=0)
    made.catalog([(block(1, 2 * PAGE, PAGE), "a block behind the end of the file")])
    made.write("bad_ledger_truncated")


def bad():
    made = store(version=2)
    made.catalog([])
    made.write("bad_version")
    made = store(crc=0x12345678)
    made.catalog([])
    made.write("bad_checksum")
    made = store()
    made.catalog([(family(1, "c"), "family 0"), (series(0, 0, 0), "its cell lies in no block")])
    made.write("bad_cell")
    made = store()
    made.catalog([
        (family(1, "c"), "family 0"),
        (block(1, 2 * PAGE, PAGE), "a block"),
        (block(2, 2 * PAGE, PAGE), "another at its place"),
    ])
    made.write("bad_overlap")
    made = store()
    made.catalog([(family(1, "c"), "family 0"), (struct.pack("<II", 64, 4), "longer than used")])
    made.write("bad_length")
    made = store(2 * PAGE)
    made.catalog([(block(1, 2 * PAGE, PAGE), "a block behind the end of the file")])
    made.write("bad_truncated")


if __name__ == "__main__":
    new()
    every_type()
    segments_lanes_and_strangers()
    killed_before_used()
    ledger()
    bad()
