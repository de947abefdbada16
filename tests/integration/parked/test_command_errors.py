"""`parked` and `migrate` without a database that can be used: one line that names the setting."""

import asyncio

import asyncpg
import pytest

from tests.integration.network import Network
from tests.integration.toy.commands import tell, tell_toy
from tests.integration.toy.station import Station

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url", [f"postgresql://toy:{SECRET}@127.0.0.1:1/toy", f"postgresql://toy:{SECRET}@no-such-host.invalid/toy"]
)
async def test_a_database_that_cannot_be_reached_is_one_line_that_names_the_setting(station: Station, url: str) -> None:
    result = await asyncio.to_thread(tell, station, "list", environment={"TOY_DATABASE_URL": url})
    assert result.exit_code == 3
    (line,) = result.output.splitlines()
    assert line.startswith("Error: TOY_DATABASE_URL: ")
    assert SECRET not in line


@pytest.mark.parametrize("command", [["migrate"], ["parked", "list"]])
async def test_a_database_that_says_nothing_is_named_with_what_happened(
    station: Station, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    connect = asyncpg.connect
    monkeypatch.setattr(asyncpg, "connect", lambda url, timeout: connect(url, timeout=timeout / 100))
    async with Network(station.url) as network:
        network.freeze()
        variables = {"TOY_DATABASE_URL": network.url, "TOY_BROKER_URL": "amqp://127.0.0.1:1/"}
        result = await asyncio.to_thread(tell_toy, *command, environment=variables)
    assert "TOY_DATABASE_URL: TimeoutError" in result.output


@pytest.mark.parametrize("command", [["migrate"], ["parked", "list"]])
async def test_a_database_url_that_no_server_is_asked_about_is_one_line(station: Station, command: list[str]) -> None:
    url = f"{station.url}{'&' if '?' in station.url else '?'}sslmode=bogus"
    result = await asyncio.to_thread(tell_toy, *command, environment={"TOY_DATABASE_URL": url})
    assert result.exit_code != 0
    assert result.output.splitlines()[0].removeprefix("Error: ").startswith("TOY_DATABASE_URL: `sslmode` parameter")


async def test_a_database_that_is_not_migrated_is_one_line_too(own_station: Station) -> None:
    await own_station.rows("DROP TABLE parked CASCADE")
    result = await asyncio.to_thread(tell, own_station, "list")
    assert result.exit_code == 3
    (line,) = result.output.splitlines()
    assert line == 'Error: TOY_DATABASE_URL: relation "parked" does not exist: that database is not migrated'


@pytest.mark.parametrize("arguments", [["list"], ["show", "1"], ["replay", "1"], ["discard", "--reason", "invalid"]])
async def test_what_another_service_has_parked_is_not_shown_as_ours(own_station: Station, arguments: list[str]) -> None:
    await own_station.rows("UPDATE schema_migrations SET name = 'shop/0001_create_shelf.sql' WHERE name LIKE 'tests.%'")
    result = await asyncio.to_thread(tell, own_station, *arguments)
    assert (result.exit_code, result.output) == (2, "Error: TOY_DATABASE_URL: this is shop's database\n")


async def test_a_wrong_setting_is_one_line(station: Station) -> None:
    result = await asyncio.to_thread(tell, station, "list", environment={"TOY_HTTP_PORT": "many"})
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith("Error: TOY_HTTP_PORT: ")
