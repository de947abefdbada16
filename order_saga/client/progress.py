"""A progress bar, in one line that is cleared before other output; shown only on a terminal."""

from collections.abc import Mapping
from typing import TextIO

WIDTH = 30


class Progress:
    """How many of `total` are done; of an unknown total, how many."""

    def __init__(self, total: int | None, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._visible = stream.isatty()

    def show(self, counts: Mapping[str, int]) -> None:
        if self._visible:
            self._write(f"{bar(sum(counts.values()), self._total)}  {_counted(counts)}")

    def clear(self) -> None:
        if self._visible:
            self._write("")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}")
        self._stream.flush()


def bar(done: int, total: int | None) -> str:
    """`[##########--------------------] 10/30`."""
    if not total:
        return f"{done} done"
    filled = WIDTH * done // total
    return f"[{'#' * filled}{'-' * (WIDTH - filled)}] {done}/{total}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in sorted(counts.items()))
