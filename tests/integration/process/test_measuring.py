"""What the tables are asked for Prometheus: right, and of what is alive, however much they hold that is done."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

import delivery_worker.service
import delivery_worker.settings
import order_saga.service
import order_saga.settings
from messages.transport.daemon.measuring import _question, measure, measures_of
from messages.transport.database.postgres import Database
from messages.transport.database.transactions import Transaction
from messages.transport.incoming import Malformed
from messages.transport.metrics import Metrics
from messages.transport.parked import MOST_MEASURED, park
from messages.transport.service import Service
from tests.conftest import NewDatabase

SAGA = order_saga.service.service(order_saga.settings.Settings(database_url="postgresql://elsewhere/"))
DELIVERY = delivery_worker.service.service(delivery_worker.settings.Settings(database_url="postgresql://elsewhere/"))
DONE = 100_000
ALIVE = 3

DONE_ORDERS = f"""
    INSERT INTO saga (order_id, repeats, asked_at, due_at, decided_at, cleaned_at, phase, outcome, reason, standing,
        granted, deadline, accepted_at)
    SELECT gen_random_uuid(), 0, at, at, at, at, 'closed', 'not_placed', 'cancelled', '{{}}', '{{}}', at, at
    FROM (SELECT now() - interval '1 second' * i AS at FROM generate_series(1, {DONE}) AS i) AS past
"""
UNDECIDED_ORDERS = f"""
    INSERT INTO saga (order_id, repeats, asked_at, due_at, phase, standing, granted, deadline, accepted_at)
    SELECT gen_random_uuid(), 0, at, at, 'reserving', '{{"store": "asked"}}', '{{}}', at + interval '15 s', at
    FROM (SELECT now() - interval '1 minute' * i AS at FROM generate_series(1, {ALIVE}) AS i) AS past
"""
DONE_RESERVATIONS = f"""
    INSERT INTO reservation (order_id, state, reason, unit_ids, completed, inquiries, forget_at, traceparent,
        changed_at)
    SELECT gen_random_uuid(), 'released', 'released', '{{}}', false, 0, now(), '', now() - interval '1 second' * i
    FROM generate_series(1, {DONE}) AS i
"""
CONFIRMED_AGENTS = f"""
    WITH agents AS (
        INSERT INTO agent (agent_id, zone, online, idle_since, order_id)
        SELECT 'A-' || i, 'z', true, now(), CASE WHEN i <= {ALIVE} THEN gen_random_uuid() END
        FROM generate_series(1, {2 * ALIVE}) AS i RETURNING agent_id, order_id
    )
    INSERT INTO reservation (order_id, state, unit_ids, expires_at, assigned_at, completed, inquiries, traceparent,
        changed_at)
    SELECT order_id, 'confirmed', ARRAY[agent_id], now(), now(), false, 0, '',
        now() - interval '1 hour' * row_number() OVER ()
    FROM agents WHERE order_id IS NOT NULL
"""
PARKED = f"""
    INSERT INTO parked (message_id, queue, reason, detail, body, from_outside)
    SELECT gen_random_uuid(), 'q', CASE WHEN i <= {ALIVE} THEN 'handler_failed' ELSE 'invalid' END, '', '', true
    FROM generate_series({DONE}, 1, -1) AS i
"""
KEPT = f"""
    INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)
    SELECT 'outcomes', 'order_placed', '', 1, now(), now() - interval '1 hour' * i FROM generate_series(1, {ALIVE}) AS i
"""


@pytest.mark.parametrize(
    ("service", "rows", "tables", "expected"),
    [
        pytest.param(
            SAGA,
            (DONE_ORDERS, UNDECIDED_ORDERS),
            ("saga",),
            {"undecided_orders": 3, "undecided_oldest_seconds": 180, "undecided_overdue_seconds": 165},
            id="order_saga",
        ),
        pytest.param(
            DELIVERY,
            (DONE_RESERVATIONS, CONFIRMED_AGENTS),
            ("reservation", "agent"),
            {"confirmed_oldest_seconds": 3 * 3_600},
            id="delivery_worker",
        ),
    ],
)
async def test_of_a_table_that_has_grown_only_what_is_alive_is_read(
    new_database: NewDatabase,
    service: Service,
    rows: Sequence[str],
    tables: Sequence[str],
    expected: dict[str, float],
) -> None:
    database = Database(await new_database(*service.migrations))
    await database.open()
    began = time.monotonic()
    async with database.transaction() as tx:
        for statement in (*rows, PARKED):
            await tx.execute(statement)
    metrics = Metrics(measures_of(service))
    async with database.transaction() as tx:
        await measure(metrics, tx)
        older = time.monotonic() - began
        read = {table: await most_rows_read(tx, table, metrics) for table in (*tables, "outbox", "parked")}
    await database.close()

    measured = {name: metrics.registry.get_sample_value(f"ordersaga_{name}") for name in expected}
    assert measured == pytest.approx(expected, abs=older + 1)
    assert read.pop("parked") == MOST_MEASURED
    assert max(read.values()) <= 2 * ALIVE, read
    assert _parked(metrics) == [ALIVE, MOST_MEASURED - ALIVE]


async def test_the_outbox_is_measured_by_its_rows_and_by_the_oldest_of_them(new_database: NewDatabase) -> None:
    database = Database(await new_database(*SAGA.migrations))
    await database.open()
    metrics = Metrics(measures_of(SAGA))
    async with database.transaction() as tx:
        await tx.execute(KEPT)
        await measure(metrics, tx)
    await database.close()

    assert metrics.registry.get_sample_value("ordersaga_outbox_rows") == ALIVE
    oldest = metrics.registry.get_sample_value("ordersaga_outbox_oldest_seconds")
    assert oldest == pytest.approx(3_600 * ALIVE, abs=60)


async def test_what_is_parked_is_ours_if_we_gave_it_up_or_one_of_us_sent_it(new_database: NewDatabase) -> None:
    database = Database(await new_database(*SAGA.migrations))
    await database.open()
    metrics = Metrics(measures_of(SAGA))
    kinds = [
        ("handler_failed", True),
        ("dead_lettered", True),
        ("invalid", False),
        ("invalid", True),
        ("expired", True),
    ]
    async with database.transaction() as tx:
        for reason, from_outside in kinds:
            await park(tx, [Malformed(b"", uuid4(), reason, "", from_outside=from_outside)])
        await measure(metrics, tx)
    await database.close()

    assert _parked(metrics) == [3, 2]


async def test_where_nothing_is_alive_nothing_is_old(new_database: NewDatabase) -> None:
    for service in (SAGA, DELIVERY):
        database = Database(await new_database(*service.migrations))
        await database.open()
        metrics = Metrics(measures_of(service))
        async with database.transaction() as tx:
            await measure(metrics, tx)
        await database.close()
        for each in measures_of(service):
            assert metrics.registry.get_sample_value(f"ordersaga_{each.name}", dict(each.labels)) == 0


def _parked(metrics: Metrics) -> list[float | None]:
    """Through our own fault, and through others'."""
    return [
        metrics.registry.get_sample_value("ordersaga_parked_documents", {"fault": who}) for who in ("ours", "theirs")
    ]


async def most_rows_read(tx: Transaction, table: str, metrics: Metrics) -> int:
    """By one node of the plan, whether they were of use or not."""
    question = _question(tuple(metrics.measured.measures))
    ((explained,),) = await tx.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {question}")
    scans = [node for node in nodes(json.loads(explained)[0]["Plan"]) if node.get("Relation Name") == table]
    assert scans, table
    return int(
        max((scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"] for scan in scans)
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)
