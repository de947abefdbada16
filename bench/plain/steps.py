"""What each service of the plain saga does with a message."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractExchange

Handle: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]
Handlers: TypeAlias = Mapping[str, Handle]
"""By queue."""

READY = "ready"
"""What a service says once it consumes."""

REQUEST = "INSERT INTO saga (order_id) VALUES ($1)"
ANSWER = """
    UPDATE saga SET packet = coalesce($2, packet), agent = coalesce($3, agent), assigned = assigned + $4
     WHERE order_id = $1
    RETURNING packet, agent, packet IS NOT NULL AND agent IS NOT NULL AS reserved, assigned = 2 AS placed
"""
RESERVE = """
    UPDATE unit SET order_id = $1
     WHERE id = (SELECT id FROM unit WHERE place = $2 AND order_id IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id
"""
ASSIGN = "UPDATE unit SET assigned = true WHERE order_id = $1"


@dataclass(frozen=True, slots=True)
class Process:
    """What a service works with."""

    database: Any
    queues: AbstractExchange
    outcomes: AbstractExchange

    async def say(self, queue: str, **document: Any) -> None:
        await self._publish(self.queues, queue, document)

    async def tell(self, key: str, **document: Any) -> None:
        await self._publish(self.outcomes, key, document)

    async def _publish(self, exchange: AbstractExchange, key: str, document: Mapping[str, Any]) -> None:
        body = json.dumps(document, separators=(",", ":")).encode()
        await exchange.publish(aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), key)


def order_saga(process: Process) -> Handlers:
    async def requested(order: Mapping[str, Any]) -> None:
        order_id = order["order_id"]
        await process.database.execute(REQUEST, UUID(order_id))
        await asyncio.gather(
            process.say("store", order_id=order_id, place=shelf(order["store_id"], order["lines"][0]["sku"])),
            process.say("delivery", order_id=order_id, place=order["zone"]),
        )

    async def answered(answer: Mapping[str, Any]) -> None:
        order_id, packet, agent = answer["order_id"], answer.get("packet"), answer.get("agent")
        assigned = 0 if packet or agent else 1
        row = await process.database.fetchrow(ANSWER, UUID(order_id), packet, agent, assigned)
        if row["placed"]:
            placed = {"type": "OrderPlaced/1.0", "packet_ids": [row["packet"]], "agent_id": row["agent"]}
            await process.tell("order_placed", order_id=order_id, **placed)
        elif row["reserved"] and not assigned:
            await asyncio.gather(process.say("store", order_id=order_id), process.say("delivery", order_id=order_id))

    return {"orders": requested, "answers": answered}


def store_worker(process: Process) -> Handlers:
    return {"store": _worker(process, "packet")}


def delivery_worker(process: Process) -> Handlers:
    return {"delivery": _worker(process, "agent")}


def _worker(process: Process, what: str) -> Handle:
    async def commanded(command: Mapping[str, Any]) -> None:
        order_id = command["order_id"]
        if "place" in command:
            unit = await process.database.fetchval(RESERVE, UUID(order_id), command["place"])
            await process.say("answers", order_id=order_id, **{what: unit})
        else:
            await process.database.execute(ASSIGN, UUID(order_id))
            await process.say("answers", order_id=order_id)

    return commanded


def shelf(store_id: str, sku: str) -> str:
    return f"{store_id}/{sku}"
