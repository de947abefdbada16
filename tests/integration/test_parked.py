"""Parked documents: one row a message id, kept whole, listed, shown, replayed and discarded from the command line."""

import asyncio
import json
import os
from uuid import UUID, uuid4

import asyncpg
import pytest
from click.testing import CliRunner, Result

from messages.transport import dead_letters, parked
from messages.transport.addresses import DEAD_LETTERS, REQUESTS, Address
from messages.transport.broker import MANY_DOCUMENTS, Envelope
from messages.transport.command_line import parked as parked_commands
from messages.transport.command_line.commands import Program, command_line
from messages.transport.database import migrating
from messages.transport.handled import Outgoing
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.incoming import Malformed
from messages.transport.provenance import Death
from messages.transport.topology import Topology
from tests.integration.network import Network
from tests.integration.toy.service import Forwarded, Toy, ToySettings, bought
from tests.integration.toy.station import Station, document

SECRET = "hunter2"


def malformed(
    message_id: UUID | None = None,
    *,
    body: bytes = b"{}",
    reason: str = "invalid",
    detail: str = "",
    wire_type: str | None = None,
) -> Malformed:
    return Malformed(body, message_id or uuid4(), reason, detail, wire_type)


async def test_a_message_id_is_parked_once_with_the_latest_reason(station: Station) -> None:
    message_id = uuid4()
    for reason in ("not_json", "handler_failed"):
        await parked.park(station.connection, [malformed(message_id, reason=reason)])
    (row,) = await parked.parked(station.connection)
    assert (row.message_id, row.reason, row.times) == (message_id, "handler_failed", 2)


async def test_what_came_last_under_a_message_id_is_kept_as_a_whole(station: Station) -> None:
    message_id, order_id = uuid4(), uuid4()
    await parked.park(station.connection, [malformed(message_id, wire_type="PacketsAssigned/9.0")])
    last = Malformed(b"1", message_id, "invalid", "", "OrderRequested/1.0", order_id, "q", from_outside=True)
    await parked.park(station.connection, [last])
    (row,) = await parked.parked(station.connection)
    assert (row.type, row.order_id, row.body, row.from_outside) == ("OrderRequested/1.0", order_id, b"1", True)


async def test_a_message_id_twice_in_one_batch_is_parked_once(station: Station) -> None:
    message_id = uuid4()
    await parked.park(station.connection, [malformed(message_id), malformed(), malformed(message_id)])
    assert [row.times for row in await parked.parked(station.connection)] == [1, 1]


async def test_documents_are_parked_in_the_order_of_their_ids_so_that_nobody_waits_crosswise(station: Station) -> None:
    low, high = sorted([uuid4(), uuid4()])
    await parked.park(station.connection, [malformed(high), malformed(low)])
    other = await asyncpg.connect(station.url)
    async with station.connection.transaction():
        await station.rows("SELECT FROM parked WHERE message_id = $1 FOR UPDATE", low)
        parking = asyncio.create_task(parked.park(other, [malformed(high), malformed(low)]))
        await station.until(station.somebody_waits)
        await station.rows("SELECT FROM parked WHERE message_id = $1 FOR UPDATE NOWAIT", high)
    await parking
    await other.close()


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 10_000])
async def test_any_text_can_be_parked(station: Station, text: str) -> None:
    await parked.park(station.connection, [malformed(detail=text, wire_type=text[:80])])
    (row,) = await parked.parked(station.connection)
    assert len(row.detail) <= 2_000


async def test_any_body_is_kept_as_it_came(station: Station) -> None:
    body = bytes(range(256)) * 300
    await station.publish("bought", body)
    async with station.running():
        await station.until_count("parked", 1)
    (row,) = await parked.parked(station.connection)
    assert row.body == body


async def test_what_the_broker_gave_up_is_parked_document_by_document(station: Station) -> None:
    dead = [bought("a"), bought("b")]
    lines = b"\n".join([*(document(message) for message in dead), b"\xff"])
    await give_up(station, lines, MANY_DOCUMENTS)
    blamed: list[str] = []

    def blame(document: Malformed) -> list[Outgoing]:
        blamed.append(document.reason)
        return []

    station.toy.rejecting = blame
    async with station.running():
        await station.until_count("parked", 3)
    assert blamed == ["not_json"], "who sent what kills us is not to blame"
    rows = {row.order_id: (row.reason, row.queue) for row in await parked.parked(station.connection)}
    assert rows == {
        dead[0].order_id: ("dead_lettered", "toy.dead"),
        dead[1].order_id: ("dead_lettered", "toy.dead"),
        None: ("not_json", "toy.dead"),
    }
    assert await station.left_in("toy.dead") == []


async def test_what_its_sender_let_expire_is_its_senders_and_can_be_replayed(station: Station) -> None:
    late, forged = bought("late"), Forwarded(order_id=uuid4(), text="forged")
    for message in (late, forged):
        letter = Envelope(Address(DEAD_LETTERS, "toy.dead"), document(message), "application/json", str(uuid4()))
        assert station.broker._exchanges.route(letter.to, letter, Death("expired", REQUESTS))
    blamed: list[str] = []

    def blame(document: Malformed) -> list[Outgoing]:
        blamed.append(document.reason)
        return []

    station.toy.rejecting = blame
    station.toy.handlers[Forwarded] = "paid"
    async with station.running():
        await station.until_count("parked", 2)
        rows = {row.order_id: (row.reason, row.from_outside) for row in await parked.parked(station.connection)}
        assert rows == {late.order_id: ("expired", True), forged.order_id: ("forbidden", True)}
        assert sorted(blamed) == ["expired", "forbidden"]
        await parked.request_replay(station.connection, None)
        await station.until_heard(1)
    assert await station.heard() == ["late"]


async def test_what_is_parked_once_more_waits_for_another_request(station: Station) -> None:
    bad = Malformed(b"{", uuid4(), "not_json", "x", queue="toy.bought")
    for _ in range(2):
        await parked.park(station.connection, [bad])
        (row,) = await parked.parked(station.connection)
        assert row.replay_requested_at is None
        assert await parked.request_replay(station.connection, None) == 1
    assert row.times == 2


async def test_a_dead_letter_is_held_while_it_cannot_be_parked(
    own_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 0.05)
    await own_station.rows("ALTER TABLE parked ADD CONSTRAINT full_house CHECK (reason = '')")
    await give_up(own_station, document(bought("a")))
    async with own_station.running() as running:
        await own_station.say(bought("b"))
        await own_station.until_heard(1)
        await own_station.rows("ALTER TABLE parked DROP CONSTRAINT full_house")
        await own_station.until_count("parked", 1)
        assert not running.task.done()
    assert await own_station.left_in("toy.dead") == []


async def test_a_dead_letter_whose_connection_is_lost_while_it_is_parked_is_parked_again(station: Station) -> None:
    await give_up(station, document(bought("a")))
    broker = station.broker.beside()
    blocker = await asyncpg.connect(station.url)
    await blocker.execute("BEGIN; LOCK TABLE parked IN EXCLUSIVE MODE")
    async with station.running(broker):
        await station.until(station.somebody_waits)
        broker.break_connection()
        await blocker.execute("COMMIT")
        await station.until_count("parked WHERE times = 2", 1)
    await blocker.close()
    assert await station.left_in("toy.dead") == []


async def test_a_dead_envelope_larger_than_a_batch_is_parked_in_parts(station: Station) -> None:
    await give_up(station, b"\n".join(document(bought(str(number))) for number in range(1_201)), MANY_DOCUMENTS)
    async with station.running(batch_documents=500):
        await station.until_count("parked", 1_201)
    ((transactions,),) = await station.rows("SELECT count(DISTINCT xmin::text) FROM parked")
    assert transactions == 3


async def give_up(station: Station, body: bytes, content_type: str = "application/json") -> None:
    """Have a message lose its consumer until the broker gives it up."""
    await station.publish("bought", body, content_type)
    loser = InProcessBroker(Topology((), (), ()))
    loser._exchanges = station.broker._exchanges
    await loser.start()
    await loser.subscribe("toy.bought", 10, lambda: None)
    for _ in range(101):
        loser.break_connection()
    await loser.close()


# -- from the command line


def tell(station: Station, *arguments: str, environment: dict[str, str] | None = None) -> Result:
    return tell_toy("parked", *arguments, environment={"TOY_DATABASE_URL": station.url} | (environment or {}))


def tell_toy(*arguments: str, environment: dict[str, str]) -> Result:
    program = Program("toy", ToySettings, lambda _: Toy().service())
    return CliRunner().invoke(command_line(program), arguments, env=os.environ | environment)


async def ask(station: Station, *arguments: str) -> list[str]:
    result = await asyncio.to_thread(tell, station, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


async def park(station: Station, *details: str) -> list[int]:
    await parked.park(station.connection, [malformed(detail=detail, wire_type="Bought/1.0") for detail in details])
    ids = {row.detail: row.id for row in await parked.parked(station.connection)}
    return [ids[detail] for detail in details]


async def test_the_list_has_a_line_for_each_in_the_order_of_parking(station: Station) -> None:
    first, second = await park(station, "one"), await park(station, "two")
    await parked.request_replay(station.connection, second)
    lines = await ask(station, "list")
    assert [line.split()[0] for line in lines] == [str(first[0]), str(second[0])]
    assert "Bought/1.0" in lines[0]
    assert lines[0].endswith("invalid: one")
    assert lines[1].endswith("invalid: two (to be replayed)")


async def test_the_list_for_machines_has_an_object_a_line(station: Station) -> None:
    await parked.park(station.connection, [malformed(body=b"\xff{")])
    (line,) = await ask(station, "list", "--json")
    told = json.loads(line)
    assert (told["reason"], told["body"], told["times"]) == ("invalid", "\\xff{", 1)


async def test_nothing_parked_is_nothing_listed(station: Station) -> None:
    assert await ask(station, "list") == []


async def test_one_is_shown_whole(station: Station) -> None:
    (number,) = await park(station, "one")
    told = {line[:20].strip(): line[21:] for line in await ask(station, "show", str(number))}
    assert (told["id"], told["reason"], told["detail"], told["body"]) == (str(number), "invalid", "one", "{}")


async def test_what_is_shown_cannot_take_over_the_terminal(station: Station) -> None:
    body = b"\x1b[2J\x07 \xc2\x9b31m caf\xc3\xa9"
    await parked.park(station.connection, [malformed(body=body, detail="\x1b]0;title\x07")])
    (row,) = await parked.parked(station.connection)
    for lines in (await ask(station, "show", str(row.id)), await ask(station, "list")):
        assert all(line.isprintable() for line in lines)
    assert any("café" in line for line in await ask(station, "show", str(row.id)))


async def test_replays_are_requested_by_id_or_for_all(station: Station) -> None:
    ids = await park(station, "one", "two", "three")
    assert await ask(station, "replay", str(ids[0]), str(ids[2])) == ["2 to be replayed by the running service"]
    requested = {row.id for row in await parked.parked(station.connection) if row.replay_requested_at}
    assert requested == {ids[0], ids[2]}
    assert await ask(station, "replay", "--all") == ["3 to be replayed by the running service"]


@pytest.mark.parametrize(
    ("command", "done"), [("replay", "to be replayed by the running service"), ("discard", "discarded")]
)
async def test_an_id_under_which_nothing_is_parked_is_no_success_beside_others(
    station: Station, command: str, done: str
) -> None:
    (known,) = await park(station, "one")
    result = await asyncio.to_thread(tell, station, command, str(known), "99999999")
    assert (result.exit_code, result.output.splitlines()) == (
        1,
        [f"1 {done}", "Error: 1 of these ids are not parked"],
    )


async def test_discarded_is_gone(station: Station) -> None:
    ids = await park(station, "one", "two")
    assert await ask(station, "discard", str(ids[0])) == ["1 discarded"]
    assert [row.id for row in await parked.parked(station.connection)] == [ids[1]]


async def test_many_are_discarded_by_their_reason_and_perhaps_their_age(station: Station) -> None:
    await parked.park(station.connection, [malformed(reason=reason) for reason in ("invalid", "invalid", "not_json")])
    past = ("--before", "2020-01-01")
    future = ("--before", "2100-01-01")
    assert await ask(station, "discard", "--reason", "invalid", *past) == ["0 discarded"]
    assert await ask(station, "discard", "--reason", "invalid", *future) == ["2 discarded"]
    assert [row.reason for row in await parked.parked(station.connection)] == ["not_json"]
    assert await ask(station, "discard", "--reason", "not_json") == ["1 discarded"]


async def test_of_too_many_to_be_listed_it_is_said_how_many_there_are(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked_commands, "MOST_LISTED", 2)
    await park(station, "one", "two")
    assert len(await ask(station, "list")) == 2
    await park(station, "three")
    *listed, last = await ask(station, "list")
    assert len(listed) == 2
    assert last == "the 2 oldest of 3"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("discard", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("replay", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("show", str(2**63 - 1)), 1, f"Error: no parked document has the id {2**63 - 1}"),
        (("show", str(2**63)), 2, "is not in the range"),
        (("replay",), 2, "Error: give ids or --all"),
        (("replay", "1", "--all"), 2, "Error: give ids or --all"),
        (("show", "x"), 2, "is not a valid integer"),
        (("discard",), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "1", "--reason", "invalid"), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "1", "--before", "2026-01-01"), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "--reason", "invalid", "--before", "soon"), 2, "does not match the formats"),
    ],
)
async def test_a_wrong_command_is_told_in_one_line(
    station: Station, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = await asyncio.to_thread(tell, station, *arguments)
    assert result.exit_code == code
    assert told in result.output.splitlines()[-1]


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


async def test_a_role_that_may_not_migrate_is_one_line(station: Station) -> None:
    url = f"{station.url}{'&' if '?' in station.url else '?'}role=pg_monitor"
    result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": url})
    assert (result.exit_code, result.output) == (3, "Error: TOY_DATABASE_URL: permission denied for schema public\n")


async def test_a_migration_that_fails_is_named_in_one_line(own_station: Station) -> None:
    await own_station.rows("DELETE FROM schema_migrations WHERE name LIKE 'tests.%'")
    result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": own_station.url})
    assert (result.exit_code, result.stdout) == (3, "")
    failed = "migration tests.integration.toy/0001_create_purchase.sql"
    assert result.stderr == f'Error: TOY_DATABASE_URL: {failed}: relation "purchase" already exists\n'


async def test_who_holds_up_a_migration_is_told_in_one_line(
    own_station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LOCK_SECONDS": 0.02, "PAUSE_SECONDS": 0.01, "TRIES": 2}.items():
        monkeypatch.setattr(migrating, name, value)
    await own_station.rows("DELETE FROM schema_migrations WHERE name LIKE '%0003_compress_outbox%'")
    async with own_station.connection.transaction():
        await own_station.rows("SELECT FROM outbox")
        result = await asyncio.to_thread(tell_toy, "migrate", environment={"TOY_DATABASE_URL": own_station.url})
    assert (result.exit_code, result.stdout) == (3, "")
    waiting, failed = result.stderr.splitlines()
    name = "messages.transport/0003_compress_outbox_quickly.sql"
    assert waiting.startswith(f"{name} is waiting for a table lock; locked now: outbox by ")
    assert failed == f"Error: TOY_DATABASE_URL: migration {name}: canceling statement due to lock timeout"


async def test_a_database_that_is_not_migrated_is_one_line_too(own_station: Station) -> None:
    await own_station.rows("DROP TABLE parked CASCADE")
    result = await asyncio.to_thread(tell, own_station, "list")
    assert result.exit_code == 3
    (line,) = result.output.splitlines()
    assert line.startswith("Error: TOY_DATABASE_URL: ")
    assert "parked" in line


async def test_a_wrong_setting_is_one_line(station: Station) -> None:
    result = await asyncio.to_thread(tell, station, "list", environment={"TOY_HTTP_PORT": "many"})
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith("Error: TOY_HTTP_PORT: ")
