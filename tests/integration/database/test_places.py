"""At most so many connections are in use: others wait for a place, and whoever gets no connection leaves its place."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from messages.transport.database import postgres
from messages.transport.database.postgres import Database
from tests.integration.database.backends import backend_of
from tests.integration.database.purchases import write
from tests.integration.network import Network
from tests.integration.toy.station import Station, has_lost_what_is_at_hand
from tests.integration.toy.waiting import reaches, until


@pytest.fixture
async def crowded(station: Station, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Of a single connection, for which nobody waits long."""
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 0.1)
    database = Database(station.url, size=1)
    await database.open()
    yield database
    await database.close()


async def test_who_finds_all_connections_in_use_waits(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 60.0)
    database = Database(station.url, size=2)
    await database.open()
    await asyncio.wait_for(asyncio.gather(*(write(database) for _ in range(30))), 60)
    assert await station.count("purchase") == 30
    assert database.connections_opened == 2
    await database.close()


async def test_a_server_all_of_whose_connections_are_busy_for_long_is_not_reached(crowded: Database) -> None:
    async with crowded.session():
        with pytest.raises(TimeoutError):
            await backend_of(crowded)
        assert not crowded.reachable
    await backend_of(crowded)
    assert crowded.reachable


async def test_an_error_that_is_not_the_servers_does_not_say_that_it_is_reached(crowded: Database) -> None:
    async def fail() -> None:
        async with crowded.session():
            with pytest.raises(TimeoutError):
                await backend_of(crowded)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert not crowded.reachable


async def test_who_does_not_get_a_connection_leaves_its_place_to_others(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url, size=1)
        await database.open()
        await network.unplug()
        for _ in range(3):
            with pytest.raises(Exception, match=r".*") as lost:
                await backend_of(database)
            assert not isinstance(lost.value, TimeoutError)
        await network.plug_in()
        await backend_of(database)
        await database.close()


async def test_who_is_cancelled_while_it_connects_leaves_its_place_to_others(station: Station) -> None:
    async with Network(station.url) as network:
        database = Database(network.url, size=1)
        await database.open()
        network.flicker()
        await until(lambda: has_lost_what_is_at_hand(database))
        network.freeze()
        connecting = asyncio.create_task(backend_of(database))
        await until(partial(reaches, lambda: network.accepted, 2))
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        network.thaw()
        await backend_of(database)
        await database.close()
