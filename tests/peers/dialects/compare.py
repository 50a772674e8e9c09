"""Says in what two texts of format 0.0.4 differ.

    compare.py EXPECTED ACTUAL

Only the samples count: their names, labels and values. The order of samples and labels, HELP and
TYPE do not, nor how a number is spelled, be it a value, an le or a quantile. A label without a
value is as good as none. GitLab's gem copies label values as JSON spells them, so the escapes of
JSON are understood beside those of the format. Prints a line for each difference, and exits with 1
if there are any.
"""

import re
import sys

NAME = re.compile(r"[^\s{]+")
LABEL = re.compile(r'\s*,?\s*([^\s=,{}"]+)\s*=\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
MEANING = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
NUMBERS = ("le", "quantile")


def unescape(text):
    def meaning(match):
        escape = match[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        return MEANING.get(escape, escape)
    return ESCAPE.sub(meaning, text)


def number(text):
    """A number in one spelling; any NaN equals any other."""
    return repr(float(text) + 0.0)


def sample(line):
    """A line's key, which is a name and sorted labels, and its value."""
    name = NAME.match(line)
    at, labels = name.end(), []
    if line[at:at + 1] == "{":
        at += 1
        while match := LABEL.match(line, at):
            label, value = match[1], unescape(match[2])
            if label in NUMBERS:
                value = number(value)
            if value:
                labels.append((label, value))
            at = match.end()
        close = re.compile(r"\s*,?\s*}").match(line, at)
        if not close:
            raise ValueError("no } after the labels")
        at = close.end()
    return (name[0], tuple(sorted(labels))), number(line[at:].split()[0])


def samples(path):
    found = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        for position, line in enumerate(file.read().split("\n"), 1):
            line = line.strip(" ")
            if not line or line.startswith("#"):
                continue
            try:
                key, value = sample(line)
            except (ValueError, IndexError) as error:
                sys.exit(f"{path}:{position}: {line}: {error}")
            if key in found:
                sys.exit(f"{path}:{position}: twice: {show(key)}")
            found[key] = value
    return found


def show(key):
    name, labels = key
    return name + "{" + ", ".join(f"{label}={value!r}" for label, value in labels) + "}"


def main():
    expected, actual = (samples(path) for path in sys.argv[1:])
    differences = []
    for key in sorted(expected.keys() | actual.keys()):
        if key not in actual:
            differences.append(f"missing: {show(key)} {expected[key]}")
        elif key not in expected:
            differences.append(f"added: {show(key)} {actual[key]}")
        elif expected[key] != actual[key]:
            differences.append(f"{show(key)}: expected {expected[key]}, got {actual[key]}")
    if differences:
        print("\n".join(differences))
        sys.exit(1)


main()
