"""A database that cannot be used, or is not the right one, is named by its setting."""

import re
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from messages.transport.command_line.database_check import check_database
from messages.transport.database import session
from messages.transport.database.migrating import migrations_in
from tests.integration.check.checked import SECRET, Checked
from tests.integration.network import Network
from tests.integration.pooler import Pooler
from tests.integration.skewing import skew
from tests.integration.toy.service import Toy, ToySettings
from tests.servers.server import free_port


async def test_a_database_that_cannot_be_reached_is_named_by_its_setting(checked: Checked) -> None:
    url = f"postgresql://toy:{SECRET}@127.0.0.1:{free_port()}/toy"
    (problem,) = await checked.problems(database_url=url)
    assert problem.startswith("TOY_DATABASE_URL: ")


async def test_a_database_that_is_not_there_is_named_by_its_setting(checked: Checked) -> None:
    (problem,) = await checked.problems(database_url=checked.station.url + "_not")
    assert problem.startswith("TOY_DATABASE_URL: ")
    assert "does not exist" in problem


async def test_a_user_who_may_not_read_the_tables_is_told(checked: Checked) -> None:
    role = f"role_{checked.vhost.replace('-', '_')}"
    await checked.station.rows(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
    try:
        parts = urlsplit(checked.station.url)
        url = parts._replace(netloc=f"{role}:{SECRET}@{parts.netloc.rpartition('@')[2]}").geturl()
        (problem,) = await checked.problems(database_url=url)
    finally:
        await checked.station.rows(f"DROP ROLE {role}")
    assert problem.startswith("TOY_DATABASE_URL: permission denied")


async def test_a_database_that_says_nothing_is_named_with_what_happened(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = asyncpg.connect

    def connect_impatiently(url: str, *, timeout: float, **options: Any) -> Any:
        return connect(url, timeout=timeout / 10, **options)

    monkeypatch.setattr(asyncpg, "connect", connect_impatiently)  # the broker is given its time
    async with Network(checked.station.url) as network:
        network.freeze()
        place = network.url.rpartition("@")[2]
        assert await checked.problems(database_url=network.url) == [f"TOY_DATABASE_URL: TimeoutError ({place})"]


async def test_a_pooler_that_drops_what_a_session_is_set_to_is_named(checked: Checked) -> None:
    async with Pooler(checked.station.url) as pooler:
        (problem,) = await checked.problems(database_url=pooler.url)
    dropped = ", ".join(sorted(session.SETTINGS))
    assert problem == f"TOY_DATABASE_URL: must lead to PostgreSQL itself: a pooler in between drops {dropped}"


async def test_a_role_or_database_that_does_not_wait_for_its_commits_is_named(own_database: Checked) -> None:
    name = urlsplit(own_database.station.url).path[1:]
    await own_database.station.rows(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: synchronous_commit is off")


async def test_a_server_that_may_not_outlast_a_crash_is_warned_of(own_database: Checked) -> None:
    await own_database.station.rows("CREATE SCHEMA careless")
    await own_database.station.rows(
        "CREATE FUNCTION careless.current_setting(name text) RETURNS text LANGUAGE sql AS"
        " $$ SELECT CASE name WHEN 'fsync' THEN 'on' ELSE 'off' END $$"
    )
    settings = ToySettings(database_url=own_database.station.url)
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows(f"ALTER DATABASE {database} SET search_path = careless, pg_catalog, public")

    _, (warning,) = await check_database(Toy().service(), settings)

    assert warning.startswith("TOY_DATABASE_URL: full_page_writes is off on the server: ")
    assert await own_database.problems() == []


async def test_a_server_that_cannot_be_asked_is_no_warning() -> None:
    url = f"postgresql://toy:{SECRET}@127.0.0.1:{free_port()}/toy"
    _, warnings = await check_database(Toy().service(), ToySettings(database_url=url))
    assert warnings == []


async def test_each_missing_migration_is_named(own_database: Checked) -> None:
    await own_database.station.rows("DELETE FROM schema_migrations WHERE name LIKE 'tests.%'")
    assert await own_database.problems() == [
        "migration tests.integration.toy/0001_create_purchase.sql is not applied: run migrate"
    ]


async def test_an_empty_database_misses_all(own_database: Checked) -> None:
    await own_database.station.rows("DROP TABLE schema_migrations CASCADE")
    assert len(await own_database.problems()) == len(migrations_in(Toy().service().migrations))


async def test_a_changed_migration_is_named(own_database: Checked) -> None:
    await own_database.station.rows("UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'tests.%'")
    (problem,) = await own_database.problems()
    assert "0001_create_purchase.sql was changed" in problem


async def test_the_database_of_another_service_is_named_with_its_setting(own_database: Checked) -> None:
    await own_database.station.rows("INSERT INTO schema_migrations VALUES ('store_worker/0001_create_packet.sql', '')")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: this is another service's database: store_worker/0001")


@pytest.mark.parametrize("seconds", [3, -3, 600, -600])
async def test_a_clock_that_is_off_is_told(own_database: Checked, seconds: float) -> None:
    await skew(own_database.station.url, seconds)
    (problem,) = await own_database.problems()
    where = "ahead of" if seconds > 0 else "behind"
    told = re.fullmatch(rf"the database's clock is (\d+\.\d) s {where} this host's: more than 1\.0 s", problem)
    assert told
    assert max(1, abs(seconds) - 100) < float(told[1]) <= abs(seconds)  # less than it is, by as much as asking took


async def test_a_clock_that_is_hardly_off_is_not_told(own_database: Checked) -> None:
    await skew(own_database.station.url, 0.2)
    assert await own_database.problems() == []


async def test_a_standby_is_told_from_a_primary(own_database: Checked) -> None:
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows("CREATE SCHEMA standby")
    await own_database.station.rows(
        "CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    )
    await own_database.station.rows(f"ALTER DATABASE {database} SET search_path = standby, pg_catalog, public")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: leads to a read-only standby")


async def test_a_database_that_can_only_be_read_is_told(own_database: Checked) -> None:
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: the database is read-only")
