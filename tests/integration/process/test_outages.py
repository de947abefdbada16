"""A database that vanishes or is restarted: nothing is parked, and nothing is lost."""

import asyncio
from typing import Any

import asyncpg

from messages.transport.database.migrating import migrate
from tests.integration.network import Network
from tests.integration.process.endpoints import READY, says, until_says, until_unready
from tests.integration.toy.service import MIGRATIONS, TELL_ELSEWHERE, bought, paid
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until
from tests.servers.server import Server, free_port

QUICK_RELAY: dict[str, Any] = {
    "publish_timeout_seconds": 0.5,
    "relay_after_seconds": 1.0,
    "relay_interval_seconds": 0.2,
}


async def test_a_database_that_vanishes_parks_nothing_and_loses_nothing(station: Station, network: Network) -> None:
    port = free_port()
    async with station.running(database_url=network.url, http_port=port, batch_documents=5, **QUICK_RELAY) as running:
        await running.ready()
        for number in range(100):
            await station.say(bought(f"{number}", TELL_ELSEWHERE), paid(f"{number} paid"))
            if number == 30:
                await network.unplug()
                await until_unready(port, "postgresql")  # and soon because of the batch that waits for it
                assert (await says(port, "/livez"))[0] == 200
                await network.plug_in()
            if number % 20 == 10:
                network.flicker()
                await asyncio.sleep(0.05)
        await until(lambda: _all_heard(station, 200))
        await until_says(port, "/readyz", (200, READY))
        await station.until_count("outbox", 0)
    assert await station.parked() == []
    assert set(station.texts()) == set(await station.heard())
    assert await station.left_in("toy.bought") == await station.left_in("toy.paid") == []


async def test_a_restarted_postgres_parks_nothing_and_loses_nothing(own_postgres: Server) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    await migrate(connection, [MIGRATIONS])
    await connection.close()
    station = await Station.open(own_postgres.url)
    async with station.running(batch_documents=5, **QUICK_RELAY):
        await station.say(*(bought(str(number)) for number in range(50)))
        await station.until_heard(50)
        for number, end in ((50, own_postgres.stop), (100, own_postgres.kill)):
            ending = asyncio.create_task(end())
            for text in range(number, number + 50):
                await station.say(bought(str(text)))
                await asyncio.sleep(0)
            await ending
            await own_postgres.start()
            station.connection = await asyncpg.connect(own_postgres.url)
            await until(lambda: _all_heard(station, number + 50))  # noqa: B023  awaited within the round
        await station.until_count("outbox", 0)
    assert await station.parked() == []
    assert {int(text) for text in station.texts()} == set(range(150))
    await station.close()


async def _all_heard(station: Station, number: int) -> bool:
    ((heard,),) = await station.rows("SELECT count(DISTINCT text) FROM heard")
    return bool(heard == number)
