"""Keeps the newest line of each scenario, and makes a table and a plot from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plot import plot
from bench.table import table

FOLDER = Path(__file__).parent / "results"


class Results:
    """`latest.jsonl`, `table.md` and `plot.svg` in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = folder / "latest.jsonl"

    def keep(self, line: Mapping[str, Any]) -> None:
        """Append it; an older line of the same scenario goes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [each for each in self.read() if each["scenario"] != line["scenario"]]
        self._lines.write_text("".join(json.dumps(each) + "\n" for each in (*lines, line)))

    def read(self) -> list[dict[str, Any]]:
        if not self._lines.exists():
            return []
        return [json.loads(line) for line in self._lines.read_text().splitlines()]

    def draw(self) -> None:
        lines = self.read()
        (self._folder / "table.md").write_text(table(lines))
        (self._folder / "plot.svg").write_text(plot(lines))
