"""A batch is tried without locks where the service remembers, and with more care after it collided."""

from typing import Any, ClassVar
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from messages.transport.database import lock_mode, session
from messages.transport.database import row_cache as row_cache_module
from messages.transport.database.lock_mode import LockMode
from messages.transport.database.row_cache import RowCache
from messages.transport.database.transactions import Transaction
from messages.transport.database.versioned import Column, Table
from messages.transport.faults import Collision
from tests.integration.toy.faults import raising, raising_in_postgres
from tests.integration.toy.service import Wish, bought
from tests.integration.toy.station import Station, document


class Opened(Wish):
    """A shop has opened: no order's business."""

    ABOUT_AN_ORDER: ClassVar[bool] = False


PURCHASES = Table("purchase", ["order_id"], {"order_id": Column("uuid")})


async def test_a_service_that_remembers_is_tried_without_a_transaction_and_others_are_not(station: Station) -> None:
    modes: list[bool] = []

    async def look(tx: Transaction) -> None:
        modes.append(tx.is_in_transaction())

    for row_cache in (RowCache[Any](PURCHASES), None):
        station.toy.row_cache = row_cache
        station.toy.faults.append(look)
        async with station.running():
            await station.say_together(bought("one"), bought("other"))
            await station.until_heard(4 if row_cache is None else 2)
    assert modes == [False, True]


async def test_what_is_written_tells_the_time_for_the_next_batch(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PUNCTUAL_SECONDS", "TRUSTED_SECONDS"):
        monkeypatch.setattr(row_cache_module, name, 3_600.0)
    station.toy.row_cache = RowCache(PURCHASES)
    await station.say(bought("one"))
    async with station.running():
        await station.until_heard(1)
    assert station.toy.row_cache.clock.now() is not None


async def test_where_the_settings_say_so_every_batch_is_locked_from_the_first(station: Station) -> None:
    station.toy.row_cache = RowCache(PURCHASES)
    await station.say(bought("one"))
    async with station.running(locking="pessimistic"):
        await station.until_heard(1)
    assert station.toy.lock_modes == [LockMode.PESSIMISTIC]


async def test_what_can_only_be_parked_needs_a_transaction(station: Station) -> None:
    station.toy.row_cache = RowCache(PURCHASES)
    modes: list[bool] = []

    async def look(tx: Transaction) -> None:
        modes.append(tx.is_in_transaction())

    station.toy.faults.append(look)
    await station.publish("bought", b"\xff")
    await station.say(bought("one"))
    async with station.running():
        await station.until_heard(1)
    assert modes == [True]


async def test_what_is_about_no_order_needs_a_transaction(station: Station) -> None:
    station.toy.row_cache = RowCache(PURCHASES)
    station.toy.handlers[Opened] = "paid"
    await station.publish("paid", document(Opened(order_id=uuid4())))
    await station.say(bought("one"))
    async with station.running():
        await station.until_heard(2)
    assert station.toy.lock_modes == [LockMode.PESSIMISTIC]


async def test_what_collided_is_handled_again_with_more_care_and_so_is_what_comes_soon_after(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_mode, "SKIPPED_BATCHES", 4)
    monkeypatch.setitem(session.SETTINGS, "lock_timeout", "60s")  # so that nothing else collides

    async def collide(_tx: Transaction) -> None:
        raise Collision

    async def go_on(_tx: Transaction) -> None:
        return

    station.toy.row_cache = RowCache(PURCHASES)
    station.toy.faults.extend([collide, collide, go_on, go_on, go_on, go_on])
    async with station.running():
        for number in range(4):
            await station.say(bought(str(number)))
            await station.until_heard(number + 1)
    optimistic, pessimistic = LockMode.OPTIMISTIC, LockMode.PESSIMISTIC
    assert station.toy.lock_modes == [optimistic, pessimistic, pessimistic, pessimistic, pessimistic, optimistic]
    assert await station.heard() == [str(number) for number in range(4)]


async def test_what_failed_without_a_collision_is_handled_again_with_more_care_too(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session.SETTINGS, "lock_timeout", "60s")  # so that nothing else is in the way
    station.toy.row_cache = RowCache(PURCHASES)
    station.toy.faults.append(raising_in_postgres("55P03"))  # somebody holds a lock, and may for long
    async with station.running():
        for number in range(2):
            await station.say(bought(str(number)))
            await station.until_heard(number + 1)
    assert station.toy.lock_modes == [LockMode.OPTIMISTIC, LockMode.PESSIMISTIC, LockMode.OPTIMISTIC]


async def test_what_collides_again_and_again_is_told_and_waited_out(station: Station) -> None:
    station.toy.faults.extend([raising(Collision())] * 5)
    await station.say(bought("one"))
    with capture_logs() as logs:
        async with station.running():
            await station.until_heard(1)
    assert [log["tries"] for log in logs if log["event"] == "batch failed, retrying"] == [4, 5]
