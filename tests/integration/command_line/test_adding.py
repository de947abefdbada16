"""Goods and agents come as they are named, from files, or by saying again what was lost."""

import asyncio
import uuid
from pathlib import Path

from tests.integration.command_line.shell import Shell
from tests.integration.command_line.shops import free, text


async def test_goods_and_agents_come_as_they_are_named(shell: Shell) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"

    goods, agents = await asyncio.gather(
        shell.type("store_worker", "stock", "add", place, "milk", "1002", "--best-before", "2099-01-01"),
        shell.type("delivery_worker", "agents", "add", place, f"{place}-A", f"{place}-B"),
    )

    assert (goods.code, goods.out) == (0, "2 StockReceived published\n"), goods
    assert (agents.code, agents.out) == (0, "2 published\n"), agents
    await shell.until("store_worker", free(place, 1002))
    await shell.until("delivery_worker", free(place, 2))


async def test_goods_and_agents_come_from_files_too(shell: Shell, tmp_path: Path) -> None:
    goods, agents = tmp_path / "goods.jsonl", tmp_path / "agents.jsonl"
    place = f"place-{uuid.uuid4().hex[:8]}"
    stock = {"store_id": place, "sku": "tea", "best_before": "2099-01-01T00:00:00Z"}
    goods.write_text(text(stock | {"packet_ids": [f"{place}-{number}"]} for number in range(2)))
    agents.write_text(text([{"agent_id": f"{place}-A", "zone": place}]))

    added = await asyncio.gather(
        shell.type("store_worker", "stock", "add", "--file", str(goods)),
        shell.type("delivery_worker", "agents", "add", "--file", str(agents)),
    )

    assert [each.code for each in added] == [0, 0], added
    await shell.until("store_worker", free(place, 2))
    await shell.until("delivery_worker", free(place, 1))


async def test_what_was_lost_is_said_again(shell: Shell) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"
    stock = {"type": "StockReceived/1.0", "store_id": place, "sku": "tea", "best_before": "2099-01-01T00:00:00Z"}
    goods = text([stock | {"packet_ids": [f"{place}-{number}"]} for number in range(3)])
    agents = text([{"type": "AgentCameOnline/1.0", "agent_id": f"{place}-A", "zone": place}])

    said = await asyncio.gather(
        shell.type("store_worker", "publish", "-", stdin=goods),
        shell.type("store_worker", "publish", "-", stdin=goods),
        shell.type("delivery_worker", "publish", "-", stdin=agents),
    )

    assert [(each.code, each.out) for each in said] == [(0, f"{number} published\n") for number in (3, 3, 1)], said
    await shell.until("store_worker", free(place, 3))
    await shell.until("delivery_worker", free(place, 1))
