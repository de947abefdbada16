"""The store worker against a real PostgreSQL: what it answers, and where the packets are afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

import store_worker.goods
import store_worker.service
from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.contracts.store import (
    PACKET_WITHDRAWN,
    AssignPackets,
    PacketsAssigned,
    PacketsRefused,
    PacketsReleased,
    PacketsReserved,
    PacketsWithdrawn,
    ReleasePackets,
    ReservePackets,
    StockReceived,
    Want,
)
from messages.participant import handling
from messages.participant.participant import Moves
from messages.transport.database import transactions
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.transactions import Transaction
from messages.transport.database.writing import write
from messages.transport.faults import Collision
from store_worker.service import service
from store_worker.settings import Settings
from store_worker.units import Packets
from tests.conftest import NewDatabase
from tests.integration.toy.station import has_lost_what_is_at_hand
from tests.integration.toy.waiting import PATIENCE_SECONDS, until
from tests.integration.workers import Worker, heard, in_seconds

STORE = "berlin-1"
SETTINGS = Settings(database_url="postgresql://elsewhere/", best_before_margin_seconds=3_600)


def reserve(order_id: UUID, lease_seconds: int = 60, not_after: float = 60, **wants: int) -> ReservePackets:
    return ReservePackets(
        order_id=order_id,
        store_id=STORE,
        wants=tuple(Want(sku=sku, quantity=quantity) for sku, quantity in wants.items()),
        lease_seconds=lease_seconds,
        not_after=in_seconds(not_after),
    )


def assign(order_id: UUID, not_after: float = 60) -> AssignPackets:
    return AssignPackets(order_id=order_id, not_after=in_seconds(not_after))


def release(order_id: UUID) -> ReleasePackets:
    return ReleasePackets(order_id=order_id)


def placed(order_id: UUID, *packet_ids: str) -> OrderPlaced:
    return OrderPlaced(order_id=order_id, packet_ids=packet_ids, agent_id="A-1")


def stock(sku: str, *packet_ids: str, best_before_days: float = 10) -> StockReceived:
    best_before = in_seconds(best_before_days * 86_400)
    return StockReceived(store_id=STORE, sku=sku, best_before=best_before, packet_ids=packet_ids)


def withdraw(*packet_ids: str, store_id: str = STORE) -> PacketsWithdrawn:
    return PacketsWithdrawn(store_id=store_id, packet_ids=packet_ids)


def refused(order_id: UUID, reason: str) -> PacketsRefused:
    return PacketsRefused(order_id=order_id, reason=reason)


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return await new_database(*service(SETTINGS).migrations)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Worker]:
    worker = await Worker.start(service(SETTINGS), url)
    yield worker
    await worker.stop()


@pytest.fixture
def order() -> UUID:
    return uuid4()


async def test_a_reservation_holds_every_wanted_packet(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2", "M-3"), stock("bread", "B-1"))

    answers = await store.hear(reserve(order, milk=2, bread=1))

    assert answers == [PacketsReserved(order_id=order)]
    assert await store.stock() == {"M-1": "reserved", "M-2": "reserved", "M-3": "free", "B-1": "reserved"}


async def test_an_order_goes_from_reserved_to_fulfilled(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    assert await store.hear(assign(order)) == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await store.stock() == {"M-1": "assigned"}
    assert await store.hear(placed(order, "M-1")) == []
    assert await store.stock() == {"M-1": "confirmed"}
    assert await store.hear(DeliveryCompleted(order_id=order)) == []
    assert await store.stock() == {"M-1": "fulfilled"}
    assert store.alarms == []


async def test_a_reservation_of_many_packets_is_not_cached(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "MOST_UNITS", 1)
    await store.hear(stock("milk", "M-1", "M-2", "M-3"))

    await store.hear(reserve(order, milk=2), reserve(small := uuid4(), milk=1))

    assert [after.order_id for _, after in store.handled[-1].changes] == [small]


async def test_all_lines_or_nothing(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"), stock("bread", "B-1"))

    assert await store.hear(reserve(order, milk=1, bread=2)) == [refused(order, "out_of_stock")]
    assert await store.stock() == {"M-1": "free", "B-1": "free"}


async def test_what_was_never_received_is_unknown(store: Worker, order: UUID) -> None:
    assert await store.hear(reserve(order, caviar=1)) == [refused(order, "unknown_sku")]


async def test_what_is_sold_out_is_not_unknown(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(uuid4(), milk=1))

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]


async def test_nearest_best_before_goes_first(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-late", best_before_days=9), stock("milk", "M-soon", best_before_days=1))

    await store.hear(reserve(order, milk=1))

    assert (await store.holding(order))["unit_ids"] == ["M-soon"]


async def test_packets_too_near_their_best_before_are_not_sold(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-old", best_before_days=0.01))

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]
    assert store.looked_again == 0, "they are not packets that others have locked either"


async def test_packets_too_near_their_best_before_are_retired(store: Worker) -> None:
    await store.hear(stock("milk", "M-old", best_before_days=0.01), stock("milk", "M-new"))

    await store.run("retire")

    assert await store.stock() == {"M-old": "retired", "M-new": "free"}


async def test_each_run_retires_from_where_the_last_one_stopped_and_at_the_end_from_the_start(
    store: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_worker.service, "RETIRE_BATCH", 3)
    monkeypatch.setattr(store_worker.service, "RETIRE_SHELVES", 2)
    skus = ("a", "b", "c", "d", "e")
    for _ in range(2):
        seen = len(store.handled)
        await store.hear(*(stock(sku, f"{sku}-{uuid4()}", best_before_days=0.01) for sku in skus for _ in range(2)))
        await store.run("retire")
        assert [handled.more for handled in store.handled[seen + 1 :]] == [True] * 4 + [False]
    assert set((await store.stock()).values()) == {"retired"}


async def test_what_one_order_cannot_use_goes_to_the_next_of_the_batch(store: Worker) -> None:
    greedy, modest = uuid4(), uuid4()
    await store.hear(stock("milk", "M-1", "M-2"))

    answers = await store.hear(reserve(greedy, milk=3), reserve(modest, milk=2))

    assert answers == [refused(greedy, "out_of_stock"), PacketsReserved(order_id=modest)]


async def test_a_batch_is_served_in_order_of_arrival(store: Worker) -> None:
    orders = [uuid4() for _ in range(5)]
    await store.hear(stock("milk", "M-1", "M-2", "M-3"))

    answers = await store.hear(*(reserve(each, milk=1) for each in orders))

    assert [type(answer) for answer in answers] == [PacketsReserved] * 3 + [PacketsRefused] * 2


async def test_duplicates_are_answered_alike_and_change_nothing(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    for message in (reserve(order, milk=1), assign(order)):
        first = await store.hear(message)
        stock_then = await store.stock()
        assert await store.hear(message, message) == first * 2
        assert await store.stock() == stock_then
    assert await store.hear(reserve(order, milk=1)) == [PacketsReserved(order_id=order)]
    assert await store.stock() == {"M-1": "assigned", "M-2": "free"}


async def test_duplicates_within_one_batch_hold_once(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))

    answers = await store.hear(reserve(order, milk=1), reserve(order, milk=1))

    assert answers == [PacketsReserved(order_id=order)] * 2
    assert sorted((await store.stock()).values()) == ["free", "reserved"]


async def test_a_whole_life_in_one_batch(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    answers = await store.hear(
        reserve(order, milk=1), assign(order), placed(order, "M-1"), DeliveryCompleted(order_id=order)
    )

    assert answers == [PacketsReserved(order_id=order), PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_reserved_and_released_in_one_batch_leaves_the_shelf_as_it_was(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    answers = await store.hear(reserve(order, milk=1), release(order))

    assert answers == [PacketsReserved(order_id=order), PacketsReleased(order_id=order)]
    assert await store.stock() == {"M-1": "free"}


@pytest.mark.parametrize(
    "lock_mode",
    [LockMode.CACHED, LockMode.OPTIMISTIC, LockMode.PESSIMISTIC],
    ids=lambda lock_mode: lock_mode.name.lower(),
)
async def test_what_is_given_back_can_be_had_by_who_asks_for_it_in_the_same_batch(
    store: Worker, order: UUID, lock_mode: LockMode
) -> None:
    next_one, late, too_much = uuid4(), uuid4(), uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    asking = [reserve(next_one, milk=1), reserve(late, milk=1), reserve(too_much, milk=9)]
    answers = await store.hear_documents([heard(message) for message in (release(order), *asking)], lock_mode)

    assert answers == [
        PacketsReleased(order_id=order),
        PacketsReserved(order_id=next_one),
        *(refused(late, "out_of_stock"), refused(too_much, "out_of_stock")),
    ]
    assert store.looked_again == 3


async def test_who_has_enough_on_the_shelf_does_not_look_at_what_is_given_back(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=1))

    await store.hear(release(order), reserve(uuid4(), milk=1))

    assert store.looked_again == 0


async def test_what_has_been_delivered_is_not_looked_for_again(store: Worker, order: UUID) -> None:
    late = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))

    answers = await store.hear(DeliveryCompleted(order_id=order), reserve(late, milk=1))

    assert answers == [refused(late, "out_of_stock")]
    assert store.looked_again == 0


async def test_who_asks_before_it_is_given_back_is_refused(store: Worker, order: UUID) -> None:
    early = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    answers = await store.hear(reserve(early, milk=1), release(order))

    assert answers == [refused(early, "out_of_stock"), PacketsReleased(order_id=order)]
    assert store.looked_again == 0


@pytest.mark.parametrize("assigned", [False, True])
async def test_release_frees_reserved_and_assigned_packets(store: Worker, order: UUID, assigned: bool) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), *([assign(order)] if assigned else []))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert await store.stock() == {"M-1": "free"}
    assert await store.hear(assign(order)) == [refused(order, "released")]
    assert await store.hear(reserve(order, milk=1)) == [refused(order, "released")]


async def test_release_before_reserve_leaves_a_tombstone(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert await store.hear(reserve(order, milk=1)) == [refused(order, "released")]
    assert await store.stock() == {"M-1": "free"}


async def test_release_of_a_placed_order_keeps_the_packets_and_raises_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))

    assert await store.hear(release(order)) == []
    assert await store.stock() == {"M-1": "confirmed"}
    assert store.alarms == ["release_of_confirmed"]


async def test_a_duplicate_release_does_not_free_what_another_order_holds_by_now(store: Worker, order: UUID) -> None:
    other = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), release(order))
    await store.hear(reserve(other, milk=1))

    assert await store.hear(release(order)) == [PacketsReleased(order_id=order)]
    assert (await store.holding(other))["unit_ids"] == ["M-1"]
    assert await store.stock() == {"M-1": "reserved"}


async def test_an_order_can_give_back_only_what_is_its_own(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    async with store.database.transaction() as tx:
        await write(tx, [*Packets(3_600).move(Moves(given_back=[("M-1", uuid4())]))])

    assert await store.stock() == {"M-1": "reserved"}


async def test_an_order_can_take_only_what_is_on_the_shelf(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    with pytest.raises(Collision):
        async with store.database.transaction() as tx:
            await write(tx, [*Packets(3_600).move(Moves(taken=[("M-1", uuid4())]))])

    assert await store.stock() == {"M-1": "reserved"}


async def test_assign_after_expiry_is_refused_and_frees_at_once_though_nobody_has_swept(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)

    assert await store.hear(assign(order)) == [refused(order, "reservation_expired")]
    assert await store.stock() == {"M-1": "free"}
    assert (await store.holding(order))["state"] == "expired"


async def test_a_duplicate_reserve_after_expiry_does_not_reserve_anew(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)
    await store.run("sweep")

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "reservation_expired")]
    assert await store.stock() == {"M-1": "free"}


async def test_assign_after_the_sweep_leaves_the_next_holder_alone(store: Worker, order: UUID) -> None:
    other = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.expire(order)
    await store.run("sweep")
    await store.hear(reserve(other, milk=1))

    assert await store.hear(assign(order)) == [refused(order, "reservation_expired")]
    assert (await store.holding(other))["unit_ids"] == ["M-1"]


async def test_a_reserve_past_its_time_is_refused(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))

    late = reserve(order, not_after=-1, milk=1)

    assert await store.hear(late) == [refused(order, "command_too_late")]
    assert await store.stock() == {"M-1": "free"}


async def test_an_assign_past_its_time_is_refused_for_good_and_frees(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))

    assert await store.hear(assign(order, not_after=-1)) == [refused(order, "command_too_late")]
    assert await store.stock() == {"M-1": "free"}
    assert await store.hear(assign(order)) == [refused(order, "command_too_late")]


async def test_a_withdrawn_packet_is_not_sold(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(withdraw("M-1"))

    assert await store.hear(reserve(order, milk=1)) == [refused(order, "out_of_stock")]
    assert await store.stock() == {"M-1": "retired"}


async def test_withdrawing_what_is_reserved_makes_its_assign_be_refused(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=2))
    await store.hear(withdraw("M-1"))

    assert await store.hear(assign(order)) == [refused(order, PACKET_WITHDRAWN)]
    assert await store.stock() == {"M-1": "retired", "M-2": "free"}
    assert store.alarms == []


async def test_withdrawing_what_is_confirmed_leaves_it_to_the_order_with_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))
    await store.hear(withdraw("M-1"))

    assert store.alarms == ["withdrawn_while_assigned"]
    assert store.timeline[-1] == ("PacketsWithdrawn", "M-1 withdrawn while confirmed")
    assert await store.stock() == {"M-1": "confirmed"}
    await store.hear(DeliveryCompleted(order_id=order))
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_withdrawing_once_more_what_is_withdrawn_already_raises_no_other_alarm(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))
    for _ in range(2):
        await store.hear(withdraw("M-1"))

    assert store.alarms == ["withdrawn_while_assigned"]


async def test_withdrawing_what_is_assigned_takes_effect_afterwards_with_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))
    await store.hear(withdraw("M-1"))

    assert store.alarms == ["withdrawn_while_assigned"]
    assert await store.hear(assign(order)) == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]
    assert await store.stock() == {"M-1": "assigned"}
    await store.hear(release(order))
    assert await store.stock() == {"M-1": "retired"}


async def test_a_packet_whose_order_has_no_reservation_is_withdrawn_and_nobodys(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.execute("DELETE FROM reservation")

    async with asyncio.timeout(PATIENCE_SECONDS):
        await store.hear(withdraw("M-1"))

    assert store.alarms == ["held_without_reservation"]
    assert store.collisions == 0
    assert await store.stock() == {"M-1": "retired"}


async def test_a_packet_withdrawn_before_it_was_received_is_never_sold(store: Worker) -> None:
    await store.hear(withdraw("M-1"))
    await store.hear(stock("milk", "M-1", "M-2"))

    assert await store.stock() == {"M-1": "retired", "M-2": "free"}


async def test_packets_of_another_store_are_not_withdrawn_and_raise_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1", "M-2", "M-3"))
    await store.hear(reserve(order, milk=1), assign(order))
    await store.hear(withdraw("M-3"))

    await store.hear(withdraw("M-1", "M-2", "M-3", "M-4", store_id="berlin-2"), stock("milk", "M-4"))

    assert store.alarms == ["withdrawn_elsewhere"]
    assert [alarm.detail for alarm in store.handled[-1].alarms] == [
        "; ".join(f"{name} was not withdrawn: it belongs to {STORE}, not to berlin-2" for name in ("M-1", "M-2", "M-4"))
    ]
    assert await store.stock() == {"M-1": "assigned", "M-2": "free", "M-3": "retired", "M-4": "free"}


async def test_of_packets_that_come_later_only_those_of_the_store_are_withdrawn(store: Worker) -> None:
    await store.hear(withdraw("M-1", "M-2", "M-3", store_id="berlin-2"), withdraw("M-2"))
    assert store.alarms == []

    await store.hear(stock("milk", "M-1", "M-2"))

    assert [alarm.detail for alarm in store.handled[-1].alarms] == [
        f"M-1 was not withdrawn: it belongs to {STORE}, not to berlin-2"
    ]
    assert await store.stock() == {"M-1": "free", "M-2": "retired"}


async def test_a_document_costs_one_alarm_however_many_packets_and_stores_were_named(store: Worker) -> None:
    names = [f"M-{number:02}" for number in range(12)]
    await store.hear(*(withdraw(*names, store_id=f"elsewhere-{number}") for number in range(20)))

    await store.hear(stock("milk", *names))
    await store.hear(stock("bread", *names), withdraw(*names, store_id="elsewhere-0"))

    assert store.alarms == ["withdrawn_elsewhere", "packet_id_reused", "withdrawn_elsewhere", "withdrawn_elsewhere"]
    details = [alarm.detail for handled in store.handled for alarm in handled.alarms]
    assert all(detail.endswith("; and 2 more") and detail.count("; ") == 10 for detail in details)


async def test_what_the_release_before_withdrew_early_may_be_of_any_store(store: Worker) -> None:
    await store.execute("INSERT INTO withdrawn_early (packet_id) VALUES ('M-1')")

    await store.hear(stock("milk", "M-1"))

    assert await store.stock() == {"M-1": "retired"}
    assert store.alarms == []


async def test_stock_is_received_once(store: Worker, order: UUID) -> None:
    received = stock("milk", "M-1", "M-2")
    await store.hear(received, received)
    await store.hear(reserve(order, milk=2))
    await store.hear(received)

    assert await store.stock() == {"M-1": "reserved", "M-2": "reserved"}
    # Nothing writes `pruned`, and nothing reads it but the audit of the release before.
    assert await store.query("SELECT * FROM published.received") == [
        {"place": STORE, "kind": "milk", "received": 2, "pruned": 0}
    ]


async def test_goods_may_mention_an_order(store: Worker, order: UUID) -> None:
    received = stock("milk", "M-1").model_copy(update={"order_id": order})

    assert await store.hear(received) == []
    assert await store.stock() == {"M-1": "free"}


async def test_goods_are_handled_in_a_transaction_even_where_they_mention_an_order(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[bool] = []

    receive = store_worker.goods.receive

    async def watched(tx: Transaction, received: Sequence[StockReceived]) -> list[tuple[str, int]]:
        modes.append(tx.is_in_transaction())
        return await receive(tx, received)

    monkeypatch.setattr(store_worker.goods, "receive", watched)
    received = stock("milk", "M-1").model_copy(update={"order_id": order})

    await store.transactor().handle([heard(received)], lock_mode=LockMode.CACHED)

    assert modes == [True]
    assert await store.stock() == {"M-1": "free"}


async def test_in_one_batch_goods_come_and_go_before_orders_are_answered_and_all_of_it_is_told(
    store: Worker, order: UUID
) -> None:
    following = uuid4()
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))

    answers = await store.hear(reserve(following, bread=1), stock("bread", "B-1"), withdraw("M-1"))

    assert answers == [PacketsReserved(order_id=following)]
    assert store.alarms == ["withdrawn_while_assigned"]
    assert store.timeline[-2:] == [
        ("ReservePackets", "reserved B-1"),
        ("PacketsWithdrawn", "M-1 withdrawn while assigned"),
    ]


async def test_what_was_written_to_a_server_that_was_lost_does_not_count_on_the_next(
    store: Worker, url: str, order: UUID
) -> None:
    transactor = store.transactor()
    await store.hear(stock("milk", "M-1"))
    await transactor.handle([heard(reserve(order, milk=1))], lock_mode=LockMode.CACHED)

    # It took over without the last commits, and counted the same versions since.
    await store.execute(
        "UPDATE reservation SET state = 'expired', reason = 'reservation_expired', unit_ids = '{}', due_at = NULL,"
        " forget_at = expires_at"
    )
    other = await asyncpg.connect(url)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    await other.close()
    await until(lambda: has_lost_what_is_at_hand(store.database))
    handled = await transactor.handle([heard(assign(order))], lock_mode=LockMode.CACHED)

    assert [said.message for said in handled.outgoing] == [refused(order, "reservation_expired")]


async def test_what_is_being_written_without_a_transaction_is_not_cut_off_by_a_cancellation(
    store: Worker, order: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LAST_WORD_SECONDS", 10.0)
    await store.hear(stock("milk", "M-1"))
    await store.execute("""
        CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
        CREATE TRIGGER dawdle AFTER INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION dawdle();
    """)
    handling = asyncio.create_task(
        store.transactor().handle([heard(reserve(order, milk=1))], lock_mode=LockMode.CACHED)
    )
    await until(lambda: _is_sleeping(store))

    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling

    assert await store.holdings() == {order: "reserved"}
    assert await store.hear(assign(order)) == [PacketsAssigned(order_id=order, packet_ids=("M-1",))]


async def _is_sleeping(store: Worker) -> bool:
    sleeping = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    return bool(await store.query(sleeping))


@pytest.mark.parametrize("together", [False, True])
async def test_a_packet_id_is_used_once_for_ever(store: Worker, order: UUID, together: bool) -> None:
    milk, bread = heard(stock("milk", "M-1")), heard(stock("bread", "M-1"))
    for documents in [[milk, bread, milk]] if together else [[milk], [bread, milk]]:
        await store.hear_documents(documents)

    assert [(alarm.name, alarm.cause) for alarm in store.handled[-1].alarms] == [("packet_id_reused", bread)]
    assert await store.hear(reserve(order, bread=1)) == [refused(order, "unknown_sku")]


async def test_a_packet_id_is_not_used_again_by_another_store_either(store: Worker) -> None:
    await store.hear(stock("milk", "M-1"))

    await store.hear(stock("milk", "M-1").model_copy(update={"store_id": "hamburg-1"}))

    assert store.alarms == ["packet_id_reused"]


async def test_a_delivery_completed_early_is_remembered(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))
    await store.hear(DeliveryCompleted(order_id=order))

    assert await store.stock() == {"M-1": "assigned"}
    await store.hear(placed(order, "M-1"))
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_what_is_said_carries_its_cause(store: Worker, order: UUID) -> None:
    document = heard(release(order))
    await store.hear_documents([document])

    (said,) = store.handled[-1].outgoing
    assert said.cause is document
    assert said.to.key == "order_saga.answers"


async def test_the_story_tells_what_changed_and_not_what_was_repeated(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    messages: list[Message] = [reserve(order, milk=1), assign(order), placed(order, "M-1")]
    for message in messages:
        await store.hear(message)
        await store.hear(message)

    assert store.timeline == [
        ("ReservePackets", "reserved M-1"),
        ("AssignPackets", "assigned M-1"),
        ("OrderPlaced", "confirmed"),
    ]


async def test_fulfilled_reservations_are_pruned_and_their_packets_stay_accounted_for(
    store: Worker, order: UUID
) -> None:
    kept = uuid4()
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"), DeliveryCompleted(order_id=order))
    await store.hear(reserve(kept, milk=1), assign(kept), placed(kept, "M-2"))
    await store.execute("UPDATE reservation SET forget_at = forget_at - interval '2 days'")

    await store.run("prune")

    assert await store.holdings() == {kept: "confirmed"}
    assert await store.stock() == {"M-1": "fulfilled", "M-2": "confirmed"}
    assert await store.hear(assign(order)) == [refused(order, "never_reserved")]
