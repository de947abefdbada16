"""The audit, on the tables of three services that have placed, refused, cancelled and delivered orders."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

import delivery_worker.service
import delivery_worker.settings
from deploy.definitions import all_services
from messages.contracts.delivery import AgentCameOnline
from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import StockReceived
from messages.transport.broker import Broker
from messages.transport.command_line.failures import Unreachable
from messages.transport.daemon.process import Process
from messages.transport.edge.connection import publish_until_confirmed
from messages.transport.edge.requests import new_request
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import listener, topology_of
from order_saga.inspection import audit as auditing
from order_saga.inspection.audit import examine
from order_saga.inspection.snapshot import Finding
from tests.integration.small_system import Urls, databases, place_all, running, until

LATER = datetime.now(UTC) + timedelta(days=3)
MINE = listener("test")
QUEUE = MINE.queues[0].name
SETTLED = """
    SELECT count(*) FILTER (WHERE state = 'confirmed') = 1 AND count(*) FILTER (WHERE state = 'fulfilled') = 1
        AND count(*) FILTER (WHERE state IN ('reserved', 'assigned')) = 0
    FROM published.holdings
"""
KEEP = """
    DO $$ DECLARE name text; BEGIN
        CREATE SCHEMA IF NOT EXISTS kept;
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p') AND NOT relispartition AND to_regclass('kept.' || relname) IS NULL
        LOOP EXECUTE format('CREATE TABLE kept.%1$I AS TABLE %1$I', name); END LOOP;
    END $$
"""
RESTORE = """
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'kept'::regnamespace
        LOOP
            EXECUTE format('DELETE FROM %1$I; INSERT INTO %1$I OVERRIDING SYSTEM VALUE TABLE kept.%1$I', name);
        END LOOP;
    END $$
"""


@dataclass(frozen=True)
class World:
    """Databases in which everything is as it should be, with an order of each kind."""

    urls: Urls
    placed: UUID
    delivered: UUID
    refused: UUID
    cancelled: UUID

    async def corrupt(self, service: str, statements: str) -> None:
        """Change what the services would never change: `{placed}` and so on stand for the orders."""
        connection = await asyncpg.connect(self.urls[service])
        try:
            # No trigger shall stand between a test and its corruption.
            await connection.execute("SET session_replication_role = replica")
            await connection.execute(statements.format_map({name: str(value) for name, value in vars(self).items()}))
        finally:
            await connection.close()


async def audit(urls: Mapping[str, str], grace_seconds: float = 0.0, *, at_rest: bool = False) -> list[Finding]:
    return list((await examine(urls, grace_seconds, at_rest=at_rest)).findings)


def park(*documents: str) -> str:
    """`(type, reason, from outside, parked at)` each."""
    return f"""
        INSERT INTO parked (message_id, type, queue, reason, detail, body, parked_at, from_outside)
        SELECT gen_random_uuid(), type, 'a.queue', reason, 'x', ''::bytea, parked_at, from_outside
        FROM (VALUES {", ".join(documents)}) AS given (type, reason, from_outside, parked_at)
    """


def order(quantity: int = 2) -> bytes:
    lines = [{"sku": "milk", "quantity": quantity, "price_cents": 129}]
    return json.dumps({"customer_id": "C-1", "store_id": "north", "zone": "centre", "lines": lines}).encode()


def cancel() -> bytes:
    return json.dumps({"type": "CancelOrder/1.0", "order_id": str(uuid.uuid4())}).encode()


@pytest.fixture(scope="module")
async def prepared(postgres_url: str) -> AsyncIterator[World]:
    """Three services have lived, and are gone."""
    exchanges = InProcessBroker(topology_of(all_services()))
    exchanges.declare(MINE)
    async with databases(postgres_url) as urls:
        async with running(urls, exchanges.beside):
            broker = exchanges.beside()
            await broker.start()
            await stock(broker, urls)
            world = await live(broker, urls)
            await broker.close()
        yield world


@pytest.fixture
async def world(prepared: World) -> AsyncIterator[World]:
    """Is again as it was, after the test."""
    for service in prepared.urls:
        await prepared.corrupt(service, KEEP)
    yield prepared
    for service in prepared.urls:
        await prepared.corrupt(service, RESTORE)


async def stock(broker: Broker, urls: Urls) -> None:
    names = tuple(f"P-{number}" for number in range(20))
    goods = new_request(StockReceived, store_id="north", sku="milk", best_before=LATER, packet_ids=names)
    await publish_until_confirmed(
        broker, [goods, *(new_request(AgentCameOnline, agent_id=each, zone="centre") for each in ("A-1", "A-2"))]
    )
    await until(urls["store_worker"], "SELECT count(*) = 20 FROM published.stock")
    await until(urls["delivery_worker"], "SELECT count(*) = 2 FROM published.stock")


async def live(broker: Broker, urls: Urls) -> World:
    answers = await place_all(broker, QUEUE, [order(), order(3), order(99), cancel()])
    placed, delivered, refused, cancelled = (answer.asked.order_id for answer in answers)
    await publish_until_confirmed(broker, [new_request(DeliveryCompleted, order_id=delivered)])
    for worker in ("store_worker", "delivery_worker"):
        await until(urls[worker], SETTLED)
    await until(
        urls["order_saga"], "SELECT bool_and(cleaned_at IS NOT NULL OR outcome = 'placed') FROM published.orders"
    )
    return World(urls, placed, delivered, refused, cancelled)


async def test_a_clean_system_is_clean(world: World) -> None:
    report = await examine(world.urls, 0.0, at_rest=True)

    assert report.findings == []
    assert (report.orders, report.parked_by_others) == (4, 0)


CORRUPTIONS = {
    "a placed order's reservation is gone": (
        "store_worker",
        "DELETE FROM reservation WHERE order_id = '{placed}'",
        ("I1", "{placed}", "store: the order is placed, but its reservation here is absent"),
    ),
    "a placed order's agent is released": (
        "delivery_worker",
        """UPDATE reservation SET state = 'released', reason = 'released', unit_ids = '{{}}', forget_at = now()
            WHERE order_id = '{placed}'; UPDATE agent SET order_id = NULL""",
        ("I1", "{placed}", "delivery: the order is placed, but its reservation here is released"),
    ),
    "a packet of a placed order is back on the shelf": (
        "store_worker",
        """UPDATE packet SET order_id = NULL
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id = '{placed}')""",
        ("I2", "{placed}", "confirmed, but held by another order or by none"),
    ),
    "a placed order's packet is another order's": (
        "store_worker",
        """UPDATE packet SET order_id = '{delivered}'
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id = '{placed}')""",
        ("I2", "{placed}", "confirmed, but held by another order or by none"),
    ),
    "a packet is delivered to two customers": (
        "store_worker",
        """UPDATE reservation SET unit_ids = (SELECT unit_ids FROM reservation WHERE order_id = '{placed}')
            WHERE order_id = '{delivered}'""",
        ("I2", "{delivered}", "fulfilled, but held by another order or by none"),
    ),
    "the customer was promised other packets": (
        "order_saga",
        """UPDATE saga SET granted = jsonb_set(granted, '{{store}}', '["P-77", "P-78"]') WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: P-77, P-78 promised to the customer, but"),
    ),
    "the customer ordered more": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,quantity}}', '3')
            WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: 2 units confirmed, but 3 wanted"),
    ),
    "the customer ordered another sku": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,sku}}', '"bread"')
            WHERE order_id = '{placed}'""",
        ("I1", "{placed}", "store: 2 x bread missing"),
    ),
    "the customer ordered less": (
        "order_saga",
        """UPDATE saga SET request = jsonb_set(request::jsonb, '{{lines,0,quantity}}', '1')
            WHERE order_id = '{placed}'""",
        ("I2", "{placed}", "store: 1 x milk more than requested"),
    ),
    "the packets are another store's": (
        "store_worker",
        """UPDATE packet SET store_id = 'south' WHERE order_id = '{placed}';
            UPDATE received SET received = received - 2; INSERT INTO received VALUES ('south', 'milk', 2)""",
        ("I1", "{placed}", "from another place than north"),
    ),
    "the agent works in another zone": (
        "delivery_worker",
        "UPDATE agent SET zone = 'south' WHERE order_id = '{placed}'",
        ("I1", "{placed}", "from another place than centre"),
    ),
    "a packet has vanished": (
        "store_worker",
        "DELETE FROM packet WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id IS NULL)",
        ("I3", None, "north should have 20 of milk, sold or not, but has 19"),
    ),
    "a packet was never received": (
        "store_worker",
        "INSERT INTO packet (packet_id, store_id, sku, best_before) VALUES ('P-99', 'north', 'bread', now() + '1 day')",
        ("I3", None, "north should have 0 of bread, sold or not, but has 1"),
    ),
    "a refused order holds a packet": (
        "store_worker",
        """UPDATE packet SET order_id = '{refused}'
            WHERE packet_id = (SELECT min(packet_id) FROM packet WHERE order_id IS NULL)""",
        ("I3", "{refused}", "held, but the reservation is refused without them"),
    ),
    "a cancelled order holds an agent": (
        "delivery_worker",
        "UPDATE agent SET order_id = '{cancelled}' WHERE order_id IS NULL",
        ("I3", "{cancelled}", "delivery: A-"),
    ),
    "a refused order's release was forgotten": (
        "delivery_worker",
        """UPDATE reservation SET state = 'assigned', reason = NULL, unit_ids = '{{A-1}}', forget_at = NULL,
            due_at = now(), assigned_at = now(), expires_at = now() WHERE order_id = '{refused}'""",
        ("I3", "{refused}", "delivery: A-1 assigned for an order that every participant has released"),
    ),
    "a placed order is not confirmed": (
        "store_worker",
        "UPDATE reservation SET state = 'assigned', due_at = now() WHERE order_id = '{placed}'",
        ("I3", "{placed}", "store: still assigned, though the order was placed at"),
    ),
    "an order that was not placed is confirmed": (
        "order_saga",
        """UPDATE saga SET phase = 'closed', outcome = 'not_placed', reason = 'cancelled', granted = '{{}}',
            standing = '{{}}', cleaned_at = now() WHERE order_id = '{placed}'""",
        ("I3", "{placed}", "store: confirmed, but the order is not_placed"),
    ),
    "the orchestrator has forgotten an order": (
        "order_saga",
        "DELETE FROM saga WHERE order_id = '{placed}'",
        ("I3", "{placed}", "confirmed for an order that the order saga does not know"),
    ),
    "the orchestrator has forgotten a delivered order": (
        "order_saga",
        "DELETE FROM saga WHERE order_id = '{delivered}'",
        ("I3", "{delivered}", "fulfilled for an order that the order saga does not know"),
    ),
    "an order is not decided": (
        "order_saga",
        """UPDATE saga SET phase = 'reserving', outcome = NULL, reason = NULL, decided_at = NULL, cleaned_at = NULL
            WHERE order_id = '{refused}'""",
        ("I4", "{refused}", "still undecided (reserving), due at"),
    ),
    "an order is not clean": (
        "order_saga",
        "UPDATE saga SET phase = 'releasing', cleaned_at = NULL WHERE order_id = '{refused}'",
        ("I4", "{refused}", "but not released by every participant (releasing)"),
    ),
    "two outcomes were told": (
        "order_saga",
        "INSERT INTO timeline VALUES (now(), ARRAY['{placed}'::uuid], 'OutcomeTold', 'not_placed', '')",
        ("I5", "{placed}", "outcome placed, but the customer was told not_placed and placed"),
    ),
    "the outcome has been turned": (
        "order_saga",
        """UPDATE saga SET phase = 'closed', outcome = 'not_placed', reason = 'cancelled', granted = '{{}}',
            standing = '{{}}', cleaned_at = now() WHERE order_id = '{placed}'""",
        ("I5", "{placed}", "outcome not_placed, but the customer was told placed"),
    ),
    "an envelope was never said": (
        "delivery_worker",
        """INSERT INTO outbox (exchange, key, body, documents, publish_after)
            VALUES ('answers', 'order_saga.answers', '', 1, now())""",
        ("I6", None, "stuck in the outbox: 1 envelope"),
    ),
    "a command could not be handled": (
        "store_worker",
        """INSERT INTO parked (message_id, type, order_id, queue, reason, detail, body)
            VALUES (gen_random_uuid(), 'ReservePackets/1.0', '{placed}', 'store_worker.reserve', 'handler_failed',
                'x', '')""",
        ("I6", "{placed}", "parked: ReservePackets/1.0 from store_worker.reserve: handler_failed, x"),
    ),
    "a good order could not be handled": (
        "order_saga",
        """INSERT INTO parked (message_id, type, queue, reason, detail, body)
            VALUES (gen_random_uuid(), 'OrderRequested/1.0', 'order_saga.orders', 'handler_failed', 'x', '')""",
        ("I6", None, "parked: OrderRequested/1.0 from order_saga.orders: handler_failed, x"),
    ),
    "an answer could not be read": (
        "order_saga",
        """INSERT INTO parked (message_id, type, queue, reason, detail, body)
            VALUES (gen_random_uuid(), 'PacketsReserved/2.0', 'order_saga.answers', 'unknown_version', 'x', '')""",
        ("I6", None, "parked: PacketsReserved/2.0 from order_saga.answers: unknown_version, x"),
    ),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_a_corruption_is_found_and_named(world: World, corruption: str) -> None:
    service, statements, (invariant, order_name, sentence) = CORRUPTIONS[corruption]
    order_id = vars(world)[order_name.strip("{}")] if order_name else None
    await world.corrupt(service, statements)

    findings = await audit(world.urls, at_rest=True)

    assert any(
        (finding.invariant, finding.order_id) == (invariant, order_id) and sentence in finding.sentence
        for finding in findings
    ), findings


async def test_where_an_agent_goes_after_a_delivery_is_nobody_s_concern(world: World) -> None:
    await world.corrupt("delivery_worker", "UPDATE agent SET zone = 'south' WHERE order_id IS NULL")

    assert await audit(world.urls, at_rest=True) == []


async def test_that_somebody_is_gone_who_never_came_is_nobody_s_concern(world: World) -> None:
    await world.corrupt(
        "delivery_worker",
        "INSERT INTO agent (agent_id, zone, online, idle_since, said_at) VALUES ('A-9', '', false, now(), now())",
    )

    assert await audit(world.urls, at_rest=True) == []


async def test_what_its_sender_got_wrong_accuses_nobody_here(world: World) -> None:
    await world.corrupt(
        "order_saga",
        park("('OrderRequested/1.0', 'invalid', true, now())", "(NULL, 'not_json', true, now())"),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    assert (report.findings, report.parked_by_others) == ([], 2)


@pytest.mark.parametrize(
    ("wire_type", "reason", "from_outside", "ours"),
    [
        ("ReservePackets/1.0", "handler_failed", False, True),
        ("OrderRequested/1.0", "handler_failed", True, True),
        ("OrderRequested/1.0", "dead_lettered", True, True),
        (None, "dead_lettered", False, True),
        ("ReservePackets/9.0", "unknown_version", False, True),
        ("ReservePackets/9.0", "unknown_version", True, False),
        ("ReservePackets", "unknown_version", False, True),
        ("PacketsAssigned/1.0", "forbidden", True, False),
        ("OrderRequested/1.0", "invalid", True, False),
        ("OrderRequested/1.0", "invalid", False, True),
        ("/1.0", "unknown_type", False, True),
        (None, "not_json", True, False),
        (None, "not_json", False, True),
    ],
)
async def test_what_a_client_says_wrong_is_not_our_fault(
    world: World, wire_type: str | None, reason: str, from_outside: bool, ours: bool
) -> None:
    named = f"'{wire_type}'" if wire_type else "NULL"
    await world.corrupt("store_worker", park(f"({named}, '{reason}', {from_outside}, now())"))

    report = await examine(world.urls, 0.0, at_rest=True)

    assert [finding.invariant for finding in report.findings] == ["I6"] * ours
    assert report.parked_by_others == (not ours)


async def test_what_is_our_fault_is_seen_however_much_clients_have_parked_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_PARKED", 1)
    await world.corrupt(
        "order_saga",
        park(
            "(NULL, 'not_json', true, now() - interval '2 days')",
            "(NULL, 'not_json', true, now() - interval '1 day')",
            "('OrderRequested/1.0', 'handler_failed', true, now())",
        ),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    assert [(finding.invariant, finding.service) for finding in report.findings] == [("I6", "order_saga")]
    assert report.parked_by_others == 2


async def test_of_more_faults_of_ours_than_are_told_the_oldest_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_PARKED", 1)
    await world.corrupt(
        "order_saga",
        park(
            "('CancelOrder/1.0', 'handler_failed', true, now())",
            "('OrderRequested/1.0', 'handler_failed', true, now() - interval '1 day')",
        ),
    )

    report = await examine(world.urls, 0.0, at_rest=True)

    (finding,) = report.findings
    assert finding.sentence.startswith("parked: OrderRequested/1.0 ")
    assert report.parked_by_others == 0


async def test_of_more_findings_than_are_kept_all_orders_are_counted_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "MOST_FINDINGS", 1)
    await world.corrupt("store_worker", "DELETE FROM reservation")

    report = await examine(world.urls, 0.0, at_rest=True)

    assert (len({finding.order_id for finding in report.findings} - {None}), report.orders) == (1, 4)


async def test_a_suspect_that_has_mended_itself_meanwhile_is_not_accused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    graces: list[float] = []

    async def mend(seconds: float) -> None:
        graces.append(seconds)
        await world.corrupt(
            "order_saga", "UPDATE saga SET phase = 'closed', cleaned_at = now() WHERE order_id = '{refused}'"
        )

    monkeypatch.setattr(auditing, "sleep", mend)
    unclean = "UPDATE saga SET phase = 'releasing', cleaned_at = NULL, decided_at = now() - interval '1 hour'"
    await world.corrupt("order_saga", f"{unclean} WHERE order_id = '{{refused}}'")

    assert await audit(world.urls, 7.0) == []
    assert graces == [7.0]


async def test_what_is_suspicious_for_the_first_time_is_not_accused_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go_on(_: float) -> None:
        await world.corrupt("order_saga", "UPDATE saga SET cleaned_at = now() WHERE order_id = '{refused}'")
        await world.corrupt("store_worker", "UPDATE packet SET order_id = '{refused}' WHERE order_id IS NULL")

    monkeypatch.setattr(auditing, "sleep", go_on)
    unclean = "UPDATE saga SET cleaned_at = NULL, decided_at = now() - interval '1 hour'"
    await world.corrupt("order_saga", f"DROP TRIGGER no_contradiction ON saga; {unclean}")

    assert {finding.invariant for finding in await audit(world.urls, 7.0)} == {"I4"}


async def test_a_suspect_that_stays_one_is_accused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_: float) -> None:
        """Nothing mends itself."""

    monkeypatch.setattr(auditing, "sleep", wait)
    await world.corrupt("store_worker", "DELETE FROM reservation WHERE order_id = '{placed}'")
    await world.corrupt("store_worker", "DELETE FROM packet WHERE order_id IS NULL")

    findings = await audit(world.urls, 7.0)

    assert {finding.invariant for finding in findings} == {"I1", "I3"}
    assert {finding.order_id for finding in findings} == {world.placed, None}


@pytest.mark.parametrize(("since", "accused"), [("1 hour", ["I6"]), ("30 seconds", [])])
async def test_of_a_live_system_only_what_is_overdue_is_stuck(
    world: World, monkeypatch: pytest.MonkeyPatch, since: str, accused: list[str]
) -> None:
    async def wait(_: float) -> None:
        """Nobody says it."""

    monkeypatch.setattr(auditing, "sleep", wait)
    await world.corrupt(
        "delivery_worker",
        f"""INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)
            VALUES ('answers', 'order_saga.answers', '', 1, now(), now() - interval '{since}')""",
    )

    report = await examine(world.urls, 7.0)

    assert [finding.invariant for finding in report.findings] == accused


async def test_an_envelope_that_relays_publish_in_vain_is_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "PUBLISHED_WITHIN_SECONDS", 1.0)
    settings = delivery_worker.settings.Settings(
        database_url=world.urls["delivery_worker"],
        publish_timeout_seconds=0.1,
        relay_after_seconds=0.5,
        drain_seconds=0.1,
        relay_interval_seconds=0.1,
    )
    service = delivery_worker.service.service(settings)
    await world.corrupt(
        "delivery_worker",
        """INSERT INTO outbox (exchange, key, body, documents, publish_after)
            VALUES ('answers', 'nobody.answers', '{{"message_id": "1", "type": "AgentReserved/1.0"}}', 1, now())""",
    )
    stop = asyncio.Event()
    process = asyncio.create_task(Process(service, settings, InProcessBroker(topology_of([service]))).run(stop))
    try:
        relayed = "SELECT bool_and(publish_after > now() AND kept_at < now() - interval '1.5 s') FROM outbox"
        await until(world.urls["delivery_worker"], relayed)
        report = await examine(world.urls, 0.2)
    finally:
        stop.set()
        await process

    assert [finding.sentence for finding in report.findings] == ["stuck in the outbox: 1 envelope"]


async def test_a_live_system_under_load_is_not_accused(postgres_url: str) -> None:
    exchanges = InProcessBroker(topology_of(all_services()))
    exchanges.declare(MINE)
    async with databases(postgres_url) as urls, running(urls, exchanges.beside):
        broker = exchanges.beside()
        await broker.start()
        await stock(broker, urls)
        async with asyncio.TaskGroup() as tasks:
            placing = tasks.create_task(place_all(broker, QUEUE, [order(1) for _ in range(300)]))
            while not placing.done():
                assert await audit(urls, 10.0) == []  # which waits only where something looks wrong
        assert Counter(answer.is_success for answer in placing.result()) == {True: 2, False: 298}


async def test_a_database_that_is_not_there_is_named(world: World) -> None:
    nowhere = dict(world.urls) | {"store_worker": "postgresql://postgres@127.0.0.1:1/nowhere"}

    with pytest.raises(Unreachable, match=r"^STORE_WORKER_DATABASE_URL: "):
        await audit(nowhere)
