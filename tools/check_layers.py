#!/usr/bin/env python3
"""Fails when a source file includes a folder below its own.

The folders of src/ have one order; a file includes only its own folder and folders before it.
"""

import re
import sys
from pathlib import Path

ORDER = ("base quant kernels ops formats hub text model energy data infer bench eval train report serve cli").split()
INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')


def errors_of(source: Path, src: Path):
    folder = source.relative_to(src).parts[0]
    for number, line in enumerate(source.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        included = match[1]
        where = f"{source.relative_to(src.parent)}:{number}"
        target = included.split("/")[0]
        if target not in ORDER or not (src / included).is_file():
            yield f'{where}: "{included}" is no file of src/, expected "folder/file.h"'
        elif ORDER.index(target) > ORDER.index(folder):
            yield f"{where}: {folder}/ includes {included}, but {target}/ comes after {folder}/"


def check(src: Path):
    for entry in sorted(src.iterdir()):
        if not entry.is_dir() or entry.name not in ORDER:
            yield f"src/{entry.name}: not in the order of folders: {' '.join(ORDER)}"
            continue
        for source in sorted(entry.rglob("*")):
            if source.suffix in (".h", ".cpp", ".cu", ".cuh"):
                yield from errors_of(source, src)


def main():
    errors = list(check(Path(__file__).resolve().parent.parent / "src"))
    print(*errors, sep="\n", end="\n" if errors else "", file=sys.stderr)
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
