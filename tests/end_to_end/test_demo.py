"""What a newcomer sees first, run as the newcomer runs it: in a process of its own, and by its exit code."""

import asyncio
import json
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
OUTCOME = re.compile(r"^ *\d+  (placed|not placed|rejected|unanswered) ")
ORDER = {
    "customer_id": "ada",
    "store_id": "campus",
    "zone": "centre",
    "lines": [{"sku": "milk", "quantity": 1, "price_cents": 129}],
}

IMPATIENT = """
import runpy
from deploy.demo import looking, queries

async def units(_connection):
    return 0

looking.PATIENCE_SECONDS, queries.units = 0.1, units
runpy.run_module("deploy.demo", run_name="__main__")
"""


async def test_the_sample_is_placed_as_expected_and_the_audit_is_clean():
    shown = await demonstrate()
    assert shown.status == 0, shown.text
    assert len(shown.outcomes) >= 200
    assert {outcome for outcome, _ in shown.outcomes} == {"placed", "not placed", "rejected"}
    assert "\x1b" not in shown.text, "coloured although nobody looks"
    assert re.search(r"^(\d+) of \1 answers as expected\.$", shown.text, re.MULTILINE)
    assert re.search(r"^Audit: clean: \d+ orders", shown.text, re.MULTILINE)
    # What is scarce is sold out, and not one packet or agent more than there is.
    placed = Counter(thing for thing in ("truffle", "2 oysters", "2 caviar") for _ in shown.placed_with(thing))
    assert placed == {"truffle": 3, "2 oysters": 2, "2 caviar": 1}
    assert len(shown.placed_with("agent island-")) == 3


async def test_it_takes_orders_of_ones_own_such_as_the_one_in_the_readme(tmp_path):
    (example,) = re.findall(r"^\{.+\}$", (PROJECT / "README.md").read_text(), re.MULTILINE)
    cancel = {"type": "CancelOrder/1.0", "message_id": "6d1f5c1e-8e4b-4a57-9a1b-3f1d2c0b9a01"}
    cancel["order_id"] = "6d1f5c1e-8e4b-4a57-9a1b-3f1d2c0b9a02"
    shown = await demonstrate(tmp_path, example, "no order", json.dumps(ORDER | {"lines": []}), json.dumps(cancel))
    assert shown.status == 0, shown.text
    assert sorted(outcome for outcome, _ in shown.outcomes) == ["not placed", "placed", "rejected", "rejected"]
    assert "\n4 answers.\n" in shown.text
    assert "Known stores" not in shown.text


async def test_an_outcome_that_is_not_expected_makes_it_fail(tmp_path):
    shown = await demonstrate(tmp_path, json.dumps(ORDER | {"expect": ["out_of_stock"]}))
    assert shown.status == 1, shown.text
    assert "expected: out_of_stock" in shown.text
    assert "0 of 1 answers as expected." in shown.text


async def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path):
    shown = await demonstrate_file(tmp_path / "nowhere.jsonl")
    assert shown.status == 2
    assert shown.text.splitlines() == [f"Error: {tmp_path}/nowhere.jsonl: No such file or directory"]


async def test_what_does_not_happen_in_time_is_told_in_one_line():
    shown = await run("-c", IMPATIENT)
    assert shown.status == 3
    assert shown.text.splitlines()[1:] == ["Error: units: still 0 after 0 s"]


async def test_what_the_environment_says_of_another_postgresql_does_not_matter(tmp_path):
    (tmp_path / "orders.jsonl").write_text("")
    elsewhere = {"PGPORT": "6543", "PGSSLMODE": "verify-full", "PGTARGETSESSIONATTRS": "read-only"}
    shown = await run("-m", "deploy.demo", "--orders", str(tmp_path / "orders.jsonl"), **elsewhere)
    assert shown.status == 0, shown.text


@dataclass
class Shown:
    status: int
    text: str

    @property
    def outcomes(self):
        return [(match[1], line) for line in self.text.splitlines() if (match := OUTCOME.match(line))]

    def placed_with(self, thing):
        return [line for outcome, line in self.outcomes if outcome == "placed" and thing in line]


async def demonstrate(folder=None, *lines):
    if folder is None:
        return await demonstrate_file()
    (folder / "orders.jsonl").write_text("\n".join(lines))
    return await demonstrate_file(folder / "orders.jsonl")


async def demonstrate_file(*orders):
    return await run("-m", "deploy.demo", *(argument for path in orders for argument in ("--orders", str(path))))


async def run(*arguments, **environment):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        text, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Shown(process.returncode, text.decode())
