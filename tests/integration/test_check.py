"""`check` proves settings, database and broker, and says in one sentence each what does not fit."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest

from messages.transport.addresses import DEAD_LETTERS
from messages.transport.command_line import check as checking
from messages.transport.command_line.check import check
from messages.transport.database import session
from messages.transport.database.migrating import migrations_in
from messages.transport.rabbitmq import connection as rabbitmq_connection
from messages.transport.rabbitmq.management import ActualQueue, _policy_arguments
from messages.transport.rabbitmq.management import Management as Reading
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import DELIVERY_LIMIT, topology_of
from tests.conftest import NewVhost
from tests.integration.network import Network
from tests.integration.pooler import Pooler
from tests.integration.toy.service import Toy, ToySettings
from tests.integration.toy.station import Station
from tests.integration.toy.waiting import until
from tests.servers.management import Management
from tests.servers.server import free_port

SECRET = "hunter2"


@dataclass
class Checked:
    """A toy whose servers are as they should be, until a test changes one."""

    station: Station
    broker_url: str
    management_url: str

    async def problems(self, **settings: Any) -> list[str]:
        values = {
            "database_url": self.station.url,
            "broker_url": self.broker_url,
            "management_url": self.management_url,
            "topology": "expect",
        }
        found = await check(Toy().service(), ToySettings(**values | settings))
        assert all(len(problem.splitlines()) == 1 for problem in found)
        assert not any(SECRET in problem for problem in found)
        return found

    @property
    def vhost(self) -> str:
        return urlsplit(self.broker_url).path[1:]

    async def manage(self, method: str, path: str, body: Any = None) -> None:
        await Management(self.management_url).call(method, path, body)

    async def declare_again(self, queue: str, arguments: Mapping[str, Any], *, durable: bool = True) -> None:
        path = f"queues/{self.vhost}/{queue}"
        await self.manage("DELETE", path)
        await self.manage("PUT", path, {"durable": durable, "arguments": dict(arguments)})


@pytest.fixture(scope="module")
async def declared_url(amqp_url: str, management_url: str) -> AsyncIterator[str]:
    """A vhost with all that the toy needs, for tests that change nothing in it."""
    name = f"test-{uuid4().hex}"
    management = Management(management_url)
    await management.create_vhost(name)
    url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
    await declare_all(url)
    yield url
    await management.delete_vhost(name)


@pytest.fixture
def checked(station: Station, declared_url: str, management_url: str) -> Checked:
    return Checked(station, declared_url, management_url)


@pytest.fixture
def own_database(own_station: Station, declared_url: str, management_url: str) -> Checked:
    """With a database that the test may change."""
    return Checked(own_station, declared_url, management_url)


@pytest.fixture
async def own_vhost(station: Station, new_vhost: NewVhost, management_url: str) -> Checked:
    """With a vhost that the test may change."""
    own = Checked(station, await new_vhost(), management_url)
    await declare_all(own.broker_url)
    return own


async def declare_all(broker_url: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        await declare(connection, topology_of([Toy().service()]))


async def test_a_parameter_of_the_broker_s_url_that_cannot_be_read_is_told(checked: Checked) -> None:
    url = f"{checked.broker_url.replace('amqp://', 'amqps://')}?cadata=zz"
    assert await checked.problems(broker_url=url) == ["TOY_BROKER_URL: not an AMQP URL"]


async def test_a_broker_that_falls_silent_before_all_is_declared_is_told(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Network(checked.broker_url) as network:

        async def declare_in_vain(*given: Any) -> None:
            network.freeze()
            await declare(*given)

        monkeypatch.setattr(checking, "declare", declare_in_vain)
        monkeypatch.setattr(rabbitmq_connection, "CALL_SECONDS", 0.5)
        told = "declaring the topology failed: TimeoutError"
        assert await checked.problems(broker_url=network.url, topology="declare") == [told]


async def test_where_all_is_well_there_is_nothing_to_say(checked: Checked) -> None:
    assert await checked.problems() == []
    assert await checked.problems(topology="declare", management_url=None) == []


# -- the database


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
        url = parts._replace(netloc=f"{role}:{SECRET}@{parts.hostname}:{parts.port}").geturl()
        (problem,) = await checked.problems(database_url=url)
    finally:
        await checked.station.rows(f"DROP ROLE {role}")
    assert problem.startswith("TOY_DATABASE_URL: permission denied")


async def test_a_database_that_says_nothing_is_named_with_what_happened(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "CONNECT_SECONDS", 1.0)
    async with Network(checked.station.url) as network:
        network.freeze()
        place = network.url.rpartition("@")[2]
        assert await checked.problems(database_url=network.url) == [f"TOY_DATABASE_URL: TimeoutError ({place})"]


async def test_a_pooler_that_drops_what_a_session_is_set_to_is_named(checked: Checked) -> None:
    async with Pooler(checked.station.url) as pooler:
        (problem,) = await checked.problems(database_url=pooler.url)
    dropped = ", ".join(sorted(session.SETTINGS))
    assert problem == f"TOY_DATABASE_URL: must lead to PostgreSQL itself: a pooler in between drops {dropped}"


async def test_each_missing_migration_is_named(own_database: Checked) -> None:
    await own_database.station.rows("DELETE FROM schema_migrations WHERE name LIKE 'tests.%'")
    assert await own_database.problems() == [
        "migration tests.integration.toy/0001_create_purchase.sql is not applied: run migrate"
    ]


async def test_an_empty_database_misses_all(own_database: Checked) -> None:
    await own_database.station.rows("DROP TABLE schema_migrations")
    assert len(await own_database.problems()) == len(migrations_in(Toy().service().migrations))


async def test_a_changed_migration_is_named(own_database: Checked) -> None:
    await own_database.station.rows("UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'tests.%'")
    (problem,) = await own_database.problems()
    assert "0001_create_purchase.sql was changed" in problem


async def test_the_database_of_another_service_is_named_with_its_setting(own_database: Checked) -> None:
    await own_database.station.rows("INSERT INTO schema_migrations VALUES ('store_worker/0001_create_packet.sql', '')")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: this is another service's database: store_worker/0001")


@pytest.mark.parametrize(("seconds", "wrong"), [(0.2, False), (3, True), (-3, True)])
async def test_a_clock_that_is_off_is_told(own_database: Checked, seconds: float, wrong: bool) -> None:
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows("CREATE SCHEMA skewed")
    await own_database.station.rows(
        "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
        f" $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} s' $$"
    )
    await own_database.station.rows(f"ALTER DATABASE {database} SET search_path = skewed, pg_catalog, public")
    problems = await own_database.problems()
    assert [f"{abs(seconds):.1f} s off" in problem for problem in problems] == ([True] if wrong else [])


async def test_a_standby_is_told_from_a_primary(own_database: Checked) -> None:
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows("CREATE SCHEMA standby")
    await own_database.station.rows(
        "CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
    )
    await own_database.station.rows(f"ALTER DATABASE {database} SET search_path = standby, pg_catalog, public")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: leads to a read-only standby")


@pytest.mark.parametrize("wanted", ["", "target_session_attrs=read-write"])
async def test_of_several_hosts_that_accept_writes_all_are_named(checked: Checked, wanted: str) -> None:
    async with Network(checked.station.url) as one, Network(checked.station.url) as other:
        hosts = [urlsplit(network.url).netloc.rpartition("@")[2] for network in (one, other)]
        both = urlsplit(one.url)._replace(query=wanted)
        url = both._replace(netloc=f"{both.netloc},{hosts[1]}").geturl()
        several = f"{hosts[0]} and {hosts[1]} all accept writes: stop every one but the newest primary"
        assert await checked.problems(database_url=url) == [f"TOY_DATABASE_URL: {several}"]
        await other.unplug()
        assert await checked.problems(database_url=url) == []


async def test_that_no_host_is_the_primary_is_told_in_one_line(checked: Checked) -> None:
    async with Network(checked.station.url) as one, Network(checked.station.url) as other:
        both = urlsplit(one.url)._replace(query="target_session_attrs=standby")
        url = both._replace(netloc=f"{both.netloc},{urlsplit(other.url).netloc.rpartition('@')[2]}").geturl()
        (problem,) = await checked.problems(database_url=url)
    assert problem.startswith("TOY_DATABASE_URL: None of the hosts match the target attribute requirement")


async def test_a_database_that_can_only_be_read_is_told(own_database: Checked) -> None:
    database = own_database.station.url.rpartition("/")[2]
    await own_database.station.rows(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    (problem,) = await own_database.problems()
    assert problem.startswith("TOY_DATABASE_URL: the database is read-only")


# -- the broker


@pytest.mark.parametrize(
    ("place", "told"),
    [
        pytest.param("127.0.0.1:1", "127.0.0.1:1: Connection refused", id="nobody there"),
        pytest.param("no-such-host.invalid", "no-such-host.invalid:5672: ", id="no such host"),
    ],
)
async def test_a_broker_that_cannot_be_reached_is_named_by_its_setting(checked: Checked, place: str, told: str) -> None:
    (problem,) = await checked.problems(broker_url=f"amqp://toy:{SECRET}@{place}/")
    assert problem.startswith(f"TOY_BROKER_URL: the broker cannot be reached at {told}")
    assert not any(outgoing in problem for outgoing in ("toy:", "Error", "()"))


@pytest.mark.parametrize(
    ("cafile", "told"),
    [("/no/such.pem", "cannot read a file in the URL: [Errno 2] No such file or directory"), (__file__, "TLS: ")],
    ids=["missing", "not a certificate"],
)
async def test_a_certificate_that_cannot_be_read_is_told_as_such(checked: Checked, cafile: str, told: str) -> None:
    (problem,) = await checked.problems(broker_url=f"amqps://toy:{SECRET}@127.0.0.1:1/?cafile={cafile}")
    assert problem.startswith(f"TOY_BROKER_URL: {told}")


async def test_a_broker_that_does_not_speak_tls_is_told_as_such(checked: Checked) -> None:
    (problem,) = await checked.problems(broker_url=checked.broker_url.replace("amqp://", "amqps://"))
    assert problem.startswith("TOY_BROKER_URL: TLS: ")


async def test_a_broker_that_refuses_the_user_or_lacks_the_vhost_is_named_by_its_setting(checked: Checked) -> None:
    parts = urlsplit(checked.broker_url)
    stranger = parts._replace(netloc=f"toy:{SECRET}@{parts.hostname}:{parts.port}").geturl()
    wrong_password = parts._replace(netloc=f"{parts.username}:{SECRET}@{parts.hostname}:{parts.port}").geturl()
    refused = "TOY_BROKER_URL: the broker refuses this user or password"
    for url, told in {
        stranger: refused,
        wrong_password: refused,
        checked.broker_url + "-not": "TOY_BROKER_URL: the virtual host does not exist, or this user may not access it",
    }.items():
        assert await checked.problems(broker_url=url) == [told]


async def test_queues_cannot_be_proven_without_the_management_api(checked: Checked) -> None:
    (problem,) = await checked.problems(management_url=None)
    assert problem.startswith("TOY_MANAGEMENT_URL: ")


async def test_a_management_api_that_does_not_answer_as_one_is_named_by_its_setting(checked: Checked) -> None:
    parts, broker = urlsplit(checked.management_url), urlsplit(checked.broker_url)
    wrong = {
        "nobody there": parts._replace(netloc=f"toy:{SECRET}@127.0.0.1:{free_port()}"),
        "stranger": parts._replace(netloc=f"toy:{SECRET}@{parts.hostname}:{parts.port}"),
        "AMQP": parts._replace(netloc=f"toy:{SECRET}@{broker.hostname}:{broker.port}"),
    }
    for url in wrong.values():
        (problem,) = await checked.problems(management_url=url.geturl())
        assert problem.startswith("TOY_MANAGEMENT_URL: ")


async def test_a_missing_queue_is_named_with_what_no_longer_reaches_it(own_vhost: Checked) -> None:
    await own_vhost.manage("DELETE", f"queues/{own_vhost.vhost}/toy.bought")
    assert await own_vhost.problems() == [
        "queue toy.bought is missing",
        "requests/bought does not reach queue toy.bought: the binding is missing",
    ]


async def test_dead_letters_that_lead_nowhere_are_told(own_vhost: Checked) -> None:
    await own_vhost.manage("DELETE", f"bindings/{own_vhost.vhost}/e/{DEAD_LETTERS}/q/toy.dead/toy.dead")
    assert await own_vhost.problems() == ["dead_letters/toy.dead does not reach queue toy.dead: the binding is missing"]


async def test_a_queue_that_is_not_as_it_must_be_is_told_argument_by_argument(own_vhost: Checked) -> None:
    expected = next(queue for queue in topology_of([Toy().service()]).queues if queue.name == "toy.paid")
    arguments = dict(expected.arguments) | {"x-delivery-limit": 20}
    del arguments["x-overflow"]
    await own_vhost.declare_again("toy.paid", arguments)
    await own_vhost.manage("POST", f"bindings/{own_vhost.vhost}/e/requests/q/toy.paid", {"routing_key": "paid"})
    assert await own_vhost.problems() == [
        f"queue toy.paid: x-delivery-limit is 20 and must be {DELIVERY_LIMIT}",
        "queue toy.paid: x-overflow is None and must be 'reject-publish'",
    ]


async def test_a_classic_queue_that_does_not_outlive_the_broker_is_told(own_vhost: Checked) -> None:
    await own_vhost.declare_again("toy.dead", {"x-queue-type": "classic"}, durable=False)
    problems = await own_vhost.problems()
    assert "queue toy.dead is not durable" in problems
    assert "queue toy.dead: x-queue-type is 'classic' and must be 'quorum'" in problems


@pytest.mark.parametrize(
    ("members", "nodes", "told"),
    [
        (1, 1, None),
        (1, 2, "1 of 2 nodes"),
        (2, 2, None),
        (1, 3, "1 of 3 nodes"),
        (2, 3, "2 of 3 nodes"),
        (3, 3, None),
        (2, 5, "2 of 5 nodes"),
        (3, 5, None),
        (None, 3, None),
        (1, None, None),
    ],
)
def test_a_queue_that_not_enough_nodes_keep_is_told(members: int | None, nodes: int | None, told: str | None) -> None:
    names = [f"rabbit@{number}" for number in range(5)]
    expected = topology_of([Toy().service()])
    has = None if members is None else names[:members]
    management = SimpleNamespace(
        queues=lambda: {
            queue.name: ActualQueue(durable=True, arguments=dict(queue.arguments), policy={}, members=has)
            for queue in expected.queues
        },
        bindings=lambda: {(each.exchange, each.key, each.queue) for each in expected.bindings},
        nodes=lambda: None if nodes is None else names[:nodes],
    )
    problems = list(checking._expected_problems(cast("Reading", management), expected))
    told_of = [
        f"queue {queue.name} is on {told}: add replicas with `rabbitmq-queues grow`" for queue in expected.queues
    ]
    assert problems == (told_of if told else [])


@pytest.mark.parametrize(("online", "lost"), [(None, False), (3, False), (2, False), (1, True), (0, True)])
def test_a_queue_that_has_lost_its_quorum_is_told(online: int | None, lost: bool) -> None:
    members = ["rabbit@1", "rabbit@2", "rabbit@3"]
    down = ", ".join(members[online or 0 :])
    actual = ActualQueue(
        durable=True, arguments={}, policy={}, members=members, online=None if online is None else members[:online]
    )
    told = [f"queue a.queue has lost its quorum: its replicas on {down} are down"] if lost else []
    assert list(checking._replica_problems("a.queue", actual, members)) == told


async def test_replicas_are_read_where_the_broker_tells_of_them(checked: Checked, management_url: str) -> None:
    nodes = await asyncio.to_thread(Reading(management_url, checked.broker_url).nodes)
    queues = await asyncio.to_thread(Reading(management_url, checked.broker_url).queues)
    assert {name: queue.members for name, queue in queues.items()} == dict.fromkeys(queues, nodes)
    assert {name: queue.online for name, queue in queues.items()} == dict.fromkeys(queues, nodes)
    assert len(nodes or ()) == 1


async def test_a_user_who_may_not_look_at_nodes_can_check_all_the_same(own_vhost: Checked) -> None:
    user, vhost = f"user-{uuid4().hex}", own_vhost.vhost
    await own_vhost.manage("PUT", f"users/{user}", {"password": SECRET, "tags": "management"})
    try:
        await own_vhost.manage("PUT", f"permissions/{vhost}/{user}", {"configure": "", "write": "", "read": ""})
        parts = urlsplit(own_vhost.management_url)
        url = parts._replace(netloc=f"{user}:{SECRET}@{parts.hostname}:{parts.port}").geturl()
        assert await asyncio.to_thread(Reading(url, own_vhost.broker_url).nodes) is None
        assert await own_vhost.problems(management_url=url) == []
    finally:
        await own_vhost.manage("DELETE", f"users/{user}")


def test_what_a_policy_gives_counts_like_what_was_declared() -> None:
    told = {"effective_policy_definition": {"delivery-limit": 100, "overflow": "reject-publish"}}
    assert _policy_arguments(told) == {"x-delivery-limit": 100, "x-overflow": "reject-publish"}
    assert _policy_arguments({"effective_policy_definition": None}) == {}


@pytest.mark.parametrize("kind", ["policies", "operator-policies"])
async def test_a_policy_that_lets_messages_be_lost_is_named(own_vhost: Checked, kind: str) -> None:
    definition = {"delivery-limit": 1, "max-length": 2, "message-ttl": 100}
    await own_vhost.manage(
        "PUT",
        f"{kind}/{own_vhost.vhost}/bad",
        {"pattern": "^toy.bought$", "apply-to": "queues", "definition": definition},
    )
    problems = [
        "queue toy.bought: a policy sets delivery-limit to 1; it must be 100",
        "queue toy.bought: a policy sets max-length to 2; it must be 1000000",
        "queue toy.bought: a policy sets message-ttl to 100; it must not be set",
    ]

    async def told() -> bool:
        return await own_vhost.problems() == problems

    await until(told)  # the management plugin tells of it some time later
    assert await own_vhost.problems(topology="declare") == problems


async def test_a_bound_in_bytes_is_well_unless_what_is_beyond_it_is_dropped(own_vhost: Checked) -> None:
    """For our queues refuse what is too much, and who has said it says it again."""

    async def bound(**definition: Any) -> None:
        policy = {"pattern": "^toy.bought$", "apply-to": "queues", "definition": {"max-length-bytes": 2, **definition}}
        await own_vhost.manage("PUT", f"policies/{own_vhost.vhost}/bound", policy)

    async def told() -> bool:
        problem = "queue toy.bought: a policy sets overflow to 'drop-head'; it must be 'reject-publish'"
        return await own_vhost.problems() == [problem]

    await bound(overflow="drop-head")
    await until(told)  # the management plugin tells of it some time later
    await bound()

    async def nothing_is_told() -> bool:
        return await own_vhost.problems() == []

    await until(nothing_is_told)


async def test_a_topology_that_differs_cannot_be_declared(own_vhost: Checked) -> None:
    await own_vhost.declare_again("toy.paid", {"x-queue-type": "quorum"})
    (problem,) = await own_vhost.problems(topology="declare")
    assert "toy.paid" in problem
    assert "refuses the topology" in problem


async def test_database_and_broker_are_both_told(checked: Checked) -> None:
    problems = await checked.problems(
        database_url=f"postgresql://127.0.0.1:{free_port()}/", broker_url=f"amqp://127.0.0.1:{free_port()}/"
    )
    assert [problem.partition(":")[0] for problem in problems] == ["TOY_DATABASE_URL", "TOY_BROKER_URL"]
