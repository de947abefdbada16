"""Fills shelves and fleet through the services' own statements, as if the goods had come and the agents were online."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from bench.connecting import connected
from bench.workload import SKUS, Workload, sku, store_id, zone
from delivery_worker import queries as fleet
from delivery_worker.shifts import Shift
from messages.contracts.store import StockReceived
from store_worker import goods

Shelf: TypeAlias = tuple[int, int]
Supply: TypeAlias = Callable[[Shelf, int], int]
"""(shelf, packets wanted of it) -> packets it gets."""

ROWS = 20_000
MESSAGE_PACKETS = 1_000


def plenty(_shelf: Shelf, wanted: int) -> int:
    return wanted + wanted // 5 + 2


def exactly(_shelf: Shelf, wanted: int) -> int:
    """As many as are wanted, and none to spare."""
    return wanted


def half(shelf: Shelf, wanted: int) -> int:
    """Of ten shelves four are sold out soon, four hardly ever, and two half way; half of what is wanted in all."""
    store, number = shelf
    share = (0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9)[(store * SKUS + number) % 10]
    return round(wanted * share)


def can_be_placed(workload: Workload, supply: Supply) -> int:
    """How many of the orders there are packets for: not one fewer may be placed."""
    wanted, _ = workload.demand()
    return sum(min(number, supply(shelf, number)) for shelf, number in wanted.items())


async def fill(urls: Mapping[str, str], workload: Workload, supply: Supply) -> None:
    """Bring what the orders of this workload want, to stores and zones that may have had others before."""
    wanted, agents = workload.demand()
    await _fill_shelves(urls["store_worker"], workload.seed, {k: supply(k, n) for k, n in wanted.items()})
    await _fill_fleet(urls["delivery_worker"], workload.seed, agents)


async def _fill_shelves(url: str, seed: int, packets: Mapping[Shelf, int]) -> None:
    received = [message for shelf, count in packets.items() for message in _messages(seed, shelf, count)]
    async with connected(url) as connection:
        for batch in _batches(received):
            await goods.receive(connection, batch)
        await connection.execute("VACUUM ANALYZE packet")


def _messages(seed: int, shelf: Shelf, count: int) -> Iterator[StockReceived]:
    store, number = shelf
    best_before = datetime.now(UTC) + timedelta(days=30)
    for first in range(0, count, MESSAGE_PACKETS):
        ids = tuple(f"P{seed}-{store}-{number}-{each}" for each in range(first, min(count, first + MESSAGE_PACKETS)))
        yield StockReceived(store_id=store_id(store), sku=sku(number), best_before=best_before, packet_ids=ids)


def _batches(received: Iterable[StockReceived]) -> Iterator[list[StockReceived]]:
    batch: list[StockReceived] = []
    packets = 0
    for each in received:
        batch.append(each)
        packets += len(each.packet_ids)
        if packets >= ROWS:
            yield batch
            batch, packets = [], 0
    if batch:
        yield batch


async def _fill_fleet(url: str, seed: int, wanted: Counter[int]) -> None:
    shifts = [
        Shift(f"A{seed}-{number}-{each}", zone(number), online=True)
        for number, count in wanted.items()
        for each in range(count + count // 10 + 10)
    ]
    async with connected(url) as connection:
        for start in range(0, len(shifts), ROWS):
            await fleet.put_online(connection, shifts[start : start + ROWS])
        await connection.execute("VACUUM ANALYZE agent")
