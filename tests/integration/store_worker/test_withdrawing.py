"""A packet that is withdrawn is not sold: its order is refused, or an alarm tells that it is placed by then."""

import asyncio
from uuid import UUID, uuid4

import pytest

from messages.contracts.order import DeliveryCompleted
from messages.contracts.store import PACKET_WITHDRAWN, PacketsAssigned
from messages.transport.database.lock_mode import LockMode
from tests.integration.store_worker.messages import STORE, assign, placed, refused, release, reserve, stock, withdraw
from tests.integration.toy.waiting import PATIENCE_SECONDS
from tests.integration.workers import Worker, heard


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


async def test_what_was_withdrawn_from_one_order_keeps_no_other_from_being_assigned(store: Worker, order: UUID) -> None:
    other = uuid4()
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=1), reserve(other, milk=1))
    await store.hear(withdraw("M-1"))

    assert await store.hear(assign(other)) == [PacketsAssigned(order_id=other, packet_ids=("M-2",))]


async def test_withdrawing_what_is_confirmed_leaves_it_to_the_order_with_an_alarm(store: Worker, order: UUID) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))
    await store.hear(withdraw("M-1"))

    assert store.alarms == ["withdrawn_while_confirmed"]
    assert store.timeline[-1] == ("PacketsWithdrawn", "M-1 withdrawn while confirmed")
    assert await store.stock() == {"M-1": "confirmed"}
    await store.hear(DeliveryCompleted(order_id=order))
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_what_is_withdrawn_after_its_delivery_in_the_same_batch_raises_no_alarm(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))

    await store.hear(DeliveryCompleted(order_id=order), withdraw("M-1"))

    assert store.alarms == []
    assert ("PacketsWithdrawn", "M-1 withdrawn while fulfilled") in store.timeline
    assert await store.stock() == {"M-1": "fulfilled"}


async def test_what_is_withdrawn_after_a_delivery_that_nobody_has_confirmed_is_assigned(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order))

    await store.hear(DeliveryCompleted(order_id=order), withdraw("M-1"))

    assert ("PacketsWithdrawn", "M-1 withdrawn while assigned") in store.timeline


async def test_withdrawing_once_more_what_is_withdrawn_already_raises_no_other_alarm(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1), assign(order), placed(order, "M-1"))
    for _ in range(2):
        await store.hear(withdraw("M-1"))

    assert store.alarms == ["withdrawn_while_confirmed"]


async def test_withdrawing_what_is_assigned_refuses_the_order_which_keeps_it_until_it_is_released(
    store: Worker, order: UUID
) -> None:
    await store.hear(stock("milk", "M-1", "M-2"))
    await store.hear(reserve(order, milk=2), assign(order))

    withdrawal = heard(withdraw("M-1", "M-2"))
    assert await store.hear_documents([withdrawal]) == [refused(order, PACKET_WITHDRAWN)]

    assert [refusal.cause for refusal in store.handled[-1].outgoing] == [withdrawal]
    assert store.alarms == []
    assert await store.stock() == {"M-1": "assigned", "M-2": "assigned"}
    await store.hear(release(order))
    assert await store.stock() == {"M-1": "retired", "M-2": "retired"}


@pytest.mark.parametrize("lock_mode", [LockMode.OPTIMISTIC, LockMode.PESSIMISTIC])
async def test_an_order_that_was_refused_for_a_withdrawal_is_not_assigned_again(
    store: Worker, order: UUID, lock_mode: LockMode
) -> None:
    """An Assigned that overtakes the refusal would place it."""
    await store.hear(stock("milk", "M-1"))
    await store.hear(reserve(order, milk=1))
    await store.hear(assign(order))
    await store.hear(withdraw("M-1"))

    assert await store.hear_documents([heard(assign(order))], lock_mode) == [refused(order, PACKET_WITHDRAWN)]
    assert store.alarms == []
    await store.hear_documents([heard(placed(order, "M-1"))], lock_mode)
    assert store.alarms == ["placed_though_gone"]
    assert await store.stock() == {"M-1": "confirmed"}


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
    for _ in range(2):
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


async def test_what_was_withdrawn_elsewhere_is_told_once_and_of_no_other_packet(store: Worker) -> None:
    await store.hear(stock("milk", "M-1"))
    await store.hear(*[withdraw("M-1", "M-2", store_id="berlin-2")] * 2)
    assert store.alarms == ["withdrawn_elsewhere"]
    assert str(store.handled[-1].alarms[0].detail).count("M-1") == 1

    await store.hear(stock("milk", "M-1", "M-3"))

    assert store.alarms == ["withdrawn_elsewhere"]


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
