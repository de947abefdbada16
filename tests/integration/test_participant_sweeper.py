"""Scheduled work on reservations against a real PostgreSQL: many at once, bad rows, limits."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

import store_worker.service
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.participation import OutcomeRequested
from messages.contracts.store import (
    AssignPackets,
    PacketsRefused,
    ReleasePackets,
    ReservePackets,
    StockReceived,
    Want,
)
from messages.participant import queries, sweeper
from store_worker import queries as packets
from store_worker.service import BEFORE_ALL_SHELVES, service
from store_worker.settings import Settings
from tests.conftest import NewDatabase
from tests.integration.workers import TRACE, Worker, in_seconds

STORE = "berlin-1"


def reserve(order_id: UUID) -> ReservePackets:
    return ReservePackets(
        order_id=order_id,
        store_id=STORE,
        wants=(Want(sku="milk", quantity=1),),
        lease_seconds=60,
        not_after=in_seconds(60),
    )


def assign(order_id: UUID) -> AssignPackets:
    return AssignPackets(order_id=order_id, not_after=in_seconds(60))


def expired(order_id: UUID) -> PacketsRefused:
    return PacketsRefused(order_id=order_id, reason="reservation_expired")


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*service(Settings(database_url="postgresql://elsewhere/")).migrations)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Worker]:
    worker = await a_worker(url)
    yield worker
    await worker.stop()


async def a_worker(url: str) -> Worker:
    settings = Settings(database_url="postgresql://elsewhere/", inquiry_after_seconds=30)
    return await Worker.start(service(settings), url)


async def reserved_orders(store: Worker, count: int) -> list[UUID]:
    orders = [uuid4() for _ in range(count)]
    packet_ids = tuple(f"M-{n}" for n in range(count))
    await store.hear(StockReceived(store_id=STORE, sku="milk", best_before=in_seconds(864_000), packet_ids=packet_ids))
    await store.hear(*(reserve(order) for order in orders))
    return orders


async def expire_all(store: Worker) -> None:
    await store.execute("UPDATE reservation SET expires_at = clock_timestamp(), due_at = clock_timestamp()")


async def let_pass(store: Worker, seconds: float) -> None:
    """Everything is that much longer ago."""
    await store.execute(
        "UPDATE reservation SET due_at = due_at - make_interval(secs => $1),"
        " expires_at = expires_at - make_interval(secs => $1), assigned_at = assigned_at - make_interval(secs => $1)",
        seconds,
    )


async def make_bad(store: Worker, order: UUID, columns: str) -> None:
    """From now on the database refuses to change these columns of one order's reservation."""
    await store.execute(f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'bad row' USING ERRCODE = 'check_violation'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE {columns} ON reservation
            FOR EACH ROW WHEN (OLD.order_id = '{order}') EXECUTE FUNCTION refuse();
    """)


async def test_leases_that_are_over_are_freed_and_the_orchestrator_hears_of_it(store: Worker) -> None:
    over, running = await reserved_orders(store, 2)
    await store.expire(over)

    assert await store.run("sweep") == [expired(over)]
    assert await store.holdings() == {over: "expired", running: "reserved"}
    assert sorted((await store.stock()).values()) == ["free", "reserved"]
    assert store.handled[-1].outgoing[0].traceparent == TRACE
    assert store.timeline[-1] == ("expired", "refused: reservation_expired")


async def test_a_sweep_goes_on_until_everything_is_swept(store: Worker) -> None:
    orders = await reserved_orders(store, 450)
    await expire_all(store)

    answers = await store.run("sweep")

    assert {answer.order_id for answer in answers} == set(orders)
    assert len(answers) == 450


async def test_many_sweepers_expire_each_reservation_once(store: Worker, url: str) -> None:
    orders = await reserved_orders(store, 30)
    await expire_all(store)
    others = [await a_worker(url) for _ in range(2)]

    said = await asyncio.gather(*(worker.run("sweep") for worker in (store, *others)))

    assert sorted(answer.order_id for answers in said for answer in answers if answer.order_id) == sorted(orders)
    assert set((await store.stock()).values()) == {"free"}
    for worker in others:
        await worker.stop()


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("OF state", id="one that can be put off"),
        pytest.param("", id="one that cannot even be put off"),
    ],
)
async def test_one_bad_row_never_blocks_the_rest(store: Worker, columns: str) -> None:
    bad, *good = await reserved_orders(store, 4)
    await expire_all(store)
    await make_bad(store, bad, columns)

    answers = await store.run("sweep")

    assert sorted(answer.order_id for answer in answers if answer.order_id) == sorted(good)
    assert store.alarms == ["cannot_sweep"]
    assert await store.holdings() == {bad: "reserved", **dict.fromkeys(good, "expired")}


async def make_unreadable(store: Worker, order: UUID) -> None:
    """A state that only another release knows."""
    for constraint in ("reservation_state_check", "holds_units", "looked_after"):
        await store.execute(f"ALTER TABLE reservation DROP CONSTRAINT {constraint}")
    await store.execute("UPDATE reservation SET state = 'lost' WHERE order_id = $1", order)


async def test_one_row_that_cannot_be_read_never_blocks_the_rest(store: Worker) -> None:
    bad, *good = await reserved_orders(store, 4)
    await expire_all(store)
    await make_unreadable(store, bad)

    answers = await store.run("sweep")

    assert sorted(answer.order_id for answer in answers if answer.order_id) == sorted(good)
    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"], "it is put off"


async def test_a_row_that_cannot_be_read_is_pruned_like_any_other(store: Worker) -> None:
    bad, good = await reserved_orders(store, 2)
    await store.hear(ReleasePackets(order_id=good))
    await make_unreadable(store, bad)
    await store.execute("UPDATE reservation SET forget_at = now()")

    await store.run("prune")

    assert await store.holdings() == {}


async def test_a_bad_row_is_put_off_and_not_tried_at_every_turn(store: Worker) -> None:
    (bad,) = await reserved_orders(store, 1)
    await expire_all(store)
    await make_bad(store, bad, "OF state")

    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"]
    await store.run("sweep")
    assert store.alarms == ["cannot_sweep"]


@pytest.mark.parametrize("putting_off", [False, True], ids=["while it is swept", "while it is put off"])
async def test_a_failing_database_makes_no_reservation_a_culprit(store: Worker, putting_off: bool) -> None:
    await reserved_orders(store, 1)
    await expire_all(store)
    await store.execute(f"""
        CREATE FUNCTION run_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'as arranged' USING ERRCODE = CASE
                WHEN {putting_off} AND NEW.state <> OLD.state THEN 'check_violation' ELSE 'out_of_memory' END;
        END $$;
        CREATE TRIGGER runs_out BEFORE UPDATE ON reservation FOR EACH ROW
            WHEN ({putting_off} OR NEW.state <> OLD.state) EXECUTE FUNCTION run_out();
    """)

    with pytest.raises(asyncpg.OutOfMemoryError):
        await store.run("sweep")


async def test_a_whole_batch_of_bad_rows_does_not_keep_the_sweeper_spinning(store: Worker) -> None:
    await reserved_orders(store, 200)
    await expire_all(store)
    await store.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'bad row' USING ERRCODE = 'check_violation'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON reservation FOR EACH ROW EXECUTE FUNCTION refuse();
    """)

    assert await store.run("sweep") == []
    assert len(store.alarms) == 200


async def test_the_outcome_of_what_is_assigned_for_long_is_asked_for(store: Worker) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    inquiry = OutcomeRequested(order_id=order, participant="store")

    assert await store.run("sweep") == []
    await let_pass(store, 31)
    assert await store.run("sweep") == [inquiry]
    assert await store.run("sweep") == []
    await let_pass(store, 31)
    assert await store.run("sweep") == [inquiry]
    await let_pass(store, 31)
    assert await store.run("sweep") == [], "the second pause is longer than the first"
    await let_pass(store, 31)
    assert await store.run("sweep") == [inquiry]
    assert await store.stock() == {"M-0": "assigned"}


async def test_asking_in_vain_raises_an_alarm(store: Worker) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    for _ in range(3):
        await let_pass(store, 10_000)
        assert len(await store.run("sweep")) == 1

    assert store.alarms == []
    await let_pass(store, 10_000)
    await store.run("sweep")
    assert store.alarms == ["outcome_unknown"]


async def test_what_has_been_due_for_longest_is_taken_first(store: Worker) -> None:
    orders = await reserved_orders(store, 3)
    for seconds, order in zip((1, 3, 2), orders, strict=True):
        await store.execute(
            "UPDATE reservation SET due_at = now() - make_interval(secs => $2) WHERE order_id = $1", order, seconds
        )

    async with store.database.transaction() as tx:
        (first,) = await queries.take_due(tx, 1)

    assert first["order_id"] == orders[1]


def test_neither_pruning_nor_retiring_keeps_an_order_waiting() -> None:
    jobs = service(Settings(database_url="postgresql://elsewhere/")).jobs
    assert [job.name for job in jobs if job.low_priority] == ["prune", "retire"]


async def test_a_sweep_takes_fewer_reservations_at_once_that_hold_many_units(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH_UNITS", 2)
    orders = await reserved_orders(store, 5)
    await expire_all(store)

    answers = await store.run("sweep")

    assert [len(handled.outgoing) for handled in store.handled[-3:]] == [2, 2, 1]
    assert {answer.order_id for answer in answers} == set(orders)


async def test_pruning_takes_fewer_reservations_at_once_that_have_many_units(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH_UNITS", 2)
    for order in await reserved_orders(store, 3):
        await store.hear(assign(order))
        await store.hear(OrderPlaced(order_id=order, packet_ids=("M-0",), agent_id="A-1"))
        await store.hear(DeliveryCompleted(order_id=order))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")
    seen = len(store.handled)

    await store.run("prune")

    assert [handled.more for handled in store.handled[seen:]] == [True, False]
    assert await store.holdings() == {}


async def test_there_is_more_to_prune_and_to_retire_while_not_all_has_been_seen(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PRUNE_BATCH", 2)
    monkeypatch.setattr(store_worker.service, "RETIRE_BATCH", 2)
    orders = await reserved_orders(store, 3)
    await store.hear(*(ReleasePackets(order_id=order) for order in orders))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")
    await store.execute("UPDATE packet SET best_before = now()")

    for job in ("prune", "retire"):
        seen = len(store.handled)
        await store.run(job)
        assert [handled.more for handled in store.handled[seen:]] == [True, False]


@pytest.mark.parametrize("settled_by", ["placed", "released"])
async def test_what_is_settled_is_not_asked_for(store: Worker, settled_by: str) -> None:
    (order,) = await reserved_orders(store, 1)
    await store.hear(assign(order))
    placed = OrderPlaced(order_id=order, packet_ids=("M-0",), agent_id="A-1")
    await store.hear(placed if settled_by == "placed" else ReleasePackets(order_id=order))
    await let_pass(store, 10_000)

    assert await store.run("sweep") == []


async def test_only_what_is_over_and_old_is_pruned(store: Worker) -> None:
    released, recent, assigned = await reserved_orders(store, 3)
    await store.hear(ReleasePackets(order_id=released), ReleasePackets(order_id=recent), assign(assigned))
    await store.execute(
        "UPDATE reservation SET forget_at = forget_at - interval '2 days' WHERE order_id = $1", released
    )

    await store.run("prune")

    assert await store.holdings() == {recent: "released", assigned: "assigned"}


# Under the first, `DELETE .. WHERE order_id IN (SELECT .. LIMIT 3 FOR UPDATE SKIP LOCKED)` deletes everything.
PLANS = {
    "a nested loop that runs its inside again and again": "hashjoin mergejoin material memoize hashagg sort",
    "a hash join": "nestloop mergejoin",
    "a merge join": "nestloop hashjoin",
}


@pytest.mark.parametrize("without", PLANS.values(), ids=PLANS)
async def test_no_statement_takes_more_rows_than_its_limit_whatever_the_plan(store: Worker, without: str) -> None:
    await reserved_orders(store, 12)
    await expire_all(store)
    await store.hear(
        StockReceived(
            store_id=STORE, sku="bread", best_before=in_seconds(60), packet_ids=tuple(f"B-{n}" for n in range(12))
        )
    )
    async with store.database.transaction() as tx:
        for method in ("seqscan", "hashjoin", "mergejoin"):
            await tx.execute(f"SET LOCAL enable_{method} = on")
        for method in without.split():
            await tx.execute(f"SET LOCAL enable_{method} = off")
        assert len(await queries.take_due(tx, 3)) == 3
        assert (await packets.retire(tx, 3_600, BEFORE_ALL_SHELVES, 10, 3)).packets == 3
        await tx.execute(
            "UPDATE reservation SET state = 'expired', reason = 'x', unit_ids = '{}', due_at = NULL, forget_at = now()"
        )
        assert len(await queries.prune(tx, 3, 20_000)) == 3
        assert await tx.fetchval("SELECT count(*) FROM reservation") == 9
        assert await tx.fetchval("SELECT count(*) FROM packet WHERE gone = 'past_best_before'") == 3
