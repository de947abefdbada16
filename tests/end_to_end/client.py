"""A customer's program, in plain AMQP and JSON: it knows the wire, and shares no code with what it talks to."""

import asyncio
import json
import random
import re
import uuid
from collections import defaultdict
from contextlib import suppress
from typing import Any, Self, TypeAlias

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from messages.transport import cancelling

Document: TypeAlias = dict[str, Any]

TROUBLE = (*CONNECTION_EXCEPTIONS, TimeoutError)
CONNECT_SECONDS = 15.0
CALL_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
WATCH_SECONDS = 0.1
REPEAT_SECONDS = 2.0
LONGEST_REPEAT_SECONDS = 15.0


class Unanswered(Exception):
    """Nobody said anything about a request, however often it was repeated."""


def document(name: str, **fields: Any) -> Document:
    """What goes over the wire: one flat object, with the type and an id of its own beside the fields."""
    return {"type": f"{name}/1.0", "message_id": str(uuid.uuid4()), **fields}


def routing_key(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Client:
    """Publishes requests, and remembers everything it was ever told, in order. Outlives the broker's restarts."""

    def __init__(self, broker_url: str) -> None:
        self.requested: dict[str, Document] = {}
        """order id -> the OrderRequested."""
        self.outcomes: dict[str, list[Document]] = defaultdict(list)
        """order id -> OrderPlaced or OrderNotPlaced, as often as they were heard."""
        self.rejections: list[Document] = []
        self._url = URL(broker_url).update_query(heartbeat=10)
        self._queue = f"outcomes.{URL(broker_url).user}.{uuid.uuid4().hex}"
        self._connected = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._news: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __aenter__(self) -> Self:
        self._staying = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancelling.cancel(self._staying)

    async def place(self, order: Document, timeout_seconds: float = PATIENCE_SECONDS) -> Document:
        """Publish the order until its outcome is heard, which is returned. Raises Unanswered."""
        order_id = order["order_id"]
        self.requested.setdefault(order_id, order)
        await self._until_heard(order, lambda: bool(self.outcomes[order_id]), timeout_seconds)
        return self.outcomes[order_id][0]

    async def ask_again(self, order: Document, timeout_seconds: float = PATIENCE_SECONDS) -> Document:
        """Publish an order once more, and return the outcome that is heard then. Raises Unanswered."""
        heard = self.outcomes[order["order_id"]]
        before = len(heard)
        await self._until_heard(order, lambda: len(heard) > before, timeout_seconds)
        return heard[-1]

    async def cancel(self, order_id: str, timeout_seconds: float = PATIENCE_SECONDS) -> Document:
        """Return the outcome if that ends the order, or else the rejection. Raises Unanswered."""
        cancel = document("CancelOrder", order_id=order_id)
        before = len(self.outcomes[order_id])

        def answers() -> list[Document]:
            # That it is placed may be said once more to who asked for it more than once.
            ended = [each for each in self.outcomes[order_id][before:] if each["type"] == "OrderNotPlaced"]
            return ended + self.rejected(cancel)

        await self._until_heard(cancel, answers, timeout_seconds)
        return answers()[0]

    def rejected(self, request: Document) -> list[Document]:
        """Every rejection of this very message."""
        return [each for each in self.rejections if each.get("request_message_id") == request["message_id"]]

    async def rejection_of(self, request: Document) -> Document:
        """Publish a bad request once, and return its rejection. Raises Unanswered."""
        await self.say(request)
        return (await self.until_rejected(request))[0]

    async def until_rejected(self, request: Document, times: int = 1) -> list[Document]:
        """Wait for so many rejections of this very message: each has left the outbox before it is heard."""
        await self._hear_of(request["order_id"], lambda: len(self.rejected(request)) >= times, PATIENCE_SECONDS)
        if len(self.rejected(request)) < times:
            raise Unanswered(f"{request}, {times} times within {PATIENCE_SECONDS} s")
        return self.rejected(request)

    async def say(self, said: Document, *, exchange: str = "requests", key: str | None = None) -> None:
        """Publish until the broker confirms it."""
        key = key or routing_key(said["type"].partition("/")[0])
        while True:
            if await self.publish(json.dumps(said).encode(), exchange=exchange, key=key):
                return
            await asyncio.sleep(WATCH_SECONDS)

    async def publish(self, body: bytes, *, exchange: str, key: str) -> bool:
        """Whether the broker has confirmed it. Waits for a connection."""
        await self._connected.wait()
        publishing = asyncio.ensure_future(self._publish(body, exchange, key))
        # A dying channel cancels who waits on it. That must not look as if somebody had cancelled us.
        try:
            await asyncio.wait({publishing}, timeout=CALL_SECONDS)
        finally:
            publishing.cancel()
        return publishing.done() and not publishing.cancelled() and publishing.result()

    async def _publish(self, body: bytes, exchange: str, key: str) -> bool:
        message = aio_pika.Message(body, content_type="application/json", delivery_mode=2)
        message.priority = None  # as the services send it: to RabbitMQ 4.3 the usual 0 is less than none, and goes last
        try:
            assert self._channel is not None
            await (await self._channel.get_exchange(exchange, ensure=False)).publish(message, key)
        except (*TROUBLE, AssertionError):
            return False
        return True

    async def _until_heard(self, request: Document, is_heard: Any, timeout_seconds: float) -> None:
        wait_seconds = REPEAT_SECONDS
        try:
            async with asyncio.timeout(timeout_seconds):
                while not is_heard():
                    await self.say(request)
                    await self._hear_of(request["order_id"], is_heard, wait_seconds * random.uniform(0.75, 1.25))
                    wait_seconds = min(wait_seconds * 1.5, LONGEST_REPEAT_SECONDS)
        except TimeoutError:
            raise Unanswered(f"{request} within {timeout_seconds} s") from None

    async def _hear_of(self, order_id: str, is_heard: Any, timeout_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not is_heard():
                    self._news[order_id].clear()
                    await self._news[order_id].wait()

    async def _stay_connected(self) -> None:
        while True:
            try:
                # Closed on every path: one that never opened warns when it is collected, wherever that happens.
                async with aio_pika.Connection(self._url) as connection:
                    await connection.connect(timeout=CONNECT_SECONDS)
                    await self._listen(connection)
            except TROUBLE:
                await asyncio.sleep(WATCH_SECONDS)
            except asyncio.CancelledError:
                if self._staying.cancelling():
                    raise

    async def _listen(self, connection: AbstractConnection) -> None:
        channel = await connection.channel()
        outcomes = await channel.get_exchange("outcomes")
        # It outlives the connection, so that nothing that is ever told goes unheard.
        queue = await channel.declare_queue(
            self._queue, durable=True, arguments={"x-queue-type": "quorum", "x-expires": 900_000}
        )
        await queue.bind(outcomes, "#")
        await channel.set_qos(200)
        await queue.consume(self._hear)
        self._channel = channel
        self._connected.set()
        try:
            while not channel.is_closed:  # noqa: ASYNC110  aio-pika has no event for it
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._connected.clear()

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        said: Document = json.loads(message.body)
        said["type"] = re.sub(r"/1\.\d+$", "", said["type"])  # a later minor version only adds fields
        if said["type"] == "RequestRejected":
            self.rejections.append(said)
        else:
            self.outcomes[said["order_id"]].append(said)
        if said.get("order_id"):
            self._news[said["order_id"]].set()
        with suppress(*TROUBLE):
            await message.ack()
