"""The commands as a user types them, each in a process of its own, beside a running system on real servers."""

import asyncio
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import asyncpg
import pytest

from deploy.definitions import all_services
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
from messages.contracts.order import CancelOrder
from messages.contracts.store import StockReceived
from messages.transport.broker import Broker
from messages.transport.edge.connection import publish_until_confirmed
from messages.transport.edge.requests import new_request
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.rabbitmq.topology import declare
from messages.transport.topology import topology_of
from tests.conftest import NewDatabase
from tests.integration.network import Network
from tests.integration.small_system import Urls, databases, running, until
from tests.servers.management import Management

LATER = datetime.now(UTC) + timedelta(days=3)
ROOT = Path(__file__).parents[2]
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("order_saga", run_name="__main__")
"""
"""Also where the tests run in the background, and their shell has SIGINT ignored by all that it starts."""
FULL = Path("/dev/full")
NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Shell:
    """Where commands are typed, with the settings of a running system."""

    urls: Urls
    vhost: str
    settings: Mapping[str, str]
    broker: Broker

    async def type(self, *arguments: str, stdin: str = "", **settings: str) -> Result:
        """`order_saga audit --json`, say."""
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", *arguments],
            input=stdin.encode(), env=self.environment | settings, cwd=ROOT,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.settings}

    async def until(self, service: str, question: str) -> None:
        await until(self.urls[service], question)

    async def sql(self, service: str, statement: str) -> Any:
        connection = await asyncpg.connect(self.urls[service])
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
async def shell(postgres_url: str, amqp_url: str, management_url: str) -> AsyncIterator[Shell]:
    """A system that runs, with nothing on its shelves."""
    async with vhost(management_url) as name, databases(postgres_url) as urls:
        broker_url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        topology = topology_of(all_services())
        settings = {f"{service.upper()}_DATABASE_URL": url for service, url in urls.items()}
        async with running(urls, lambda: RabbitBroker(broker_url, topology=topology)):
            broker = RabbitBroker(broker_url)
            await broker.start()
            yield Shell(urls, name, settings | {"BROKER_URL": broker_url}, broker)
            await broker.close()


@asynccontextmanager
async def vhost(management_url: str) -> AsyncIterator[str]:
    management, name = Management(management_url), f"test-{uuid.uuid4().hex}"
    await management.create_vhost(name)
    try:
        yield name
    finally:
        await management.delete_vhost(name)


@dataclass(frozen=True)
class SilentShop:
    """A broker with all queues, of which nobody takes anything."""

    url: str
    _connection: aio_pika.abc.AbstractConnection

    async def until_an_order_waits(self) -> None:
        channel = await self._connection.channel()
        async with asyncio.timeout(20):
            while not await self._waiting(channel):  # noqa: ASYNC110  a queue sets no event
                await asyncio.sleep(0.05)

    async def _waiting(self, channel: aio_pika.abc.AbstractChannel) -> int:
        queue = await channel.declare_queue("order_saga.orders", passive=True)
        return queue.declaration_result.message_count or 0


@pytest.fixture
async def silent_shop(management_url: str, amqp_url: str) -> AsyncIterator[SilentShop]:
    async with vhost(management_url) as name:
        url = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        async with await aio_pika.connect(url) as connection:
            await declare(connection, topology_of(all_services()))
            yield SilentShop(url, connection)


async def a_shop(shell: Shell, packets: int, agents: int) -> str:
    """A store and a zone of one name, stocked and staffed."""
    place = f"place-{uuid.uuid4().hex[:8]}"
    names = tuple(f"{place}-{number}" for number in range(packets))
    goods = new_request(StockReceived, store_id=place, sku="milk", best_before=LATER, packet_ids=names)
    fleet = [new_request(AgentCameOnline, agent_id=f"{place}-{number}", zone=place) for number in range(agents)]
    await publish_until_confirmed(shell.broker, [goods, *fleet])
    await shell.until("store_worker", free(place, packets))
    await shell.until("delivery_worker", free(place, agents))
    return place


def free(place: str, number: int) -> str:
    return f"SELECT count(*) = {number} FROM published.stock WHERE place = '{place}' AND state = 'free'"


def order(place: str, quantity: int = 1, **given: Any) -> dict[str, Any]:
    lines = [{"sku": "milk", "quantity": quantity, "price_cents": 129}]
    return {"customer_id": "C-1", "store_id": place, "zone": place, "lines": lines} | given


def text(documents: Iterable[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(document)}\n" for document in documents)


async def test_orders_from_a_pipe_are_placed(shell: Shell) -> None:
    shop = await a_shop(shell, packets=6, agents=3)

    placed = await shell.type("order_saga", "place", "-", stdin=text(order(shop, 2) for _ in range(3)))

    assert placed.code == 0, placed
    assert [line.split()[0] for line in placed.out.splitlines()] == ["placed"] * 3
    assert "2 packets place-" in placed.out
    assert placed.err.startswith("3 placed in ")


async def test_of_a_file_of_which_the_shell_has_read_a_part_only_the_rest_is_placed(
    shell: Shell, tmp_path: Path
) -> None:
    shop = await a_shop(shell, packets=2, agents=2)
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order(shop, order_id=str(uuid.uuid4())), order(shop, order_id=(mine := str(uuid.uuid4())))]))
    placing = await asyncio.create_subprocess_shell(
        f"{{ read -r theirs; {shlex.quote(sys.executable)} -m order_saga place --json -; }} <{shlex.quote(str(file))}",
        env=shell.environment, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await placing.communicate()
    assert [json.loads(line)["order_id"] for line in out.splitlines()] == [mine]


@pytest.mark.skipif(not FULL.exists(), reason=f"a disk that is full is {FULL}, which is not here")
async def test_a_disk_that_takes_no_outcome_is_one_line(shell: Shell) -> None:
    placing = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m order_saga place - >{FULL}",
        env=shell.environment, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await placing.communicate(text([order("nowhere", 1)]).encode())
    assert (placing.returncode, told) == (3, b"Error: the output is incomplete: No space left on device\n")


async def test_every_request_of_a_file_has_its_outcome(shell: Shell, tmp_path: Path) -> None:
    shop = await a_shop(shell, packets=3, agents=3)
    mine, theirs = str(uuid.uuid4()), str(uuid.uuid4())
    file = tmp_path / "orders.jsonl"
    file.write_text(
        text(
            [
                order(shop, 2, order_id=mine),
                order(shop, 3, order_id=mine),
                order(shop, 50),
                {"type": "CancelOrder/1.0", "order_id": theirs},
                order(shop, 1, store_id="nowhere"),
            ]
        )
    )

    placed = await shell.type("order_saga", "place", "--json", str(file))

    assert placed.code == 1, placed
    told = {each["line"]: each for each in placed.objects}
    assert {line: (each["outcome"], each.get("reason")) for line, each in told.items()} == {
        1: ("placed", None),
        2: ("rejected", "conflict"),
        3: ("not_placed", "out_of_stock"),
        4: ("not_placed", "cancelled"),
        5: ("not_placed", "unknown_sku"),
    }
    assert len(told[1]["packet_ids"]) == 2
    assert told[1]["agent_id"].startswith(shop)


async def test_what_was_placed_before_is_told_again(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    document = order(shop, order_id=str(uuid.uuid4()))

    first = await shell.type("order_saga", "place", "--json", "-", stdin=text([document]))
    second = await shell.type("order_saga", "place", "--json", "-", stdin=text([document]))

    assert first.code == second.code == 0
    assert [each["packet_ids"] for each in first.objects] == [each["packet_ids"] for each in second.objects]


async def test_nothing_of_a_file_with_a_mistake_is_published(shell: Shell, tmp_path: Path) -> None:
    before = await shell.sql("order_saga", "SELECT count(*) FROM saga")
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order("north"), order("north", 0)]))

    placed = await shell.type("order_saga", "place", str(file))

    assert (placed.code, placed.out) == (2, "")
    assert placed.err.startswith(f"Error: {file}, line 2, is not a request: lines.0.quantity")
    assert placed.err.count("\n") == 1
    assert await shell.sql("order_saga", "SELECT count(*) FROM saga") == before


async def test_a_broker_that_is_not_there_is_one_line(shell: Shell) -> None:
    results = await asyncio.gather(
        shell.type("order_saga", "place", "-", stdin=text([order("north")]), BROKER_URL=NOWHERE),
        shell.type("store_worker", "stock", "add", "north", "milk", "1", BROKER_URL=NOWHERE),
    )

    for result in results:
        assert (result.code, result.out) == (3, "")
        assert result.err == "Error: BROKER_URL: the broker cannot be reached at 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("named", [False, True], ids=["pipe", "named pipe"])
async def test_whoever_is_stopped_tells_what_is_under_way_though_its_input_stays_open(
    shell: Shell, silent_shop: SilentShop, tmp_path: Path, number: signal.Signals, named: bool
) -> None:
    pipe = tmp_path / "orders"
    os.mkfifo(pipe)
    with subprocess.Popen(  # noqa: ASYNC220  no more than starting it takes
        [sys.executable, "-c", INTERRUPTIBLE, "place", str(pipe) if named else "-"], cwd=ROOT,
        env={**shell.environment, "BROKER_URL": silent_shop.url},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as asking:  # fmt: skip
        assert asking.stdin
        assert asking.stdout
        assert asking.stderr
        try:
            with await asyncio.to_thread(pipe.open, "wb") if named else asking.stdin as requests:
                requests.write(text([order("north", order_id=(order_id := str(uuid.uuid4())))]).encode())
                requests.flush()
                await silent_shop.until_an_order_waits()
                asking.send_signal(number)
                await asyncio.to_thread(asking.wait, timeout=10)
            out, err = asking.stdout.read(), asking.stderr.read()
        finally:
            asking.kill()

    assert (asking.returncode, out.decode().split()[:2]) == (128 + number, ["unanswered", order_id])
    assert err.decode().startswith("1 unanswered in ")
    assert err.count(b"\n") == 1


async def test_a_broker_that_falls_silent_leaves_requests_unanswered(shell: Shell, silent_shop: SilentShop) -> None:
    async with Network(silent_shop.url) as network:
        placing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "order_saga", "place", "--timeout", "1", "-", cwd=ROOT,
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**shell.environment, "BROKER_URL": network.url},
        )  # fmt: skip
        assert placing.stdin
        assert placing.stderr
        placing.stdin.write(text([order("north")]).encode())
        await silent_shop.until_an_order_waits()
        network.freeze()
        placing.stdin.close()
        try:
            async with asyncio.timeout(15):
                told = await placing.stderr.read()
                assert await placing.wait() == 3
        finally:
            if placing.returncode is None:
                placing.kill()

    assert told.decode().startswith("1 unanswered in ")
    assert told.count(b"\n") == 1


async def test_a_standard_input_that_is_closed_is_one_line(shell: Shell) -> None:
    placing = await asyncio.create_subprocess_shell(
        f"{shlex.quote(sys.executable)} -m order_saga place - <&-",
        env=shell.environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await placing.communicate()
    assert (placing.returncode, told) == (2, b"Error: there is no standard input to read from\n")


async def test_a_virtual_host_that_is_not_there_is_one_line(shell: Shell, amqp_url: str) -> None:
    url = urlsplit(amqp_url)._replace(path="/nowhere").geturl()
    result = await shell.type("order_saga", "place", "-", stdin=text([order("north")]), BROKER_URL=url)

    assert (result.code, result.out) == (3, "")
    assert result.err == "Error: BROKER_URL: the virtual host does not exist, or this user may not access it\n"


async def test_a_system_that_was_never_started_is_one_line(shell: Shell, management_url: str, amqp_url: str) -> None:
    async with vhost(management_url) as name:
        empty = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        placed = await shell.type("order_saga", "place", "-", stdin=text([order("north")]), BROKER_URL=empty)

    assert (placed.code, placed.out) == (3, "")
    assert placed.err.startswith("Error: BROKER_URL: cannot consume from `outcomes`")


async def test_what_nobody_answers_is_given_up(shell: Shell, management_url: str, amqp_url: str) -> None:
    async with vhost(management_url) as name:
        silent = urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        broker = RabbitBroker(silent, topology=topology_of(all_services()))
        await broker.start()
        await publish_until_confirmed(broker, [new_request(CancelOrder, order_id=uuid.uuid4())])
        await broker.close()
        placed = await shell.type(
            "order_saga", "place", "--json", "--timeout", "1", "-", stdin=text([order("north")]), BROKER_URL=silent
        )

    assert placed.code == 3, placed
    assert [each["outcome"] for each in placed.objects] == ["unanswered"]


async def test_a_lost_connection_is_survived(shell: Shell, management_url: str) -> None:
    shop = await a_shop(shell, packets=2, agents=2)
    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", "--json", "-",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=shell.environment, cwd=ROOT,
    )  # fmt: skip
    assert placing.stdin
    assert placing.stdout
    for _ in range(2):
        placing.stdin.write(text([order(shop)]).encode())
        told = json.loads(await asyncio.wait_for(placing.stdout.readline(), 30))
        assert told["outcome"] == "placed"
        await close_connections(Management(management_url), shell.vhost, "place")
    placing.stdin.close()

    assert await asyncio.wait_for(placing.wait(), 30) == 0


async def close_connections(management: Management, vhost_name: str, user_provided_name: str) -> None:
    """Wait until the broker's statistics know them, and close all of them."""
    async with asyncio.timeout(20):
        while True:
            known = await management.call("GET", f"vhosts/{quote(vhost_name, safe='')}/connections")
            mine = [each for each in known if str(each.get("user_provided_name")).startswith(user_provided_name)]
            if mine:
                break
            await asyncio.sleep(0.2)
    for each in mine:
        await management.call("DELETE", f"connections/{quote(each['name'], safe='')}")


async def test_a_terminal_shows_a_bar(shell: Shell, tmp_path: Path) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    file = tmp_path / "orders.jsonl"
    file.write_text(text([order(shop)]))
    terminal, its_end = pty.openpty()

    placing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "order_saga", "place", str(file),
        stdout=subprocess.DEVNULL, stderr=its_end, env=shell.environment, cwd=ROOT,
    )  # fmt: skip
    assert await asyncio.wait_for(placing.wait(), 30) == 0
    os.close(its_end)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)

    assert "[##############################] 1/1  1 placed" in shown


async def test_the_story_of_an_order_is_told_in_order_of_time(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    confirmed = f"SELECT state = 'confirmed' FROM published.holdings WHERE order_id = '{told['order_id']}'"
    await shell.until("store_worker", confirmed)
    await shell.until("delivery_worker", confirmed)

    people, machines = await asyncio.gather(
        shell.type("order_saga", "show", told["order_id"]), shell.type("order_saga", "show", "--json", told["order_id"])
    )

    assert people.code == machines.code == 0, people
    assert people.out.startswith(f"order {told['order_id']}: placed after ")
    assert f"store     confirmed {told['packet_ids'][0]}" in people.out
    (story,) = machines.objects
    assert story["order"]["outcome"] == "placed"
    assert story["holdings"]["delivery"]["unit_ids"] == [told["agent_id"]]
    happened = [(each["service"], each["event"]) for each in story["timeline"]]
    assert happened[0] == ("order_saga", "OrderRequested")
    assert Counter(service for service, _ in happened) == {"order_saga": 6, "store_worker": 3, "delivery_worker": 3}
    assert [each["at"] for each in story["timeline"]] == sorted(each["at"] for each in story["timeline"])


async def test_an_alarm_about_an_order_that_was_placed_long_ago_is_in_its_story(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    this = f"WHERE order_id = '{told['order_id']}'"
    await shell.until("delivery_worker", f"SELECT state = 'confirmed' FROM published.holdings {this}")
    earlier = "- interval '1 hour'"
    for worker in ("store_worker", "delivery_worker"):
        await shell.sql(worker, f"UPDATE reservation SET changed_at = changed_at {earlier} {this}")
    await shell.sql("order_saga", "ALTER TABLE saga DISABLE TRIGGER outcome_is_final")
    times = f"accepted_at = accepted_at {earlier}, decided_at = decided_at {earlier}"
    await shell.sql("order_saga", f"UPDATE saga SET {times} {this}")
    await shell.sql("order_saga", "ALTER TABLE saga ENABLE TRIGGER outcome_is_final")

    await shell.type(
        "delivery_worker", "publish", "-", stdin=text([{"type": "AgentWentOffline/1.0", "agent_id": told["agent_id"]}])
    )
    await shell.until("delivery_worker", f"SELECT count(*) = 1 FROM published.timeline {this} AND event = 'Alarm'")
    (story,) = (await shell.type("order_saga", "show", "--json", told["order_id"])).objects
    alarms = [each["detail"] for each in story["timeline"] if each["event"] == "Alarm"]
    assert [detail.split(": ")[0] for detail in alarms] == ["offline_while_assigned"]


async def test_an_order_that_nobody_knows_has_no_story(shell: Shell) -> None:
    unknown = await shell.type("order_saga", "show", str(uuid.uuid4()))

    assert unknown.code == 1
    assert unknown.err.startswith("Error: no service knows an order")


async def test_the_audit_says_clean_or_what_is_wrong(shell: Shell) -> None:
    clean = await shell.type("order_saga", "audit", "--grace", "1")
    assert (clean.code, clean.out) == (0, ""), clean
    assert clean.err.startswith("clean: ")

    await shell.sql("store_worker", "INSERT INTO received (store_id, sku, received) VALUES ('ghost', 'milk', 2)")
    try:
        people, machines = await asyncio.gather(
            shell.type("order_saga", "audit", "--grace", "0"),
            shell.type("order_saga", "audit", "--grace", "0", "--json"),
        )
    finally:
        await shell.sql("store_worker", "DELETE FROM received WHERE store_id = 'ghost'")

    sentence = "ghost should have 2 of milk, sold or not, but has 0"
    assert (people.code, people.out) == (1, f"I3  store_worker  {sentence}\n"), people
    assert machines.objects == [{"invariant": "I3", "sentence": sentence, "order_id": None, "service": "store_worker"}]


async def test_stock_is_listed_by_what_became_of_it(shell: Shell) -> None:
    shop = await a_shop(shell, packets=3, agents=1)
    placed = await shell.type("order_saga", "place", "-", stdin=text([order(shop, 2)]))
    assert placed.code == 0
    await shell.until(
        "store_worker", f"SELECT count(*) = 2 FROM published.stock WHERE place = '{shop}' AND state = 'confirmed'"
    )

    people, machines = await asyncio.gather(
        shell.type("store_worker", "stock", "list"), shell.type("store_worker", "stock", "list", "--json")
    )

    assert people.out.startswith("store            sku                        free   reserved")
    (mine,) = [each for each in machines.objects if each["store_id"] == shop]
    assert mine == {
        "store_id": shop, "sku": "milk",
        "free": 1, "reserved": 0, "assigned": 0, "confirmed": 2, "fulfilled": 0, "retired": 0,
    }  # fmt: skip


async def test_packets_are_listed_one_by_one_and_those_that_are_chosen_are_withdrawn(shell: Shell) -> None:
    shop = await a_shop(shell, packets=3, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    (sold,) = told["packet_ids"]
    mine = f"FROM published.stock WHERE place = '{shop}'"
    await shell.until("store_worker", f"SELECT count(*) = 1 {mine} AND state = 'confirmed'")
    choice = ("--sku", "milk", "--received-since", "2026-01-01", "--received-before", "2999-12-31T00:00:00")

    looked = await shell.type("store_worker", "stock", "withdraw", shop, *choice)
    assert (looked.code, looked.err) == (1, "nothing was withdrawn; add --yes to withdraw\n"), looked
    assert looked.out.startswith(f"{shop}: 3 packets to withdraw: 2 free, 1 confirmed\npacket ")
    assert looked.out.count("\n") == 3
    done = await shell.type("store_worker", "stock", "withdraw", shop, *choice, "--yes")
    assert (done.code, done.out) == (0, f"{looked.out}1 PacketsWithdrawn published\n"), done
    await shell.until("store_worker", f"SELECT bool_and(withdrawn) {mine}")
    again = await shell.type("store_worker", "stock", "withdraw", shop, *choice, "--yes")
    assert (again.code, again.out) == (0, f"{shop}: no packets to withdraw\n"), again

    people, machines = await asyncio.gather(
        shell.type("store_worker", "stock", "list", shop, "--ids"),
        shell.type("store_worker", "stock", "list", shop, "--ids", "--json", *choice),
    )
    assert f"{sold:<36} {shop:<16} {'milk':<20} confirmed, withdrawn {told['order_id']} " in people.out
    assert people.out.count("retired, withdrawn") == 2
    packets = {each["packet_id"]: each for each in machines.objects}
    assert len(packets) == 3
    assert packets[sold] | {"received_at": "then"} == {
        "packet_id": sold, "store_id": shop, "sku": "milk", "state": "confirmed", "withdrawn": True,
        "order_id": told["order_id"], "best_before": LATER.isoformat(), "received_at": "then",
    }  # fmt: skip


@pytest.mark.parametrize(
    "choice", [("--sku", "tea"), ("--received-since", "2999-01-01"), ("--received-before", "2026-01-01")]
)
async def test_what_was_not_chosen_is_neither_counted_nor_listed_nor_withdrawn(
    shell: Shell, choice: tuple[str, str]
) -> None:
    shop = await a_shop(shell, packets=1, agents=0)

    counted, listed, withdrawn = await asyncio.gather(
        shell.type("store_worker", "stock", "list", shop, "--json", *choice),
        shell.type("store_worker", "stock", "list", shop, "--json", "--ids", *choice),
        shell.type("store_worker", "stock", "withdraw", shop, *choice),
    )

    assert (counted.code, counted.objects, listed.code, listed.objects) == (0, [], 0, [])
    assert (withdrawn.code, withdrawn.out) == (0, f"{shop}: no packets to withdraw\n")


async def test_what_was_added_by_mistake_is_taken_back_by_its_ids(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=0)
    added = await shell.type("store_worker", "stock", "add", shop, "milk", "2", "--ids")
    await shell.until("store_worker", free(shop, 3))

    taken = await shell.type("store_worker", "stock", "withdraw", shop, *added.out.split(), "never-came", "--yes")

    assert (taken.code, taken.out.splitlines()[0]) == (
        0, f"{shop}: 3 packets to withdraw: 2 free, 1 never received",
    ), taken  # fmt: skip
    await shell.until("store_worker", free(shop, 1))


async def test_agents_are_listed_with_whom_they_work_for(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=2)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    confirmed = f"SELECT bool_or(state = 'confirmed') FROM published.stock WHERE place = '{shop}'"
    await shell.until("delivery_worker", confirmed)

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    mine = {each["agent_id"]: each for each in machines.objects if each["zone"] == shop}
    assert len(mine) == 2
    working = mine.pop(told["agent_id"])
    assert (working["state"], working["order_id"]) == ("confirmed", told["order_id"])
    assert [each["state"] for each in mine.values()] == ["free"]
    assert (working["online"], [each["online"] for each in mine.values()]) == (True, [True])
    since = datetime.fromisoformat(working["since"])
    assert since == await shell.sql(
        "delivery_worker", f"SELECT changed_at FROM reservation WHERE order_id = '{told['order_id']}'"
    )
    assert [each["since"] for each in mine.values()] == [None]
    assert f"{'confirmed':<18} {told['order_id']} {since.astimezone(UTC):%Y-%m-%d %H:%M:%S}\n" in people.out


async def test_who_goes_offline_while_he_has_an_order_is_listed_with_both(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    mine = f"FROM published.stock WHERE place = '{shop}'"
    await shell.until("delivery_worker", f"SELECT bool_or(state = 'confirmed') {mine}")
    await publish_until_confirmed(shell.broker, [new_request(AgentWentOffline, agent_id=told["agent_id"])])
    await shell.until("delivery_worker", f"SELECT NOT bool_or(online) {mine}")

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    assert f"{told['agent_id']:<20} {shop:<16} confirmed, offline {told['order_id']} " in people.out
    (gone,) = [each for each in machines.objects if each["zone"] == shop]
    assert (gone["state"], gone["online"]) == ("confirmed", False)


async def test_who_has_lost_his_phone_is_taken_off_and_what_he_delivered_is_said_for_him(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    agent_id, order_id = told["agent_id"], told["order_id"]
    mine = f"FROM published.stock WHERE place = '{shop}'"
    for service in ("store_worker", "delivery_worker"):
        await shell.until(service, f"SELECT bool_or(state = 'confirmed') {mine}")

    gone = await shell.type("delivery_worker", "agents", "offline", agent_id)
    assert (gone.code, gone.out) == (0, "1 published\n"), gone
    await shell.until("delivery_worker", f"SELECT NOT bool_or(online) {mine}")
    for nobody, nothing in ((agent_id, str(uuid.uuid4())), ("somebody-else", order_id)):
        wrong = await shell.type("delivery_worker", "agents", "completed", nobody, nothing)
        assert (wrong.code, wrong.out) == (1, ""), wrong
        assert wrong.err == f"Error: order {nothing} is not confirmed for {nobody}: see `agents list`\n"
    done = await shell.type("delivery_worker", "agents", "completed", agent_id, order_id)
    assert (done.code, done.out) == (0, "1 published\n"), done

    await shell.until("delivery_worker", f"SELECT bool_or(state = 'offline') {mine}")
    await shell.until("store_worker", f"SELECT bool_or(state = 'fulfilled') {mine}")
    again = await shell.type("delivery_worker", "agents", "completed", agent_id, order_id)
    assert (again.code, again.out) == (1, ""), again


async def test_a_database_that_does_not_say_yet_who_is_online_is_one_line(
    shell: Shell, new_database: NewDatabase
) -> None:
    url = await new_database()
    old = await asyncpg.connect(url)
    await old.execute("CREATE VIEW published.stock AS SELECT ''::text AS unit_id, NULL::uuid AS order_id")
    await old.execute("CREATE VIEW published.holdings AS SELECT NULL::uuid AS order_id")
    await old.close()

    listed = await shell.type("delivery_worker", "agents", "list", DELIVERY_WORKER_DATABASE_URL=url)

    assert (listed.code, listed.out) == (3, "")
    assert listed.err.startswith("Error: DELIVERY_WORKER_DATABASE_URL: column ")
    assert listed.err.endswith("that database is not migrated\n")
    assert listed.err.count("\n") == 1


async def test_an_agent_of_whom_is_only_known_that_he_is_gone_is_listed_without_a_zone(
    shell: Shell, tmp_path: Path
) -> None:
    agent_id = f"agent-{uuid.uuid4().hex[:8]}"
    outgoing = tmp_path / "agents.jsonl"
    outgoing.write_text(text([{"type": "AgentWentOffline/1.1", "agent_id": agent_id, "at": "2026-05-01T17:00:00Z"}]))
    assert (await shell.type("delivery_worker", "agents", "add", "--file", str(outgoing))).code == 0
    await shell.until("delivery_worker", f"SELECT count(*) = 1 FROM published.stock WHERE unit_id = '{agent_id}'")

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    assert f"{agent_id:<20} {'-':<16} offline\n" in people.out
    (gone,) = [each for each in machines.objects if each["agent_id"] == agent_id]
    assert gone == {
        "agent_id": agent_id, "zone": None, "state": "offline", "order_id": None, "online": False, "since": None,
    }  # fmt: skip


async def test_goods_and_agents_come_as_they_are_named(shell: Shell) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"

    goods, agents = await asyncio.gather(
        shell.type("store_worker", "stock", "add", place, "milk", "1002", "--best-before", "2099-01-01"),
        shell.type("delivery_worker", "agents", "add", place, f"{place}-A", f"{place}-B"),
    )

    assert (goods.code, goods.out) == (0, "2 StockReceived published\n"), goods
    assert (agents.code, agents.out) == (0, "2 published\n"), agents
    await shell.until("store_worker", free(place, 1002))
    await shell.until("delivery_worker", free(place, 2))


async def test_goods_and_agents_come_from_files_too(shell: Shell, tmp_path: Path) -> None:
    goods, agents = tmp_path / "goods.jsonl", tmp_path / "agents.jsonl"
    place = f"place-{uuid.uuid4().hex[:8]}"
    stock = {"store_id": place, "sku": "tea", "best_before": "2099-01-01T00:00:00Z"}
    goods.write_text(text(stock | {"packet_ids": [f"{place}-{number}"]} for number in range(2)))
    agents.write_text(text([{"agent_id": f"{place}-A", "zone": place}]))

    added = await asyncio.gather(
        shell.type("store_worker", "stock", "add", "--file", str(goods)),
        shell.type("delivery_worker", "agents", "add", "--file", str(agents)),
    )

    assert [each.code for each in added] == [0, 0], added
    await shell.until("store_worker", free(place, 2))
    await shell.until("delivery_worker", free(place, 1))


async def test_what_was_lost_is_said_again(shell: Shell) -> None:
    place = f"place-{uuid.uuid4().hex[:8]}"
    stock = {"type": "StockReceived/1.0", "store_id": place, "sku": "tea", "best_before": "2099-01-01T00:00:00Z"}
    goods = text([stock | {"packet_ids": [f"{place}-{number}"]} for number in range(3)])
    agents = text([{"type": "AgentCameOnline/1.0", "agent_id": f"{place}-A", "zone": place}])

    said = await asyncio.gather(
        shell.type("store_worker", "publish", "-", stdin=goods),
        shell.type("store_worker", "publish", "-", stdin=goods),
        shell.type("delivery_worker", "publish", "-", stdin=agents),
    )

    assert [(each.code, each.out) for each in said] == [(0, f"{number} published\n") for number in (3, 3, 1)], said
    await shell.until("store_worker", free(place, 3))
    await shell.until("delivery_worker", free(place, 1))
