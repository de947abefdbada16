"""`publish FILE` publishes all of a file or nothing, and only what a client may publish to that service."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner, Result

import delivery_worker.handlers
import order_saga.handlers
import store_worker.handlers
from messages.contracts.order import CancelOrder
from messages.contracts.store import StockReceived
from messages.transport.broker import Envelope
from messages.transport.command_line.failures import Unreachable
from messages.transport.edge import connection
from messages.transport.edge.publishing import publish_command
from messages.transport.edge.requests import RequestReader, new_request
from messages.transport.in_process.broker import InProcessBroker
from messages.transport.topology import Topology

COMMANDS = {
    "order_saga": publish_command("order_saga", order_saga.handlers.HANDLERS),
    "store_worker": publish_command("store_worker", store_worker.handlers.HANDLERS),
    "delivery_worker": publish_command("delivery_worker", delivery_worker.handlers.HANDLERS),
}
ORDER = str(uuid.UUID(int=1))
LATER = datetime(2099, 1, 1, tzinfo=UTC)
GOOD = {"type": "DeliveryCompleted/1.0", "order_id": ORDER}
NOWHERE = {"CLIENT_BROKER_URL": None, "BROKER_URL": "amqp://127.0.0.1:1/"}


def typed(command: click.Command, *lines: object) -> Result:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return CliRunner().invoke(command, ["-"], input=text, env=NOWHERE)


@pytest.mark.parametrize(
    ("service", "kinds"),
    [
        ("order_saga", "OrderRequested, CancelOrder"),
        ("store_worker", "DeliveryCompleted, StockReceived, PacketsWithdrawn"),
        ("delivery_worker", "DeliveryCompleted, AgentCameOnline, AgentWentOffline"),
    ],
)
def test_the_help_names_what_can_be_said(service: str, kinds: str) -> None:
    told = CliRunner().invoke(COMMANDS[service], ["--help"])
    assert (told.exit_code, f"{kinds}." in " ".join(told.stdout.split())) == (0, True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not_json"),
        ({"order_id": ORDER}, "no_type"),
        ("{ }", "no_type"),
        ({"type": "DeliveryCompleted/2.0", "order_id": ORDER}, "unknown_version"),
        ({"type": "DeliveryCompleted/1.0"}, "order_id: Field required (invalid)"),
        ({"type": "DeliveryCompleted/1.0", "order_id": ORDER, "message_id": "7"}, "message_id: must be a UUID"),
        ({"type": "CancelOrder/1.0", "order_id": ORDER}, "CancelOrder/1.0 is not handled here"),
        ({"type": "ReleasePackets/1.0", "order_id": ORDER}, "ReleasePackets/1.0 is not handled here"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_nothing_is_said(line: object, reason: str) -> None:
    said = typed(COMMANDS["store_worker"], GOOD, "", line, GOOD)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: <stdin>, line 3, is not a request: ")
    assert reason in said.stderr
    assert said.stderr.count("\n") == 1


def test_a_broker_that_cannot_be_reached_is_one_line() -> None:
    said = typed(COMMANDS["store_worker"], GOOD)

    assert (said.exit_code, said.stdout) == (3, "")
    assert said.stderr.startswith("Error: BROKER_URL: the broker cannot be reached")


class FastForward(asyncio.SelectorEventLoop):
    """A loop on whose clock time can pass at once."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class SlowBroker(InProcessBroker):
    """Takes its time, and confirms the first of what it is told; the rest has to be said again."""

    def __init__(self, loop: FastForward) -> None:
        super().__init__(Topology((), (), ()))
        self.confirmed: list[bytes] = []
        self.most = 0
        self._loop = loop

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self._loop.ahead += connection.CONFIRM_SECONDS / 4
        await asyncio.sleep(0)
        self.most = max(self.most, len(envelopes))
        self.confirmed.append(envelopes[0].body)
        return [True] + [False] * (len(envelopes) - 1)


def test_however_much_there_is_to_say_it_is_said_as_long_as_some_of_it_is_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "PUBLISH_AT_ONCE", 7)
    requests = [new_request(CancelOrder, order_id=uuid.uuid4()) for _ in range(30)]
    with asyncio.Runner(loop_factory=FastForward) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, FastForward)
        broker = SlowBroker(loop)
        runner.run(connection.publish_until_confirmed(broker, requests))

    assert broker.confirmed == [request.body for request in requests]
    assert broker.most == 7


class RefusingBroker(InProcessBroker):
    """Takes nothing, and says so at once."""

    def __init__(self) -> None:
        super().__init__(Topology((), (), ()))
        self.asked = 0

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self.asked += 1
        await asyncio.sleep(0)
        return [False] * len(envelopes)


async def test_a_broker_that_takes_nothing_is_not_asked_without_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONFIRM_SECONDS", 5 * connection.LOOK_SECONDS)
    broker = RefusingBroker()
    with pytest.raises(Unreachable, match="1 of 1 documents are not confirmed"):
        await connection.publish_until_confirmed(broker, [new_request(CancelOrder, order_id=uuid.uuid4())])
    assert broker.asked <= 6


class StuckBroker(InProcessBroker):
    """Confirms the first batch only, and of the next one nothing."""

    def __init__(self) -> None:
        super().__init__(Topology((), (), ()))
        self.stuck = asyncio.Event()

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        if self.stuck.is_set():
            await asyncio.Event().wait()
        self.stuck.set()
        return [True] * len(envelopes)


async def test_who_is_interrupted_says_how_much_is_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "PUBLISH_AT_ONCE", 7)
    broker = StuckBroker()
    requests = [new_request(CancelOrder, order_id=uuid.uuid4()) for _ in range(30)]
    publishing = asyncio.create_task(connection.publish_until_confirmed(broker, requests))
    await broker.stuck.wait()
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    told = "interrupted: 7 of 30 documents are published, and perhaps some of the others\n"
    assert capsys.readouterr().err == told  # a task that another test left behind may log meanwhile


def test_a_message_id_that_is_there_is_kept_and_one_that_is_not_is_added() -> None:
    reader = RequestReader(None, *store_worker.handlers.HANDLERS)
    own = uuid.uuid4()

    kept = reader.read(json.dumps(GOOD | {"message_id": str(own)}).encode())
    first, second = (reader.read(json.dumps(GOOD).encode()) for _ in range(2))

    assert kept.message_id == own
    assert json.loads(first.body) == GOOD | {"message_id": str(first.message_id)}
    assert first.message_id != second.message_id


def test_a_line_may_be_indented_and_of_its_blanks_nothing_is_published() -> None:
    line = json.dumps(GOOD).encode()
    read = RequestReader(None, *store_worker.handlers.HANDLERS).read(b" \t" + line + b" \r\n")
    assert read.body.endswith(line[1:])


def test_only_what_is_about_an_order_gets_an_order_id() -> None:
    stock = new_request(StockReceived, store_id="north", sku="milk", best_before=LATER, packet_ids=("P-1",))
    bare = stock.message.model_dump_json(exclude_none=True).encode()
    assert RequestReader(StockReceived).read(bare).message == stock.message
