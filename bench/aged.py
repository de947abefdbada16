"""Gives a system a past: a million orders that were placed and delivered long ago, with their packets."""

import asyncio
import json
import uuid
from uuid import UUID

import aio_pika
import asyncpg

from bench.customers import order
from bench.run import expect_all_placed, planned
from bench.stock import fill, plenty
from bench.system import System
from messages.contracts.delivery import DeliveryCompleted
from messages.transport.topology import REQUESTS

FULFILLED_SECONDS = 30.0
# jsonb_populate_record copies a row and changes what is named: whatever columns a table has, the copy has them too.
SAGA = """
    INSERT INTO saga SELECT copy.* FROM saga AS original, generate_series(1, $2::integer) AS number,
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', md5('aged ' || number)::uuid,
            'granted', original.granted || jsonb_build_object('store', jsonb_build_array('aged-' || number))
        )) AS copy
    WHERE original.order_id = $1
"""
STORE_RESERVATION = """
    INSERT INTO reservation SELECT copy.* FROM reservation AS original, generate_series(1, $2::integer) AS number,
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', md5('aged ' || number)::uuid, 'unit_ids', jsonb_build_array('aged-' || number),
            'forget_at', CASE WHEN number <= $3::integer THEN clock_timestamp() ELSE original.forget_at END
        )) AS copy
    WHERE original.order_id = $1
"""
PACKET = """
    INSERT INTO packet SELECT copy.* FROM packet AS original, generate_series(1, $2::integer) AS number,
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', md5('aged ' || number)::uuid, 'packet_id', 'aged-' || number
        )) AS copy
    WHERE original.order_id = $1
"""
RECEIVED = """
    UPDATE received SET received = received + $2::integer FROM packet
    WHERE packet.order_id = $1 AND (received.store_id, received.sku) = (packet.store_id, packet.sku)
"""
DELIVERY_RESERVATION = """
    INSERT INTO reservation SELECT copy.* FROM reservation AS original, generate_series(1, $2::integer) AS number,
        jsonb_populate_record(original, jsonb_build_object(
            'order_id', md5('aged ' || number)::uuid,
            'forget_at', CASE WHEN number <= $3::integer THEN clock_timestamp() ELSE original.forget_at END
        )) AS copy
    WHERE original.order_id = $1
"""


async def age(system: System, orders: int, to_be_forgotten: float) -> None:
    """Place and deliver one order for real, stop the daemons, copy what it left, and start them again."""
    order_id = await _deliver_one(system)
    await system.stop()
    due = round(orders * to_be_forgotten)
    await asyncio.gather(
        _copy(system.urls["order_saga"], (SAGA, order_id, orders)),
        _copy(
            system.urls["store_worker"],
            (RECEIVED, order_id, orders),
            (STORE_RESERVATION, order_id, orders, due),
            (PACKET, order_id, orders),
        ),
        _copy(system.urls["delivery_worker"], (DELIVERY_RESERVATION, order_id, orders, due)),
    )
    await system.start()


async def _deliver_one(system: System) -> UUID:
    plan = planned(system, 1.0, 1.0)
    await fill(system.urls, plan.workload, plenty)
    expect_all_placed(await order(plan))
    order_id = UUID(str(await _value(system.urls["order_saga"], "SELECT order_id FROM published.orders")))
    await _say_delivered(system.broker_url, order_id)
    async with asyncio.timeout(FULFILLED_SECONDS):
        for worker in ("store_worker", "delivery_worker"):
            while await _value(system.urls[worker], "SELECT state FROM published.holdings") != "fulfilled":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return order_id


async def _say_delivered(broker_url: str, order_id: UUID) -> None:
    said = {"type": DeliveryCompleted.wire_type(), "message_id": str(uuid.uuid4()), "order_id": str(order_id)}
    async with await aio_pika.connect(broker_url) as connection:
        exchange = await (await connection.channel()).get_exchange(REQUESTS, ensure=False)
        message = aio_pika.Message(json.dumps(said).encode(), content_type="application/json")
        await exchange.publish(message, DeliveryCompleted.routing_key())


async def _copy(url: str, *statements: tuple[object, ...]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for sql, *arguments in statements:
            await connection.execute(str(sql), *arguments)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _value(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
