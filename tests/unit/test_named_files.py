"""Every file and folder that the documentation names in backticks exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.folders import PRODUCT, ROOT
from tests.unit.test_links import PAGES

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"\n(?= *\n| *\||#| *[-*] | *\d+\. )")  # paragraphs, rows of a table, items of a list
FILE = r"[\w.-]+\.(?:py|md|sh|sql|json|jsonl|yaml|toml|conf|env|lock)"
NAME = re.compile(rf"`((?:[\w-][\w.-]*/)*(?:[\w-][\w.-]*/|{FILE}))`")
FOLDERS = {*PRODUCT, "docs", "tests"}
GENERATED = {line for line in (ROOT / "deploy/.gitignore").read_text().splitlines() if not line.startswith("#")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page):
    assert list(_missing(page.read_text(), page.parent)) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`order_saga/gone.py`", ["order_saga/gone.py"]),
        ("`gone/`", ["gone/"]),
        ("`order_saga/saga.py`, `steps.py`", []),
        ("`order_saga/saga.py`, `goods.py`", ["goods.py"]),
        ("`messages/transport/`: the loop in `batches/`, `fast_lane.py`", []),
        ("the service's `handlers.py`, `queries.py`", []),
        ("| a | `order_saga/saga.py` |\n| b | `goods.py` |", []),
        ("```\n`order_saga/gone.py`\n```", []),
        ("`deploy/.env`, `passwords.json`, `/tmp/gone.py`, `OrderPlaced/1.0`", []),
    ],
)
def test_a_short_name_belongs_to_a_folder_named_before_it_in_the_same_block(text, missing):
    assert list(_missing(text, ROOT)) == missing


def _missing(text: str, folder: Path) -> Iterator[str]:
    for block in BLOCK.split(FENCED.sub("", text)):
        named: list[Path] = []
        for name in NAME.findall(block):
            path = ROOT / name
            if "/" in name and path.exists():
                named.append(path if path.is_dir() else path.parent)
            elif not (path.exists() or (folder / name).exists() or _is_below(named, name) or _is_left_out(name)):
                yield name


def _is_left_out(name: str) -> bool:
    """Generated here, or an example of a service that could be added."""
    return name.removeprefix("deploy/") in GENERATED or "payment" in name


def _is_below(named: list[Path], name: str) -> bool:
    below = named or [ROOT / each for each in FOLDERS]
    return any(True for each in below for _ in each.rglob(name.rstrip("/")))
