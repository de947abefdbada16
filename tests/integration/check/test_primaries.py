"""A primary among several servers: that there is one, and only one, and that its commits do not wait for nobody."""

from urllib.parse import urlsplit

import pytest

from messages.transport.command_line.database_check import check_database
from tests.integration.check.checked import SECRET, Checked
from tests.integration.network import Network
from tests.integration.toy.service import Toy, ToySettings
from tests.servers.replicated import Replicated, split_host
from tests.servers.server import postgres_executes, until


@pytest.mark.parametrize("wanted", ["", "target_session_attrs=read-write"])
async def test_of_several_hosts_that_accept_writes_all_are_named(own_replicated: Replicated, wanted: str) -> None:
    url = urlsplit(own_replicated.url)._replace(query=wanted).geturl()
    assert await faults(url) == []
    await postgres_executes(own_replicated.standby.url, "SELECT pg_promote()")
    hosts = " and ".join(split_host(each.url)[1] for each in (own_replicated.primary, own_replicated.standby))
    several = f"{hosts} all accept writes: stop every one but the newest primary"
    assert await faults(url) == [f"TOY_DATABASE_URL: {several}"]
    await own_replicated.primary.kill()
    assert await faults(url) == []


async def test_two_names_of_one_server_are_not_two_primaries(checked: Checked) -> None:
    async with Network(checked.station.url) as one, Network(checked.station.url) as other:
        both = urlsplit(one.url)
        url = both._replace(netloc=f"{both.netloc},{split_host(other.url)[1]}").geturl()
        assert await checked.problems(database_url=url) == []


async def test_that_no_host_is_the_primary_is_told_in_one_line(checked: Checked) -> None:
    async with Network(checked.station.url) as one, Network(checked.station.url) as other:
        both = urlsplit(one.url)._replace(query="target_session_attrs=standby")
        url = both._replace(netloc=f"{both.netloc},{urlsplit(other.url).netloc.rpartition('@')[2]}").geturl()
        (problem,) = await checked.problems(database_url=url)
    assert problem.startswith("TOY_DATABASE_URL: None of the hosts match the target attribute requirement")


async def test_commits_that_wait_for_a_standby_that_is_gone_are_warned_of(own_replicated: Replicated) -> None:
    url = own_replicated.primary.url
    await postgres_executes(url, f"CREATE ROLE toy LOGIN PASSWORD '{SECRET}'")
    plain = urlsplit(url)._replace(netloc=f"toy:{SECRET}@{split_host(url)[1]}").geturl()
    assert [await waits(each) for each in (url, plain)] == [[], []]
    await own_replicated.standby.kill()
    await until(lambda: postgres_executes(url, "SELECT 1 / (NOT EXISTS (SELECT FROM pg_stat_replication))::integer"))
    told = (
        "TOY_DATABASE_URL: synchronous_standby_names is set on the server, and no standby is synchronous: commits wait"
    )
    assert [await waits(each) for each in (url, plain)] == [[told], [told]]
    assert await faults(url) == []


async def faults(url: str) -> list[str]:
    """What is found wrong with a server, whose databases the toy does not use."""
    problems, _ = await check_database(Toy().service(), ToySettings(database_url=url))
    return [problem for problem in problems if not problem.startswith("migration ")]


async def waits(url: str) -> list[str]:
    """What is warned of beside what a server for tests does not keep."""
    _, warnings = await check_database(Toy().service(), ToySettings(database_url=url))
    return [warning for warning in warnings if " is off on the server: " not in warning]
