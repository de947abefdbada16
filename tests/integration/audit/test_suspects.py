"""In a live system, only what stays wrong for long is accused."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

import delivery_worker.service
import delivery_worker.settings
from messages.transport.daemon.process import Process
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import topology_of
from order_saga.inspection import audit as auditing
from order_saga.inspection import queries
from order_saga.inspection.audit import examine
from tests.integration.audit.worlds import World, audit
from tests.integration.small_system import until


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


async def test_what_is_suspicious_elsewhere_for_the_first_time_is_not_accused_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go_on(_: float) -> None:
        await world.corrupt("store_worker", "UPDATE packet SET order_id = NULL WHERE order_id = '{refused}'")
        await world.corrupt("delivery_worker", "UPDATE agent SET order_id = '{refused}' WHERE order_id IS NULL")

    monkeypatch.setattr(auditing, "sleep", go_on)
    await world.corrupt("store_worker", "UPDATE packet SET order_id = '{refused}' WHERE packet_id = 'P-9'")
    assert [each.service for each in await audit(world.urls, at_rest=True)] == ["store_worker"]

    assert await audit(world.urls, 7.0) == []


async def test_a_suspect_that_stays_one_is_accused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(_: float) -> None:
        """Nothing mends itself."""

    monkeypatch.setattr(auditing, "sleep", wait)
    await world.corrupt("store_worker", "DELETE FROM reservation WHERE order_id = '{placed}'")
    await world.corrupt("store_worker", "DELETE FROM packet WHERE order_id IS NULL")

    report = await examine(world.urls, 7.0)

    assert {finding.invariant for finding in report.findings} == {"I1", "I3"}
    assert {finding.order_id for finding in report.findings} == {world.placed, None}
    assert report.orders == 4, "though only one of them was looked at again"


async def test_a_suspect_is_accused_however_much_else_seems_wrong_by_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = sorted([world.placed, world.delivered])

    async def go_on(_: float) -> None:
        await world.corrupt("store_worker", f"DELETE FROM reservation WHERE order_id = '{first}'")

    monkeypatch.setattr(auditing, "sleep", go_on)
    monkeypatch.setattr(auditing, "MOST_FINDINGS", 1)
    await world.corrupt("store_worker", f"DELETE FROM reservation WHERE order_id = '{last}'")

    assert {finding.order_id for finding in await audit(world.urls, 7.0)} == {last}


@pytest.mark.parametrize(
    ("since", "grace_seconds", "accused"),
    [
        ("1 hour", 7.0, ["I6"]),
        ("1 hour", 7_200.0, []),
        ("30 seconds", 7.0, []),
        ("-30 minutes", 7.0, []),
        ("-2 hours", 7.0, ["I6"]),
    ],
)
async def test_of_a_live_system_only_what_is_overdue_is_stuck(
    world: World, monkeypatch: pytest.MonkeyPatch, since: str, grace_seconds: float, accused: list[str]
) -> None:
    async def wait(_: float) -> None:
        """Nobody says it."""

    monkeypatch.setattr(auditing, "sleep", wait)
    await world.corrupt(
        "delivery_worker",
        f"""INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)
            VALUES ('answers', 'order_saga.answers', '', 1, now(), now() - interval '{since}')""",
    )

    report = await examine(world.urls, grace_seconds)

    assert [finding.invariant for finding in report.findings] == accused


async def test_an_envelope_that_is_on_its_way_is_not_taken_for_one_that_was_stuck(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = """INSERT INTO outbox (exchange, key, body, documents, publish_after, kept_at)
        VALUES ('answers', 'order_saga.answers', '', 1, now(), now() - interval '{} s')"""

    async def go_on(_: float) -> None:
        await world.corrupt("delivery_worker", f"DELETE FROM outbox; {keep.format(1)}")

    monkeypatch.setattr(auditing, "sleep", go_on)
    await world.corrupt("delivery_worker", keep.format(3_600))

    assert await audit(world.urls, 7.0) == []


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


async def test_a_second_look_reads_no_stories_of_orders_that_are_not_suspects(world: World) -> None:
    connection = await asyncpg.connect(world.urls["order_saga"])
    plan = await connection.fetch(f"EXPLAIN ANALYZE {queries.TOLD}", [UUID(int=77)])
    await connection.close()

    (expanding,) = [line[0] for line in plan if "Function Scan" in line[0]]
    assert "(never executed)" in expanding
