"""Makes the vectors of the dialects, or checks that their producers still write them.

    target/peers/bin/python tests/peers/dialects/make.py --check|--write

Runs every producer into a directory of its own, and its reader over that. What they write stands
under spec/vectors/dialects/NAME as one annotated .hex for each file, and what the reader makes of
it as expected.txt. tests/run installs the producers.
"""

import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
VECTORS = ROOT / "spec" / "vectors" / "dialects"
VERSIONS = ROOT / "target" / "peers" / "versions"
EXPECTED = "expected.txt"


def run(command, **environment):
    """Standard output of a program; its failure is ours."""
    fixed = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    command = [str(part) for part in command]
    try:
        finished = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **fixed, **environment})
    except FileNotFoundError:
        sys.exit(f"{command[0]} is missing; run tests/run once, which installs it")
    if finished.returncode:
        sys.exit(f"{' '.join(command)} failed; tests/run installs what it needs")
    return finished.stdout


def python(version):
    home = VERSIONS / version
    if not (home / "prometheus_client").is_dir():
        sys.exit(f"prometheus_client {version} is missing; run tests/run once, which installs it")

    def make(directory):
        command = [sys.executable, "-B", "-W", "ignore", HERE / "python.py", directory]
        return run(command, PYTHONPATH=str(home))
    return make


def ruby(program, *arguments):
    return run(["ruby", HERE / program, *arguments])


def gitlab(directory):
    ruby("gitlab.rb", "write", directory)
    return ruby("gitlab.rb", "read", directory)


def vinted(directory):
    run([sys.executable, "-B", HERE / "vinted.py", directory])
    # What is not an exemplar is of GitLab's dialect, so GitLab's gem says what it amounts to.
    with tempfile.TemporaryDirectory() as metrics:
        for path in directory.iterdir():
            if not path.name.startswith("exemplar_"):
                shutil.copy(path, metrics)
        return ruby("gitlab.rb", "read", metrics)


def direct_file_store(release):
    def make(directory):
        ruby("direct_file_store.rb", directory, release)
        reader = [sys.executable, "-B", HERE / "direct_file_store.py", directory, release]
        return run(reader)
    return make


def dialects():
    """Every dialect's name, and what writes its files into a directory and returns their text."""
    lines = (HERE / "versions.txt").read_text().splitlines()
    versions = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = {f"python-{version}": python(version) for version in versions}
    found["gitlab-0.16.2"] = gitlab
    found["vinted-1.7.0"] = vinted
    for release in ("0.10", "3.0"):
        found[f"direct-file-store-{release}"] = direct_file_store(release)
    return found


def annotated(name, content):
    """A file as hex: what is in use, 16 bytes a line but no line of zeros, and the length."""
    (used,) = struct.unpack_from("<i", content)
    if any(content[used:]):
        sys.exit(f"{name}: something stands beyond the {used} bytes in use")
    lines = [f"# {name}", f"size: {len(content)}"]
    for offset in range(0, used, 16):
        row = content[offset:min(offset + 16, used)]
        if not any(row):
            continue
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{offset}: {row.hex(' ')}".ljust(56) + f"  # {shown}".rstrip())
    return ("\n".join(lines) + "\n").encode("ascii")


def made(make):
    """The files of one dialect's folder, by name."""
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        files = {EXPECTED: make(directory)}
        for path in sorted(directory.iterdir()):
            files[path.name + ".hex"] = annotated(path.name, path.read_bytes())
    return files


def kept(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def main():
    if sys.argv[1:] not in (["--check"], ["--write"]):
        sys.exit(__doc__)
    complaints = []
    wanted = dialects()
    for name, make in wanted.items():
        folder, files = VECTORS / name, made(make)
        if sys.argv[1] == "--write":
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for file, content in files.items():
                (folder / file).write_bytes(content)
        stored = kept(folder)
        for file in sorted(files.keys() | stored.keys()):
            if files.get(file) != stored.get(file):
                what = ("is not there" if file not in stored
                        else "is written by nobody" if file not in files
                        else "is not what its producer writes")
                complaints.append(f"{name}/{file} {what}")
    folders = {path.name for path in VECTORS.iterdir() if path.is_dir()}
    complaints += [f"{name}/ is no dialect" for name in sorted(folders - wanted.keys())]
    if complaints:
        sys.exit("\n".join(complaints))


main()
