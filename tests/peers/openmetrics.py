"""Reads OpenMetrics on standard input with prometheus_client's strict parser, and prints as JSON
the bits of each sample's value, and each family's type and help, or fails as the parser does."""

import json
import struct
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

ESCAPE = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def key(sample):
    inner = ",".join(f'{k}="{v.translate(ESCAPE)}"' for k, v in sorted(sample.labels.items()))
    return f"{sample.name}{{{inner}}}" if inner else sample.name


def main():
    text = sys.stdin.buffer.read().decode("utf-8")
    answer = {"samples": {}, "types": {}, "help": {}}
    for family in text_string_to_metric_families(text):
        answer["types"][family.name] = family.type
        answer["help"][family.name] = family.documentation
        for sample in family.samples:
            if key(sample) in answer["samples"]:
                sys.exit(f"twice: {key(sample)}")
            (bits,) = struct.unpack("<Q", struct.pack("<d", float(sample.value)))
            answer["samples"][key(sample)] = bits
    print(json.dumps(answer))


main()
