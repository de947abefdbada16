"""Gives a system a past: a million orders that were placed and delivered long ago, with their packets."""

import asyncio
import json
import uuid
from uuid import UUID

import aio_pika

from bench.connecting import connected
from bench.customers import order
from bench.run import expect_all_placed, planned
from bench.stock import plenty
from bench.system import System
from messages.contracts.order import DeliveryCompleted
from messages.transport.addresses import REQUESTS

FULFILLED_SECONDS = 30.0
# $1: the order that was placed for real; $2: how many copies; $3: how many of them, the first ones, are two days old,
# and so due to be forgotten; the others are an hour old.
COPIES = """
    (SELECT number, md5('aged ' || number)::uuid AS order_id, 'aged-' || number AS packet_id,
        make_interval(hours => CASE WHEN number <= $3::integer THEN 48 ELSE 1 END) AS age
    FROM generate_series(1, $2::integer) AS number) AS copied
"""
# jsonb_populate_record copies a row and changes what is named: whatever columns a table has, the copy has them too.
SAGA = f"""
    INSERT INTO saga SELECT copy.* FROM saga AS original, {COPIES},
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', copied.order_id,
            'granted', original.granted || jsonb_build_object('store', jsonb_build_array(packet_id)),
            'accepted_at', original.accepted_at - age, 'asked_at', original.asked_at - age,
            'due_at', original.due_at - age, 'deadline', original.deadline - age,
            'decided_at', original.decided_at - age
        )) AS copy
    WHERE original.order_id = $1
"""  # noqa: S608  our own SQL
RESERVATION = f"""
    INSERT INTO reservation SELECT copy.* FROM reservation AS original, {COPIES},
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', copied.order_id, 'unit_ids', {{unit_ids}},
            'not_after', original.not_after - age, 'forget_at', original.forget_at - age
        )) AS copy
    WHERE original.order_id = $1
"""  # noqa: S608  our own SQL
STORE_RESERVATION = RESERVATION.format(unit_ids="jsonb_build_array(packet_id)")
DELIVERY_RESERVATION = RESERVATION.format(unit_ids="to_jsonb(original.unit_ids)")
PACKET = f"""
    INSERT INTO packet SELECT copy.* FROM packet AS original, {COPIES},
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', copied.order_id, 'packet_id', copied.packet_id
        )) AS copy
    WHERE original.order_id = $1
"""  # noqa: S608  our own SQL
RECEIVED = """
    UPDATE received SET received = received + $2::integer FROM packet
    WHERE packet.order_id = $1 AND $3::integer IS NOT NULL
        AND (received.store_id, received.sku) = (packet.store_id, packet.sku)
"""


async def age(system: System, orders: int, share_to_forget: float) -> None:
    """Place and deliver one order for real, stop the daemons, copy what it left, and start them again."""
    order_id = await _deliver_one(system)
    await system.stop()
    copies = (order_id, orders, round(orders * share_to_forget))
    await asyncio.gather(
        _copy(system.urls["order_saga"], copies, SAGA),
        # The count first: it looks for the only packet that the order has.
        _copy(system.urls["store_worker"], copies, RECEIVED, STORE_RESERVATION, PACKET),
        _copy(system.urls["delivery_worker"], copies, DELIVERY_RESERVATION),
    )
    await system.start()


async def _deliver_one(system: System) -> UUID:
    plan = planned(system, 1.0, 1.0)
    await system.fill(plan.workload, plenty)
    expect_all_placed(await order(plan))
    order_id: UUID = await system.value("order_saga", "SELECT order_id FROM published.orders")
    await _publish_delivered(system.broker_url, order_id)
    async with asyncio.timeout(FULFILLED_SECONDS):
        for worker in ("store_worker", "delivery_worker"):
            while await system.value(worker, "SELECT state FROM published.holdings") != "fulfilled":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return order_id


async def _publish_delivered(broker_url: str, order_id: UUID) -> None:
    document = {"type": DeliveryCompleted.wire_type(), "message_id": str(uuid.uuid4()), "order_id": str(order_id)}
    async with await aio_pika.connect(broker_url) as connection:
        exchange = await (await connection.channel()).get_exchange(REQUESTS, ensure=False)
        message = aio_pika.Message(json.dumps(document).encode(), content_type="application/json")
        await exchange.publish(message, DeliveryCompleted.routing_key())


async def _copy(url: str, copies: tuple[UUID, int, int], *statements: str) -> None:
    async with connected(url) as connection:
        for sql in statements:
            await connection.execute(sql, *copies)
        await connection.execute("VACUUM ANALYZE")
