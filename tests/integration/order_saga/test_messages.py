"""What the order saga does about messages: one by one, in one batch, and about what it does not know."""

from uuid import uuid4

from messages.contracts.delivery import AgentAssigned, AgentReserved, ReserveAgent
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, RequestRejected
from messages.contracts.participation import OutcomeRequested, Release
from messages.contracts.store import PacketsAssigned, PacketsRefused, PacketsReserved, ReservePackets
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.postgres import Database
from messages.transport.database.row_cache import RowCache
from messages.transport.handled import Alarm
from order_saga.handlers import handle
from order_saga.rows import TABLE
from tests.integration.order_saga.orders import (
    A_PACKET,
    TERMS,
    happy_story,
    hear,
    incoming,
    published,
    requested,
    said_types,
)


async def test_an_order_is_placed_message_by_message(database: Database) -> None:
    order = requested()
    first = await hear(database, order)
    assert said_types(first) == [ReservePackets, ReserveAgent]
    await hear(database, AgentReserved(order_id=order.order_id))
    await hear(database, PacketsReserved(order_id=order.order_id))
    await hear(database, AgentAssigned(order_id=order.order_id, agent_id="A-1"))
    last = await hear(database, PacketsAssigned(order_id=order.order_id, packet_ids=A_PACKET))
    assert said_types(last) == [OrderPlaced] * 3
    assert last.outgoing[0].message == OrderPlaced(order_id=order.order_id, packet_ids=A_PACKET, agent_id="A-1")
    row = await published(database, order)
    assert (row["phase"], row["outcome"], row["store_id"]) == ("placed", "placed", "S-1")


async def test_an_order_is_placed_by_one_batch_that_holds_everything(database: Database) -> None:
    order = requested()
    handled = await hear(database, *happy_story(order))
    assert [note.detail for note in handled.timeline] == [
        "reserving",
        "reserving: awaiting delivery",
        "reserving -> assigning",
        "assigning: awaiting delivery",
        "assigning -> placed",
        "placed",
    ]
    assert [note.event for note in handled.timeline][-2:] == ["AgentAssigned", "OutcomeTold"]
    assert (await published(database, order))["outcome"] == "placed"


async def test_an_outcome_that_a_batch_asks_for_again_and_again_is_repeated_once(database: Database) -> None:
    """A request of 3 kB may ask for an outcome of 300."""
    order, cancel = requested(), CancelOrder(order_id=uuid4())
    await hear(database, *happy_story(order))

    cancel_placed = CancelOrder(order_id=order.order_id)
    together = await hear(database, order, cancel, order, cancel_placed, cancel, order, cancel)
    later = await hear(database, order)

    assert said_types(together) == [OrderPlaced, OrderNotPlaced, RequestRejected, OrderNotPlaced]
    assert [note.detail for note in together.timeline if note.event == "OutcomeTold"] == [
        "placed",
        "not_placed",
        "not_placed",
    ]
    assert said_types(later) == [OrderPlaced]


async def test_an_outcome_is_published_as_caused_by_the_last_of_those_that_asked_for_it(database: Database) -> None:
    """By that, whoever asks twice tells which of the two is answered; a request and a cancel may wait side by side."""
    order = requested()
    await hear(database, *happy_story(order)[:-1], CancelOrder(order_id=order.order_id))
    conflict = order.model_copy(update={"zone": "Z-2"})
    asked = [incoming(message) for message in (order, CancelOrder(order_id=order.order_id), order, conflict)]

    async with database.transaction() as tx:
        handled = await handle(TERMS, RowCache(TABLE), tx, asked, LockMode.PESSIMISTIC)

    assert [(type(each.message), each.cause) for each in handled.outgoing] == [
        (OrderNotPlaced, asked[2]),
        (OrderNotPlaced, asked[1]),
        (RequestRejected, asked[3]),
    ]


async def test_many_orders_in_one_batch_do_not_mix(database: Database) -> None:
    orders = [requested() for _ in range(50)]
    stories = [happy_story(order, packet_ids=(f"P-{n}",), agent_id=f"A-{n}") for n, order in enumerate(orders)]
    handled = await hear(database, *(message for step in zip(*stories, strict=True) for message in step))
    told = {each.message.order_id: each.message for each in handled.outgoing if isinstance(each.message, OrderPlaced)}
    assert {told[order.order_id].packet_ids for order in orders} == {(f"P-{n}",) for n in range(50)}
    assert all(told[order.order_id].packet_ids[0][2:] == told[order.order_id].agent_id[2:] for order in orders)


async def test_a_participants_question_about_an_unknown_order_commits_that_it_is_not_placed(database: Database) -> None:
    order = requested()
    handled = await hear(database, OutcomeRequested(order_id=order.order_id, participant="store"))
    assert len(handled.outgoing) == 1
    assert isinstance(handled.outgoing[0].message, Release)
    later = await hear(database, order)
    assert said_types(later) == [OrderNotPlaced]
    assert (await published(database, order))["reason"] == "unknown_order"


async def test_what_participants_say_of_a_placed_order_that_they_do_not_hold_raises_an_alarm(
    database: Database,
) -> None:
    order = requested()
    await hear(database, *happy_story(order))
    refused = incoming(PacketsRefused(order_id=order.order_id, reason="out_of_stock"))
    async with database.transaction() as tx:
        handled = await handle(TERMS, RowCache(TABLE), tx, [refused], LockMode.PESSIMISTIC)
    assert handled.alarms == [Alarm("placed_but_not_held", order.order_id, "PacketsRefused: out_of_stock", refused)]
