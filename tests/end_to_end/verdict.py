"""What must be true after everything that was done to a cell: judged from its tables, its audit and its customer."""

import asyncio
import json
import time
from collections import Counter
from itertools import chain

import asyncpg

from order_saga.inspection.audit import examine
from tests.end_to_end.cell import Cell
from tests.end_to_end.client import Document
from tests.end_to_end.daemons import SERVICES

REST_SECONDS = 240.0
STILL_SECONDS = 0.5

PARTICIPANTS = {"store": "store_worker", "delivery": "delivery_worker"}
SPENT = ("confirmed", "fulfilled")

UNFINISHED = {
    "order_saga": """SELECT order_id, phase FROM published.orders
        WHERE outcome IS NULL OR outcome = 'not_placed' AND cleaned_at IS NULL""",
    "store_worker": "SELECT order_id, state FROM published.holdings WHERE state IN ('reserved', 'assigned')",
    "delivery_worker": "SELECT order_id, state FROM published.holdings WHERE state IN ('reserved', 'assigned')",
}
UNSAID = "SELECT id, exchange, key FROM published.outbox"


async def judge(cell: Cell) -> None:
    """Wait until the cell is at rest, and prove that all is well and nothing is parked."""
    await rest(cell)
    await _every_order_has_one_outcome(cell)
    await _nothing_is_held_in_vain(cell)
    await _no_unit_has_two_owners(cell)
    await _no_unit_is_lost(cell)
    assert await parked_in(cell) == 0
    await _the_audit_is_clean(cell)


async def rest(cell: Cell) -> None:
    """Wait until nothing is unfinished or unsaid, and stays so."""
    deadline = time.monotonic() + REST_SECONDS
    still_since = None
    while still_since is None or time.monotonic() - still_since < STILL_SECONDS:
        restless = await unfinished(cell)
        assert time.monotonic() < deadline, f"not at rest after {REST_SECONDS} s: {restless[:5]}"
        still_since = None if restless else still_since or time.monotonic()
        await asyncio.sleep(0.2)


async def unfinished(cell: Cell) -> list[str]:
    found = [
        [f"{service}: {dict(row)}" for sql in (UNFINISHED[service], UNSAID) for row in await cell.rows(service, sql)]
        for service in SERVICES
    ]
    return list(chain.from_iterable(found))


async def parked_in(cell: Cell) -> int:
    """How many documents are parked, in all services together."""
    return sum([len(await cell.rows(service, "SELECT FROM published.parked")) for service in SERVICES])


def placed(cell: Cell) -> list[Document]:
    """The customer's own history: each order that was placed, once."""
    return [heard[0] for heard in cell.client.outcomes.values() if heard and heard[0]["type"] == "OrderPlaced"]


def reasons(outcomes: "list[Document]") -> Counter[str]:
    """How many orders had which outcome: `placed`, or why not."""
    return Counter(outcome.get("reason", "placed") for outcome in outcomes)


async def _the_audit_is_clean(cell: Cell) -> None:
    assert not (await examine(cell.databases, 0.0, at_rest=True)).findings


async def _every_order_has_one_outcome(cell: Cell) -> None:
    rows = await cell.rows("order_saga", "SELECT * FROM published.orders")
    told = {order_id: {_gist(outcome) for outcome in heard} for order_id, heard in cell.client.outcomes.items()}
    assert not [order_id for order_id, gists in told.items() if len(gists) > 1], "two outcomes of one order were told"
    written = {str(row["order_id"]): _gist_of_row(row) for row in rows}
    for order_id in cell.client.requested.keys() | written.keys():
        assert told.get(order_id) == {written.get(order_id)}, f"{order_id}: {told.get(order_id)}"


async def _nothing_is_held_in_vain(cell: Cell) -> None:
    """Each worker holds exactly what the customer was told, and the units say the same as the reservations."""
    for participant, service in PARTICIPANTS.items():
        promised = {outcome["order_id"]: _units(participant, outcome) for outcome in placed(cell)}
        holdings = await cell.rows(service, "SELECT order_id, state, unit_ids FROM published.holdings")
        held = {str(row["order_id"]): sorted(row["unit_ids"]) for row in holdings if row["state"] in SPENT}
        assert held == promised, f"{participant} holds other units than were promised"
        units = await cell.rows(service, "SELECT unit_id, state FROM published.stock")
        states = Counter(row["state"] for row in units)
        assert not states.keys() & {"reserved", "assigned"}, states
        assert await _confirmed(cell, service) <= set(chain.from_iterable(promised.values()))


async def _confirmed(cell: Cell, service: str) -> set[str]:
    rows = await cell.rows(service, "SELECT unit_id FROM published.stock WHERE state = 'confirmed'")
    return {row["unit_id"] for row in rows}


async def _no_unit_has_two_owners(cell: Cell) -> None:
    packets = Counter(chain.from_iterable(outcome["packet_ids"] for outcome in placed(cell)))
    assert not [packet_id for packet_id, number in packets.items() if number > 1]
    busy = "SELECT unnest(unit_ids) FROM published.holdings WHERE state = 'confirmed'"
    agents = Counter(row[0] for row in await cell.rows("delivery_worker", busy))
    assert not [agent_id for agent_id, number in agents.items() if number > 1]


async def _no_unit_is_lost(cell: Cell) -> None:
    packets = await cell.rows("store_worker", "SELECT unit_id FROM published.stock")
    assert sorted(row["unit_id"] for row in packets) == sorted(chain(*(market.packet_ids for market in cell.markets)))
    agents = await cell.rows("delivery_worker", "SELECT unit_id FROM published.stock")
    assert sorted(row["unit_id"] for row in agents) == sorted(chain(*(market.agents for market in cell.markets)))


def _units(participant: str, outcome: Document) -> list[str]:
    return sorted(outcome["packet_ids"]) if participant == "store" else [outcome["agent_id"]]


def _gist(outcome: Document) -> str:
    """What an outcome says, without the ids of the message that carried it."""
    if outcome["type"] == "OrderPlaced":
        return f"placed {sorted(outcome['packet_ids'])} {outcome['agent_id']}"
    return f"not placed {outcome.get('participant')} {outcome['reason']}"


def _gist_of_row(row: asyncpg.Record) -> str:
    if row["outcome"] == "placed":
        granted = json.loads(row["granted"])
        return f"placed {sorted(granted['store'])} {granted['delivery'][0]}"
    return f"not placed {row['participant']} {row['reason']}"
