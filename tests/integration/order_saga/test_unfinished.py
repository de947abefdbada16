"""`order-saga list`: what is undecided or not clean, the oldest first, and who is silent about it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from messages.contracts.delivery import AgentAssigned, AgentRefused, AgentReleased, AgentReserved
from messages.contracts.message import Message
from messages.contracts.order import Line, OrderRequested
from messages.contracts.store import PacketsAssigned, PacketsReleased, PacketsReserved
from messages.transport.command_line.reading import PublishedViews
from order_saga.inspection.commands import list_command
from order_saga.published import Unfinished, unfinished
from tests.conftest import NewDatabase
from tests.integration.order_saga.orders import SERVICE
from tests.integration.workers import Worker

HEADING = f"{'order':<36} {'phase':<10} {'accepted':<19} {'deadline':<19} silent"


def requested(order_id: UUID) -> Message:
    lines = (Line(sku="milk", quantity=1, price_cents=99),)
    return OrderRequested(order_id=order_id, customer_id="C", store_id="S", zone="Z", lines=lines)


def held(order_id: UUID) -> list[Message]:
    return [PacketsReserved(order_id=order_id), AgentReserved(order_id=order_id)]


def assigned(order_id: UUID) -> list[Message]:
    packets = PacketsAssigned(order_id=order_id, packet_ids=(f"P-{order_id}",))
    return [packets, AgentAssigned(order_id=order_id, agent_id=f"A-{order_id}")]


def released(order_id: UUID) -> list[Message]:
    return [
        AgentRefused(order_id=order_id, reason="no_agent"),
        AgentReleased(order_id=order_id),
        PacketsReleased(order_id=order_id),
    ]


NEW, HALF_HELD, HALF_ASSIGNED, HALF_RELEASED, PLACED, CLOSED = sorted((uuid4() for _ in range(6)), reverse=True)
LIVES: dict[UUID, list[Message]] = {
    NEW: [],
    HALF_HELD: held(HALF_HELD)[:1],
    PLACED: held(PLACED) + assigned(PLACED),
    HALF_RELEASED: released(HALF_RELEASED)[:2],
    HALF_ASSIGNED: held(HALF_ASSIGNED) + assigned(HALF_ASSIGNED)[:1],
    CLOSED: released(CLOSED),
}
"""In the order in which they are accepted, which is not that of their ids."""


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*SERVICE.migrations)


@pytest.fixture
async def saga(url: str) -> AsyncIterator[Worker]:
    worker = await Worker.start(SERVICE, url)
    for order_id, life in LIVES.items():
        for message in [requested(order_id), *life]:
            await worker.hear(message)
    yield worker
    await worker.stop()


async def listed(url: str, *options: str) -> Result:
    """With the database of the order saga, and no other."""
    environment = {"ORDER_SAGA_READER_URL": url, "ORDER_SAGA_DATABASE_URL": None, "STORE_WORKER_DATABASE_URL": None}
    return await asyncio.to_thread(CliRunner().invoke, list_command, list(options), env=environment)


def ids(told: Result) -> list[UUID]:
    assert told.exit_code == 0, told.output
    return [UUID(json.loads(line)["order_id"]) for line in told.stdout.splitlines()]


@pytest.mark.usefixtures("saga")
async def test_what_is_unfinished_is_listed_with_who_is_silent_the_oldest_first(url: str) -> None:
    told = await listed(url)

    assert (told.exit_code, told.stderr) == (0, ""), told
    heading, *lines = told.stdout.splitlines()
    assert heading == HEADING
    assert [(UUID(line.split()[0]), line.split()[1], line[len(HEADING) - len("silent") :]) for line in lines] == [
        (NEW, "reserving", "store, delivery"),
        (HALF_HELD, "reserving", "delivery"),
        (HALF_RELEASED, "releasing", "store"),
        (HALF_ASSIGNED, "assigning", "delivery"),
    ]


@pytest.mark.usefixtures("saga")
async def test_only_the_undecided_or_only_those_that_are_not_clean_are_listed(url: str) -> None:
    undecided = await listed(url, "--json", "--undecided")
    releasing = await listed(url, "--json", "--releasing")
    both = await listed(url, "--json", "--undecided", "--releasing")

    assert ids(undecided) == [NEW, HALF_HELD, HALF_ASSIGNED]
    assert ids(releasing) == [HALF_RELEASED]
    assert ids(both) == [NEW, HALF_HELD, HALF_RELEASED, HALF_ASSIGNED]


@pytest.mark.usefixtures("saga")
async def test_of_very_many_the_oldest_are_listed_and_all_are_counted(url: str) -> None:
    few = await listed(url, "--json", "--limit", "2")
    all_of_them = await listed(url, "--limit", "4")

    assert (ids(few), few.stderr) == ([NEW, HALF_HELD], "the 2 oldest of 4\n")
    assert all_of_them.stderr == ""


async def test_machines_are_told_the_same_and_why(saga: Worker, url: str) -> None:
    told = await listed(url, "--json", "--releasing")
    (order,) = await saga.query("SELECT * FROM saga WHERE order_id = $1", HALF_RELEASED)

    assert json.loads(told.stdout) == {
        "order_id": str(HALF_RELEASED),
        "phase": "releasing",
        "accepted_at": json_time(order["accepted_at"]),
        "deadline": json_time(order["deadline"]),
        "decided_at": json_time(order["decided_at"]),
        "reason": "no_agent",
        "silent": ["store"],
    }


@pytest.mark.parametrize("damage", ["phase = 'asleep'", """standing = '{"store": "tired"}'""", "standing = '[5]'"])
async def test_a_row_that_cannot_be_read_hides_no_other(saga: Worker, url: str, damage: str) -> None:
    change = f"UPDATE saga SET {damage} WHERE order_id = '{HALF_HELD}'"
    await saga.execute(f"SET LOCAL session_replication_role = replica; {change}")  # past the triggers

    told = await listed(url)

    assert told.exit_code == 0, told
    assert [line.split()[-1] for line in told.stdout.splitlines()] == ["silent", "delivery", "?", "store", "delivery"]


def json_time(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


async def test_a_database_that_does_not_say_yet_who_has_answered_is_one_line(saga: Worker, url: str) -> None:
    await saga.execute("DROP VIEW published.orders")
    # PostgreSQL's hint, that perhaps this column was meant, is another line.
    await saga.execute("CREATE VIEW published.orders AS SELECT order_id, phase, accepted_at AS accepted FROM saga")

    told = await listed(url)

    assert (told.exit_code, told.stdout) == (3, "")
    assert told.stderr.startswith("Error: ORDER_SAGA_READER_URL: column ")
    assert told.stderr.endswith("that database is not migrated\n")
    assert told.stderr.count("\n") == 1


async def test_however_many_orders_are_finished_they_are_not_read(saga: Worker) -> None:
    await saga.execute(
        f"""
        CREATE TEMP TABLE many AS SELECT saga.* FROM saga, generate_series(1, 20000) WHERE order_id = '{PLACED}';
        UPDATE many SET order_id = gen_random_uuid(); INSERT INTO saga SELECT * FROM many; ANALYZE saga
        """
    )
    plans = []

    class Explaining:
        async def rows(self, query: str, *arguments: Any) -> list[Any]:
            plans.append("\n".join(row["QUERY PLAN"] for row in await saga.query(f"EXPLAIN {query}", *arguments)))
            return []

    for which in [[Unfinished.UNDECIDED], [Unfinished.RELEASING], list(Unfinished)]:
        await unfinished(cast("PublishedViews", Explaining()), which, 1_000)

    assert len(plans) == 3
    assert [plan for plan in plans if "Seq Scan" in plan] == []
