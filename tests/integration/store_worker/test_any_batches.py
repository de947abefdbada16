"""However messages are divided into batches, what becomes of orders and packets is what a simple model says."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest

from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted
from messages.transport.database.lock_mode import LockMode
from tests.integration.store_worker.messages import assign, placed, release, reserve, stock, withdraw
from tests.integration.store_worker.shop import Shop
from tests.integration.workers import Worker, heard

SKUS = ("bread", "milk")
SOMETIMES = 0.3
MODES = (LockMode.OPTIMISTIC, LockMode.OPTIMISTIC, LockMode.PESSIMISTIC)


@pytest.mark.parametrize("seed", range(25))
async def test_what_becomes_of_orders_and_packets_is_what_the_model_says(store: Worker, seed: int) -> None:
    chance, shop, said = random.Random(seed), Shop(), Counter[tuple[type[Message], UUID | None, str | None]]()
    for batch in divided(messages(chance), chance):
        said += Counter(map(signature, await hear(store, shop, batch, chance.choice(MODES))))
        if chance.random() < SOMETIMES:
            await let_a_lease_end(store, shop, chance)
        if chance.random() < SOMETIMES:
            shop.sweep()
            said += Counter(map(signature, await store.run("sweep")))

    assert await store.holdings() == shop.states
    assert Counter(tuple(row.values()) for row in await store.query(PACKETS)) == shop.shelves
    assert said == shop.said


PACKETS = "SELECT sku, order_id, gone IS NOT NULL AS withdrawn FROM packet"
OVER = """
    UPDATE reservation SET version = version + 1, expires_at = clock_timestamp(), due_at = clock_timestamp()
    WHERE order_id = $1
"""
"""With a new version: in the cache, the lease still has its old end."""


def messages(chance: random.Random) -> Iterator[Message]:
    """The lives of a few orders, with repetitions, more or less out of order; too few packets; at times a recall."""
    received = [stock(sku, *(f"{sku}-{chance.random()}" for _ in range(chance.randint(1, 4)))) for sku in SKUS * 2]
    said: list[Message] = [*received]
    for order_id in [UUID(int=chance.getrandbits(128)) for _ in range(chance.randint(2, 5))]:
        wants = {sku: chance.randint(1, 2) for sku in SKUS if chance.random() > SOMETIMES} or {"milk": 1}
        life: list[Message] = [
            reserve(order_id, **wants),
            assign(order_id),
            placed(order_id),
            DeliveryCompleted(order_id=order_id),
        ]
        said += life[: chance.randint(1, 4)] + chance.choices([*life, release(order_id), release(order_id)], k=2)
    if chance.random() < SOMETIMES:
        said.append(withdraw(*(packet_id for each in received if each.sku == "milk" for packet_id in each.packet_ids)))
    disorder = chance.choice((0, 3, len(said)))
    order = sorted(range(len(said)), key=lambda position: position + chance.uniform(0, disorder))
    return (said[position] for position in order)


def divided(said: Iterator[Message], chance: random.Random) -> Iterator[Sequence[Message]]:
    """In batches of any size."""
    batch: list[Message] = []
    for message in said:
        batch.append(message)
        if chance.random() < SOMETIMES:
            yield batch
            batch = []
    yield batch


async def hear(store: Worker, shop: Shop, batch: Sequence[Message], lock_mode: LockMode) -> Sequence[Message]:
    """The model hears goods first, and last the orders at which the worker looked again."""
    before = len(store.handled)
    answers = await store.hear_documents([heard(message) for message in batch], lock_mode) if batch else []
    again = [each.message for handled in store.handled[before:] for each in handled.look_again]
    for message in sorted(batch, key=lambda each: 2 if any(each is late for late in again) else each.ABOUT_AN_ORDER):
        shop.hear(message)
    return answers


async def let_a_lease_end(store: Worker, shop: Shop, chance: random.Random) -> None:
    order_id = chance.choice([*shop.orders, UUID(int=0)])
    if shop.states.get(order_id) == "reserved":
        shop.orders[order_id].is_lease_over = True
        await store.execute(OVER, order_id)


def signature(answer: Message) -> tuple[type[Message], UUID | None, str | None]:
    return type(answer), answer.order_id, getattr(answer, "reason", None)
