"""`order-saga place`: every request has its outcome, wherever the requests come from."""

import asyncio
import json
import os
import pty
import shlex
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from messages.transport.addresses import OUTCOMES
from tests.integration.command_line.shell import ROOT, Shell
from tests.integration.command_line.shops import a_shop, order, text
from tests.servers.management import Management


async def test_orders_from_a_pipe_are_placed(shell: Shell) -> None:
    shop = await a_shop(shell, packets=6, agents=3)

    placed = await shell.type("order_saga", "place", "-", stdin=text(order(shop, 2) for _ in range(3)))

    assert placed.code == 0, placed
    assert [line.split()[0] for line in placed.out.splitlines()] == ["placed"] * 3
    assert "2 packets place-" in placed.out
    assert placed.err.startswith("3 placed in ")


async def test_who_has_placed_orders_leaves_no_queue_behind(shell: Shell, management_url: str) -> None:
    """All outcomes would be put into it for another minute."""

    async def queues() -> set[str]:
        known = await Management(management_url).call("GET", f"queues/{shell.vhost}")
        return {each["name"] for each in known if each["name"].startswith(OUTCOMES)}

    before = await queues()
    placed = await shell.type("order_saga", "place", "-", stdin=text([order("nowhere")]))

    assert placed.code == 1, placed
    assert await queues() <= before


async def test_of_a_file_of_which_the_shell_has_read_a_part_only_the_rest_is_placed(
    shell: Shell, tmp_path: Path
) -> None:
    shop = await a_shop(shell, packets=2, agents=2)
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order(shop, order_id=str(uuid.uuid4())), order(shop, order_id=(mine := str(uuid.uuid4())))]))
    placing = await asyncio.create_subprocess_shell(
        f"{{ read -r theirs; {shlex.quote(sys.executable)} -m order_saga place --json -; }} <{shlex.quote(str(file))}",
        env=shell.environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await placing.communicate()
    assert [json.loads(line)["order_id"] for line in out.splitlines()] == [mine]


async def test_every_request_of_a_file_has_its_outcome(shell: Shell, tmp_path: Path) -> None:
    shop = await a_shop(shell, packets=3, agents=3)
    mine, theirs = str(uuid.uuid4()), str(uuid.uuid4())
    file = tmp_path / "orders.jsonl"
    file.write_text(
        text(
            [
                order(shop, 2, order_id=mine),
                order(shop, 3, order_id=mine),
                order(shop, 50),
                {"type": "CancelOrder/1.0", "order_id": theirs},
                order(shop, 1, store_id="nowhere"),
            ]
        )
    )

    placed = await shell.type("order_saga", "place", "--json", str(file))

    assert placed.code == 1, placed
    told = {each["line"]: each for each in placed.objects}
    assert {line: (each["outcome"], each.get("reason")) for line, each in told.items()} == {
        1: ("placed", None),
        2: ("rejected", "conflict"),
        3: ("not_placed", "out_of_stock"),
        4: ("not_placed", "cancelled"),
        5: ("not_placed", "unknown_sku"),
    }
    assert len(told[1]["packet_ids"]) == 2
    assert told[1]["agent_id"].startswith(shop)


async def test_what_was_placed_before_is_told_again(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    document = order(shop, order_id=str(uuid.uuid4()))

    first = await shell.type("order_saga", "place", "--json", "-", stdin=text([document]))
    second = await shell.type("order_saga", "place", "--json", "-", stdin=text([document]))

    assert first.code == second.code == 0
    assert [each["packet_ids"] for each in first.objects] == [each["packet_ids"] for each in second.objects]


async def test_nothing_of_a_file_with_a_mistake_is_published(shell: Shell, tmp_path: Path) -> None:
    before = await shell.sql("order_saga", "SELECT count(*) FROM saga")
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order("north"), order("north", 0)]))

    placed = await shell.type("order_saga", "place", str(file))

    assert (placed.code, placed.out) == (2, "")
    assert placed.err.startswith(f"Error: {file}, line 2, is not a request: lines.0.quantity")
    assert placed.err.count("\n") == 1
    assert await shell.sql("order_saga", "SELECT count(*) FROM saga") == before


async def test_a_terminal_shows_a_bar(shell: Shell, tmp_path: Path) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order(shop)]))
    terminal, its_end = pty.openpty()

    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", str(file),
        stdout=subprocess.DEVNULL, stderr=its_end, env=shell.environment, cwd=ROOT,
    )  # fmt: skip
    assert await asyncio.wait_for(placing.wait(), 60) == 0
    os.close(its_end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)

    assert "[##############################] 1/1  1 placed" in shown


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason=f"a disk that is full is {FULL}, which is not here")
async def test_a_disk_that_takes_no_outcome_is_one_line(shell: Shell) -> None:
    placing = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m order_saga place - >{FULL}",
        env=shell.environment, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await placing.communicate(text([order("nowhere", 1)]).encode())
    assert (placing.returncode, told) == (3, b"Error: the output is incomplete: No space left on device\n")


async def test_a_standard_input_that_is_closed_is_one_line(shell: Shell) -> None:
    placing = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m order_saga place - <&-",
        env=shell.environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await placing.communicate()
    assert (placing.returncode, told) == (2, b"Error: there is no standard input to read from\n")
