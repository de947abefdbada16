"""Reads a plan from standard input, says `ready`, waits for `go`, says `sent`, and writes its report: a line each."""

import dataclasses
import gc
import json
import sys

from bench.generator.load import Load
from bench.generator.plan import Plan


def main() -> None:
    load = Load(Plan(**json.loads(sys.stdin.readline())))
    gc.freeze()
    gc.disable()  # a pause would be counted as the system's
    _print("ready")
    sys.stdin.readline()
    report = load.run(lambda: _print("sent"))
    _print(json.dumps(dataclasses.asdict(report)))


def _print(line: str) -> None:
    print(line, flush=True)


main()
