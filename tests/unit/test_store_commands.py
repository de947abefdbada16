"""What `store-worker stock` decides before it says anything: which packets are withdrawn, in documents of what size."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from messages.contracts.store import PacketsWithdrawn, StockReceived
from messages.transport.command_line.failures import Unreachable
from messages.transport.edge.requests import Request
from messages.transport.strict_json import DOCUMENT_BYTES
from store_worker import commands
from store_worker.published import Packet
from store_worker.withdrawal import UNKNOWN, withdrawal_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ORDER = uuid.UUID(int=1)


def packet(name: str, state: str = "free", *, withdrawn: bool = False, store: str = "north") -> Packet:
    order_id = ORDER if state in ("reserved", "assigned", "confirmed") else None
    return Packet(name, store, "milk", state, withdrawn, order_id, NOW, NOW)


def test_only_what_is_on_hand_can_be_withdrawn() -> None:
    found = [
        packet("P-1"),
        packet("P-2", "reserved"),
        packet("P-3", "confirmed"),
        packet("P-4", "confirmed", withdrawn=True),
        packet("P-5", "fulfilled"),
        packet("P-6", "retired", withdrawn=True),
        packet("P-7", "retired"),
        packet("P-8"),
    ]

    withdrawal = withdrawal_of(found)

    assert withdrawal.packet_ids == ["P-1", "P-2", "P-3", "P-8"]
    assert list(withdrawal.counts.items()) == [("free", 2), ("reserved", 1), ("confirmed", 1)]
    assert [each.packet_id for each in withdrawal.held] == ["P-2", "P-3"]


def test_what_is_named_is_withdrawn_once_and_before_it_comes() -> None:
    withdrawal = withdrawal_of([packet("P-1"), packet("P-2", "fulfilled")], ["P-9", "P-1", "P-2", "P-9"])

    assert withdrawal.packet_ids == ["P-1", "P-9"]
    assert withdrawal.counts == {"free": 1, UNKNOWN: 1}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    requests: list[Request] = []

    def keep(_service: str, _command: str, said: Sequence[Request]) -> None:
        requests.extend(said)

    monkeypatch.setattr(commands, "publish", keep)
    return requests


def withdraw(monkeypatch: pytest.MonkeyPatch, found: Sequence[Packet], *arguments: str) -> Result:
    """Without a database: it has these packets."""
    monkeypatch.setattr(commands, "ask", lambda *_: list(found))
    return CliRunner().invoke(commands.stock_group, ["withdraw", *arguments], obj=lambda: None)


def ids(requests: Sequence[Request]) -> list[str]:
    contents: list[Any] = [request.message for request in requests]
    return [packet_id for content in contents for packet_id in content.packet_ids]


def test_nothing_is_withdrawn_before_somebody_says_yes(monkeypatch: pytest.MonkeyPatch, said: list[Request]) -> None:
    told = withdraw(monkeypatch, [packet("P-1"), packet("P-2", "confirmed")], "north", "--all")

    assert (told.exit_code, said) == (1, [])
    assert told.stdout.startswith("north: 2 packets to withdraw: 1 free, 1 confirmed\n")
    assert told.stdout.splitlines()[2].split()[:5] == ["P-2", "north", "milk", "confirmed", str(ORDER)]
    assert told.stderr == "nothing was withdrawn; add --yes to withdraw\n"


def test_however_many_and_however_long_their_ids_each_document_is_small_enough(
    monkeypatch: pytest.MonkeyPatch, said: list[Request]
) -> None:
    names = [f"{number:064}" for number in range(2_000)]

    told = withdraw(monkeypatch, [packet(name) for name in names], "s" * 64, "--all", "--yes")

    assert (told.exit_code, told.stdout.splitlines()[-1]) == (0, "3 PacketsWithdrawn published")
    assert all(isinstance(each.message, PacketsWithdrawn) for each in said)
    assert all(len(each.body) <= DOCUMENT_BYTES for each in said)
    assert ids(said) == names


def test_where_there_is_nothing_nothing_is_said(monkeypatch: pytest.MonkeyPatch, said: list[Request]) -> None:
    told = withdraw(monkeypatch, [packet("P-1", "retired", withdrawn=True)], "north", "P-1", "--yes")

    assert (told.exit_code, told.stdout, said) == (0, "north: no packets to withdraw\n", [])


def test_a_packet_of_another_store_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, said: list[Request]) -> None:
    told = withdraw(monkeypatch, [packet("P-1"), packet("P-2", store="south")], "north", "P-1", "P-2", "--yes")

    assert (told.exit_code, told.stdout, said) == (2, "", [])
    assert told.stderr == "Error: P-2 belongs to south, not to north\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all", "P-1"],
        ["--all", "--sku", "milk"],
        ["--sku", "milk", "P-1"],
        ["--received-since", "2026-03-01", "P-1"],
    ],
)
def test_what_is_to_be_withdrawn_is_said_in_one_way(
    monkeypatch: pytest.MonkeyPatch, said: list[Request], arguments: list[str]
) -> None:
    """An empty list of ids, as of a file that is empty, is not the whole store."""
    told = withdraw(monkeypatch, [packet("P-1")], "north", "--yes", *arguments)

    assert (told.exit_code, said) == (2, [])
    assert "give packets, or options that choose them, or --all" in told.stderr


def test_an_id_that_can_be_nobody_s_is_refused_also_without_yes(
    monkeypatch: pytest.MonkeyPatch, said: list[Request]
) -> None:
    told = withdraw(monkeypatch, [], "north", "P 1")

    assert (told.exit_code, told.stdout, said) == (2, "", [])
    assert told.stderr.startswith("Error: packet_ids.0: String should match pattern")


def test_the_ids_that_were_drawn_are_printed_if_asked_for(said: list[Request]) -> None:
    told = CliRunner().invoke(commands.stock_group, ["add", "north", "milk", "1001", "--ids"])

    assert (told.exit_code, told.stderr) == (0, "2 StockReceived published\n")
    assert all(isinstance(each.message, StockReceived) for each in said)
    assert len(ids(said)) == 1001
    assert told.stdout.splitlines() == ids(said)


def test_ids_are_printed_also_where_the_broker_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the documents may be in the queue nevertheless."""

    def fail(*_: object) -> None:
        raise Unreachable("1 of 1 documents are not confirmed")

    monkeypatch.setattr(commands, "publish", fail)
    told = CliRunner().invoke(commands.stock_group, ["add", "north", "milk", "2", "--ids"])

    assert (told.exit_code, len(told.stdout.splitlines())) == (3, 2)
